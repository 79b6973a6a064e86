//! Paths and conditions as they are written.

use std::fmt;

use super::{Condition, FhirPath, FhirSelect, NativePath, Select, StepName, Test, Value};

impl fmt::Display for FhirPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            f.write_str(entry)?;
        }
        if self.steps.is_empty() && self.entry.is_none() {
            return f.write_str(".");
        }
        for step in &self.steps {
            write!(f, ".{}", step.element)?;
            match &step.select {
                FhirSelect::First => {}
                FhirSelect::Each => f.write_str("[]")?,
                FhirSelect::Index(n) => write!(f, "[{n}]")?,
                FhirSelect::From(n) => write!(f, "[{n}+]")?,
                FhirSelect::With(all, each) => {
                    f.write_str("[")?;
                    for (i, one) in all.iter().enumerate() {
                        if i > 0 {
                            f.write_str(", ")?;
                        }
                        if !one.path.is_empty() {
                            write!(f, "{} {} ", one.path.join("."), if one.not { "!=" } else { "=" })?;
                        }
                        write!(f, "{}", one.value)?;
                    }
                    f.write_str(if *each { "][]" } else { "]" })?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Coding(system, code) => write!(f, "{system}#{code}"),
            Self::Context(name) => write!(f, "@{name}"),
        }
    }
}

impl fmt::Display for NativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for step in &self.steps {
            match &step.name {
                StepName::Segment(name) => f.write_str(name)?,
                StepName::Group(name) => write!(f, "{name}")?,
                StepName::Field(n) => write!(f, "-{n}")?,
                StepName::Component(n) | StepName::Subcomponent(n) => write!(f, ".{n}")?,
                StepName::Member(name) => write!(f, "{}{name}", if first { "$." } else { "." })?,
                StepName::Element(name) => write!(f, "{}{name}", if first { "" } else { "/" })?,
                StepName::Attribute(name) => write!(f, "{}@{name}", if first { "" } else { "/" })?,
                StepName::Parent => f.write_str(if first { ".." } else { "/.." })?,
                StepName::Row => f.write_str("row")?,
                StepName::Column(name) => f.write_str(name)?,
            }
            match &step.select {
                Select::First => {}
                Select::Index(n) => write!(f, "[{n}]")?,
                Select::From(n) => write!(f, "[{n}+]")?,
                Select::All => f.write_str("*")?,
                Select::Where(conditions, all) => {
                    f.write_str("[")?;
                    for (i, one) in conditions.iter().enumerate() {
                        if i > 0 {
                            f.write_str(" & ")?;
                        }
                        write!(f, "{one}")?;
                    }
                    f.write_str(if *all { "]*" } else { "]" })?;
                }
            }
            first = false;
        }
        if first { f.write_str(".") } else { Ok(()) }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.any {
            f.write_str("any ")?;
        }
        let other = self.other.as_ref().map(ToString::to_string).unwrap_or_default();
        match &self.test {
            Test::Same => write!(f, "{} same {other}", self.path),
            Test::NotSame => write!(f, "{} !same {other}", self.path),
            Test::After => write!(f, "{} after {other}", self.path),
            Test::NotAfter => write!(f, "{} !after {other}", self.path),
            Test::Valued => write!(f, "{}", self.path),
            Test::Absent => write!(f, "!{}", self.path),
            Test::In(values) => write!(f, "{} = {}", self.path, alternatives(values)),
            Test::NotIn(values) => write!(f, "{} != {}", self.path, alternatives(values)),
            Test::Begins(values) => write!(f, "{} begins {}", self.path, alternatives(values)),
            Test::NotBegins(values) => write!(f, "{} !begins {}", self.path, alternatives(values)),
            Test::Numeric => write!(f, "{} numeric", self.path),
            Test::NotNumeric => write!(f, "{} !numeric", self.path),
            Test::Written(text) => write!(f, "new {} = {text:?}", self.path),
            Test::Inside(table) => write!(f, "{} in {}", self.path, table.join(" ")),
            Test::Outside(table) => write!(f, "{} outside {}", self.path, table.join(" ")),
        }
    }
}

fn alternatives(values: &[String]) -> String {
    values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(" | ")
}
