//! Refusals of callers that are not known: bounded, since each is written down and anybody can cause one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Instant;

/// How many refusals of strangers are answered and written down; the bucket holds a second's worth.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Bucket>);

#[derive(Debug, Default)]
struct Bucket {
    /// When the bucket would be full again, at its rate.
    full_at: Option<Instant>,
}

impl Strangers {
    /// Takes one, at this rate a second; false when there is none left.
    pub(super) fn take(&self, now: Instant, a_second: u32) -> bool {
        let one = Duration::from_secs(1) / a_second.max(1);
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = bucket.full_at.map_or(now, |at| at.max(now)).after(one);
        let fits = full_at.since(now) <= Duration::from_secs(1);
        if fits {
            bucket.full_at = Some(full_at);
        }
        fits
    }
}
