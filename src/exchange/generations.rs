//! How often something changed at a provider for a person: what a cache reads before it fetches.
//!
//! An event only counts up; an entry made under an older count is never found again. Memory is bounded: persons share
//! counters by hash, so that now and then an entry of somebody else is fetched anew, and never one kept too long.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::PersonId;

const COUNTERS: usize = 1 << 14;

/// The counters. Clones share them.
#[derive(Clone)]
pub struct Generations {
    counters: Arc<[AtomicU64]>,
    hasher: RandomState,
}

impl std::fmt::Debug for Generations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generations").finish_non_exhaustive()
    }
}

impl Default for Generations {
    fn default() -> Self {
        Self { counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new() }
    }
}

impl Generations {
    fn counter(&self, provider: &str, person: PersonId) -> Option<&AtomicU64> {
        let hash = self.hasher.hash_one((provider, person));
        self.counters.get(usize::try_from(hash % COUNTERS as u64).unwrap_or(0))
    }

    /// The count as it stands. Read before a fetch begins.
    #[must_use]
    pub fn current(&self, provider: &str, person: PersonId) -> u64 {
        self.counter(provider, person).map_or(0, |counter| counter.load(Ordering::Acquire))
    }

    /// Something changed.
    pub fn bump(&self, provider: &str, person: PersonId) {
        if let Some(counter) = self.counter(provider, person) {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }
}
