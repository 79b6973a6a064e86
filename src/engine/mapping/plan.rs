//! A compiled map: a tree of scopes with rules as leaves, which both directions walk.
//!
//! A **scope** pairs native repetitions with FHIR repetitions. Each has **slots**: the FHIR places its rules use, each
//! below another, so that a place is made once, when the first value for it comes. A composite datatype is a scope too:
//! its block is compiled in place; in maps of XML once for all scopes of one kind that use it ([`Share`]).

use std::fmt;
use std::num::NonZeroU8;
use std::sync::Arc;

use crate::definitions::{Symbol, TypeId};
use crate::fhir::datatypes::Primitive;
use crate::native::SegmentName;
use crate::native::hl7v2::schema::{Schema, Version as V2};
use crate::native::xml::QName;

use super::lens::Lens;
use super::syntax::{Direction, Otherwise, Span, Value, Version};
use super::versions::FhirVersion;
use super::versions::lines::VersionBlocks;

mod inside;

pub(crate) use inside::{Copies, Inside, Share, Slots};

/// The place of a scope in [`Plan::scopes`].
pub(crate) type ScopeId = u32;
/// The place of a rule in [`Plan::rules`].
pub(crate) type RuleId = u32;
/// The place of a line in [`Plan::lines`].
pub(crate) type LineId = u32;

/// A compiled map.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The first is the document.
    pub(crate) scopes: Vec<Scope>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) lines: Vec<Line>,
    /// What is said of native places without a rule, for the report and the checker.
    pub(crate) fates: Vec<Fate>,
    /// Which native places are spoken of, for the checker.
    pub(crate) claims: Vec<Claim>,
    /// Those of blocks that are used elsewhere too.
    pub(crate) copies: Vec<Copies>,
    /// The scopes that have another's inside.
    pub(crate) shares: Vec<Share>,
    /// What is carried whole from another version of FHIR.
    pub(crate) wholes: Vec<Whole>,
    /// What blocks say of that version.
    pub(crate) versions: VersionBlocks,
    /// The version and the line of a map whose documents are Bundles of that version.
    pub(crate) envelope: Option<(FhirVersion, LineId)>,
    /// How many one-way rules there are, with their reasons.
    pub(crate) one_way: Vec<(LineId, String)>,
    /// The line that says that a changed document is a new one.
    pub(crate) edition: Option<LineId>,
}

/// A line of a map, or of a block used by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    pub(crate) file: Arc<str>,
    pub(crate) span: Span,
    /// The line that uses the block.
    pub(crate) from: Option<LineId>,
}

/// A slot of a scope: `up` scopes above the one that speaks of it, or [`DOCUMENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRef {
    pub(crate) up: u8,
    pub(crate) slot: u16,
}

/// The scope of the document, however far above.
pub(crate) const DOCUMENT: u8 = u8::MAX;

/// A FHIR place.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) at: SlotAt,
    pub(crate) type_id: TypeId,
    /// The form of its values, where it is a primitive.
    pub(crate) form: Primitive,
}

/// The name of an element as written, with its symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ElementName {
    pub(crate) text: Box<str>,
    pub(crate) symbol: Symbol,
}

impl fmt::Display for ElementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where a slot is.
#[derive(Debug, Clone)]
pub(crate) enum SlotAt {
    /// The same as another.
    Alias(SlotRef),
    /// Below another.
    Child { parent: SlotRef, written: ElementName, logical: Symbol, select: SlotSelect, list: bool },
    /// A resource of the Bundle: a place in [`Scope::entries`].
    Entry(u16),
    /// Nowhere: the scope has no FHIR place of its own.
    Nowhere,
}

/// Which repetition a slot is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SlotSelect {
    /// The only or first one.
    First,
    /// The one at this place.
    Index(u16),
    /// All from this place on.
    From(u16),
    /// A new one each time; on the way back all of them.
    Each,
    /// The one of which these hold; with `true` a new one each time, on the way back all of which they hold.
    With(Vec<Mark>, bool),
}

/// What tells a repetition from others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// Written names below the repetition.
    pub(crate) path: Vec<ElementName>,
    pub(crate) value: MarkValue,
    pub(crate) not: bool,
}

/// The value of a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MarkValue {
    /// A primitive's text.
    Text(String),
    /// A coding; `wrapped` in a CodeableConcept.
    Coding { system: String, code: String, wrapped: bool },
    /// Whatever it is.
    Any,
    /// The type of the resource that a reference leads to: what it refers to says it, so that it is never written.
    Resource(String),
}

/// A scope.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) line: LineId,
    pub(crate) parent: Option<ScopeId>,
    /// The native repetitions, from the outer scope's part: the first alternative that is there.
    pub(crate) native: Vec<NativePath>,
    pub(crate) when: Vec<Condition>,
    /// What holds of the outer scope's place where this one is written.
    pub(crate) only: Vec<Mark>,
    /// The first is the scope's own place.
    pub(crate) slots: Slots,
    pub(crate) inside: Arc<Inside>,
    /// Native paths by which repetitions are aligned.
    pub(crate) key: Option<Key>,
    pub(crate) more: Option<Otherwise>,
    pub(crate) direction: Direction,
    /// Whether it repeats at all, or is a part that is there or not.
    pub(crate) repeats: bool,
    /// Whether its own place is a new repetition each time.
    pub(crate) each: bool,
    /// Whether it speaks of nothing but what is in its own place: where that says what it said, nothing is to be written.
    pub(crate) closed: bool,
}

/// Something a scope does. What is found out before any document is seen stands with it, so that a line that has nothing to
/// do in a document costs no more than a look at this.
#[derive(Debug, Clone)]
pub(crate) struct Stmt {
    pub(crate) kind: StmtKind,
    /// What must stand in the scope's part for it to find anything: one of these, at this level.
    pub(crate) needs: u64,
    pub(crate) level: Level,
    /// For a rule of one leaf without further ado, where that is from the scope's part.
    pub(crate) leaf: Option<Leaf>,
    /// Which element of a resource it speaks of; nothing where that is a part of a composite.
    pub(crate) said: Option<Said>,
    /// Whether it takes whole segments: those of a later version than the message's are taken where a sender has them.
    pub(crate) segments: bool,
    pub(crate) since: Option<Version>,
    pub(crate) before: Option<Version>,
}

/// What the bits of [`Stmt::needs`] number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The line looks elsewhere, or does something without.
    Anywhere,
    Field,
    Component,
    Subcomponent,
    /// Names of attributes and elements, or of members.
    Name,
}

impl Level {
    /// The bit of a number; all from 63 on share one.
    pub(crate) const fn bit(number: u32) -> u64 {
        1 << if number < 63 { number } else { 63 }
    }

    /// The bit of a name, which others have too.
    pub(crate) fn name_bit(name: &[u8]) -> u64 {
        let hash = name.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        1 << ((hash ^ (hash >> 15)) & 63)
    }
}

/// A leaf of a part: the number at the part's level, then those of a component and a subcomponent below it; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) number: NonZeroU8,
    pub(crate) component: u8,
    pub(crate) subcomponent: u8,
}

/// By what an element was spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Said {
    /// A slot of the frame's scope.
    Slot(u16),
    /// A scope within the frame's.
    Scope(ScopeId),
}

/// What it does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StmtKind {
    Rule(RuleId),
    Scope(ScopeId),
    /// A place in [`Plan::wholes`].
    Whole(u32),
}

/// A resource of another version of FHIR, carried with all that is in it.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) line: LineId,
    pub(crate) native: NativePath,
    pub(crate) slot: u16,
    pub(crate) version: FhirVersion,
    /// Its type there.
    pub(crate) native_type: String,
    /// Its type in R4.
    pub(crate) r4_type: String,
}

/// A lens between native leaves and one FHIR primitive.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) line: LineId,
    pub(crate) native: Vec<Vec<NativePath>>,
    pub(crate) lens: Lens,
    pub(crate) slot: u16,
    pub(crate) direction: Direction,
    pub(crate) when: Vec<Condition>,
    /// What must hold of the scope's FHIR place on the way back.
    pub(crate) only: Vec<Mark>,
    pub(crate) empty: Option<Constant>,
    /// Whether a document in which it finds nothing is refused.
    pub(crate) demanded: bool,
    pub(crate) otherwise: Option<Otherwise>,
    pub(crate) also: Vec<(u16, Lens)>,
    /// Whether the native leaf is one part of a composite whose other parts describe it.
    pub(crate) describes_composite: bool,
    /// Whether the native leaves are JSON numbers or booleans by their schema, which are written without quotes.
    pub(crate) bare: bool,
}

/// A constant of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Constant {
    Text(String),
    Coding {
        system: String,
        code: String,
    },
    Provider,
    Now,
    /// The system of the HL7 table that a field's codes are of, where its first component is one of them.
    Table {
        system: String,
        id: &'static str,
        version: V2,
    },
}

impl Constant {
    /// Whether it says something of a code: that of a table only of those that the table has.
    pub(crate) fn is_of(&self, code: Option<&str>) -> bool {
        match self {
            Self::Table { id, version, .. } => {
                code.is_some_and(|code| Schema::version(*version).table(id).is_some_and(|table| table.holds(code)))
            }
            _ => true,
        }
    }
}

/// An element with a fixed value, in a resource that is there.
#[derive(Debug, Clone)]
pub(crate) struct Const {
    pub(crate) line: LineId,
    /// The place that must be there already.
    pub(crate) anchor: SlotRef,
    pub(crate) slot: u16,
    pub(crate) value: Constant,
    /// Only for these trigger events.
    pub(crate) events: Vec<String>,
    /// Only where nothing else sets it.
    pub(crate) default: bool,
}

/// A reference between entries.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) line: LineId,
    pub(crate) anchor: SlotRef,
    pub(crate) slot: u16,
    /// The slot of the entry referred to.
    pub(crate) to: SlotRef,
    /// The entries further out that stand for it where it is not there, the innermost first.
    pub(crate) outer: Vec<SlotRef>,
}

/// What a part that is made holds beside what lines write.
#[derive(Debug, Clone)]
pub(crate) struct WrittenLine {
    pub(crate) path: NativePath,
    pub(crate) text: String,
    /// Only in messages of these trigger events.
    pub(crate) events: Vec<String>,
}

/// Leaves that go when another changes.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) what: Vec<NativePath>,
    pub(crate) to: NativePath,
}

/// A resource of the Bundle.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) line: LineId,
    pub(crate) name: Arc<str>,
    pub(crate) resource: Arc<str>,
    pub(crate) key: Option<Key>,
    /// Where the document gives its fullUrl.
    pub(crate) url: Option<NativePath>,
    /// The slot of the scope that is this entry.
    pub(crate) slot: u16,
    /// The element that refers to it, made with it.
    pub(crate) reference: Option<u16>,
    /// Whether the entry of this name further out stands for it in links where it is not there.
    pub(crate) outer: bool,
}

/// A key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) alternatives: Vec<(bool, Vec<NativePath>)>,
}

/// A condition on the native side.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// For a condition on any repetition: the path with every repetition of every field.
    pub(crate) any: Option<NativePath>,
    pub(crate) path: NativePath,
    pub(crate) test: super::syntax::Test,
    /// Where what it is held against stands, where the test compares two places: the path with every repetition.
    pub(crate) other: Option<NativePath>,
}

impl Condition {
    /// A condition on the first place that the path leads to, or on any with every repetition.
    pub(crate) fn new(any: bool, path: NativePath, test: super::syntax::Test) -> Self {
        let any = any.then(|| path.with_all());
        Self { any, path, test, other: None }
    }

    /// The same, held against another place.
    pub(crate) fn against(self, other: Option<&NativePath>) -> Self {
        Self { other: other.map(NativePath::with_all), ..self }
    }

    /// The path to the places that it looks at.
    pub(crate) fn looks(&self) -> &NativePath {
        self.any.as_ref().unwrap_or(&self.path)
    }
}

/// A native path.
#[derive(Debug, Clone)]
pub(crate) struct NativePath {
    pub(crate) from_document: bool,
    pub(crate) steps: Vec<NativeStep>,
}

/// A native step.
#[derive(Debug, Clone)]
pub(crate) struct NativeStep {
    pub(crate) name: NativeName,
    pub(crate) select: NativeSelect,
}

/// What a native step goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum NativeName {
    Segment(SegmentName),
    /// A group of the message structure, by its name.
    Group(Box<str>),
    Field(u16),
    Component(u16),
    Subcomponent(u16),
    /// A JSON member; empty for the items of an array that is the base itself.
    Member(Box<str>),
    /// A child element of XML.
    Element(Arc<QName>),
    Attribute(Arc<QName>),
    /// The element that holds the part: only lines that are not written back look there.
    Parent,
    Row,
    Column(Box<str>),
}

/// Which repetitions.
#[derive(Debug, Clone)]
pub(crate) enum NativeSelect {
    First,
    Index(u16),
    From(u16),
    All,
    Where(Vec<Condition>, bool),
}

impl NativeSelect {
    /// Whether it can take several.
    pub(crate) const fn many(&self) -> bool {
        matches!(self, Self::All | Self::From(_) | Self::Where(_, true))
    }
}

impl NativePath {
    /// The path with every repetition of what repeats, those aside that it tells by their number.
    pub(crate) fn with_all(&self) -> Self {
        let mut open = self.clone();
        for step in &mut open.steps {
            let repeats = matches!(step.name, NativeName::Field(_) | NativeName::Member(_) | NativeName::Element(_));
            match &mut step.select {
                NativeSelect::Where(_, many) => *many = true,
                NativeSelect::Index(_) | NativeSelect::From(_) => {}
                select if repeats => *select = NativeSelect::All,
                _ => {}
            }
        }
        open
    }

    /// Whether it can lead to several places.
    pub(crate) fn many(&self) -> bool {
        self.steps.iter().any(|step| step.select.many())
    }

    /// The first place that it can lead to, as documents' places are written.
    pub(crate) fn place(&self) -> String {
        self.steps.iter().fold(String::new(), |place, step| match &step.name {
            NativeName::Segment(name) => format!("{place}{name}[1]"),
            NativeName::Group(_) => place,
            NativeName::Field(n) => format!("{place}-{n}"),
            NativeName::Component(n) | NativeName::Subcomponent(n) => format!("{place}.{n}"),
            NativeName::Member(name) if place.is_empty() => format!("$.{name}"),
            NativeName::Member(name) => format!("{place}.{name}"),
            NativeName::Element(name) => format!("{place}/{name}"),
            NativeName::Attribute(name) => format!("{place}/@{name}"),
            NativeName::Parent => format!("{place}/.."),
            NativeName::Row => format!("{place}row"),
            NativeName::Column(name) if place.is_empty() => name.to_string(),
            NativeName::Column(name) => format!("{place}/{name}"),
        })
    }
}

/// What becomes of native places that no rule carries.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) line: LineId,
    /// Empty for everything else.
    pub(crate) paths: Vec<NativePath>,
    /// The scope in which the paths hold.
    pub(crate) scope: ScopeId,
    /// The reason of a drop; `None` is residue.
    pub(crate) drop: Option<String>,
}

/// A native place that a map speaks of.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Names from the document, selections left out.
    pub(crate) path: Vec<NativeName>,
    /// Whether a rule carries it (else residue or drop).
    pub(crate) carried: bool,
}

impl SlotAt {
    /// Whether it is all from a place in the list on.
    pub(crate) const fn follows(&self) -> bool {
        matches!(self, Self::Child { select: SlotSelect::From(_), .. })
    }

    /// Whether it is a new repetition each time.
    pub(crate) const fn fresh(&self) -> bool {
        matches!(self, Self::Child { select: SlotSelect::Each | SlotSelect::With(_, true), .. })
    }
}

impl Scope {
    /// Whether FHIR takes a repetition for each native one: a new item of a list, or a resource that a new item, or
    /// nothing, refers to.
    pub(crate) fn grows(&self) -> bool {
        match self.slots.first().map(|s| &s.at) {
            Some(SlotAt::Entry(index)) => {
                let reference = self.entries.get(usize::from(*index)).and_then(|e| e.reference);
                reference.is_none_or(|slot| self.slots.get(usize::from(slot)).is_some_and(|s| s.at.fresh()))
            }
            Some(at) => at.fresh(),
            None => false,
        }
    }
}

impl Plan {
    pub(crate) fn scope(&self, id: ScopeId) -> Option<&Scope> {
        self.scopes.get(id as usize)
    }

    pub(crate) fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id as usize)
    }

    pub(crate) fn whole(&self, id: u32) -> Option<&Whole> {
        self.wholes.get(id as usize)
    }

    /// `file:line` of a line; of one in a block, the line that uses it comes first.
    pub(crate) fn line(&self, id: LineId) -> String {
        let Some(line) = self.lines.get(id as usize) else { return String::new() };
        let here = format!("{}:{}", line.file, line.span.line);
        match line.from {
            Some(from) => format!("{} > {here}", self.line(from)),
            None => here,
        }
    }
}

impl Stmt {
    /// Whether it holds for a version of the format.
    pub(crate) fn holds(&self, version: Version) -> bool {
        self.since.is_none_or(|since| version >= since) && self.before.is_none_or(|before| version < before)
    }

    /// Whether it takes segments of a later version where a sender has them.
    pub(crate) fn holds_where_there(&self, version: Version) -> bool {
        self.segments && self.since.is_some_and(|since| version < since)
    }
}

/// What a map's value means in a resource.
pub(crate) fn constant(value: &Value, system: impl Fn(&str) -> String) -> Result<Constant, String> {
    match value {
        Value::Text(text) => Ok(Constant::Text(text.clone())),
        Value::Coding(name, code) => Ok(Constant::Coding { system: system(name), code: code.clone() }),
        Value::Context(name) if name == "provider" => Ok(Constant::Provider),
        Value::Context(name) if name == "now" => Ok(Constant::Now),
        Value::Context(name) => Err(format!("`@{name}` is not in the context; there are `@provider` and `@now`")),
    }
}

/// Whether a constant is this text.
pub(crate) fn says(constant: &Constant, text: &str) -> bool {
    match constant {
        Constant::Text(value) | Constant::Coding { code: value, .. } | Constant::Table { system: value, .. } => {
            value == text
        }
        Constant::Provider | Constant::Now => false,
    }
}
