//! Several lines for one element, each from a leaf of another type: the one that carries most of the value writes it, also in
//! place of the one whose type the document has.

use crate::fhir::document::Node;
use crate::native::Place;

use super::super::super::plan::{Scope, ScopeId, SlotAt, StmtKind};
use super::super::super::syntax::Direction;
use super::super::super::trace::{Disposition, Lost};
use super::{Change, Put, Side, Spot, spot_of};

impl<'r> Put<'r> {
    /// Whether another line for the same element carries more of a value, or as much and stands before.
    pub(super) fn outdone(&mut self, frame: usize, id: ScopeId, scope: &'r Scope, new: Node<'r>) -> bool {
        let carried = self.carries(Side::New, frame, id, new);
        let mut earlier = true;
        for rival in self.rivals(frame, scope) {
            if rival == id {
                earlier = false;
                continue;
            }
            let theirs = self.carries(Side::New, frame, rival, new);
            if theirs > carried || (earlier && theirs == carried) {
                return true;
            }
        }
        false
    }

    /// The lines for the same element as a scope that may write it, in order, this one among them.
    fn rivals(&mut self, frame: usize, scope: &'r Scope) -> Vec<ScopeId> {
        let plan = self.plan;
        let Some(SlotAt::Alias(own)) = scope.slots.first().map(|s| &s.at) else { return Vec::new() };
        let outer = self.frames.get(frame).and_then(|f| plan.scope(f.scope));
        let mut all: Vec<ScopeId> = outer
            .into_iter()
            .flat_map(|s| &s.body)
            .filter_map(|stmt| match stmt.kind {
                StmtKind::Scope(other) => Some(other),
                StmtKind::Rule(_) | StmtKind::Whole(_) => None,
            })
            .filter(|other| {
                plan.scope(*other).is_some_and(|s| {
                    !s.when.is_empty()
                        && s.direction != Direction::Get
                        && matches!(s.slots.first().map(|s| &s.at), Some(SlotAt::Alias(to)) if to == own)
                })
            })
            .collect();
        all.retain(|other| plan.scope(*other).is_some_and(|s| self.holds(Side::New, frame, &s.only)));
        all
    }

    /// How many of the primitives of a value the lines of a scope take.
    pub(super) fn carries(&mut self, side: Side, frame: usize, id: ScopeId, node: Node<'r>) -> usize {
        let plan = self.plan;
        let Some(scope) = plan.scope(id) else { return 0 };
        let Some(spot) = self.frames.get(frame).map(|f| f.spot.clone()) else { return 0 };
        let trial = self.frame(id, frame, spot, None);
        self.assign(trial, side, 0, Some(node));
        let mut count = 0;
        for stmt in &scope.body {
            if let StmtKind::Rule(rule) = stmt.kind
                && let Some(rule) = plan.rule(rule).filter(|r| r.direction != Direction::Get)
            {
                count += self.values(side, trial, rule).len();
            }
        }
        count
    }

    /// The line that writes a changed value in place of the one by which the document has it: one that carries more of it,
    /// the first that carries most. None where that one can go on.
    pub(super) fn heir(&mut self, frame: usize, id: ScopeId, scope: &'r Scope, new: Node<'r>) -> Option<ScopeId> {
        if self.forced || scope.when.is_empty() {
            return None;
        }
        let rivals = self.rivals(frame, scope);
        if !rivals.contains(&id) {
            return None;
        }
        let mut most = self.carries(Side::New, frame, id, new);
        let mut heir = None;
        for rival in rivals {
            let theirs = if rival == id { 0 } else { self.carries(Side::New, frame, rival, new) };
            if theirs > most {
                most = theirs;
                heir = Some(rival);
            }
        }
        heir
    }

    /// Whether a line writes a value in place of the one by which the document has it; that one has given way then.
    pub(super) fn inherits(&mut self, frame: usize, id: ScopeId, scope: &'r Scope, new: Node<'r>) -> bool {
        let Some(was) = self.frames.get(frame).and_then(|f| f.was) else { return false };
        let rivals = self.rivals(frame, scope);
        let holder = rivals.into_iter().filter(|rival| *rival != id).find_map(|rival| {
            let inner = self.inner.get(&(was, rival))?.first()?;
            Some((rival, self.run.frames.get(*inner)?.base()))
        });
        let Some((holder, base)) = holder else { return false };
        let Some(of) = self.plan.scope(holder) else { return false };
        if self.heir(frame, holder, of, new) != Some(id) {
            return false;
        }
        self.give_way(frame, holder, &spot_of(base));
        true
    }

    /// Takes out everything that stands where a line had its value; what only the original said goes with it, and is told.
    pub(super) fn give_way(&mut self, frame: usize, id: ScopeId, spot: &Spot) {
        if !self.given_way.insert((frame, id)) {
            return;
        }
        let Some(node) = spot.node else { return };
        let tree = self.source.tree;
        let line = self.plan.scope(id).map(|scope| self.plan.line(scope.line));
        for leaf in tree.leaves(node) {
            let Some(part) = tree.leaf_node(leaf) else { continue };
            if !self.run.trace.conveys(leaf) && tree.text(part).is_some() {
                self.lost.push(Lost {
                    path: tree.path(part).to_string(),
                    disposition: Disposition::Residue,
                    rule: line.clone(),
                    reason: "removed, since it belonged to a value that is now of another type".to_owned(),
                });
            }
            let at = Spot { at: Place::Node(part), steps: Vec::new(), node: Some(part), group: spot.group };
            self.change(at, Change::Clear);
        }
    }
}
