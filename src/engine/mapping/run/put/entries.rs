//! Which resources of the wanted Bundle a scope's entry may be.

use std::rc::Rc;

use crate::definitions::Symbol;
use crate::fhir::document::{Node, NodeId as FhirId};

use super::super::super::plan::{Constant, Entry, Plan, Scope, ScopeId, SlotAt, SlotRef, StmtKind};
use super::super::fold::{choose, choose_first};
use super::super::verify::is_agent;
use super::{Known, Put, Side};

impl<'r> Put<'r> {
    /// Keeps what no other line has taken. A document tells of those who act wherever it speaks of them: what one place took
    /// of them is free for the next.
    pub(super) fn keep_free(&mut self, frame: usize, id: ScopeId, scope: &'r Scope, new: &mut Vec<Node<'r>>) {
        let (mut kept, holder) = (Vec::with_capacity(new.len()), self.holder(frame, scope));
        for node in new.drain(..) {
            let taken = match self.told_as(frame, holder, node) {
                Some(key) => self.told.contains(&key),
                None => self.taken.contains(&node.id()),
            };
            if !taken && !self.is_anothers(id, node) {
                kept.push(node);
            }
        }
        *new = kept;
    }

    /// Takes a node for a scope in a frame.
    pub(super) fn take(&mut self, frame: usize, scope: Option<&'r Scope>, node: Node<'r>) {
        self.taken.insert(node.id());
        if is_agent(node.resource()) {
            let holder = scope.and_then(|scope| self.holder(frame, scope));
            let key = self.told_as(frame, holder, node);
            self.told.extend(key);
        }
    }

    /// What holds the reference that leads to a scope's resource.
    fn holder(&mut self, frame: usize, scope: &'r Scope) -> Option<Node<'r>> {
        let Some(SlotAt::Entry(index)) = scope.slots.first().map(|slot| &slot.at) else { return None };
        let reference = scope.entries.get(usize::from(*index))?.reference?;
        let to = match &scope.slots.get(usize::from(reference))?.at {
            SlotAt::Child { parent, .. } => *parent,
            SlotAt::Alias(to) => *to,
            SlotAt::Entry(_) | SlotAt::Nowhere => return None,
        };
        let above = self.above(frame, to.up.saturating_sub(1));
        self.node(Side::New, above, to.slot)
    }

    /// By what a part of someone who acts is known to be told: none for other parts.
    fn told_as(&self, frame: usize, holder: Option<Node<'r>>, node: Node<'r>) -> Option<(usize, FhirId, FhirId)> {
        if !is_agent(node.resource()) {
            return None;
        }
        let within = if node.is_resource() { holder? } else { node };
        let resource = within.resource().id();
        let mut chain = std::iter::successors(Some(frame), |at| {
            self.frames.get(*at).map(|of| of.parent).filter(|parent| parent != at)
        });
        let knows = |at: &usize| {
            let known = self.frames.get(*at).into_iter().flat_map(|of| &of.new);
            known.into_iter().any(|one| matches!(one, Known::Is(Some(is)) if is.id() == resource))
        };
        Some((chain.find(knows).unwrap_or(frame), within.id(), node.id()))
    }

    /// The resources in the wanted Bundle that a scope's entry could be.
    pub(super) fn entries(&mut self, frame: usize, scope: &'r Scope, entry: &'r Entry) -> Vec<Node<'r>> {
        let Some(reference) = entry.reference else {
            return self.free_entries(frame, scope, entry);
        };
        let mut shared = None;
        let references: Vec<Node<'r>> = match scope.slots.get(usize::from(reference)).map(|s| &s.at) {
            Some(SlotAt::Child { parent, written, logical, select, .. }) => {
                let above = self.above(frame, parent.up.saturating_sub(1));
                let is_outer = parent.up > 1;
                let parent = self.node(Side::New, above, parent.slot);
                // Every occurrence of what this stands in asks the same list.
                shared = parent.filter(|_| is_outer).map(|parent| (parent.id(), std::ptr::from_ref(scope) as usize));
                if let Some(known) = shared.as_ref().and_then(|shared| self.listed.get_mut(shared)) {
                    if scope.each {
                        known.retain(|node| !self.taken.contains(&node.id()));
                    }
                    return known.clone();
                }
                parent.map(|p| choose(p, written.symbol, *logical, select)).unwrap_or_default()
            }
            Some(SlotAt::Alias(to)) => {
                let above = self.above(frame, to.up.saturating_sub(1));
                self.node(Side::New, above, to.slot).into_iter().collect()
            }
            _ => Vec::new(),
        };
        if references.is_empty() {
            return Vec::new();
        }
        let roles = self.role_has_a_line(scope, entry);
        let found: Vec<Node<'r>> = references
            .into_iter()
            .filter_map(|r| {
                if roles {
                    self.target(Side::New, r).filter(|n| n.type_name() == entry.resource.as_ref())
                } else {
                    self.target_as(r, entry.resource.as_ref())
                }
            })
            .collect();
        if let Some(shared) = shared {
            self.listed.insert(shared, found.clone());
        }
        found
    }

    /// Whether another line takes roles by the same reference: then a role is that line's, not its organisation's.
    fn role_has_a_line(&self, scope: &'r Scope, entry: &'r Entry) -> bool {
        let reference = |of: &'r Scope, entry: &Entry| {
            let slot = entry.reference.and_then(|slot| of.slots.get(usize::from(slot)))?;
            match &slot.at {
                SlotAt::Alias(to) => Some((*to, None)),
                SlotAt::Child { parent, written, .. } => Some((*parent, Some(written))),
                SlotAt::Entry(_) | SlotAt::Nowhere => None,
            }
        };
        let own = reference(scope, entry);
        let outer = scope.parent.and_then(|parent| self.plan.scope(parent));
        own.is_some()
            && outer.into_iter().flat_map(|s| &s.body).any(|stmt| {
                let StmtKind::Scope(id) = stmt.kind else { return false };
                self.plan.scope(id).is_some_and(|other| {
                    other
                        .entries
                        .first()
                        .is_some_and(|e| e.resource.as_ref() == "PractitionerRole" && reference(other, e) == own)
                })
            })
    }

    /// Whether a resource is what another scope made that fills the same list.
    pub(super) fn is_anothers(&self, id: ScopeId, node: Node<'r>) -> bool {
        let url = node.parent().filter(|_| node.is_resource()).and_then(|entry| entry.text_at("fullUrl"));
        let Some((frame, slot)) = url.and_then(|url| self.known.get(url)) else { return false };
        let Some(other) = self.run.frames.get(*frame).map(|frame| frame.scope).filter(|other| *other != id) else {
            return false;
        };
        let list = |scope: ScopeId, slot: Option<u16>| {
            let entries = self.plan.scope(scope)?.entries.iter();
            let entry = entries.into_iter().find(|entry| slot.is_none_or(|slot| entry.slot == slot))?;
            list_of(self.plan, scope, entry.reference?)
        };
        let own = list(id, None);
        own.is_some() && own == list(other, Some(*slot))
    }

    /// Resources that nothing refers to by this map: those of the forward run, and new ones of the type.
    pub(super) fn free_entries(&mut self, frame: usize, scope: &'r Scope, entry: &'r Entry) -> Vec<Node<'r>> {
        let id = self.plan.scopes.iter().position(|s| std::ptr::eq(s, scope));
        let led = match id.and_then(|id| self.led_to.get(&id)) {
            Some(led) => Rc::clone(led),
            None => {
                let led = Rc::new(id.map(|id| self.led_to_by_others(id, entry)).unwrap_or_default());
                if let Some(id) = id {
                    self.led_to.insert(id, Rc::clone(&led));
                }
                led
            }
        };
        let scope_id = id.and_then(|id| ScopeId::try_from(id).ok());
        let mut wanted = self.resources(entry.resource.as_ref());
        wanted.retain(|node| self.speaks_of(frame, scope, entry, *node));
        wanted
            .into_iter()
            .filter(|node| {
                let url = node.parent().and_then(|e| e.text_at("fullUrl")).unwrap_or_default();
                let free = !self.known.contains_key(url) && !led.contains(&node.id());
                (scope_id.is_some_and(|id| self.is_of(id, entry.slot, url)) || free)
                    && self.consts_hold(scope, entry, *node)
            })
            .collect()
    }

    /// Whether a resource has the fixed values that a scope gives its entry.
    pub(super) fn consts_hold(&self, scope: &'r Scope, entry: &'r Entry, node: Node<'r>) -> bool {
        scope.consts.iter().filter(|c| !c.default && c.anchor == (SlotRef { up: 0, slot: entry.slot })).all(|one| {
            let Some(SlotAt::Child { parent, written, logical, select, .. }) =
                scope.slots.get(usize::from(one.slot)).map(|s| &s.at)
            else {
                return true;
            };
            if *parent != one.anchor {
                return true;
            }
            match &one.value {
                Constant::Text(text) => {
                    choose_first(node, written.symbol, *logical, select).is_none_or(|n| n.text() == Some(text))
                }
                _ => true,
            }
        })
    }
}

/// The list that the reference of a scope's resource is in: the scope and slot of what holds it, and its name.
fn list_of(plan: &Plan, scope: ScopeId, slot: u16) -> Option<(ScopeId, u16, Symbol)> {
    let outer = |scope: ScopeId, up: u8| (0..up).try_fold(scope, |scope, _| plan.scope(scope)?.parent);
    let (mut scope, mut slot, mut name) = (scope, slot, None);
    loop {
        match &plan.scope(scope)?.slots.get(usize::from(slot))?.at {
            SlotAt::Alias(to) => (scope, slot) = (outer(scope, to.up)?, to.slot),
            SlotAt::Child { parent, written, list, .. } if name.is_none() && *list => {
                name = Some(written.symbol);
                (scope, slot) = (outer(scope, parent.up)?, parent.slot);
            }
            _ => return Some((scope, slot, name?)),
        }
    }
}
