//! From parts to JSON text: repetitions to arrays, primitives to a value and its `_` twin. What is written in the order of
//! the types comes with the slots that reading it would give.

use rustc_hash::FxHashMap;

use crate::definitions::{ElementId, Kind, Model, Symbol, TypeId};

use super::bind::{Bound, NO_ELEMENT, NO_TYPE};
use super::document::Limits;
use super::draft::{At, Draft, Part};
use super::json::{Aside, Shape, Slot, Slots, flag, offset};
use super::scan;

/// In which order members stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the type; what says nothing is left out.
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

/// JSON text with what reading it finds.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) text: String,
    pub(super) slots: Slots,
    pub(super) bound: Bound,
}

/// What is noted while writing.
enum Notes {
    Nothing,
    /// Where values came from.
    Places(Vec<(u32, u32)>, Vec<u32>),
    /// What reading it would give, as far as `limits` allow.
    Slots {
        slots: Slots,
        bound: Bound,
        depth: u16,
        limits: Limits,
        over: bool,
    },
}

struct Emitter<'d> {
    draft: &'d Draft,
    order: Order,
    text: String,
    notes: Notes,
    /// Which parts say something.
    said: Vec<bool>,
    /// The members of the objects that are open, in the order in which they are written.
    open: Vec<Member>,
}

/// A child of an object: those of the same name have the same order and name, and follow each other.
#[derive(Debug, Clone, Copy)]
struct Member {
    order: u32,
    name: u32,
    symbol: Symbol,
    at: At,
}

/// A run of [`Emitter::open`]: the repetitions of one name.
#[derive(Debug, Clone, Copy)]
struct Run {
    from: usize,
    to: usize,
    is_array: bool,
}

/// The text, with where its values came from.
pub(super) fn write_in_place(draft: &Draft) -> Emitted {
    let mut emitter = Emitter::new(draft, Order::Document, Notes::Places(Vec::new(), Vec::new()));
    emitter.object(draft.root(), true, Symbol::UNKNOWN, 0);
    match emitter.notes {
        Notes::Places(places, misplaced) => Emitted { text: emitter.text, places, misplaced },
        _ => Emitted { text: emitter.text, ..Emitted::default() },
    }
}

/// The text.
pub(super) fn write(draft: &Draft) -> String {
    let mut emitter = Emitter::new(draft, Order::Definition, Notes::Nothing);
    emitter.object(draft.root(), true, Symbol::UNKNOWN, 0);
    emitter.text
}

/// The text with what reading it would find; nothing where the model does not know all that is in it, and where it is over
/// a limit.
pub(super) fn write_read(draft: &Draft, limits: &Limits) -> Option<Read> {
    let known = |part: &Part| part.element != NO_ELEMENT && part.type_id != NO_TYPE;
    if !draft.parts.iter().skip(1).all(known) {
        return None;
    }
    let expected = draft.parts.len() + draft.parts.len() / 2;
    let slots = Slots { slots: Vec::with_capacity(expected), ..Slots::default() };
    let bound =
        Bound { elements: Vec::with_capacity(expected), types: Vec::with_capacity(expected), twins: Vec::new() };
    let notes = Notes::Slots { slots, bound, depth: 0, limits: *limits, over: false };
    let mut emitter = Emitter::new(draft, Order::Definition, notes);
    emitter.object(draft.root(), true, Symbol::UNKNOWN, 0);
    match emitter.notes {
        Notes::Slots { slots, mut bound, over: false, .. } if emitter.text.len() <= limits.bytes as usize => {
            bound.twins.sort_unstable();
            Some(Read { text: emitter.text, slots, bound })
        }
        _ => None,
    }
}

impl<'d> Emitter<'d> {
    fn new(draft: &'d Draft, order: Order, notes: Notes) -> Self {
        let said = if order == Order::Definition { said(draft) } else { Vec::new() };
        let text = String::with_capacity(draft.text.len() * 2 + draft.parts.len() * 8);
        Self { draft, order, text, notes, said, open: Vec::new() }
    }

    fn part(&self, at: At) -> Option<&'d Part> {
        self.draft.part(at)
    }

    fn kind(&self, part: &Part) -> Option<Kind> {
        (part.type_id != NO_TYPE).then(|| self.draft.model.kind(TypeId(part.type_id)))
    }

    /// Whether it is written as a value with a twin rather than as an object.
    fn is_primitive(&self, part: &Part) -> bool {
        match self.kind(part) {
            Some(Kind::Primitive) => true,
            Some(_) => false,
            None => part.value.is_some(),
        }
    }

    fn is_said(&self, at: At) -> bool {
        self.order == Order::Document || self.said.get(at.0 as usize).copied().unwrap_or(false)
    }

    /// Whether a primitive has something beside its value.
    fn has_more(&self, at: At) -> bool {
        self.draft.children(at).any(|child| self.is_said(child))
    }

    /// Puts the children of a place on [`Emitter::open`], in the order in which they are written.
    fn members(&mut self, at: At) {
        let from = self.open.len();
        let mut unknown: FxHashMap<&str, u32> = FxHashMap::default();
        for child in self.draft.children(at) {
            let Some(part) = self.part(child).filter(|_| self.is_said(child)) else { continue };
            let here = offset(self.open.len());
            let (order, name) = if self.order == Order::Definition && part.element != NO_ELEMENT {
                (self.draft.model.element(ElementId(part.element)).order(), u32::from(part.symbol.0))
            } else {
                // What the model does not know, and what keeps its order, stands where its name came first. A type bounds
                // the number of its own names; the others are found by hashing.
                let first = if part.symbol == Symbol::UNKNOWN {
                    *unknown.entry(self.name(part.name)).or_insert(here)
                } else {
                    let before = self.open.get(from..).unwrap_or_default();
                    before.iter().rev().find(|one| one.symbol == part.symbol).map_or(here, |one| one.name)
                };
                (if self.order == Order::Definition { u32::MAX } else { 0 }, first)
            };
            self.open.push(Member { order, name, symbol: part.symbol, at: child });
        }
        if let Some(members) = self.open.get_mut(from..)
            && !members.is_sorted_by_key(|one| (one.order, one.name))
        {
            members.sort_by_key(|one| (one.order, one.name));
        }
    }

    fn name(&self, span: (u32, u32)) -> &'d str {
        self.draft.text.get(span.0 as usize..span.1 as usize).unwrap_or("")
    }

    /// Notes where a value begins; gives its slot.
    fn begin(&mut self, at: At, shape: Shape, symbol: Symbol, flags: u8) -> usize {
        let here = offset(self.text.len());
        match &mut self.notes {
            Notes::Nothing => 0,
            Notes::Places(places, misplaced) => {
                if let Some(part) = self.draft.part(at).filter(|_| shape != Shape::Array) {
                    places.push((here, part.place));
                    if part.misplaced {
                        misplaced.push(here);
                    }
                }
                0
            }
            Notes::Slots { slots, bound, depth, limits, over } => {
                let index = slots.slots.len();
                let part = self.draft.part(at);
                let is_root = index == 0;
                bound.elements.push(part.filter(|_| !is_root).map_or(NO_ELEMENT, |part| part.element));
                bound.types.push(part.map_or(NO_TYPE, |part| type_of(&self.draft.model, part, shape)));
                slots.slots.push(Slot { start: here, end: here, next: offset(index + 1), symbol, shape, flags });
                if matches!(shape, Shape::Object | Shape::Array) {
                    *depth = depth.saturating_add(1);
                    *over |= *depth > limits.depth;
                }
                *over |= index >= limits.nodes as usize;
                index
            }
        }
    }

    /// Notes where a value ends.
    fn end(&mut self, slot: usize) {
        let here = offset(self.text.len());
        if let Notes::Slots { slots, depth, .. } = &mut self.notes {
            let next = offset(slots.slots.len());
            if let Some(slot) = slots.slots.get_mut(slot) {
                slot.end = here;
                slot.next = next;
                if matches!(slot.shape, Shape::Object | Shape::Array) {
                    *depth = depth.saturating_sub(1);
                }
            }
        }
    }

    fn object(&mut self, at: At, with_type: bool, symbol: Symbol, flags: u8) {
        let slot = self.begin(at, Shape::Object, symbol, flags);
        self.text.push('{');
        let mut is_first = true;
        if with_type
            && let Some(part) = self.part(at)
            && self.kind(part) == Some(Kind::Resource)
        {
            self.resource_type(self.draft.model.type_name(TypeId(part.type_id)));
            is_first = false;
        }
        let from = self.open.len();
        self.members(at);
        let end = self.open.len();
        let mut next = from;
        while let Some(first) = self.open.get(next).copied().filter(|_| next < end) {
            let others = self.open.get(next..end).unwrap_or_default();
            let count = others.iter().take_while(|one| (one.order, one.name) == (first.order, first.name)).count();
            self.run(slot, first, next, next + count, &mut is_first);
            next += count.max(1);
        }
        self.open.truncate(from);
        self.text.push('}');
        self.end(slot);
    }

    fn resource_type(&mut self, name: &str) {
        self.text.push_str("\"resourceType\":\"");
        let start = offset(self.text.len());
        self.text.push_str(name);
        if let Notes::Slots { slots, bound, .. } = &mut self.notes {
            bound.elements.push(NO_ELEMENT);
            bound.types.push(NO_TYPE);
            slots.slots.push(Slot {
                start,
                end: offset(self.text.len()),
                next: offset(slots.slots.len() + 1),
                symbol: self.draft.model.resource_type,
                shape: Shape::String,
                flags: flag::RESOURCE_TYPE,
            });
        }
        self.text.push('"');
    }

    fn key(&mut self, first: Member, twin: bool, is_first: &mut bool) {
        if !std::mem::replace(is_first, false) {
            self.text.push(',');
        }
        self.text.push('"');
        if twin {
            self.text.push('_');
        }
        if first.symbol == Symbol::UNKNOWN {
            let name = self.part(first.at).map_or("", |part| self.name(part.name));
            let mut quoted = String::new();
            scan::write_string(name, &mut quoted);
            self.text.push_str(quoted.strip_prefix('"').unwrap_or(&quoted));
        } else {
            self.text.push_str(self.draft.model.name(first.symbol));
            self.text.push('"');
        }
        self.text.push(':');
    }

    /// The repetitions of one name.
    fn run(&mut self, object: usize, first: Member, from: usize, to: usize, is_first: &mut bool) {
        let Some(part) = self.part(first.at) else { return };
        let is_array = to - from > 1
            || (part.element != NO_ELEMENT && self.draft.model.element(ElementId(part.element)).is_array());
        let run = Run { from, to, is_array };
        if !self.is_primitive(part) {
            self.key(first, false, is_first);
            self.list(run, first, 0, |emitter, at, flags| emitter.object(at, true, first.symbol, flags));
            return;
        }
        let any = |emitter: &Self, of: &dyn Fn(&Self, At) -> bool| {
            emitter.open.get(from..to).unwrap_or_default().iter().any(|one| of(emitter, one.at))
        };
        let mut value = None;
        if any(self, &|emitter, at| emitter.part(at).is_some_and(|part| part.value.is_some())) {
            self.key(first, false, is_first);
            value = Some(self.list(run, first, 0, |emitter, at, flags| emitter.value(at, first.symbol, flags)));
        }
        if any(self, &|emitter, at| emitter.has_more(at)) {
            self.key(first, true, is_first);
            let twin = self.list(run, first, flag::TWIN, |emitter, at, flags| {
                if emitter.has_more(at) {
                    emitter.object(at, false, first.symbol, flags);
                } else {
                    emitter.null(at, first.symbol, flags);
                }
            });
            self.pair(object, value, twin);
        }
    }

    /// Notes that an object has a twin, and which value it is of.
    fn pair(&mut self, object: usize, value: Option<usize>, twin: usize) {
        let Notes::Slots { slots, bound, .. } = &mut self.notes else { return };
        let mut mark = |slot: usize, flag: u8| {
            if let Some(slot) = slots.slots.get_mut(slot) {
                slot.flags |= flag;
            }
        };
        mark(object, flag::HAS_TWINS);
        if let Some(value) = value {
            mark(value, flag::PAIRED);
            mark(twin, flag::PAIRED);
            bound.twins.push((offset(value), offset(twin)));
        }
    }

    /// The value of a member: the repetitions, in an array where it is one; gives its slot.
    fn list(&mut self, run: Run, first: Member, flags: u8, mut each: impl FnMut(&mut Self, At, u8)) -> usize {
        let slot = match &self.notes {
            Notes::Slots { slots, .. } => slots.slots.len(),
            _ => 0,
        };
        if !run.is_array {
            each(self, first.at, flags);
            return slot;
        }
        let slot = self.begin(first.at, Shape::Array, first.symbol, flags);
        self.text.push('[');
        for index in run.from..run.to {
            let Some(member) = self.open.get(index).copied() else { break };
            if index > run.from {
                self.text.push(',');
            }
            each(self, member.at, flags | flag::ITEM);
        }
        self.text.push(']');
        self.end(slot);
        slot
    }

    fn null(&mut self, at: At, symbol: Symbol, flags: u8) {
        let slot = match &self.notes {
            Notes::Slots { .. } => self.begin(at, Shape::Null, symbol, flags),
            _ => 0,
        };
        self.text.push_str("null");
        self.end(slot);
    }

    fn value(&mut self, at: At, symbol: Symbol, flags: u8) {
        let Some((part, text)) = self.part(at).and_then(|part| Some((part, self.draft.text(at)?))) else {
            if let Notes::Places(..) = self.notes {
                self.begin(at, Shape::Null, symbol, flags);
            }
            self.null(at, symbol, flags);
            return;
        };
        let type_name = if part.type_id == NO_TYPE { "" } else { self.draft.model.type_name(TypeId(part.type_id)) };
        let bare = match type_name {
            "boolean" if matches!(text, "true" | "false") => Some(Shape::Boolean),
            "integer" | "decimal" | "positiveInt" | "unsignedInt" if scan::is_number(text) => Some(Shape::Number),
            _ => None,
        };
        let slot = self.begin(at, bare.unwrap_or(Shape::String), symbol, flags);
        if bare.is_some() {
            self.text.push_str(text);
            self.end(slot);
            return;
        }
        let start = self.text.len() + 1;
        scan::write_string(text, &mut self.text);
        let end = self.text.len() - 1;
        if let Notes::Slots { slots, over, limits, .. } = &mut self.notes
            && let Some(held) = slots.slots.get_mut(slot)
        {
            (held.start, held.end) = (offset(start), offset(end));
            *over |= end - start > limits.string as usize;
            // Every escape is longer than what it stands for.
            if end - start != text.len() {
                held.flags |= flag::ESCAPED;
                let start = offset(slots.decoded.len());
                slots.decoded.push_str(text);
                slots.escapes.push(Aside { slot: offset(slot), start, end: offset(slots.decoded.len()) });
            }
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

/// Which parts have a value, are a resource, or have something below them that is or has. A part is made before what is
/// below it.
fn said(draft: &Draft) -> Vec<bool> {
    let mut said = vec![false; draft.parts.len()];
    for (index, part) in draft.parts.iter().enumerate().rev() {
        let is_resource = part.type_id != NO_TYPE
            && draft.model.kind(TypeId(part.type_id)) == Kind::Resource
            && !draft.model.is_abstract(TypeId(part.type_id));
        let below =
            || draft.children(At(offset(index))).any(|child| said.get(child.0 as usize).copied().unwrap_or(false));
        let says = part.value.is_some() || is_resource || below();
        if let Some(held) = said.get_mut(index) {
            *held = says;
        }
    }
    said
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use crate::definitions::Model;
    use crate::fhir::document::{Document, Limits};
    use crate::fhir::draft::Draft;

    /// What a document is made of, as far as it can be seen.
    fn inside(document: &Document) -> String {
        format!("{:?} {:?} {:?}", document.json(), document.slots, document.bound)
    }

    fn drafted(json: &str) -> Draft {
        let read = Document::from_json(Model::r4(), json.as_bytes().to_vec(), &Limits::default()).unwrap();
        let mut draft = Draft::new(Model::r4(), read.root().type_name());
        let root = draft.root();
        draft.graft(root, read.root());
        draft
    }

    #[test]
    fn what_is_written_is_what_reading_it_gives() {
        let texts = [
            r#"{"resourceType":"Patient"}"#,
            r#"{"resourceType":"Patient","id":"a","name":[{"family":"Ää \"x\" \\ \u0001 \n","given":["A","B"]}],"active":true}"#,
            r#"{"resourceType":"Patient","birthDate":"1947","_birthDate":{"id":"b","extension":[{"url":"u","valueBoolean":false}]}}"#,
            r#"{"resourceType":"Patient","_birthDate":{"extension":[{"url":"u","valueDecimal":1.10}]}}"#,
            r#"{"resourceType":"Patient","name":[{"given":["A",null,"C"],"_given":[null,{"id":"x"},{"id":"y"}]}]}"#,
            r#"{"resourceType":"Patient","contained":[{"resourceType":"Observation","status":"final","code":{"text":"t"},"valueInteger":5}]}"#,
            r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Basic","id":"1"}},{"resource":{"resourceType":"Patient","multipleBirthInteger":2}}]}"#,
            r#"{"resourceType":"Patient","unheardOf":"x","name":[{"family":"y"}]}"#,
            r#"{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"linkId":"2","type":"string","item":[{"linkId":"3","type":"string"}]}]}]}"#,
        ];
        for text in texts {
            let draft = drafted(text);
            let written = draft.write().unwrap();
            let read = Document::from_json(Model::r4(), written.into_bytes(), &Limits::default()).unwrap();
            assert_eq!(inside(&draft.finish().unwrap()), inside(&read));
        }
    }

    #[test]
    fn what_is_too_deep_to_be_read_is_not_written_either() {
        let mut draft = Draft::new(Model::r4(), "Questionnaire");
        let mut at = draft.root();
        for _ in 0..40 {
            at = draft.push(at, "item");
            draft.set_path(at, "linkId", "1");
        }
        let read = Document::from_json(Model::r4(), draft.write().unwrap().into_bytes(), &Limits::default());
        assert_eq!(draft.finish().unwrap_err(), read.unwrap_err().into());
    }

    #[test]
    fn extensions_that_say_nothing_make_no_twin() {
        let mut draft = Draft::new(Model::r4(), "Patient");
        let root = draft.root();
        draft.set_path(root, "birthDate", "1947");
        draft.path(root, "birthDate.extension.url");
        assert_eq!(draft.finish().unwrap().json(), r#"{"resourceType":"Patient","birthDate":"1947"}"#);
    }
}
