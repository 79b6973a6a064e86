//! Changes to an XML document: the elements on the way to a change are taken apart and joined again; an element that
//! stands on a line of its own is inserted and removed with the white space before it.

mod complete;
mod names;
mod order;

use rustc_hash::FxHashMap;

use super::super::charset::Charset;
use super::super::edit::{Place, address};
use super::super::error::EditError;
use super::super::path::{Name, Step};
use super::super::tree::{Kind, NodeId, Tree};
use super::element::{Attribute, Element};
use super::{Found, XSI, XmlSchema, local_name, text};
use complete::NULL_FLAVOR;

/// A piece of content under change.
#[derive(Debug)]
struct Slot<'t> {
    parent: Option<u32>,
    removed: bool,
    content: Content<'t>,
}

#[derive(Debug)]
enum Content<'t> {
    Untouched(NodeId),
    Text(Vec<u8>),
    /// A new element as it is written.
    Markup(Vec<u8>),
    Element(Element<'t>),
}

/// What an address means.
#[derive(Debug, Clone, Copy)]
enum Target<'s> {
    Element(u32),
    Text(u32),
    /// An attribute that is there.
    Attribute(u32, usize),
    /// An attribute that is not.
    NoAttribute(u32, &'s Name),
    /// A run of text that is not.
    NoText(u32),
}

/// A document under change.
#[derive(Debug)]
pub(crate) struct Sheet<'t> {
    tree: &'t Tree,
    found: &'t Found,
    slots: Vec<Slot<'t>>,
    of: FxHashMap<NodeId, u32>,
    made: Vec<u32>,
    top: Option<NodeId>,
    schema: Option<&'t XmlSchema>,
    /// Whether the document itself is new.
    is_new: bool,
    /// Elements that something was taken out of.
    emptied: Vec<u32>,
    /// Elements that something was put into.
    filled: Vec<u32>,
}

impl<'t> Sheet<'t> {
    pub(crate) fn new(tree: &'t Tree, found: &'t Found) -> Self {
        let top = tree.document_element();
        let root = Slot { parent: None, removed: false, content: Content::Untouched(top.unwrap_or(NodeId::ROOT)) };
        let of = top.map(|top| (top, 0)).into_iter().collect();
        Self {
            tree,
            found,
            slots: vec![root],
            of,
            made: Vec::new(),
            top,
            schema: None,
            is_new: false,
            emptied: Vec::new(),
            filled: Vec::new(),
        }
    }

    pub(crate) fn by_schema(&mut self, schema: &'t XmlSchema) {
        self.schema = Some(schema);
    }

    fn path(&self, at: Place, steps: &[Step]) -> String {
        match at {
            Place::Node(node) => address(self.tree, "", Some(node), steps),
            Place::New(_) => address(self.tree, "…[new]", None, steps),
        }
    }

    fn slot(&mut self, slot: u32) -> Result<&mut Slot<'t>, EditError> {
        self.slots.get_mut(slot as usize).ok_or(EditError::Gone)
    }

    fn push(&mut self, parent: u32, content: Content<'t>) -> u32 {
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { parent: Some(parent), removed: false, content });
        index
    }

    /// The element of a slot, taken apart on first use.
    fn element(&mut self, slot: u32) -> Result<&mut Element<'t>, EditError> {
        if let Content::Untouched(node) = self.slot(slot)?.content {
            if self.tree.kind(node) != Kind::Element {
                return Err(EditError::Gone);
            }
            let mut element = Element::open(self.tree, node);
            for child in self.tree.children(node).filter(|child| self.tree.kind(*child) != Kind::Attribute) {
                let index = self.push(slot, Content::Untouched(child));
                self.of.insert(child, index);
                element.children.push(index);
            }
            self.slot(slot)?.content = Content::Element(element);
        }
        match &mut self.slot(slot)?.content {
            Content::Element(element) => Ok(element),
            _ => Err(EditError::Gone),
        }
    }

    /// The slot of a node that is no attribute, and still in the document.
    fn slot_of(&mut self, node: NodeId) -> Result<u32, EditError> {
        let mut way = Vec::new();
        let mut at = node;
        while !self.of.contains_key(&at) {
            way.push(at);
            at = self.tree.parent(at).ok_or(EditError::Gone)?;
        }
        while let Some(next) = way.pop() {
            let slot = self.of.get(&at).copied().ok_or(EditError::Gone)?;
            self.element(slot)?;
            at = next;
        }
        self.of.get(&node).copied().ok_or(EditError::Gone)
    }

    fn still_there(&mut self, slot: u32) -> Result<u32, EditError> {
        let mut at = Some(slot);
        while let Some(next) = at {
            let next = self.slot(next)?;
            if next.removed {
                return Err(EditError::Gone);
            }
            at = next.parent;
        }
        Ok(slot)
    }

    fn place(&mut self, at: Place) -> Result<Target<'static>, EditError> {
        match at {
            Place::New(id) => {
                let slot = self.made.get(id.0 as usize).copied().ok_or(EditError::Gone)?;
                Ok(Target::Element(self.still_there(slot)?))
            }
            Place::Node(node) if self.tree.kind(node) == Kind::Attribute => {
                let parent = self.tree.parent(node).ok_or(EditError::Gone)?;
                let slot = self.slot_of(parent)?;
                self.still_there(slot)?;
                let attributes = &self.element(slot)?.attributes;
                let index = attributes.iter().position(|attribute| attribute.node == Some(node));
                Ok(Target::Attribute(slot, index.ok_or(EditError::Gone)?))
            }
            Place::Node(node) => {
                let slot = self.slot_of(node)?;
                self.still_there(slot)?;
                Ok(if self.tree.kind(node) == Kind::Element { Target::Element(slot) } else { Target::Text(slot) })
            }
        }
    }

    fn is_element_named(&self, slot: u32, name: &Name) -> bool {
        match self.slots.get(slot as usize).map(|slot| &slot.content) {
            Some(Content::Untouched(node)) => self.is_node_named(*node, name),
            Some(Content::Element(element)) => match (&element.new_name, element.node) {
                (Some(own), _) => own == name,
                (None, Some(node)) => self.is_node_named(node, name),
                _ => false,
            },
            _ => false,
        }
    }

    fn is_node_named(&self, node: NodeId, name: &Name) -> bool {
        matches!(self.tree.kind(node), Kind::Element | Kind::Attribute)
            && self.tree.namespace(node) == name.namespace.as_deref().filter(|uri| !uri.is_empty())
            && local_name(self.tree, node).is_some_and(|local| local == *name.local)
    }

    fn attribute_index(&mut self, slot: u32, name: &Name) -> Result<Option<usize>, EditError> {
        let nodes: Vec<_> = self.element(slot)?.attributes.iter().map(|a| (a.node, a.new_name.clone())).collect();
        Ok(nodes.iter().position(|(node, own)| match (node, own) {
            (_, Some(own)) => own == name,
            (Some(node), None) => !super::is_declaration(self.tree, *node) && self.is_node_named(*node, name),
            _ => false,
        }))
    }

    fn is_text(&self, slot: u32) -> bool {
        match self.slots.get(slot as usize).map(|slot| &slot.content) {
            Some(Content::Untouched(node)) => self.tree.kind(*node) == Kind::Text,
            Some(Content::Text(_)) => true,
            _ => false,
        }
    }

    fn is_element(&self, slot: u32) -> bool {
        match self.slots.get(slot as usize).map(|slot| &slot.content) {
            Some(Content::Untouched(node)) => self.tree.kind(*node) == Kind::Element,
            Some(Content::Element(_) | Content::Markup(_)) => true,
            _ => false,
        }
    }

    /// As far as the steps lead: what is there, and the steps that lead to no element.
    fn walk<'s>(&mut self, at: Place, steps: &'s [Step]) -> Result<(Target<'s>, &'s [Step]), EditError> {
        let wrong = |sheet: &Self, expected| EditError::NoSuchStep { path: sheet.path(at, steps), expected };
        let mut rest = steps;
        let mut target = if at == Place::Node(NodeId::ROOT) {
            let Some((Step::Element(name, 1), behind)) = steps.split_first() else {
                return Err(wrong(self, "the document element expected"));
            };
            if !self.is_element_named(0, name) {
                return Err(wrong(self, "the document element expected"));
            }
            rest = behind;
            Target::Element(0)
        } else {
            self.place(at)?
        };
        while let Some((step, behind)) = rest.split_first() {
            let Target::Element(slot) = target else { return Err(wrong(self, "nothing stands below it")) };
            target = match step {
                Step::Element(name, nth) => {
                    let children = self.element(slot)?.children.clone();
                    let mut named = children.into_iter().filter(|child| self.is_element_named(*child, name));
                    let Some(nth) = nth.checked_sub(1) else { return Err(wrong(self, "numbers count from one")) };
                    match named.nth(nth as usize) {
                        Some(child) => Target::Element(child),
                        None => return Ok((target, rest)),
                    }
                }
                Step::Attribute(name) => match self.attribute_index(slot, name)? {
                    Some(index) => Target::Attribute(slot, index),
                    None => Target::NoAttribute(slot, name),
                },
                Step::Text(nth) => {
                    let children = self.element(slot)?.children.clone();
                    let mut texts = children.into_iter().filter(|child| self.is_text(*child));
                    let Some(nth) = nth.checked_sub(1) else { return Err(wrong(self, "numbers count from one")) };
                    texts.nth(nth as usize).map_or(Target::NoText(slot), Target::Text)
                }
                _ => return Err(wrong(self, "an element, attribute or text expected")),
            };
            rest = behind;
        }
        Ok((target, rest))
    }

    /// What is at the steps, missing elements on the way made.
    fn make<'s>(&mut self, at: Place, steps: &'s [Step]) -> Result<Target<'s>, EditError> {
        let wrong = |sheet: &Self, expected| EditError::NoSuchStep { path: sheet.path(at, steps), expected };
        let (target, rest) = self.walk(at, steps)?;
        let (Target::Element(mut slot), Some((first, others))) = (target, rest.split_first()) else {
            return Ok(target);
        };
        // Only elements are missing on the way: the first is the next of its name, those below it the first of theirs.
        if let Step::Element(name, nth) = first {
            let children = self.element(slot)?.children.clone();
            let count = children.into_iter().filter(|child| self.is_element_named(*child, name)).count();
            if *nth as usize != count + 1 {
                return Err(wrong(self, "an element that is there, or the next"));
            }
        }
        for step in rest {
            if let Step::Element(name, _) | Step::Attribute(name) = step
                && !self.can_be_written(name)
            {
                return Err(wrong(self, "a name that the document can write expected"));
            }
        }
        for (n, step) in others.iter().enumerate() {
            let last = n + 1 == others.len();
            let fits = match step {
                Step::Element(_, 1) => true,
                Step::Attribute(_) | Step::Text(1) => last,
                _ => false,
            };
            if !fits {
                return Err(wrong(self, "below a missing element, the first of each name expected"));
            }
        }
        for step in rest {
            match step {
                Step::Element(name, _) => {
                    slot = self.append(slot, name)?;
                }
                Step::Attribute(name) => return Ok(Target::NoAttribute(slot, name)),
                _ => return Ok(Target::NoText(slot)),
            }
        }
        Ok(Target::Element(slot))
    }

    pub(crate) fn set(&mut self, at: Place, steps: &[Step], value: &str) -> Result<(), EditError> {
        if text::unwritable(value).is_some() {
            let path = self.path(at, steps);
            return Err(EditError::Value { path, reason: "a character that XML does not have" });
        }
        let target = self.make(at, steps)?;
        let charset = self.found.charset;
        let typed = self.type_value(&target, value)?;
        let value = typed.as_deref().unwrap_or(value);
        match target {
            Target::Attribute(slot, index) => {
                if let Some(attribute) = self.element(slot)?.attributes.get_mut(index) {
                    attribute.set(value, charset);
                }
                Ok(())
            }
            Target::NoAttribute(slot, name) => self.add_attribute(slot, name, value),
            Target::Text(slot) => {
                let mut bytes = Vec::new();
                text::encode(value, None, charset, &mut bytes);
                self.slot(slot)?.content = Content::Text(bytes);
                Ok(())
            }
            Target::NoText(slot) => self.add_text(slot, value),
            Target::Element(slot) => {
                let children = self.element(slot)?.children.clone();
                if children.iter().any(|child| self.is_element(*child)) {
                    return self.set_words(slot, value);
                }
                self.drop_texts(slot)?;
                let nil = Name::new(XSI, "nil");
                if let Some(index) = self.attribute_index(slot, &nil)? {
                    self.element(slot)?.attributes.remove(index);
                }
                if value.is_empty() { Ok(()) } else { self.add_text(slot, value) }
            }
        }
    }

    pub(crate) fn set_markup(&mut self, at: Place, steps: &[Step], markup: &str) -> Result<(), EditError> {
        let Target::Element(slot) = self.make(at, steps)? else {
            return Err(EditError::NoSuchStep { path: self.path(at, steps), expected: "an element expected" });
        };
        if text::unwritable(markup).is_some() {
            return Err(EditError::Value { path: self.path(at, steps), reason: "a character that XML does not have" });
        }
        let prefix = self.prefix_of_schema(slot)?.unwrap_or_default();
        for child in std::mem::take(&mut self.element(slot)?.children) {
            self.slot(child)?.removed = true;
        }
        let mut bytes = Vec::with_capacity(markup.len());
        let mut before = ' ';
        let mut tag = false;
        for c in markup.chars() {
            let starts = tag && (c.is_alphabetic() || c == '_') && matches!(before, '<' | '/');
            if starts && !prefix.is_empty() {
                bytes.extend_from_slice(prefix.as_bytes());
                bytes.push(b':');
            }
            tag = c == '<' || (tag && c == '/' && before == '<');
            before = c;
            if c.is_ascii() || self.found.charset == Charset::Utf8 {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            } else {
                bytes.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes());
            }
        }
        let piece = self.push(slot, Content::Text(bytes));
        self.element(slot)?.children.push(piece);
        Ok(())
    }

    fn add_text(&mut self, slot: u32, value: &str) -> Result<(), EditError> {
        self.filled.push(slot);
        let mut bytes = Vec::new();
        text::encode(value, None, self.found.charset, &mut bytes);
        let text = self.push(slot, Content::Text(bytes));
        self.element(slot)?.children.push(text);
        Ok(())
    }

    fn add_attribute(&mut self, slot: u32, name: &Name, value: &str) -> Result<(), EditError> {
        let (qualified, declaration) = self.qualify(slot, name, false)?;
        let charset = self.found.charset;
        if &*name.local != NULL_FLAVOR && name.namespace.as_deref() != Some(XSI) {
            self.filled.push(slot);
        }
        let attributes = &mut self.element(slot)?.attributes;
        attributes.extend(declaration.map(Attribute::declaring));
        attributes.push(Attribute::new(name.clone(), &qualified, value, charset));
        Ok(())
    }

    /// What is written between the elements in an element: white space aside.
    fn words(&mut self, slot: u32) -> Result<Vec<u32>, EditError> {
        let children = self.element(slot)?.children.clone();
        let says = |child: &u32| match self.slots.get(*child as usize).map(|slot| &slot.content) {
            Some(Content::Untouched(node)) => self.tree.kind(*node) == Kind::Text && self.tree.leaf(*node).is_some(),
            Some(Content::Text(bytes)) => !bytes.trim_ascii().is_empty(),
            _ => false,
        };
        Ok(children.into_iter().filter(says).collect())
    }

    /// Writes the text of an element that has others in it: where its first words stand, else before all of them.
    fn set_words(&mut self, slot: u32, value: &str) -> Result<(), EditError> {
        let mut words = self.words(slot)?.into_iter();
        let mut bytes = Vec::new();
        text::encode(value, None, self.found.charset, &mut bytes);
        match words.next() {
            Some(first) => self.slot(first)?.content = Content::Text(bytes),
            None => {
                let piece = self.push(slot, Content::Text(bytes));
                self.element(slot)?.children.insert(0, piece);
            }
        }
        for further in words {
            self.take_away(further)?;
        }
        Ok(())
    }

    fn drop_texts(&mut self, slot: u32) -> Result<(), EditError> {
        let children = self.element(slot)?.children.clone();
        let (texts, others): (Vec<_>, Vec<_>) = children.into_iter().partition(|child| self.is_text(*child));
        for text in texts {
            self.slot(text)?.removed = true;
        }
        self.element(slot)?.children = others;
        Ok(())
    }

    pub(crate) fn clear(&mut self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        match self.walk(at, steps)? {
            // Of an element that has others in it only the words go.
            (Target::Element(slot), [])
                if self.element(slot)?.children.clone().iter().any(|child| self.is_element(*child))
                    && !self.words(slot)?.is_empty() =>
            {
                for words in self.words(slot)? {
                    self.take_away(words)?;
                }
                Ok(())
            }
            (target, []) => self.take_out(target, at, steps),
            _ => Ok(()),
        }
    }

    pub(crate) fn remove(&mut self, at: Place) -> Result<(), EditError> {
        let target = self.place(at)?;
        self.take_out(target, at, &[])
    }

    fn take_out(&mut self, target: Target<'_>, at: Place, steps: &[Step]) -> Result<(), EditError> {
        let slot = match target {
            Target::Attribute(slot, index) => {
                self.element(slot)?.attributes.remove(index);
                self.emptied.push(slot);
                return Ok(());
            }
            Target::NoAttribute(..) | Target::NoText(_) => return Ok(()),
            Target::Text(slot) | Target::Element(slot) => slot,
        };
        let Some(parent) = self.slot(slot)?.parent else {
            return Err(EditError::Fixed { path: self.path(at, steps), reason: "a document has an element" });
        };
        self.take_away(slot)?;
        self.emptied.push(parent);
        Ok(())
    }

    /// Takes a piece of content out, an element with the white space that puts it on a line of its own.
    fn take_away(&mut self, slot: u32) -> Result<(), EditError> {
        let Some(parent) = self.slot(slot)?.parent else { return Ok(()) };
        let children = &self.element(parent)?.children;
        let index = children.iter().position(|child| *child == slot).ok_or(EditError::Gone)?;
        let before = index.checked_sub(1).and_then(|n| children.get(n)).copied();
        self.element(parent)?.children.remove(index);
        self.slot(slot)?.removed = true;
        let Some(before) = before.filter(|_| self.is_element(slot)) else { return Ok(()) };
        if self.line_break(before).is_some() {
            self.slot(before)?.removed = true;
            self.element(parent)?.children.retain(|child| *child != before);
        }
        Ok(())
    }

    pub(crate) fn null(&mut self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        let (target, rest) = self.walk(at, steps)?;
        let last = rest.last().or_else(|| steps.last());
        if !matches!(target, Target::Element(_)) || matches!(last, Some(Step::Attribute(_) | Step::Text(_))) {
            return Err(EditError::NoNull { path: self.path(at, steps) });
        }
        let Target::Element(slot) = self.make(at, steps)? else { return Err(EditError::Gone) };
        for child in std::mem::take(&mut self.element(slot)?.children) {
            self.slot(child)?.removed = true;
        }
        let nil = Name::new(XSI, "nil");
        let charset = self.found.charset;
        match self.attribute_index(slot, &nil)? {
            Some(index) => {
                if let Some(attribute) = self.element(slot)?.attributes.get_mut(index) {
                    attribute.set("true", charset);
                }
                Ok(())
            }
            None => self.add_attribute(slot, &nil, "true"),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        enum Part<'s> {
            Bytes(&'s [u8]),
            Slot(u32),
        }
        let Some(top) = self.top else { return };
        let span = self.tree.span(top);
        let bytes = |from: usize, to: usize| self.tree.bytes.get(from..to).unwrap_or_default();
        out.extend_from_slice(bytes(0, span.start));
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
                Some(Content::Text(text) | Content::Markup(text)) => out.extend_from_slice(text),
                Some(Content::Element(element)) => {
                    let content = element.write_start(out);
                    parts.extend(content.then_some(Part::Bytes(&element.end)));
                    parts.extend(element.children.iter().rev().map(|child| Part::Slot(*child)));
                }
            }
        }
        out.extend_from_slice(bytes(span.end, self.tree.bytes.len()));
    }
}
