//! Log lines: text or JSON on standard error, written by a thread of its own.
//!
//! Nothing of a patient stands in them: no URLs with queries, no bodies. Lines about a request stand in its span and bear
//! its id.

use std::io::IsTerminal;
use std::panic;

use prometheus::IntCounter;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use serde::Deserialize;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::metrics::{MetricError, Metrics};

/// `[log]`: what is logged and how. Read at start only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `text` or `json`, one line an event.
    pub format: Format,
    /// The least important events that are logged: `error`, `warn`, `info`, `debug` or `trace`; by module where wanted, as
    /// in `info,silta::provider=debug`.
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".to_owned() }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level cannot be read.
    #[error("{0}")]
    Level(String),
    /// Something else in this process logs already.
    #[error("logging was started before")]
    Twice,
}

/// Keeps the writing thread; dropping it writes what is left.
pub struct Logs {
    dropped: ErrorCounter,
    _worker: WorkerGuard,
}

impl Logs {
    /// Counts the lines that were dropped since the writer could not keep up.
    ///
    /// # Errors
    /// When the metric's name is taken.
    pub fn measure(&self, metrics: &Metrics) -> Result<(), MetricError> {
        let name = "silta_log_lines_dropped_total";
        let counter =
            IntCounter::new(name, "Log lines that the writer could not keep up with").map_err(MetricError::from)?;
        metrics.keep(Dropped { counter, lines: self.dropped.clone() }).map(drop)
    }
}

/// The writer's own count, read when metrics are.
#[derive(Clone)]
struct Dropped {
    counter: IntCounter,
    lines: ErrorCounter,
}

impl Collector for Dropped {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.counter.reset();
        self.counter.inc_by(self.lines.dropped_lines() as u64);
        self.counter.collect()
    }
}

impl Config {
    /// Checks what the types do not say.
    ///
    /// # Errors
    /// When the level cannot be read.
    pub fn check(&self) -> Result<(), LogError> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<EnvFilter, LogError> {
        EnvFilter::builder().parse(&self.level).map_err(|error| LogError::Level(error.to_string()))
    }
}

/// Starts logging for the whole process, and makes a panic a log line that says where, never with what.
///
/// # Errors
/// When the level cannot be read or logging was started before.
pub fn start(config: &Config) -> Result<Logs, LogError> {
    let (writer, worker) = NonBlockingBuilder::default().thread_name("log").finish(std::io::stderr());
    let dropped = writer.error_counter();
    subscriber(config, writer, std::io::stderr().is_terminal())?.try_init().map_err(|_| LogError::Twice)?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%place, "a fault of this program was met and contained");
    }));
    Ok(Logs { dropped, _worker: worker })
}

/// What turns events into lines, for [`start`] and for tests that read them.
///
/// # Errors
/// When the level cannot be read.
pub fn subscriber<W>(
    config: &Config,
    writer: W,
    colours: bool,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(config.filter()?).with_writer(writer).with_target(true);
    Ok(match config.format {
        Format::Text => Box::new(builder.with_ansi(colours).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).with_span_list(false).finish()),
    })
}
