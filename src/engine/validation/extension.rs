//! Extensions: known, in their place, and by their definitions.

use crate::fhir::document::Node;
use crate::fhirpath::{Context, Value, root_of};

use super::finding::{Detail, IssueType, Rule};
use super::invariant::Above;
use super::profile::{Profile, Rules};
use super::walk::Walk;

impl<'d> Walk<'_, 'd> {
    pub(super) fn extension(&mut self, node: Node<'d>) {
        let Some(url_node) = node.child(self.validator.names.url).next() else {
            let says = Detail::Says("an extension without a url cannot be told from others");
            self.error(IssueType::Required, Rule::Format("extension-url"), node.id(), says);
            return;
        };
        let Some(url) = url_node.text() else { return };
        let is_modifier = node.element_name() == "modifierExtension";
        // The parts of a complex extension have relative urls, which its definition knows.
        let is_part = !url.contains(':') && node.parent().is_some_and(|parent| parent.type_name() == "Extension");
        if is_part {
            self.part_known(node, url);
            return;
        }
        if !url.contains(':') {
            let says = Detail::Says("the url of an extension is absolute");
            self.error(IssueType::Value, Rule::Format("extension-url"), node.id(), says);
            return;
        }
        if url.contains('|') {
            self.error(
                IssueType::Value,
                Rule::Format("extension-url"),
                url_node.id(),
                Detail::Says("the url of an extension has no version"),
            );
            return;
        }
        let Some(profile) =
            self.validator.profile(url).filter(|profile| self.model.type_name(profile.type_id) == "Extension")
        else {
            let detail = Detail::UnknownExtension { url: Box::from(url) };
            let rule = Rule::Format("extension-known");
            if (is_modifier && !is_of_version(url))
                || (is_core(url) && !UNDEFINED.iter().any(|name| url.ends_with(name)))
            {
                self.error(IssueType::Extension, rule, node.id(), detail);
            } else if !self.told_systems.contains(url) {
                self.told_systems.insert(Box::from(url));
                self.warning(IssueType::NotFound, rule, node.id(), detail);
            }
            return;
        };
        if profile.is_modifier != is_modifier {
            let says = if is_modifier {
                "an extension that does not modify stands as a modifierExtension"
            } else {
                "an extension that modifies its element stands as a modifierExtension"
            };
            self.error(IssueType::Extension, Rule::Profile(profile.name.clone()), node.id(), Detail::Says(says));
        }
        if !profile.contexts.is_empty() && !self.in_context(node, url, &profile.contexts) {
            let places: Vec<&str> = profile.contexts.iter().map(|(_, expression)| expression.as_str()).collect();
            let detail = Detail::Told(format!("the extension {url} may stand on {}", places.join(", ")).into());
            // It is the holder that has what it may not have.
            let holder = node.parent().unwrap_or(node);
            self.error(IssueType::Extension, Rule::Profile(profile.name.clone()), holder.id(), detail);
        } else if let Some(holder) = node.parent() {
            self.context_invariants(holder, &profile);
        }
        self.profile(node, &profile);
    }

    /// A part of a complex extension is one that its definition has.
    fn part_known(&mut self, node: Node<'d>, url: &str) {
        let Some(of) = node.parent().and_then(|parent| parent.text_at("url")).filter(|of| of.contains(':')) else {
            return;
        };
        let Some(profile) = self.validator.profile(of) else { return };
        // Where nothing is said of parts, an extension that has a value has none.
        let has_value = profile.root.child("value").is_some_and(|value| value.max != Some(0));
        let parts = profile.root.child("extension").filter(|parts| parts.max == Some(0) || !parts.slices.is_empty());
        if parts.is_none() && !has_value {
            return;
        }
        let is_fixed = |rules: &Rules| {
            rules.child("url").and_then(|held| held.fixed.as_ref()).is_some_and(|fixed| fixed.as_str() == Some(url))
        };
        let mut slices = parts.into_iter().flat_map(|parts| parts.slices.iter());
        if !slices.any(|slice| is_fixed(&slice.rules) || *slice.name == *url) {
            let detail = Detail::Told(format!("the extension {of} has no part {url}").into());
            self.error(IssueType::Extension, Rule::Profile(profile.name.clone()), node.id(), detail);
        }
    }

    /// What an extension's definition asks of the element that has it.
    fn context_invariants(&mut self, holder: Node<'d>, profile: &Profile) {
        for invariant in &profile.context_invariants {
            let Some(plan) = self.validator.compiled.plan(&self.validator.model, invariant) else { continue };
            let host = Above { validator: self.validator, under_way: &self.under_way, judged: &self.judged };
            let context = Context {
                resource: Some(holder.resource()),
                root_resource: Some(root_of(holder.resource())),
                now: self.validator.now(&plan),
                host: &host,
                ..Context::of(holder)
            };
            if plan.holds(&context) == Ok(Some(false)) {
                let detail = Detail::Told(format!("the extension may stand only where this holds: {invariant}").into());
                self.error(IssueType::Extension, Rule::Profile(profile.name.clone()), holder.id(), detail);
            }
        }
    }

    fn in_context(&self, node: Node<'d>, url: &str, contexts: &[(String, String)]) -> bool {
        let Some(holder) = node.parent() else { return true };
        let own = holder.type_name();
        if contexts.iter().any(|(kind, place)| kind == "element" && (place == own || place == "Element")) {
            return true;
        }
        let url = url.strip_prefix("http://hl7.org/fhir/StructureDefinition/");
        if ERRATA.iter().any(|(name, place)| url == Some(name) && self.is_element(holder, place)) {
            return true;
        }
        contexts.iter().any(|(kind, expression)| match kind.as_str() {
            "extension" => holder.type_name() == "Extension" && holder.text_at("url") == Some(expression),
            "element" => self.is_element(holder, expression),
            // A FHIRPath context gives the elements of the resource on which the extension may stand.
            _ => self.is_found(holder, expression),
        })
    }

    fn is_found(&self, holder: Node<'d>, expression: &str) -> bool {
        let expression = std::sync::Arc::from(expression);
        let Some(plan) = self.validator.compiled.plan(&self.validator.model, &expression) else { return true };
        let context = Context { now: self.validator.now(&plan), ..Context::of(holder.resource()) };
        let found = plan.evaluate(&context);
        found.map_or(true, |found| found.iter().any(|one| matches!(one, Value::Node(node) if *node == holder)))
    }

    /// Whether a node is what an element context names: a type (`Patient`, `Element`), or a path from one
    /// (`Patient.name`, `DomainResource.text`).
    fn is_element(&self, holder: Node<'d>, expression: &str) -> bool {
        if expression == "Element" {
            // Published definitions mean resources too by it.
            return true;
        }
        // An element may be named with the definition that it is of: `[url]#[element id]`, slices by `:name`.
        let expression = match expression.split_once('#') {
            Some((url, id)) if url.contains(':') => id,
            _ => expression,
        };
        let of_slices = |step: &str| step.split(':').next().unwrap_or(step).to_owned();
        let plain = expression.replace("[x]", "").split('.').map(of_slices).collect::<Vec<_>>().join(".");
        let mut below = String::new();
        let mut at = holder;
        loop {
            let mut type_id = at.type_id();
            while let Some(held) = type_id {
                let name = self.model.type_name(held);
                if plain.strip_prefix(name) == Some(&below) {
                    return true;
                }
                type_id = self.model.base(held);
            }
            let is_canonical = matches!(plain.as_str(), "CanonicalResource" | "MetadataResource");
            if below.is_empty()
                && is_canonical
                && at.is_resource()
                && at.type_id().is_some_and(|held| self.model.element_named(held, "url").is_some())
            {
                return true;
            }
            if at.is_resource() {
                return false;
            }
            below = format!(".{}{below}", at.element_name());
            let Some(parent) = at.parent() else { return false };
            at = parent;
        }
    }
}

/// Places where R4's own definitions have an extension though its definition does not say so, and extensions of R4's
/// namespace that R4 uses and does not define.
const ERRATA: [(&str, &str); 5] = [
    ("structuredefinition-fhir-type", "ElementDefinition.type"),
    ("regex", "ElementDefinition.type"),
    ("translation", "ValueSet.expansion.contains"),
    ("structuredefinition-normative-version", "Element"),
    ("valueset-concept-comments", "CodeSystem.concept"),
];
const UNDEFINED: [&str; 2] = ["valueset-definition", "questionnaire-allowedResource"];

/// Whether an extension stands for an element of another FHIR version, which needs no definition of its own.
fn is_of_version(url: &str) -> bool {
    let said =
        url.strip_prefix("http://hl7.org/fhir/").and_then(|rest| rest.split_once("/StructureDefinition/extension-"));
    said.is_some_and(|(version, path)| ["1.0", "3.0", "4.0", "4.3", "5.0"].contains(&version) && path.contains('.'))
}

/// Whether a url is in the namespace of FHIR, where every extension is published: by FHIR itself or by a guide of HL7, whose
/// package is then to be at hand. Those of other versions of FHIR need none.
fn is_core(url: &str) -> bool {
    url.starts_with("http://hl7.org/fhir/") && !is_of_version(url)
}
