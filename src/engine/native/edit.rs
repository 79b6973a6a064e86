//! Changes to a native document, written as splices over its untouched bytes.

use std::fmt::Write as _;

use super::charset::{CharacterClass, Charset};
use super::error::EditError;
use super::path::{Name, SegmentName, Step, write_member};
use super::transliterate::stand_in;
use super::tree::{Dialect, NodeId, Tree};
use super::{delimited, hl7v2, json, xml};

/// A place in a document under change: one that was there, or one that the same edit has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A node of the tree. It stays the same place whatever is inserted or removed around it.
    Node(NodeId),
    /// What an [`Edit::insert`] has made.
    New(NewId),
}

impl From<NodeId> for Place {
    fn from(node: NodeId) -> Self {
        Self::Node(node)
    }
}

/// Something inserted; valid in its edit only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewId(pub(crate) u32);

/// Where something is inserted.
#[derive(Debug, Clone, Copy)]
pub enum Anchor<'a> {
    /// Directly before it.
    Before(Place),
    /// Directly after it.
    After(Place),
    /// As the last of the list at these steps below the place: the repetitions of a field, the items of an array (made
    /// where absent), the children of an element, the rows or segments of the document.
    Last(Place, &'a [Step]),
}

/// What is inserted, empty at first. Set its parts by the [`Place`] that [`Edit::insert`] gives.
#[derive(Debug, Clone, Copy)]
pub enum Insert<'a> {
    /// HL7 v2: a segment. Which place the message structure gives it is the caller's to know.
    Segment(SegmentName),
    /// HL7 v2: a repetition of a field.
    Repetition,
    /// XML: an element; its prefix is one in scope for the namespace, else the namespace is declared on it.
    Element(&'a Name),
    /// XML: an element with all that is in it, as it is to be written. It is well-formed, and its prefixes have their
    /// meaning where it is put; nothing in it is addressed by the same edit.
    Markup(&'a str),
    /// JSON: an item of an array: `null` until set.
    Item,
    /// Delimited: a row.
    Row,
}

/// A value to set. Formats other than JSON write the text of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A text.
    Text(&'a str),
    /// A number, by its text.
    Number(&'a str),
    /// A boolean.
    Boolean(bool),
    /// Of the kind that stands there now, if the text can be of that kind; else a text.
    AsBefore(&'a str),
}

impl Scalar<'_> {
    /// The text of the value.
    #[must_use]
    pub const fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::AsBefore(text) => text,
            Self::Boolean(true) => "true",
            Self::Boolean(false) => "false",
        }
    }
}

impl<'a> From<&'a str> for Scalar<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Scalar<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Scalar<'_> {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// A character that was written as a stand-in, since the document's character set lacks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transliteration {
    /// The address that was set.
    pub path: String,
    /// What kind of character.
    pub class: CharacterClass,
    /// What was written for it.
    pub stand_in: &'static str,
}

/// A changed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its bytes. Without a change: those of the tree.
    pub bytes: Vec<u8>,
    /// Characters that are written as stand-ins.
    pub transliterations: Vec<Transliteration>,
}

/// Collects changes to a document and writes them over its bytes; what is not addressed stays byte for byte.
///
/// Changes compose: each sees those before it. A [`Place::Node`] keeps meaning what it meant in the tree; a number in a
/// path ([`Step::Repetition`], [`Step::Item`], …) counts the document as changed so far. A call that fails changes
/// nothing.
///
/// Removing and setting are done where the addressed thing is; missing fields, components, members, elements,
/// attributes on the way to a value are made, segments, rows and items are not ([`insert`](Self::insert) them).
#[derive(Debug)]
pub struct Edit<'t> {
    tree: &'t Tree,
    ink: Ink,
    state: State<'t>,
    touched: bool,
}

#[derive(Debug)]
enum State<'t> {
    Hl7V2(hl7v2::Sheet<'t>),
    Json(json::Sheet<'t>),
    Xml(xml::Sheet<'t>),
    Delimited(delimited::Sheet<'t>),
}

impl<'t> Edit<'t> {
    /// An edit of a document, without changes so far.
    #[must_use]
    pub fn new(tree: &'t Tree) -> Self {
        let state = match &tree.dialect {
            Dialect::Hl7V2(found) => State::Hl7V2(hl7v2::Sheet::new(tree, found)),
            Dialect::Json => State::Json(json::Sheet::new(tree)),
            Dialect::Xml(found) => State::Xml(xml::Sheet::new(tree, found)),
            Dialect::Delimited(found) => State::Delimited(delimited::Sheet::new(tree, found)),
        };
        let ink = Ink { charset: tree.charset(), transliterate: false, transliterations: Vec::new() };
        Self { tree, ink, state, touched: false }
    }

    /// Writes stand-ins for characters that the document's set lacks, and reports them, where there are any; else such
    /// a character is refused.
    #[must_use]
    pub fn transliterating(mut self, transliterate: bool) -> Self {
        self.ink.transliterate = transliterate;
        self
    }

    /// Puts elements that are made where a schema has them among the others, instead of at the end; and takes an element
    /// out that a change leaves without anything in it, where the schema can do without.
    #[must_use]
    pub fn by_schema(mut self, schema: &'t xml::XmlSchema) -> Self {
        if let State::Xml(sheet) = &mut self.state {
            sheet.by_schema(schema);
        }
        self
    }

    /// Whether the document is new, so that its own element has in it what the schema requires, too.
    #[must_use]
    pub fn whole(mut self, is_new: bool) -> Self {
        if let State::Xml(sheet) = &mut self.state {
            sheet.whole(is_new);
        }
        self
    }

    /// Takes an object or array of JSON out that a change leaves without anything in it, where what is at these steps from the
    /// root need not be there.
    #[must_use]
    pub fn but_demanded(mut self, demanded: &'t dyn Fn(&[Step]) -> bool) -> Self {
        if let State::Json(sheet) = &mut self.state {
            sheet.demanding(demanded);
        }
        self
    }

    /// The tree that is edited.
    #[must_use]
    pub const fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// Whether nothing has been changed so far.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Sets the value at the steps below a place. An empty text makes it empty, not absent, where the format knows the
    /// difference (JSON `""`, an attribute or element without text).
    ///
    /// In HL7 v2 the levels that the address leaves out are the first: field 5 is its repetition 1, component 1,
    /// subcomponent 1, and the others stay.
    ///
    /// # Errors
    /// [`EditError`]; nothing is changed then.
    pub fn set<'v>(
        &mut self,
        at: impl Into<Place>,
        path: &[Step],
        value: impl Into<Scalar<'v>>,
    ) -> Result<(), EditError> {
        let (at, value) = (at.into(), value.into());
        let reported = self.ink.transliterations.len();
        let result = match &mut self.state {
            State::Hl7V2(sheet) => sheet.set(at, path, value.text(), &mut self.ink),
            State::Json(sheet) => sheet.set(at, path, value),
            State::Xml(sheet) => sheet.set(at, path, value.text()),
            State::Delimited(sheet) => sheet.set(at, path, value.text(), &mut self.ink),
        };
        self.done(result, reported)
    }

    /// XML: puts markup between the tags of an element, in place of what stands there. Names without a prefix are of the
    /// namespace of the schema's document element.
    ///
    /// # Errors
    /// [`EditError`]; nothing is changed then.
    pub fn set_markup(&mut self, at: impl Into<Place>, path: &[Step], markup: &str) -> Result<(), EditError> {
        let at = at.into();
        let result = match &mut self.state {
            State::Xml(sheet) => sheet.set_markup(at, path, markup),
            _ => Err(EditError::NoSuchStep { path: String::new(), expected: "an element of XML" }),
        };
        self.done(result, usize::MAX)
    }

    /// Makes what is at the steps below a place empty, all of it: a field with its repetitions, a component, a cell; a
    /// JSON member or an XML attribute or element goes.
    ///
    /// # Errors
    /// [`EditError`]; nothing is changed then. What is not there is no error.
    pub fn clear(&mut self, at: impl Into<Place>, path: &[Step]) -> Result<(), EditError> {
        let at = at.into();
        let result = match &mut self.state {
            State::Hl7V2(sheet) => sheet.clear(at, path),
            State::Json(sheet) => sheet.clear(at, path),
            State::Xml(sheet) => sheet.clear(at, path),
            State::Delimited(sheet) => sheet.clear(at, path),
        };
        self.done(result, usize::MAX)
    }

    /// Writes the format's "delete" in place of all that is at the steps below a place: `""`, `null`, `xsi:nil`.
    ///
    /// # Errors
    /// [`EditError::NoNull`] for tables and XML attributes; [`EditError`] else. Nothing is changed then.
    pub fn null(&mut self, at: impl Into<Place>, path: &[Step]) -> Result<(), EditError> {
        let at = at.into();
        let result = match &mut self.state {
            State::Hl7V2(sheet) => sheet.null(at, path),
            State::Json(sheet) => sheet.null(at, path),
            State::Xml(sheet) => sheet.null(at, path),
            State::Delimited(sheet) => sheet.null(at, path),
        };
        self.done(result, usize::MAX)
    }

    /// Takes out a segment, repetition, item, member, element, attribute or row. A field, component or cell becomes empty.
    ///
    /// # Errors
    /// [`EditError`]; nothing is changed then.
    pub fn remove(&mut self, at: impl Into<Place>) -> Result<(), EditError> {
        let at = at.into();
        let result = match &mut self.state {
            State::Hl7V2(sheet) => sheet.remove(at),
            State::Json(sheet) => sheet.remove(at),
            State::Xml(sheet) => sheet.remove(at),
            State::Delimited(sheet) => sheet.remove(at),
        };
        self.done(result, usize::MAX)
    }

    /// Inserts something, empty at first, and gives its place.
    ///
    /// # Errors
    /// [`EditError`]; nothing is changed then.
    pub fn insert(&mut self, anchor: Anchor<'_>, what: Insert<'_>) -> Result<Place, EditError> {
        let result = match (&mut self.state, what) {
            (State::Hl7V2(sheet), Insert::Segment(name)) => sheet.insert_segment(anchor, name),
            (State::Hl7V2(sheet), Insert::Repetition) => sheet.insert_repetition(anchor),
            (State::Json(sheet), Insert::Item) => sheet.insert_item(anchor),
            (State::Xml(sheet), Insert::Element(name)) => sheet.insert_element(anchor, name),
            (State::Xml(sheet), Insert::Markup(text)) => sheet.insert_markup(anchor, text),
            (State::Delimited(sheet), Insert::Row) => sheet.insert_row(anchor),
            _ => Err(EditError::NoSuchStep {
                path: String::new(),
                expected: "a thing of this format (segment or repetition, item, element, row)",
            }),
        };
        self.touched |= result.is_ok();
        result.map(Place::New)
    }

    /// Writes the document.
    #[must_use]
    pub fn finish(self) -> Finished {
        let transliterations = self.ink.transliterations;
        if !self.touched {
            return Finished { bytes: self.tree.bytes.to_vec(), transliterations };
        }
        let mut bytes = Vec::with_capacity(self.tree.bytes.len() + 256);
        match self.state {
            State::Hl7V2(sheet) => sheet.write(&mut bytes),
            State::Json(mut sheet) => {
                sheet.settle();
                sheet.write(&mut bytes);
            }
            State::Xml(mut sheet) => {
                sheet.settle();
                sheet.write(&mut bytes);
            }
            State::Delimited(sheet) => sheet.write(&mut bytes),
        }
        Finished { bytes, transliterations }
    }

    fn done(&mut self, result: Result<(), EditError>, reported: usize) -> Result<(), EditError> {
        match result {
            Ok(()) => self.touched = true,
            // Stand-ins in a value that was refused after all are not reported.
            Err(_) => self.ink.transliterations.truncate(reported),
        }
        result
    }
}

/// Turns text into bytes of the document's character set.
#[derive(Debug)]
pub(crate) struct Ink {
    pub(crate) charset: Charset,
    transliterate: bool,
    transliterations: Vec<Transliteration>,
}

impl Ink {
    /// The stand-in of a character, noted as used at `path`.
    pub(crate) fn replace(&mut self, c: char, path: impl Fn() -> String) -> Option<&'static str> {
        if !self.transliterate {
            return None;
        }
        let stand_in = stand_in(c, self.charset)?;
        self.transliterations.push(Transliteration { path: path(), class: CharacterClass::of(c), stand_in });
        Some(stand_in)
    }

    pub(crate) fn lacks(&self, c: char, path: String) -> EditError {
        EditError::Character { path, class: CharacterClass::of(c), charset: self.charset }
    }
}

/// The written form of an address: the place's own path, then the steps.
pub(crate) fn address(tree: &Tree, place: &str, node: Option<NodeId>, steps: &[Step]) -> String {
    let mut text = match node {
        Some(NodeId::ROOT) => {
            if tree.format() == super::Format::Json {
                "$".to_owned()
            } else {
                String::new()
            }
        }
        Some(node) => tree.path(node).to_string(),
        None => place.to_owned(),
    };
    for step in steps {
        // Writing to a String does not fail.
        let _ = match step {
            Step::Segment(name, n) => write!(text, "{name}[{n}]"),
            Step::Field(n) => write!(text, "-{n}"),
            Step::Repetition(n) => write!(text, "[{n}]"),
            Step::Component(n) | Step::Subcomponent(n) => write!(text, ".{n}"),
            Step::Element(name, n) => write!(text, "/{}[{n}]", name.local),
            Step::Attribute(name) => write!(text, "/@{}", name.local),
            Step::Text(n) => write!(text, "/text()[{n}]"),
            Step::Member(name) => write_member(name, &mut text),
            Step::Item(n) => write!(text, "[{n}]"),
            Step::Row(n) => write!(text, "row {n}"),
            Step::Cell(name) => write!(text, "/{name}"),
            Step::Column(n) => write!(text, "/#{n}"),
        };
    }
    text
}
