//! What comes after the lines: what the map says by itself, references, verbs, and what is left out.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::native::NodeId;

use super::super::super::plan::{Const, Constant, Said, ScopeId, SlotAt};
use super::super::super::trace::Disposition;
use super::super::{State, Verb};
use super::Get;

impl<'r> Get<'r> {
    /// What the map says stands where native says nothing.
    pub(super) fn apply_defaults(&mut self) {
        for (frame, id) in std::mem::take(&mut self.defaults) {
            let Some(rule) = self.plan.rule(id) else { continue };
            let Some(value) = &rule.empty else { continue };
            if self.anchored(frame, rule.slot) && self.peek(frame, rule.slot).is_none() {
                let text = match value {
                    Constant::Text(text) => text.clone(),
                    Constant::Coding { code, .. } => code.clone(),
                    Constant::Provider => self.cx.provider.clone(),
                    Constant::Now => self.cx.now.to_string(),
                    Constant::Table { system, .. } => system.clone(),
                };
                let at = self.ensure(frame, rule.slot);
                self.draft.set(at, &text);
                self.defaulted.push(at);
            }
        }
    }

    /// Whether the resource (or the scope's own place) that a slot is below is made.
    pub(super) fn anchored(&self, frame: usize, slot: u16) -> bool {
        let (mut frame, mut slot) = (frame, slot);
        loop {
            let Some(of) = self.slot_of(frame, slot) else { return false };
            match &of.at {
                SlotAt::Entry(_) => return self.known(frame, slot).is_some(),
                SlotAt::Nowhere => return false,
                SlotAt::Alias(to) => {
                    frame = self.above(frame, to.up);
                    slot = to.slot;
                }
                SlotAt::Child { parent, .. } => {
                    if slot == 0 && self.known(frame, slot).is_none() {
                        return false;
                    }
                    frame = self.above(frame, parent.up);
                    slot = parent.slot;
                }
            }
        }
    }

    pub(super) fn event_of(&self) -> &str {
        self.source.event.as_deref().unwrap_or_default()
    }

    /// Fixed values, in what is there.
    pub(super) fn fixed(&mut self) {
        let plan = self.plan;
        let frames = self.frames.len();
        // What stands where nothing else does comes last.
        for (default, frame) in [false, true].into_iter().flat_map(|d| (0..frames).map(move |f| (d, f))) {
            let Some(scope) = plan.scope(self.of(frame).scope) else { continue };
            for one in scope.consts.iter().filter(|one| one.default == default) {
                if default && self.stands(frame, one) {
                    continue;
                }
                let event = one.events.is_empty() || one.events.iter().any(|e| e == self.event_of());
                if event && self.peek(self.above(frame, one.anchor.up), one.anchor.slot).is_some() {
                    self.set_const(frame, one);
                }
            }
        }
    }

    /// Whether the element of a slot is there, whichever line made it.
    /// What is further in stands for the first element below what must be there: `default .code.text` says nothing
    /// beside another `.code`.
    pub(super) fn stands(&self, frame: usize, one: &Const) -> bool {
        let mut slot = one.slot;
        loop {
            let Some(SlotAt::Child { parent, written, .. }) = self.slot_of(frame, slot).map(|s| &s.at) else {
                return self.peek(frame, slot).is_some();
            };
            if parent.up == 0 && *parent != one.anchor {
                slot = parent.slot;
                continue;
            }
            let Some(holder) = self.peek(self.above(frame, parent.up), parent.slot) else { return false };
            return self.draft.existing(holder, written.symbol).is_some();
        }
    }

    pub(super) fn set_const(&mut self, frame: usize, one: &Const) {
        let at = self.ensure(frame, one.slot);
        match &one.value {
            Constant::Text(text) => self.draft.set(at, text),
            Constant::Coding { system, code } => match self.slot_type(frame, one.slot) {
                "CodeableConcept" => {
                    let coding = self.draft.child(at, "coding");
                    self.draft.set_path(coding, "system", system);
                    self.draft.set_path(coding, "code", code);
                }
                "Coding" => {
                    self.draft.set_path(at, "system", system);
                    self.draft.set_path(at, "code", code);
                }
                _ => self.draft.set(at, code),
            },
            Constant::Provider => self.draft.set(at, &self.cx.provider),
            Constant::Now => self.draft.set(at, &self.cx.now.to_string()),
            Constant::Table { system, .. } => self.draft.set(at, system),
        }
        let state = match (one.default, one.events.is_empty()) {
            (true, true) => State::Empty,
            (false, true) => State::Fixed,
            (_, false) => State::Valued,
        };
        self.said(frame, Said::Slot(one.slot), state);
    }

    pub(super) fn links(&mut self) {
        let plan = self.plan;
        let mut filled = FxHashSet::default();
        for frame in 0..self.frames.len() {
            let Some(scope) = plan.scope(self.of(frame).scope) else { continue };
            for link in &scope.links {
                // A scope that stands for the reference itself is there where native is.
                let itself = link.anchor.up == 0 && link.anchor.slot == link.slot;
                let anchored = itself || self.peek(self.above(frame, link.anchor.up), link.anchor.slot).is_some();
                let mut named = std::iter::once(&link.to).chain(&link.outer).filter(|_| anchored);
                let Some(target) = named.find_map(|to| self.peek(self.above(frame, to.up), to.slot)) else { continue };
                // Places are in the order in which they were made.
                let Ok(entry) = self.entry_places.binary_search_by_key(&target, |entry| entry.at) else { continue };
                let at = self.ensure(frame, link.slot);
                // Of several scopes that would fill one element the first has.
                if !filled.insert(at) {
                    continue;
                }
                let reference = self.draft.child_of(at, self.names.reference);
                if let Some(entry) = self.entries.get(entry) {
                    self.draft.set(reference, &entry.full_url);
                }
                self.said(frame, Said::Slot(link.slot), State::Valued);
            }
        }
    }

    /// What action codes say is done to the resources of their scope.
    pub(super) fn verbs(&mut self) {
        let plan = self.plan;
        if plan.scopes.iter().all(|scope| scope.verb.is_none()) {
            return;
        }
        let mut said: FxHashMap<usize, Verb> = FxHashMap::default();
        for frame in 0..self.frames.len() {
            let Some((line, path)) = plan.scope(self.of(frame).scope).and_then(|s| s.verb.as_ref()) else { continue };
            let Some(node) = self.source.first(self.of(frame).base(), path) else { continue };
            let verb = self.source.tree.text(node).as_deref().and_then(Verb::of);
            let root = self.draft.root();
            let Some(verb) = verb else {
                self.record(node, root, *line, Disposition::Residue);
                continue;
            };
            self.record(node, root, *line, Disposition::Mapped);
            said.insert(frame, verb);
        }
        for (entry, place) in self.entries.iter_mut().zip(&self.entry_places) {
            if let Some(verb) = said.get(&place.frame) {
                entry.verb = *verb;
            }
        }
    }

    /// The leaves that lines leave out with a reason.
    pub(super) fn fates(&mut self) -> Vec<(u32, u32)> {
        let mut spoken = vec![false; self.source.tree.leaf_count() as usize];
        for record in &self.records {
            if let Some(slot) = spoken.get_mut(record.leaf as usize) {
                *slot = true;
            }
        }
        let mut dropped = Vec::new();
        let drops = || self.plan.fates.iter().filter(|fate| fate.drop.is_some());
        let mut frames: FxHashMap<ScopeId, Vec<usize>> = drops().map(|fate| (fate.scope, Vec::new())).collect();
        for (at, frame) in self.frames.iter().enumerate() {
            if let Some(frames) = frames.get_mut(&frame.scope) {
                frames.push(at);
            }
        }
        for fate in drops() {
            let Some(reason) = &fate.drop else { continue };
            for frame in frames.get(&fate.scope).into_iter().flatten().copied() {
                let base = self.of(frame).base();
                let mut places: Vec<NodeId> = Vec::new();
                for path in &fate.paths {
                    places.extend(self.source.select(base, path).into_iter().flat_map(|b| self.source.parts(b)));
                }
                if fate.paths.is_empty() {
                    places.extend(self.source.parts(base));
                }
                for leaf in places.into_iter().flat_map(|node| self.source.tree.leaves(node)) {
                    if let Some(slot) = spoken.get_mut(leaf as usize).filter(|s| !**s) {
                        *slot = true;
                        dropped.push((leaf, fate.line));
                        self.reasons.push((leaf, reason.clone()));
                    }
                }
            }
        }
        dropped
    }
}
