//! What is counted at the interface. Handles are resolved at start.

use std::time::Duration;

use hyper::StatusCode;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use silta_engine::fault::Fault;

use crate::access::interaction::Action;
use crate::telemetry::metrics::{MetricError, Metrics, SIZES, TIMES};

/// Classes of status codes.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters and histograms of the interface.
pub(super) struct GatewayMetrics {
    durations: Vec<(Option<Action>, [Histogram; 5])>,
    refusals: Vec<(Fault, IntCounter)>,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
    pub(super) in_flight: IntGauge,
    pub(super) abandoned: IntCounter,
    pub(super) connections: IntGauge,
    pub(super) handshakes_failed: IntCounter,
    pub(super) panics: IntCounter,
    pub(super) audit_failed: IntCounter,
    pub(super) reloads: IntCounterVec,
}

impl GatewayMetrics {
    pub(super) fn new(metrics: &Metrics) -> Result<Self, MetricError> {
        let durations = metrics.histograms(
            "silta_request_duration_seconds",
            "From a request's head to its answer, by interaction and class of status",
            &["interaction", "status"],
            &TIMES,
        )?;
        let refusals = metrics.counters(
            "silta_refusals_total",
            "Requests refused, by fault and issue code",
            &["fault", "code"],
        )?;
        let resolved = std::iter::once(None).chain(Action::ALL.into_iter().map(Some)).map(|action| {
            let word = action.map_or("unknown", Action::word);
            (action, CLASSES.map(|class| durations.with_label_values(&[word, class])))
        });
        Ok(Self {
            durations: resolved.collect(),
            refusals: Fault::ALL
                .into_iter()
                .map(|fault| (fault, refusals.with_label_values(&[&format!("{fault:?}"), fault.issue_code()])))
                .collect(),
            request_bytes: metrics.histogram("silta_request_body_bytes", "Size of requests' bodies", &SIZES)?,
            response_bytes: metrics.histogram("silta_response_body_bytes", "Size of answers' bodies", &SIZES)?,
            in_flight: metrics.gauge("silta_requests_in_flight", "Requests being worked on")?,
            abandoned: metrics
                .counter("silta_requests_abandoned_total", "Requests whose caller had gone before the answer")?,
            connections: metrics.gauge("silta_connections", "Open connections of callers")?,
            handshakes_failed: metrics
                .counter("silta_tls_handshakes_failed_total", "Connections that ended before the handshake was done")?,
            panics: metrics.counter("silta_panics_total", "Faults of this program that a request met")?,
            audit_failed: metrics.counter("silta_audit_failures_total", "Audit entries that could not be written")?,
            reloads: metrics.counters(
                "silta_reloads_total",
                "Reloads of configuration and certificates, by result",
                &["result"],
            )?,
        })
    }

    pub(super) fn answered(&self, action: Option<Action>, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let row = self.durations.iter().find(|(of, _)| *of == action);
        if let Some(histogram) = row.and_then(|(_, classes)| classes.get(class)) {
            histogram.observe(took.as_secs_f64());
        }
    }

    pub(super) fn refused(&self, fault: Fault) {
        if let Some((_, counter)) = self.refusals.iter().find(|(of, _)| *of == fault) {
            counter.inc();
        }
    }
}
