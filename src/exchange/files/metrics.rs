//! What the collectors count.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The counters of all collectors; made once a process.
#[derive(Debug, Clone)]
pub struct Metrics {
    files: IntCounterVec,
    waiting: IntGaugeVec,
    strange: IntGaugeVec,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When a metric of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &["provider"]);
        let files = Opts::new("silta_files_total", "Collected files, by what became of them");
        let made = Self {
            files: IntCounterVec::new(files, &["provider", "result"])?,
            waiting: gauge("silta_files_waiting", "Files in the folder that are still to be taken")?,
            strange: gauge("silta_files_strange", "Files in the folder whose names fit no pattern")?,
        };
        registry.register(Box::new(made.files.clone()))?;
        registry.register(Box::new(made.waiting.clone()))?;
        registry.register(Box::new(made.strange.clone()))?;
        Ok(made)
    }

    pub(super) fn of(&self, provider: &str) -> Handles {
        let result = |result| self.files.with_label_values(&[provider, result]);
        Handles {
            taken: result("taken"),
            taken_in_part: result("taken_in_part"),
            refused: result("refused"),
            too_large: result("too_large"),
            later: result("later"),
            failed: result("failed"),
            waiting: self.waiting.with_label_values(&[provider]),
            strange: self.strange.with_label_values(&[provider]),
        }
    }
}

/// One collector's handles.
#[derive(Debug)]
pub(super) struct Handles {
    pub(super) taken: IntCounter,
    pub(super) taken_in_part: IntCounter,
    pub(super) refused: IntCounter,
    pub(super) too_large: IntCounter,
    pub(super) later: IntCounter,
    pub(super) failed: IntCounter,
    pub(super) waiting: IntGauge,
    pub(super) strange: IntGauge,
}
