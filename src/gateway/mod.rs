//! The FHIR interface: listener, interactions, federation, cache, answers.
//!
//! A connection comes through [`listener`] (TLS, limits, stopping), a request lives through `life`, phase by phase: who
//! calls, what is asked, whether that is permitted and offered, then the interactions behind [`service::Interactions`], then
//! [`respond`], the audit and the measurement. What the interactions get and give is in [`request`], [`respond`] and
//! [`outcome`]. [`admin`] is another port, for those who run the program.

pub mod admin;
mod base;
pub mod bridge;
pub mod cache;
pub mod config;
pub mod federation;
mod framing;
pub mod interaction;
mod life;
pub mod listener;
mod metadata;
mod metrics;
pub mod outcome;
mod parse;
mod permission;
mod preconditions;
pub mod queue;
pub mod request;
pub mod respond;
pub mod service;
pub mod settings;
mod strangers;
pub mod webhook;
mod xml;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::life::{InFlight, Life, RequestIds};
use self::listener::Stopped;
use self::metrics::GatewayMetrics;
use self::service::{Interactions, Policy};
use self::settings::Settings;
use self::strangers::Strangers;
use crate::access::audit::Audit;
use crate::clock::Clock;
use crate::telemetry::metrics::{MetricError, Metrics};

/// What an interface is put together from.
pub struct Parts {
    /// Limits, callers and certificates.
    pub settings: Settings,
    /// What it offers and does.
    pub interactions: Arc<dyn Interactions>,
    /// What depends on who asks.
    pub policy: Arc<dyn Policy>,
    /// What takes documents that providers post; none: nothing is taken so.
    pub hooks: Option<Arc<dyn webhook::Hooks>>,
    /// Where disclosures and refusals are written down.
    pub audit: Arc<dyn Audit>,
    /// Where it is measured.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Clock,
    /// Random bytes, which requests' ids begin with.
    pub random: [u8; 6],
}

/// The interface, its port bound and not accepting yet.
pub struct Gateway {
    listener: TcpListener,
    life: Arc<Life>,
}

/// Why an interface cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// A metric has the name of another.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

impl Gateway {
    /// Binds the port.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(parts: Parts) -> Result<Self, StartError> {
        let address = parts.settings.config.listen;
        let listener = listener::bind(&parts.settings).await.map_err(|error| StartError::Bind { address, error })?;
        let memory = (parts.settings.config.bodies_bytes >> 10).clamp(64, Semaphore::MAX_PERMITS);
        let life = Arc::new(Life {
            settings: Arc::new(ArcSwap::from_pointee(parts.settings)),
            interactions: parts.interactions,
            policy: parts.policy,
            hooks: parts.hooks,
            audit: parts.audit,
            metrics: Arc::new(GatewayMetrics::new(&parts.metrics)?),
            clock: parts.clock,
            ids: RequestIds::new(parts.random),
            memory: Arc::new(Semaphore::new(memory)),
            running: InFlight::new(),
            strangers: Strangers::default(),
        });
        Ok(Self { listener, life })
    }

    /// The address that it is bound to: with the port that was taken, where any was asked for.
    ///
    /// # Errors
    /// The operating system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What exchanges its settings while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.life))
    }

    /// Serves until `stop`, then takes no more connections and requests, finishes those in flight and ends; what has not
    /// ended in the time configured for that is cut.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Stopped {
        listener::run(self.listener, self.life, stop).await
    }
}

/// Exchanges the settings of an interface that runs.
#[derive(Clone)]
pub struct Control(Arc<Life>);

impl Control {
    /// Uses these settings from the next request on; the address and the memory for bodies stay as they are. Connections
    /// stay; certificates that callers showed on them are verified by the new settings.
    pub fn replace(&self, mut settings: Settings) {
        settings.generation = self.0.settings.load().generation.wrapping_add(1);
        self.0.settings.store(Arc::new(settings));
    }

    /// Counts a reload that was tried.
    pub fn count_reload(&self, taken: bool) {
        self.0.metrics.reloads.with_label_values(&[if taken { "taken" } else { "refused" }]).inc();
    }
}
