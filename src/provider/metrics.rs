//! What is counted about providers. Handles are resolved when a connection is made, never during a request.

use std::collections::BTreeMap;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::AdapterError;
use super::health::State;

/// The metrics of all providers; made once a process.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    retries: IntCounterVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    breaker: IntGaugeVec,
}

/// What was asked of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// [`Adapter::read`](super::Adapter::read).
    Read,
    /// [`Adapter::search`](super::Adapter::search).
    Search,
    /// [`Adapter::submit`](super::Adapter::submit).
    Submit,
}

impl Operation {
    /// The word in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Submit => "submit",
        }
    }
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When a metric of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let made = Self {
            requests: IntCounterVec::new(
                Opts::new("silta_provider_requests_total", "Requests to providers, by result"),
                &["provider", "operation", "result"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("silta_provider_seconds", "Time of a request to a provider, retries included")
                    .buckets(vec![0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
                &["provider", "operation"],
            )?,
            retries: IntCounterVec::new(
                Opts::new("silta_provider_retries_total", "Attempts after the first"),
                &["provider"],
            )?,
            in_flight: gauge("silta_provider_in_flight", "Requests under way")?,
            waiting: gauge("silta_provider_waiting", "Requests waiting for their turn")?,
            breaker: gauge("silta_provider_breaker", "Circuit breaker: 0 closed, 1 half-open, 2 open")?,
        };
        registry.register(Box::new(made.requests.clone()))?;
        registry.register(Box::new(made.seconds.clone()))?;
        registry.register(Box::new(made.retries.clone()))?;
        for one in [&made.in_flight, &made.waiting, &made.breaker] {
            registry.register(Box::new(one.clone()))?;
        }
        Ok(made)
    }

    /// The handles of one provider.
    #[must_use]
    pub fn of(&self, provider: &str) -> Handles {
        let counters = |operation: Operation| {
            let counter = |result| self.requests.with_label_values(&[provider, operation.name(), result]);
            AdapterError::LABELS.into_iter().map(|result| (result, counter(result))).collect()
        };
        let seconds = |operation: Operation| self.seconds.with_label_values(&[provider, operation.name()]);
        Handles {
            read: (counters(Operation::Read), seconds(Operation::Read)),
            search: (counters(Operation::Search), seconds(Operation::Search)),
            submit: (counters(Operation::Submit), seconds(Operation::Submit)),
            retries: self.retries.with_label_values(&[provider]),
            in_flight: self.in_flight.with_label_values(&[provider]),
            waiting: self.waiting.with_label_values(&[provider]),
            breaker: self.breaker.with_label_values(&[provider]),
        }
    }
}

fn gauge(name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), &["provider"])
}

type Counted = (BTreeMap<&'static str, IntCounter>, Histogram);

/// One provider's metrics.
#[derive(Debug, Clone)]
pub struct Handles {
    read: Counted,
    search: Counted,
    submit: Counted,
    pub(super) retries: IntCounter,
    pub(super) in_flight: IntGauge,
    pub(super) waiting: IntGauge,
    breaker: IntGauge,
}

impl Handles {
    pub(super) fn count(&self, operation: Operation, error: Option<&AdapterError>) {
        if let Some(counter) = self.counted(operation).0.get(error.map_or("ok", AdapterError::label)) {
            counter.inc();
        }
    }

    pub(super) fn seconds(&self, operation: Operation) -> &Histogram {
        &self.counted(operation).1
    }

    pub(super) fn breaker(&self, state: State) {
        self.breaker.set(match state {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        });
    }

    fn counted(&self, operation: Operation) -> &Counted {
        match operation {
            Operation::Read => &self.read,
            Operation::Search => &self.search,
            Operation::Submit => &self.submit,
        }
    }
}
