//! What can go wrong with the store.

use silta_engine::fault::Fault;

use super::faults::DiskFailure;
use super::id::{JournalSeq, Occurred};

/// Why a commit was not made or a read not answered. A commit that ends in an error has left nothing behind.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting already, by count or by bytes. Mended by trying later.
    #[error("the store has too much waiting")]
    Busy,
    /// The disk, or the configured size, is full. Mended by making room; the store goes on by itself then.
    #[error("the store has no room")]
    Full,
    /// The store takes no more work: it was shut down, or a write to the disk failed. Mended by an operator.
    #[error("the store is closed")]
    Closed,
    /// The current version is not the one expected ([`super::Expect::Version`]).
    #[error("{resource_type}: the current version is not the one expected")]
    Stale {
        /// The resource type.
        resource_type: String,
        /// The current version, `None` where there is none.
        current: Option<u64>,
    },
    /// A new version is not the one after the current: another change came between. Mended by reading again.
    #[error("{resource_type}: another version was written in between")]
    VersionConflict {
        /// The resource type.
        resource_type: String,
        /// The current version, `None` where there is none.
        current: Option<u64>,
    },
    /// Something bears the identifier already ([`super::Expect::NoneExist`]).
    #[error("{resource_type}: {} with this identifier exist", ids.len())]
    Exists {
        /// The resource type.
        resource_type: String,
        /// The logical ids of what bears it; never empty.
        ids: Vec<String>,
    },
    /// The same message was accepted before with another body ([`super::NewJournal::dedup`]).
    #[error("the same message was accepted before with another body")]
    Duplicate {
        /// The entry that was accepted.
        first: JournalSeq,
    },
    /// A newer event was applied before ([`super::Write::Event`]).
    #[error("a newer event was applied before")]
    Older {
        /// When the newest one happened.
        newest: Occurred,
    },
    /// What a message says about who the person is contradicts what is known: two persons, or one person with two identifiers
    /// of one system. Mended by an operator.
    #[error("the identifiers of the person contradict what is known")]
    PersonsDiffer,
    /// A resource of a person was added, changed or deleted in between ([`super::Expect::Members`]). Mended by reading again.
    #[error("resources of the person were changed in between")]
    MembersChanged,
    /// The kept original was replaced in between ([`super::Expect::Original`]).
    #[error("the kept original was replaced in between")]
    OriginalChanged,
    /// A message with this stable id is in the outbox already.
    #[error("a message with this id is in the outbox already")]
    MessageExists,
    /// The message is not where the mark assumes: not the head of its lane, or delivered already.
    #[error("the message is not in a state that allows this mark")]
    OutOfTurn,
    /// The row that a write refers to is not there.
    #[error("no such row: {0}")]
    Missing(&'static str),
    /// The commit contradicts itself. A fault of this program.
    #[error("the commit is not coherent: {0}")]
    Incoherent(&'static str),
    /// What is stored cannot be read: a damaged file, or a row of another program.
    #[error("the stored {0} cannot be read")]
    Damaged(&'static str),
    /// The files are not of this program's version, or were changed by hand.
    #[error("migration {number} of the store is not the one of this program")]
    Migration {
        /// The migration's number.
        number: u32,
    },
    /// The key file does not belong to this database.
    #[error("the key of the store is not the one it was made with")]
    WrongKey,
    /// Another process has the store open.
    #[error("the store is in use by another process")]
    InUse,
    /// A folder or file of the store cannot be used.
    #[error("a file of the store cannot be used: {0}")]
    File(std::io::Error),
    /// SQLite refused for a reason that none of the above names.
    #[error("the database refused")]
    Database(#[from] rusqlite::Error),
}

impl StoreError {
    /// The answer that this is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Busy
            | Self::Full
            | Self::Closed
            | Self::Migration { .. }
            | Self::WrongKey
            | Self::InUse
            | Self::File(_) => Fault::StoreUnavailable,
            Self::Stale { .. } => Fault::VersionStale,
            Self::VersionConflict { .. }
            | Self::MembersChanged
            | Self::OriginalChanged
            | Self::OutOfTurn
            | Self::Older { .. } => Fault::VersionConflict,
            Self::Exists { ids, .. } if ids.len() > 1 => Fault::MultipleMatches,
            Self::Exists { .. } | Self::Duplicate { .. } | Self::MessageExists => Fault::Duplicate,
            Self::PersonsDiffer => Fault::MultipleMatches,
            Self::Missing(_) => Fault::NotFound,
            Self::Incoherent(_) | Self::Damaged(_) | Self::Database(_) => Fault::Internal,
        }
    }
}

impl From<DiskFailure> for StoreError {
    fn from(failure: DiskFailure) -> Self {
        match failure {
            DiskFailure::Full => Self::Full,
            DiskFailure::Broken => Self::Closed,
        }
    }
}
