//! The text of a `.map` file as a syntax tree with positions.
//!
//! The language is line-oriented: one line is one statement, and a statement that repeats something (`each`) holds the
//! lines below it that stand further in. A line goes on while a `{` is open. `#` opens a comment where a word could
//! begin. An error in one line never hides the next line's: the parser notes it, skips the line and goes on.
//!
//! ```text
//! map ref-i12 hl7v2 REF_I12 2.3..2.8 events I12 I13 I14 <=> fhir R4 Bundle
//!   entry referral: ServiceRequest key RF1-6 else MSH-4 + MSH-10
//!   const referral.intent = "order"
//!   RF1-2 <=> referral.priority coded { S = stat  A = asap ~urgent  R = routine } else residue
//!   each DG1 key DG1-20 else DG1-3.1 <=> referral.reasonReference[]: Condition use dg1
//! block ei EI <=> Identifier
//!   .1 <=> .value text
//! ```

mod cursor;
mod header;
mod parse;
mod paths;
mod problem;
mod statement;
mod written;

use std::sync::Arc;

pub use super::versions::FhirVersion;
pub use parse::parse;
pub(crate) use paths::ANY;
pub use problem::{Level, Problem, Span};

/// One parsed file.
#[derive(Debug, Clone)]
pub struct File {
    /// The file's name.
    pub name: Arc<str>,
    /// Maps, blocks, tables and aliases, in the order of the file.
    pub items: Vec<Item>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A top-level item of a map file.
#[derive(Debug, Clone)]
pub enum Item {
    /// `map NAME … <=> fhir R4 Bundle`
    Map(MapItem),
    /// `block NAME … <=> TYPE`
    Block(BlockItem),
    /// `table NAME { … }`
    Table(TableItem),
    /// `alias NAME = "uri"`
    Alias(AliasItem),
    /// `segment ZPI { 1 ST  2 CX* }`, `segment TQ1 in ORM_O01`
    Segment(SegmentItem),
}

/// A segment of HL7 v2 that a structure does not have: one of the sender's own (Z), with its fields, or one of HL7's that
/// senders put where the structure has none.
#[derive(Debug, Clone)]
pub struct SegmentItem {
    /// Where it stands.
    pub span: Span,
    /// Its name.
    pub name: String,
    /// Its fields: number, data type, whether it repeats. Those of HL7's own are HL7's.
    pub fields: Vec<(u16, String, bool)>,
    /// The structures that it is in; empty for all.
    pub structures: Vec<String>,
}

/// A map: one native document type related to a Bundle.
#[derive(Debug, Clone)]
pub struct MapItem {
    /// Where its header stands.
    pub span: Span,
    /// Its name, unique in the tree.
    pub name: String,
    /// The native document it reads and writes.
    pub native: NativeType,
    /// The map that writes answers to messages of this one.
    pub answer: Option<(Span, String)>,
    /// Its statements.
    pub body: Vec<Statement>,
}

/// A block: statements shared by maps, on one native part and one FHIR type.
#[derive(Debug, Clone)]
pub struct BlockItem {
    /// Where its header stands.
    pub span: Span,
    /// Its name, unique in the tree.
    pub name: String,
    /// The file it stands in.
    pub file: Arc<str>,
    /// How its native paths are written.
    pub format: FormatName,
    /// What its native paths start from: a segment, one of several datatypes, or a name for the reader only.
    pub from: Vec<String>,
    /// The FHIR type its `.` paths start from; `None` for a block that only uses the entries of its user.
    pub to: Option<String>,
    /// The FHIR version whose type it relates to R4, where it does.
    pub version: Option<FhirVersion>,
    /// Its statements.
    pub body: Vec<Statement>,
}

/// A table of codes by name.
#[derive(Debug, Clone)]
pub struct TableItem {
    /// Where its header stands.
    pub span: Span,
    /// Its name.
    pub name: String,
    /// Its rows.
    pub table: Table,
}

/// A short name for a URI.
#[derive(Debug, Clone)]
pub struct AliasItem {
    /// Where it stands.
    pub span: Span,
    /// The short name.
    pub name: String,
    /// The URI.
    pub uri: String,
}

/// The four kinds of native document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FormatName {
    /// HL7 v2 in its ER7 encoding.
    Hl7v2,
    /// JSON.
    Json,
    /// Delimited rows.
    Delimited,
    /// XML.
    Xml,
}

/// A version of HL7 v2, as `(2, 5, 1)`.
pub type Version = (u8, u8, u8);

/// What a map's native side is, and how it is recognised.
#[derive(Debug, Clone)]
pub enum NativeType {
    /// `hl7v2 REF_I12 2.3..2.8 events I12 I13`
    Hl7v2 {
        /// The message structure.
        structure: String,
        /// The message code of MSH-9.1.
        message: String,
        /// First and last version.
        versions: (Version, Version),
        /// The trigger events, MSH-9.2.
        events: Vec<String>,
    },
    /// `json schema "file" when $.type = "x"`
    Json {
        /// The schema's file, beside the map or in the tree.
        schema: String,
        /// What tells documents of this type from others.
        when: Vec<Condition>,
    },
    /// `delimited sep ";" columns a b c`
    Delimited {
        /// The separator.
        separator: char,
        /// The named columns, in the order in which a new file has them.
        columns: Vec<String>,
        /// The columns that a document must have to be of this type.
        required: Vec<String>,
    },
    /// `fhir 5.0 Patient`
    Fhir {
        /// The version of FHIR.
        version: FhirVersion,
        /// The resource type.
        resource: String,
    },
    /// `xml schema "file" when any templateId/@root = "x"`
    Xml {
        /// The schema's file in the tree: it names the root element and its namespace.
        schema: String,
        /// What tells documents of this type from others of the same root.
        when: Vec<Condition>,
    },
}

impl NativeType {
    /// The kind of document.
    #[must_use]
    pub const fn format(&self) -> FormatName {
        match self {
            Self::Hl7v2 { .. } => FormatName::Hl7v2,
            Self::Json { .. } | Self::Fhir { .. } => FormatName::Json,
            Self::Delimited { .. } => FormatName::Delimited,
            Self::Xml { .. } => FormatName::Xml,
        }
    }
}

/// One statement: a line, and the lines inside it.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Where it stands.
    pub span: Span,
    /// The first version of the native format that it holds for.
    pub since: Option<Version>,
    /// The first version that it no longer holds for.
    pub before: Option<Version>,
    /// What it says.
    pub kind: Kind,
    /// The lines inside.
    pub body: Vec<Statement>,
}

/// What a statement says.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `entry NAME: TYPE key …`
    Entry(Entry),
    /// `const a.b = "x"  c.d = task-code#fulfill`
    Const(Vec<Assignment>),
    /// `default a.b = "x"`: set only where nothing else sets it; no news of what is known otherwise.
    Default(Vec<Assignment>),
    /// `link a.b = entry`
    Link(Vec<(FhirPath, Span, String)>),
    /// `event I12 I13 <=> a.b = "x"`; `default event …`: only where nothing else says it.
    Event {
        /// The trigger events, MSH-9.2.
        codes: Vec<String>,
        /// What they say.
        says: Vec<Assignment>,
        /// Whether only where nothing else says it.
        default: bool,
    },
    /// `NATIVE <=> FHIR lens …`
    Rule(Box<Rule>),
    /// `each NATIVE key … <=> FHIR: Type use block`
    Each(Box<Each>),
    /// `use block`
    Use(Span, String),
    /// `A B residue`; no path is `other residue`.
    Residue(Vec<NativePath>),
    /// `A B drop "reason"`; no path is `other drop "reason"`.
    Drop(Vec<NativePath>, String),
    /// `bound .2 .3 to .1`: leaves that describe the value of another and go when it changes.
    Bound(Vec<NativePath>, NativePath),
    /// `edition cda`: a document that changes becomes a new one that replaces it.
    Edition,
    /// `verb RF1-25`: the action code that says what is done to the scope's resource (tables 0206 and 0287).
    Verb(NativePath),
    /// `ordinal DG1-1`: the number of the repetition, from 1.
    Ordinal(NativePath),
    /// `written .6 = "x"`: what a written-new native part holds beside the rules. Read, it says nothing more than the part
    /// itself where it is so.
    Written(NativePath, String, Vec<String>),
}

/// A resource of the Bundle.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name by which rules speak of it.
    pub name: String,
    /// Its resource type.
    pub resource: String,
    /// `else outer`: where it is not there, the entry of this name further out stands for it in links.
    pub outer: bool,
    /// What tells it from others of its kind in the provider's world.
    pub key: Option<Key>,
}

/// A key: the first alternative all of whose parts are there.
#[derive(Debug, Clone)]
pub struct Key {
    /// Where it stands.
    pub span: Span,
    /// Alternatives in order.
    pub alternatives: Vec<KeyAlternative>,
}

/// One way to make a key.
#[derive(Debug, Clone)]
pub struct KeyAlternative {
    /// Whether it is a personal identifier, never to be shown.
    pub personal: bool,
    /// Its parts, joined by `-`.
    pub parts: Vec<NativePath>,
}

/// `path = value`
#[derive(Debug, Clone)]
pub struct Assignment {
    /// What is set.
    pub path: FhirPath,
    /// To what.
    pub value: Value,
}

/// A literal of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `"text"`, `true`, `12` or a bare code.
    Text(String),
    /// `system#code`, the system being an alias or a known name.
    Coding(String, String),
    /// `@name`: taken from the provider's context (`@provider`, `@now`).
    Context(String),
}

/// Which way a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `<=>`
    Both,
    /// `=>`: into FHIR only.
    Get,
    /// `<=`: out of FHIR only.
    Put,
}

/// One lens on one line.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Alternatives; each is one path, or several joined by `+` that the lens takes together.
    pub native: Vec<Vec<NativePath>>,
    /// Which way.
    pub direction: Direction,
    /// The FHIR element.
    pub fhir: FhirPath,
    /// The lens by name; `None` takes the one that the two types suggest.
    pub lens: Option<LensCall>,
    /// `when`: only where this holds on the native side.
    pub when: Vec<Condition>,
    /// `where .system = email`: only where this holds of the scope's FHIR place, on the way back.
    pub only: Vec<Discriminator>,
    /// `empty => value`: what FHIR has where native has nothing.
    pub empty: Option<Value>,
    /// `empty => error`: where native has nothing the document is refused.
    pub demanded: bool,
    /// `else …`: what becomes of a value that the lens cannot carry.
    pub otherwise: Option<Otherwise>,
    /// `more => …`: what becomes of repetitions beyond the one that FHIR takes.
    pub more: Option<Otherwise>,
    /// `also`: further FHIR elements that get the same value and never write back.
    pub also: Vec<(FhirPath, Option<LensCall>)>,
    /// Why a one-way rule is one-way.
    pub reason: Option<String>,
}

/// What becomes of something that cannot be carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Otherwise {
    /// It is kept in the original only.
    Residue,
    /// The document is refused.
    Error,
    /// This value stands in.
    Value(Value),
}

/// A lens or block with its arguments.
#[derive(Debug, Clone)]
pub struct LensCall {
    /// Where it stands.
    pub span: Span,
    /// Its name.
    pub name: String,
    /// Its arguments: strings and words.
    pub arguments: Vec<String>,
    /// The table between braces.
    pub table: Option<Table>,
}

/// The rows of a code table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Rows in order.
    pub rows: Vec<Row>,
    /// FHIR codes that the native side cannot say.
    pub refused: Vec<String>,
}

/// One native code and the FHIR codes it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub span: Span,
    /// The native code.
    pub native: String,
    /// The FHIR codes: the first is written; `true` marks a stand-in (`~`).
    pub fhir: Vec<(String, bool)>,
}

/// A repetition: native repetitions aligned with FHIR repetitions.
#[derive(Debug, Clone)]
pub struct Each {
    /// The native repetitions.
    pub native: NativePath,
    /// What aligns them.
    pub key: Option<Key>,
    /// `when`: only where this holds of the part that they are in.
    pub when: Vec<Condition>,
    /// Where they go; `None` for a repetition that only holds entries.
    pub fhir: Option<FhirPath>,
    /// The type of the resource that the FHIR element refers to, when it is a reference to a new entry.
    pub resource: Option<(Span, String)>,
    /// The name of that entry, when given (`: name = Type`).
    pub name: Option<String>,
    /// The block that holds the rules, when they are not written below.
    pub block: Option<(Span, String)>,
    /// `more => …`
    pub more: Option<Otherwise>,
}

/// A condition on the native side, which is also what makes it true when written.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Where it stands.
    pub span: Span,
    /// Whether any repetition will do.
    pub any: bool,
    /// What is looked at.
    pub path: NativePath,
    /// What must hold.
    pub test: Test,
    /// What it is held against, where the test compares two places.
    pub other: Option<NativePath>,
}

/// What must hold of a native value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It has a value.
    Valued,
    /// It has none.
    Absent,
    /// It is one of these; the first is written.
    In(Vec<String>),
    /// It is none of these.
    NotIn(Vec<String>),
    /// It is a native code of this table, letter case aside: the table's name here, its codes in a plan.
    Inside(Vec<String>),
    /// It is no native code of this table.
    Outside(Vec<String>),
    /// It begins with one of these, letter case aside.
    Begins(Vec<String>),
    /// It begins with none of these.
    NotBegins(Vec<String>),
    /// It is a number.
    Numeric,
    /// It is none.
    NotNumeric,
    /// It identifies the same as one of another place: root and extension are the same, or all that it holds.
    Same,
    /// It identifies nothing that another place does.
    NotSame,
    /// It is a later point in time than that of another place, as far as both are told.
    After,
    /// It is no later one.
    NotAfter,
    /// Anything holds; a part that is made gets this.
    Written(String),
}

/// A path into a native document.
#[derive(Debug, Clone)]
pub struct NativePath {
    /// Where it stands.
    pub span: Span,
    /// Where it starts.
    pub origin: Origin,
    /// How it goes on.
    pub steps: Vec<NativeStep>,
}

/// Where a path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// At the part that the enclosing scope repeats (or the document).
    Scope,
    /// At the document.
    Document,
}

/// One step of a native path.
#[derive(Debug, Clone)]
pub struct NativeStep {
    /// What is stepped to.
    pub name: StepName,
    /// Which of the repetitions.
    pub select: Select,
}

/// What a native step goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StepName {
    /// A segment of HL7 v2.
    Segment(String),
    /// A group of HL7 v2.
    Group(String),
    /// A field, from 1.
    Field(u16),
    /// A component, from 1.
    Component(u16),
    /// A subcomponent, from 1.
    Subcomponent(u16),
    /// A member of a JSON object.
    Member(String),
    /// An XML element, with its prefix where it is written with one.
    Element(String),
    /// An XML attribute.
    Attribute(String),
    /// The XML element that holds the part: `..`.
    Parent,
    /// A row of a delimited document.
    Row,
    /// A column of a row.
    Column(String),
}

/// Which repetitions a step takes.
#[derive(Debug, Clone)]
pub enum Select {
    /// The first (or only) one.
    First,
    /// The one at this place, from 1.
    Index(u16),
    /// Those from this place on, from 1.
    From(u16),
    /// All of them.
    All,
    /// Those of which all conditions hold; `true` takes all of them, else the first.
    Where(Vec<Condition>, bool),
}

/// A path into a resource.
#[derive(Debug, Clone)]
pub struct FhirPath {
    /// Where it stands.
    pub span: Span,
    /// The entry it starts at; `None` starts at the scope's own element.
    pub entry: Option<String>,
    /// How it goes on.
    pub steps: Vec<FhirStep>,
}

/// One step of a FHIR path.
#[derive(Debug, Clone)]
pub struct FhirStep {
    /// The element, as FHIRPath writes it, or with its type (`valueQuantity`).
    pub element: String,
    /// Which repetition.
    pub select: FhirSelect,
}

/// Which repetition of a FHIR element a step takes.
#[derive(Debug, Clone)]
pub enum FhirSelect {
    /// The only one, or the first.
    First,
    /// A new one for each native repetition.
    Each,
    /// The one at this place, from 0.
    Index(u16),
    /// All from this place on, from 0.
    From(u16),
    /// The one of which these hold; they are written with it. `true` makes a new one for each native repetition.
    With(Vec<Discriminator>, bool),
}

/// What tells one repetition of a FHIR element from another.
#[derive(Debug, Clone)]
pub struct Discriminator {
    /// The elements below the repetition; empty for a bare word, whose meaning the element's type decides.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
    /// Whether it must differ: then it selects and is never written.
    pub not: bool,
}
