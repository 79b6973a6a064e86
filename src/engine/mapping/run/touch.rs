//! Backward, where nothing but values changed: each is written into the one leaf that it came from.
//!
//! Most edits are such. No line but those that carry the values is asked, and nothing is compared that the forward run has
//! just said. Whatever is more than that is left to [`super::put`], which walks the whole plan: a value that comes or goes,
//! a leaf of which several lines speak, a leaf by which others are described.

use std::borrow::Cow;

use crate::fhir::draft::At;
use crate::native::{Edit, Format, NodeId, Place, Scalar};

use super::super::context::Context;
use super::super::lens::{Fidelity, Lens, Out};
use super::super::plan::{NativeName, NativeSelect, Plan, Rule, Scope, StmtKind};
use super::super::syntax::Direction;
use super::super::trace::{Disposition, Record};
use super::get::Run;
use super::source::Source;

/// How many values may change: each is looked for by itself.
pub(crate) const MOST: usize = 16;

/// What is touched: a forward run and the document that it ran over.
pub(crate) struct Touch<'r> {
    pub(crate) plan: &'r Plan,
    pub(crate) source: &'r Source<'r>,
    pub(crate) cx: &'r Context,
    pub(crate) run: &'r Run,
}

impl Touch<'_> {
    /// The document with other values in the places of the forward run; nothing where that is not all that is to be done.
    pub(crate) fn write(&self, values: &[(At, &str)], edit: Edit<'_>) -> Option<Vec<u8>> {
        let mut edit = edit;
        let carried = self.carried(values)?;
        for ((at, text), record) in values.iter().zip(&carried) {
            let (node, text) = self.leaf(*at, text, record)?;
            let value = match self.source.tree.format() {
                Format::Json => Scalar::AsBefore(&text),
                _ => Scalar::Text(&text),
            };
            edit.set(Place::Node(node), &[], value).ok()?;
        }
        let finished = edit.finish();
        finished.transliterations.is_empty().then_some(finished.bytes)
    }

    /// By which record each of these places got its value: the only one of the place, and of its leaf.
    fn carried(&self, values: &[(At, &str)]) -> Option<Vec<Record>> {
        let mut found: Vec<Option<Record>> = vec![None; values.len()];
        let records = &self.run.trace.records;
        for record in records {
            let place = values.iter().position(|(at, _)| *at == record.node);
            if let Some(slot) = place.and_then(|place| found.get_mut(place))
                && slot.replace(*record).is_some()
            {
                return None;
            }
        }
        let found: Vec<Record> = found.into_iter().collect::<Option<_>>()?;
        let mut often = vec![0_u8; found.len()];
        for record in records {
            if let Some(at) = found.iter().position(|one| one.leaf == record.leaf) {
                *often.get_mut(at)? += 1;
                if often.get(at) != Some(&1) {
                    return None;
                }
            }
        }
        found.iter().all(|record| record.disposition() == Disposition::Mapped).then_some(found)
    }

    /// The leaf that a value came from, and what is to stand there.
    fn leaf(&self, at: At, wanted: &str, record: &Record) -> Option<(NodeId, String)> {
        let (frame, rule) = self.line(at, record)?;
        let base = self.run.frames.get(frame)?.base();
        let [tuple] = rule.native.as_slice() else { return None };
        let nodes: Vec<Option<NodeId>> = tuple.iter().map(|path| self.source.first(base, path)).collect();
        let input = |node: &Option<NodeId>| (*node).and_then(|node| self.source.input(&rule.lens, node).into_text());
        let held: Vec<Option<Cow<'_, str>>> = nodes.iter().map(input).collect();
        let put = rule.lens.put(&[wanted], &held, self.cx).ok()?;
        if put.fidelity != Fidelity::Exact {
            return None;
        }
        let mut all = nodes.into_iter().zip(put.outs).filter(|(_, out)| !matches!(out, Out::Keep));
        let (Some((Some(node), Out::Set(text))), None) = (all.next(), all.next()) else { return None };
        let leaves = self.source.tree.leaves(node);
        if leaves.len() != 1 || leaves.start != record.leaf || self.describes(frame, node) {
            return None;
        }
        Some((node, text))
    }

    /// The line that gave a place its value, with the frame in which it did, where a value is all that it is about.
    fn line(&self, at: At, record: &Record) -> Option<(usize, &Rule)> {
        let mut found = None;
        for (frame, slot) in self.run.slots_at(at) {
            let scope = self.plan.scope(self.run.frames.get(frame)?.scope)?;
            for rule in rules(self.plan, scope).filter(|rule| rule.slot == slot && rule.line == record.line()) {
                if found.replace((frame, rule)).is_some() {
                    return None;
                }
            }
        }
        found.filter(|(_, rule)| is_plain(rule))
    }

    /// Whether other leaves say what a part says, so that they go where it changes.
    fn describes(&self, frame: usize, part: NodeId) -> bool {
        let tree = self.source.tree;
        let mut frame = frame;
        loop {
            let Some(of) = self.run.frames.get(frame) else { return true };
            let Some(scope) = self.plan.scope(of.scope) else { return true };
            let base = of.base();
            let described = scope.bound.iter().any(|bound| {
                let about = |node: NodeId| tree.is_within(node, part) || tree.is_within(part, node);
                self.source.first(base, &bound.to).is_some_and(about)
                    && bound.what.iter().any(|path| self.source.first(base, path).is_some())
            });
            if described || frame == 0 {
                return described;
            }
            frame = of.parent();
        }
    }
}

fn rules<'p>(plan: &'p Plan, scope: &'p Scope) -> impl Iterator<Item = &'p Rule> {
    scope.body.iter().filter_map(|stmt| match stmt.kind {
        StmtKind::Rule(id) => plan.rule(id),
        StmtKind::Scope(_) | StmtKind::Whole(_) => None,
    })
}

/// Whether a line carries a value both ways and nothing else.
fn is_plain(rule: &Rule) -> bool {
    rule.direction == Direction::Both
        && rule.only.is_empty()
        && rule.also.is_empty()
        && !rule.describes_composite
        && !rule.bare
        && !matches!(rule.lens, Lens::Lines | Lens::Narrative | Lens::Joined | Lens::Shown | Lens::Words(_))
        && rule.native.iter().flatten().flat_map(|path| &path.steps).all(|step| {
            // Of a selection the value may be what it goes by.
            !matches!(step.select, NativeSelect::Where(..)) && !matches!(step.name, NativeName::Parent)
        })
}
