//! The ways in beside the interface: listeners for messages and collected folders, as they are configured now.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::clock::{Clock, Instant};
use crate::config::{Config, ConfigError, Loaded};
use crate::exchange::{Current, Exchange, MessageHandler, TableHandler, files, mllp};
use crate::provider::SetupError;
use crate::telemetry::metrics::{MetricError, Metrics};

/// What is open.
pub(super) struct Doors {
    listeners: Vec<Listener>,
    collectors: Vec<(files::Config, files::Running)>,
    /// How many listeners were opened.
    opened: u64,
    metrics: (mllp::Metrics, files::Metrics),
    exchange: Current,
    clock: Clock,
}

struct Listener {
    number: u64,
    config: mllp::Config,
    running: mllp::Running,
}

/// What is to be open, checked and bound: nothing of it can fail any more.
pub(super) struct Plan {
    listeners: Vec<(mllp::Config, Listening)>,
    collectors: Vec<(files::Config, Option<files::Collector>)>,
}

enum Listening {
    /// The one of this number stays, with these certificates.
    Stays(u64, mllp::Certificates),
    /// A new one.
    New(Box<mllp::Listener>),
}

impl Doors {
    /// None open yet.
    ///
    /// # Errors
    /// When a metric of the name is there already.
    pub(super) fn new(exchange: Current, clock: Clock, metrics: &Metrics) -> Result<Self, MetricError> {
        let metrics = (mllp::Metrics::register(metrics.registry())?, files::Metrics::register(metrics.registry())?);
        Ok(Self { listeners: Vec::new(), collectors: Vec::new(), opened: 0, metrics, exchange, clock })
    }

    /// Where messages are taken, in the order of the configuration.
    pub(super) fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.listeners.iter().map(|open| open.running.address()).collect()
    }

    /// Checks and binds what a configuration opens that is not open; `exchange` is the one that it will be served by.
    ///
    /// # Errors
    /// A provider that is not configured, an address that cannot be bound, a file that cannot be used.
    pub(super) async fn plan(&self, loaded: &Loaded, exchange: &Exchange) -> Result<Plan, ConfigError> {
        let mut plan = Plan { listeners: Vec::new(), collectors: Vec::new() };
        let mut free: Vec<&Listener> = self.listeners.iter().collect();
        for (number, config) in loaded.config.mllp.iter().enumerate() {
            let listening = self.listening(config, &mut free, loaded, exchange).await;
            let listening = listening.map_err(|error| located(loaded, &format!("mllp.{number}"), error))?;
            plan.listeners.push((config.clone(), listening));
        }
        for (number, config) in loaded.config.collect.iter().enumerate() {
            let collector = self.collecting(config, &loaded.base, exchange);
            let collector = collector.map_err(|error| located(loaded, &format!("collect.{number}"), error))?;
            plan.collectors.push((config.clone(), collector));
        }
        Ok(plan)
    }

    async fn listening(
        &self,
        config: &mllp::Config,
        free: &mut Vec<&Listener>,
        loaded: &Loaded,
        exchange: &Exchange,
    ) -> Result<Listening, SetupError> {
        known(exchange, &config.provider)?;
        // Port 0 is another port each time, so that such a listener is known by its provider alone.
        let same_address = |open: &mllp::Config| {
            open.listen == config.listen && (config.listen.port() != 0 || open.provider == config.provider)
        };
        let Some(place) = free.iter().position(|open| same_address(&open.config)) else {
            let bound = mllp::Listener::bind(config.clone(), &loaded.base, self.clock.clone(), &self.metrics.0).await?;
            return Ok(Listening::New(Box::new(bound)));
        };
        let open = free.swap_remove(place);
        let bare = |config: &mllp::Config| mllp::Config { tls: None, ..config.clone() };
        if bare(&open.config) == bare(config) && open.config.tls.is_some() == config.tls.is_some() {
            return Ok(Listening::Stays(open.number, open.running.reload().read(config, &loaded.base)?));
        }
        match mllp::Listener::after(&open.running, config.clone(), &loaded.base, &self.metrics.0)? {
            Some(listener) => Ok(Listening::New(Box::new(listener))),
            None => Err(SetupError::new("listen", "the listener is being closed")),
        }
    }

    fn collecting(
        &self,
        config: &files::Config,
        base: &Path,
        exchange: &Exchange,
    ) -> Result<Option<files::Collector>, SetupError> {
        known(exchange, &config.provider)?;
        if self.collectors.iter().any(|(open, _)| open == config) {
            return Ok(None);
        }
        files::Collector::open(config.clone(), base, self.clock.clone(), &self.metrics.1).map(Some)
    }

    /// Closes what a plan has no more, each when it has finished what it has whole.
    pub(super) async fn close(&mut self, plan: &Plan, deadline: Instant) {
        let stays = |open: &Listener| plan.listeners.iter().any(|(_, one)| one.stays() == Some(open.number));
        let gone = self.listeners.extract_if(.., |open| !stays(open));
        let listeners: Vec<_> = gone.map(|open| open.running.drain(deadline)).collect();
        let is_gone = |open: &files::Config| !plan.collectors.iter().any(|(config, _)| config == open);
        let gone = self.collectors.extract_if(.., |(open, _)| is_gone(open));
        let collectors: Vec<_> = gone.map(|(_, running)| running.drain(deadline)).collect();
        let (listeners, collectors) = futures_util::future::join(join_all(listeners), join_all(collectors)).await;
        let cut = listeners.iter().filter(|ended| ended.is_err()).count()
            + collectors.iter().filter(|ended| ended.is_err()).count();
        if cut > 0 {
            tracing::warn!(cut, "listeners or folders were not finished in time; what they had at hand comes again");
        }
    }

    /// Opens what a plan has; [`Doors::close`] has closed the rest.
    pub(super) fn open(&mut self, plan: Plan) {
        let mut open = std::mem::take(&mut self.listeners);
        let handler: Arc<dyn mllp::Handler> = Arc::new(MessageHandler::new(self.exchange.clone()));
        for (config, listening) in plan.listeners {
            match listening {
                Listening::Stays(number, certificates) => {
                    if let Some(kept) = open.iter().position(|open| open.number == number) {
                        let Listener { running, .. } = open.swap_remove(kept);
                        running.reload().certificates(certificates);
                        self.listeners.push(Listener { number, config, running });
                    }
                }
                Listening::New(listener) => {
                    self.opened += 1;
                    let running = listener.start(Arc::clone(&handler));
                    self.listeners.push(Listener { number: self.opened, config, running });
                }
            }
        }
        let handler: Arc<dyn files::Handler> = Arc::new(TableHandler::new(self.exchange.clone()));
        let mut open = std::mem::take(&mut self.collectors);
        for (config, collector) in plan.collectors {
            match collector {
                Some(collector) => self.collectors.push((config, collector.start(Arc::clone(&handler)))),
                None => {
                    let kept = open.iter().position(|(open, _)| *open == config);
                    self.collectors.extend(kept.map(|kept| open.swap_remove(kept)));
                }
            }
        }
    }

    /// Closes everything, each when it has finished what it has whole. Gives how many were cut at the deadline.
    pub(super) async fn drain(&mut self, deadline: Instant) -> usize {
        let listeners = std::mem::take(&mut self.listeners).into_iter().map(|open| open.running.drain(deadline));
        let collectors = std::mem::take(&mut self.collectors).into_iter().map(|(_, running)| running.drain(deadline));
        let (listeners, collectors) = futures_util::future::join(join_all(listeners), join_all(collectors)).await;
        if collectors.iter().any(Result::is_err) {
            tracing::warn!("a collected file was cut short; it is taken again at the next start");
        }
        listeners.iter().filter(|ended| ended.is_err()).count()
    }
}

impl Listening {
    const fn stays(&self) -> Option<u64> {
        match self {
            Self::Stays(place, _) => Some(*place),
            Self::New(_) => None,
        }
    }
}

fn located(loaded: &Loaded, under: &str, error: SetupError) -> ConfigError {
    let error = error.under(under);
    loaded.wrong(&error.key, &error.what)
}

/// Whether everything that comes in is from a provider that is configured.
///
/// # Errors
/// The first that is not.
pub(super) fn check(loaded: &Loaded, is_known: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
    let Config { mllp, collect, .. } = &loaded.config;
    let senders = mllp.iter().enumerate().map(|(number, one)| (format!("mllp.{number}"), &one.provider));
    let folders = collect.iter().enumerate().map(|(number, one)| (format!("collect.{number}"), &one.provider));
    for (under, provider) in senders.chain(folders) {
        if !is_known(provider) {
            return Err(located(loaded, &under, unknown(provider)));
        }
    }
    Ok(())
}

fn known(exchange: &Exchange, provider: &str) -> Result<(), SetupError> {
    if exchange.partner(provider).is_some() { Ok(()) } else { Err(unknown(provider)) }
}

fn unknown(provider: &str) -> SetupError {
    SetupError::new("provider", format!("there is no [providers.{provider}]"))
}
