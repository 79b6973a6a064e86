//! What happens at an organisation, in order, for those who wait for it; and how long they wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;

/// How long a step waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often something is looked at that tells of no changes itself.
const LOOK: Duration = Duration::from_millis(15);

/// Something did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) String);

impl Broken {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Fails a step unless something holds.
pub(super) fn ensure(holds: bool, what: impl Into<String>) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken::new(what)) }
}

/// Fails a step unless two texts are the same.
pub(super) fn same(what: &str, found: &str, expected: &str) -> Result<(), Broken> {
    ensure(found == expected, format!("{what} is \"{found}\", expected \"{expected}\""))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happened, in order.
pub(super) struct Log<T> {
    items: Mutex<Vec<T>>,
    count: watch::Sender<usize>,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { items: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl<T> Log<T> {
    pub(super) fn add(&self, item: T) {
        lock(&self.items).push(item);
        self.count.send_modify(|count| *count += 1);
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.items).len()
    }

    /// How many of them are so.
    pub(super) fn count(&self, is: impl Fn(&T) -> bool) -> usize {
        lock(&self.items).iter().filter(|item| is(item)).count()
    }

    /// What can be made of them.
    pub(super) fn all<R>(&self, pick: impl Fn(&T) -> Option<R>) -> Vec<R> {
        lock(&self.items).iter().filter_map(pick).collect()
    }

    /// The first from `from` on of which something can be made, waiting for it.
    pub(super) async fn find<R>(&self, from: usize, pick: impl Fn(&T) -> Option<R>) -> R {
        let mut changed = self.count.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = lock(&self.items).iter().skip(from).find_map(&pick) {
                return found;
            }
            // The sender lives as long as the log.
            let _ = changed.changed().await;
        }
    }
}

/// Waiting, with an end.
#[derive(Clone)]
pub(super) struct Patience(pub(super) Clock);

impl Patience {
    /// What `work` gives.
    pub(super) async fn wait<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, Broken> {
        let deadline = self.0.instant().after(PATIENCE);
        let waited = self.0.deadline(deadline, work).await;
        waited.map_err(|_| Broken::new(format!("waited {} s in vain for {what}", PATIENCE.as_secs())))
    }

    /// What `look` finds, sooner or later. The error that it gives meanwhile is told when it never finds anything.
    pub(super) async fn until<T, F>(&self, what: &str, look: impl Fn() -> F) -> Result<T, Broken>
    where
        F: Future<Output = Result<T, Broken>>,
    {
        let deadline = self.0.instant().after(PATIENCE);
        loop {
            let seen = self.0.deadline(deadline, look()).await;
            let reason = match seen {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(reason)) => reason.0,
                Err(_) => "no answer".to_owned(),
            };
            let next = self.0.instant().after(LOOK);
            if next >= deadline {
                return Err(Broken::new(format!("waited {} s in vain for {what}: {reason}", PATIENCE.as_secs())));
            }
            self.0.sleep_until(next).await;
        }
    }
}
