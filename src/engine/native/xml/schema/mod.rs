//! What an XML document type can hold: a compact schema of elements in their order, attributes, texts and how often each
//! may be there, written one line each.
//!
//! ```text
//! prefix sdtc = "urn:hl7-org:sdtc"
//! namespace "urn:hl7-org:v3"
//! root ClinicalDocument: Document
//! type Document
//!   @classCode? code { DOCCLIN }
//!   templateId+ II
//!   title? text
//! type II
//!   @root? oid
//! type Quantity extends ANY
//!   @value? decimal
//! choice Value = Quantity | II
//! ```
//! `?` is at most one, `*` any number, `+` at least one, nothing exactly one; `~` behind that: not without one in what is written. `@` names an attribute, `.` the element's own
//! text; `markup` is text with any elements in it. A `choice` is the type that `xsi:type` names. Types may contain
//! themselves. A `namespace` line holds for the element names after it.

mod read;

use std::fmt;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use super::super::path::Name;
use super::XSI;

pub use read::SchemaProblem;

/// The place of a type in its schema.
pub type TypeIndex = u32;

/// A document type.
#[derive(Debug, Clone)]
pub struct XmlSchema {
    /// Prefixes and their URIs, as the schema declares them; new documents declare the same.
    pub prefixes: Vec<(Box<str>, Box<str>)>,
    /// The document element.
    pub root: Name,
    root_type: TypeIndex,
    types: Vec<Type>,
}

/// A complex type.
#[derive(Debug, Clone, Default)]
pub struct Type {
    /// Its name.
    pub name: Box<str>,
    /// The type that it extends.
    pub extends: Option<TypeIndex>,
    /// The types that `xsi:type` may name, for a choice.
    pub variants: Vec<TypeIndex>,
    /// Attributes, text and elements, elements in the order that they must have; those of the type extended come first.
    pub members: Vec<Member>,
    by_name: FxHashMap<(bool, Box<str>), Vec<u32>>,
}

/// An attribute, the text, or an element of a type.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// Its name; empty for the text.
    pub name: QName,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it must be there in what is written, though documents without it are taken.
    pub expected: bool,
    /// Whether there may be several.
    pub many: bool,
    /// What it holds.
    pub of: Content,
    /// The only texts that it may hold, where these are listed.
    pub codes: Vec<Box<str>>,
    /// Whether it stands there instead of the member before.
    pub instead: bool,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// An attribute.
    Attribute,
    /// The element's own text.
    Text,
    /// A child element.
    Element,
}

/// What a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A text of a kind.
    Simple(Simple),
    /// What a type says.
    Complex(TypeIndex),
}

/// Kinds of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simple {
    /// Any text.
    Text,
    /// A text without white space at its ends.
    Code,
    /// Codes with white space between them.
    Codes,
    /// An object identifier.
    Oid,
    /// An OID, a UUID or a name of HL7 (the `uid` of HL7 v3).
    Uid,
    /// A URI.
    Uri,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Decimal,
    /// A date of ISO 8601.
    Date,
    /// A date and time of ISO 8601.
    DateTime,
    /// A point in time of HL7 (`YYYYMMDDhhmmss.fff+ZZzz`, to any precision).
    Timestamp,
    /// Base64.
    Base64,
    /// Text with any elements in it.
    Markup,
    /// Anything at all.
    Any,
}

/// An expanded name with the way in which the schema writes it.
#[derive(Clone)]
pub struct QName {
    /// The expanded name.
    pub name: Name,
    /// As paths write it: the local part, behind a prefix where its namespace has one in the schema.
    pub shown: Box<str>,
}

impl PartialEq for QName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for QName {}

impl Hash for QName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for QName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for QName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl XmlSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// [`SchemaProblem`] with its line: what is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, SchemaProblem> {
        read::schema(text)
    }

    /// The type of the document element.
    #[must_use]
    pub const fn root_type(&self) -> TypeIndex {
        self.root_type
    }

    /// A type.
    #[must_use]
    pub fn of(&self, index: TypeIndex) -> Option<&Type> {
        self.types.get(index as usize)
    }

    /// The type of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<TypeIndex> {
        let at = self.types.iter().position(|t| *t.name == *name)?;
        TypeIndex::try_from(at).ok()
    }

    /// All types.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.types.iter()
    }

    /// The names of a type and of those that it extends, the nearest first.
    pub fn names(&self, index: TypeIndex) -> impl Iterator<Item = &str> {
        let types = std::iter::successors(self.of(index), |t| t.extends.and_then(|base| self.of(base)));
        types.map(|t| &*t.name)
    }

    /// The variant of a choice that an `xsi:type` names, its prefix left out; the type itself where it is no choice.
    #[must_use]
    pub fn variant(&self, index: TypeIndex, xsi_type: &str) -> Option<TypeIndex> {
        let local = xsi_type.rsplit(':').next().unwrap_or(xsi_type);
        let of = self.of(index)?;
        if of.variants.is_empty() {
            return Some(index);
        }
        of.variants.iter().copied().find(|v| self.of(*v).is_some_and(|t| *t.name == *local))
    }

    /// The variant of a choice that is meant where no `xsi:type` names one; none where one must.
    #[must_use]
    pub fn unnamed(&self, index: TypeIndex) -> Option<&Type> {
        let of = self.of(index)?;
        let required = of.members.iter().any(|member| member.name.name == xsi_type() && member.required);
        self.of(*of.variants.first().filter(|_| !required)?)
    }
}

impl Type {
    /// The element or attribute that a path writes so: by its prefix, or of any namespace where only one is called so.
    #[must_use]
    pub fn written(&self, attribute: bool, shown: &str) -> Option<&Member> {
        let local = shown.rsplit(':').next().unwrap_or(shown);
        let all = self.by_name.get(&(attribute, Box::from(local)))?;
        let mut members = all.iter().filter_map(|at| self.members.get(*at as usize));
        members.clone().find(|m| *m.name.shown == *shown).or_else(|| members.next().filter(|_| local == shown))
    }

    /// The element or attribute of a name.
    #[must_use]
    pub fn member(&self, attribute: bool, name: &Name) -> Option<&Member> {
        self.position(attribute, name).and_then(|at| self.members.get(at))
    }

    /// The place of an element or attribute among the members.
    #[must_use]
    pub fn position(&self, attribute: bool, name: &Name) -> Option<usize> {
        let all = self.by_name.get(&(attribute, name.local.clone()))?;
        let found = all.iter().find(|at| self.members.get(**at as usize).is_some_and(|m| m.name.name == *name))?;
        Some(*found as usize)
    }

    /// Its own text.
    #[must_use]
    pub fn text(&self) -> Option<&Member> {
        self.members.iter().find(|m| m.kind == MemberKind::Text)
    }

    /// Adds a member; one of the same name takes the place of that of the type extended.
    fn push(&mut self, member: Member) {
        let attribute = member.kind == MemberKind::Attribute;
        if let Some(at) = self.position(attribute, &member.name.name)
            && let Some(known) = self.members.get_mut(at)
            && known.kind == member.kind
        {
            *known = member;
            return;
        }
        if member.kind != MemberKind::Text {
            let at = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
            self.by_name.entry((attribute, member.name.name.local.clone())).or_default().push(at);
        }
        self.members.push(member);
    }
}

/// The attribute that names the type of a choice.
pub(crate) fn xsi_type() -> Name {
    Name::new(XSI, "type")
}
