//! What each slot means: its element and type by the model, and which twins belong together.

use crate::definitions::{Kind, Model, Symbol, TypeId};

use super::json::{Shape, Slot, flag, offset};

/// No element.
pub(super) const NO_ELEMENT: u32 = u32::MAX;
/// No type.
pub(super) const NO_TYPE: u16 = u16::MAX;

#[derive(Debug, Default)]
pub(super) struct Bound {
    pub(super) elements: Vec<u32>,
    pub(super) types: Vec<u16>,
    /// Primary and twin, ascending by primary.
    pub(super) twins: Vec<(u32, u32)>,
}

/// An open container: the slot after it, and what it is; an array has the type and element of its items.
struct Open {
    next: u32,
    type_id: u16,
    element: u32,
    is_object: bool,
}

/// Walks the slots once, in document order.
pub(super) fn bind(model: &Model, slots: &mut [Slot], text_of: impl Fn(&Slot, u32) -> Option<String>) -> Bound {
    let mut bound =
        Bound { elements: vec![NO_ELEMENT; slots.len()], types: vec![NO_TYPE; slots.len()], twins: Vec::new() };
    let mut open: Vec<Open> = Vec::new();
    for index in 0..slots.len() {
        let place = offset(index);
        while open.last().is_some_and(|holder| holder.next <= place) {
            open.pop();
        }
        let Some(slot) = slots.get(index).copied() else { break };
        let (mut element, mut type_id) = (NO_ELEMENT, NO_TYPE);
        match open.last() {
            None => type_id = resource_type(model, slots, index, &text_of),
            Some(Open { type_id: of, is_object: true, .. }) => {
                if slot.symbol == model.resource_type && is_resource(model, *of) && slot.flags & flag::TWIN == 0 {
                    if let Some(slot) = slots.get_mut(index) {
                        slot.flags |= flag::RESOURCE_TYPE;
                    }
                } else if let Some(found) = (*of != NO_TYPE).then(|| model.child(TypeId(*of), slot.symbol)).flatten() {
                    element = found.element.0;
                    type_id = found.type_id.0;
                }
            }
            Some(array) => {
                type_id = array.type_id;
                element = array.element;
            }
        }
        if slot.shape == Shape::Object && open.last().is_some() && is_abstract_resource(model, type_id) {
            type_id = resource_type(model, slots, index, &text_of);
        }
        if let (Some(held_element), Some(held_type)) = (bound.elements.get_mut(index), bound.types.get_mut(index)) {
            *held_element = element;
            *held_type = type_id;
        }
        if slot.flags & flag::HAS_TWINS != 0 {
            pair(slots, index, &mut bound.twins);
        }
        if matches!(slot.shape, Shape::Object | Shape::Array) {
            open.push(Open { next: slot.next, type_id, element, is_object: slot.shape == Shape::Object });
        }
    }
    bound.twins.sort_unstable();
    bound
}

fn is_resource(model: &Model, type_id: u16) -> bool {
    type_id == NO_TYPE || model.kind(TypeId(type_id)) == Kind::Resource
}

fn is_abstract_resource(model: &Model, type_id: u16) -> bool {
    type_id != NO_TYPE && model.kind(TypeId(type_id)) == Kind::Resource && model.is_abstract(TypeId(type_id))
}

/// The type that an object's member `resourceType` names.
fn resource_type(model: &Model, slots: &[Slot], object: usize, text_of: &impl Fn(&Slot, u32) -> Option<String>) -> u16 {
    let Some(holder) = slots.get(object) else { return NO_TYPE };
    let mut at = object + 1;
    while offset(at) < holder.next {
        let Some(slot) = slots.get(at) else { break };
        if slot.symbol == model.resource_type && slot.flags & flag::TWIN == 0 && slot.symbol != Symbol::UNKNOWN {
            return text_of(slot, offset(at))
                .and_then(|name| model.type_named(&name))
                .filter(|found| model.kind(*found) == Kind::Resource)
                .map_or(NO_TYPE, |found| found.0);
        }
        at = slot.next as usize;
    }
    NO_TYPE
}

/// Finds the twins among an object's members.
fn pair(slots: &mut [Slot], object: usize, twins: &mut Vec<(u32, u32)>) {
    let Some(end) = slots.get(object).map(|slot| slot.next) else { return };
    let mut found: Vec<(Symbol, u32)> = Vec::new();
    let mut at = offset(object + 1);
    while at < end {
        let Some(slot) = slots.get(at as usize) else { break };
        if slot.flags & flag::TWIN != 0 && slot.symbol != Symbol::UNKNOWN {
            found.push((slot.symbol, at));
        }
        at = slot.next;
    }
    let mut at = offset(object + 1);
    while at < end {
        let Some(slot) = slots.get_mut(at as usize) else { break };
        let next = slot.next;
        if slot.flags & flag::TWIN == 0
            && let Some((_, twin)) = found.iter().find(|(symbol, _)| *symbol == slot.symbol)
        {
            slot.flags |= flag::PAIRED;
            twins.push((at, *twin));
            if let Some(twin) = slots.get_mut(*twin as usize) {
                twin.flags |= flag::PAIRED;
            }
        }
        at = next;
    }
}
