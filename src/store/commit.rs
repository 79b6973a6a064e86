//! The unit of change: a value that says what must hold and what is to be written.

use jiff::Timestamp;

use super::id::{AuditSeq, DocumentId, JournalSeq, NoticeId, OutboxId, PersonId, Ref, ResourceKey};
use super::new::{
    Deletion, Event, Evidence, Mark, NativeId, NewAudit, NewDocument, NewJournal, NewMessage, NewNotice, NewOriginal,
    NoticeEnd, Place,
};
use super::stored::Repeat;

/// What must hold and what is then written, decided and done at once inside the writer: all of it or nothing.
///
/// Writes happen in the order given. A write may refer to what an earlier one of the same commit makes; the methods give
/// the [`Ref`] for that:
///
/// ```
/// # use silta::store::{Commit, Evidence};
/// let mut commit = Commit::new();
/// let person = commit.person([Evidence::Patient { provider: "hospital".into(), native: "123".into() }]);
/// # let _ = person;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// What must hold, checked first and in order.
    pub expect: Vec<Expect>,
    /// What is written.
    pub write: Vec<Write>,
}

/// What must hold for a commit to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// The current version of a resource is this one; `None`: it never existed. A deletion is a version.
    /// Else [`super::StoreError::Stale`].
    Version {
        /// Type and id.
        key: ResourceKey,
        /// The version.
        version: Option<u64>,
    },
    /// No current resource of the type bears the identifier (`If-None-Exist`). Else [`super::StoreError::Exists`].
    NoneExist {
        /// The type.
        resource_type: String,
        /// The identifier.
        identifier: IdentifierQuery,
    },
    /// The evidence stands for this person; `None`: for nobody yet. Else [`super::StoreError::PersonsDiffer`].
    Person {
        /// What says who it is.
        evidence: Evidence,
        /// The person.
        person: Option<PersonId>,
    },
    /// The person's current resources of these types are these, at these versions, and no others: what was read of them
    /// still holds. Else [`super::StoreError::MembersChanged`].
    Members {
        /// The person.
        person: PersonId,
        /// The types.
        types: Vec<String>,
        /// Every one of them, in any order.
        versions: Vec<(ResourceKey, u64)>,
    },
    /// The kept original is at this version ([`super::Original::version`]); `None`: there is none.
    /// Else [`super::StoreError::OriginalChanged`].
    Original {
        /// The provider.
        provider: String,
        /// The document's key there.
        key: String,
        /// The version.
        version: Option<u64>,
    },
}

/// An identifier as a token search gives it (<http://hl7.org/fhir/R4/search.html#token>).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentifierQuery {
    /// `Some(Some(system))`: in this system (`system|value`); `Some(None)`: without a system (`|value`); `None`: in any (`value`).
    pub system: Option<Option<String>>,
    /// The value.
    pub value: String,
}

/// One thing to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A message as it went over the wire. When it is accepted, bears a dedup key and was accepted before: with the same body
    /// the whole commit is not made and the answer is [`Outcome::Repeated`]; with another body it is
    /// [`super::StoreError::Duplicate`].
    Journal(NewJournal),
    /// The person for whom all of this stands: the one known by any of it, else a new one; all of it is then linked to that
    /// person. Where it stands for several persons who do not contradict each other, they become one ([`Receipt::merged`]).
    /// Two persons, or a person and a message, contradict each other when they have different identifiers of one system:
    /// [`super::StoreError::PersonsDiffer`].
    Person(Vec<Evidence>),
    /// Two persons are one, by a message that says so or a human's decision, even if their identifiers differ.
    Merge {
        /// One of them.
        one: Ref<PersonId>,
        /// The other.
        other: Ref<PersonId>,
    },
    /// Resources: new versions of each member.
    Document(NewDocument),
    /// A deletion.
    Delete(Deletion),
    /// The order guard: [`super::StoreError::Older`] when a newer event of the same key was applied, else this is the newest.
    Event(Event),
    /// The way back from a hashed id. The same link again changes nothing.
    NativeId(NativeId),
    /// Where a resource is found that its provider cannot be asked for by itself; in place of what was known of it.
    Place(Place),
    /// The last native text of a document, in place of the one before.
    Original(NewOriginal),
    /// A message for the outbox.
    Message(NewMessage),
    /// A step in the life of a message.
    Mark(Mark),
    /// Messages to a provider that wait for another attempt are due at this time, if that is earlier: what they failed for
    /// may be mended.
    Hasten {
        /// The provider.
        provider: String,
        /// When they are due.
        due: Timestamp,
    },
    /// An entry for the operators.
    Notice(NewNotice),
    /// The end of such an entry.
    CloseNotice(NoticeEnd),
    /// An audit row. A commit of audit rows alone is taken even when the store is full, while its reserve lasts.
    Audit(NewAudit),
}

/// What a commit led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was made and is on the disk.
    Committed(Receipt),
    /// The message was accepted before, with the same body. Nothing was written.
    Repeated(Repeat),
}

/// The numbers that the writes of a commit got: of each kind, in the order of its writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Of [`Write::Journal`].
    pub journal: Vec<JournalSeq>,
    /// Of [`Write::Person`].
    pub persons: Vec<PersonId>,
    /// Of [`Write::Document`].
    pub documents: Vec<DocumentId>,
    /// Of [`Write::Message`].
    pub outbox: Vec<OutboxId>,
    /// Of [`Write::Notice`].
    pub notices: Vec<NoticeId>,
    /// Of [`Write::Audit`].
    pub audit: Vec<AuditSeq>,
    /// Persons who are no more, and who they are now.
    pub merged: Vec<(PersonId, PersonId)>,
}

impl Commit {
    /// A commit that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what must hold.
    pub fn expect(&mut self, expect: Expect) {
        self.expect.push(expect);
    }

    /// Adds a write that makes nothing others refer to.
    pub fn write(&mut self, write: Write) {
        self.write.push(write);
    }

    /// Adds a message as it went over the wire.
    pub fn journal(&mut self, journal: NewJournal) -> Ref<JournalSeq> {
        let place = self.write.iter().filter(|write| matches!(write, Write::Journal(_))).count();
        self.write.push(Write::Journal(journal));
        Ref::Here(place)
    }

    /// Adds a person, found or made by what says who it is.
    pub fn person(&mut self, evidence: impl IntoIterator<Item = Evidence>) -> Ref<PersonId> {
        let place = self.write.iter().filter(|write| matches!(write, Write::Person(_))).count();
        self.write.push(Write::Person(evidence.into_iter().collect()));
        Ref::Here(place)
    }

    /// About how many bytes it holds: what it weighs against the limits of the queue.
    #[must_use]
    pub fn weight(&self) -> usize {
        const ROW: usize = 256;
        self.write.iter().fold(ROW, |sum, write| {
            let bytes = match write {
                Write::Journal(journal) => {
                    journal.body.len().saturating_add(journal.acknowledgement.as_ref().map_or(0, bytes::Bytes::len))
                }
                Write::Document(document) => {
                    document.body.len().saturating_add(document.members.len().saturating_mul(ROW))
                }
                Write::Original(original) => original.body.len(),
                Write::Message(message) => message.payload.len(),
                _ => 0,
            };
            sum.saturating_add(bytes).saturating_add(ROW)
        })
    }
}

impl Outcome {
    /// The receipt, where the commit was made.
    #[must_use]
    pub fn receipt(self) -> Option<Receipt> {
        match self {
            Self::Committed(receipt) => Some(receipt),
            Self::Repeated(_) => None,
        }
    }
}
