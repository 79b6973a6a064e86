//! A block on a part is compiled once for all parts of one kind: what it holds is the same wherever it is used, as long as
//! it speaks of nothing outside but the document's own entries.

use super::super::plan::{Copies, DOCUMENT, Plan, Scope, ScopeId, Share, SlotAt, SlotRef};
use super::super::schema::Place;
use super::super::syntax::{BlockItem, FormatName, Span};
use super::Compiler;
use crate::definitions::TypeId;
use crate::native::xml::schema::Content;

/// What blocks are the same by: the block, the native type, the FHIR type.
pub(super) type Key = (String, String, TypeId);

/// A compiled block.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    owner: ScopeId,
    end: ScopeId,
    copies: Copies,
}

impl Compiler<'_> {
    /// Fills the innermost scope, which has nothing but its own place yet, with a block.
    pub(super) fn filled_by(&mut self, span: Span, block: &BlockItem) {
        let Some(key) = self.key_of(block) else {
            return self.within(span, block, |compiler| compiler.body(&block.body));
        };
        let here = self.here();
        let standing = self.stands();
        let outer = self.building.iter().rev().find(|(of, _, _)| *of == key).map(|(_, owner, depth)| (*owner, *depth));
        if let Some((owner, depth)) = outer {
            return self.again(span, block, owner, standing.path.len() > depth);
        }
        if let Some(shared) = self.shared.get(&key).cloned() {
            self.plan.shares.push(Share { user: here, owner: shared.owner, end: shared.end });
            self.plan.copies.push(Copies { to: standing.path, ..shared.copies });
            return;
        }
        // Lines of what is used in many places have no one place that uses them.
        let from = self.from.take();
        let (claims, copies, fates) = (self.plan.claims.len(), self.plan.copies.len(), self.plan.fates.len());
        let outside: Vec<usize> = self.open.iter().map(|id| self.size(*id)).collect();
        self.building.push((key.clone(), here, standing.path.len()));
        self.unused(span, block, |compiler| compiler.body(&block.body));
        self.building.pop();
        self.from = from;
        let apart = outside.iter().zip(&self.open).rev().skip(1).all(|(size, id)| *size == self.size(*id));
        let dropped = self.plan.fates.iter().skip(fates).any(|fate| fate.drop.is_some());
        let end = ScopeId::try_from(self.plan.scopes.len()).unwrap_or(ScopeId::MAX);
        let mut itself = false;
        for share in self.plan.shares.iter_mut().filter(|share| share.owner == here) {
            (share.end, itself) = (end, true);
        }
        if !apart || dropped || !stands_alone(&self.plan, here, end) {
            if itself {
                let what = format!("block {} uses itself, and speaks of what is outside it", block.name);
                self.problem(span, what, "the document's own entries alone, by `link`");
            }
            return;
        }
        let copies = Copies {
            claims: claims..self.plan.claims.len(),
            copies: copies..self.plan.copies.len(),
            from: standing.path.len(),
            to: Vec::new(),
        };
        self.shared.insert(key, Shared { owner: here, end, copies });
    }

    /// A block that is used within itself: it has to end, on both sides.
    fn again(&mut self, span: Span, block: &BlockItem, owner: ScopeId, deeper: bool) {
        let here = self.here();
        if !deeper || !descends(&self.plan, here, owner) {
            let right = "a part further in, natively and in FHIR";
            return self.problem(span, format!("block {} uses itself on what it stands on", block.name), right);
        }
        self.plan.shares.push(Share { user: here, owner, end: owner });
    }

    fn key_of(&self, block: &BlockItem) -> Option<Key> {
        let scope = self.plan.scope(self.here())?;
        let bare = scope.slots.len() == 1 && scope.entries.is_empty() && scope.body.is_empty();
        if self.format != FormatName::Xml || !bare {
            return None;
        }
        let Place::Xml { of: Content::Complex(_), .. } = self.stands().place else { return None };
        Some((block.name.clone(), format!("{:?}", self.stands().place), scope.slots.first()?.type_id))
    }

    /// How much lines have put into a scope.
    fn size(&self, id: ScopeId) -> usize {
        self.plan.scope(id).map_or(0, |s| s.slots.len() + s.consts.len() + s.links.len() + s.entries.len())
    }
}

/// Whether nothing in a scope, up to another one, speaks of a place further out than the scope's own.
fn stands_alone(plan: &Plan, owner: ScopeId, end: ScopeId) -> bool {
    (owner..end).all(|id| {
        let Some(scope) = plan.scope(id) else { return false };
        let depth = depth(plan, owner, id);
        let within = |at: &SlotRef| at.up <= depth;
        slots(scope, id == owner).all(|at| within(&at))
            && scope.consts.iter().all(|one| within(&one.anchor))
            && scope.links.iter().all(|link| {
                within(&link.anchor)
                    && std::iter::once(&link.to).chain(&link.outer).all(|to| within(to) || to.up == DOCUMENT)
            })
    })
}

/// Whether the place of a scope is further in than that of one around it.
fn descends(plan: &Plan, id: ScopeId, owner: ScopeId) -> bool {
    let (mut scope, mut slot) = (id, 0_u16);
    loop {
        let Some(at) = plan.scope(scope).and_then(|of| of.slots.get(usize::from(slot))) else { return false };
        match &at.at {
            _ if scope == owner => return false,
            SlotAt::Alias(to) => (scope, slot) = super::disjoint::outer(plan, scope, *to),
            SlotAt::Child { .. } | SlotAt::Entry(_) => return true,
            SlotAt::Nowhere => return false,
        }
    }
}

/// How far below another a scope stands.
fn depth(plan: &Plan, owner: ScopeId, id: ScopeId) -> u8 {
    let (mut at, mut depth) = (id, 0);
    while at != owner {
        let Some(parent) = plan.scope(at).and_then(|scope| scope.parent) else { break };
        (at, depth) = (parent, depth + 1);
    }
    depth
}

/// What the slots of a scope are below; of the own place of the owner it is the user's.
fn slots(scope: &Scope, owner: bool) -> impl Iterator<Item = SlotRef> {
    scope.slots.iter().skip(usize::from(owner)).filter_map(|slot| match &slot.at {
        SlotAt::Alias(to) | SlotAt::Child { parent: to, .. } => Some(*to),
        SlotAt::Entry(_) | SlotAt::Nowhere => None,
    })
}

/// Gives every scope that uses a block the inside of the one that the block was compiled in.
pub(super) fn link(plan: &mut Plan) {
    for at in 0..plan.shares.len() {
        let Some(share) = plan.shares.get(at).copied() else { continue };
        let (user, owner) = (share.user as usize, share.owner as usize);
        // The one that was compiled stands before those that use it.
        let Some((before, after)) = plan.scopes.split_at_mut_checked(user) else { continue };
        if let (Some(owner), Some(user)) = (before.get(owner), after.first_mut()) {
            user.take_inside(owner);
        }
    }
}
