//! What is handed to the store to be written: the values inside [`super::Write`].
//!
//! Texts that a person could be recognised by stand only where it is said; never in kinds, outcomes or reasons.

use bytes::Bytes;
use jiff::Timestamp;

use super::facet::Facet;
use super::id::{DedupKey, JournalSeq, NoticeId, Occurred, OutboxId, PersonId, Ref, ResourceKey};

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a provider or caller to the gateway.
    Inbound,
    /// From the gateway to a provider.
    Outbound,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Taken: it is known again by its dedup key, and its stored acknowledgement is given again.
    Accepted,
    /// Refused: kept as evidence; when it comes again it is processed anew.
    Refused,
    /// Taken and kept, but not applied, since a newer event had been applied. Known again like [`Disposition::Accepted`].
    Older,
}

/// A message as it went over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJournal {
    /// When it was received or sent.
    pub received: Timestamp,
    /// The provider (its configured name), or the caller's name for the REST interface.
    pub provider: String,
    /// Which way it went.
    pub direction: Direction,
    /// Its media type, e.g. `application/hl7-v2+er7`.
    pub media: String,
    /// The id that the sender gave it (MSH-10, X-Request-Id); empty where it has none.
    pub control: String,
    /// By what it is known when it comes again; `None`: never.
    pub dedup: Option<DedupKey>,
    /// The raw bytes.
    pub body: Bytes,
    /// What became of it.
    pub disposition: Disposition,
    /// The acknowledgement as it is (or was) sent, where there is one.
    pub acknowledgement: Option<Bytes>,
}

/// What says who a person is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// An identifier of which a person has one in its system (the official personal identity code; not temporary or
    /// secondary ones). Only a keyed hash of the value is stored.
    Identifier {
        /// The identifier's system as a URI.
        system: String,
        /// The value.
        value: String,
    },
    /// A provider's own id of the patient. Stored readably, since the provider is asked by it.
    Patient {
        /// The provider's configured name.
        provider: String,
        /// Its id of the patient.
        native: String,
    },
}

/// The resources of one message, as one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// JSON text that holds every member's text as a part: a Bundle, a resource, or resources one after the other.
    pub body: Bytes,
    /// The journal entry that it came from.
    pub journal: Option<Ref<JournalSeq>>,
    /// What it holds: of a resource one version.
    pub members: Vec<NewMember>,
}

/// A new version of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// Type and id.
    pub key: ResourceKey,
    /// Whose it is; `None` for what is about nobody (an Organization).
    pub person: Option<Ref<PersonId>>,
    /// Where its text stands in the document's body: offset and length in bytes.
    pub span: (usize, usize),
    /// Its version: 1, or the current (also where that is a deletion) plus 1; else [`super::StoreError::VersionConflict`].
    pub version: u64,
    /// `meta.lastUpdated`.
    pub updated: Timestamp,
    /// The provider that owns it; `None` for the gateway's own.
    pub provider: Option<String>,
    /// What it can be found by.
    pub facets: Vec<Facet>,
}

/// A deletion: the resource's last version so far, without content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Type and id.
    pub key: ResourceKey,
    /// The version that the deletion is: the current plus 1.
    pub version: u64,
    /// When.
    pub updated: Timestamp,
}

/// An event of a provider about something that is ordered in time: applied unless a newer one was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The provider.
    pub provider: String,
    /// What is ordered: e.g. `patient 123`, `encounter 77`, `order 9`; only a keyed hash is stored.
    pub key: String,
    /// When it happened. The same moment again is not older.
    pub occurred: Occurred,
}

/// The way back from an id that is a hash ([`super::AssignedId::hashed`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeId {
    /// Type and id in the gateway.
    pub key: ResourceKey,
    /// The provider.
    pub provider: String,
    /// The provider's id.
    pub native: String,
}

/// By which question to a provider a resource was found that it cannot be asked for by itself: a part of another of its
/// documents, or one whose id here does not say the id there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Type and id in the gateway.
    pub key: ResourceKey,
    /// The provider.
    pub provider: String,
    /// The types that were asked for.
    pub types: Vec<String>,
    /// About whom, where the store knows the person: whose identifiers are not stored again then.
    pub person: Option<PersonId>,
    /// By which identifiers (system, value), where there is no person.
    pub identifiers: Vec<(String, String)>,
}

/// The last native text of a document of a provider: what changes are written back onto.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOriginal {
    /// The provider.
    pub provider: String,
    /// The document's key there; only a keyed hash is stored.
    pub key: String,
    /// Its media type.
    pub media: String,
    /// The bytes.
    pub body: Bytes,
    /// The journal entry that it came from.
    pub journal: Option<Ref<JournalSeq>>,
}

/// Something to be delivered to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// To whom (the provider's configured name).
    pub provider: String,
    /// About whom: a lane is a provider and a person (or nobody), and within it messages go one after the other.
    pub person: Option<Ref<PersonId>>,
    /// The id that stays the same over all attempts and replays (it becomes MSH-10 or an idempotency key). One a provider.
    pub message: String,
    /// Not before this time.
    pub due: Timestamp,
    /// What it is, for whoever renders it.
    pub kind: String,
    /// What is rendered on delivery, or the rendered bytes.
    pub payload: Bytes,
    /// The journal entry that it came from.
    pub journal: Option<Ref<JournalSeq>>,
}

/// What becomes of a message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub message: OutboxId,
    /// What.
    pub to: Delivery,
}

/// A step in the life of a message in the outbox. A reason is short and says nothing about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// It is being sent: one attempt more; its lane waits. Only the head of a lane that is due may be. What is being sent
    /// when the process ends is due again at the next start.
    InFlight,
    /// The receiver has it; the lane goes on.
    Done,
    /// It failed and is tried again; the lane waits.
    Again {
        /// Not before this time.
        due: Timestamp,
        /// Why it failed.
        reason: String,
    },
    /// It is given up, and the lane goes on.
    Dead {
        /// Why.
        reason: String,
    },
    /// A dead or done message is to be sent again at its old place in the lane, with its old id.
    Replay {
        /// Not before this time.
        due: Timestamp,
    },
}

/// An entry of the operators' queue: something that a human decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// When.
    pub opened: Timestamp,
    /// What kind of decision, e.g. `no-recipient`.
    pub kind: String,
    /// The provider that it is about.
    pub provider: String,
    /// The journal entry that it is about.
    pub journal: Option<Ref<JournalSeq>>,
    /// What happened, without data of a patient.
    pub text: String,
}

/// The end of an entry of the operators' queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeEnd {
    /// Which.
    pub notice: NoticeId,
    /// When.
    pub closed: Timestamp,
    /// What was decided and by whom, without data of a patient.
    pub text: String,
}

/// One fact for the audit: who did what to whose data, and how it ended. Chained to all earlier ones by a keyed hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// When.
    pub time: Timestamp,
    /// The caller's configured name, or the provider's.
    pub who: String,
    /// The interaction, e.g. `read`, `search-type`, `message`.
    pub interaction: String,
    /// What it was about.
    pub target: AuditTarget,
    /// Whose data.
    pub person: Option<Ref<PersonId>>,
    /// The providers that were asked.
    pub providers: Vec<String>,
    /// How it ended: an issue code or `success`.
    pub outcome: String,
    /// The request's id, as in the logs.
    pub request: String,
}

/// What an audited interaction was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditTarget {
    /// Nothing in particular.
    None,
    /// A resource.
    Resource(ResourceKey),
    /// A query by the hash of its normalised parameters ([`super::Store::keyed_hash`]: they may hold an identity code).
    Query {
        /// The type asked for; empty for all.
        resource_type: String,
        /// The hash.
        hash: [u8; 32],
    },
}
