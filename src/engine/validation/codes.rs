//! CodeSystems, ValueSets and ConceptMaps as documents: codes that are there twice or that their system does not have, totals
//! that are not so, properties that are not defined, systems that are none.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::fhir::document::Node;
use crate::terminology::{Known, Membership};

use super::walk::Walk;

/// Where FHIR defines properties of concepts, and their types
/// (<http://hl7.org/fhir/R4/codesystem.html#defined-props>, with those added since).
const PROPERTIES: &str = "http://hl7.org/fhir/concept-properties#";
const PROPERTY_TYPES: [(&str, &str); 12] = [
    ("parent", "code"),
    ("child", "code"),
    ("partOf", "code"),
    ("synonym", "code"),
    ("status", "code"),
    ("inactive", "boolean"),
    ("notSelectable", "boolean"),
    ("deprecated", "dateTime"),
    ("deprecationDate", "dateTime"),
    ("retirementDate", "dateTime"),
    ("effectiveDate", "dateTime"),
    ("comment", "string"),
];

/// Filters whose value is a code of the system.
const OF_CODES: [&str; 5] = ["is-a", "descendent-of", "is-not-a", "generalizes", "="];

impl<'d> Walk<'_, 'd> {
    /// Judges a CodeSystem as a definition (<http://hl7.org/fhir/R4/codesystem.html>).
    pub(super) fn code_system(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let content = node.text_at("content");
        let properties = self.properties(node);
        let supplemented = (content == Some("supplement")).then(|| node.text_at("supplements")).flatten();
        let mut relations: Vec<Node<'d>> = Vec::new();
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        let mut open: Vec<Node<'d>> = node.named("concept").collect();
        open.reverse();
        let first = open.last().copied();
        let mut count: u64 = 0;
        while let Some(concept) = open.pop() {
            count += 1;
            if let Some(code) = concept.text_at("code")
                && !seen.insert(code)
            {
                self.misdefined(concept, format!("the code {code} is there already"));
            }
            if let (Some(system), Some(code)) = (supplemented, concept.text_at("code"))
                && self.validator.terminology().code(system, code) == Known::NoCode
            {
                self.misdefined(concept, format!("the code system that is supplemented has no code {code}"));
            }
            self.concept_properties(concept, &properties, &mut relations);
            let mut within: Vec<Node<'d>> = concept.named("concept").collect();
            within.reverse();
            open.extend(within);
        }
        for relation in relations {
            let of = relation.text_at("value").filter(|of| content == Some("complete") && !seen.contains(of));
            if let Some(of) = of {
                self.misdefined(relation, format!("the code system has no code {of}"));
            }
        }
        if let (Some("complete"), Some(said)) = (content, node.first("count"))
            && said.text().and_then(|said| said.parse().ok()).is_some_and(|said: u64| said != count)
        {
            self.misdefined(said, format!("the code system is complete and has {count} concepts"));
        }
        if let (Some("not-present"), Some(first)) = (content, first) {
            self.misdefined(first, "the code system says that its concepts are not here");
        }
        if let Some(at) = node.first("content") {
            match (content == Some("supplement"), node.first("supplements").is_some()) {
                (true, false) => self.misdefined(at, "a supplement says which code system it is of"),
                (false, true) => self.misdefined(at, "what supplements a code system is a supplement"),
                _ => {}
            }
        }
    }

    /// The properties that a CodeSystem defines, by code: their types, and whether they are relations between its codes.
    fn properties(&mut self, node: Node<'d>) -> FxHashMap<&'d str, (&'d str, bool)> {
        let mut properties = FxHashMap::default();
        for property in node.named("property") {
            let (Some(code), Some(kind)) = (property.text_at("code"), property.text_at("type")) else { continue };
            let uri = property.text_at("uri").unwrap_or("");
            if let Some(name) = uri.strip_prefix(PROPERTIES) {
                match PROPERTY_TYPES.iter().find(|(known, _)| *known == name) {
                    None if name == "itemWeight" && kind == "decimal" => {}
                    None => self.misdefined(property, format!("FHIR defines no property {name}")),
                    Some((_, of)) if *of != kind => {
                        self.misdefined(property, format!("the property {name} is of type {of}, found {kind}"));
                    }
                    Some(_) => {}
                }
            }
            let is_relation = matches!(uri.strip_prefix(PROPERTIES).unwrap_or(code), "parent" | "child" | "partOf");
            if properties.insert(code, (kind, is_relation && kind == "code")).is_some() {
                self.misdefined(property, format!("the property {code} is defined already"));
            }
        }
        properties
    }

    /// What a concept says is of the properties that its code system defines. A supplement may say what its base defines.
    fn concept_properties(
        &mut self,
        concept: Node<'d>,
        properties: &FxHashMap<&'d str, (&'d str, bool)>,
        relations: &mut Vec<Node<'d>>,
    ) {
        for property in concept.named("property") {
            let Some(code) = property.text_at("code") else { continue };
            let Some((kind, is_relation)) = properties.get(code) else {
                if concept.resource().text_at("content") != Some("supplement") {
                    self.misdefined(property, format!("the code system defines no property {code}"));
                }
                continue;
            };
            let found = property.first("value").map(Node::type_name);
            if let Some(found) = found.filter(|found| found != kind) {
                self.misdefined(property, format!("the property {code} is of type {kind}, found {found}"));
            } else if *is_relation {
                relations.push(property);
            }
        }
    }

    /// Judges a ConceptMap as a definition: what it maps are codes of the systems and value sets that it names
    /// (<http://hl7.org/fhir/R4/conceptmap.html>).
    pub(super) fn concept_map(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let (source_set, target_set) = (node.text_at("source"), node.text_at("target"));
        for group in node.named("group") {
            let (source, target) = (group.text_at("source"), group.text_at("target"));
            for element in group.named("element") {
                self.mapped(element, source, source_set);
                for one in element.named("target") {
                    self.mapped(one, target, target_set);
                }
            }
        }
    }

    fn mapped(&mut self, at: Node<'d>, system: Option<&str>, value_set: Option<&str>) {
        let (Some(system), Some(node)) = (system, at.first("code")) else { return };
        let Some(code) = node.text() else { return };
        let terminology = self.validator.terminology();
        if !super::coding::is_growing(system) && terminology.code(system, code) == Known::NoCode {
            self.misdefined(node, format!("the code system {system} has no code {code}"));
        } else if let Some(set) = value_set.filter(|set| terminology.has_value_set(set))
            && terminology.contains(set, Some(system), code) == Membership::Out
        {
            self.misdefined(node, format!("the code {system}#{code} is not in the value set {set}"));
        }
    }

    /// Judges a ValueSet as a definition (<http://hl7.org/fhir/R4/valueset.html>).
    pub(super) fn value_set(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let Some(compose) = node.first("compose") else { return };
        for part in compose.named("include").chain(compose.named("exclude")) {
            let Some(system) = part.text_at("system") else { continue };
            if system.starts_with('#') {
                self.misdefined(part, "a code system that is contained is named by its URL");
            } else if !system.contains(':') {
                self.misdefined(part, "the code system is named by an absolute URI");
            } else if system.contains('|') {
                self.misdefined(part, "the version of a code system stands in version");
            } else if self.validator.terminology().code(system, "") == Known::NoSystem
                && self.validator.terminology().value_set(system).is_some()
            {
                self.misdefined(part, format!("{system} is a value set, not a code system"));
            }
            for filter in part.named("filter") {
                let is_code = matches!(filter.text_at("property"), Some("concept" | "code"))
                    && filter.text_at("op").is_some_and(|op| OF_CODES.contains(&op));
                if let Some(code) = filter.text_at("value").filter(|_| is_code)
                    && !super::coding::is_growing(system)
                    && self.validator.terminology().code(system, code) == Known::NoCode
                {
                    self.misdefined(filter, format!("the code system {system} has no code {code}"));
                }
            }
        }
    }
}
