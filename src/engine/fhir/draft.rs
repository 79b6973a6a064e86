//! Making a resource: elements are set in any order and laid out in the order of their type.
//!
//! ```
//! use silta_engine::definitions::Model;
//! use silta_engine::fhir::draft::Draft;
//!
//! let mut draft = Draft::new(Model::r4(), "ServiceRequest");
//! let root = draft.root();
//! draft.set_path(root, "status", "active");
//! draft.set_path(root, "subject.reference", "Patient/1");
//! let coding = draft.path(root, "code.coding");
//! draft.set_path(coding, "system", "http://snomed.info/sct");
//! let document = draft.finish().unwrap();
//! assert!(document.json().starts_with(r#"{"resourceType":"ServiceRequest","status":"active""#));
//! ```

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::definitions::{ElementId, Kind, Model, Symbol, TypeId};
use crate::fault::Fault;

use super::bind::{NO_ELEMENT, NO_TYPE};
use super::document::{Document, Limits, SyntaxError};
use super::emit;
use super::json::offset;
use super::node::Node;

/// A place in a draft. Only good for the draft that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(pub(super) u32);

impl At {
    /// No place of any draft.
    pub(crate) const NOWHERE: Self = Self(NOWHERE);
}

pub(super) const NOWHERE: u32 = u32::MAX;

/// One element being made: 24 bytes, of which a translation keeps many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) symbol: Symbol,
    pub(super) type_id: u16,
    pub(super) element: u32,
    /// Span of the lexical value in [`Draft::text`], from [`NOWHERE`] where there is none, and to [`REMOVED`] where the
    /// element was taken out again.
    start: u32,
    end: u32,
    /// The last of what it holds.
    last: u32,
    /// The next of what its holder holds; of the last the first.
    next: u32,
}

const REMOVED: u32 = 0;
/// What is made may be longer than what is read.
const LIMITS: Limits = Limits { bytes: u32::MAX, ..Limits::DEFAULT };

/// Where an element stands in a source that is being read, and what is only known of those.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin {
    pub(super) place: u32,
    /// Span of a name that no type has.
    pub(super) name: (u32, u32),
    pub(super) misplaced: bool,
}

/// A resource being made.
#[derive(Debug)]
pub struct Draft {
    pub(super) model: Arc<Model>,
    pub(super) parts: Vec<Part>,
    /// Those of the first parts; of all that have one.
    origins: Vec<Origin>,
    pub(super) text: String,
    /// How long the names of all parts are together.
    names: usize,
    fault: Option<DraftError>,
}

/// Why a draft is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// No type of this name.
    #[error("there is no resource type {0}")]
    UnknownType(String),
    /// The type has no such element.
    #[error("{type_name} has no element {name}")]
    UnknownElement {
        /// The type.
        type_name: String,
        /// The element.
        name: String,
    },
    /// Beyond what a document may be.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}

impl DraftError {
    /// Which answer it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::UnknownType(_) | Self::UnknownElement { .. } => Fault::Internal,
            Self::Syntax(error) => error.fault(),
        }
    }
}

impl Part {
    fn new(symbol: Symbol, element: u32, type_id: u16) -> Self {
        Self { symbol, type_id, element, start: NOWHERE, end: NOWHERE, last: NOWHERE, next: NOWHERE }
    }

    /// Whether it has a lexical value.
    pub(super) const fn is_valued(&self) -> bool {
        self.start != NOWHERE
    }

    /// Whether it holds nothing.
    pub(super) const fn is_bare(&self) -> bool {
        self.last == NOWHERE
    }

    const fn is_removed(&self) -> bool {
        self.start == NOWHERE && self.end == REMOVED
    }
}

/// Makes room for so many more. A list grows by an eighth rather than doubling: what is made is kept.
pub(crate) fn make_room<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more + 8 + list.len() / 8);
    }
}

impl Draft {
    /// An empty resource of this type. An unknown type is told by [`Draft::finish`].
    #[must_use]
    pub fn new(model: &Arc<Model>, type_name: &str) -> Self {
        let type_id = model.type_named(type_name).filter(|id| model.kind(*id) == Kind::Resource);
        let fault = type_id.is_none().then(|| DraftError::UnknownType(type_name.to_owned()));
        let mut draft = Self::bare(model, type_id);
        draft.fault = fault;
        draft
    }

    pub(super) fn bare(model: &Arc<Model>, type_id: Option<TypeId>) -> Self {
        let root = Part::new(Symbol::UNKNOWN, NO_ELEMENT, type_id.map_or(NO_TYPE, |id| id.0));
        Self {
            model: Arc::clone(model),
            parts: vec![root],
            origins: Vec::new(),
            text: String::new(),
            names: 0,
            fault: None,
        }
    }

    /// The resource itself.
    #[must_use]
    pub fn root(&self) -> At {
        At(0)
    }

    pub(super) fn part(&self, at: At) -> Option<&Part> {
        self.parts.get(at.0 as usize)
    }

    fn part_mut(&mut self, at: At) -> Option<&mut Part> {
        self.parts.get_mut(at.0 as usize)
    }

    /// Gives back the room that is not needed: no more is made.
    pub(crate) fn trim(&mut self) {
        self.parts.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    /// Makes room for so many elements with texts of so many bytes together.
    pub(crate) fn reserve(&mut self, parts: usize, text: usize) {
        self.parts.reserve(parts);
        self.text.reserve(text);
    }

    /// About how long the JSON becomes, escapes aside: values, and names with what stands around them.
    pub(super) fn room(&self) -> usize {
        self.text.len() + self.names + self.parts.len() * 7 + 32
    }

    pub(super) fn origin(&self, at: At) -> Origin {
        self.origins.get(at.0 as usize).copied().unwrap_or_default()
    }

    /// What is noted of where an element comes from; nothing to note it in where there is no such element.
    pub(super) fn origin_mut(&mut self, at: At) -> Option<&mut Origin> {
        if self.origins.len() < self.parts.len() {
            self.origins.resize(self.parts.len(), Origin::default());
        }
        self.origins.get_mut(at.0 as usize)
    }

    pub(crate) fn type_of(&self, at: At) -> Option<TypeId> {
        self.part(at).map(|part| part.type_id).filter(|id| *id != NO_TYPE).map(TypeId)
    }

    /// The type name of a place; empty where it has none.
    #[must_use]
    pub fn type_name(&self, at: At) -> &str {
        self.type_of(at).map_or("", |id| self.model.type_name(id))
    }

    /// The first existing child of this name, made when there is none. The name is as written: `valueQuantity`.
    pub fn child(&mut self, at: At, name: &str) -> At {
        let symbol = self.model.symbol(name);
        self.existing(at, symbol).unwrap_or_else(|| self.push(at, name))
    }

    /// [`Draft::child`] of a name's symbol.
    pub(crate) fn child_of(&mut self, at: At, symbol: Symbol) -> At {
        self.existing(at, symbol).unwrap_or_else(|| self.push_of(at, symbol))
    }

    /// The first existing child of this name.
    #[must_use]
    pub fn existing_child(&self, at: At, name: &str) -> Option<At> {
        self.existing(at, self.model.symbol(name))
    }

    pub(crate) fn existing(&self, at: At, symbol: Symbol) -> Option<At> {
        self.held(at).find(|(_, part)| part.symbol == symbol).map(|(child, _)| child)
    }

    /// All that has been made so far but the resource itself, also what is below something that was removed.
    pub(crate) fn made(&self) -> impl Iterator<Item = At> + use<> {
        (1..offset(self.parts.len())).map(At)
    }

    /// The children of a place in the order they were made.
    pub fn children(&self, at: At) -> impl Iterator<Item = At> + '_ {
        self.held(at).map(|(child, _)| child)
    }

    /// The children of a place with what they are.
    pub(super) fn held(&self, at: At) -> impl Iterator<Item = (At, &Part)> {
        let last = self.part(at).map_or(NOWHERE, |part| part.last);
        let mut next = self.part(At(last)).map_or(NOWHERE, |part| part.next);
        std::iter::from_fn(move || {
            loop {
                let here = At(next);
                let part = self.part(here)?;
                next = if next == last { NOWHERE } else { part.next };
                if !part.is_removed() {
                    return Some((here, part));
                }
            }
        })
    }

    /// Whether another draft was made in the same steps, and says the same but for these values, which are what it says there.
    pub(crate) fn is_but_for(&self, other: &Self, values: &[(At, &str)]) -> bool {
        let made = |part: &Part| (part.symbol, part.type_id, part.element, part.last, part.next, part.is_removed());
        self.parts.len() == other.parts.len()
            && (0_u32..).zip(&self.parts).zip(&other.parts).all(|((at, one), two)| {
                let changed = values.iter().find(|(place, _)| *place == At(at)).map(|(_, text)| *text);
                made(one) == made(two) && changed.or_else(|| self.text_of(one)) == other.text_of(two)
            })
    }

    /// Where each element stands among those of its name in what holds it, from 0.
    pub(crate) fn places_in_lists(&self) -> FxHashMap<At, usize> {
        let mut places = FxHashMap::default();
        let mut open = vec![self.root()];
        let mut counts: FxHashMap<Symbol, usize> = FxHashMap::default();
        while let Some(holder) = open.pop() {
            counts.clear();
            for child in self.children(holder) {
                let count = counts.entry(self.symbol(child)).or_insert(0);
                places.insert(child, *count);
                *count += 1;
                open.push(child);
            }
        }
        places
    }

    /// The name a place is written by; empty for the root.
    #[must_use]
    pub fn name(&self, at: At) -> &str {
        self.part(at).map_or("", |part| self.model.name(part.symbol))
    }

    /// The lexical value set at a place.
    #[must_use]
    pub fn text(&self, at: At) -> Option<&str> {
        self.part(at).and_then(|part| self.text_of(part))
    }

    pub(super) fn text_of(&self, part: &Part) -> Option<&str> {
        self.text.get(part.start as usize..part.end as usize)
    }

    /// A new repetition of this name.
    pub fn push(&mut self, at: At, name: &str) -> At {
        let symbol = self.model.symbol(name);
        self.push_symbol(at, symbol, name)
    }

    /// [`Draft::push`] of a name's symbol.
    pub(crate) fn push_of(&mut self, at: At, symbol: Symbol) -> At {
        self.push_symbol(at, symbol, "")
    }

    /// The element of the model that a place is.
    pub(crate) fn element_of(&self, at: At) -> Option<ElementId> {
        self.part(at).map(|part| part.element).filter(|id| *id != NO_ELEMENT).map(ElementId)
    }

    /// The symbol of the name that a place is written by.
    pub(crate) fn symbol(&self, at: At) -> Symbol {
        self.part(at).map_or(Symbol::UNKNOWN, |part| part.symbol)
    }

    pub(super) fn push_symbol(&mut self, at: At, symbol: Symbol, name: &str) -> At {
        let found = self.type_of(at).and_then(|of| self.model.child(of, symbol));
        if found.is_none() && self.fault.is_none() {
            let name = if name.is_empty() { self.model.name(symbol) } else { name };
            self.fault =
                Some(DraftError::UnknownElement { type_name: self.type_name(at).to_owned(), name: name.to_owned() });
        }
        let (element, type_id) = found.map_or((NO_ELEMENT, NO_TYPE), |found| (found.element.0, found.type_id.0));
        self.append(at, Part::new(symbol, element, type_id))
    }

    /// A child that the model does not know: kept for validation to speak of.
    pub(super) fn push_unknown(&mut self, at: At, name: &str) -> At {
        let start = offset(self.text.len());
        self.text.push_str(name);
        let mut part = Part::new(Symbol::UNKNOWN, NO_ELEMENT, NO_TYPE);
        part.symbol = self.model.symbol(name);
        let name = (start, offset(self.text.len()));
        let new = self.append(at, part);
        if let Some(origin) = self.origin_mut(new) {
            origin.name = name;
        }
        new
    }

    fn append(&mut self, at: At, part: Part) -> At {
        let new = At(offset(self.parts.len()));
        self.names += self.model.name(part.symbol).len();
        let last = self.part_mut(at).map_or(NOWHERE, |holder| std::mem::replace(&mut holder.last, new.0));
        let first = self.part_mut(At(last)).map_or(new.0, |last| std::mem::replace(&mut last.next, new.0));
        make_room(&mut self.parts, 1);
        self.parts.push(Part { next: first, ..part });
        new
    }

    /// Takes an element out again, with all it holds.
    pub fn remove(&mut self, at: At) {
        if let Some(part) = self.part_mut(at) {
            (part.start, part.end) = (NOWHERE, REMOVED);
        }
    }

    /// Sets the lexical value of a primitive; its JSON kind is that of its type.
    pub fn set(&mut self, at: At, value: &str) {
        let start = offset(self.text.len());
        if self.text.capacity() - self.text.len() < value.len() {
            self.text.reserve_exact(value.len() + self.text.len() / 8);
        }
        self.text.push_str(value);
        let end = offset(self.text.len());
        if let Some(part) = self.part_mut(at).filter(|part| !part.is_removed()) {
            (part.start, part.end) = (start, end);
        }
    }

    /// Follows names separated by dots, the first repetition of each, making what is not there.
    pub fn path(&mut self, at: At, path: &str) -> At {
        let mut here = at;
        for name in path.split('.') {
            here = self.child(here, name);
        }
        here
    }

    /// [`Draft::path`], then [`Draft::set`].
    pub fn set_path(&mut self, at: At, path: &str, value: &str) {
        let here = self.path(at, path);
        self.set(here, value);
    }

    /// Says which resource stands at a place whose type is any resource (`contained`, `Bundle.entry.resource`).
    pub fn becomes(&mut self, at: At, type_name: &str) {
        let type_id = self.model.type_named(type_name).filter(|id| self.model.kind(*id) == Kind::Resource);
        if type_id.is_none() && self.fault.is_none() {
            self.fault = Some(DraftError::UnknownType(type_name.to_owned()));
        }
        if let (Some(part), Some(type_id)) = (self.part_mut(at), type_id) {
            part.type_id = type_id.0;
            self.names += type_name.len() + 18;
        }
    }

    /// A new resource of this type below `contained` or `resource`.
    pub fn resource_in(&mut self, at: At, name: &str, type_name: &str) -> At {
        let new = self.push(at, name);
        self.becomes(new, type_name);
        new
    }

    /// Copies the content of a node to a place: value, extensions and children. What is there stays.
    pub fn graft(&mut self, at: At, from: Node<'_>) {
        // The depth of a document is bounded when it is read.
        if let Some(value) = from.text() {
            self.set(at, value);
        }
        if from.is_resource()
            && let Some(part) = self.part_mut(at)
        {
            part.type_id = from.type_id().map_or(NO_TYPE, |id| id.0);
        }
        for child in from.children() {
            let place = if child.element_id().is_some() {
                self.push_symbol(at, child.symbol(), child.name())
            } else {
                self.push_unknown(at, child.name())
            };
            self.graft(place, child);
        }
    }

    /// Whether nothing is set at or below a place.
    #[must_use]
    pub fn is_empty(&self, at: At) -> bool {
        self.part(at).is_none_or(|part| !part.is_valued()) && self.children(at).next().is_none()
    }

    /// The resource as JSON, elements in the order of their types, empty ones left out: the text of what
    /// [`Draft::finish`] gives.
    ///
    /// # Errors
    /// See [`DraftError`].
    pub fn write(&self) -> Result<String, DraftError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let (text, is_within) = emit::write(self, &LIMITS);
        if !is_within {
            // Reading it says what it is beyond.
            Document::from_json(&self.model, text.clone().into_bytes(), &LIMITS)?;
        }
        Ok(text)
    }

    /// The document.
    ///
    /// # Errors
    /// See [`DraftError`].
    pub fn finish(&self) -> Result<Arc<Document>, DraftError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        match emit::write_read(self, &LIMITS) {
            Some(read) => Ok(Document::of_read(&self.model, read)),
            None => Ok(Document::from_json(&self.model, emit::write(self, &LIMITS).0.into_bytes(), &LIMITS)?),
        }
    }
}
