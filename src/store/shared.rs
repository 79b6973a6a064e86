//! What the threads of a store tell each other and the outside.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tokio::sync::watch;

use super::stamps::Stamps;
use super::stored::Health;

/// Counters and flags. Each stands for itself: no order between them is relied on.
#[derive(Debug)]
pub(super) struct Shared {
    health: AtomicU8,
    /// The disk failed: nothing more is written, not even at the end.
    broken: AtomicBool,
    pub(super) commits: AtomicU64,
    pub(super) refusals: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) wal_bytes: AtomicU64,
    pub(super) restarts: AtomicU64,
    pub(super) stamps: Stamps,
    outbox: watch::Sender<u64>,
    ended: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            health: AtomicU8::new(0),
            broken: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            groups: AtomicU64::new(0),
            wal_bytes: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            stamps: Stamps::new(),
            outbox: watch::Sender::new(0),
            ended: watch::Sender::new(false),
        }
    }

    pub(super) fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            0 => Health::Open,
            1 => Health::Full,
            _ => Health::Closed,
        }
    }

    /// Changes the health; what is closed stays closed.
    pub(super) fn turn(&self, health: Health) {
        let code = match health {
            Health::Open => 0,
            Health::Full => 1,
            Health::Closed => 2,
        };
        let _ = self.health.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < 2).then_some(code));
    }

    pub(super) fn break_down(&self) {
        self.broken.store(true, Ordering::Release);
        self.turn(Health::Closed);
    }

    pub(super) fn broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn tell_outbox(&self) {
        self.outbox.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The writer is no more.
    pub(super) fn tell_end(&self) {
        self.ended.send_replace(true);
    }

    /// Waits until the writer is no more.
    pub(super) async fn ended(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub(super) fn outbox(&self) -> watch::Receiver<u64> {
        self.outbox.subscribe()
    }
}
