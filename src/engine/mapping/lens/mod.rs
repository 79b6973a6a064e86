//! Lenses: each carries a value between the native leaves it takes and one FHIR primitive, both ways.
//!
//! A lens is a value with two pure halves over texts. [`Lens::get`] reads native texts and gives the FHIR primitive's
//! lexical form; [`Lens::put`] takes such a form and says what becomes of each native text, seeing what stood there.
//! Composite datatypes are not lenses of their own: they are blocks, written in the language.

mod attachment;
mod authority;
mod clock;
mod coded;
mod contact;
mod display;
mod hl7v3;
mod moment;
mod narrative;
mod person;
mod plain;

use std::borrow::Cow;

pub use coded::{CodeTable, Target};
pub use moment::{Pattern, Precision};
pub(crate) use moment::{same_moment, zone_of};
pub(crate) use plain::is_number;

use super::context::Context;

/// How well a value went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fidelity {
    /// Nothing was lost.
    Exact,
    /// A stand-in or a coarser value was written.
    Approximated,
}

/// What a forward half gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got<'t> {
    /// The lexical form of the FHIR primitive.
    pub text: Cow<'t, str>,
    /// Further ones, of lenses that split.
    pub more: Vec<String>,
    /// How well it went over.
    pub fidelity: Fidelity,
    /// Something worth telling about the value, without the value.
    pub note: Option<&'static str>,
    /// The inputs, a bit each, that have a value which is not in this.
    pub idle: u16,
}

impl<'t> Got<'t> {
    fn exact(text: impl Into<Cow<'t, str>>) -> Self {
        Self { text: text.into(), more: Vec::new(), fidelity: Fidelity::Exact, note: None, idle: 0 }
    }

    /// The lexical forms: one, except for lenses that split.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.text.as_ref()).chain(self.more.iter().map(String::as_str))
    }

    /// Only these inputs are in the value.
    fn only(self, used: &[usize]) -> Self {
        let used = used.iter().fold(0_u16, |bits, at| bits | 1 << at);
        Self { idle: !used, ..self }
    }

    fn approximated(text: impl Into<Cow<'t, str>>) -> Self {
        Self { fidelity: Fidelity::Approximated, ..Self::exact(text) }
    }
}

/// What becomes of one native text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// It stays.
    Keep,
    /// It becomes this.
    Set(String),
    /// It goes: what it said no longer holds.
    Clear,
}

/// What a backward half gives: one [`Out`] for each native text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// In the order of the lens's inputs.
    pub outs: Vec<Out>,
    /// How well it went over.
    pub fidelity: Fidelity,
}

impl Put {
    fn exact(text: impl Into<String>) -> Self {
        Self { outs: vec![Out::Set(text.into())], fidelity: Fidelity::Exact }
    }
}

/// A value that the lens cannot carry: what was expected, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Uncarried {
    /// What would be right.
    pub expected: Cow<'static, str>,
    /// Whether it is a code outside its table.
    pub code: bool,
}

impl Uncarried {
    fn new(expected: impl Into<Cow<'static, str>>) -> Self {
        Self { expected: expected.into(), code: false }
    }
}

/// The native texts a lens takes: `None` where there is none.
pub type Texts<'t> = [Option<Cow<'t, str>>];

/// How a native side tells the system of an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Space {
    /// By its OID, before the value.
    Oid,
    /// By its URI, before the value.
    Uri,
    /// Not at all: it is always this one.
    Of(String),
}

/// A lens.
#[derive(Debug, Clone)]
pub enum Lens {
    /// Text as it is.
    Text,
    /// A code: no white space at its ends, one space at most inside.
    Code,
    /// A number; `true` takes whole numbers only.
    Number(bool),
    /// Two native words for true and false.
    Boolean(String, String),
    /// Several words in one native text, a repetition each.
    Words(char),
    /// Text behind a prefix on the FHIR side (`urn:oid:`).
    Prefix(String),
    /// An identifier as a search for the one resource of a type that has it.
    Identified(String, Space),
    /// A table of codes.
    Coded(CodeTable),
    /// The name of a code system and its URI.
    System,
    /// An assigning authority: namespace, universal id, its type, and the identifier's type.
    Authority,
    /// HL7 v2 date and time.
    Dtm(Precision),
    /// ISO 8601 date and time.
    Iso(Precision),
    /// A date in a pattern.
    Date(Pattern, Precision),
    /// A date and a time of day in their patterns.
    DateTime(Pattern, Pattern, Precision),
    /// A telephone number in its parts.
    Phone,
    /// A media type in two parts.
    Mime,
    /// Data and its encoding.
    Data,
    /// A Finnish personal identity code.
    Hetu,
    /// So many digits, neither more nor fewer: a number that is a name.
    Digits(u8),
    /// The root of an HL7 v3 identifier and the URI of its system.
    Uid,
    /// The OID of a code system and its URI.
    CodeSystem,
    /// Text behind a prefix on the native side (`tel:`), letter case aside.
    Scheme(String),
    /// Root and extension of an HL7 v3 identifier as one URN.
    Instance,
    /// The markup of a CDA narrative and XHTML.
    Narrative,
    /// What a code is called, with the code and its system: the system's own word for it, or (`true`) any other.
    Display(bool),
    /// The repetitions of an HL7 v2 text as the lines of one.
    Lines,
    /// A time of day: HL7 v2 TM.
    Time,
    /// Always this, where native says anything; one way.
    Says(String),
    /// The texts of all places that a path leads to, a line each, as data; one way.
    Joined,
    /// What is shown of an element of XML, a line for each part of it that stands for itself; one way.
    Shown,
}

/// The words for lenses in maps.
pub const NAMES: [&str; 31] = [
    "text",
    "shown",
    "code",
    "number",
    "integer",
    "boolean",
    "words",
    "prefix",
    "identified",
    "coded",
    "system",
    "authority",
    "dtm",
    "iso",
    "date",
    "datetime",
    "phone",
    "mime",
    "data",
    "hetu",
    "digits",
    "uid",
    "scheme",
    "codesystem",
    "instance",
    "narrative",
    "display",
    "lines",
    "time",
    "joined",
    "says",
];

impl Lens {
    /// How many native texts it takes, at least and at most.
    #[must_use]
    pub const fn inputs(&self) -> (usize, usize) {
        match self {
            Self::Authority => (3, 4),
            Self::Identified(_, Space::Of(_)) => (1, 1),
            Self::DateTime(..) | Self::Mime | Self::Data | Self::Identified(..) => (2, 2),
            Self::Instance => (1, 2),
            Self::Display(_) => (3, 3),
            Self::Phone => (2, 7),
            _ => (1, 1),
        }
    }

    /// How many of its native texts, the first ones, go when the FHIR value goes; the others are only looked at.
    #[must_use]
    pub const fn owned(&self) -> usize {
        match self {
            Self::Display(_) => 1,
            _ => self.inputs().1,
        }
    }

    /// Reads native texts; `None` when they say nothing of the FHIR value.
    ///
    /// # Errors
    /// [`Uncarried`] when they have no counterpart.
    pub fn get<'t>(&'t self, from: &'t Texts<'_>, cx: &'t Context) -> Result<Option<Got<'t>>, Uncarried> {
        match self {
            Self::Phone => return Ok(contact::phone(from)),
            Self::Authority => return Ok(authority::get(from, cx)),
            Self::DateTime(date, time, precision) => return moment::date_time_get(date, time, *precision, from, cx),
            Self::Mime => return Ok(attachment::mime(from)),
            Self::Data => return attachment::data(from),
            Self::Identified(kind, space) => return authority::identified(kind, space, from),
            Self::Instance => return hl7v3::instance(from),
            Self::Display(other) => return display::get(from, *other, cx),
            _ => {}
        }
        let Some(text) = from.first().and_then(Option::as_deref) else { return Ok(None) };
        let got = match self {
            Self::Text | Self::Lines | Self::Shown => plain::text(text)?,
            Self::Time => clock::get(text)?,
            Self::Joined => attachment::text(text)?,
            Self::Code => plain::code(text)?,
            Self::Number(whole) => plain::number(text, *whole)?,
            Self::Boolean(yes, no) => plain::boolean(text, yes, no)?,
            Self::Words(separator) => plain::words(text, *separator)?,
            Self::Prefix(prefix) => Got::exact([prefix.as_str(), text].concat()),
            Self::Coded(table) => table.get(text, cx)?,
            Self::System => authority::system(text, cx)?,
            Self::Dtm(precision) => moment::dtm_get(text, *precision, cx)?,
            Self::Iso(precision) => moment::iso_get(text, *precision, cx)?,
            Self::Date(pattern, precision) => moment::date_get(text, pattern, *precision, cx)?,
            Self::Hetu => person::hetu(text)?,
            Self::Digits(count) => plain::digits(text, *count)?,
            Self::Uid => hl7v3::uid(text, cx)?,
            Self::Scheme(scheme) => hl7v3::scheme(scheme, text)?,
            Self::CodeSystem => hl7v3::code_system(text, cx)?,
            Self::Narrative => return narrative::get(text),
            // That something is said is told, not what.
            Self::Says(value) => Got { idle: 1, ..Got::exact(value.as_str()) },
            Self::Phone
            | Self::Authority
            | Self::DateTime(..)
            | Self::Mime
            | Self::Data
            | Self::Identified(..)
            | Self::Instance
            | Self::Display(_) => return Ok(None),
        };
        Ok(Some(got))
    }

    /// Writes FHIR texts (several only for lenses that split) onto native ones.
    ///
    /// # Errors
    /// [`Uncarried`] when the native side has no counterpart.
    pub fn put(&self, values: &[&str], old: &Texts<'_>, cx: &Context) -> Result<Put, Uncarried> {
        let value = values.first().copied().unwrap_or_default();
        match self {
            Self::Text | Self::Lines => Ok(Put::exact(value)),
            Self::Time => clock::put(value, old),
            Self::Code => plain::code(value).map(|_| Put::exact(value)),
            Self::Number(whole) => plain::put_number(value, *whole),
            Self::Boolean(yes, no) => plain::put_boolean(value, yes, no),
            Self::Words(separator) => plain::put_words(values, *separator),
            Self::Prefix(prefix) => match value.strip_prefix(prefix.as_str()) {
                Some(rest) => Ok(Put::exact(rest)),
                None => Err(Uncarried::new(format!("a value that begins with {prefix}"))),
            },
            Self::Identified(kind, space) => authority::put_identified(kind, space, value),
            Self::Coded(table) => table.put(value, cx),
            Self::System => authority::put_system(value, cx),
            Self::Authority => authority::put(value, old, cx),
            Self::Dtm(precision) => moment::dtm_put(value, *precision, old, cx),
            Self::Iso(precision) => moment::iso_put(value, *precision, old, cx),
            Self::Date(pattern, precision) => moment::date_put(value, pattern, *precision, cx),
            Self::DateTime(date, time, _) => moment::date_time_put(value, date, time, cx),
            Self::Phone => Ok(contact::put_phone(value, old)),
            Self::Mime => attachment::put_mime(value),
            Self::Data => Ok(attachment::put_data(value, old)),
            Self::Hetu => person::hetu(value).map(|_| Put::exact(value)),
            Self::Digits(count) => plain::digits(value, *count).map(|_| Put::exact(value)),
            Self::Uid => hl7v3::put_uid(value, old, cx),
            Self::Scheme(scheme) => Ok(hl7v3::put_scheme(scheme, value, old)),
            Self::CodeSystem => hl7v3::put_code_system(value, cx),
            Self::Instance => hl7v3::put_instance(value),
            Self::Narrative => narrative::put(value),
            Self::Display(_) => Ok(display::put(value)),
            Self::Says(_) | Self::Joined | Self::Shown => {
                Err(Uncarried::new("what the places say that it is joined of"))
            }
        }
    }

    /// Whether a FHIR value can be written by this lens onto nothing.
    ///
    /// # Errors
    /// [`Uncarried`] when it cannot.
    pub fn covers(&self, value: &str, cx: &Context) -> Result<Fidelity, Uncarried> {
        let none: Vec<Option<Cow<'_, str>>> = vec![None; self.inputs().1];
        self.put(&[value], &none, cx).map(|put| put.fidelity)
    }
}
