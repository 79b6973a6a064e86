//! `[providers.NAME.health]`.

use serde::Deserialize;

use crate::provider::SetupError;
use crate::provider::wait::Wait;

/// How patient we are with a provider, and how many requests it gets at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long one request may take in all, waiting and retries included. A caller's earlier deadline goes before.
    pub deadline: Wait,
    /// How many attempts at most, the first included. Reads and searches are tried again after passing failures;
    /// submissions only where the provider did nothing or knows the message again.
    pub attempts: u32,
    /// The longest pause before the second attempt; doubled before each further one. The pause is a random part of it.
    pub backoff: Wait,
    /// The longest pause ever.
    pub backoff_limit: Wait,
    /// After so many failures in a row the provider is left alone for a while.
    pub failures: u32,
    /// How long it is left alone before one request is let through to see.
    pub open: Wait,
    /// How many requests at once.
    pub concurrent: usize,
    /// How many more may wait for their turn; a further one is refused at once.
    pub waiting: usize,
    /// How long one may wait for its turn.
    pub wait: Wait,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline: Wait::seconds(10),
            attempts: 3,
            backoff: Wait::millis(200),
            backoff_limit: Wait::seconds(5),
            failures: 5,
            open: Wait::seconds(10),
            concurrent: 16,
            waiting: 64,
            wait: Wait::seconds(2),
        }
    }
}

impl Config {
    pub(super) fn check(&self) -> Result<(), SetupError> {
        for (key, zero) in
            [("attempts", self.attempts == 0), ("failures", self.failures == 0), ("concurrent", self.concurrent == 0)]
        {
            if zero {
                return Err(SetupError::new(key, "must be at least 1"));
            }
        }
        if self.deadline.0.is_zero() {
            return Err(SetupError::new("deadline", "must be longer than zero"));
        }
        Ok(())
    }
}
