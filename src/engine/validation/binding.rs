//! Codes against the value sets they are bound to.

use std::sync::Arc;

use crate::definitions::{Strength, TypeId};
use crate::fhir::document::Node;
use crate::terminology::{Membership, Set};

use super::finding::{Detail, Finding, IssueType, Rule, Severity};
use super::plan::{Binding, ElementPlan};
use super::walk::Walk;

/// Whether a coded value is in a value set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within<'d> {
    Yes,
    No {
        system: Option<&'d str>,
        code: &'d str,
    },
    /// It cannot be decided.
    Unknown,
    /// The value has no code.
    NoCode,
}

/// Whether a primitive type can be bound to a value set.
fn is_bindable(type_name: &str) -> bool {
    matches!(type_name, "code" | "string" | "markdown" | "id" | "uri" | "url" | "canonical" | "oid" | "uuid")
}

impl<'d> Walk<'_, 'd> {
    pub(super) fn binding(&mut self, node: Node<'d>, type_id: TypeId, element: &ElementPlan) {
        if let Some(binding) = &element.binding {
            self.bound(node, self.model.type_name(type_id), binding, &Rule::Element(element.id));
        }
        if let Some(set) =
            element.maximum.as_ref().and_then(|maximum| maximum.set(&self.validator.terminology)).cloned()
            && let Within::No { code, system } = self.within(node, self.model.type_name(type_id), &set)
        {
            let detail = Detail::NotInValueSet {
                value_set: Arc::from(set.url()),
                code: Box::from(code),
                system: system.map(Box::from),
            };
            self.error(IssueType::CodeInvalid, Rule::Element(element.id), node.id(), detail);
        }
    }

    /// Judges a code, Coding, CodeableConcept, Quantity or text by a binding.
    pub(super) fn bound(&mut self, node: Node<'d>, type_name: &str, binding: &Binding, rule: &Rule) {
        let Some(set) = binding.set(&self.validator.terminology).cloned() else {
            self.undecided(node, &binding.url);
            return;
        };
        if set.is_cyclic() {
            let detail = Detail::Told(format!("the value set {} takes itself in", binding.url).into());
            self.error(IssueType::CodeInvalid, Rule::ValueSet(Arc::clone(&binding.url)), node.id(), detail);
            return;
        }
        match self.within(node, type_name, &set) {
            Within::Yes => self.named(node, &set),
            Within::Unknown => self.undecided(node, &binding.url),
            Within::No { system, code } => self.outside(node, system, code, binding, rule),
            Within::NoCode if type_name == "CodeableConcept" && binding.strength == Strength::Required => self.error(
                IssueType::CodeInvalid,
                rule.clone(),
                node.id(),
                Detail::Told(format!("expected a code from the value set {}", binding.url).into()),
            ),
            Within::NoCode => {}
        }
    }

    /// Notes the displays that a value set gives to its codes.
    fn named(&mut self, node: Node<'d>, set: &Set) {
        if set.asks_for_version() {
            self.found(node, set);
        }
        let codings = node.child(self.validator.names.coding).chain([node]);
        for coding in codings {
            if let (Some(code), Some(display)) = (coding.text_at("code"), coding.first("display"))
                && display.text().is_some_and(|text| set.has_name(code, text))
            {
                self.displays.insert(display.id());
            }
        }
    }

    /// Notes the codes that a value set has by a version of their system that is not the newest.
    fn found(&mut self, node: Node<'d>, set: &Set) {
        for coding in node.child(self.validator.names.coding).chain([node]) {
            if let (Some(system), Some(code)) = (coding.text_at("system"), coding.first("code"))
                && let Some(text) = code.text()
                && set.contains_of(Some(system), coding.text_at("version"), text) == Membership::In
            {
                self.displays.insert(code.id());
            }
        }
    }

    /// Whether a coded value is in a value set; of a CodeableConcept one coding is enough.
    pub(super) fn within(&self, node: Node<'d>, type_name: &str, set: &Set) -> Within<'d> {
        let names = &self.validator.names;
        let (system, code) = (names.system, names.code);
        let asks_for_version = set.asks_for_version();
        let one = |node: Node<'d>| {
            let system = node.child(system).next().and_then(Node::text);
            let Some(code) = node.child(code).next().and_then(Node::text) else { return Within::NoCode };
            let version = names.version;
            let version = asks_for_version.then(|| node.child(version).next()).flatten().and_then(Node::text);
            match system.map_or(Membership::Out, |system| set.contains_of(Some(system), version, code)) {
                Membership::In => Within::Yes,
                Membership::Unknown => Within::Unknown,
                Membership::Out => Within::No { system, code },
            }
        };
        match type_name {
            "CodeableConcept" => {
                let mut answer = Within::NoCode;
                for coding in node.child(names.coding) {
                    match (one(coding), answer) {
                        (Within::Yes, _) => return Within::Yes,
                        (Within::Unknown, _) => answer = Within::Unknown,
                        (found @ Within::No { .. }, Within::NoCode) => answer = found,
                        _ => {}
                    }
                }
                answer
            }
            "Coding" | "Quantity" | "SimpleQuantity" | "Money" | "Age" | "Distance" | "Duration" | "Count" => one(node),
            // Of a choice the binding is meant for the types that can be bound
            // (<http://hl7.org/fhir/R4/terminologies.html#4.1.3>).
            name if !is_bindable(name) => Within::NoCode,
            _ => {
                let Some(code) = node.text() else { return Within::NoCode };
                match set.contains(None, code) {
                    Membership::In => Within::Yes,
                    Membership::Unknown => Within::Unknown,
                    Membership::Out => Within::No { system: None, code },
                }
            }
        }
    }

    fn outside(&mut self, node: Node<'d>, system: Option<&str>, code: &str, binding: &Binding, rule: &Rule) {
        if binding.strength == Strength::Required && node.type_name() == "code" {
            // Without a system, the value set is what gives one to the code.
            self.error(
                IssueType::CodeInvalid,
                Rule::ValueSet(Arc::clone(&binding.url)),
                node.id(),
                Detail::Told(format!("the value set gives no code system to \"{code}\"").into()),
            );
        }
        let severity = match binding.strength {
            Strength::Required => Severity::Error,
            Strength::Extensible => Severity::Warning,
            Strength::Preferred | Strength::Example => Severity::Information,
        };
        self.push(Finding {
            severity,
            issue: IssueType::CodeInvalid,
            rule: rule.clone(),
            at: node.id(),
            detail: Detail::NotInValueSet {
                value_set: Arc::clone(&binding.url),
                code: Box::from(code),
                system: system.map(Box::from),
            },
        });
    }

    /// One warning a value set.
    fn undecided(&mut self, node: Node<'d>, value_set: &Arc<str>) {
        if self.told_systems.contains(&**value_set) {
            return;
        }
        self.told_systems.insert(Box::from(&**value_set));
        self.warning(
            IssueType::NotSupported,
            Rule::ValueSet(Arc::clone(value_set)),
            node.id(),
            Detail::Undecided { value_set: Arc::clone(value_set) },
        );
    }
}
