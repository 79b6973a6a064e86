//! Metrics in Prometheus' text format. Names begin with `silta_`; labels have few values, and never a person's.

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Buckets for what takes from a fraction of a millisecond to half a minute, in seconds.
pub const TIMES: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];

/// Buckets for sizes from 256 bytes to 16 MiB.
pub const SIZES: [f64; 9] =
    [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// All metrics of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Registry);

/// A metric was registered twice or has a name or label that is none. A fault of this program, met at start.
#[derive(Debug, thiserror::Error)]
#[error("a metric cannot be registered: {0}")]
pub struct MetricError(#[from] prometheus::Error);

impl Metrics {
    /// No metrics yet but the version of this program.
    ///
    /// # Errors
    /// Never, as the names are right.
    pub fn new() -> Result<Self, MetricError> {
        let metrics = Self::default();
        let build = metrics.gauges("silta_build_info", "The version of this program, always 1", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(metrics)
    }

    /// A counter.
    ///
    /// # Errors
    /// When the name is taken or wrong; so for all of these.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricError> {
        self.keep(IntCounter::new(name, help)?)
    }

    /// A counter for each combination of label values.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricError> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricError> {
        self.keep(IntGauge::new(name, help)?)
    }

    /// A gauge for each combination of label values.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricError> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A histogram with these buckets, [`TIMES`] or [`SIZES`].
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, MetricError> {
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    /// A histogram with these buckets for each combination of label values.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, MetricError> {
        self.keep(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }

    /// A collector of another kind.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn keep<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, MetricError> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    /// Where modules that make their own collectors register them.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.0
    }

    /// Everything in the text format.
    ///
    /// # Errors
    /// When a collector gives what cannot be written.
    pub fn text(&self) -> Result<Vec<u8>, MetricError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.gather(), &mut text)?;
        Ok(text)
    }
}
