//! One after the other, for one person: what is decided from a person's Tasks and care teams is decided in turn.
//!
//! The store refuses a commit that was composed on what no longer holds; taking turns keeps many changes about one person
//! from being composed in vain again and again. Memory is bounded: persons share turns by number, so that now and then
//! somebody waits for somebody else, never longer than for one commit.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::store::PersonId;

const TURNS: usize = 1 << 10;

/// The turns. Clones share them.
#[derive(Clone)]
pub(crate) struct Turns(Arc<[Arc<Mutex<()>>]>);

/// A turn that was come to; the next one's begins when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _held: Option<OwnedMutexGuard<()>>,
    /// Somebody else's turn ended first: what was read before may no longer hold.
    pub(crate) waited: bool,
}

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Arc::new(Mutex::new(()))).collect())
    }
}

impl Turns {
    /// Waits for the turn of changes about a person. Whoever holds one must not ask for another.
    pub(crate) async fn take(&self, person: PersonId) -> Turn {
        let place = usize::try_from(person.number()).unwrap_or_default() % TURNS;
        let Some(lock) = self.0.get(place) else { return Turn { _held: None, waited: false } };
        match Arc::clone(lock).try_lock_owned() {
            Ok(held) => Turn { _held: Some(held), waited: false },
            Err(_) => Turn { _held: Some(Arc::clone(lock).lock_owned().await), waited: true },
        }
    }
}
