//! Which lens or block a rule uses: by its word, or by the two types.

use super::super::lens::{CodeTable, Lens, NAMES, Pattern, Precision, Space};
use super::super::schema::Place;
use super::super::syntax::{FormatName, LensCall, Span, Table};
use super::Compiler;
use super::fhir::nearest;
use crate::definitions::{Kind, TypeId};
use crate::native::xml::schema::Simple;

/// What carries a rule.
pub(super) enum Carrier {
    /// A lens on one primitive.
    Lens(Lens),
    /// The block of this name.
    Block(String),
}

impl Compiler<'_> {
    /// The carrier of a rule between a native place and a FHIR type.
    pub(super) fn carrier(
        &mut self,
        call: Option<&LensCall>,
        place: &Place,
        to: TypeId,
        span: Span,
    ) -> Option<Carrier> {
        match call {
            Some(call) => self.named(call, place, to),
            None => self.implied_carrier(place, to, span),
        }
    }

    fn named(&mut self, call: &LensCall, place: &Place, to: TypeId) -> Option<Carrier> {
        if let Some(block) = self.library.blocks.get(&call.name) {
            if !call.arguments.is_empty() || call.table.is_some() {
                self.problem(call.span, "a block takes no arguments", "leave them out");
            }
            return Some(Carrier::Block(block.name.clone()));
        }
        if self.model.kind(to) != Kind::Primitive {
            let type_name = self.model.type_name(to).to_owned();
            let blocks = self.blocks_to(&type_name);
            if NAMES.contains(&call.name.as_str()) {
                self.problem(
                    call.span,
                    format!("`{}` carries one primitive; the FHIR side is a {type_name}", call.name),
                    format!("go on to a primitive below it, or use a block: {blocks}"),
                );
            } else {
                self.problem(call.span, format!("there is no block {}", call.name), format!("one of {blocks}"));
            }
            return None;
        }
        let precision = self.precision(to);
        let first = call.arguments.first().map(String::as_str);
        let second = call.arguments.get(1).map(String::as_str);
        let lens = match call.name.as_str() {
            "text" => Lens::Text,
            "code" => Lens::Code,
            "number" => Lens::Number(false),
            "integer" => Lens::Number(true),
            "boolean" => Lens::Boolean(first.unwrap_or("Y").to_owned(), second.unwrap_or("N").to_owned()),
            "words" => Lens::Words(first.and_then(|s| s.chars().next()).unwrap_or(' ')),
            "prefix" => Lens::Prefix(first.unwrap_or_default().to_owned()),
            "identified" => self.identified(call, first, second)?,
            "system" => Lens::System,
            "authority" => Lens::Authority,
            "dtm" => Lens::Dtm(precision),
            "iso" => Lens::Iso(precision),
            "phone" => Lens::Phone,
            "mime" => Lens::Mime,
            "data" => Lens::Data,
            "hetu" => Lens::Hetu,
            "digits" => match first.and_then(|count| count.parse().ok()).filter(|count| *count > 0) {
                Some(count) => Lens::Digits(count),
                None => {
                    self.problem(call.span, "`digits` needs how many there are", "`digits 10`");
                    return None;
                }
            },
            "uid" => Lens::Uid,
            "scheme" => Lens::Scheme(first.unwrap_or_default().to_owned()),
            "codesystem" => Lens::CodeSystem,
            "instance" => Lens::Instance,
            "narrative" => Lens::Narrative,
            "display" => Lens::Display(first == Some("other")),
            "lines" => Lens::Lines,
            "time" => Lens::Time,
            "joined" => Lens::Joined,
            "shown" => Lens::Shown,
            "says" => match first {
                Some(text) => Lens::Says(text.to_owned()),
                None => {
                    self.problem(call.span, "`says` needs what it says", "`says \"finished\"`");
                    return None;
                }
            },
            "date" => Lens::Date(self.pattern(call, first)?, precision),
            "datetime" => Lens::DateTime(self.pattern(call, first)?, self.pattern(call, second)?, precision),
            "coded" => Lens::Coded(self.table(call, place)?),
            other => {
                let mut known: Vec<&str> = NAMES.to_vec();
                known.extend(self.library.blocks.keys().map(String::as_str));
                known.sort_unstable();
                self.problem(call.span, format!("there is no lens or block {other}"), nearest(other, &known));
                return None;
            }
        };
        Some(Carrier::Lens(lens))
    }

    /// `identified "Type"`, `identified "Type" uri`, `identified "Type" "system"`.
    fn identified(&mut self, call: &LensCall, kind: Option<&str>, space: Option<&str>) -> Option<Lens> {
        let known = |kind: &&str| self.model.type_named(kind).is_some_and(|id| self.model.kind(id) == Kind::Resource);
        let Some(kind) = kind.filter(known) else {
            let what = "`identified` needs the type of the resource that is looked for";
            self.problem(call.span, what, "`identified \"ServiceRequest\"`");
            return None;
        };
        let space = match space {
            None => Space::Oid,
            Some("uri") => Space::Uri,
            Some(system) => Space::Of(self.library.system(system)),
        };
        Some(Lens::Identified(kind.to_owned(), space))
    }

    fn pattern(&mut self, call: &LensCall, text: Option<&str>) -> Option<Pattern> {
        let pattern = text.and_then(Pattern::new);
        if pattern.is_none() {
            self.problem(
                call.span,
                format!("`{}` needs a pattern of d M yyyy H mm ss and separators", call.name),
                "`date \"d.M.yyyy\"`, `datetime \"d.M.yyyy\" \"HH:mm\"`",
            );
        }
        pattern
    }

    fn table(&mut self, call: &LensCall, place: &Place) -> Option<CodeTable> {
        let name = call.arguments.first().map(String::as_str);
        let table: Table = match (&call.table, name.and_then(|n| self.library.tables.get(n))) {
            (Some(table), _) => table.clone(),
            (None, Some(table)) => table.clone(),
            (None, None) => {
                let mut known: Vec<&str> = self.library.tables.keys().map(String::as_str).collect();
                known.sort_unstable();
                let (what, right) = match name {
                    Some(name) => (format!("there is no table {name}"), nearest(name, &known)),
                    None => ("`coded` needs a table".to_owned(), String::new()),
                };
                let right = if right.is_empty() {
                    "rows between braces, or the name of a `table` item".to_owned()
                } else {
                    right
                };
                self.problem(call.span, what, right);
                return None;
            }
        };
        self.no_code_twice(&table);
        let compiled = CodeTable::new(name, &table);
        if let Some(codes) = self.schema.codes(place) {
            let missing: Vec<String> = codes.into_iter().filter(|code| !compiled.reads(code)).collect();
            if !missing.is_empty() {
                self.problem(
                    call.span,
                    format!("the table does not say what becomes of the native codes {}", missing.join(", ")),
                    "a row for each code that the schema allows",
                );
            }
        }
        Some(compiled)
    }

    /// A native code has one row.
    fn no_code_twice(&mut self, table: &Table) {
        for (at, row) in table.rows.iter().enumerate() {
            if table.rows.iter().take(at).any(|before| before.native == row.native) {
                let what = format!("the native code {} has a row before this one", row.native);
                self.problem(row.span, what, "one row a native code: `native = code ~stand-in`");
            }
        }
    }

    /// The codes of a required binding, where they can be listed.
    pub(super) fn required_codes(&self, parent: TypeId, written: &str) -> Option<Vec<String>> {
        let found = self.model.child(parent, self.model.symbol(written))?;
        if self.model.type_name(found.type_id) != "code" {
            return None;
        }
        self.model.element(found.element).required_codes()
    }

    fn precision(&self, to: TypeId) -> Precision {
        match self.model.type_name(to) {
            "date" => Precision::Day,
            "instant" => Precision::Instant,
            _ => Precision::Any,
        }
    }

    fn blocks_to(&self, type_name: &str) -> String {
        let mut names: Vec<&str> = self
            .library
            .blocks
            .values()
            .filter(|b| b.format == self.format && b.to.as_deref() == Some(type_name))
            .map(|b| b.name.as_str())
            .collect();
        names.sort_unstable();
        if names.is_empty() { "there is none for this type yet".to_owned() } else { names.join(", ") }
    }

    fn implied_carrier(&mut self, place: &Place, to: TypeId, span: Span) -> Option<Carrier> {
        let type_name = self.model.type_name(to).to_owned();
        if self.model.kind(to) == Kind::Primitive {
            let v2 = self.format == FormatName::Hl7v2;
            let kind = self.schema.simple(place);
            let v3 = kind == Some(Simple::Timestamp);
            let precision = self.precision(to);
            return Some(Carrier::Lens(match type_name.as_str() {
                "code" => Lens::Code,
                "boolean" if v2 => Lens::Boolean("Y".to_owned(), "N".to_owned()),
                "boolean" => Lens::Boolean("true".to_owned(), "false".to_owned()),
                "decimal" => Lens::Number(false),
                "integer" | "positiveInt" | "unsignedInt" => Lens::Number(true),
                "date" | "dateTime" | "instant" if v2 || v3 => Lens::Dtm(precision),
                "date" | "dateTime" | "instant" => Lens::Iso(precision),
                _ => Lens::Text,
            }));
        }
        let datatypes = self.schema.type_names(place);
        if let Some(datatype) = datatypes.first() {
            let of = |name: &String| -> Vec<&str> {
                let blocks = self.library.blocks.values();
                blocks
                    .filter(|b| b.format == self.format && b.to.as_deref() == Some(type_name.as_str()))
                    .filter(|b| b.from.contains(name))
                    .map(|b| b.name.as_str())
                    .collect()
            };
            // A type that extends another is carried as that one, where nothing carries it itself.
            let mut fitting = datatypes.iter().map(of).find(|found| !found.is_empty()).unwrap_or_default();
            fitting.sort_unstable();
            match fitting.as_slice() {
                [one] => return Some(Carrier::Block((*one).to_owned())),
                [] => {}
                several => {
                    self.problem(
                        span,
                        format!("several blocks carry {datatype} to {type_name}"),
                        format!("name one of {}", several.join(", ")),
                    );
                    return None;
                }
            }
            self.problem(
                span,
                format!("no block carries {datatype} to {type_name}"),
                format!("go on to a primitive, or use one of {}", self.blocks_to(&type_name)),
            );
            return None;
        }
        self.problem(
            span,
            format!("the FHIR side is a {type_name}, which one text cannot fill"),
            format!("go on to a primitive below it, or use a block: {}", self.blocks_to(&type_name)),
        );
        None
    }
}
