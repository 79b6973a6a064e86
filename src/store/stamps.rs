//! Whether a resource may have changed since it was read: so that what is made of a read can be given again without one.
//!
//! The writer counts up for each resource that a transaction changed, after the transaction is on the disk and before
//! anybody is told so. What was stamped before a read began and has the same stamp now is still what a read would find.
//! Memory is bounded: resources share counters by hash, so that now and then something is read again needlessly, and never
//! is something old taken for new.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::commit::{Outcome, Write};
use super::id::ResourceKey;
use super::prepared::Work;

const COUNTERS: usize = 1 << 14;

/// How often a resource changed, and whose everything is. Taken before a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    place: usize,
    changes: u64,
    merges: u64,
}

/// The counters.
#[derive(Debug)]
pub(super) struct Stamps {
    counters: Box<[AtomicU64]>,
    merges: AtomicU64,
    hasher: RandomState,
}

impl Stamps {
    pub(super) fn new() -> Self {
        Self {
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            merges: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn of(&self, key: &ResourceKey) -> Stamp {
        let place = usize::try_from(self.hasher.hash_one(key) % COUNTERS as u64).unwrap_or(0);
        Stamp { place, changes: self.changes(place), merges: self.merges.load(Ordering::Acquire) }
    }

    pub(super) fn holds(&self, stamp: &Stamp) -> bool {
        self.changes(stamp.place) == stamp.changes && self.merges.load(Ordering::Acquire) == stamp.merges
    }

    /// Counts what a commit changed.
    pub(super) fn count(&self, work: &Work, outcome: &Outcome) {
        let Outcome::Committed(receipt) = outcome else { return };
        for (write, _) in &work.write {
            match write {
                Write::Document(document) => document.members.iter().for_each(|member| self.bump(&member.key)),
                Write::Delete(deletion) => self.bump(&deletion.key),
                _ => {}
            }
        }
        if !receipt.merged.is_empty() {
            self.merges.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn bump(&self, key: &ResourceKey) {
        let place = self.of(key).place;
        if let Some(counter) = self.counters.get(place) {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn changes(&self, place: usize) -> u64 {
        self.counters.get(place).map_or(0, |counter| counter.load(Ordering::Acquire))
    }
}
