//! Addresses in a message: positional, with the levels that are not written out.
//!
//! A field without separators is its own repetition 1, component 1 and subcomponent 1; a component without
//! subcomponent separators is its own subcomponent 1. What is empty is absent.

use super::super::path::SegmentName;
use super::super::tree::{Children, Kind, NodeId, Tree};
use super::parse::{COMPONENTS, REPETITIONS, SUBCOMPONENTS};

impl Tree {
    /// HL7 v2: the segments in order.
    #[must_use]
    pub fn segments(&self) -> Segments<'_> {
        Segments { tree: self, children: self.children(NodeId::ROOT), name: None }
    }

    /// HL7 v2: the segments of a name, in order.
    #[must_use]
    pub fn segments_named(&self, name: SegmentName) -> Segments<'_> {
        Segments { tree: self, children: self.children(NodeId::ROOT), name: Some(name) }
    }

    /// HL7 v2: the name of a segment.
    #[must_use]
    pub fn segment_name(&self, node: NodeId) -> Option<SegmentName> {
        if self.kind(node) != Kind::Segment {
            return None;
        }
        let name = self.raw(node).first_chunk::<3>()?;
        SegmentName::new(*name)
    }

    /// HL7 v2: field `number` of a segment, unless empty.
    #[must_use]
    pub fn field(&self, segment: NodeId, number: u16) -> Option<NodeId> {
        if self.kind(segment) != Kind::Segment {
            return None;
        }
        self.numbered(segment, number)
    }

    fn numbered(&self, parent: NodeId, number: u16) -> Option<NodeId> {
        let number = u32::from(number);
        let mut children = self.children(parent);
        children.find(|child| self.record(*child).number >= number).filter(|c| self.record(*c).number == number)
    }

    fn composed(&self, node: NodeId, of: u8) -> bool {
        self.record(node).flags & of != 0
    }

    /// HL7 v2: the repetitions of a field, empty ones between others included; [`number`](Tree::number) of a lone one is the field's.
    #[must_use]
    pub fn repetitions(&self, field: NodeId) -> Repetitions<'_> {
        if self.kind(field) == Kind::Field && self.composed(field, REPETITIONS) {
            Repetitions { lone: None, several: Some(self.children(field)) }
        } else {
            Repetitions {
                lone: matches!(self.kind(field), Kind::Field | Kind::Repetition).then_some(field),
                several: None,
            }
        }
    }

    /// HL7 v2: repetition `number` of a field.
    #[must_use]
    pub fn repetition(&self, field: NodeId, number: u16) -> Option<NodeId> {
        self.repetitions(field).nth(usize::from(number.checked_sub(1)?))
    }

    /// HL7 v2: the number of a repetition in its field, 1 for a lone one.
    #[must_use]
    pub fn repetition_number(&self, node: NodeId) -> u32 {
        if self.kind(node) == Kind::Repetition { self.record(node).number } else { 1 }
    }

    /// HL7 v2: component `number` of a repetition (of the first, for a field), unless empty.
    #[must_use]
    pub fn component(&self, node: NodeId, number: u16) -> Option<NodeId> {
        let node = match self.kind(node) {
            Kind::Field => self.repetition(node, 1)?,
            Kind::Repetition => node,
            _ => return None,
        };
        if self.composed(node, COMPONENTS) { self.numbered(node, number) } else { (number == 1).then_some(node) }
    }

    /// HL7 v2: subcomponent `number` of a component (of the first, for a repetition or field), unless empty.
    #[must_use]
    pub fn subcomponent(&self, node: NodeId, number: u16) -> Option<NodeId> {
        let node = match self.kind(node) {
            Kind::Field | Kind::Repetition => self.component(node, 1)?,
            Kind::Component => node,
            Kind::Subcomponent => return (number == 1).then_some(node),
            _ => return None,
        };
        if self.composed(node, SUBCOMPONENTS) { self.numbered(node, number) } else { (number == 1).then_some(node) }
    }

    /// The children of a node by number, as far as they have a place; gives their numbers, a bit each, those from 63 on in
    /// one.
    pub(crate) fn numbered_children(&self, node: NodeId, nodes: &mut [Option<NodeId>; 64]) -> u64 {
        let mut bits = 0;
        for child in self.children(node) {
            let number = self.record(child).number;
            bits |= 1 << number.min(63);
            if let Some(held) = nodes.get_mut(number as usize) {
                *held = Some(child);
            }
        }
        bits
    }

    /// What [`component`](Self::component) finds in a field or repetition, as [`numbered_children`](Self::numbered_children)
    /// gives it.
    pub(crate) fn components(&self, node: NodeId, nodes: &mut [Option<NodeId>; 64]) -> u64 {
        match self.repetitions(node).next() {
            Some(node) if self.composed(node, COMPONENTS) => self.numbered_children(node, nodes),
            Some(node) => lone(node, nodes),
            None => 0,
        }
    }

    /// What [`subcomponent`](Self::subcomponent) finds in the first component of a field or repetition, or in a component.
    pub(crate) fn subcomponents(&self, node: NodeId, nodes: &mut [Option<NodeId>; 64]) -> u64 {
        if self.composed(node, SUBCOMPONENTS) { self.numbered_children(node, nodes) } else { lone(node, nodes) }
    }

    /// The numbers that [`subcomponents`](Self::subcomponents) gives.
    pub(crate) fn subcomponent_numbers(&self, node: NodeId) -> u64 {
        if self.composed(node, SUBCOMPONENTS) {
            self.children(node).fold(0, |bits, child| bits | 1 << self.record(child).number.min(63))
        } else {
            1 << 1
        }
    }

    /// The node whose bytes are the value of a field, repetition or component.
    pub(crate) fn first_leaf(&self, node: NodeId) -> Option<NodeId> {
        if self.leaf(node).is_some() {
            return Some(node);
        }
        match self.kind(node) {
            Kind::Field | Kind::Repetition | Kind::Component | Kind::Subcomponent => self.subcomponent(node, 1),
            _ => None,
        }
    }
}

/// A level that is not written out has its holder as its only part.
fn lone(node: NodeId, nodes: &mut [Option<NodeId>; 64]) -> u64 {
    if let Some(held) = nodes.get_mut(1) {
        *held = Some(node);
    }
    1 << 1
}

/// Segments, all or those of one name.
#[derive(Debug, Clone)]
pub struct Segments<'t> {
    tree: &'t Tree,
    children: Children<'t>,
    name: Option<SegmentName>,
}

impl Iterator for Segments<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        let Self { tree, children, name } = self;
        children.find(|node| match name {
            None => tree.kind(*node) == Kind::Segment,
            Some(name) => tree.segment_name(*node) == Some(*name),
        })
    }
}

/// The repetitions of a field.
#[derive(Debug, Clone)]
pub struct Repetitions<'t> {
    lone: Option<NodeId>,
    several: Option<Children<'t>>,
}

impl Iterator for Repetitions<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        match &mut self.several {
            Some(several) => several.next(),
            None => self.lone.take(),
        }
    }
}
