//! From parts to JSON text: repetitions to arrays, primitives to a value and its `_` twin. What is written in the order of
//! the types comes with the slots that reading it would give.

use rustc_hash::FxHashMap;

use crate::definitions::{ElementId, JsonForm, Kind, Symbol, TypeId};

use super::bind::{Bound, NO_ELEMENT, NO_TYPE};
use super::document::Limits;
use super::draft::{At, Draft, Part};
use super::json::{Shape, Slot, Slots, flag, offset};
use super::scan;

mod notes;

use notes::{Notes, Origins, Reading, Within};

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

struct Emitter<'d, N> {
    draft: &'d Draft,
    order: Order,
    text: String,
    notes: N,
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
    let mut emitter = Emitter::new(draft, Order::Document, Origins::default());
    emitter.object(draft.root(), true, Symbol::UNKNOWN, 0);
    let Origins { places, misplaced } = emitter.notes;
    Emitted { text: emitter.text, places, misplaced }
}

/// The text, and whether it is within limits.
pub(super) fn write(draft: &Draft, limits: &Limits) -> (String, bool) {
    let mut emitter = Emitter::new(draft, Order::Definition, Within::new(limits));
    emitter.object(draft.root(), true, Symbol::UNKNOWN, 0);
    let is_within = !emitter.notes.over && emitter.text.len() <= limits.bytes as usize;
    (emitter.text, is_within)
}

/// The text with what reading it would find; nothing where the model does not know all that is in it, and where it is over
/// a limit.
pub(super) fn write_read(draft: &Draft, limits: &Limits) -> Option<Read> {
    let known = |part: &Part| part.element != NO_ELEMENT && part.type_id != NO_TYPE;
    if !draft.parts.iter().skip(1).all(known) {
        return None;
    }
    let mut emitter = Emitter::new(draft, Order::Definition, Reading::new(draft.parts.len(), limits));
    emitter.object(draft.root(), true, Symbol::UNKNOWN, 0);
    let Reading { slots, mut bound, over, .. } = emitter.notes;
    if over || emitter.text.len() > limits.bytes as usize {
        return None;
    }
    bound.twins.sort_unstable();
    Some(Read { text: emitter.text, slots, bound })
}

impl<'d, N: Notes> Emitter<'d, N> {
    fn new(draft: &'d Draft, order: Order, notes: N) -> Self {
        let said = if order == Order::Definition { said(draft) } else { Vec::new() };
        let text = String::with_capacity(draft.room());
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
            Some(kind) => kind == Kind::Primitive,
            None => part.is_valued(),
        }
    }

    fn is_said(&self, at: At) -> bool {
        self.order == Order::Document || self.said.get(at.0 as usize).copied().unwrap_or(false)
    }

    /// Whether a primitive has something beside its value.
    fn has_more(&self, at: At) -> bool {
        self.draft.held(at).any(|(child, _)| self.is_said(child))
    }

    /// Puts the children of a place on [`Emitter::open`], in the order in which they are written.
    fn members(&mut self, at: At) {
        let from = self.open.len();
        let mut unknown: FxHashMap<&str, u32> = FxHashMap::default();
        let mut sorted = true;
        let mut last = (0, 0);
        let draft = self.draft;
        for (child, part) in draft.held(at) {
            if !self.is_said(child) {
                continue;
            }
            let (order, name) = if self.order == Order::Definition && part.element != NO_ELEMENT {
                // The elements of a type are numbered in its order.
                (part.element, u32::from(part.symbol.0))
            } else {
                let here = offset(self.open.len());
                // What the model does not know, and what keeps its order, stands where its name came first. A type bounds
                // the number of its own names; the others are found by hashing.
                let first = if part.symbol == Symbol::UNKNOWN {
                    *unknown.entry(self.name(draft.origin(child).name)).or_insert(here)
                } else {
                    let before = self.open.get(from..).unwrap_or_default();
                    before.iter().rev().find(|one| one.symbol == part.symbol).map_or(here, |one| one.name)
                };
                (if self.order == Order::Definition { u32::MAX } else { 0 }, first)
            };
            sorted &= last <= (order, name);
            last = (order, name);
            self.open.push(Member { order, name, symbol: part.symbol, at: child });
        }
        if !sorted && let Some(members) = self.open.get_mut(from..) {
            members.sort_by_key(|one| (one.order, one.name));
        }
    }

    fn name(&self, span: (u32, u32)) -> &'d str {
        self.draft.text.get(span.0 as usize..span.1 as usize).unwrap_or("")
    }

    /// Notes where a value begins; gives its slot.
    fn begin(&mut self, at: At, part: &Part, shape: Shape, symbol: Symbol, flags: u8) -> usize {
        self.notes.begin(
            self.draft,
            at,
            part,
            Slot { start: offset(self.text.len()), end: 0, next: 0, symbol, shape, flags },
        )
    }

    /// Notes where a value ends.
    fn end(&mut self, slot: usize) {
        self.notes.end(slot, offset(self.text.len()));
    }

    fn object(&mut self, at: At, with_type: bool, symbol: Symbol, flags: u8) {
        let Some(part) = self.part(at) else { return };
        let slot = self.begin(at, part, Shape::Object, symbol, flags);
        self.text.push('{');
        let mut is_first = true;
        if with_type && self.kind(part) == Some(Kind::Resource) {
            self.resource_type(self.draft.model.type_name(TypeId(part.type_id)));
            is_first = false;
        }
        let from = self.open.len();
        self.members(at);
        let end = self.open.len();
        let mut next = from;
        while let Some(first) = self.open.get(next).copied().filter(|_| next < end) {
            let others = self.open.get(next + 1..end).unwrap_or_default();
            let more = others.iter().take_while(|one| (one.order, one.name) == (first.order, first.name)).count();
            self.run(slot, first, next, next + 1 + more, &mut is_first);
            next += 1 + more;
        }
        self.open.truncate(from);
        self.text.push('}');
        self.end(slot);
    }

    fn resource_type(&mut self, name: &str) {
        self.text.push_str("\"resourceType\":\"");
        let start = offset(self.text.len());
        self.text.push_str(name);
        self.notes.resource_type(self.draft, start, offset(self.text.len()));
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
            let name = self.name(self.draft.origin(first.at).name);
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
        let is_array =
            to - from > 1 || (part.element != NO_ELEMENT && self.draft.model.is_array(ElementId(part.element)));
        let run = Run { from, to, is_array };
        if !self.is_primitive(part) {
            self.key(first, false, is_first);
            self.list(run, first, 0, |emitter, at, flags| emitter.object(at, true, first.symbol, flags));
            return;
        }
        if !is_array && part.is_bare() {
            // A value and nothing else.
            if part.is_valued() {
                self.key(first, false, is_first);
                self.value(first.at, first.symbol, 0);
            }
            return;
        }
        let any = |emitter: &Self, of: &dyn Fn(&Self, At) -> bool| {
            emitter.open.get(from..to).unwrap_or_default().iter().any(|one| of(emitter, one.at))
        };
        let mut value = None;
        if any(self, &|emitter, at| emitter.part(at).is_some_and(Part::is_valued)) {
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
            self.notes.pair(object, value, twin);
        }
    }

    /// The value of a member: the repetitions, in an array where it is one; gives its slot.
    fn list(&mut self, run: Run, first: Member, flags: u8, mut each: impl FnMut(&mut Self, At, u8)) -> usize {
        let slot = self.notes.next();
        if !run.is_array {
            each(self, first.at, flags);
            return slot;
        }
        let Some(part) = self.part(first.at) else { return slot };
        let slot = self.begin(first.at, part, Shape::Array, first.symbol, flags);
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
        let Some(part) = self.part(at) else { return };
        let slot = self.begin(at, part, Shape::Null, symbol, flags);
        self.text.push_str("null");
        self.end(slot);
    }

    fn value(&mut self, at: At, symbol: Symbol, flags: u8) {
        let Some(part) = self.part(at) else { return };
        let Some(text) = self.draft.text_of(part).filter(|_| part.is_valued()) else {
            self.null(at, symbol, flags);
            return;
        };
        let form =
            if part.type_id == NO_TYPE { JsonForm::String } else { self.draft.model.json_form(TypeId(part.type_id)) };
        let bare = match form {
            JsonForm::Boolean if matches!(text, "true" | "false") => Some(Shape::Boolean),
            JsonForm::Number if scan::is_number(text) => Some(Shape::Number),
            _ => None,
        };
        let slot = self.begin(at, part, bare.unwrap_or(Shape::String), symbol, flags);
        if bare.is_some() {
            self.text.push_str(text);
            self.end(slot);
            return;
        }
        let start = self.text.len() + 1;
        scan::write_string(text, &mut self.text);
        let end = self.text.len() - 1;
        self.notes.string(slot, (start, end), text);
    }
}

/// Which parts have a value, are a resource, or have something below them that is or has. A part is made before what is
/// below it.
pub(super) fn said(draft: &Draft) -> Vec<bool> {
    let mut said = vec![false; draft.parts.len()];
    for (index, part) in draft.parts.iter().enumerate().rev() {
        let is_resource = || {
            part.type_id != NO_TYPE
                && draft.model.kind(TypeId(part.type_id)) == Kind::Resource
                && !draft.model.is_abstract(TypeId(part.type_id))
        };
        let below =
            || draft.held(At(offset(index))).any(|(child, _)| said.get(child.0 as usize).copied().unwrap_or(false));
        let says = part.is_valued() || below() || is_resource();
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
        let (text, is_within) = super::write(&draft, &Limits::default());
        let read = Document::from_json(Model::r4(), text.into_bytes(), &Limits::default());
        let error = read.unwrap_err().into();
        assert!(!is_within);
        assert_eq!(draft.finish().unwrap_err(), error);
        assert_eq!(draft.write().unwrap_err(), error);
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
