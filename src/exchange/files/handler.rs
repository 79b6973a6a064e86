//! What the collector hands over and gets back.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::provider::{BoxFuture, Payload};

/// One file as it was collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedFile {
    /// The provider that the folder belongs to.
    pub provider: Arc<str>,
    /// The file's name, without folder.
    pub name: String,
    /// Its number in the provider's sequence, where the configured name pattern has one.
    pub sequence: Option<u64>,
    /// What it holds.
    pub bytes: Payload,
    /// When it was last written, by the file system.
    pub modified: Timestamp,
}

/// A file that was not read, since it is larger than allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadFile {
    /// The provider that the folder belongs to.
    pub provider: Arc<str>,
    /// The file's name, without folder.
    pub name: String,
    /// Its number in the provider's sequence, where the configured name pattern has one.
    pub sequence: Option<u64>,
    /// Its size and what is allowed, in bytes.
    pub size: u64,
    /// The limit.
    pub limit: u64,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In safe keeping, all of it: moved to `done`.
    Taken,
    /// In safe keeping, but some of it could not be read: moved to `done`; the unreadable part goes to `set-aside` under
    /// the same name, with an error file beside it.
    TakenInPart {
        /// The part that could not be read, in the file's own format.
        rejected: Bytes,
        /// The error file: where and why, never the values.
        errors: String,
    },
    /// Nothing of it could be taken: moved to `set-aside`, with an error file beside it.
    Refused {
        /// The error file: where and why, never the values.
        errors: String,
    },
    /// It cannot be taken now (the store is busy): left where it is, tried again after a while, later files wait.
    Later,
}

/// Takes what the collector finds.
pub trait Handler: Send + Sync {
    /// One complete file. [`Verdict::Taken`] only after it is in safe keeping; may be handed over again after a crash.
    fn handle<'a>(&'a self, file: &'a CollectedFile) -> BoxFuture<'a, Verdict>;

    /// A file that is too large to be read: it is set aside once this says that it was told to whom it concerns.
    fn unread<'a>(&'a self, file: &'a UnreadFile) -> BoxFuture<'a, bool>;
}
