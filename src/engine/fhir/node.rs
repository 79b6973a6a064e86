//! The logical view of a document: what FHIR means, whatever the text looks like.

use crate::definitions::{Element, ElementId, Kind, Symbol, TypeId};

use super::document::Document;
use super::json::{Shape, flag};
use super::path::{Path, Position};

/// The number of a node within its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

/// One element of a document: an object, or a primitive with its `_` twin. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Node<'d> {
    pub(super) document: &'d Document,
    /// The slot of the value; [`Node::NOTHING`] when only the twin is there.
    pub(super) slot: u32,
    /// The slot of the twin's object, or nothing.
    pub(super) twin: u32,
}

impl std::fmt::Debug for Node<'_> {
    /// Says where, not what: the content is a person's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.path())
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.document, other.document) && self.id() == other.id()
    }
}

impl<'d> Node<'d> {
    pub(super) const NOTHING: u32 = u32::MAX;
    /// How many items of an array are counted before the table of all is made.
    const COUNTED: usize = 64;

    pub(super) fn new(document: &'d Document, slot: u32, twin: u32) -> Self {
        Self { document, slot, twin }
    }

    /// The node of this number, with its twin.
    pub(super) fn of(document: &'d Document, id: NodeId) -> Self {
        let Some(slot) = document.slot(id.0) else { return Self::new(document, 0, Self::NOTHING) };
        if slot.flags & flag::TWIN != 0 {
            return Self::new(document, Self::NOTHING, id.0);
        }
        let twin = if slot.flags & flag::PAIRED != 0 {
            document.twin_of(id.0)
        } else if slot.flags & flag::ITEM != 0 {
            document.parent_of(id.0).and_then(|array| {
                let twins = document.twin_of(array)?;
                let mut place = 0;
                let mut at = array + 1;
                while at < id.0 {
                    at = document.slot(at)?.next;
                    place += 1;
                }
                item(document, twins, place)
            })
        } else {
            None
        };
        Self::new(document, id.0, twin.unwrap_or(Self::NOTHING))
    }

    /// The document it belongs to.
    #[must_use]
    pub fn document(self) -> &'d Document {
        self.document
    }

    /// Its number; that of the twin when there is no value.
    #[must_use]
    pub fn id(self) -> NodeId {
        NodeId(self.here())
    }

    pub(super) fn here(self) -> u32 {
        if self.slot == Self::NOTHING { self.twin } else { self.slot }
    }

    /// The symbol of its name as written.
    #[must_use]
    pub fn symbol(self) -> Symbol {
        self.document.slot(self.here()).map_or(Symbol::UNKNOWN, |slot| slot.symbol)
    }

    /// Its name as written: `valueQuantity`. Empty for the root.
    #[must_use]
    pub fn name(self) -> &'d str {
        self.document.slot_name(self.here())
    }

    /// Its logical name: `value`. As written when the model does not know it.
    #[must_use]
    pub fn element_name(self) -> &'d str {
        self.element().map_or_else(|| self.name(), |element| element.name())
    }

    /// What the model says about it; nothing for the root and for names it does not know.
    #[must_use]
    pub fn element(self) -> Option<Element<'d>> {
        self.element_id().map(|id| self.document.model.element(id))
    }

    /// The number of its element.
    #[must_use]
    pub fn element_id(self) -> Option<ElementId> {
        self.document.slot_element(self.here())
    }

    /// Its type; for a resource, the one it says it is. Nothing where the model does not know it.
    #[must_use]
    pub fn type_id(self) -> Option<TypeId> {
        self.document.slot_type(self.here())
    }

    /// The name of its type; empty where the model does not know it.
    #[must_use]
    pub fn type_name(self) -> &'d str {
        self.type_id().map_or("", |id| self.document.model.type_name(id))
    }

    /// Whether its type is a primitive.
    #[must_use]
    pub fn is_primitive(self) -> bool {
        self.type_id().is_some_and(|id| self.document.model.kind(id) == Kind::Primitive)
    }

    /// Whether it is a resource.
    #[must_use]
    pub fn is_resource(self) -> bool {
        self.type_id().is_some_and(|id| self.document.model.kind(id) == Kind::Resource)
    }

    /// What stands there physically; nothing when only the twin is there.
    #[must_use]
    pub fn shape(self) -> Option<Shape> {
        self.document.slot(self.slot).map(|slot| slot.shape)
    }

    /// The lexical value of a primitive. Nothing for objects, and for a primitive that has only extensions.
    #[must_use]
    pub fn text(self) -> Option<&'d str> {
        self.document.slot_text(self.slot)
    }

    /// Its JSON text as written: with quotes, without its name. Empty when only the twin is there.
    #[must_use]
    pub fn raw(self) -> &'d str {
        let Some(slot) = self.document.slot(self.slot) else { return "" };
        let quotes = usize::from(slot.shape == Shape::String);
        self.document.text.get(slot.start as usize - quotes..slot.end as usize + quotes).unwrap_or("")
    }

    /// The JSON text of its `_` twin, where it has one.
    #[must_use]
    pub fn raw_twin(self) -> Option<&'d str> {
        let slot = self.document.slot(self.twin)?;
        self.document.text.get(slot.start as usize..slot.end as usize)
    }

    /// Its children in document order: repetitions one by one, twins with their primaries.
    #[must_use]
    pub fn children(self) -> Children<'d> {
        Children::new(self, None)
    }

    /// All repetitions of the child with this logical name.
    #[must_use]
    pub fn child(self, name: Symbol) -> Children<'d> {
        Children::new(self, Some(Wanted::Symbol(name)))
    }

    /// All repetitions of the child with this logical name (`value` finds `valueQuantity`).
    #[must_use]
    pub fn named(self, name: &'d str) -> Children<'d> {
        let symbol = self.document.model.symbol(name);
        let wanted = if symbol == Symbol::UNKNOWN { Wanted::Name(name) } else { Wanted::Symbol(symbol) };
        Children::new(self, Some(wanted))
    }

    /// The first repetition of the child with this logical name.
    #[must_use]
    pub fn first(self, name: &str) -> Option<Self> {
        let symbol = self.document.model.symbol(name);
        if symbol == Symbol::UNKNOWN {
            return self.children().find(|child| child.name() == name);
        }
        self.child(symbol).next()
    }

    /// Follows logical names separated by dots, the first repetition of each.
    #[must_use]
    pub fn at(self, path: &str) -> Option<Self> {
        path.split('.').try_fold(self, |node, name| node.first(name))
    }

    /// The text found by [`Node::at`].
    #[must_use]
    pub fn text_at(self, path: &str) -> Option<&'d str> {
        self.at(path).and_then(Node::text)
    }

    /// Its extensions; for a primitive those of its twin.
    #[must_use]
    pub fn extensions(self) -> Children<'d> {
        self.child(self.document.model.symbol("extension"))
    }

    /// What holds it: the element above, arrays passed over.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        let mut at = self.document.parent_of(self.here())?;
        if self.document.slot(at)?.shape == Shape::Array {
            at = self.document.parent_of(at)?;
        }
        Some(Self::of(self.document, NodeId(at)))
    }

    /// The nearest resource at or above it.
    #[must_use]
    pub fn resource(self) -> Self {
        let mut at = self;
        while !at.is_resource() {
            let Some(parent) = at.parent() else { break };
            at = parent;
        }
        at
    }

    /// Its place among the repetitions of its name, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        let here = self.here();
        let Some(slot) = self.document.slot(here) else { return 0 };
        if slot.flags & flag::ITEM == 0 {
            return 0;
        }
        let Some(array) = self.document.parent_of(here) else { return 0 };
        let mut at = array + 1;
        let mut index = 0;
        while at < here {
            if index == Self::COUNTED {
                return self.document.ordinal_of(here) as usize;
            }
            let Some(slot) = self.document.slot(at) else { break };
            at = slot.next;
            index += 1;
        }
        index
    }

    /// Where it stands in the text it was read from.
    #[must_use]
    pub fn position(self) -> Position {
        Position::of(self)
    }

    /// Its FHIRPath: `CarePlan.activity[1].detail.status`.
    #[must_use]
    pub fn path(self) -> Path<'d> {
        Path::of(self)
    }
}

#[derive(Clone, Copy)]
enum Wanted<'d> {
    Symbol(Symbol),
    Name(&'d str),
}

/// The item at a place of an array, unless that is null.
fn item(document: &Document, array: u32, place: usize) -> Option<u32> {
    let holder = document.slot(array)?;
    if holder.shape != Shape::Array {
        return (place == 0 && holder.shape != Shape::Null).then_some(array);
    }
    let mut at = array + 1;
    for _ in 0..place {
        if at >= holder.next {
            return None;
        }
        at = document.slot(at)?.next;
    }
    (at < holder.next && document.slot(at)?.shape != Shape::Null).then_some(at)
}

/// Children of a node. See [`Node::children`].
#[derive(Clone)]
pub struct Children<'d> {
    document: &'d Document,
    at: u32,
    end: u32,
    wanted: Option<Wanted<'d>>,
    items: Option<Items>,
}

#[derive(Clone)]
struct Items {
    at: u32,
    end: u32,
    twin_at: u32,
    twin_end: u32,
}

impl<'d> Children<'d> {
    fn new(of: Node<'d>, wanted: Option<Wanted<'d>>) -> Self {
        let object = [of.slot, of.twin]
            .into_iter()
            .find(|slot| of.document.slot(*slot).is_some_and(|held| held.shape == Shape::Object));
        let (at, end) = match object.and_then(|slot| of.document.slot(slot).map(|held| (slot, held))) {
            Some((slot, held)) => (slot + 1, held.next),
            None => (0, 0),
        };
        Self { document: of.document, at, end, wanted, items: None }
    }

    fn is_wanted(&self, index: u32, symbol: Symbol) -> bool {
        match self.wanted {
            None => true,
            Some(Wanted::Symbol(wanted)) => match self.document.slot_element(index) {
                Some(element) => self.document.model.element(element).symbol() == wanted,
                None => symbol == wanted,
            },
            Some(Wanted::Name(name)) => symbol == Symbol::UNKNOWN && self.document.slot_name(index) == name,
        }
    }
}

impl<'d> Iterator for Children<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Node<'d>> {
        let document = self.document;
        loop {
            if let Some(items) = &mut self.items {
                if items.at >= items.end && items.twin_at >= items.twin_end {
                    self.items = None;
                    continue;
                }
                let mut node = Node::new(document, Node::NOTHING, Node::NOTHING);
                if items.at < items.end {
                    node.slot = items.at;
                    items.at = document.slot(items.at)?.next;
                }
                if items.twin_at < items.twin_end {
                    let twin = document.slot(items.twin_at)?;
                    if twin.shape != Shape::Null || node.slot == Node::NOTHING {
                        node.twin = items.twin_at;
                    }
                    items.twin_at = twin.next;
                }
                return Some(node);
            }
            if self.at >= self.end {
                return None;
            }
            let index = self.at;
            let slot = document.slot(index)?;
            self.at = slot.next;
            if slot.flags & flag::RESOURCE_TYPE != 0 || !self.is_wanted(index, slot.symbol) {
                continue;
            }
            let is_twin = slot.flags & flag::TWIN != 0;
            if is_twin && slot.flags & flag::PAIRED != 0 {
                continue;
            }
            let twin = if slot.flags & flag::PAIRED != 0 { document.twin_of(index) } else { None };
            if slot.shape == Shape::Array {
                let mut items = Items { at: index + 1, end: slot.next, twin_at: 0, twin_end: 0 };
                if is_twin {
                    items = Items { at: 0, end: 0, twin_at: index + 1, twin_end: slot.next };
                } else if let Some((twin, held)) = twin.and_then(|twin| document.slot(twin).map(|held| (twin, held))) {
                    if held.shape == Shape::Array {
                        (items.twin_at, items.twin_end) = (twin + 1, held.next);
                    } else {
                        (items.twin_at, items.twin_end) = (twin, twin + 1);
                    }
                }
                self.items = Some(items);
                continue;
            }
            let none = Node::NOTHING;
            return Some(if is_twin {
                Node::new(document, none, index)
            } else {
                Node::new(document, index, twin.unwrap_or(none))
            });
        }
    }
}
