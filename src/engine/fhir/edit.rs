//! A changed document: splices over the untouched bytes of the one before.
//!
//! Containers that hold no change are copied as they are; in the others, what stays keeps its text and the white space
//! around it. An array or object that loses all it held goes with it, since FHIR has no empty ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::{Document, Limits, SyntaxError};
use super::json::{Shape, flag};
use super::node::Node;
use super::scan;

/// Changes to be made to a document.
#[derive(Debug)]
pub struct Edit<'d> {
    document: &'d Document,
    replaced: BTreeMap<u32, String>,
    removed: BTreeSet<u32>,
    /// By object: name, JSON, and whether an array is wanted.
    added: BTreeMap<u32, Vec<Added>>,
    /// By array: items to append.
    appended: BTreeMap<u32, Vec<String>>,
    dirty: BTreeSet<u32>,
}

#[derive(Debug)]
struct Added {
    name: String,
    json: Vec<String>,
    is_array: bool,
    order: u32,
}

impl<'d> Edit<'d> {
    /// No change yet.
    #[must_use]
    pub fn new(document: &'d Document) -> Self {
        Self {
            document,
            replaced: BTreeMap::new(),
            removed: BTreeSet::new(),
            added: BTreeMap::new(),
            appended: BTreeMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dirty.is_empty()
    }

    fn touch(&mut self, slot: u32) {
        let mut at = Some(slot);
        while let Some(here) = at {
            if !self.dirty.insert(here) {
                break;
            }
            at = self.document.parent_of(here);
        }
    }

    /// Puts other JSON in a node's place. Its twin stays.
    pub fn replace(&mut self, node: Node<'d>, json: &str) {
        if node.slot == Node::NOTHING {
            // Only the twin is there: the value joins it.
            if let Some(parent) = node.parent() {
                self.insert(parent, node.name(), json);
            }
            return;
        }
        self.replaced.insert(node.slot, json.to_owned());
        self.touch(node.slot);
    }

    /// Puts another lexical value in a primitive's place, of the same JSON kind where it can be.
    pub fn set(&mut self, node: Node<'d>, value: &str) {
        let bare = match node.shape() {
            Some(Shape::Number) => scan::is_number(value),
            Some(Shape::Boolean) => matches!(value, "true" | "false"),
            _ => false,
        };
        if bare {
            self.replace(node, value);
        } else {
            self.replace(node, &quoted(value));
        }
    }

    /// Takes a node out, with its twin.
    pub fn remove(&mut self, node: Node<'d>) {
        for slot in [node.slot, node.twin] {
            if slot != Node::NOTHING {
                self.removed.insert(slot);
                self.touch(slot);
            }
        }
    }

    /// Adds a child: another repetition where the element repeats, else the value of the element.
    pub fn insert(&mut self, parent: Node<'d>, name: &str, json: &str) {
        let document = self.document;
        let symbol = document.model.symbol(name);
        let element = parent
            .type_id()
            .and_then(|of| document.model.child(of, symbol))
            .map(|found| document.model.element(found.element));
        let is_array = element.is_some_and(|element| element.is_array());
        let Some(object) = document.slot(parent.here()) else { return };
        let mut at = parent.here() + 1;
        while at < object.next {
            let Some(slot) = document.slot(at) else { break };
            if slot.flags & flag::TWIN == 0 && document.slot_name(at) == name && !self.removed.contains(&at) {
                if slot.shape == Shape::Array {
                    self.appended.entry(at).or_default().push(json.to_owned());
                } else {
                    self.replaced.insert(at, json.to_owned());
                }
                self.touch(at);
                return;
            }
            at = slot.next;
        }
        let list = self.added.entry(parent.here()).or_default();
        match list.iter_mut().find(|added| added.name == name) {
            Some(added) if is_array => added.json.push(json.to_owned()),
            Some(added) => added.json = vec![json.to_owned()],
            None => list.push(Added {
                name: name.to_owned(),
                json: vec![json.to_owned()],
                is_array,
                order: element.map_or(u32::MAX, |element| element.order()),
            }),
        }
        self.touch(parent.here());
    }

    /// Puts a whole member in place of what has its name: an array for an element that repeats. Twins of it go.
    pub fn put(&mut self, parent: Node<'d>, name: &str, json: &str) {
        let document = self.document;
        let Some(object) = document.slot(parent.here()) else { return };
        let mut held = None;
        let mut at = parent.here() + 1;
        while at < object.next {
            let Some(slot) = document.slot(at) else { break };
            if document.slot_name(at) == name {
                if slot.flags & flag::TWIN == 0 {
                    held = Some(at);
                } else {
                    self.removed.insert(at);
                    self.touch(at);
                }
            }
            at = slot.next;
        }
        if let Some(at) = held {
            self.replaced.insert(at, json.to_owned());
            self.removed.remove(&at);
            self.touch(at);
            return;
        }
        let symbol = document.model.symbol(name);
        let order = parent
            .type_id()
            .and_then(|of| document.model.child(of, symbol))
            .map_or(u32::MAX, |found| document.model.element(found.element).order());
        let list = self.added.entry(parent.here()).or_default();
        list.retain(|added| added.name != name);
        list.push(Added { name: name.to_owned(), json: vec![json.to_owned()], is_array: false, order });
        self.touch(parent.here());
    }

    /// Takes a whole member out, all repetitions and twins.
    pub fn drop_member(&mut self, parent: Node<'d>, name: &str) {
        let document = self.document;
        let Some(object) = document.slot(parent.here()) else { return };
        let mut at = parent.here() + 1;
        while at < object.next {
            let Some(slot) = document.slot(at) else { break };
            if document.slot_name(at) == name {
                self.removed.insert(at);
                self.touch(at);
            }
            at = slot.next;
        }
    }

    /// Adds a child with a lexical value that JSON writes as a string.
    pub fn insert_text(&mut self, parent: Node<'d>, name: &str, value: &str) {
        self.insert(parent, name, &quoted(value));
    }

    /// The changed text.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(self.document.text.len() + 256);
        let root = self.document.slot(0).map_or((0, 0), |slot| (slot.start as usize, slot.end as usize));
        out.push_str(self.document.text.get(..root.0).unwrap_or(""));
        self.value(0, &mut out);
        out.push_str(self.document.text.get(root.1..).unwrap_or(""));
        out
    }

    /// The changed document.
    ///
    /// # Errors
    /// When what was put in is not JSON, or makes a member twice.
    pub fn finish(&self) -> Result<Arc<Document>, SyntaxError> {
        let limits = Limits { bytes: u32::MAX, depth: u16::MAX, nodes: u32::MAX, string: u32::MAX };
        Document::from_json(&self.document.model, self.write().into_bytes(), &limits)
    }

    /// Whether nothing of a slot is left.
    fn is_gone(&self, index: u32) -> bool {
        if self.removed.contains(&index) {
            return true;
        }
        if !self.dirty.contains(&index) || self.replaced.contains_key(&index) {
            return false;
        }
        let Some(slot) = self.document.slot(index) else { return true };
        if !matches!(slot.shape, Shape::Object | Shape::Array)
            || self.added.contains_key(&index)
            || self.appended.contains_key(&index)
        {
            return false;
        }
        let mut held = 0;
        let mut at = index + 1;
        while at < slot.next {
            held += 1;
            if !self.is_gone(at) {
                return false;
            }
            at = self.document.slot(at).map_or(slot.next, |slot| slot.next);
        }
        held > 0
    }

    fn value(&self, index: u32, out: &mut String) {
        let Some(slot) = self.document.slot(index) else { return };
        let text = self.document.text.as_str();
        let quotes = usize::from(slot.shape == Shape::String);
        let span = slot.start as usize - quotes..slot.end as usize + quotes;
        if let Some(json) = self.replaced.get(&index) {
            out.push_str(json);
        } else if self.dirty.contains(&index) && matches!(slot.shape, Shape::Object | Shape::Array) {
            self.container(index, span.start, span.end, out);
        } else {
            out.push_str(text.get(span).unwrap_or(""));
        }
    }

    /// Writes an object or array that holds changes.
    fn container(&self, index: u32, start: usize, end: usize, out: &mut String) {
        let text = self.document.text.as_str();
        let Some(slot) = self.document.slot(index) else { return };
        let is_object = slot.shape == Shape::Object;
        let mut added: Vec<&Added> = self.added.get(&index).map(|list| list.iter().collect()).unwrap_or_default();
        added.sort_by_key(|one| one.order);
        let mut added = added.into_iter().peekable();
        out.push_str(text.get(start..=start).unwrap_or(""));
        let mut before = start + 1;
        let mut lead = "";
        let mut is_first = true;
        let mut at = index + 1;
        while at < slot.next {
            let Some(held) = self.document.slot(at) else { break };
            let quotes = usize::from(held.shape == Shape::String);
            let (value_start, value_end) = (held.start as usize - quotes, held.end as usize + quotes);
            let from = if is_object { key_start(text, value_start) } else { value_start };
            let gap = text.get(before..from).unwrap_or("");
            let space = gap.trim_start_matches(|letter: char| letter != ',').trim_start_matches(',');
            let space = if gap.contains(',') { space } else { gap };
            if lead.is_empty() {
                lead = space;
            }
            if !self.is_gone(at) {
                let order = self.document.slot_element(at).map_or(0, |id| self.document.model.element(id).order());
                while let Some(one) = added.next_if(|one| one.order < order) {
                    separate(&mut is_first, lead, out);
                    one.write(out);
                }
                if is_first {
                    out.push_str(space);
                } else if gap.contains(',') {
                    out.push_str(gap);
                } else {
                    out.push(',');
                    out.push_str(gap);
                }
                is_first = false;
                out.push_str(text.get(from..value_start).unwrap_or(""));
                self.value(at, out);
            }
            before = value_end;
            at = held.next;
        }
        for one in added {
            separate(&mut is_first, lead, out);
            one.write(out);
        }
        for json in self.appended.get(&index).into_iter().flatten() {
            separate(&mut is_first, lead, out);
            out.push_str(json);
        }
        out.push_str(text.get(before..end).unwrap_or(""));
    }
}

impl Added {
    fn write(&self, out: &mut String) {
        scan::write_string(&self.name, out);
        out.push(':');
        if self.is_array {
            out.push('[');
            out.push_str(&self.json.join(","));
            out.push(']');
        } else {
            out.push_str(&self.json.concat());
        }
    }
}

fn separate(is_first: &mut bool, lead: &str, out: &mut String) {
    if !std::mem::replace(is_first, false) {
        out.push(',');
    }
    out.push_str(lead);
}

fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    scan::write_string(value, &mut out);
    out
}

/// The opening quote of the key whose value starts at a place.
fn key_start(text: &str, value: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = value;
    let mut quotes = 0;
    while at > 0 {
        at -= 1;
        if bytes.get(at) == Some(&b'"') {
            let slashes =
                bytes.get(..at).map_or(0, |before| before.iter().rev().take_while(|byte| **byte == b'\\').count());
            // Going back, the closing quote comes first, and only an unescaped one opens.
            if quotes == 0 || slashes % 2 == 0 {
                quotes += 1;
                if quotes == 2 {
                    return at;
                }
            }
        }
    }
    0
}
