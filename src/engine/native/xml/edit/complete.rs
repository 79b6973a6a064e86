//! What is done once all changes of a document are known: elements that a change left empty go, what is known now is no
//! longer said not to be, and elements that are new have in them what their schema requires, be it that it is not known.

use rustc_hash::FxHashSet;

use super::super::super::path::Name;
use super::super::super::tree::Kind;
use super::super::schema::{Content as Holds, MemberKind, TypeIndex};
use super::{Content, Sheet};

/// The attribute by which HL7 v3 says why something is not there.
pub(super) const NULL_FLAVOR: &str = "nullFlavor";
/// That nothing at all is known (HL7 v3, NullFlavor): it says what nothing says.
const NO_INFORMATION: &str = "NI";

impl Sheet<'_> {
    /// Says whether the document itself is new.
    pub(crate) fn whole(&mut self, is_new: bool) {
        self.is_new = is_new;
    }

    /// Settles the document, in this order.
    pub(crate) fn settle(&mut self) {
        let emptied = std::mem::take(&mut self.emptied);
        for slot in &emptied {
            // A slot that is gone has nothing left to take out.
            let _ = self.prune(*slot);
        }
        let mut filled = std::mem::take(&mut self.filled);
        filled.sort_unstable();
        filled.dedup();
        for slot in filled {
            let _ = self.is_known(slot);
        }
        if self.schema.is_none() {
            return;
        }
        if self.is_new {
            let _ = self.fill(0, |_| true);
        }
        // What is filled in comes behind, and is filled in itself.
        let mut at = 1;
        while at < self.slots.len() {
            let slot = u32::try_from(at).unwrap_or(u32::MAX);
            let is_new =
                matches!(self.slots.get(at).map(|s| &s.content), Some(Content::Element(e)) if e.node.is_none());
            if is_new && self.still_there(slot).is_ok() {
                let _ = self.fill(slot, |_| true);
            }
            at += 1;
        }
        for slot in emptied {
            // What went because nothing was left in it is missed where it stood.
            let mut around = Some(slot);
            while let Some(at) = around {
                if self.still_there(at).is_ok() {
                    let _ = self.refill(at);
                    break;
                }
                around = self.slots.get(at as usize).and_then(|s| s.parent);
            }
        }
    }

    /// An element that something was put into is known, and so is what stands in it beside one of the same name that is not.
    fn is_known(&mut self, slot: u32) -> Result<(), super::EditError> {
        self.still_there(slot)?;
        let tree = self.tree;
        let null = Name::local(NULL_FLAVOR);
        let says_nothing = |node| tree.text(node).is_some_and(|text| text == NO_INFORMATION);
        if let Some(index) = self.attribute_index(slot, &null)? {
            let attributes = &mut self.element(slot)?.attributes;
            if attributes.get(index).and_then(|a| a.node.filter(|_| !a.is_changed())).is_some_and(says_nothing) {
                attributes.remove(index);
            }
        }
        let children = self.element(slot)?.children.clone();
        let come: FxHashSet<Name> = children
            .iter()
            .filter(|child| matches!(self.slots.get(**child as usize).map(|s| &s.content), Some(Content::Element(e)) if e.node.is_none()))
            .filter_map(|child| self.name_of(*child))
            .collect();
        for child in children {
            let Some(Content::Untouched(node)) = self.slots.get(child as usize).map(|s| &s.content) else { continue };
            let node = *node;
            let bare = tree.kind(node) == Kind::Element
                && tree.leaves(node).len() == 1
                && tree.attribute(node, &null).is_some_and(says_nothing);
            if bare && self.name_of(child).is_some_and(|name| come.contains(&name)) {
                self.take_away(child)?;
            }
        }
        Ok(())
    }

    /// What an element had and its schema requires is said not to be known, where a change took it out.
    fn refill(&mut self, slot: u32) -> Result<(), super::EditError> {
        let Some(node) = self.element(slot)?.node else { return Ok(()) };
        let tree = self.tree;
        let had: Vec<Name> = tree
            .children(node)
            .filter(|child| tree.kind(*child) == Kind::Element)
            .filter_map(|child| {
                let local = super::local_name(tree, child)?;
                Some(tree.namespace(child).map_or_else(|| Name::local(&local), |uri| Name::new(uri, &local)))
            })
            .collect();
        self.fill(slot, |name| had.contains(name))
    }

    /// Puts in what the schema requires and may be said not to be known.
    fn fill(&mut self, slot: u32, wanted: impl Fn(&Name) -> bool) -> Result<(), super::EditError> {
        let (Some(schema), Some(of)) = (self.schema, self.type_of(slot)) else { return Ok(()) };
        let Some(of) = schema.of(of).filter(|of| of.variants.is_empty()) else { return Ok(()) };
        let null = Name::local(NULL_FLAVOR);
        let nullable = |of: TypeIndex| schema.of(of).is_some_and(|of| of.member(true, &null).is_some());
        for member in of.members.iter().filter(|m| m.expected && m.kind == MemberKind::Element) {
            let Holds::Complex(inner) = member.of else { continue };
            let name = &member.name.name;
            let children = self.element(slot)?.children.clone();
            let there = children.iter().any(|child| self.is_element_named(*child, name) || self.is_markup(*child));
            if !there && nullable(inner) && wanted(name) {
                let made = self.append(slot, name)?;
                self.add_attribute(made, &null, NO_INFORMATION)?;
            }
        }
        Ok(())
    }

    fn is_markup(&self, slot: u32) -> bool {
        matches!(self.slots.get(slot as usize).map(|s| &s.content), Some(Content::Markup(_)))
    }
}
