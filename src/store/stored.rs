//! What reading gives.

use bytes::Bytes;
use jiff::Timestamp;

use super::facet::Facet;
use super::id::{AuditSeq, DocumentId, JournalSeq, NoticeId, OutboxId, PersonId, ResourceKey};
use super::new::{AuditTarget, Direction, Disposition};

/// One version of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Type and id.
    pub key: ResourceKey,
    /// The version, from 1.
    pub version: u64,
    /// `meta.lastUpdated`.
    pub updated: Timestamp,
    /// This version is a deletion and has no content.
    pub deleted: bool,
    /// Whose it is, as things stand now.
    pub person: Option<PersonId>,
    /// The provider that owns it; `None` for the gateway's own.
    pub provider: Option<String>,
    /// Its JSON text; empty when deleted. Resources of one document share memory.
    pub content: Bytes,
    /// The document row that holds it.
    pub document: Option<DocumentId>,
    /// The journal entry that it came from.
    pub journal: Option<JournalSeq>,
}

/// The current version of a resource with what it can be found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The version.
    pub resource: Resource,
    /// Its facets, in the order in which they were written.
    pub facets: Vec<Facet>,
}

/// An entry of a Task worklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorklistEntry {
    /// The Task.
    pub key: ResourceKey,
    /// Its status.
    pub status: String,
}

/// On which side of a Task a party stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `Task.owner`.
    Owner,
    /// `Task.requester`.
    Requester,
}

/// A journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Its place.
    pub seq: JournalSeq,
    /// When it was received or sent.
    pub received: Timestamp,
    /// The provider or caller.
    pub provider: String,
    /// Which way it went.
    pub direction: Direction,
    /// Its media type.
    pub media: String,
    /// The sender's id of it.
    pub control: String,
    /// The raw bytes.
    pub body: Bytes,
    /// What became of it.
    pub disposition: Disposition,
    /// The acknowledgement.
    pub acknowledgement: Option<Bytes>,
}

/// Whether a message came before ([`super::View::seen`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Not within the window, or it was refused then.
    New,
    /// It was accepted, with this same body.
    Repeated(Repeat),
    /// It was accepted with another body.
    Duplicate {
        /// The entry that was accepted.
        first: JournalSeq,
    },
}

/// A message that was accepted before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// The entry that was accepted.
    pub first: JournalSeq,
    /// The acknowledgement it got, to be given again.
    pub acknowledgement: Option<Bytes>,
}

/// A kept native original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// Counts its replacements, from 1; [`super::Expect::Original`] names it.
    pub version: u64,
    /// Its media type.
    pub media: String,
    /// The bytes.
    pub body: Bytes,
    /// The journal entry that it came from.
    pub journal: Option<JournalSeq>,
}

/// Where a message in the outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting for its time and its turn.
    Due,
    /// Being sent.
    InFlight,
    /// The receiver has it.
    Done,
    /// Given up.
    Dead,
}

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: OutboxId,
    /// To whom.
    pub provider: String,
    /// About whom.
    pub person: Option<PersonId>,
    /// The stable id.
    pub message: String,
    /// When it was put in.
    pub created: Timestamp,
    /// Not before this time.
    pub due: Timestamp,
    /// How often it was sent so far.
    pub attempts: u32,
    /// Where it stands.
    pub state: State,
    /// What it is.
    pub kind: String,
    /// What is rendered or sent.
    pub payload: Bytes,
    /// The journal entry that it came from.
    pub journal: Option<JournalSeq>,
    /// Why the last attempt failed; empty where none did.
    pub reason: String,
}

/// An entry of the operators' queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its number.
    pub id: NoticeId,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was closed; `None` while it is open.
    pub closed: Option<Timestamp>,
    /// The kind of decision.
    pub kind: String,
    /// The provider.
    pub provider: String,
    /// The journal entry.
    pub journal: Option<JournalSeq>,
    /// What happened.
    pub text: String,
    /// What was decided; empty while it is open.
    pub decision: String,
}

/// An audit row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Its place.
    pub seq: AuditSeq,
    /// When.
    pub time: Timestamp,
    /// The caller or provider.
    pub who: String,
    /// The interaction.
    pub interaction: String,
    /// What it was about.
    pub target: AuditTarget,
    /// Whose data, as known when it was written.
    pub person: Option<PersonId>,
    /// The providers that were asked.
    pub providers: Vec<String>,
    /// How it ended.
    pub outcome: String,
    /// The request's id.
    pub request: String,
}

/// A point of the audit chain that can be kept elsewhere, so that a cut-off end is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The last row that it covers.
    pub seq: AuditSeq,
    /// The hash over everything up to it.
    pub hash: [u8; 32],
}

/// What checking the audit chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Every row is as it was written; the anchor of the last one, `None` while there is none.
    Whole(Option<Anchor>),
    /// Rows were changed, added, removed or cut off, at or after this place.
    Broken {
        /// The first row of the first link that does not hold.
        from: AuditSeq,
    },
}

/// Whether the store takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// It does.
    Open,
    /// There is no room: only audit rows are taken, while their reserve lasts. Goes over by itself when there is room.
    Full,
    /// It takes nothing more until the process is started again. Reads go on.
    Closed,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Whether it takes work.
    pub health: Health,
    /// Commits waiting for the writer.
    pub waiting_commits: usize,
    /// Bytes in them.
    pub waiting_bytes: usize,
    /// Reads waiting for a connection.
    pub waiting_reads: usize,
    /// Commits made since the start.
    pub commits: u64,
    /// Commits refused since the start, for whatever reason.
    pub refusals: u64,
    /// Transactions since the start; `commits / groups` is the size of a group.
    pub groups: u64,
    /// Size of the part of the write-ahead log that is in use, in bytes, as last seen.
    pub wal_bytes: u64,
    /// How often the writer had the log started over since the start.
    pub wal_restarts: u64,
    /// Size of the database file, in bytes.
    pub database_bytes: u64,
    /// Messages in the outbox that are due or in flight.
    pub outbox_open: u64,
    /// Messages given up.
    pub outbox_dead: u64,
    /// When the oldest message that is due or in flight was put in.
    pub outbox_oldest: Option<Timestamp>,
    /// Open entries of the operators' queue.
    pub notices_open: u64,
}
