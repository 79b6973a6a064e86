//! The trait that every provider's connection implements, and the values that pass through it.
//!
//! Bytes go in and come out as the provider writes them. What may hold a patient's data shows only its size in `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use super::AdapterError;
use crate::clock::Instant;

/// A boxed future, so that the trait can be used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A provider's system, reached in its own protocol and format.
///
/// Every operation ends by `deadline` (on the clock the adapter was made with): with an answer, or with
/// [`AdapterError::TimedOut`]. Dropping a future cancels the operation; what was already sent stays sent.
pub trait Adapter: Send + Sync {
    /// What can be asked of this provider.
    fn capabilities(&self) -> &Capabilities;

    /// The native document that holds one resource.
    ///
    /// # Errors
    /// [`AdapterError::NotSupported`] when [`Adapter::capabilities`] does not list it; else what the connection gave.
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>>;

    /// The native documents about one patient.
    ///
    /// # Errors
    /// [`AdapterError::NotSupported`] when no type asked for can be searched; else what the connection gave.
    fn search<'a>(&'a self, search: &'a Search, deadline: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>>;

    /// The native documents that hold the resources of a type with a business identifier (not a person's whose data is
    /// sought: [`Adapter::search`] finds those).
    ///
    /// # Errors
    /// [`AdapterError::NotSupported`] where the connection cannot be asked so; else what it gave.
    fn identified<'a>(
        &'a self,
        resource_type: &'a str,
        _: &'a Identifier,
        _: Instant,
    ) -> BoxFuture<'a, Result<Vec<NativeDocument>, AdapterError>> {
        let what = format!("finding {resource_type} by an identifier");
        Box::pin(std::future::ready(Err(AdapterError::NotSupported { what })))
    }

    /// Hands over one native document or message.
    ///
    /// # Errors
    /// What the connection gave; [`AdapterError::outcome`] says whether the provider may have acted all the same.
    fn submit<'a>(&'a self, delivery: &'a Delivery, deadline: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>>;

    /// Whether this delivery may be sent again after an unknown outcome without acting twice: the provider knows the
    /// message again by its stable id, or the action replaces a whole.
    fn repeatable(&self, delivery: &Delivery) -> bool;

    /// Gives back connections at shutdown; later operations fail or connect anew.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What can be asked of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether it can be asked at all.
    pub liveness: Liveness,
    /// By FHIR resource type, since that is what callers ask for; the native documents behind them are the map's matter.
    pub types: BTreeMap<String, Interactions>,
}

impl Capabilities {
    /// What can be done with one resource type; nothing when it is not known.
    #[must_use]
    pub fn of(&self, resource_type: &str) -> Interactions {
        self.types.get(resource_type).copied().unwrap_or_default()
    }
}

/// Whether a provider can be asked for what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// It answers reads or searches when asked.
    Live,
    /// It only sends events; what they said is kept by the gateway, for it cannot be asked again.
    PushOnly,
}

/// What can be done with one resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interactions {
    /// Read one by its native id.
    pub read: bool,
    /// Search those of a patient.
    pub search: bool,
    /// Submit a new one.
    pub create: bool,
    /// Submit a change of one.
    pub update: bool,
}

/// Whether a connection carries real people's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Made-up persons only.
    Test,
    /// Real people.
    Production,
}

/// Bytes that may hold a patient's data: cheap to clone, shown only by their size.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

impl Deref for Payload {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// A business identifier: of a person, an order, an organisation. Its value is not shown.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier {
    /// The namespace, a URI; empty when the native format has none.
    pub system: String,
    /// The value in the namespace.
    pub value: String,
}

impl Identifier {
    /// An organisation's identifier brought to one form: Finnish organisation ids occur as an OID under
    /// `urn:oid:1.2.246.537.6.202`, under that with a year, and as `urn:ietf:rfc:3986`, and are one identity.
    #[must_use]
    pub fn organisation(system: &str, value: &str) -> Self {
        const URI: &str = "urn:ietf:rfc:3986";
        const REGISTRY: &str = "urn:oid:1.2.246.537.6.202";
        let in_registry = system.strip_prefix(REGISTRY).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let is_oid = |text: &str| text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let bare = value.strip_prefix("urn:oid:").unwrap_or(value);
        if (in_registry || system == URI || system.is_empty()) && is_oid(bare) {
            return Self { system: URI.to_owned(), value: format!("urn:oid:{bare}") };
        }
        let system = if in_registry { REGISTRY } else { system };
        Self { system: system.to_owned(), value: value.to_owned() }
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|<withheld>", self.system)
    }
}

/// One resource to read.
#[derive(Clone, PartialEq, Eq)]
pub struct Read {
    /// The FHIR resource type that is wanted.
    pub resource_type: String,
    /// The id of the native document, as the provider writes it.
    pub native_id: String,
    /// The entity tag of a copy at hand: where the provider can tell, an unchanged document is answered with
    /// [`AdapterError::NotModified`].
    pub if_none_match: Option<String>,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("resource_type", &self.resource_type).finish_non_exhaustive()
    }
}

/// A question about one patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The patient, by every identifier known; the adapter takes the ones that its provider understands.
    pub patient: Vec<Identifier>,
    /// The FHIR resource types wanted.
    pub types: Vec<String>,
    /// Only what changed at or after this time, where the provider can tell.
    pub since: Option<Timestamp>,
}

/// What a search found.
#[derive(Debug)]
pub struct Answer {
    /// The documents, in the provider's order.
    pub documents: Vec<NativeDocument>,
    /// What failed beside them, a later page or an item that cannot be used: the rest of the answer stands, but is not all.
    pub unusable: Vec<AdapterError>,
    /// Types that were asked for and cannot be searched here.
    pub not_searched: Vec<String>,
    /// False when a limit of pages or documents was reached and the provider has more.
    pub complete: bool,
}

impl Answer {
    /// Nothing yet.
    pub(super) const fn nothing() -> Self {
        Self { documents: Vec::new(), unusable: Vec::new(), not_searched: Vec::new(), complete: true }
    }

    /// The answers to several questions as one. What failed is told beside what the others gave; that a provider has nothing
    /// of one kind is no failure.
    ///
    /// # Errors
    /// The first failure, where nothing was answered.
    pub(super) fn joined(parts: impl IntoIterator<Item = Result<Self, AdapterError>>) -> Result<Self, AdapterError> {
        let (mut whole, mut answered, mut absent) = (Self::nothing(), false, None);
        for part in parts {
            match part {
                Ok(part) => {
                    answered = true;
                    whole.documents.extend(part.documents);
                    whole.unusable.extend(part.unusable);
                    whole.not_searched.extend(part.not_searched);
                    whole.complete &= part.complete;
                }
                Err(error @ AdapterError::NotFound) => absent = Some(error),
                Err(error) => whole.unusable.push(error),
            }
        }
        if answered {
            whole.complete &= whole.unusable.is_empty();
            return Ok(whole);
        }
        match (whole.unusable.into_iter().next(), absent) {
            (Some(error), _) | (None, Some(error)) => Err(error),
            (None, None) => Ok(Self::nothing()),
        }
    }
}

/// One native document as the provider gave it.
#[derive(Clone, PartialEq, Eq)]
pub struct NativeDocument {
    /// The bytes, untouched.
    pub bytes: Payload,
    /// The media type, such as `application/fhir+json`, `x-application/hl7-v2+er7`, `text/csv`.
    pub media_type: String,
    /// Which kind of native document it is, where the connection can tell: a configured name, a FHIR resource type.
    pub kind: Option<String>,
    /// Its id at the provider, where the connection can tell.
    pub native_id: Option<String>,
    /// Its absolute address at the provider, where it has one (`Bundle.entry.fullUrl`).
    pub url: Option<String>,
    /// Its version there: an entity tag or version id without quotes.
    pub version: Option<String>,
    /// When the provider says it last changed.
    pub last_modified: Option<Timestamp>,
    /// When it was fetched.
    pub fetched_at: Timestamp,
}

impl fmt::Debug for NativeDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeDocument")
            .field("kind", &self.kind)
            .field("media_type", &self.media_type)
            .field("bytes", &self.bytes)
            .field("fetched_at", &self.fetched_at)
            .finish_non_exhaustive()
    }
}

/// One document or message to hand over.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The id under which this is always sent, also when sent again (v2: it is in MSH-10 already).
    pub message_id: String,
    /// The FHIR resource type that this is about.
    pub resource_type: String,
    /// Which kind of native document it is, where the provider has several for one type.
    pub kind: Option<String>,
    /// What the provider is to do.
    pub action: Action,
    /// The native bytes.
    pub bytes: Payload,
    /// Their media type.
    pub media_type: String,
    /// Whether this is about real people; must be the connection's mode.
    pub mode: Mode,
    /// A business identifier by which the provider can know the document again (not a person's).
    pub identifier: Option<Identifier>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message_id", &self.message_id)
            .field("resource_type", &self.resource_type)
            .field("kind", &self.kind)
            .field("mode", &self.mode)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// What a provider is to do with a delivery.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Take it as something new.
    Create,
    /// Change what it has.
    Update {
        /// Its id there.
        native_id: String,
        /// The version that the change was made on; where given, another version there refuses the change.
        version: Option<String>,
    },
}

/// How far a provider came with a delivery before it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It was processed; the answer is the application's.
    Applied,
    /// It was taken into safe keeping; what the application makes of it comes later, as a message or not at all.
    Committed,
}

/// A provider's word that it has a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// How far it came.
    pub effect: Effect,
    /// Whether something new was made of a create; false where the provider had it already.
    pub created: bool,
    /// The id it has at the provider.
    pub native_id: Option<String>,
    /// Its version there.
    pub version: Option<String>,
    /// The document as the provider now holds it, where it said.
    pub returned: Option<NativeDocument>,
    /// The answer of the protocol, where it is a document of its own (an acknowledgement).
    pub answer: Option<NativeDocument>,
}

impl Receipt {
    /// The provider has it, and says no more of it.
    #[must_use]
    pub fn silent() -> Self {
        Self { effect: Effect::Committed, created: true, native_id: None, version: None, returned: None, answer: None }
    }
}
