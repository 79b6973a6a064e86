//! An adapter with its deadline, retries, breaker and bulkhead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument;

use super::{Breaker, Config, State, Ticket};
use crate::clock::{Clock, Instant};
use crate::provider::metrics::{Handles, Operation};
use crate::provider::{
    Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Identifier, Mode, NativeDocument, Outcome,
    Random, Read, Receipt, Search, SetupError,
};

/// An adapter behind its guards.
pub struct Guarded {
    inner: Arc<dyn Adapter>,
    provider: Arc<str>,
    mode: Mode,
    config: Config,
    clock: Clock,
    random: Random,
    places: Semaphore,
    waiting: AtomicUsize,
    breaker: Mutex<Breaker>,
    metrics: Handles,
}

/// A provider's health as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The circuit breaker.
    pub breaker: State,
    /// Failures in a row.
    pub failures: u32,
    /// Requests under way.
    pub in_flight: usize,
    /// Requests waiting for their turn.
    pub waiting: usize,
}

impl Guarded {
    /// Guards one adapter.
    ///
    /// # Errors
    /// When a number in `config` makes no sense. Keys are relative to the `health` table.
    pub fn new(
        inner: Arc<dyn Adapter>,
        provider: &str,
        mode: Mode,
        config: Config,
        clock: Clock,
        random: Random,
        metrics: Handles,
    ) -> Result<Self, SetupError> {
        config.check()?;
        Ok(Self {
            inner,
            provider: Arc::from(provider),
            mode,
            places: Semaphore::new(config.concurrent),
            waiting: AtomicUsize::new(0),
            breaker: Mutex::new(Breaker::new(config.failures, config.open.0)),
            config,
            clock,
            random,
            metrics,
        })
    }

    /// How it stands.
    #[must_use]
    pub fn health(&self) -> Health {
        let breaker = self.breaker();
        Health {
            breaker: breaker.state(),
            failures: breaker.failures(),
            in_flight: self.config.concurrent.saturating_sub(self.places.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one request under all guards. `repeatable`: another attempt cannot act twice.
    async fn request<'a, T>(
        &'a self,
        operation: Operation,
        resource_type: &str,
        deadline: Instant,
        repeatable: bool,
        attempt: impl Fn(Instant) -> BoxFuture<'a, Result<T, AdapterError>> + Send,
    ) -> Result<T, AdapterError> {
        let begun = self.clock.instant();
        let deadline = deadline.min(begun.after(self.config.deadline.0));
        let span =
            tracing::debug_span!("provider", provider = %self.provider, operation = operation.name(), resource_type);
        let result = async {
            let _place = self.place(deadline).await?;
            let _counted = Counted::new(&self.metrics.in_flight);
            self.attempts(deadline, repeatable, attempt).await
        }
        .instrument(span.clone())
        .await;
        self.metrics.count(operation, result.as_ref().err());
        self.metrics.seconds(operation).observe(self.clock.instant().since(begun).as_secs_f64());
        if let Err(error) = &result {
            let _entered = span.entered();
            if error.ailing() || matches!(error, AdapterError::Busy | AdapterError::Internal { .. }) {
                tracing::warn!(result = error.label(), %error, "the provider failed");
            } else {
                tracing::debug!(result = error.label(), %error, "the provider did not do it");
            }
        }
        result
    }

    async fn place(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, AdapterError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.config.waiting {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(AdapterError::Busy);
        }
        let _waiting = Waiting(&self.waiting, Counted::new(&self.metrics.waiting));
        let patience = deadline.min(self.clock.instant().after(self.config.wait.0));
        match self.clock.deadline(patience, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(AdapterError::Internal { what: "places" }),
            Err(_) => Err(AdapterError::Busy),
        }
    }

    async fn attempts<'a, T>(
        &'a self,
        deadline: Instant,
        repeatable: bool,
        attempt: impl Fn(Instant) -> BoxFuture<'a, Result<T, AdapterError>> + Send,
    ) -> Result<T, AdapterError> {
        let mut made = 0;
        loop {
            made += 1;
            let pass = self.pass()?;
            let result = match self.clock.deadline(deadline, attempt(deadline)).await {
                Ok(result) => result,
                Err(_) => Err(AdapterError::TimedOut { sent: true }),
            };
            pass.done(result.as_ref().err());
            let Err(error) = result else { return result };
            let again = error.passing() && (repeatable || error.outcome() == Outcome::NotDone);
            if !again || made >= self.config.attempts {
                return Err(error);
            }
            let pause = self.pause(made).max(error.retry_after().unwrap_or_default());
            let until = self.clock.instant().after(pause);
            if until >= deadline {
                return Err(error);
            }
            self.metrics.retries.inc();
            tracing::debug!(attempt = made, result = error.label(), ?pause, "trying again");
            self.clock.sleep_until(until).await;
        }
    }

    /// A random part of the backoff after so many attempts ("full jitter").
    fn pause(&self, made: u32) -> Duration {
        let doubled = self.config.backoff.0.saturating_mul(1_u32.checked_shl(made - 1).unwrap_or(u32::MAX));
        let longest = doubled.min(self.config.backoff_limit.0);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.below(nanos.saturating_add(1)))
    }

    fn pass(&self) -> Result<Pass<'_>, AdapterError> {
        let mut breaker = self.breaker();
        let entered = breaker.enter(self.clock.instant());
        self.metrics.breaker(breaker.state());
        drop(breaker);
        let ticket = entered.map_err(|retry_after| AdapterError::CircuitOpen { retry_after })?;
        Ok(Pass { guarded: self, ticket: Some(ticket) })
    }
}

/// A ticket that goes back to the breaker however the attempt ends.
struct Pass<'a> {
    guarded: &'a Guarded,
    ticket: Option<Ticket>,
}

impl Pass<'_> {
    fn done(mut self, error: Option<&AdapterError>) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut breaker = self.guarded.breaker();
        let before = breaker.state();
        match error {
            Some(error) if error.ailing() => breaker.failed(&ticket, self.guarded.clock.instant()),
            Some(error) if error.local() => breaker.abandoned(&ticket, self.guarded.clock.instant()),
            _ => breaker.succeeded(&ticket),
        }
        let after = breaker.state();
        drop(breaker);
        self.guarded.metrics.breaker(after);
        if before != after {
            tracing::warn!(?before, ?after, "circuit breaker");
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut breaker = self.guarded.breaker();
            breaker.abandoned(&ticket, self.guarded.clock.instant());
            self.guarded.metrics.breaker(breaker.state());
        }
    }
}

/// Counts something in a gauge for as long as it lives.
struct Counted(prometheus::IntGauge);

impl Counted {
    fn new(gauge: &prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

struct Waiting<'a>(&'a AtomicUsize, #[expect(dead_code, reason = "it counts by living")] Counted);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Adapter for Guarded {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        Box::pin(self.request(Operation::Read, &read.resource_type, deadline, true, move |deadline| {
            self.inner.read(read, deadline)
        }))
    }

    fn search<'a>(&'a self, search: &'a Search, deadline: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        Box::pin(
            self.request(Operation::Search, "", deadline, true, move |deadline| self.inner.search(search, deadline)),
        )
    }

    fn identified<'a>(
        &'a self,
        resource_type: &'a str,
        identifier: &'a Identifier,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<NativeDocument>, AdapterError>> {
        Box::pin(self.request(Operation::Search, resource_type, deadline, true, move |deadline| {
            self.inner.identified(resource_type, identifier, deadline)
        }))
    }

    fn submit<'a>(&'a self, delivery: &'a Delivery, deadline: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        if delivery.mode != self.mode {
            self.metrics.count(Operation::Submit, Some(&AdapterError::WrongMode));
            return Box::pin(std::future::ready(Err(AdapterError::WrongMode)));
        }
        let repeatable = self.inner.repeatable(delivery);
        Box::pin(self.request(Operation::Submit, &delivery.resource_type, deadline, repeatable, move |deadline| {
            self.inner.submit(delivery, deadline)
        }))
    }

    fn repeatable(&self, delivery: &Delivery) -> bool {
        self.inner.repeatable(delivery)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
