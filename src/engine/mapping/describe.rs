//! A map as a document for those who review it, in Markdown.

use std::fmt::Write as _;

use super::check::{Explanation, Fixed};
use super::library::Maps;
use super::map::Map;
use super::syntax::NativeType;

impl Maps {
    /// A map of these as Markdown tables: what it reads, its resources, what goes where by which line, what the map says
    /// by itself, what stays and what is left out, and how much of the format is spoken of.
    #[must_use]
    pub fn describe(&self, map: &Map) -> String {
        let mut text = format!("# {}\n\n{}\n", map.name(), reads(map));
        let lines = map.lines();
        section(&mut text, "Resources", &["name", "type"]);
        for (name, resource) in map.entry_types() {
            row(&mut text, &[name, resource]);
        }
        section(&mut text, "What goes where", &["native", "", "FHIR", "by", "line"]);
        for line in &lines {
            let by = match &line.fixed {
                None => code(&self.rule(line)),
                Some(Fixed::Same(there)) => format!("as of {}", code(there)),
                Some(_) => continue,
            };
            row(&mut text, &[&line.native, line.direction, &line.fhir, &by, &line.line]);
        }
        section(&mut text, "What the map says by itself", &["FHIR", "by", "line"]);
        for line in lines.iter().filter(|l| matches!(l.fixed, Some(Fixed::Value | Fixed::Link))) {
            row(&mut text, &[&line.fhir, &code(&self.rule(line)), &line.line]);
        }
        section(&mut text, "What does not go over", &["native", "what becomes of it", "line"]);
        for line in &lines {
            let becomes = match &line.fixed {
                Some(Fixed::Kept) => "stays in the original".to_owned(),
                Some(Fixed::Dropped(reason)) => format!("is left out: {reason}"),
                _ => continue,
            };
            let native = if line.native == "*" { "all that no line names" } else { line.native.as_str() };
            row(&mut text, &[native, &becomes, &line.line]);
        }
        let coverage = map.coverage();
        let known = coverage.carried.len() + coverage.residue.len() + coverage.unclaimed.len();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "\nOf {known} places of the format {} are carried, {} stay in the original, {} are not spoken of.",
            coverage.carried.len(),
            coverage.residue.len(),
            coverage.unclaimed.len()
        );
        if !coverage.one_way.is_empty() {
            section(&mut text, "One way only", &["line", "why"]);
            for (line, why) in &coverage.one_way {
                row(&mut text, &[line, why]);
            }
        }
        text
    }

    /// The text of the rule that an explanation is of, on one line.
    #[must_use]
    pub fn rule(&self, line: &Explanation) -> String {
        let (file, number) = &line.place;
        self.source_rule(file, *number).unwrap_or_default()
    }
}

fn reads(map: &Map) -> String {
    match map.native() {
        NativeType::Hl7v2 { structure, versions: (first, last), .. } => format!(
            "HL7 v2 {}.{} to {}.{}, structure {structure}: {}.",
            first.0,
            first.1,
            last.0,
            last.1,
            map.reads_what()
        ),
        NativeType::Json { schema, .. } => format!("JSON by the schema {schema}."),
        NativeType::Fhir { .. } => format!("{}, as JSON.", map.reads_what()),
        NativeType::Delimited { columns, .. } => {
            format!("{}; its columns: {}.", map.reads_what(), columns.join(", "))
        }
        NativeType::Xml { schema, .. } => format!("XML by the schema {schema}: {}.", map.reads_what()),
    }
}

fn section(text: &mut String, name: &str, columns: &[&str]) {
    let rule: Vec<&str> = columns.iter().map(|_| "---").collect();
    // Writing to a String does not fail.
    let _ = writeln!(text, "\n## {name}\n");
    row(text, columns);
    let _ = writeln!(text, "|{}|", rule.join("|"));
}

fn row(text: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    // Writing to a String does not fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}
