//! The rules of HL7 v2: what the tables of the message's version say of its segments, fields and values.

mod shapes;
mod values;

use std::collections::HashMap;

use super::{Config, Level, Report, Rule};
use crate::native::hl7v2::schema::{Declared, GroupTree, Missing, Schema, SegmentDef, Structure, Version, group_by};
use crate::native::{Format, NodeId, SegmentName, Tree};

/// Judges a message by the tables of its version. A document of another format gives an empty report.
///
/// Segments whose name begins with Z are the site's own and are never judged.
#[must_use]
pub fn check(tree: &Tree, config: &Config) -> Report {
    let mut report = Report::default();
    if tree.format() != Format::Hl7V2 {
        return report;
    }
    let mut checker = Checker { tree, config, report: &mut report, schema: Schema::version(Version::V2_5_1) };
    checker.message();
    report
}

struct Checker<'t> {
    tree: &'t Tree,
    config: &'t Config,
    report: &'t mut Report,
    schema: &'static Schema,
}

/// The fields without which a message cannot be answered or understood at all.
const VITAL: [(&str, u16); 4] = [("MSH", 9), ("MSH", 10), ("MSH", 12), ("PID", 3)];

impl Checker<'_> {
    fn message(&mut self) {
        let Some(header) = self.tree.segments().next() else { return };
        let text = |field, component| {
            let field = self.tree.field(header, field)?;
            self.tree.text(self.tree.component(field, component)).map(std::borrow::Cow::into_owned)
        };
        let code = text(9, 1).unwrap_or_default();
        let event = text(9, 2).unwrap_or_default();
        let declared_structure = text(9, 3).unwrap_or_default();
        let declared_version = text(12, 1);
        let version = match declared_version.as_deref().map(Version::declared) {
            // The required field MSH-12 is missed with the fields.
            None => Version::V2_5_1,
            Some(Declared::Exact(version)) => version,
            Some(Declared::Nearest(version)) => {
                self.add(Level::Information, Rule::Version, "MSH[1]-12", || {
                    format!("a known version; read as {version}")
                });
                version
            }
            Some(Declared::Unknown) => {
                self.add(Level::Error, Rule::Version, "MSH[1]-12", || "a version of HL7 v2, 2.1 to 2.8.2".to_owned());
                Version::V2_5_1
            }
        };
        self.schema = Schema::version(version);
        if let Some(found) = Schema::structure_mismatch(version, &code, &event, &declared_structure) {
            self.add(self.config.structure, Rule::StructureMismatch, "MSH[1]-9[1].3", || found.expected.to_owned());
        }
        match Schema::structure_for(version, &code, &event) {
            Some(structure) => self.structure(structure),
            None if code.is_empty() => {}
            None => self.add(Level::Information, Rule::UnknownStructure, "MSH[1]-9", || {
                "a message type and event of the tables; only the segments were judged".to_owned()
            }),
        }
        for segment in self.tree.segments() {
            self.segment(segment);
        }
    }

    fn add(&mut self, level: Level, rule: Rule, path: &str, expected: impl FnOnce() -> String) {
        self.report.add(self.config, level, rule, || path.to_owned(), expected);
    }

    fn structure(&mut self, structure: &'static Structure) {
        let segments: Vec<NodeId> = self.tree.segments().collect();
        let names: Vec<SegmentName> = segments.iter().filter_map(|segment| self.tree.segment_name(*segment)).collect();
        if names.len() != segments.len() {
            return;
        }
        let texts: Vec<&str> = names.iter().map(SegmentName::as_str).collect();
        let control = |at: usize| {
            let field = self.tree.field(*segments.get(at)?, 1)?;
            self.tree.text(self.tree.component(field, 1))
        };
        let grouped = group_by(structure, &texts, &control);
        for missing in grouped.missing() {
            let Some(name) = structure.leading_segment(missing.node) else { continue };
            let before = texts.iter().take(missing.before).filter(|text| **text == name).count();
            // A message about a patient that names none says nothing about anybody.
            let level = if name == "PID" && !texts.contains(&name) { Level::Error } else { self.config.structure };
            self.add(level, Rule::SegmentMissing, &format!("{name}[{}]", before + 1), || wanted(&grouped, missing));
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (text, stands) in texts.iter().zip(grouped.places()) {
            let count = counts.entry(text).or_default();
            *count += 1;
            if stands.is_unexpected() && !text.starts_with('Z') {
                let path = format!("{text}[{count}]");
                self.add(self.config.structure, Rule::SegmentUnexpected, &path, || {
                    format!("no such segment here, by {} of {}", structure.name(), structure.version())
                });
            }
        }
    }

    fn segment(&mut self, segment: NodeId) {
        let Some(name) = self.tree.segment_name(segment) else { return };
        let Some(definition) = self.schema.segment_or_nearest(name.as_str()) else { return };
        self.required_fields(segment, definition);
        let schema = Schema::version(definition.version);
        for field in self.tree.children(segment) {
            let Some(number) = self.tree.number(field).and_then(|number| u16::try_from(number).ok()) else { continue };
            if definition.name == "MSH" && number <= 2 {
                continue;
            }
            let Some(rule) = definition.field(number) else {
                self.surplus(field, "no such field in this version");
                continue;
            };
            if rule.withdrawn() {
                self.surplus(field, "nothing: the field is withdrawn");
                continue;
            }
            let repetitions = self.tree.repetitions(field).count();
            if let Some(max) = rule.max.filter(|max| repetitions > usize::from(*max)) {
                let path = self.tree.path(field).to_string();
                self.add(self.config.data_type, Rule::Repetitions, &path, || format!("at most {max}"));
            }
            let datatype = if definition.name == "OBX" && number == 5 {
                self.observation_type(segment)
            } else {
                Some(rule.datatype)
            };
            let Some(datatype) = datatype else { continue };
            let checked = values::Checked { schema, datatype, table: rule.table };
            if definition.name == "MSH" && (number == 9 || number == 12) {
                // Judged as what they mean: the tables list what was published with them.
                continue;
            }
            for repetition in self.tree.repetitions(field) {
                self.value(repetition, &checked);
            }
        }
    }

    fn required_fields(&mut self, segment: NodeId, definition: &SegmentDef) {
        for field in definition.fields().filter(|field| field.required()) {
            if self.tree.field(segment, field.number).is_some() {
                continue;
            }
            let vital = VITAL.contains(&(definition.name, field.number));
            let level = if vital { Level::Error } else { self.config.required };
            let path = format!("{}-{}", self.tree.path(segment), field.number);
            self.add(level, Rule::FieldMissing, &path, || format!("{} {}", field.datatype, field.name));
        }
    }

    /// The data type of OBX-5, by OBX-2.
    fn observation_type(&mut self, segment: NodeId) -> Option<&'static str> {
        let Some(kind) = self.tree.field(segment, 2).and_then(|field| self.tree.text(field)) else {
            let path = format!("{}-2", self.tree.path(segment));
            self.add(self.config.required, Rule::FieldMissing, &path, || "the data type of OBX-5".to_owned());
            return None;
        };
        // The type's name is the table's, so that the definitions can be asked for it.
        values::type_named(self.schema, &kind)
    }

    fn surplus(&mut self, at: NodeId, expected: &'static str) {
        let tree = self.tree;
        let path = || tree.path(at).to_string();
        self.report.add(self.config, self.config.surplus, Rule::Surplus, path, || expected.to_owned());
    }
}

/// What is missing, and in which group.
fn wanted(grouped: &GroupTree<'_>, missing: Missing) -> String {
    let structure = grouped.structure();
    let what = match structure.node(missing.node) {
        Some(node) if node.is_group() => node.name,
        _ => "this segment",
    };
    let group = grouped.group(missing.group).and_then(|group| structure.node(group.node));
    match group.filter(|group| group.parent.is_some()) {
        Some(group) => format!("{what} in {} of {}", group.name, structure.name()),
        None => format!("{what} in {}", structure.name()),
    }
}
