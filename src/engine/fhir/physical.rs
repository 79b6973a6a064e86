//! The physical view of a document: what is written, arrays as arrays and `_x` as a member of its own.
//!
//! Only the rules of the JSON format look at it; everything else uses [`Node`].

use crate::definitions::{ElementId, Symbol, TypeId};

use super::document::Document;
use super::json::{Shape, flag};
use super::node::{Node, NodeId};

/// A value as written. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Physical<'d> {
    document: &'d Document,
    slot: u32,
}

impl std::fmt::Debug for Physical<'_> {
    /// Says where, not what: the content is a person's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Physical({})", self.node().path())
    }
}

impl<'d> Physical<'d> {
    /// The value of a node, or its twin where there is no value.
    #[must_use]
    pub fn of(node: Node<'d>) -> Self {
        Self { document: node.document, slot: node.here() }
    }

    /// Its number.
    #[must_use]
    pub fn id(self) -> NodeId {
        NodeId(self.slot)
    }

    /// The logical element it is, or is a part of.
    #[must_use]
    pub fn node(self) -> Node<'d> {
        Node::of(self.document, self.id())
    }

    /// The logical element of an object: without looking for a twin.
    #[must_use]
    pub fn object_node(self) -> Node<'d> {
        Node::new(self.document, self.slot, Node::NOTHING)
    }

    /// The logical element of a value and the twin that belongs to it.
    #[must_use]
    pub fn with_twin(self, twin: Option<Self>) -> Node<'d> {
        Node::new(self.document, self.slot, twin.map_or(Node::NOTHING, |twin| twin.slot))
    }

    /// The logical element of a twin that has no value beside it.
    #[must_use]
    pub fn twin_node(self) -> Node<'d> {
        Node::new(self.document, Node::NOTHING, self.slot)
    }

    /// What stands there.
    #[must_use]
    pub fn shape(self) -> Shape {
        self.document.slot(self.slot).map_or(Shape::Null, |slot| slot.shape)
    }

    /// The symbol of its member; of the array's member for an item.
    #[must_use]
    pub fn symbol(self) -> Symbol {
        self.document.slot(self.slot).map_or(Symbol::UNKNOWN, |slot| slot.symbol)
    }

    /// The name of its member without `_`.
    #[must_use]
    pub fn name(self) -> &'d str {
        self.document.slot_name(self.slot)
    }

    /// Whether its member is written with a leading `_`.
    #[must_use]
    pub fn is_twin(self) -> bool {
        self.flag(flag::TWIN)
    }

    /// Whether it is the member `resourceType` of a resource.
    #[must_use]
    pub fn is_resource_type(self) -> bool {
        self.flag(flag::RESOURCE_TYPE)
    }

    /// The twin's member of a primary member.
    #[must_use]
    pub fn twin(self) -> Option<Self> {
        if !self.flag(flag::PAIRED) || self.is_twin() {
            return None;
        }
        self.document.twin_of(self.slot).map(|slot| Self { document: self.document, slot })
    }

    /// Whether both `x` and `_x` are written.
    #[must_use]
    pub fn is_paired(self) -> bool {
        self.flag(flag::PAIRED)
    }

    /// The element by the model.
    #[must_use]
    pub fn element_id(self) -> Option<ElementId> {
        self.document.slot_element(self.slot)
    }

    /// The type by the model; for a resource the one it says it is.
    #[must_use]
    pub fn type_id(self) -> Option<TypeId> {
        self.document.slot_type(self.slot)
    }

    /// The text of a string, number or boolean.
    #[must_use]
    pub fn text(self) -> Option<&'d str> {
        self.document.slot_text(self.slot)
    }

    /// Members of an object, items of an array; nothing otherwise.
    #[must_use]
    pub fn members(self) -> Members<'d> {
        let end = match self.document.slot(self.slot) {
            Some(slot) if matches!(slot.shape, Shape::Object | Shape::Array) => slot.next,
            _ => 0,
        };
        Members { document: self.document, at: self.slot + 1, end }
    }

    fn flag(self, flag: u8) -> bool {
        self.document.slot(self.slot).is_some_and(|slot| slot.flags & flag != 0)
    }
}

/// Members or items as written. See [`Physical::members`].
#[derive(Clone)]
pub struct Members<'d> {
    document: &'d Document,
    at: u32,
    end: u32,
}

impl<'d> Iterator for Members<'d> {
    type Item = Physical<'d>;

    fn next(&mut self) -> Option<Physical<'d>> {
        if self.at >= self.end {
            return None;
        }
        let slot = self.at;
        self.at = self.document.slot(slot)?.next;
        Some(Physical { document: self.document, slot })
    }
}
