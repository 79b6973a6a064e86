//! The one FHIR document: immutable, shared, and always holding its content as JSON text.
//!
//! A document that came as XML was turned into JSON while it was read and keeps its own text for positions. Parsing
//! does not recurse; what it may cost is one value, [`Limits`].

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;

use crate::definitions::{ElementId, Model, Symbol, TypeId};
use crate::fault::Fault;

use super::bind::{self, Bound, NO_TYPE};
use super::json::{self, Slot, Slots, flag, offset};
use super::path::Lines;
use super::{emit, xml_read, xml_write};

pub use super::json::Shape;
pub use super::node::{Children, Node, NodeId};
pub use super::path::{Path, Position};
pub use super::xml_write::XmlError;

/// What a document may cost. A document over a limit is refused after at most the reading of what was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: u32,
    /// Containers within containers.
    pub depth: u16,
    /// Values of any kind.
    pub nodes: u32,
    /// Bytes of one string.
    pub string: u32,
}

impl Limits {
    /// What is allowed where nothing else is said.
    pub const DEFAULT: Self = Self { bytes: 64 << 20, depth: 64, nodes: 2_000_000, string: 32 << 20 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxFault {
    /// More bytes than allowed.
    #[error("longer than {0} bytes")]
    TooLong(u32),
    /// Deeper than allowed.
    #[error("nested deeper than {0}")]
    TooDeep(u16),
    /// More values than allowed.
    #[error("more than {0} values")]
    TooManyNodes(u32),
    /// A string longer than allowed.
    #[error("a string longer than {0} bytes")]
    StringTooLong(u32),
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A FHIR resource in JSON is one object.
    #[error("expected an object: \"{{\"")]
    NotAnObject,
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The text ends inside a value.
    #[error("the text ends too early")]
    Ends,
    /// Text after the resource.
    #[error("text after the end of the resource")]
    Trailing,
    /// The same member twice in one object.
    #[error("a member name that was there before")]
    DuplicateKey,
    /// Not a JSON number.
    #[error("not a number of JSON")]
    Number,
    /// An escape that JSON does not have.
    #[error("an escape that JSON does not have")]
    Escape,
    /// Half of a surrogate pair.
    #[error("half of a surrogate pair")]
    Surrogate,
    /// A control character that is not escaped.
    #[error("a control character that is not escaped")]
    Control,
    /// XML that is not well-formed.
    #[error("not well-formed XML")]
    NotWellFormed,
    /// A document type declaration.
    #[error("a document type declaration is not allowed")]
    DocumentType,
    /// An entity other than the five of XML.
    #[error("an entity that XML does not define")]
    Entity,
    /// An encoding that is not read.
    #[error("an encoding other than UTF-8")]
    Encoding,
    /// The root is not in the namespace of FHIR.
    #[error("expected the namespace http://hl7.org/fhir")]
    Namespace,
    /// The same attribute twice.
    #[error("an attribute that was there before")]
    DuplicateAttribute,
    /// Text where FHIR has none.
    #[error("text between elements")]
    MixedText,
}

/// A text that is no document, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct SyntaxError {
    /// What is wrong.
    pub fault: SyntaxFault,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl SyntaxError {
    pub(super) fn at(fault: SyntaxFault, text: &str, at: usize) -> Self {
        let mut end = at.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = text.get(..end).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            fault,
            line: offset(before.bytes().filter(|byte| *byte == b'\n').count() + 1),
            column: offset(before.get(line_start..).map_or(0, |line| line.chars().count()) + 1),
        }
    }

    pub(super) fn start(fault: SyntaxFault) -> Self {
        Self { fault, line: 1, column: 1 }
    }

    /// Which answer it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self.fault {
            SyntaxFault::TooLong(_)
            | SyntaxFault::TooDeep(_)
            | SyntaxFault::TooManyNodes(_)
            | SyntaxFault::StringTooLong(_) => Fault::TooLarge,
            _ => Fault::CannotParse,
        }
    }
}

/// A FHIR resource as a document. See the module.
pub struct Document {
    pub(super) model: Arc<Model>,
    pub(super) text: String,
    pub(super) slots: Slots,
    pub(super) bound: Bound,
    pub(super) xml: Option<XmlSource>,
    pub(super) parents: OnceLock<Vec<u32>>,
    /// The place of every item of an array in it; made where somebody asks in a long one.
    pub(super) ordinals: OnceLock<Vec<u32>>,
    pub(super) lines: OnceLock<Lines>,
    index: OnceLock<BundleIndex>,
    /// The resources that those contain which contain many; made where somebody asks one of these.
    contained: OnceLock<FxHashMap<(NodeId, Box<str>), NodeId>>,
}

/// Contained resources up to which they are looked through one by one.
const FEW_CONTAINED: usize = 16;

/// Where a document came from as XML: its text, and which place in it each place of the JSON text stands for.
#[derive(Debug)]
pub(super) struct XmlSource {
    pub(super) text: String,
    /// (offset in the JSON, offset in the XML), ascending.
    pub(super) places: Vec<(u32, u32)>,
    /// Elements that do not stand in the order of their type: offsets in the JSON.
    pub(super) misplaced: Vec<u32>,
}

impl std::fmt::Debug for Document {
    /// Says nothing of the content: a document is a person's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({}, {} bytes)", self.root().type_name(), self.text.len())
    }
}

fn utf8(bytes: Vec<u8>, limits: &Limits) -> Result<String, SyntaxError> {
    if bytes.len() > limits.bytes as usize {
        return Err(SyntaxError::start(SyntaxFault::TooLong(limits.bytes)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default()).into_owned();
        SyntaxError::at(SyntaxFault::NotUtf8, &text, good)
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        // RFC 8259 lets a reader ignore a byte order mark.
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

impl Document {
    /// Reads JSON.
    ///
    /// # Errors
    /// Where the text is not JSON, has a member twice, or is over a limit. What FHIR says about the content is for
    /// validation.
    pub fn from_json(model: &Arc<Model>, text: Vec<u8>, limits: &Limits) -> Result<Arc<Self>, SyntaxError> {
        Self::build(model, utf8(text, limits)?, None, limits).map(Arc::new)
    }

    /// Reads XML (<http://hl7.org/fhir/R4/xml.html>), along the model.
    ///
    /// # Errors
    /// Where the text is not well-formed, has a document type declaration, or is over a limit.
    pub fn from_xml(model: &Arc<Model>, text: Vec<u8>, limits: &Limits) -> Result<Arc<Self>, SyntaxError> {
        let text = utf8(text, limits)?;
        let (json, source) = xml_read::to_json(model, text, limits)?;
        let wider = Limits { bytes: u32::MAX, depth: limits.depth.saturating_mul(2), ..*limits };
        Self::build(model, json, Some(source), &wider).map(Arc::new)
    }

    fn build(model: &Arc<Model>, text: String, xml: Option<XmlSource>, limits: &Limits) -> Result<Self, SyntaxError> {
        let mut slots = json::parse(model, &text, limits)?;
        let mut taken = std::mem::take(&mut slots.slots);
        let bound = bind::bind(model, &mut taken, |slot, place| {
            text_of(&text, &slots, slot, place).filter(|_| slot.shape == Shape::String).map(str::to_owned)
        });
        slots.slots = taken;
        Ok(Self::of_parts(model, text, slots, bound, xml))
    }

    /// What was written with what reading it would find.
    pub(super) fn of_read(model: &Arc<Model>, read: emit::Read) -> Arc<Self> {
        Arc::new(Self::of_parts(model, read.text, read.slots, read.bound, None))
    }

    fn of_parts(model: &Arc<Model>, text: String, slots: Slots, bound: Bound, xml: Option<XmlSource>) -> Self {
        Self {
            model: Arc::clone(model),
            text,
            slots,
            bound,
            xml,
            parents: OnceLock::new(),
            ordinals: OnceLock::new(),
            lines: OnceLock::new(),
            index: OnceLock::new(),
            contained: OnceLock::new(),
        }
    }

    /// The model it was read along.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The resource.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::new(self, 0, Node::NOTHING)
    }

    /// The content as JSON: the very text it was read from, or what its XML means.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.text
    }

    /// The content as XML, elements in the order of their types.
    ///
    /// # Errors
    /// Where XML cannot carry the content: a narrative that is not well-formed, a character that XML does not have.
    pub fn to_xml(&self) -> Result<String, XmlError> {
        xml_write::write(self)
    }

    /// The number of values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.slots.slots.len()
    }

    /// Whether it was read from XML.
    #[must_use]
    pub fn is_xml(&self) -> bool {
        self.xml.is_some()
    }

    /// The nodes that XML had out of the order of their type, in document order.
    pub fn misplaced(&self) -> impl Iterator<Item = Node<'_>> {
        self.xml.iter().flat_map(|xml| &xml.misplaced).filter_map(|at| {
            let index = self.slots.slots.partition_point(|slot| slot.start < *at);
            (index < self.slots.slots.len()).then(|| self.node(NodeId(offset(index))))
        })
    }

    /// The node of this number.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node::of(self, id)
    }

    /// For a Bundle: its entries by fullUrl and by type and id. Built once.
    #[must_use]
    pub fn bundle(&self) -> &BundleIndex {
        self.index.get_or_init(|| BundleIndex::of(self))
    }

    /// The resource of this id among those that a resource contains.
    #[must_use]
    pub fn contained<'d>(&'d self, container: Node<'d>, id: &str) -> Option<Node<'d>> {
        let mut all = container.named("contained");
        let found = all.by_ref().take(FEW_CONTAINED).find(|one| one.text_at("id") == Some(id));
        if found.is_some() || all.next().is_none() {
            return found;
        }
        let index = self.contained.get_or_init(|| self.index_contained());
        index.get(&(container.id(), Box::from(id))).map(|found| self.node(*found))
    }

    fn index_contained(&self) -> FxHashMap<(NodeId, Box<str>), NodeId> {
        let mut index = FxHashMap::default();
        let contained = self.model.symbol("contained");
        let arrays = self.slots.slots.iter().zip(0_u32..);
        let arrays = arrays.filter(|(slot, _)| slot.symbol == contained && slot.shape == Shape::Array);
        for holder in arrays.filter_map(|(_, place)| self.parent_of(place)) {
            let holder = self.node(NodeId(holder));
            for one in holder.named("contained") {
                if let Some(id) = one.text_at("id") {
                    index.entry((holder.id(), Box::from(id))).or_insert(one.id());
                }
            }
        }
        index
    }

    pub(super) fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.slots.get(index as usize)
    }

    pub(super) fn slot_text(&self, index: u32) -> Option<&str> {
        text_of(&self.text, &self.slots, self.slot(index)?, index)
    }

    pub(super) fn slot_type(&self, index: u32) -> Option<TypeId> {
        self.bound.types.get(index as usize).copied().filter(|id| *id != NO_TYPE).map(TypeId)
    }

    pub(super) fn slot_element(&self, index: u32) -> Option<ElementId> {
        self.bound.elements.get(index as usize).copied().filter(|id| *id != bind::NO_ELEMENT).map(ElementId)
    }

    /// The name of a slot's member as written, without a leading `_`.
    pub(super) fn slot_name(&self, index: u32) -> &str {
        let Some(slot) = self.slot(index) else { return "" };
        if slot.symbol != Symbol::UNKNOWN {
            return self.model.name(slot.symbol);
        }
        // The items of an array have the name of their array.
        let mut at = index;
        loop {
            if let Ok(found) = self.slots.unknown.binary_search_by_key(&at, |aside| aside.slot) {
                let aside = self.slots.unknown.get(found);
                return aside
                    .and_then(|aside| self.slots.names.get(aside.start as usize..aside.end as usize))
                    .unwrap_or("");
            }
            if self.slot(at).is_none_or(|slot| slot.flags & flag::ITEM == 0) {
                return "";
            }
            let Some(parent) = self.parent_of(at) else { return "" };
            at = parent;
        }
    }

    pub(super) fn twin_of(&self, index: u32) -> Option<u32> {
        let found = self.bound.twins.binary_search_by_key(&index, |(primary, _)| *primary).ok()?;
        self.bound.twins.get(found).map(|(_, twin)| *twin)
    }

    /// The slot that holds a slot.
    pub(super) fn parent_of(&self, index: u32) -> Option<u32> {
        if index == 0 {
            // The table is only made for those who climb.
            return None;
        }
        let parents = self.parents.get_or_init(|| {
            let mut parents = Vec::with_capacity(self.slots.slots.len());
            let mut open: Vec<(u32, u32)> = Vec::new();
            for (slot, place) in self.slots.slots.iter().zip(0_u32..) {
                while open.last().is_some_and(|(next, _)| *next <= place) {
                    open.pop();
                }
                parents.push(open.last().map_or(u32::MAX, |(_, holder)| *holder));
                if slot.next > place + 1 {
                    open.push((slot.next, place));
                }
            }
            parents
        });
        parents.get(index as usize).copied().filter(|parent| *parent != u32::MAX)
    }

    /// The place of an item in its array, from a table of all.
    pub(super) fn ordinal_of(&self, index: u32) -> u32 {
        let ordinals = self.ordinals.get_or_init(|| {
            let mut ordinals = vec![0; self.slots.slots.len()];
            for (slot, place) in self.slots.slots.iter().zip(0_u32..).filter(|(slot, _)| slot.shape == Shape::Array) {
                let mut at = place + 1;
                let mut ordinal = 0;
                while at < slot.next {
                    if let Some(to) = ordinals.get_mut(at as usize) {
                        *to = ordinal;
                    }
                    ordinal += 1;
                    at = self.slots.slots.get(at as usize).map_or(slot.next, |item| item.next.max(at + 1));
                }
            }
            ordinals
        });
        ordinals.get(index as usize).copied().unwrap_or(0)
    }
}

fn text_of<'d>(text: &'d str, slots: &'d Slots, slot: &Slot, index: u32) -> Option<&'d str> {
    match slot.shape {
        Shape::Object | Shape::Array | Shape::Null => None,
        _ if slot.flags & flag::ESCAPED != 0 => {
            let found = slots.escapes.binary_search_by_key(&index, |aside| aside.slot).ok()?;
            let aside = slots.escapes.get(found)?;
            slots.decoded.get(aside.start as usize..aside.end as usize)
        }
        _ => text.get(slot.start as usize..slot.end as usize),
    }
}

/// A node of a shared document as a value of its own: an entry's resource, a contained resource.
#[derive(Debug, Clone)]
pub struct Part {
    document: Arc<Document>,
    id: NodeId,
}

impl Part {
    /// A node of this document.
    #[must_use]
    pub fn new(document: &Arc<Document>, id: NodeId) -> Self {
        Self { document: Arc::clone(document), id }
    }

    /// The whole of a document.
    #[must_use]
    pub fn whole(document: &Arc<Document>) -> Self {
        Self::new(document, document.root().id())
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> Node<'_> {
        self.document.node(self.id)
    }

    /// The document it is a part of.
    #[must_use]
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// A document of its own with the same text. The whole of a document is that document.
    ///
    /// # Errors
    /// Never for a part that is an object within the default limits.
    pub fn detach(&self) -> Result<Arc<Document>, SyntaxError> {
        if self.id == self.document.root().id() {
            return Ok(Arc::clone(&self.document));
        }
        let limits = Limits { bytes: u32::MAX, depth: u16::MAX, nodes: u32::MAX, string: u32::MAX };
        Document::from_json(self.document.model(), self.node().raw().as_bytes().to_vec(), &limits)
    }
}

/// Where the entries of a Bundle are.
#[derive(Debug, Default)]
pub struct BundleIndex {
    by_url: HashMap<String, NodeId>,
    by_id: HashMap<String, NodeId>,
}

impl BundleIndex {
    fn of(document: &Document) -> Self {
        let entries: Vec<Node<'_>> = document.root().named("entry").collect();
        let mut index =
            Self { by_url: HashMap::with_capacity(entries.len()), by_id: HashMap::with_capacity(entries.len()) };
        for entry in entries {
            let Some(resource) = entry.first("resource") else { continue };
            if let Some(url) = entry.at("fullUrl").and_then(Node::text) {
                index.by_url.entry(url.to_owned()).or_insert(resource.id());
            }
            if let Some(id) = resource.at("id").and_then(Node::text) {
                index.by_id.entry(format!("{}/{id}", resource.type_name())).or_insert(resource.id());
            }
        }
        index
    }

    /// The resource of the entry with this fullUrl.
    #[must_use]
    pub fn by_url(&self, url: &str) -> Option<NodeId> {
        self.by_url.get(url).copied()
    }

    /// The resource of this `Type/id`.
    #[must_use]
    pub fn by_id(&self, reference: &str) -> Option<NodeId> {
        self.by_id.get(reference).copied()
    }

    /// The resource that a reference leads to: by fullUrl, or by the `Type/id` that it is or ends with.
    pub(crate) fn by_reference(&self, reference: &str) -> Option<NodeId> {
        self.by_url(reference).or_else(|| self.by_id(reference)).or_else(|| {
            let mut parts = reference.rsplit('/');
            let id = parts.next()?;
            let kind = parts.next()?;
            self.by_id(&format!("{kind}/{id}"))
        })
    }
}
