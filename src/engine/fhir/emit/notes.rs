//! What is noted while a draft is written: nothing, where its values came from, or what reading the text would give.

use crate::definitions::{ElementId, Kind, Model, TypeId};

use super::super::bind::{Bound, NO_ELEMENT, NO_TYPE};
use super::super::document::Limits;
use super::super::draft::{At, Draft, Part};
use super::super::json::{Aside, Shape, Slot, Slots, flag, offset};

/// Told of each value as it is written.
pub(super) trait Notes {
    /// A value begins: its slot so far; gives its number.
    fn begin(&mut self, draft: &Draft, at: At, part: &Part, slot: Slot) -> usize;

    /// A value ends here.
    fn end(&mut self, _slot: usize, _here: u32) {}

    /// The number that the next value will have.
    fn next(&self) -> usize {
        0
    }

    /// The member that names a resource's type.
    fn resource_type(&mut self, _draft: &Draft, _start: u32, _end: u32) {}

    /// A string has been written from and to here.
    fn string(&mut self, _slot: usize, _span: (usize, usize), _text: &str) {}

    /// An object has a twin, and the value that it is of.
    fn pair(&mut self, _object: usize, _value: Option<usize>, _twin: usize) {}
}

/// Nothing, but whether it is within limits.
pub(super) struct Within {
    pub(super) over: bool,
    values: u32,
    depth: u16,
    limits: Limits,
}

impl Within {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { over: false, values: 0, depth: 0, limits: *limits }
    }
}

impl Notes for Within {
    fn begin(&mut self, _: &Draft, _: At, _: &Part, slot: Slot) -> usize {
        self.values = self.values.saturating_add(1);
        self.over |= self.values > self.limits.nodes;
        if !matches!(slot.shape, Shape::Object | Shape::Array) {
            return 0;
        }
        self.depth = self.depth.saturating_add(1);
        self.over |= self.depth > self.limits.depth;
        1
    }

    fn end(&mut self, nested: usize, _here: u32) {
        self.depth = self.depth.saturating_sub(u16::from(nested > 0));
    }

    fn resource_type(&mut self, _: &Draft, _: u32, _: u32) {
        self.values = self.values.saturating_add(1);
    }

    fn string(&mut self, _: usize, (start, end): (usize, usize), _: &str) {
        self.over |= end - start > self.limits.string as usize;
    }
}

/// Where values came from.
#[derive(Default)]
pub(super) struct Origins {
    pub(super) places: Vec<(u32, u32)>,
    pub(super) misplaced: Vec<u32>,
}

impl Notes for Origins {
    fn begin(&mut self, draft: &Draft, at: At, _: &Part, slot: Slot) -> usize {
        if slot.shape != Shape::Array {
            let origin = draft.origin(at);
            self.places.push((slot.start, origin.place));
            if origin.misplaced {
                self.misplaced.push(slot.start);
            }
        }
        0
    }
}

/// What reading it would give, as far as the limits allow.
pub(super) struct Reading {
    pub(super) slots: Slots,
    pub(super) bound: Bound,
    pub(super) over: bool,
    depth: u16,
    limits: Limits,
}

impl Reading {
    pub(super) fn new(parts: usize, limits: &Limits) -> Self {
        let expected = parts + parts / 3;
        Self {
            slots: Slots { slots: Vec::with_capacity(expected), ..Slots::default() },
            bound: Bound {
                elements: Vec::with_capacity(expected),
                types: Vec::with_capacity(expected),
                twins: Vec::new(),
            },
            over: false,
            depth: 0,
            limits: *limits,
        }
    }

    fn mark(&mut self, slot: usize, flag: u8) {
        if let Some(slot) = self.slots.slots.get_mut(slot) {
            slot.flags |= flag;
        }
    }
}

impl Notes for Reading {
    fn begin(&mut self, draft: &Draft, _: At, part: &Part, slot: Slot) -> usize {
        let index = self.slots.slots.len();
        self.bound.elements.push(if index == 0 { NO_ELEMENT } else { part.element });
        self.bound.types.push(type_of(&draft.model, part, slot.shape));
        if matches!(slot.shape, Shape::Object | Shape::Array) {
            self.depth = self.depth.saturating_add(1);
            self.over |= self.depth > self.limits.depth;
        }
        self.over |= index >= self.limits.nodes as usize;
        self.slots.slots.push(Slot { end: slot.start, next: offset(index + 1), ..slot });
        index
    }

    fn end(&mut self, slot: usize, here: u32) {
        let next = offset(self.slots.slots.len());
        if let Some(slot) = self.slots.slots.get_mut(slot) {
            slot.end = here;
            slot.next = next;
            if matches!(slot.shape, Shape::Object | Shape::Array) {
                self.depth = self.depth.saturating_sub(1);
            }
        }
    }

    fn next(&self) -> usize {
        self.slots.slots.len()
    }

    fn resource_type(&mut self, draft: &Draft, start: u32, end: u32) {
        self.bound.elements.push(NO_ELEMENT);
        self.bound.types.push(NO_TYPE);
        self.slots.slots.push(Slot {
            start,
            end,
            next: offset(self.slots.slots.len() + 1),
            symbol: draft.model.resource_type,
            shape: Shape::String,
            flags: flag::RESOURCE_TYPE,
        });
    }

    fn string(&mut self, slot: usize, (start, end): (usize, usize), text: &str) {
        let Some(held) = self.slots.slots.get_mut(slot) else { return };
        (held.start, held.end) = (offset(start), offset(end));
        self.over |= end - start > self.limits.string as usize;
        // Every escape is longer than what it stands for.
        if end - start != text.len() {
            held.flags |= flag::ESCAPED;
            let start = offset(self.slots.decoded.len());
            self.slots.decoded.push_str(text);
            self.slots.escapes.push(Aside { slot: offset(slot), start, end: offset(self.slots.decoded.len()) });
        }
    }

    fn pair(&mut self, object: usize, value: Option<usize>, twin: usize) {
        self.mark(object, flag::HAS_TWINS);
        if let Some(value) = value {
            self.mark(value, flag::PAIRED);
            self.mark(twin, flag::PAIRED);
            self.bound.twins.push((offset(value), offset(twin)));
        }
    }
}

/// The type of what is written: that of an array of resources is what its element takes, whichever they are.
fn type_of(model: &Model, part: &Part, shape: Shape) -> u16 {
    if shape == Shape::Array && part.type_id != NO_TYPE && model.kind(TypeId(part.type_id)) == Kind::Resource {
        let declared = model.element(ElementId(part.element)).types().next();
        return declared.map_or(part.type_id, |choice| choice.type_id().0);
    }
    part.type_id
}
