//! Deciding constraints on a node.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::FxHashSet;

use crate::fhir::document::Node;
use crate::fhirpath::{Budget, Context, EvalError, Host, Plan, root_of};
use crate::terminology::Membership;

use super::constraint::{Check, Constraint};
use super::finding::{Detail, Finding, IssueType, Rule, Severity};
use super::judged::{Judged, Key};
use super::walk::Walk;
use super::{Validator, narrative};

/// What constraints ask for beyond their document.
pub(super) struct Above<'v> {
    pub(super) validator: &'v Validator,
    /// The nodes and profiles that are being judged.
    pub(super) under_way: &'v [Key],
    pub(super) judged: &'v Rc<RefCell<Judged>>,
}

impl Host for Above<'_> {
    fn resolve<'d>(&self, reference: &str, from: Node<'d>) -> Option<Node<'d>> {
        super::reference::resolve(reference, from)
    }

    fn member_of(&self, value: Node<'_>, value_set: &str) -> Option<bool> {
        let decided = |membership| match membership {
            Membership::In => Some(true),
            Membership::Out => Some(false),
            Membership::Unknown => None,
        };
        let terminology = self.validator.terminology();
        if let Some(code) = value.text() {
            return decided(terminology.contains(value_set, None, code));
        }
        let pair = |coding: Node<'_>| {
            coding
                .text_at("code")
                .and_then(|code| decided(terminology.contains(value_set, coding.text_at("system"), code)))
        };
        if value.type_name() == "CodeableConcept" {
            let answers: Vec<Option<bool>> = value.named("coding").map(pair).collect();
            if answers.contains(&Some(true)) {
                return Some(true);
            }
            return if answers.contains(&None) { None } else { Some(false) };
        }
        pair(value)
    }

    fn conforms_to(&self, node: Node<'_>, profile: &str) -> Option<bool> {
        super::walk::conforms(self.validator, node, profile, self.under_way, self.judged)
    }

    fn subsumes(&self, system: &str, ancestor: &str, code: &str) -> Option<bool> {
        self.validator.terminology().subsumes(system, ancestor, code)
    }

    fn is_narrative(&self, div: Node<'_>) -> bool {
        div.text().is_none_or(|text| narrative::faults(text).is_empty())
    }
}

/// What a validator knows beyond a document, for expressions that are evaluated by themselves.
pub struct Knowledge<'v> {
    validator: &'v Validator,
    judged: Rc<RefCell<Judged>>,
}

impl<'v> Knowledge<'v> {
    pub(super) fn new(validator: &'v Validator) -> Self {
        Self { validator, judged: Rc::default() }
    }

    fn above(&self) -> Above<'_> {
        Above { validator: self.validator, under_way: &[], judged: &self.judged }
    }
}

impl Host for Knowledge<'_> {
    fn resolve<'d>(&self, reference: &str, from: Node<'d>) -> Option<Node<'d>> {
        self.above().resolve(reference, from)
    }

    fn member_of(&self, value: Node<'_>, value_set: &str) -> Option<bool> {
        self.above().member_of(value, value_set)
    }

    fn conforms_to(&self, node: Node<'_>, profile: &str) -> Option<bool> {
        self.above().conforms_to(node, profile)
    }

    fn subsumes(&self, system: &str, ancestor: &str, code: &str) -> Option<bool> {
        self.above().subsumes(system, ancestor, code)
    }

    fn is_narrative(&self, div: Node<'_>) -> bool {
        self.above().is_narrative(div)
    }
}

impl<'d> Walk<'_, 'd> {
    pub(super) fn constraints(&mut self, node: Node<'d>, resource: Node<'d>, constraints: &[Constraint]) {
        for constraint in constraints {
            let undecided = |why: String| Detail::Told(format!("the constraint could not be decided: {why}").into());
            if constraint.best_practice && !self.validator.options.best_practice {
                continue;
            }
            if constraint.check == Check::ContainedUsed {
                for unused in self.unused(node) {
                    self.broken_rule(unused, constraint);
                }
                continue;
            }
            if self.judged.borrow().items() == 0 {
                self.too_costly(node);
                return;
            }
            match self.decide(node, resource, constraint) {
                Ok(true) => {}
                Err(EvalError::Budget) if self.judged.borrow().items() == 0 => {
                    self.too_costly(node);
                    return;
                }
                Ok(false) => self.broken_rule(node, constraint),
                Err(error) => {
                    // Of an expression that cannot be read it is told why not.
                    let unread = Plan::compile(&self.validator.model, &constraint.expression, None).err();
                    self.warning(
                        IssueType::NotSupported,
                        Rule::Constraint(constraint.key.clone()),
                        node.id(),
                        undecided(unread.map_or_else(|| error.to_string(), |fault| fault.to_string())),
                    );
                }
            }
        }
    }

    fn broken_rule(&mut self, node: Node<'d>, constraint: &Constraint) {
        self.push(Finding {
            severity: if constraint.is_error { Severity::Error } else { Severity::Warning },
            issue: IssueType::Invariant,
            rule: Rule::Constraint(constraint.key.clone()),
            at: node.id(),
            detail: Detail::Constraint { expression: constraint.expression.clone(), human: constraint.human.clone() },
        });
    }

    fn decide(&self, node: Node<'d>, resource: Node<'d>, constraint: &Constraint) -> Result<bool, EvalError> {
        let names = &self.validator.names;
        Ok(match constraint.check {
            Check::ExtensionOrValue => {
                node.child(names.extension).next().is_some() != node.child(names.value).next().is_some()
            }
            Check::NoNested => {
                node.child(names.contained).all(|contained| contained.child(names.contained).next().is_none())
            }
            Check::ContainedUnversioned => node.child(names.contained).all(|contained| {
                contained.at("meta.versionId").is_none() && contained.at("meta.lastUpdated").is_none()
            }),
            Check::ContainedUnlabelled => {
                node.child(names.contained).all(|contained| contained.at("meta.security").is_none())
            }
            Check::HasNarrative => node.at("text.div").is_some(),
            Check::ContainedUsed => self.unused(node).is_empty(),
            Check::Expression => {
                let Some(plan) = constraint.plan(&self.validator.model, &self.validator.compiled) else {
                    return Err(EvalError::Undecided("the expression"));
                };
                let host = Above { validator: self.validator, under_way: &self.under_way, judged: &self.judged };
                let allowed = Budget::default().left().min(self.judged.borrow().items());
                let context = Context {
                    focus: Some(node),
                    context: None,
                    resource: Some(resource),
                    root_resource: Some(root_of(resource)),
                    now: self.validator.now(plan),
                    variables: &[],
                    host: &host,
                    budget: Budget::new(allowed),
                    trace: None,
                };
                let holds = plan.holds(&context);
                let left = if holds == Err(EvalError::Budget) { 0 } else { context.budget.left() };
                self.judged.borrow_mut().spend(allowed.saturating_sub(left));
                // A rule holds when it is true; what cannot be told, since precisions differ, is not.
                holds?.unwrap_or(false)
            }
        })
    }

    /// dom-3: every contained resource is referred to from its container, or refers to that; those of which neither holds.
    fn unused(&self, node: Node<'d>) -> Vec<Node<'d>> {
        let names = &self.validator.names;
        let mut contained = node.child(names.contained).peekable();
        if contained.peek().is_none() {
            return Vec::new();
        }
        let mut used: FxHashSet<&str> = FxHashSet::default();
        let mut open: Vec<Node<'d>> = node.children().collect();
        while let Some(one) = open.pop() {
            if let Some(text) = one.text() {
                let refers =
                    matches!(one.type_name(), "canonical" | "uri" | "url") || one.element_name() == "reference";
                if let Some(id) = text.strip_prefix('#').filter(|_| refers) {
                    used.insert(id);
                }
            }
            open.extend(one.children());
        }
        contained
            .filter(|one| {
                one.child(names.id).next().and_then(Node::text).is_some_and(|id| !used.contains(id))
                    && !refers_to_container(*one)
            })
            .collect()
    }
}

fn refers_to_container(contained: Node<'_>) -> bool {
    let mut open: Vec<Node<'_>> = contained.children().collect();
    while let Some(one) = open.pop() {
        if one.text() == Some("#") {
            return true;
        }
        open.extend(one.children());
    }
    false
}
