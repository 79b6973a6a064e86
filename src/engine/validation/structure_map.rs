//! StructureMaps as documents: what their rules start from and write to is known, has the elements that they name, and the
//! groups that they call are there (<http://hl7.org/fhir/R4/structuremap.html>).

use rustc_hash::FxHashMap;

use crate::definitions::{Kind, TypeId};
use crate::fhir::document::Node;

use super::walk::Walk;

/// What a name stands for within a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Variable {
    is_source: bool,
    /// Nothing where it cannot be told.
    type_id: Option<TypeId>,
}

type Variables<'d> = FxHashMap<&'d str, Variable>;

/// The map around a rule.
struct Map<'d> {
    /// Groups by name, with the number of their inputs.
    groups: FxHashMap<&'d str, usize>,
    /// The types that it calls by other names.
    aliases: FxHashMap<&'d str, &'d str>,
    /// Whether other maps may have groups as well.
    has_imports: bool,
}

impl<'d> Walk<'_, 'd> {
    pub(super) fn structure_map(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let has_imports = node.first("import").is_some();
        let groups = node
            .named("group")
            .filter_map(|group| Some((group.text_at("name")?, group.named("input").count())))
            .collect();
        let aliases = node
            .named("structure")
            .filter_map(|structure| Some((structure.text_at("alias")?, structure.text_at("url")?)))
            .collect();
        let map = Map { groups, aliases, has_imports };
        for group in node.named("group") {
            let mut variables = Variables::default();
            for input in group.named("input") {
                let type_id = input.text_at("type").and_then(|name| self.input_type(&map, input, name));
                if let Some(name) = input.text_at("name") {
                    variables.insert(name, Variable { is_source: input.text_at("mode") == Some("source"), type_id });
                }
            }
            for rule in group.named("rule") {
                self.map_rule(&map, rule, &mut variables);
            }
        }
    }

    fn input_type(&mut self, map: &Map<'d>, input: Node<'d>, name: &str) -> Option<TypeId> {
        if let Some(url) = map.aliases.get(name) {
            let name = url.strip_prefix("http://hl7.org/fhir/StructureDefinition/")?;
            return self.model.type_named(name);
        }
        let found = self.model.type_named(name);
        if found.is_none() && map.aliases.is_empty() && !map.has_imports && !name.contains(['/', ':']) {
            self.misdefined(input, format!("the type {name} is not known"));
        }
        found
    }

    /// Judges a rule and those within it, which know what it names.
    fn map_rule(&mut self, map: &Map<'d>, rule: Node<'d>, known: &mut Variables<'d>) {
        // What it names is known within it only.
        let mut outer: Vec<(&'d str, Option<Variable>)> = Vec::new();
        for source in rule.named("source") {
            let Some(context) = source.text_at("context") else { continue };
            let Some(held) = known.get(context).filter(|held| held.is_source).copied() else {
                self.misdefined(source, format!("the source {context} is not known here"));
                continue;
            };
            let mut type_id = held.type_id;
            if let Some(element) = source.text_at("element") {
                type_id = held.type_id.and_then(|of| self.mapped_element(source, of, element));
            }
            if let Some(name) = source.text_at("type") {
                type_id = self.model.type_named(name);
            }
            if let Some(variable) = source.text_at("variable") {
                outer.push((variable, known.insert(variable, Variable { is_source: true, type_id })));
            }
        }
        for target in rule.named("target") {
            let mut type_id = None;
            if let Some(context) = target.text_at("context").filter(|_| target.text_at("contextType") != Some("type")) {
                match known.get(context).filter(|held| !held.is_source).copied() {
                    Some(held) => {
                        if let (Some(of), Some(element)) = (held.type_id, target.text_at("element")) {
                            type_id = self.mapped_element(target, of, element);
                        }
                    }
                    None => self.misdefined(target, format!("the target {context} is not known here")),
                }
            }
            if target.text_at("transform") == Some("create") {
                let created = target.at("parameter").and_then(|parameter| parameter.text_at("value"));
                type_id = created.map_or(type_id, |name| self.model.type_named(name));
            }
            if let Some(variable) = target.text_at("variable") {
                outer.push((variable, known.insert(variable, Variable { is_source: false, type_id })));
            }
        }
        for inner in rule.named("rule") {
            self.map_rule(map, inner, known);
        }
        for dependent in rule.named("dependent") {
            let Some(name) = dependent.text_at("name") else { continue };
            let given = dependent.named("variable").count();
            match map.groups.get(name) {
                Some(inputs) if *inputs != given => {
                    self.misdefined(dependent, format!("the group {name} takes {inputs} variables, found {given}"));
                }
                None if !map.has_imports => self.misdefined(dependent, format!("the map has no group {name}")),
                _ => {}
            }
            for variable in dependent.named("variable") {
                if variable.text().is_some_and(|text| !known.contains_key(text)) {
                    self.misdefined(variable, "this variable is not known here");
                }
            }
        }
        for (name, held) in outer.into_iter().rev() {
            match held {
                Some(held) => known.insert(name, held),
                None => known.remove(name),
            };
        }
    }

    /// The type of an element, where it has one only and that tells its elements; one that the type does not have is told.
    fn mapped_element(&mut self, at: Node<'d>, of: TypeId, name: &str) -> Option<TypeId> {
        let is_open = self.model.is_abstract(of) || matches!(self.model.type_name(of), "Element" | "BackboneElement");
        if is_open {
            return None;
        }
        let plain = name.strip_suffix("[x]").unwrap_or(name);
        if let Some(element) = self.model.element_named(of, plain) {
            let mut types = element.types();
            let first = types.next()?.type_id();
            return types.next().is_none().then_some(first);
        }
        if !(self.model.kind(of) == Kind::Primitive && plain == "value") {
            self.misdefined(at, format!("{} has no element {name}", self.model.type_name(of)));
        }
        None
    }
}
