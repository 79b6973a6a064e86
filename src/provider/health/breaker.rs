//! The circuit breaker: closed, open, half-open. No I/O, no clock of its own.

use std::time::Duration;

use crate::clock::Instant;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Requests pass.
    Closed,
    /// One request is under way to see whether the provider is back; others are refused.
    HalfOpen,
    /// Requests are refused, until the time comes to see.
    Open,
}

/// Opens after so many failures in a row, lets one request through after a while, and closes when that one succeeds.
#[derive(Debug)]
pub struct Breaker {
    threshold: u32,
    pause: Duration,
    failures: u32,
    position: Position,
    /// Counted up at every change, so that what began before it has no say after it.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    Closed,
    Open { until: Instant },
    HalfOpen,
}

/// Leave for one attempt; every ticket is given back with its outcome.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    generation: u64,
}

impl Breaker {
    /// A closed breaker that opens after `threshold` failures in a row, for `pause`.
    #[must_use]
    pub fn new(threshold: u32, pause: Duration) -> Self {
        Self { threshold, pause, failures: 0, position: Position::Closed, generation: 0 }
    }

    /// Where it stands; an open one whose pause is over still counts as open until someone asks to pass.
    #[must_use]
    pub fn state(&self) -> State {
        match self.position {
            Position::Closed => State::Closed,
            Position::Open { .. } => State::Open,
            Position::HalfOpen => State::HalfOpen,
        }
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Asks to pass.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn enter(&mut self, now: Instant) -> Result<Ticket, Duration> {
        match self.position {
            Position::Closed => {}
            Position::Open { until } if now < until => return Err(until.since(now)),
            Position::Open { .. } => self.turn(Position::HalfOpen),
            Position::HalfOpen => return Err(self.pause),
        }
        Ok(Ticket { generation: self.generation })
    }

    /// The provider answered.
    pub fn succeeded(&mut self, ticket: &Ticket) {
        if ticket.generation == self.generation {
            self.failures = 0;
            if matches!(self.position, Position::HalfOpen) {
                self.turn(Position::Closed);
            }
        }
    }

    /// The provider failed.
    pub fn failed(&mut self, ticket: &Ticket, now: Instant) {
        if ticket.generation == self.generation {
            self.failures = self.failures.saturating_add(1);
            if matches!(self.position, Position::HalfOpen) || self.failures >= self.threshold {
                self.turn(Position::Open { until: now.after(self.pause) });
            }
        }
    }

    /// The attempt ended without a word on the provider (cancelled, or never sent).
    pub fn abandoned(&mut self, ticket: &Ticket, now: Instant) {
        if ticket.generation == self.generation && matches!(self.position, Position::HalfOpen) {
            // Open with no pause left: the next one may see.
            self.turn(Position::Open { until: now });
        }
    }

    fn turn(&mut self, position: Position) {
        self.position = position;
        self.generation += 1;
    }
}
