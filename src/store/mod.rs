//! What is kept: journal, documents, members, outbox, identity links, audit.
//!
//! Work arrives as a value, [`Commit`], and is decided inside the writer: what it expects is checked and what it writes is
//! written in one transaction, together with whatever else was waiting, and the answer comes after the commit is on the
//! disk. Reads go through a small pool of connections, each read seeing one moment of the store.

mod assign;
mod checkpoint;
mod commit;
mod config;
mod error;
mod facet;
mod facet_bytes;
mod faults;
mod handle;
mod id;
mod new;
mod prepared;
mod queue;
mod readers;
mod reserve;
mod secret;
mod shared;
mod sqlite;
mod stamps;
mod stored;
mod view;
mod view_work;
mod writer;

pub use commit::{Commit, Expect, IdentifierQuery, Outcome, Receipt, Write};
pub use config::Config;
pub use error::StoreError;
pub use facet::{Facet, FacetValue};
pub use faults::{DiskFailure, Faults, NoFaults};
pub use handle::Store;
pub use id::{
    AssignedId, AuditSeq, DedupKey, DocumentId, JournalSeq, NativeKey, NoticeId, Occurred, OutboxId, PersonId, Ref,
    ResourceKey,
};
pub use new::{
    AuditTarget, Deletion, Delivery, Direction, Disposition, Event, Evidence, Mark, NativeId, NewAudit, NewDocument,
    NewJournal, NewMember, NewMessage, NewNotice, NewOriginal, NoticeEnd, Place,
};
pub use secret::Random;
pub use stamps::Stamp;
pub use stored::{
    Anchor, Audit, Chain, Health, Journal, Member, Message, Notice, Original, Repeat, Resource, Role, Seen, State,
    Stats, WorklistEntry,
};
pub use view::View;
