//! What the listeners count.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The counters of all MLLP listeners; made once a process.
#[derive(Debug, Clone)]
pub struct Metrics {
    connections: IntGaugeVec,
    turned_away: IntCounterVec,
    messages: IntCounterVec,
    broken: IntCounterVec,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When a metric of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let connections =
            IntGaugeVec::new(Opts::new("silta_mllp_connections", "Open MLLP connections"), &["provider"])?;
        registry.register(Box::new(connections.clone()))?;
        Ok(Self {
            connections,
            turned_away: counter(
                "silta_mllp_turned_away_total",
                "MLLP connections closed before a message, by reason",
                &["provider", "reason"],
            )?,
            messages: counter("silta_mllp_messages_total", "MLLP messages handled", &["provider"])?,
            broken: counter("silta_mllp_broken_total", "MLLP framing errors, by kind", &["provider", "kind"])?,
        })
    }

    pub(super) fn of(&self, provider: &str) -> Handles {
        let turned = |reason| self.turned_away.with_label_values(&[provider, reason]);
        let broken = |kind| self.broken.with_label_values(&[provider, kind]);
        Handles {
            connections: self.connections.with_label_values(&[provider]),
            full: turned("full"),
            handshake: turned("handshake"),
            certificate: turned("certificate"),
            messages: self.messages.with_label_values(&[provider]),
            stray: broken("stray"),
            start_inside: broken("start_inside"),
            broken_end: broken("broken_end"),
            too_large: broken("too_large"),
            truncated: broken("truncated"),
        }
    }
}

/// One listener's handles.
#[derive(Debug)]
pub(super) struct Handles {
    pub(super) connections: IntGauge,
    pub(super) full: IntCounter,
    pub(super) handshake: IntCounter,
    pub(super) certificate: IntCounter,
    pub(super) messages: IntCounter,
    stray: IntCounter,
    start_inside: IntCounter,
    broken_end: IntCounter,
    too_large: IntCounter,
    truncated: IntCounter,
}

impl Handles {
    pub(super) fn broken(&self, error: &super::BrokenFrame) -> &IntCounter {
        use super::BrokenFrame as B;
        match error {
            B::Stray { .. } => &self.stray,
            B::StartInside { .. } => &self.start_inside,
            B::BrokenEnd { .. } => &self.broken_end,
            B::TooLarge { .. } => &self.too_large,
            B::Truncated { .. } => &self.truncated,
        }
    }
}
