//! A request, once understood: which interaction of FHIR's REST interface, from whom, with what.
//!
//! <http://hl7.org/fhir/R4/http.html>

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::access::caller::Caller;
use crate::access::interaction::{Action, ResourceType};
use crate::clock::Instant;

/// A request as the interactions get it: authenticated, parsed, permitted by the caller's list.
#[derive(Debug, Clone)]
pub struct Request {
    /// Goes out in `X-Request-Id` and stands in every log line.
    pub id: RequestId,
    /// What is asked.
    pub interaction: Interaction,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The parameters of the query, then those of a form body, percent-decoded, in order, without `_format` and
    /// `_pretty`.
    pub parameters: Vec<(String, String)>,
    /// Headers on which the answer or the change depends.
    pub conditions: Conditions,
    /// The `Prefer` header.
    pub prefer: Prefer,
    /// The resource sent, for create, update and operations; not parsed yet.
    pub body: Option<Payload>,
    /// The format that the answer will be written in.
    pub answer: Format,
    /// The media types that the caller accepts, as sent: reading a Binary may give its own.
    pub accept: Option<String>,
    /// The base URL under which the caller reached this interface, without a final `/`.
    pub base: Arc<str>,
    /// When the request came.
    pub received: Timestamp,
    /// When the answer is given up.
    pub deadline: Instant,
}

/// The name of one request: letters, digits, `-`, `.`, `_`; at most 64.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id of this text; none when it has other characters, is empty or too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        fits.then(|| Self(text.into()))
    }

    /// An id that is known to be of the form.
    pub(super) fn made(text: String) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An interaction of the REST interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// <http://hl7.org/fhir/R4/http.html#capabilities>
    Capabilities,
    /// <http://hl7.org/fhir/R4/http.html#read>
    Read(ResourceType, Id),
    /// <http://hl7.org/fhir/R4/http.html#vread>
    VersionRead(ResourceType, Id, Id),
    /// <http://hl7.org/fhir/R4/http.html#search>, on a type; of the whole system where there is none.
    Search(Option<ResourceType>),
    /// <http://hl7.org/fhir/R4/http.html#create>
    Create(ResourceType),
    /// <http://hl7.org/fhir/R4/http.html#update>; conditional where there is no id.
    Update(ResourceType, Option<Id>),
    /// <http://hl7.org/fhir/R4/http.html#patch>; conditional where there is no id.
    Patch(ResourceType, Option<Id>),
    /// <http://hl7.org/fhir/R4/http.html#delete>; conditional where there is no id.
    Delete(ResourceType, Option<Id>),
    /// <http://hl7.org/fhir/R4/http.html#history>, of the system, a type or a resource.
    History(Option<ResourceType>, Option<Id>),
    /// <http://hl7.org/fhir/R4/http.html#transaction>
    Batch,
    /// <http://hl7.org/fhir/R4/operations.html>, on the system, a type or a resource; the name without its `$`.
    Operation(Option<ResourceType>, Option<Id>, String),
}

impl Interaction {
    /// Its kind.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Capabilities => Action::Capabilities,
            Self::Read(..) => Action::Read,
            Self::VersionRead(..) => Action::VersionRead,
            Self::Search(..) => Action::Search,
            Self::Create(..) => Action::Create,
            Self::Update(..) => Action::Update,
            Self::Patch(..) => Action::Patch,
            Self::Delete(..) => Action::Delete,
            Self::History(..) => Action::History,
            Self::Batch => Action::Batch,
            Self::Operation(..) => Action::Operation,
        }
    }

    /// The type it is on; none when it is on the whole system.
    #[must_use]
    pub const fn resource_type(&self) -> Option<ResourceType> {
        match self {
            Self::Read(kind, _) | Self::VersionRead(kind, _, _) | Self::Create(kind) => Some(*kind),
            Self::Update(kind, _) | Self::Patch(kind, _) | Self::Delete(kind, _) => Some(*kind),
            Self::Search(kind) | Self::History(kind, _) | Self::Operation(kind, _, _) => *kind,
            Self::Capabilities | Self::Batch => None,
        }
    }

    /// The resource it is on, where it names one.
    #[must_use]
    pub const fn id(&self) -> Option<&Id> {
        match self {
            Self::Read(_, id) | Self::VersionRead(_, id, _) => Some(id),
            Self::Update(_, id) | Self::Patch(_, id) | Self::Delete(_, id) => id.as_ref(),
            Self::History(_, id) | Self::Operation(_, id, _) => id.as_ref(),
            Self::Capabilities | Self::Search(_) | Self::Create(_) | Self::Batch => None,
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        match self {
            Self::Capabilities | Self::Read(..) | Self::VersionRead(..) | Self::Search(..) | Self::History(..) => true,
            Self::Create(..) | Self::Update(..) | Self::Patch(..) | Self::Delete(..) => false,
            Self::Batch | Self::Operation(..) => false,
        }
    }
}

/// A logical id or a version id: `[A-Za-z0-9\-.]{1,64}` (<http://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// The id of this text; none when it is not of the form.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        fits.then_some(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Headers on which the answer or the change depends (<http://hl7.org/fhir/R4/http.html#cread>,
/// <http://hl7.org/fhir/R4/http.html#concurrency>).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// `If-Match`: the versions of which one must be the current one; of a change the one that it is made on. Empty: there is
    /// no such header.
    pub if_match: Vec<Tag>,
    /// `If-None-Match`. Answering 304 is the shell's work: give the `etag`, and the caller's copy is compared with it.
    pub if_none_match: Vec<Tag>,
    /// `If-Modified-Since`. As above, with `last_modified`; not looked at where `If-None-Match` stands.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`. Not looked at where `If-Match` stands, nor for a change, which needs `If-Match`.
    pub if_unmodified_since: Option<Timestamp>,
    /// `If-None-Exist` of a conditional create: the search parameters, percent-decoded, in order.
    pub if_none_exist: Option<Vec<(String, String)>>,
}

/// One entry of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// `*`.
    Any,
    /// The opaque text of an entity tag, without `W/` and quotes.
    Is(String),
    /// What is no entity tag: it is the tag of nothing, and the header stands all the same.
    Unreadable,
}

impl Tag {
    /// The text of an entity tag.
    #[must_use]
    pub fn text(&self) -> Option<&String> {
        match self {
            Self::Is(text) => Some(text),
            Self::Any | Self::Unreadable => None,
        }
    }
}

/// The `Prefer` header (<http://hl7.org/fhir/R4/http.html#ops>, <http://hl7.org/fhir/R4/search.html#errors>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// What the answer to a change holds.
    pub content: Content,
    /// `handling=strict`: an unknown search parameter is an error; else it is left out and said so.
    pub strict: bool,
    /// `respond-async`.
    pub asynchronous: bool,
}

/// `Prefer: return=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Nothing asked: the resource.
    #[default]
    Unstated,
    /// `minimal`: no body.
    Minimal,
    /// `representation`: the resource.
    Representation,
    /// `OperationOutcome`: hints and warnings.
    Outcome,
}

/// A resource as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The format that its media type names.
    pub format: Format,
    /// The bytes, at most as many as the limit on bodies.
    pub bytes: Bytes,
}

/// A format that resources are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// `application/fhir+json`.
    #[default]
    Json,
    /// `application/fhir+xml`.
    Xml,
}

impl Format {
    /// The media type, with the character set.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/fhir+json; charset=utf-8",
            Self::Xml => "application/fhir+xml; charset=utf-8",
        }
    }
}
