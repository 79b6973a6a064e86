//! Canonicals: absolute, or to what is contained, and to a definition of the kind that the element is for
//! (<http://hl7.org/fhir/R4/references.html#canonical>).

use crate::definitions::TypeId;
use crate::fhir::document::Node;

use super::finding::{Detail, IssueType, Rule};
use super::profile::definition;
use super::walk::Walk;

/// Definitions that packages bring beside StructureDefinitions, ValueSets and CodeSystems.
const OTHERS: [&str; 11] = [
    "SearchParameter",
    "OperationDefinition",
    "Questionnaire",
    "Measure",
    "Library",
    "PlanDefinition",
    "ActivityDefinition",
    "ConceptMap",
    "StructureMap",
    "CapabilityStatement",
    "ImplementationGuide",
];

impl<'d> Walk<'_, 'd> {
    /// Judges a canonical; `targets` are the types that it may be to, none for any.
    pub(super) fn canonical(&mut self, node: Node<'d>, text: &str, targets: &[TypeId]) {
        let wrong = |text: String| Detail::Told(text.into());
        if let Some(id) = text.strip_prefix('#') {
            if !self.is_within(node, id) {
                let says = wrong("the canonical is to a contained resource that is not there".to_owned());
                self.error(IssueType::NotFound, Rule::Format("canonical"), node.id(), says);
            }
        } else if !text.contains(':') {
            let says =
                wrong("a canonical is absolute, or begins with # where it is to a contained resource".to_owned());
            self.error(IssueType::Value, Rule::Format("canonical"), node.id(), says);
        } else if let Some(found) = self.other_kind(text, targets) {
            let names: Vec<&str> = targets.iter().map(|id| self.model.type_name(*id)).collect();
            let says = wrong(format!("the canonical is of a {found}, expected one of a {}", names.join(" or ")));
            self.error(IssueType::Value, Rule::Format("canonical-type"), node.id(), says);
        }
    }

    /// Whether the resource around a node that contains others has one of this id, or has it itself.
    fn is_within(&mut self, node: Node<'d>, id: &str) -> bool {
        let container = self.container().unwrap_or(node.resource());
        id.is_empty() || container.text_at("id") == Some(id) || self.contained_in(container, id).is_some()
    }

    /// The kind of definition that a canonical is of, where it is none of those wanted.
    fn other_kind(&self, canonical: &str, targets: &[TypeId]) -> Option<&'static str> {
        if targets.is_empty() {
            return None;
        }
        let plain = canonical.split('|').next().unwrap_or(canonical);
        let is_wanted = |kind: &str| targets.iter().any(|id| self.model.type_name(*id) == kind);
        let is_there = |kind: &str| match kind {
            "ValueSet" => self.validator.terminology.has_value_set(plain),
            "CodeSystem" => self.validator.terminology.has_code_system(plain),
            "StructureDefinition" => {
                let core = plain.strip_prefix("http://hl7.org/fhir/StructureDefinition/");
                core.is_some_and(|name| self.model.type_named(name).is_some())
                    || definition(self.model, &self.validator.library, plain).is_some()
            }
            _ => self.validator.library.find(kind, plain).is_some(),
        };
        let kinds = || ["ValueSet", "CodeSystem", "StructureDefinition"].into_iter().chain(OTHERS);
        let found = kinds().find(|kind| !is_wanted(kind) && is_there(kind))?;
        (!kinds().any(|kind| is_wanted(kind) && is_there(kind))).then_some(found)
    }
}
