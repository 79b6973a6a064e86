//! Changes to a JSON document: the objects and arrays on the way to a change are taken apart at their commas and
//! joined again; new entries take the white space of their neighbours.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use super::super::edit::{Anchor, NewId, Place, Scalar, address};
use super::super::error::EditError;
use super::super::path::Step;
use super::super::tree::{Kind, MEMBER, NodeId, Tree};
use super::text;

type Bytes<'t> = Cow<'t, [u8]>;

/// A value under change.
#[derive(Debug)]
struct Slot<'t> {
    parent: Option<u32>,
    removed: bool,
    content: Content<'t>,
    /// The white space before it in its container, which shows its indentation.
    lead: Bytes<'t>,
}

#[derive(Debug)]
enum Content<'t> {
    Untouched(NodeId),
    Scalar(Vec<u8>),
    Container { object: bool, entries: Vec<Entry<'t>>, tail: Bytes<'t> },
}

/// A member or item.
#[derive(Debug)]
struct Entry<'t> {
    lead: Bytes<'t>,
    /// The name in quotes, the colon and the white space around it.
    name: Bytes<'t>,
    slot: u32,
    trail: &'t [u8],
}

/// A document under change.
#[derive(Debug)]
pub(crate) struct Sheet<'t> {
    tree: &'t Tree,
    slots: Vec<Slot<'t>>,
    of: FxHashMap<NodeId, u32>,
    made: Vec<u32>,
    style: Style<'t>,
    /// Containers that something was taken out of.
    emptied: Vec<u32>,
    demanded: Option<Demanded<'t>>,
}

/// Whether what is at the steps from the root must be there, be it empty.
#[derive(Clone, Copy)]
pub(crate) struct Demanded<'t>(pub(crate) &'t dyn Fn(&[Step]) -> bool);

impl std::fmt::Debug for Demanded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Demanded")
    }
}

/// How the document writes white space.
#[derive(Debug, Clone, Copy)]
struct Style<'t> {
    /// One level of indentation, where entries stand on lines of their own.
    indent: Option<&'t [u8]>,
    /// After the comma of entries on one line.
    gap: &'t [u8],
    /// Between a name and its value.
    colon: &'t [u8],
}

impl<'t> Sheet<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        let root =
            Slot { parent: None, removed: false, content: Content::Untouched(NodeId::ROOT), lead: Cow::Borrowed(b"") };
        let of = FxHashMap::from_iter([(NodeId::ROOT, 0)]);
        Self {
            tree,
            slots: vec![root],
            of,
            made: Vec::new(),
            style: Style::of(tree),
            emptied: Vec::new(),
            demanded: None,
        }
    }

    pub(crate) fn demanding(&mut self, demanded: &'t dyn Fn(&[Step]) -> bool) {
        self.demanded = Some(Demanded(demanded));
    }

    fn path(&self, at: Place, steps: &[Step]) -> String {
        match at {
            Place::Node(node) => address(self.tree, "", Some(node), steps),
            Place::New(_) => address(self.tree, "$…[new]", None, steps),
        }
    }

    fn slot(&mut self, slot: u32) -> Result<&mut Slot<'t>, EditError> {
        self.slots.get_mut(slot as usize).ok_or(EditError::Gone)
    }

    /// The slot of a place that is still in the document.
    fn place(&mut self, at: Place) -> Result<u32, EditError> {
        let slot = match at {
            Place::New(id) => self.made.get(id.0 as usize).copied().ok_or(EditError::Gone)?,
            Place::Node(node) => {
                let mut way = vec![];
                let mut at = node;
                while !self.of.contains_key(&at) {
                    way.push(at);
                    at = self.tree.parent(at).ok_or(EditError::Gone)?;
                }
                while let Some(next) = way.pop() {
                    let slot = self.of.get(&at).copied().ok_or(EditError::Gone)?;
                    self.open(slot)?;
                    at = next;
                }
                self.of.get(&node).copied().ok_or(EditError::Gone)?
            }
        };
        let mut at = Some(slot);
        while let Some(slot) = at {
            let slot = self.slot(slot)?;
            if slot.removed {
                return Err(EditError::Gone);
            }
            at = slot.parent;
        }
        Ok(slot)
    }

    /// Takes a container apart, if it is one; its children have slots then.
    fn open(&mut self, slot: u32) -> Result<(), EditError> {
        let Content::Untouched(node) = self.slot(slot)?.content else { return Ok(()) };
        let tree = self.tree;
        let object = match tree.kind(node) {
            Kind::Object => true,
            Kind::Array => false,
            _ => return Ok(()),
        };
        let span = tree.span(node);
        let bytes = |from: usize, to: usize| tree.bytes.get(from..to).unwrap_or_default();
        let mut entries: Vec<Entry<'t>> = Vec::new();
        let mut from = span.start + 1;
        let mut end = from;
        for child in tree.children(node) {
            let record = tree.record(child);
            let value = tree.span(child);
            let named = if record.flags & MEMBER != 0 { record.number as usize } else { value.start };
            if let Some(last) = entries.last_mut() {
                let comma = end + memchr::memchr(b',', bytes(end, named)).unwrap_or(0);
                last.trail = bytes(end, comma);
                from = comma + 1;
            }
            let lead = bytes(from, named);
            let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
            self.slots.push(Slot {
                parent: Some(slot),
                removed: false,
                content: Content::Untouched(child),
                lead: Cow::Borrowed(lead),
            });
            self.of.insert(child, index);
            entries.push(Entry {
                lead: Cow::Borrowed(lead),
                name: Cow::Borrowed(bytes(named, value.start)),
                slot: index,
                trail: b"",
            });
            end = value.end;
        }
        let tail = Cow::Borrowed(bytes(end, span.end - 1));
        self.slot(slot)?.content = Content::Container { object, entries, tail };
        Ok(())
    }

    fn entries(&mut self, slot: u32) -> Result<Option<(bool, &mut Vec<Entry<'t>>)>, EditError> {
        self.open(slot)?;
        Ok(match &mut self.slot(slot)?.content {
            Content::Container { object, entries, .. } => Some((*object, entries)),
            _ => None,
        })
    }

    /// One step to what is there.
    fn down(&mut self, slot: u32, step: &Step) -> Result<Option<u32>, EditError> {
        let Some((object, entries)) = self.entries(slot)? else { return Ok(None) };
        Ok(match step {
            Step::Member(name) if object => entries.iter().find(|entry| entry.is_named(name)).map(|entry| entry.slot),
            Step::Item(n) if !object => entries.get(*n as usize).map(|entry| entry.slot),
            _ => None,
        })
    }

    /// As far as the steps lead: the slot, and the steps that lead to nothing.
    fn walk<'s>(&mut self, at: Place, steps: &'s [Step]) -> Result<(u32, &'s [Step]), EditError> {
        let mut slot = self.place(at)?;
        let mut rest = steps;
        while let Some((step, behind)) = rest.split_first() {
            let Some(next) = self.down(slot, step)? else { break };
            slot = next;
            rest = behind;
        }
        Ok((slot, rest))
    }

    fn kind(&self, slot: u32) -> Kind {
        match self.slots.get(slot as usize).map(|slot| &slot.content) {
            Some(Content::Untouched(node)) => self.tree.kind(*node),
            Some(Content::Container { object: true, .. }) => Kind::Object,
            Some(Content::Container { object: false, .. }) => Kind::Array,
            Some(Content::Scalar(bytes)) => match bytes.first() {
                Some(b'"') => Kind::String,
                Some(b't' | b'f') => Kind::Boolean,
                Some(b'n') => Kind::Null,
                _ => Kind::Number,
            },
            None => Kind::Document,
        }
    }

    /// The slot at the steps, what is missing on the way made.
    fn make(&mut self, at: Place, steps: &[Step]) -> Result<u32, EditError> {
        let (mut slot, rest) = self.walk(at, steps)?;
        let wrong = |sheet: &Self, expected| EditError::NoSuchStep { path: sheet.path(at, steps), expected };
        let mut length = match self.entries(slot)? {
            Some((_, entries)) => entries.len(),
            None => 0,
        };
        let mut kind = self.kind(slot);
        for step in rest {
            match (step, kind) {
                (Step::Member(_), Kind::Object | Kind::Null) => {}
                (Step::Item(n), Kind::Array | Kind::Null) if *n as usize == length => {}
                (Step::Item(_), Kind::Array | Kind::Null) => {
                    return Err(wrong(self, "an item that is there, or the next"));
                }
                (Step::Member(_), _) => return Err(wrong(self, "an object on the way")),
                (Step::Item(_), _) => return Err(wrong(self, "an array on the way")),
                _ => return Err(wrong(self, "a member or item expected")),
            }
            (kind, length) = (Kind::Null, 0);
        }
        for step in rest {
            let object = matches!(step, Step::Member(_));
            let name = if let Step::Member(name) = step { Some(&**name) } else { None };
            self.become_container(slot, object)?;
            slot = self.insert_entry(slot, usize::MAX, name)?;
        }
        Ok(slot)
    }

    /// Makes an empty container of a null.
    fn become_container(&mut self, slot: u32, object: bool) -> Result<(), EditError> {
        if self.kind(slot) == Kind::Null {
            let tail = Cow::Borrowed(&b""[..]);
            self.slot(slot)?.content = Content::Container { object, entries: Vec::new(), tail };
        }
        self.open(slot)
    }

    /// Puts a null into a container, before the entry of this index.
    fn insert_entry(&mut self, slot: u32, index: usize, name: Option<&str>) -> Result<u32, EditError> {
        let style = self.style;
        let own = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let container = self.slot(slot)?;
        let outer = container.lead.clone().into_owned();
        let Content::Container { entries, tail, .. } = &mut container.content else { return Err(EditError::Gone) };
        let index = index.min(entries.len());
        let mut lead = style.lead(entries, &outer);
        if entries.is_empty() && tail.is_empty() && lead.contains(&b'\n') {
            *tail = Cow::Owned(if outer.contains(&b'\n') { outer } else { line_end(&lead).to_vec() });
        }
        if index == 0
            && let Some(first) = entries.first_mut()
        {
            lead = std::mem::replace(&mut first.lead, Cow::Owned(lead)).into_owned();
        }
        let name = match name {
            Some(name) => {
                let mut bytes = Vec::with_capacity(name.len() + 4);
                text::encode(name, &mut bytes);
                bytes.extend_from_slice(style.colon);
                Cow::Owned(bytes)
            }
            None => Cow::Borrowed(&b""[..]),
        };
        entries.insert(index, Entry { lead: Cow::Owned(lead.clone()), name, slot: own, trail: b"" });
        self.slots.push(Slot {
            parent: Some(slot),
            removed: false,
            content: Content::Scalar(b"null".to_vec()),
            lead: Cow::Owned(lead),
        });
        Ok(own)
    }

    /// Replaces a value; what stood in it is gone.
    fn replace(&mut self, slot: u32, bytes: Vec<u8>) -> Result<(), EditError> {
        let old = std::mem::replace(&mut self.slot(slot)?.content, Content::Scalar(bytes));
        match old {
            Content::Container { entries, .. } => {
                for entry in entries {
                    self.slot(entry.slot)?.removed = true;
                }
            }
            // Its children have no slots yet: they get some that are gone.
            Content::Untouched(node) => {
                for child in self.tree.children(node) {
                    let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                    let content = Content::Untouched(child);
                    self.slots.push(Slot { parent: Some(slot), removed: true, content, lead: Cow::Borrowed(b"") });
                    self.of.insert(child, index);
                }
            }
            Content::Scalar(_) => {}
        }
        Ok(())
    }

    pub(crate) fn set(&mut self, at: Place, steps: &[Step], value: Scalar<'_>) -> Result<(), EditError> {
        if let Scalar::Number(number) = value
            && !text::is_number(number)
        {
            return Err(EditError::Value { path: self.path(at, steps), reason: "a JSON number expected" });
        }
        let slot = self.make(at, steps)?;
        let bytes = match (value, self.kind(slot)) {
            (Scalar::Number(number), _) => number.as_bytes().to_vec(),
            (Scalar::Boolean(_), _) => value.text().as_bytes().to_vec(),
            (Scalar::AsBefore(number), Kind::Number) if text::is_number(number) => number.as_bytes().to_vec(),
            (Scalar::AsBefore(word @ ("true" | "false")), Kind::Boolean) => word.as_bytes().to_vec(),
            (Scalar::Text(text) | Scalar::AsBefore(text), _) => {
                let mut bytes = Vec::with_capacity(text.len() + 2);
                text::encode(text, &mut bytes);
                bytes
            }
        };
        self.replace(slot, bytes)
    }

    pub(crate) fn clear(&mut self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        match self.walk(at, steps)? {
            (slot, []) => self.take_out(slot, at, steps),
            _ => Ok(()),
        }
    }

    pub(crate) fn null(&mut self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        let slot = self.make(at, steps)?;
        self.replace(slot, b"null".to_vec())
    }

    pub(crate) fn remove(&mut self, at: Place) -> Result<(), EditError> {
        let slot = self.place(at)?;
        self.take_out(slot, at, &[])
    }

    fn take_out(&mut self, slot: u32, at: Place, steps: &[Step]) -> Result<(), EditError> {
        let Some(parent) = self.slot(slot)?.parent else {
            return Err(EditError::Fixed { path: self.path(at, steps), reason: "a document is a value" });
        };
        let Content::Container { entries, .. } = &mut self.slot(parent)?.content else { return Err(EditError::Gone) };
        let index = entries.iter().position(|entry| entry.slot == slot).ok_or(EditError::Gone)?;
        let entry = entries.remove(index);
        if index == 0
            && let Some(first) = entries.first_mut()
        {
            first.lead = entry.lead;
        }
        self.slot(slot)?.removed = true;
        self.emptied.push(parent);
        Ok(())
    }

    /// Takes out what a change has left without anything in it, where it need not be there.
    pub(crate) fn settle(&mut self) {
        let Some(Demanded(demanded)) = self.demanded else { return };
        while let Some(slot) = self.emptied.pop() {
            let is_empty = matches!(
                self.slots.get(slot as usize),
                Some(Slot { removed: false, content: Content::Container { entries, .. }, .. }) if entries.is_empty()
            );
            // What holds nothing else goes with it.
            let mut at = is_empty.then_some(slot);
            let mut goes = None;
            while let Some(here) = at {
                let Some(steps) = self.steps(here) else { break };
                if !demanded(&steps) {
                    goes = Some(here);
                }
                at = self.slots.get(here as usize).and_then(|slot| slot.parent).filter(|parent| {
                    let content = self.slots.get(*parent as usize).map(|slot| &slot.content);
                    matches!(content, Some(Content::Container { entries, .. }) if entries.len() == 1)
                });
            }
            if let Some(goes) = goes {
                // Its own container comes to the list by that.
                let _ = self.take_out(goes, Place::Node(NodeId::ROOT), &[]);
            }
        }
    }

    /// The way to a slot from the root; none to the root itself, to what is gone, and to what stands by its place beside others.
    fn steps(&self, slot: u32) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let mut at = slot;
        while let Some(parent) = self.slots.get(at as usize)?.parent {
            let Content::Container { entries, .. } = &self.slots.get(parent as usize)?.content else { return None };
            let index = entries.iter().position(|entry| entry.slot == at)?;
            let entry = entries.get(index)?;
            let name = entry.name();
            // FHIR has in `_given` what belongs to the item of `given` in the same place.
            if name.as_ref().is_some_and(|name| name.starts_with('_')) && at != slot {
                return None;
            }
            steps.push(name.map_or(Step::Item(u32::try_from(index).ok()?), |name| Step::Member(name.into())));
            at = parent;
        }
        steps.reverse();
        (!steps.is_empty()).then_some(steps)
    }

    pub(crate) fn insert_item(&mut self, anchor: Anchor<'_>) -> Result<NewId, EditError> {
        let (array, index) = match anchor {
            Anchor::Last(place, steps) => {
                let (slot, rest) = self.walk(place, steps)?;
                let kind = if rest.is_empty() { self.kind(slot) } else { Kind::Null };
                if !matches!(kind, Kind::Array | Kind::Null) {
                    let path = self.path(place, steps);
                    return Err(EditError::NoSuchStep { path, expected: "an array expected" });
                }
                let slot = self.make(place, steps)?;
                self.become_container(slot, false)?;
                (slot, usize::MAX)
            }
            Anchor::Before(place) | Anchor::After(place) => {
                let slot = self.place(place)?;
                let parent = self.slot(slot)?.parent;
                let path = self.path(place, &[]);
                let wrong = || EditError::NoSuchStep { path: path.clone(), expected: "an item of an array expected" };
                let parent = parent.ok_or_else(wrong)?;
                let Some((false, entries)) = self.entries(parent)? else { return Err(wrong()) };
                let index = entries.iter().position(|entry| entry.slot == slot).ok_or(EditError::Gone)?;
                (parent, if matches!(anchor, Anchor::Before(_)) { index } else { index + 1 })
            }
        };
        let slot = self.insert_entry(array, index, None)?;
        let id = NewId(u32::try_from(self.made.len()).unwrap_or(u32::MAX));
        self.made.push(slot);
        Ok(id)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        enum Part<'s> {
            Bytes(&'s [u8]),
            Slot(u32),
        }
        let root = self.tree.span(NodeId::ROOT);
        let bytes = |from: usize, to: usize| self.tree.bytes.get(from..to).unwrap_or_default();
        out.extend_from_slice(bytes(0, root.start));
        let mut parts = vec![Part::Slot(0)];
        while let Some(part) = parts.pop() {
            let slot = match part {
                Part::Bytes(bytes) => {
                    out.extend_from_slice(bytes);
                    continue;
                }
                Part::Slot(slot) => slot,
            };
            match self.slots.get(slot as usize).map(|slot| &slot.content) {
                None => {}
                Some(Content::Untouched(node)) => out.extend_from_slice(self.tree.raw(*node)),
                Some(Content::Scalar(bytes)) => out.extend_from_slice(bytes),
                Some(Content::Container { object, entries, tail }) => {
                    out.push(if *object { b'{' } else { b'[' });
                    parts.push(Part::Bytes(if *object { b"}" } else { b"]" }));
                    parts.push(Part::Bytes(tail));
                    for (n, entry) in entries.iter().enumerate().rev() {
                        parts.push(Part::Bytes(entry.trail));
                        parts.push(Part::Slot(entry.slot));
                        parts.push(Part::Bytes(&entry.name));
                        parts.push(Part::Bytes(&entry.lead));
                        if n > 0 {
                            parts.push(Part::Bytes(b","));
                        }
                    }
                }
            }
        }
        out.extend_from_slice(bytes(root.end, self.tree.bytes.len()));
    }
}

impl Entry<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.name().is_some_and(|own| own == name)
    }

    /// The name of a member.
    fn name(&self) -> Option<String> {
        let rest = self.name.get(1..)?;
        let mut end = 0;
        loop {
            match rest.get(end) {
                None | Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        Some(text::decode(rest.get(..end).unwrap_or_default()).into())
    }
}

impl<'t> Style<'t> {
    fn of(tree: &'t Tree) -> Self {
        let mut style = Style { indent: None, gap: b"", colon: b":" };
        let root = tree.span(NodeId::ROOT);
        let Some(child) = tree.children(NodeId::ROOT).next() else { return style };
        let record = tree.record(child);
        let value = tree.span(child).start;
        let named = if record.flags & MEMBER != 0 { record.number as usize } else { value };
        let lead = tree.bytes.get(root.start + 1..named).unwrap_or_default();
        if let Some(line) = memchr::memrchr(b'\n', lead) {
            style.indent = lead.get(line + 1..);
        }
        // The colon and its white space stand after the closing quote of the name.
        let name = tree.bytes.get(named..value).unwrap_or_default();
        if let Some(quote) = memchr::memrchr(b'"', name) {
            style.colon = name.get(quote + 1..).unwrap_or_default();
        }
        if style.colon.ends_with(b" ") {
            style.gap = b" ";
        }
        style
    }

    /// The white space before a new entry that is not the first, or is the only one.
    fn lead(&self, entries: &[Entry<'_>], outer: &[u8]) -> Vec<u8> {
        match entries {
            [_, second, ..] => second.lead.to_vec(),
            [only] if only.lead.contains(&b'\n') => only.lead.to_vec(),
            [_] => self.gap.to_vec(),
            [] => match self.indent {
                Some(indent) => {
                    let mut lead = if outer.contains(&b'\n') { outer.to_vec() } else { b"\n".to_vec() };
                    lead.extend_from_slice(indent);
                    lead
                }
                None => Vec::new(),
            },
        }
    }
}

/// The line end in some white space.
fn line_end(lead: &[u8]) -> &[u8] {
    if memchr::memchr(b'\r', lead).is_some() { b"\r\n" } else { b"\n" }
}
