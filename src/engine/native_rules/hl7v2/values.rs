//! Values: their components, their forms, their tables.

use super::super::{Level, Rule};
use super::{Checker, shapes};
use crate::native::hl7v2::schema::{DatatypeDef, Primitive, Schema, Shape, Version};
use crate::native::{Kind, NodeId, Tree, Value};

/// By what a value is judged.
pub(super) struct Checked {
    pub(super) schema: &'static Schema,
    pub(super) datatype: &'static str,
    /// The table of its code, where it is one.
    pub(super) table: Option<&'static str>,
}

/// The name of a data type as the tables have it, if they do.
pub(super) fn type_named(schema: &'static Schema, name: &str) -> Option<&'static str> {
    const PRIMITIVES: [&str; 12] = ["ST", "TX", "FT", "NM", "SI", "DT", "TM", "DTM", "ID", "IS", "TN", "GTS"];
    schema
        .datatype(name)
        .map(|composite| composite.name)
        .or_else(|| PRIMITIVES.into_iter().find(|primitive| *primitive == name))
}

/// The components (or subcomponents) that are written, by number; a lone one is the node itself.
fn parts(tree: &Tree, node: NodeId, of: Kind) -> impl Iterator<Item = (u16, NodeId)> {
    let composed = tree.children(node).next().is_some_and(|child| tree.kind(child) == of);
    let written = tree
        .children(node)
        .filter(move |_| composed)
        .filter_map(|child| Some((u16::try_from(tree.number(child)?).ok()?, child)));
    (!composed).then_some((1, node)).into_iter().chain(written)
}

impl Checker<'_> {
    /// Judges a repetition.
    pub(super) fn value(&mut self, repetition: NodeId, by: &Checked) {
        match by.schema.shape(by.datatype) {
            Shape::Varies | Shape::Withdrawn => {}
            Shape::Primitive(primitive) => {
                for (number, component) in parts(self.tree, repetition, Kind::Component) {
                    if number == 1 {
                        self.primitive(component, primitive, by);
                    } else {
                        self.surplus(component, "no components in this data type");
                    }
                }
            }
            Shape::Composite(composite) => {
                if self.tree.value(repetition) == Value::Null && !self.tree.has_children(repetition) {
                    return;
                }
                self.components(repetition, composite, by);
                self.identifier(repetition, composite.name);
                if is_coded(composite.name) {
                    self.coded(repetition, by);
                }
            }
        }
    }

    fn components(&mut self, repetition: NodeId, composite: &'static DatatypeDef, by: &Checked) {
        for (number, component) in parts(self.tree, repetition, Kind::Component) {
            let Some(definition) = composite.component(number) else {
                self.surplus(component, "no such component in this version");
                continue;
            };
            let part = Checked { schema: by.schema, datatype: definition.datatype, table: definition.table };
            match part.schema.shape(part.datatype) {
                Shape::Varies => {}
                Shape::Withdrawn => self.surplus(component, "nothing: the component is withdrawn"),
                Shape::Primitive(primitive) => self.primitive(component, primitive, &part),
                Shape::Composite(inner) => self.subcomponents(component, inner, &part),
            }
        }
        for missing in composite.components().filter(|component| component.required()) {
            if self.tree.component(repetition, missing.number).is_none() {
                let path = format!("{}.{}", with_repetition(self.tree, repetition), missing.number);
                self.add(self.config.components, Rule::ComponentMissing, &path, || {
                    format!("{} {}", missing.datatype, missing.name)
                });
            }
        }
    }

    fn subcomponents(&mut self, component: NodeId, composite: &'static DatatypeDef, by: &Checked) {
        for (number, subcomponent) in parts(self.tree, component, Kind::Subcomponent) {
            let Some(definition) = composite.component(number) else {
                self.surplus(subcomponent, "no such subcomponent in this version");
                continue;
            };
            let part = Checked { schema: by.schema, datatype: definition.datatype, table: definition.table };
            if let Shape::Primitive(primitive) = part.schema.shape(part.datatype) {
                self.primitive(subcomponent, primitive, &part);
            }
        }
        self.identifier(component, composite.name);
    }

    fn primitive(&mut self, node: NodeId, primitive: Primitive, by: &Checked) {
        let expected = shapes::expected(primitive);
        let (level, rule) = match primitive {
            Primitive::TableCode => (self.config.tables, Rule::TableCode),
            Primitive::SiteCode => (self.config.site_tables, Rule::SiteCode),
            _ => (Level::Off, Rule::SiteCode),
        };
        if expected.is_none() && (level == Level::Off || by.table.is_none()) {
            return;
        }
        let tree = self.tree;
        let Value::Text(text) = tree.value(node) else { return };
        if let Some(expected) = expected.filter(|_| !shapes::fits(primitive, &text)) {
            let path = || tree.path(node).to_string();
            self.report.add(self.config, self.config.data_type, Rule::DataType, path, || expected.to_owned());
        }
        self.code(node, &text, by, level, rule);
    }

    /// Whether a code is in its table; not judged where the table's codes are not known or not all.
    fn code(&mut self, node: NodeId, code: &str, by: &Checked, level: Level, rule: Rule) {
        let Some(table) = by.table.and_then(|id| by.schema.table(id)) else { return };
        if level == Level::Off || table.open || table.holds(code) {
            return;
        }
        let tree = self.tree;
        let path = || tree.path(node).to_string();
        // What another version has in the table is understood.
        let mut others = Version::ALL.into_iter().filter_map(|version| Schema::version(version).table(table.id));
        let level = if others.any(|other| other.holds(code)) { level.min(Level::Warning) } else { level };
        self.report.add(self.config, level, rule, path, || format!("a code of table {} ({})", table.id, table.title));
    }

    /// A coded element whose code is of the field's own table: it names no other system.
    fn coded(&mut self, repetition: NodeId, by: &Checked) {
        if self.config.site_tables == Level::Off || by.table.is_none() {
            return;
        }
        let tree = self.tree;
        let system = tree.text(tree.component(repetition, 3));
        let own = system.as_deref().is_none_or(|system| by.table.is_some_and(|table| system.ends_with(table)));
        let Some(component) = tree.component(repetition, 1).filter(|_| own) else { return };
        let Some(code) = tree.text(component) else { return };
        self.code(component, &code, by, self.config.site_tables, Rule::SiteCode);
    }

    /// HD, EI and their like: an identifier that is said to be an OID or UUID is one.
    fn identifier(&mut self, node: NodeId, datatype: &str) {
        let (id, kind) = match datatype {
            "HD" => (2, 3),
            "EI" => (3, 4),
            _ => return,
        };
        let tree = self.tree;
        let part = |number: u16| match tree.kind(node) {
            Kind::Component => tree.subcomponent(node, number),
            _ => tree.component(node, number),
        };
        let Some(kind) = part(kind).and_then(|kind| tree.text(kind)) else { return };
        let Some(node) = part(id) else { return };
        let Some(text) = tree.text(node) else { return };
        let expected = match &*kind {
            "ISO" if !shapes::is_oid(&text) => "an object identifier, as its type says",
            "UUID" | "GUID" if !shapes::is_uuid(&text) => "a UUID, as its type says",
            _ => return,
        };
        let path = || tree.path(node).to_string();
        self.report.add(self.config, self.config.data_type, Rule::DataType, path, || expected.to_owned());
    }
}

fn is_coded(datatype: &str) -> bool {
    matches!(datatype, "CE" | "CWE" | "CNE")
}

/// The path of a repetition, its number written also where it is alone, and nothing below it.
fn with_repetition(tree: &Tree, repetition: NodeId) -> String {
    let field = if tree.kind(repetition) == Kind::Repetition { tree.parent(repetition) } else { Some(repetition) };
    let segment = field.and_then(|field| tree.parent(field));
    let (Some(field), Some(segment)) = (field, segment) else { return tree.path(repetition).to_string() };
    let number = tree.number(field).unwrap_or_default();
    format!("{}-{number}[{}]", tree.path(segment), tree.repetition_number(repetition))
}
