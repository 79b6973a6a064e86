//! From parts to JSON text: repetitions to arrays, primitives to a value and its `_` twin.

use rustc_hash::FxHashMap;

use crate::definitions::{Element, ElementId, Kind, Symbol, TypeId};

use super::bind::{NO_ELEMENT, NO_TYPE};
use super::draft::{At, Draft, Part};
use super::json::offset;
use super::scan;

/// In which order members stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the type.
    Definition,
    /// That in which they were made.
    Document,
}

/// JSON text, with where its values came from.
#[derive(Debug, Default)]
pub(super) struct Emitted {
    pub(super) text: String,
    pub(super) places: Vec<(u32, u32)>,
    pub(super) misplaced: Vec<u32>,
}

struct Emitter<'d> {
    draft: &'d Draft,
    order: Order,
    out: Emitted,
}

pub(super) fn write(draft: &Draft, order: Order) -> Emitted {
    let mut emitter = Emitter { draft, order, out: Emitted::default() };
    emitter.out.text.reserve(draft.text.len() * 2);
    emitter.object(draft.root(), true);
    emitter.out
}

/// The children of one name, in order.
struct Group {
    key: (Symbol, (u32, u32)),
    order: u32,
    members: Vec<At>,
}

impl<'d> Emitter<'d> {
    fn part(&self, at: At) -> Option<&'d Part> {
        self.draft.part(at)
    }

    fn element(&self, part: &Part) -> Option<Element<'d>> {
        (part.element != NO_ELEMENT).then(|| self.draft.model.element(ElementId(part.element)))
    }

    fn kind(&self, part: &Part) -> Option<Kind> {
        (part.type_id != NO_TYPE).then(|| self.draft.model.kind(TypeId(part.type_id)))
    }

    /// Whether it is written as a value with a twin rather than as an object.
    fn is_primitive(&self, at: At) -> bool {
        let Some(part) = self.part(at) else { return false };
        match self.kind(part) {
            Some(Kind::Primitive) => true,
            Some(_) => false,
            None => part.value.is_some(),
        }
    }

    fn groups(&self, at: At) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut unknown: FxHashMap<&str, usize> = FxHashMap::default();
        for child in self.draft.children(at) {
            let Some(part) = self.part(child) else { continue };
            if self.order == Order::Definition && self.is_void(child) {
                continue;
            }
            let key = (part.symbol, if part.symbol == Symbol::UNKNOWN { part.name } else { (0, 0) });
            // A type bounds the number of its own names; the others are found by hashing.
            let same = if part.symbol == Symbol::UNKNOWN {
                let next = groups.len();
                let found = *unknown.entry(self.name(part.name)).or_insert(next);
                groups.get_mut(found)
            } else {
                groups.iter_mut().rev().find(|group| group.key.0 == part.symbol)
            };
            match same {
                Some(group) => group.members.push(child),
                None => groups.push(Group {
                    key,
                    order: self.element(part).map_or(u32::MAX, |element| element.order()),
                    members: vec![child],
                }),
            }
        }
        if self.order == Order::Definition {
            groups.sort_by_key(|group| group.order);
        }
        groups
    }

    /// Nothing set at it or below. Bounded by the depth of what was made.
    fn is_void(&self, at: At) -> bool {
        let Some(part) = self.part(at) else { return true };
        let is_resource =
            self.kind(part) == Some(Kind::Resource) && !self.draft.model.is_abstract(TypeId(part.type_id));
        part.value.is_none() && !is_resource && self.draft.children(at).all(|child| self.is_void(child))
    }

    fn name(&self, span: (u32, u32)) -> &'d str {
        self.draft.text.get(span.0 as usize..span.1 as usize).unwrap_or("")
    }

    fn mark(&mut self, at: At) {
        if let Some(part) = self.part(at) {
            let here = offset(self.out.text.len());
            self.out.places.push((here, part.place));
            if part.misplaced {
                self.out.misplaced.push(here);
            }
        }
    }

    fn object(&mut self, at: At, with_type: bool) {
        self.mark(at);
        self.out.text.push('{');
        let mut is_first = true;
        if with_type
            && let Some(part) = self.part(at)
            && self.kind(part) == Some(Kind::Resource)
        {
            self.out.text.push_str("\"resourceType\":\"");
            self.out.text.push_str(self.draft.model.type_name(TypeId(part.type_id)));
            self.out.text.push('"');
            is_first = false;
        }
        for group in self.groups(at) {
            self.group(&group, &mut is_first);
        }
        self.out.text.push('}');
    }

    fn key(&mut self, group: &Group, twin: bool, is_first: &mut bool) {
        if !std::mem::replace(is_first, false) {
            self.out.text.push(',');
        }
        self.out.text.push('"');
        if twin {
            self.out.text.push('_');
        }
        if group.key.0 == Symbol::UNKNOWN {
            let name = self.name(group.key.1);
            let mut quoted = String::new();
            scan::write_string(name, &mut quoted);
            self.out.text.push_str(quoted.trim_start_matches('"'));
        } else {
            self.out.text.push_str(self.draft.model.name(group.key.0));
            self.out.text.push('"');
        }
        self.out.text.push(':');
    }

    fn group(&mut self, group: &Group, is_first: &mut bool) {
        let Some((first, part)) = group.members.first().and_then(|first| Some((*first, self.part(*first)?))) else {
            return;
        };
        let is_array = group.members.len() > 1 || self.element(part).is_some_and(|element| element.is_array());
        if !self.is_primitive(first) {
            self.key(group, false, is_first);
            self.list(&group.members, is_array, |emitter, at| emitter.object(at, true));
            return;
        }
        if group.members.iter().any(|at| self.part(*at).is_some_and(|part| part.value.is_some())) {
            self.key(group, false, is_first);
            self.list(&group.members, is_array, Self::value);
        }
        if group.members.iter().any(|at| self.draft.children(*at).next().is_some()) {
            self.key(group, true, is_first);
            self.list(&group.members, is_array, |emitter, at| {
                if emitter.draft.children(at).next().is_some() {
                    emitter.object(at, false);
                } else {
                    emitter.out.text.push_str("null");
                }
            });
        }
    }

    fn list(&mut self, members: &[At], is_array: bool, mut each: impl FnMut(&mut Self, At)) {
        if is_array {
            self.out.text.push('[');
        }
        for (index, at) in members.iter().enumerate() {
            if index > 0 {
                self.out.text.push(',');
            }
            each(self, *at);
        }
        if is_array {
            self.out.text.push(']');
        }
    }

    fn value(&mut self, at: At) {
        self.mark(at);
        let Some((part, text)) = self.part(at).and_then(|part| Some((part, self.draft.text(at)?))) else {
            self.out.text.push_str("null");
            return;
        };
        let type_name = if part.type_id == NO_TYPE { "" } else { self.draft.model.type_name(TypeId(part.type_id)) };
        let is_bare = match type_name {
            "boolean" => matches!(text, "true" | "false"),
            "integer" | "decimal" | "positiveInt" | "unsignedInt" => scan::is_number(text),
            _ => false,
        };
        if is_bare {
            self.out.text.push_str(text);
        } else {
            scan::write_string(text, &mut self.out.text);
        }
    }
}
