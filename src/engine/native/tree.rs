//! The arena: one flat array of small records over the document's own bytes, in document order.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::OnceLock;

use super::bytes::Bytes;
use super::charset::Charset;
use super::error::{Position, Problem, RowFault};
use super::{Format, Limits, Syntax, delimited, hl7v2, json, xml};

/// A node of a [`Tree`]; valid for that tree only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// The document itself.
    pub const ROOT: Self = Self(NonZeroU32::MIN);

    pub(crate) const fn new(index: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    /// Its place in document order, from zero: dense, usable as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0.get() - 1) as usize
    }

    pub(crate) const fn raw(self) -> u32 {
        self.0.get() - 1
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The whole document. In JSON the root is the top value instead.
    Document,
    /// HL7 v2: a segment.
    Segment,
    /// HL7 v2: a field that is not empty. Without children it is its own repetition, component and subcomponent 1.
    Field,
    /// HL7 v2: one of several repetitions (also an empty one between others).
    Repetition,
    /// HL7 v2: a component that is not empty, of several.
    Component,
    /// HL7 v2: a subcomponent that is not empty, of several.
    Subcomponent,
    /// JSON: an object.
    Object,
    /// JSON: an array.
    Array,
    /// JSON: a string.
    String,
    /// JSON: a number, kept as written.
    Number,
    /// JSON: `true` or `false`.
    Boolean,
    /// JSON: `null`.
    Null,
    /// XML: an element.
    Element,
    /// XML: an attribute, namespace declarations included (those are no leaves).
    Attribute,
    /// XML: a run of text, CDATA sections included; of white space alone it is no leaf.
    Text,
    /// XML: a comment or a processing instruction.
    Comment,
    /// Delimited: the header row; its cells are no leaves.
    Header,
    /// Delimited: a row below the header.
    Row,
    /// Delimited: a cell, empty ones included.
    Cell,
}

/// The value of a node, decoded: character set, escapes, entities, quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'t> {
    /// There is no such node.
    Absent,
    /// It is there, without content: no news.
    Empty,
    /// The format's "delete": `""` in HL7 v2, `null` in JSON, `xsi:nil` in XML.
    Null,
    /// A value.
    Text(Cow<'t, str>),
}

impl<'t> Value<'t> {
    /// The text of a valued one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a valued one, owned or borrowed from the tree.
    #[must_use]
    pub fn into_text(self) -> Option<Cow<'t, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn of_text(text: Cow<'t, str>) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }
}

pub(crate) const NONE: u32 = u32::MAX;

/// The value is taken as it stands (MSH-1, MSH-2), or the JSON name has no escapes.
pub(crate) const PLAIN: u8 = 1;
/// The JSON node is a member of an object.
pub(crate) const MEMBER: u8 = 2;
/// The JSON node is an item of an array.
pub(crate) const ITEM: u8 = 4;
/// The XML attribute is a namespace declaration.
pub(crate) const DECLARATION: u8 = 8;

/// One node: 28 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    /// XML: the namespace.
    pub(crate) namespace: u16,
    /// The number among siblings, from one (v2, XML by name, rows, cells) or from zero (JSON items); for a JSON member
    /// the offset of its name.
    pub(crate) number: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) parent: u32,
    /// The first node after this one's subtree.
    pub(crate) after: u32,
    pub(crate) leaf: u32,
}

const NOWHERE: Record = Record {
    kind: Kind::Document,
    flags: 0,
    namespace: 0,
    number: 0,
    start: 0,
    end: 0,
    parent: NONE,
    after: 0,
    leaf: NONE,
};

/// What was found out about a document's own way of writing.
#[derive(Debug, Clone)]
pub(crate) enum Dialect {
    Hl7V2(hl7v2::Found),
    Json,
    Xml(xml::Found),
    Delimited(delimited::Found),
}

impl Dialect {
    const fn charset(&self) -> Charset {
        match self {
            Self::Hl7V2(found) => found.charset,
            Self::Json => Charset::Utf8,
            Self::Xml(found) => found.charset,
            Self::Delimited(found) => found.charset,
        }
    }
}

/// A native document: its bytes, and its nodes in document order.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) bytes: Bytes,
    pub(crate) nodes: Vec<Record>,
    pub(crate) leaves: Vec<u32>,
    pub(crate) syntax: Syntax,
    pub(crate) dialect: Dialect,
    /// Where lines begin; counted when somebody asks for a position.
    lines: OnceLock<Vec<usize>>,
}

impl Tree {
    /// The bytes, as they came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, as they came.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.syntax.format()
    }

    /// How it was read; reads the result of an [`Edit`](super::Edit) again.
    #[must_use]
    pub const fn syntax(&self) -> &Syntax {
        &self.syntax
    }

    /// The character set that it is in.
    #[must_use]
    pub const fn charset(&self) -> Charset {
        self.dialect.charset()
    }

    /// The top node.
    #[must_use]
    pub const fn root(&self) -> NodeId {
        NodeId::ROOT
    }

    /// How many nodes there are; ids index from 0 to this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node at all, which no parser gives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many leaves there are.
    #[must_use]
    pub fn leaf_count(&self) -> u32 {
        u32::try_from(self.leaves.len()).unwrap_or(u32::MAX)
    }

    /// The node of a leaf number.
    #[must_use]
    pub fn leaf_node(&self, leaf: u32) -> Option<NodeId> {
        self.leaves.get(leaf as usize).copied().map(NodeId::new)
    }

    pub(crate) fn record(&self, node: NodeId) -> &Record {
        self.nodes.get(node.index()).unwrap_or(&NOWHERE)
    }

    /// What the node is.
    #[must_use]
    pub fn kind(&self, node: NodeId) -> Kind {
        self.record(node).kind
    }

    /// The number of the leaf, where the node is one.
    #[must_use]
    pub fn leaf(&self, node: NodeId) -> Option<u32> {
        let leaf = self.record(node).leaf;
        (leaf != NONE).then_some(leaf)
    }

    /// The numbers of the leaves in the node's subtree, itself included: they are consecutive.
    #[must_use]
    pub fn leaves(&self, node: NodeId) -> std::ops::Range<u32> {
        let Record { after, leaf, .. } = *self.record(node);
        if leaf != NONE && after == node.raw().saturating_add(1) {
            return leaf..leaf + 1;
        }
        let from = self.leaves.partition_point(|leaf| *leaf < node.raw());
        let to = self.leaves.partition_point(|leaf| *leaf < after);
        u32::try_from(from).unwrap_or(u32::MAX)..u32::try_from(to).unwrap_or(u32::MAX)
    }

    /// The node that it stands in.
    #[must_use]
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        let parent = self.record(node).parent;
        (parent != NONE).then(|| NodeId::new(parent))
    }

    /// The bytes of the node as written.
    #[must_use]
    pub fn raw(&self, node: NodeId) -> &[u8] {
        self.bytes.get(self.span(node)).unwrap_or_default()
    }

    /// Where the bytes of the node are.
    #[must_use]
    pub fn span(&self, node: NodeId) -> std::ops::Range<usize> {
        let record = self.record(node);
        record.start as usize..record.end as usize
    }

    /// Line and column of the node's first byte; counted when asked.
    #[must_use]
    pub fn position(&self, node: NodeId) -> Position {
        let lines = self.lines.get_or_init(|| Position::lines(&self.bytes));
        Position::on(lines, self.record(node).start as usize)
    }

    /// The children as they are recorded, in document order.
    ///
    /// In HL7 v2 empty fields and components are not recorded, and a lone repetition, component or subcomponent is its
    /// parent: use [`field`](Self::field), [`repetition`](Self::repetition), [`component`](Self::component) and
    /// [`subcomponent`](Self::subcomponent) there.
    #[must_use]
    pub fn children(&self, node: NodeId) -> Children<'_> {
        Children { tree: self, next: node.raw().saturating_add(1), after: self.record(node).after }
    }

    /// Whether the node has children.
    #[must_use]
    pub fn has_children(&self, node: NodeId) -> bool {
        self.record(node).after > node.raw().saturating_add(1)
    }

    /// Whether `node` stands in `ancestor`, or is it.
    #[must_use]
    pub fn is_within(&self, node: NodeId, ancestor: NodeId) -> bool {
        node >= ancestor && node.raw() < self.record(ancestor).after
    }

    /// The name: of a segment, a JSON member, an element or attribute (local part), a cell's column.
    #[must_use]
    pub fn name(&self, node: NodeId) -> Option<Cow<'_, str>> {
        let record = self.record(node);
        match record.kind {
            Kind::Segment => hl7v2::segment_name(self, node).map(Cow::Borrowed),
            Kind::Element | Kind::Attribute => xml::local_name(self, node),
            Kind::Cell => delimited::column_name(self, node),
            _ if record.flags & MEMBER != 0 => json::member_name(self, record),
            _ => None,
        }
    }

    /// The number: of a field, repetition, component, subcomponent (from 1), a segment or element among those of its
    /// name (from 1), a JSON item (from 0), a row (the header is 1), a cell's column (from 1).
    #[must_use]
    pub fn number(&self, node: NodeId) -> Option<u32> {
        let record = self.record(node);
        match record.kind {
            Kind::Document => None,
            _ if record.flags & MEMBER != 0 => None,
            Kind::Object | Kind::Array | Kind::String | Kind::Number | Kind::Boolean | Kind::Null
                if record.flags & ITEM == 0 =>
            {
                None
            }
            _ => Some(record.number),
        }
    }

    /// The value, decoded. Nothing is allocated unless the bytes have escapes or are not UTF-8.
    ///
    /// Of an HL7 v2 composite: its first component's first subcomponent. Of an element: its own text. Of an object,
    /// array, row or document: [`Value::Empty`].
    #[must_use]
    pub fn value(&self, node: impl Into<Option<NodeId>>) -> Value<'_> {
        let Some(node) = node.into() else { return Value::Absent };
        match &self.dialect {
            Dialect::Hl7V2(found) => hl7v2::value(self, found, node),
            Dialect::Json => json::value(self, node),
            Dialect::Xml(found) => xml::value(self, found, node),
            Dialect::Delimited(found) => delimited::value(self, found, node),
        }
    }

    /// The text of the value, where there is one.
    #[must_use]
    pub fn text(&self, node: impl Into<Option<NodeId>>) -> Option<Cow<'_, str>> {
        self.value(node).into_text()
    }

    /// Delimited: the rows that could not be read. They are kept in the bytes and are no nodes.
    #[must_use]
    pub fn row_faults(&self) -> &[RowFault] {
        match &self.dialect {
            Dialect::Delimited(found) => &found.faults,
            _ => &[],
        }
    }
}

/// The recorded children of a node.
#[derive(Debug, Clone)]
pub struct Children<'t> {
    tree: &'t Tree,
    next: u32,
    after: u32,
}

impl Iterator for Children<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        if self.next >= self.after {
            return None;
        }
        let node = NodeId::new(self.next);
        self.next = self.tree.record(node).after.max(self.next + 1);
        Some(node)
    }
}

/// The tree has as many nodes as it may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Full;

/// Appends records in document order.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) nodes: Vec<Record>,
    pub(crate) leaves: Vec<u32>,
    limit: usize,
}

impl Builder {
    /// A builder for about this many nodes.
    pub(crate) fn new(limits: &Limits, expected: usize) -> Self {
        let limit = limits.nodes.min(NONE as usize - 1);
        let expected = expected.min(limit);
        Self { nodes: Vec::with_capacity(expected), leaves: Vec::with_capacity(expected), limit }
    }

    /// What a full tree is reported as.
    pub(crate) const fn full(&self) -> Problem {
        Problem::TooManyNodes { limit: self.limit }
    }

    /// A node without flags and without children, so far.
    pub(crate) fn push(&mut self, kind: Kind, number: u32, start: usize, end: usize, parent: u32) -> Result<u32, Full> {
        self.record(kind, 0, number, start, end, parent, false)
    }

    /// A node whose end is not known yet.
    pub(crate) fn open(&mut self, kind: Kind, flags: u8, number: u32, start: usize, parent: u32) -> Result<u32, Full> {
        self.record(kind, flags, number, start, start, parent, false)
    }

    /// A node without children that is a leaf.
    pub(crate) fn leaf(
        &mut self,
        kind: Kind,
        flags: u8,
        number: u32,
        start: usize,
        end: usize,
        parent: u32,
    ) -> Result<u32, Full> {
        self.record(kind, flags, number, start, end, parent, true)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a record, given by the three methods above")]
    #[inline]
    fn record(
        &mut self,
        kind: Kind,
        flags: u8,
        number: u32,
        start: usize,
        end: usize,
        parent: u32,
        is_leaf: bool,
    ) -> Result<u32, Full> {
        let index = self.nodes.len();
        if index >= self.limit {
            return Err(Full);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the limits keep bytes and nodes below 2^32")]
        let (index, start, end, mut leaf) = (index as u32, start as u32, end as u32, self.leaves.len() as u32);
        if is_leaf {
            self.leaves.push(index);
        } else {
            leaf = NONE;
        }
        self.nodes.push(Record { kind, flags, namespace: 0, number, start, end, parent, after: index + 1, leaf });
        Ok(index)
    }

    /// Makes a node a leaf. Leaves are counted in document order, so no later node may be one already.
    pub(crate) fn count(&mut self, index: u32) {
        #[expect(clippy::cast_possible_truncation, reason = "there are no more leaves than nodes")]
        let leaf = self.leaves.len() as u32;
        self.leaves.push(index);
        if let Some(record) = self.nodes.get_mut(index as usize) {
            record.leaf = leaf;
        }
    }

    /// Ends a node: what came since is its subtree.
    pub(crate) fn close(&mut self, index: u32, end: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "the limits keep bytes and nodes below 2^32")]
        let (after, end) = (self.nodes.len() as u32, end as u32);
        if let Some(record) = self.nodes.get_mut(index as usize) {
            record.after = after;
            record.end = end;
        }
    }

    /// Sets flags of a node.
    pub(crate) fn flag(&mut self, index: u32, flags: u8) {
        if let Some(record) = self.nodes.get_mut(index as usize) {
            record.flags |= flags;
        }
    }

    pub(crate) fn finish(mut self, bytes: Vec<u8>, syntax: Syntax, dialect: Dialect) -> Tree {
        // It is kept as long as the document is worked with.
        self.nodes.shrink_to_fit();
        self.leaves.shrink_to_fit();
        let bytes = Bytes::new(bytes, dialect.charset());
        Tree { bytes, nodes: self.nodes, leaves: self.leaves, syntax, dialect, lines: OnceLock::new() }
    }
}
