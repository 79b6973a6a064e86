//! Definitions as documents: StructureDefinitions, SearchParameters, CapabilityStatements and Questionnaires that contradict
//! what they are made over or themselves.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use crate::definitions::{Kind, Model, SearchType, TypeId};
use crate::fhir::document::Node;
use crate::fhirpath::Plan;
use crate::package::place::Places;

use super::facets::{list, text};
use super::finding::{Detail, IssueType, Rule};
use super::profile::definition;
use super::walk::Walk;

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Types that codes can be bound to; texts can too.
const BINDABLE: [&str; 15] = [
    "code",
    "Coding",
    "CodeableConcept",
    "Quantity",
    "SimpleQuantity",
    "Age",
    "Count",
    "Distance",
    "Duration",
    "MoneyQuantity",
    "Money",
    "string",
    "uri",
    "canonical",
    "url",
];

/// What a definition's base says of itself.
struct Base {
    type_name: String,
    kind: &'static str,
    is_abstract: bool,
}

fn kind_code(kind: Kind) -> &'static str {
    match kind {
        Kind::Resource => "resource",
        Kind::Primitive => "primitive-type",
        _ => "complex-type",
    }
}

impl<'d> Walk<'_, 'd> {
    pub(super) fn misdefined(&mut self, at: Node<'d>, says: impl Into<Box<str>>) {
        self.error(IssueType::BusinessRule, Rule::Format("definition"), at.id(), Detail::Told(says.into()));
    }

    /// The canonical that a definition gives itself is absolute.
    pub(super) fn own_canonical(&mut self, node: Node<'d>) {
        if let Some(url) = node.first("url")
            && url.text().is_some_and(|text| !text.contains(':'))
        {
            self.misdefined(url, "the canonical of a definition is absolute");
        }
    }

    fn base_of(&self, canonical: &str) -> Option<Base> {
        let plain = canonical.split('|').next().unwrap_or(canonical);
        if let Some(id) = plain.strip_prefix(CORE).and_then(|name| self.model.type_named(name)) {
            return Some(Base {
                type_name: self.model.type_name(id).to_owned(),
                kind: kind_code(self.model.kind(id)),
                is_abstract: self.model.is_abstract(id),
            });
        }
        let found = definition(self.model, &self.validator.library, canonical)?;
        let kind = match text(&found.content, "kind") {
            "resource" => "resource",
            "complex-type" => "complex-type",
            "primitive-type" => "primitive-type",
            "logical" => "logical",
            // What is compiled into the program says the type only.
            _ => self.model.type_named(text(&found.content, "type")).map_or("", |id| kind_code(self.model.kind(id))),
        };
        Some(Base {
            type_name: text(&found.content, "type").to_owned(),
            kind,
            is_abstract: found.content.get("abstract").is_some_and(|held| held == true),
        })
    }

    /// Judges a StructureDefinition as a definition.
    pub(super) fn structure(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let type_name = node.text_at("type").unwrap_or("");
        let derivation = node.text_at("derivation").unwrap_or("");
        let kind = node.text_at("kind").unwrap_or("");
        self.structure_type(node, type_name, derivation, kind);
        if node.first("baseDefinition").is_some() && derivation.is_empty() {
            self.misdefined(node, "what has a base says how it derives from it");
        }
        if let Some(base) = node.text_at("baseDefinition").and_then(|base| self.base_of(base)) {
            if !base.is_abstract && !base.kind.is_empty() && base.kind != kind {
                self.misdefined(node, format!("the kind is {kind}, that of the base is {}", base.kind));
            }
            if derivation == "constraint" && type_name != base.type_name {
                self.misdefined(node, format!("the type is {type_name}, that of the base is {}", base.type_name));
            }
            if derivation == "specialization" && type_name == base.type_name {
                self.misdefined(node, "what is derived as a specialization has a type of its own");
            }
        }
        for invariant in node.named("contextInvariant") {
            if let Some(text) = invariant.text()
                && let Err(error) = Plan::compile(&self.validator.model, text, None)
            {
                self.misdefined(invariant, format!("the expression is no FHIRPath: {}", error.fault));
            }
        }
        for context in node.named("context").filter(|context| context.text_at("type") == Some("element")) {
            let expression = context.text_at("expression").unwrap_or("");
            let first = expression.split('.').next().unwrap_or("");
            let is_type = self.model.type_named(first).is_some()
                || matches!(first, "CanonicalResource" | "MetadataResource")
                || first.contains(':');
            if !expression.is_empty() && (!is_type || matches!(place(self.model, expression), Place::Unknown)) {
                self.misdefined(context, format!("there is no element {expression}"));
            }
        }
        if type_name != "Extension" {
            for name in ["context", "contextInvariant"] {
                for one in node.named(name) {
                    self.misdefined(one, "only the definition of an extension has a context");
                }
            }
        }
        self.extension_url(node);
        let root = if type_name.contains(':') { "" } else { type_name };
        for (view, is_differential) in [("differential", true), ("snapshot", false)] {
            let elements: Vec<Node<'d>> =
                node.first(view).map(|view| view.named("element").collect()).unwrap_or_default();
            for (place, element) in elements.iter().enumerate() {
                self.element_definition(*element, root, is_differential, derivation == "constraint" && place == 0);
            }
            if is_differential && derivation == "constraint" {
                self.resliced_otherwise(node, &elements);
                self.derivation(node, &elements);
            }
            if is_differential
                && derivation == "constraint"
                && let Some(says) = unusable(self.model, &elements)
            {
                self.misdefined(node, format!("no profile can be made of the differential: {says}"));
            }
        }
    }

    fn structure_type(&mut self, node: Node<'d>, type_name: &str, derivation: &str, kind: &str) {
        let Some(at) = node.first("type").filter(|_| !type_name.is_empty()) else { return };
        let is_core = node.text_at("url").and_then(|url| url.strip_prefix(CORE)).is_some_and(|name| {
            // A data element is `de-` with its path.
            name == type_name || name.strip_prefix("de-") == Some(type_name)
        });
        if is_core {
            // FHIR's own.
            return;
        }
        let says = if type_name.contains(':') {
            if kind == "logical" {
                return;
            }
            format!("a type with a namespace is that of a logical model, the kind is {kind}")
        } else if self.model.type_named(type_name.split('.').next().unwrap_or("")).is_none() {
            format!("{type_name} is not a type of FHIR, and a type of others has a namespace")
        } else if derivation == "constraint" || type_name.contains('.') {
            return;
        } else {
            format!("{type_name} is defined by FHIR: others derive from it as a constraint")
        };
        self.misdefined(at, says);
    }

    /// An extension fixes its url to that of its definition.
    fn extension_url(&mut self, node: Node<'d>) {
        let Some(differential) = node.first("differential") else { return };
        let (Some(url), Some("Extension")) = (node.text_at("url"), node.text_at("type")) else { return };
        let held = differential.named("element").find(|element| element.text_at("path") == Some("Extension.url"));
        let fixed = held.and_then(|element| element.first("fixed"));
        let is_direct = node.text_at("baseDefinition").and_then(|base| base.strip_prefix(CORE)) == Some("Extension");
        match fixed.and_then(Node::text) {
            None if is_direct => self.misdefined(node, "the definition of an extension fixes its url"),
            Some(found) if is_direct && found != url => {
                self.misdefined(node, "the url that is fixed is not that of the definition");
            }
            // What derives from an extension is the same extension, with its url.
            Some(found) if !is_direct => {
                let base = node.text_at("baseDefinition").unwrap_or("");
                let expected = self.validator.profile(base).and_then(|base| {
                    let fixed = base.root.child("url")?.fixed.as_ref()?.as_str()?;
                    Some(fixed.to_owned())
                });
                if let (Some(expected), Some(at)) = (expected, fixed)
                    && expected != found
                {
                    self.misdefined(at, format!("the base fixes the url to {expected}"));
                }
            }
            _ => {}
        }
    }

    fn element_definition(&mut self, element: Node<'d>, root: &str, is_differential: bool, is_constraint_root: bool) {
        let Some(path) = element.text_at("path") else { return };
        if !root.is_empty() && path != root && path.strip_prefix(root).is_none_or(|rest| !rest.starts_with('.')) {
            self.misdefined(element, format!("the path does not begin with the type {root}"));
            if is_differential {
                self.misdefined(element.resource(), "the differential has elements that the base does not have");
            }
            return;
        }
        let is_root = !path.contains('.');
        if is_root && is_differential && is_constraint_root && element.first("slicing").is_some() {
            self.misdefined(element, "slicing is not allowed at the root of a profile");
            return;
        }
        let place = place(self.model, path);
        if let Place::Unknown = place
            && (!is_differential || unusable(self.model, &[element]).is_none())
        {
            self.misdefined(element, format!("there is no element {path}"));
            if is_differential {
                self.misdefined(element.resource(), "the differential has elements that the base does not have");
            }
        }
        let own: Vec<&str> = element.named("type").filter_map(|one| one.text_at("code")).collect();
        for one in element.named("type") {
            let code = one.text_at("code").unwrap_or("");
            if one.first("targetProfile").is_some() && !matches!(code, "Reference" | "canonical" | "CodeableReference")
            {
                self.misdefined(element, format!("a {code} has no target"));
                for target in one.named("targetProfile") {
                    self.misdefined(target, format!("a {code} has no target"));
                }
            }
        }
        let is_text = |code: &&str| {
            self.model.type_named(code).is_none()
                || BINDABLE.contains(code)
                || matches!(*code, "markdown" | "id" | "oid" | "uuid" | "Extension" | "Element" | "BackboneElement")
        };
        if element.first("binding").is_some() && !own.is_empty() && !own.iter().any(is_text) {
            self.misdefined(element, format!("codes cannot be bound to {}", own.join(", ")));
        }
        if let Some(slicing) = element.first("slicing") {
            self.slicing_definition(slicing, path, &place, &own);
        }
        let mut keys: FxHashMap<&str, Option<&str>> = FxHashMap::default();
        for constraint in element.named("constraint") {
            if let Some(key) = constraint.text_at("key")
                && let Some(held) = keys.insert(key, constraint.text_at("expression"))
                && held != constraint.text_at("expression")
            {
                self.misdefined(constraint, format!("another constraint of the element has the key {key}"));
            }
            if let Some(expression) = constraint.first("expression")
                && let Some(text) = expression.text()
                && let Err(error) = Plan::compile(&self.validator.model, text, None)
            {
                self.misdefined(constraint, format!("the expression is no FHIRPath: {}", error.fault));
            }
        }
    }

    fn slicing_definition(&mut self, slicing: Node<'d>, path: &str, place: &Place, own: &[&str]) {
        let Place::Known { types, repeats } = place else { return };
        if !repeats && !path.ends_with("[x]") && !types.iter().any(|id| self.model.kind(*id) == Kind::Resource) {
            self.misdefined(slicing, "an element that neither repeats nor is a choice has no slices");
            self.misdefined(slicing.resource(), format!("no profile can be made: {path} has no slices"));
        }
        let narrowed: Vec<TypeId> = own.iter().filter_map(|code| self.model.type_named(code)).collect();
        let types = if narrowed.is_empty() { types } else { &narrowed };
        for discriminator in slicing.named("discriminator") {
            let Some(text) = discriminator.text_at("path") else { continue };
            let is_valid = |id: &TypeId| {
                // Below what may be anything, anything may stand.
                self.model.is_abstract(*id)
                    || self.model.kind(*id) == Kind::Resource
                    || Plan::compile(&self.validator.model, text, Some(*id)).is_ok()
            };
            if !types.is_empty() && !types.iter().any(is_valid) {
                self.misdefined(discriminator, format!("{text} is not an element of {path}"));
            }
        }
    }

    /// Where slices are laid over an element that the base slices already, they are told apart as the base tells them.
    fn resliced_otherwise(&mut self, node: Node<'d>, elements: &[Node<'d>]) {
        let base = node.text_at("baseDefinition").and_then(|base| self.validator.profile(base));
        let mut places = Places::default();
        let mut seen: FxHashSet<Vec<String>> = FxHashSet::default();
        for element in elements {
            let Ok(definition) = serde_json::from_str::<Value>(element.raw()) else { continue };
            let steps = places.next_place(&definition);
            let Some((last, before)) = steps.split_last() else { continue };
            let mut place: Vec<String> = before.iter().map(|step| format!("{}:{}", step.name, step.slice)).collect();
            place.push(last.name.clone());
            let own = definition.get("slicing").map(discriminators).filter(|own| !own.is_empty());
            if !seen.insert(place) || last.slice.is_empty() {
                continue;
            }
            let Some(own) = own else { continue };
            let mut rules = base.as_deref().map(|base| &base.root);
            for step in steps.iter().skip(1) {
                rules = rules.and_then(|rules| rules.child(step.name.trim_end_matches("[x]")));
            }
            let held: Vec<(String, String)> = match rules.and_then(|rules| rules.slicing.as_ref()) {
                Some(slicing) => slicing.told_by(),
                None if matches!(last.name.as_str(), "extension" | "modifierExtension") => {
                    vec![("value".to_owned(), "url".to_owned())]
                }
                None => continue,
            };
            if held != own {
                let says = format!("{} is sliced otherwise by the base, which cannot be changed", last.name);
                self.misdefined(node, says);
            }
        }
    }

    /// Judges a SearchParameter as a definition.
    pub(super) fn search_parameter(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let bases: Vec<&str> = node.named("base").filter_map(Node::text).collect();
        if let Some(expression) = node.first("expression")
            && let Some(text) = expression.text()
        {
            if let Err(error) = Plan::compile(&self.validator.model, text, None) {
                self.misdefined(expression, format!("the expression is no FHIRPath: {}", error.fault));
            } else if let Some(wrong) = foreign_start(self.model, text, &bases) {
                self.misdefined(
                    expression,
                    format!("the expression starts from {wrong}, which is not among the bases"),
                );
            } else if let Some(wrong) = unknown_path(self.model, text) {
                self.misdefined(expression, format!("there is no element {wrong}"));
            }
        }
        if node.text_at("type") == Some("composite") && node.named("component").count() < 2 {
            self.misdefined(node, "a composite parameter has two components or more");
        }
        let Some(master) = node.text_at("derivedFrom") else { return };
        let Some((kind, of)) = self.parameter(master) else { return };
        for base in &bases {
            if !of.iter().any(|held| held == base || held == "Resource" || held == "DomainResource") {
                self.misdefined(node, format!("the parameter that this is derived from is not for {base}"));
            }
        }
        if node.text_at("type").is_some_and(|held| held != kind) {
            self.misdefined(node, format!("the parameter that this is derived from is of the type {kind}"));
        }
    }

    /// The type and the bases of a search parameter that is at hand.
    fn parameter(&self, canonical: &str) -> Option<(String, Vec<String>)> {
        if let Some(found) = self.validator.library.find("SearchParameter", canonical) {
            let bases =
                list(&found.content, "base").iter().filter_map(|base| base.as_str().map(str::to_owned)).collect();
            return Some((text(&found.content, "type").to_owned(), bases));
        }
        let of_core = self.validator.parameters.get_or_init(|| {
            let mut held: FxHashMap<Box<str>, (String, Vec<String>)> = FxHashMap::default();
            for parameter in self.model.all_search_parameters() {
                let (_, bases) = held
                    .entry(Box::from(parameter.url()))
                    .or_insert_with(|| (search_code(parameter.kind()).to_owned(), Vec::new()));
                bases.push(parameter.base().to_owned());
            }
            held
        });
        of_core.get(canonical).cloned()
    }

    /// The search parameters that a CapabilityStatement names are of the types that it says.
    pub(super) fn capability(&mut self, node: Node<'d>) {
        for rest in node.named("rest") {
            for resource in rest.named("resource") {
                for parameter in resource.named("searchParam") {
                    let (Some(canonical), Some(said)) = (parameter.text_at("definition"), parameter.text_at("type"))
                    else {
                        continue;
                    };
                    if let Some((kind, _)) = self.parameter(canonical)
                        && kind != said
                    {
                        self.misdefined(parameter, format!("the parameter is of the type {kind}, not {said}"));
                    }
                }
            }
        }
    }

    /// The conditions of a Questionnaire's items are on other items of it.
    pub(super) fn questionnaire(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let mut items: Vec<Node<'d>> = Vec::new();
        let mut open: Vec<Node<'d>> = node.named("item").collect();
        while let Some(item) = open.pop() {
            items.push(item);
            open.extend(item.named("item"));
        }
        let by_link: rustc_hash::FxHashMap<&str, Node<'d>> =
            items.iter().filter_map(|item| Some((item.text_at("linkId")?, *item))).collect();
        for item in &items {
            for condition in item.named("enableWhen") {
                let Some(link) = condition.text_at("question") else { continue };
                let says = match by_link.get(link) {
                    None => "the item of the condition is not in this questionnaire",
                    Some(found) if found == item => "the condition is on the item itself",
                    Some(found) if is_within(*found, *item) => "the condition is on an item within",
                    Some(_) => continue,
                };
                self.misdefined(*item, says);
            }
        }
    }
}

/// Why a differential cannot be applied to its base at all.
fn unusable(model: &Model, elements: &[Node<'_>]) -> Option<String> {
    elements.iter().find_map(|element| {
        let path = element.text_at("path")?;
        let slicing = element.first("slicing");
        if !path.contains('.') && slicing.is_some() {
            return Some("it has slicing at its root".to_owned());
        }
        let kinds = slicing.into_iter().flat_map(|slicing| slicing.named("discriminator"));
        for kind in kinds.filter_map(|discriminator| discriminator.text_at("type")) {
            if !matches!(kind, "value" | "exists" | "pattern" | "type" | "profile") {
                return Some(format!("{kind} is not a kind of discriminator"));
            }
        }
        let (before, name) = path.rsplit_once('.')?;
        if let Place::Known { types, .. } = place(model, before)
            && let [of] = types.as_slice()
            && let Place::Unknown = place(model, path)
        {
            let choice = model.elements(*of).find(|one| {
                one.is_choice()
                    && name.strip_prefix(one.name()).is_some_and(|rest| rest.starts_with(char::is_uppercase))
            })?;
            return Some(format!("{}[x] does not have the type that {name} says", choice.name()));
        }
        None
    })
}

/// Kind and path of what tells slices apart.
fn discriminators(slicing: &Value) -> Vec<(String, String)> {
    list(slicing, "discriminator")
        .iter()
        .map(|one| (text(one, "type").to_owned(), text(one, "path").to_owned()))
        .collect()
}

fn is_within(node: Node<'_>, holder: Node<'_>) -> bool {
    let mut at = node.parent();
    while let Some(found) = at {
        if found == holder {
            return true;
        }
        at = found.parent();
    }
    false
}

const fn search_code(kind: SearchType) -> &'static str {
    match kind {
        SearchType::Number => "number",
        SearchType::Date => "date",
        SearchType::String => "string",
        SearchType::Token => "token",
        SearchType::Reference => "reference",
        SearchType::Composite => "composite",
        SearchType::Quantity => "quantity",
        SearchType::Uri => "uri",
        SearchType::Special => "special",
    }
}

/// The resource type that a part of a search expression starts from though it is none of the bases.
fn foreign_start<'t>(model: &Model, expression: &'t str, bases: &[&str]) -> Option<&'t str> {
    if bases.is_empty() || bases.iter().any(|base| matches!(*base, "Resource" | "DomainResource")) {
        return None;
    }
    expression.split('|').find_map(|part| {
        let part = part.trim().trim_start_matches('(').trim();
        let end = part.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(part.len());
        let name = part.get(..end)?;
        let id = model.type_named(name).filter(|id| model.kind(*id) == Kind::Resource && !model.is_abstract(*id))?;
        (!bases.contains(&model.type_name(id))).then_some(name)
    })
}

/// A plain path (`Patient.name.family`) of a search expression that leads nowhere.
fn unknown_path<'t>(model: &Model, expression: &'t str) -> Option<&'t str> {
    expression.split('|').map(str::trim).find(|part| {
        let is_plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        is_plain && matches!(place(model, part), Place::Unknown)
    })
}

/// What the core says of a path of an ElementDefinition.
enum Place {
    Known {
        types: Vec<TypeId>,
        repeats: bool,
    },
    /// The path goes through a choice or a resource, or begins with a type that is not of the core.
    Open,
    Unknown,
}

fn place(model: &Model, path: &str) -> Place {
    let mut steps = path.split('.');
    let Some(mut of) = steps.next().and_then(|name| model.type_named(name)) else { return Place::Open };
    let mut answer = Place::Known { types: vec![of], repeats: false };
    for step in steps {
        match &answer {
            Place::Known { types, .. } => match types.as_slice() {
                [one] if model.kind(*one) != Kind::Primitive && !model.is_abstract(*one) => of = *one,
                [one] if model.kind(*one) == Kind::Primitive && matches!(step, "id" | "extension" | "value") => {
                    return Place::Open;
                }
                [one] if model.kind(*one) == Kind::Primitive => return Place::Unknown,
                _ => return Place::Open,
            },
            _ => return answer,
        }
        let plain = step.strip_suffix("[x]").unwrap_or(step);
        if let Some(element) = model.element_named(of, plain) {
            let types = element.types().map(|choice| choice.type_id()).collect();
            answer = Place::Known { types, repeats: element.max() != Some(1) };
        } else if let Some(found) = model.child(of, model.symbol(plain)) {
            answer = Place::Known { types: vec![found.type_id], repeats: false };
        } else {
            return Place::Unknown;
        }
    }
    answer
}
