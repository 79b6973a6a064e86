//! Codes against the value sets they are bound to.

use std::sync::Arc;

use crate::definitions::{Strength, TypeId};
use crate::fhir::document::Node;
use crate::terminology::Membership;

use super::finding::{Detail, Finding, IssueType, Rule, Severity};
use super::plan::{Binding, ElementPlan};
use super::walk::Walk;

impl<'d> Walk<'_, 'd> {
    pub(super) fn binding(&mut self, node: Node<'d>, type_id: TypeId, element: &ElementPlan) {
        if let Some(binding) = &element.binding {
            self.bound(node, self.model.type_name(type_id), binding, &Rule::Element(element.id));
        }
    }

    /// Judges a code, Coding, CodeableConcept, Quantity or text by a binding.
    pub(super) fn bound(&mut self, node: Node<'d>, type_name: &str, binding: &Binding, rule: &Rule) {
        let Some(set) = binding.set(&self.validator.terminology).cloned() else {
            self.undecided(node, &binding.url);
            return;
        };
        let names = &self.validator.names;
        let (system, code) = (names.system, names.code);
        let pair = |node: Node<'d>| {
            (node.child(system).next().and_then(Node::text), node.child(code).next().and_then(Node::text))
        };
        match type_name {
            "CodeableConcept" => {
                let mut worst = None;
                for coding in node.child(names.coding) {
                    let (system, Some(code)) = pair(coding) else { continue };
                    let answer = match system {
                        Some(system) => set.contains(Some(system), code),
                        None => Membership::Out,
                    };
                    match answer {
                        Membership::In => return,
                        Membership::Unknown => worst = Some((Membership::Unknown, system, code)),
                        Membership::Out => worst = worst.or(Some((Membership::Out, system, code))),
                    }
                }
                match worst {
                    Some((Membership::Unknown, ..)) => self.undecided(node, &binding.url),
                    Some((_, system, code)) => self.outside(node, system, code, binding, rule),
                    None if binding.strength == Strength::Required => self.error(
                        IssueType::CodeInvalid,
                        rule.clone(),
                        node.id(),
                        Detail::Told(format!("expected a code from the value set {}", binding.url).into()),
                    ),
                    None => {}
                }
            }
            "Coding" | "Quantity" | "SimpleQuantity" | "Money" => {
                let (system, Some(code)) = pair(node) else { return };
                match system.map_or(Membership::Out, |system| set.contains(Some(system), code)) {
                    Membership::In => {}
                    Membership::Unknown => self.undecided(node, &binding.url),
                    Membership::Out => self.outside(node, system, code, binding, rule),
                }
            }
            _ => {
                let Some(code) = node.text() else { return };
                match set.contains(None, code) {
                    Membership::In => {}
                    Membership::Unknown => self.undecided(node, &binding.url),
                    Membership::Out => self.outside(node, None, code, binding, rule),
                }
            }
        }
    }

    fn outside(&mut self, node: Node<'d>, system: Option<&str>, code: &str, binding: &Binding, rule: &Rule) {
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
        if self.told_systems.iter().any(|told| **told == **value_set) {
            return;
        }
        self.told_systems.push(value_set.to_string());
        self.warning(
            IssueType::NotSupported,
            Rule::ValueSet(Arc::clone(value_set)),
            node.id(),
            Detail::Undecided { value_set: Arc::clone(value_set) },
        );
    }
}
