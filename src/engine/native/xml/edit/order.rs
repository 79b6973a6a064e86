//! Where new elements stand in a document under change, by the order of its schema, and where emptied ones go.

use super::super::super::edit::{Anchor, NewId};
use super::super::super::error::EditError;
use super::super::super::path::Name;
use super::super::super::tree::{Kind, NodeId};
use super::super::element::{Element, is_blank_line};
use super::super::local_name;
use super::super::schema::{Content as Holds, MemberKind, TypeIndex};
use super::names::is_type;
use super::{Content, Sheet, Target};

impl<'t> Sheet<'t> {
    /// The white space of a text that puts what follows on a line of its own.
    pub(super) fn line_break(&self, slot: u32) -> Option<Vec<u8>> {
        let raw = match &self.slots.get(slot as usize)?.content {
            Content::Untouched(node) if self.tree.kind(*node) == Kind::Text => self.tree.raw(*node),
            Content::Text(raw) => raw,
            _ => return None,
        };
        is_blank_line(raw).then(|| raw.to_vec())
    }

    /// A new element after the last of its name; else where the schema has it, or at the end.
    pub(super) fn append(&mut self, parent: u32, name: &Name) -> Result<u32, EditError> {
        let children = self.element(parent)?.children.clone();
        if let Some(same) = children.iter().rfind(|child| self.is_element_named(**child, name)) {
            return self.insert_child(parent, Some(*same), false, name);
        }
        let Some(earlier) = self.earlier(parent, name) else { return self.insert_child(parent, None, false, name) };
        let elements: Vec<u32> = children.into_iter().filter(|child| self.is_element(*child)).collect();
        let after = elements.iter().rfind(|child| earlier.iter().any(|name| self.is_element_named(**child, name)));
        match (after, elements.first()) {
            (Some(after), _) => self.insert_child(parent, Some(*after), false, name),
            (None, Some(first)) => self.insert_child(parent, Some(*first), true, name),
            (None, None) => self.insert_child(parent, None, false, name),
        }
    }

    /// The elements that the schema has before one.
    pub(super) fn earlier(&self, parent: u32, name: &Name) -> Option<Vec<Name>> {
        let schema = self.schema?;
        let of = schema.of(self.type_of(parent)?)?;
        let at = of.position(false, name)?;
        let before = of.members.get(..at).unwrap_or_default();
        Some(before.iter().filter(|m| m.kind == MemberKind::Element).map(|m| m.name.name.clone()).collect())
    }

    /// The type of an element by the schema.
    pub(super) fn type_of(&self, slot: u32) -> Option<TypeIndex> {
        let schema = self.schema?;
        let mut way = vec![slot];
        while let Some(parent) = self.slots.get(*way.last()? as usize)?.parent {
            way.push(parent);
        }
        let top = way.pop()?;
        let mut at = self.is_element_named(top, &schema.root).then(|| schema.root_type())?;
        while let Some(next) = way.pop() {
            let member = schema.of(at)?.member(false, &self.name_of(next)?)?;
            let Holds::Complex(inner) = member.of else { return None };
            at = inner;
        }
        Some(at)
    }

    pub(super) fn name_of(&self, slot: u32) -> Option<Name> {
        let of_node = |node: NodeId| {
            let local = local_name(self.tree, node)?;
            Some(self.tree.namespace(node).map_or_else(|| Name::local(&local), |uri| Name::new(uri, &local)))
        };
        match &self.slots.get(slot as usize)?.content {
            Content::Untouched(node) => of_node(*node),
            Content::Element(element) => element.new_name.clone().or_else(|| of_node(element.node?)),
            Content::Text(_) | Content::Markup(_) => None,
        }
    }

    /// Takes out an element that a change has left without anything, and those around it that are left so by that.
    pub(super) fn prune(&mut self, slot: u32) -> Result<(), EditError> {
        let mut at = slot;
        loop {
            let Some(parent) = self.slot(at)?.parent else { return Ok(()) };
            let optional = self.schema.is_some_and(|schema| {
                let name = self.name_of(at);
                let member = self.type_of(parent).and_then(|of| schema.of(of)?.member(false, &name?));
                member.is_some_and(|m| !m.required || m.many)
            });
            if self.slot(at)?.removed {
                return Ok(());
            }
            let tree = self.tree;
            let element = self.element(at)?;
            let bare = element.attributes.iter().all(|a| a.node.is_some_and(|n| is_type(tree, n)));
            let children = element.children.clone();
            let blank = children.into_iter().all(|child| match &self.slots.get(child as usize).map(|s| &s.content) {
                Some(Content::Untouched(node)) => {
                    self.tree.kind(*node) == Kind::Text && self.tree.leaf(*node).is_none()
                }
                Some(Content::Text(raw)) => raw.iter().all(u8::is_ascii_whitespace),
                _ => false,
            });
            if !(optional && bare && blank) {
                return Ok(());
            }
            self.take_away(at)?;
            at = parent;
        }
    }

    pub(crate) fn insert_element(&mut self, anchor: Anchor<'_>, name: &Name) -> Result<NewId, EditError> {
        let (parent, beside, before) = self.anchor(anchor)?;
        let slot = match beside {
            Some(_) => self.insert_child(parent, beside, before, name)?,
            None if self.schema.is_some() => self.append(parent, name)?,
            None => self.insert_child(parent, None, before, name)?,
        };
        Ok(self.made(slot))
    }

    pub(crate) fn insert_markup(&mut self, anchor: Anchor<'_>, markup: &str) -> Result<NewId, EditError> {
        let (parent, beside, before) = self.anchor(anchor)?;
        let mut bytes = Vec::with_capacity(markup.len());
        for c in markup.chars() {
            if !self.found.charset.push(c, &mut bytes) {
                bytes.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes());
            }
        }
        let slot = self.put_child(parent, beside, before, Content::Markup(bytes))?;
        Ok(self.made(slot))
    }

    fn made(&mut self, slot: u32) -> NewId {
        let id = NewId(u32::try_from(self.made.len()).unwrap_or(u32::MAX));
        self.made.push(slot);
        id
    }

    /// The element that something is inserted in, the child that it stands beside, and whether before that.
    fn anchor(&mut self, anchor: Anchor<'_>) -> Result<(u32, Option<u32>, bool), EditError> {
        Ok(match anchor {
            Anchor::Last(place, steps) => {
                let Target::Element(slot) = self.make(place, steps)? else {
                    let path = self.path(place, steps);
                    return Err(EditError::NoSuchStep { path, expected: "an element expected" });
                };
                (slot, None, false)
            }
            Anchor::Before(place) | Anchor::After(place) => {
                let target = self.place(place)?;
                let (Target::Element(slot) | Target::Text(slot)) = target else {
                    let path = self.path(place, &[]);
                    return Err(EditError::NoSuchStep { path, expected: "a child of an element expected" });
                };
                let Some(parent) = self.slot(slot)?.parent else {
                    let path = self.path(place, &[]);
                    return Err(EditError::Fixed { path, reason: "a document has one element" });
                };
                (parent, Some(slot), matches!(anchor, Anchor::Before(_)))
            }
        })
    }

    /// Inserts an element beside a child, or as the last, with the white space that its neighbours have.
    pub(super) fn insert_child(
        &mut self,
        parent: u32,
        beside: Option<u32>,
        before: bool,
        name: &Name,
    ) -> Result<u32, EditError> {
        let (qualified, declaration) = self.qualify(parent, name, true)?;
        let element = Element::new(name.clone(), qualified, declaration);
        self.put_child(parent, beside, before, Content::Element(element))
    }

    /// Puts new content beside a child, or as the last, with the white space that its neighbours have.
    pub(super) fn put_child(
        &mut self,
        parent: u32,
        beside: Option<u32>,
        before: bool,
        content: Content<'t>,
    ) -> Result<u32, EditError> {
        let children = self.element(parent)?.children.clone();
        let position = beside.and_then(|beside| children.iter().position(|child| *child == beside));
        let (index, lead) = match position {
            Some(index) => {
                let lead = index.checked_sub(1).and_then(|n| children.get(n)).and_then(|child| self.line_break(*child));
                (if before { index } else { index + 1 }, lead)
            }
            None => {
                let first_is_element = children.get(1).is_some_and(|child| self.is_element(*child));
                let lead = children.first().filter(|_| first_is_element).and_then(|child| self.line_break(*child));
                let closing = children.last().is_some_and(|child| self.line_break(*child).is_some());
                (if closing && lead.is_some() { children.len() - 1 } else { children.len() }, lead)
            }
        };
        self.filled.push(parent);
        let slot = self.push(parent, content);
        let space = lead.map(|lead| self.push(parent, Content::Text(lead)));
        let children = &mut self.element(parent)?.children;
        let mut index = index.min(children.len());
        if before && position.is_some() {
            children.insert(index, slot);
            if let Some(space) = space {
                children.insert(index + 1, space);
            }
        } else {
            if let Some(space) = space {
                children.insert(index, space);
                index += 1;
            }
            children.insert(index, slot);
        }
        Ok(slot)
    }
}
