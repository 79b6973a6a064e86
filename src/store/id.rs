//! Numbers and names of rows.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

macro_rules! row_number {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) i64);

        impl $name {
            /// The number from outside (a page token, an operator's command). Whether such a row exists is seen when it is read.
            #[must_use]
            pub const fn from_number(number: i64) -> Self {
                Self(number)
            }

            /// The number, for page tokens, logs and metrics: it says nothing about a person.
            #[must_use]
            pub const fn number(self) -> i64 {
                self.0
            }
        }
    )*};
}

row_number! {
    /// A person known to the store. After two persons are proven to be one, the older number stands for both.
    PersonId;
    /// The place of a journal entry; numbers rise in the order of commits and have no gaps that mean loss.
    JournalSeq;
    /// A row that holds the resources of one message.
    DocumentId;
    /// A message in the outbox; within a lane the order of numbers is the order of delivery.
    OutboxId;
    /// An entry of the operators' queue.
    NoticeId;
    /// The place of an audit row.
    AuditSeq;
}

/// Names a row: one that is known, or the n-th of its kind written by the same commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ref<T> {
    /// A row that was there before.
    Known(T),
    /// What the n-th write of this kind in this commit makes, counted from 0. [`super::Commit`]'s methods hand these out.
    Here(usize),
}

impl<T> From<T> for Ref<T> {
    fn from(known: T) -> Self {
        Self::Known(known)
    }
}

/// Type and logical id of a resource, as in `Task/abc`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// The resource type, e.g. `Task`.
    pub resource_type: String,
    /// The logical id.
    pub id: String,
}

impl ResourceKey {
    /// `Type/id`.
    pub fn new(resource_type: impl Into<String>, id: impl Into<String>) -> Self {
        Self { resource_type: resource_type.into(), id: id.into() }
    }
}

impl std::fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

/// What makes a message the same message: the configured provider and what the sender names it by
/// (HL7 v2: provider, MSH-3, MSH-4, MSH-10; REST: caller and idempotency key; a file: provider, name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DedupKey(pub(crate) [u8; 20]);

impl DedupKey {
    /// The key of these parts; `["a", "bc"]` and `["ab", "c"]` differ.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p str>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self(leading(&hash.finalize()))
    }
}

/// When a native event happened at its source: EVN-6, else EVN-2, else MSH-7; a file's sequence number. Ordered by time,
/// then sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurred {
    /// The time that the source gives.
    pub time: Timestamp,
    /// The source's own count where it has one, else 0.
    pub sequence: u64,
}

/// Whether a native id may be shown inside a resource id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NativeKey {
    /// A technical key of the provider.
    Plain,
    /// A personal identifier, or something made from one: only its keyed hash is shown.
    Personal,
}

/// A resource id in the gateway, and what must be stored so that the way back is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedId {
    /// The logical id: `[A-Za-z0-9\-.]{1,64}` (<http://hl7.org/fhir/R4/datatypes.html#id>).
    pub id: String,
    /// `true` when the id is a hash: [`super::Write::NativeId`] must be in the commit that first uses it.
    pub hashed: bool,
}

/// The first bytes of a hash.
pub(super) fn leading<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(hash) {
        *to = *from;
    }
    out
}
