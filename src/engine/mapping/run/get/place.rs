//! FHIR places forward: slots made when the first value for them comes, resources of the Bundle and their keys.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::definitions::Symbol;
use crate::fhir::draft::{At, make_room};
use crate::native::NodeId;

use super::super::super::identity;
use super::super::super::plan::{Key, Mark, MarkValue, Slot, SlotAt, SlotSelect};
use super::super::super::trace::Disposition;
use super::super::source::Base;
use super::super::{EntryInfo, EntryPlace, Verb};
use super::Get;

/// What a resource is known by in its provider's world.
struct KeyText {
    text: String,
    personal: bool,
    /// The leaves that it is made of.
    parts: Vec<NodeId>,
}

impl<'r> Get<'r> {
    pub(super) fn slot_of(&self, frame: usize, slot: u16) -> Option<&'r Slot> {
        self.plan.scope(self.of(frame).scope)?.slots.get(usize::from(slot))
    }

    pub(super) fn slot_type(&self, frame: usize, slot: u16) -> &'r str {
        self.slot_of(frame, slot).map_or("", |slot| self.model.type_name(slot.type_id))
    }

    pub(super) fn known(&self, frame: usize, slot: u16) -> Option<At> {
        self.slots.get(self.of(frame).slots() + usize::from(slot)).copied().filter(|at| *at != At::NOWHERE)
    }

    pub(super) fn forget(&mut self, frame: usize, slot: u16) {
        let index = self.of(frame).slots() + usize::from(slot);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = At::NOWHERE;
        }
    }

    /// The place of a slot where it is made already; aliases are looked through.
    pub(super) fn peek(&self, frame: usize, slot: u16) -> Option<At> {
        if let Some(at) = self.known(frame, slot) {
            return Some(at);
        }
        match &self.slot_of(frame, slot)?.at {
            SlotAt::Alias(to) => self.peek(self.above(frame, to.up), to.slot),
            _ => None,
        }
    }

    /// The place of a slot, made when it is not there.
    pub(super) fn ensure(&mut self, frame: usize, slot: u16) -> At {
        if let Some(at) = self.known(frame, slot) {
            return at;
        }
        let Some(of) = self.slot_of(frame, slot) else { return self.draft.root() };
        let at = match &of.at {
            SlotAt::Alias(to) => {
                let above = self.above(frame, to.up);
                let at = self.ensure(above, to.slot);
                // All from a place on: the next is another.
                if self.slot_of(above, to.slot).is_some_and(|s| s.at.follows()) {
                    self.forget(above, to.slot);
                }
                at
            }
            SlotAt::Nowhere => self.draft.root(),
            SlotAt::Entry(index) => return self.entry(frame, *index, slot),
            SlotAt::Child { parent, written, select, list, .. } => {
                let parent = self.ensure(self.above(frame, parent.up), parent.slot);
                self.below(parent, written.symbol, select, *list)
            }
        };
        self.remember_slot(frame, slot, at);
        at
    }

    pub(super) fn remember_slot(&mut self, frame: usize, slot: u16, at: At) {
        let index = self.of(frame).slots() + usize::from(slot);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = at;
        }
    }

    pub(super) fn below(&mut self, parent: At, written: Symbol, select: &SlotSelect, list: bool) -> At {
        match select {
            SlotSelect::First => self.draft.child_of(parent, written),
            SlotSelect::Each | SlotSelect::From(_) => self.draft.push_of(parent, written),
            SlotSelect::Index(n) => {
                let draft = &self.draft;
                let nth = draft.children(parent).filter(|c| draft.symbol(*c) == written).nth(usize::from(*n));
                nth.unwrap_or_else(|| self.draft.push_of(parent, written))
            }
            SlotSelect::With(marks, each) => {
                let there = if *each { None } else { self.marked(parent, written, marks) };
                let at = match there {
                    Some(at) => return at,
                    None if list => self.draft.push_of(parent, written),
                    None => self.draft.child_of(parent, written),
                };
                for mark in marks.iter().filter(|m| !m.not) {
                    self.set_mark(at, mark);
                }
                at
            }
        }
    }

    /// The first element of a list of which marks hold.
    fn marked(&self, parent: At, written: Symbol, marks: &[Mark]) -> Option<At> {
        let draft = &self.draft;
        let mut all = draft.children(parent).filter(|c| draft.symbol(*c) == written);
        all.find(|at| marks.iter().all(|mark| super::super::fold::draft_says(draft, *at, mark)))
    }

    pub(super) fn set_mark(&mut self, at: At, mark: &Mark) {
        if matches!(mark.value, MarkValue::Resource(_)) {
            return;
        }
        let mut at = at;
        for name in &mark.path {
            at = self.draft.child_of(at, name.symbol);
        }
        match &mark.value {
            MarkValue::Any => {}
            MarkValue::Text(text) => self.draft.set(at, text),
            MarkValue::Coding { system, code, wrapped } => {
                let coding = if *wrapped { self.draft.child(at, "coding") } else { at };
                self.draft.set_path(coding, "system", system);
                self.draft.set_path(coding, "code", code);
            }
            MarkValue::Resource(_) => {}
        }
    }

    /// Makes a resource of the Bundle.
    pub(super) fn entry(&mut self, frame: usize, index: u16, slot: u16) -> At {
        let plan = self.plan;
        let of = self.of(frame);
        let Some(scope) = plan.scope(of.scope) else { return self.draft.root() };
        let Some(entry) = scope.entries.get(usize::from(index)) else { return self.draft.root() };
        let key = entry.key.as_ref().and_then(|key| self.key(of.base(), key));
        let found_key = key.is_some();
        let ordinal = self.ordinals.entry((of.scope, index)).or_insert(0);
        *ordinal += 1;
        let (key, personal, parts) = match key {
            Some(key) => (key.text, key.personal, key.parts),
            None => {
                let document = self.document_key.as_deref().unwrap_or_default();
                (format!("{document}/{}/{ordinal}", entry.name), false, Vec::new())
            }
        };
        let shown = if personal { identity::keyed(&self.cx.secret, &key) } else { key };
        let mut url = identity::url(&self.cx.provider, self.map, &entry.name, &shown);
        let own = entry.url.as_ref().and_then(|path| self.source.first(of.base(), path));
        if let Some(text) = own.and_then(|node| self.source.tree.text(node)).filter(|text| !self.is_taken(text)) {
            url = text.into_owned();
        }
        while self.is_taken(&url) {
            let copy = self.keyed.entry((entry.name.to_string(), shown.clone())).or_insert(1);
            *copy += 1;
            url = identity::url(&self.cx.provider, self.map, &entry.name, &format!("{shown}#{copy}"));
        }
        let root = self.draft.root();
        let place = self.draft.push_of(root, self.names.entry);
        let name = self.draft.push_of(place, self.names.full_url);
        self.draft.set(name, &url);
        // What a resource is known by is in its name; of a personal key the name keeps nothing.
        for part in own.into_iter().chain(parts.into_iter().filter(|_| !personal)) {
            self.record(part, name, entry.line, Disposition::Mapped);
        }
        let at = self.draft.push_of(place, self.names.resource);
        self.draft.becomes(at, &entry.resource);
        self.remember_slot(frame, slot, at);
        let number = self.entries.len();
        self.urls.entry(FxBuildHasher.hash_one(url.as_str())).or_insert(number);
        make_room(&mut self.entries, 1);
        self.entry_places.push(EntryPlace { frame, slot, at });
        self.entries.push(EntryInfo {
            name: Arc::clone(&entry.name),
            resource: Arc::clone(&entry.resource),
            full_url: url,
            native_id: shown,
            has_key: entry.key.is_some(),
            key_found: found_key,
            personal,
            verb: Verb::Put,
        });
        if let Some(reference) = entry.reference {
            let reference = self.ensure(frame, reference);
            let reference = self.draft.child_of(reference, self.names.reference);
            if let Some(entry) = self.entries.get(number) {
                self.draft.set(reference, &entry.full_url);
            }
        }
        at
    }

    /// Whether an entry has this fullUrl.
    fn is_taken(&self, url: &str) -> bool {
        let first = self.urls.get(&FxBuildHasher.hash_one(url)).and_then(|first| self.entries.get(*first..));
        first.is_some_and(|entries| entries.iter().any(|entry| entry.full_url == url))
    }

    /// The key of a part of the document.
    fn key(&self, base: Base, key: &Key) -> Option<KeyText> {
        key.alternatives.iter().find_map(|(personal, parts)| {
            let mut texts = Vec::new();
            let mut nodes = Vec::new();
            for path in parts {
                let node = self.source.first(base, path)?;
                let tree = self.source.tree;
                let before = texts.len();
                for leaf in tree.leaves(node) {
                    let part = tree.leaf_node(leaf);
                    texts.extend(tree.text(part).map(Cow::into_owned));
                    nodes.extend(part);
                }
                if texts.len() == before {
                    return None;
                }
            }
            Some(KeyText { text: texts.join("-"), personal: *personal, parts: nodes })
        })
    }

    /// A key for what has none of its own: that of the document's first entry, else its content.
    pub(super) fn whole_key(&self) -> String {
        let entries = self.plan.scope(0).map(|s| s.entries.as_slice()).unwrap_or_default();
        let root = self.source.root();
        let keyed = entries.iter().find_map(|e| self.key(root, e.key.as_ref()?));
        match keyed {
            Some(key) if key.personal => identity::keyed(&self.cx.secret, &key.text),
            Some(key) => key.text,
            None => identity::digest(self.source.tree.bytes()),
        }
    }
}
