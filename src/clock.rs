//! Time, handed in: every deadline, backoff and expiry sleeps on a [`Clock`], and tests move it by hand.
//!
//! Nothing else in the program asks the operating system for the time (`clippy.toml` bans it).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

/// A point on the monotonic scale of one [`Clock`]: the time since it was made. It never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The point this much later; the end of time where the sum does not fit.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// How long it is from `earlier` to this point; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time since the clock was made.
    #[must_use]
    pub fn elapsed_of_clock(self) -> Duration {
        self.0
    }
}

/// What time it is, and a way to wait. Cheap to clone; clones share the hand-moved time.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System(std::time::Instant),
    Manual(Arc<Mutex<Manual>>),
}

#[derive(Debug)]
struct Manual {
    start: Timestamp,
    passed: Duration,
    order: u64,
    sleepers: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
}

/// The limit given to an operation had passed before it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time allowed had passed")]
pub struct Elapsed;

impl Clock {
    /// The operating system's clocks.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
        Self(Kind::System(std::time::Instant::now()))
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(Mutex::new(Manual {
            start,
            passed: Duration::ZERO,
            order: 0,
            sleepers: BTreeMap::new(),
        }))))
    }

    /// The wall-clock time, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System(_) => Timestamp::now(),
            Kind::Manual(shared) => {
                let manual = shared.lock().unwrap_or_else(PoisonError::into_inner);
                manual.start.checked_add(manual.passed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// The monotonic time.
    #[must_use]
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Kind::System(start) => Instant(start.elapsed()),
            Kind::Manual(shared) => Instant(shared.lock().unwrap_or_else(PoisonError::into_inner).passed),
        }
    }

    /// Waits until `deadline`; at once when it has passed.
    pub async fn sleep_until(&self, deadline: Instant) {
        match &self.0 {
            Kind::System(start) => {
                let Some(at) = start.checked_add(deadline.0) else {
                    return std::future::pending().await;
                };
                #[expect(clippy::disallowed_methods, reason = "the one place that waits on the operating system")]
                tokio::time::sleep_until(at.into()).await;
            }
            Kind::Manual(shared) => {
                let woken = {
                    let mut manual = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    if manual.passed >= deadline.0 {
                        return;
                    }
                    let (wake, woken) = oneshot::channel();
                    manual.order += 1;
                    let order = manual.order;
                    manual.sleepers.insert((deadline.0, order), wake);
                    woken
                };
                // The sender lives in the clock, which outlives this future's borrow of it.
                let _ = woken.await;
            }
        }
    }

    /// Waits for `wait`.
    pub async fn sleep(&self, wait: Duration) {
        self.sleep_until(self.instant().after(wait)).await;
    }

    /// Runs `work`, giving up when `deadline` comes first. What is dropped is cancelled at its last await point.
    ///
    /// # Errors
    /// [`Elapsed`] when the deadline came first.
    pub async fn deadline<T>(&self, deadline: Instant, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.sleep_until(deadline) => Err(Elapsed),
        }
    }

    /// Moves a manual clock on and wakes whoever waited for the time between, in order. A system clock is not moved.
    pub fn advance(&self, by: Duration) {
        let Kind::Manual(shared) = &self.0 else { return };
        let mut manual = shared.lock().unwrap_or_else(PoisonError::into_inner);
        manual.passed = manual.passed.saturating_add(by);
        let first_later = (manual.passed.saturating_add(Duration::from_nanos(1)), 0);
        let later = manual.sleepers.split_off(&first_later);
        let due = std::mem::replace(&mut manual.sleepers, later);
        for (_, wake) in due {
            let _ = wake.send(());
        }
    }

    /// How many are waiting on a manual clock: a test waits for this before it moves the clock.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        match &self.0 {
            Kind::System(_) => 0,
            Kind::Manual(shared) => {
                let mut manual = shared.lock().unwrap_or_else(PoisonError::into_inner);
                manual.sleepers.retain(|_, wake| !wake.is_closed());
                manual.sleepers.len()
            }
        }
    }
}

/// Lengths of time as configuration writes them: `"250ms"`, `"30s"`, `"1m 30s"`, `"7d"`. For
/// `#[serde(deserialize_with = "crate::clock::duration::deserialize")]`.
pub mod duration {
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, de::Error};

    const DAY: Duration = Duration::from_secs(86_400);

    /// The length of time that the text names, a day having 24 hours.
    ///
    /// # Errors
    /// A sentence saying what is expected.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let days =
            text.strip_suffix('d').and_then(|days| days.trim_end().parse().ok()).and_then(|days| DAY.checked_mul(days));
        if let Some(days) = days {
            return Ok(days);
        }
        let parsed: Option<SignedDuration> = text.parse().ok();
        parsed
            .and_then(|parsed| Duration::try_from(parsed).ok())
            .ok_or_else(|| format!("`{text}` is not a length of time such as \"250ms\", \"30s\", \"1m 30s\" or \"7d\""))
    }

    /// Reads it from text.
    ///
    /// # Errors
    /// The deserializer's, and a text that [`parse`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map_err(D::Error::custom)
    }
}
