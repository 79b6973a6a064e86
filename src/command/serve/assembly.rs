//! From a configuration to a gateway that runs. What belongs together is made here and nowhere else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reload::Reloads;
use crate::access::audit::{Audit, ToLog};
use crate::access::callers::Callers;
use crate::access::tls::Tls;
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::gateway::admin::{Admin, Readiness};
use crate::gateway::listener::{PROTOCOLS, Stopped};
use crate::gateway::outcome::Refusal;
use crate::gateway::request::Request;
use crate::gateway::respond::Response;
use crate::gateway::service::{BoxFuture, Interactions, ListOnly, Offers, Policy};
use crate::gateway::settings::Settings;
use crate::gateway::{Gateway, Parts, StartError};
use crate::telemetry::metrics::{MetricError, Metrics};

/// Why a gateway cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// Something that the configuration says, or a file that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The interface's port.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The administrators' port.
    #[error("cannot listen on {address} for administrators: {error}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// A metric.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// There are no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The address that was bound cannot be told.
    #[error("the bound address cannot be told: {0}")]
    Address(io::Error),
}

/// Everything that a gateway is made of, before it starts.
pub struct Assembly {
    loaded: Loaded,
    clock: Clock,
    metrics: Metrics,
    readiness: Readiness,
    behind: Behind,
}

/// What stands behind the interface.
struct Behind {
    interactions: Arc<dyn Interactions>,
    policy: Arc<dyn Policy>,
    audit: Arc<dyn Audit>,
}

/// A gateway that runs.
pub struct Running {
    /// Where its interface listens.
    pub address: SocketAddr,
    /// Where the administrators' port listens, if there is one.
    pub admin: Option<SocketAddr>,
    pub(super) reloads: Arc<Reloads>,
    stop: watch::Sender<bool>,
    stopping: Arc<AtomicBool>,
    serving: JoinHandle<Stopped>,
    administering: Option<JoinHandle<()>>,
    stop_admin: watch::Sender<bool>,
}

impl Assembly {
    /// Puts a gateway together; nothing listens yet.
    ///
    /// # Errors
    /// What the configuration says that cannot be.
    pub fn new(loaded: Loaded, clock: Clock) -> Result<Self, AssemblyError> {
        let metrics = Metrics::new()?;
        let readiness = Readiness::default();
        let behind = behind();
        Ok(Self { loaded, clock, metrics, readiness, behind })
    }

    /// Binds the ports and serves.
    ///
    /// # Errors
    /// A port that cannot be bound, a certificate that cannot be used.
    pub async fn start(self) -> Result<Running, AssemblyError> {
        let Self { loaded, clock, metrics, readiness, behind } = self;
        let mut random = [0; 6];
        getrandom::fill(&mut random).map_err(AssemblyError::Random)?;
        let settings = settings(&loaded, &clock)?;
        let gateway = Gateway::bind(Parts {
            settings,
            interactions: behind.interactions,
            policy: behind.policy,
            audit: behind.audit,
            metrics: metrics.clone(),
            clock: clock.clone(),
            random,
        })
        .await?;
        let address = gateway.address().map_err(AssemblyError::Address)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopping);
        readiness.check("accepting", move || match flag.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err("stopping".to_owned()),
        });
        let (stop_admin, admin_stop) = watch::channel(false);
        let admin = match &loaded.config.admin {
            config if config.enabled => {
                let bound = Admin::bind(config, metrics, readiness).await;
                Some(bound.map_err(|error| AssemblyError::Admin { address: config.listen, error })?)
            }
            _ => None,
        };
        let admin_address = admin.as_ref().map(Admin::address).transpose().map_err(AssemblyError::Address)?;
        let (stop, stopped) = watch::channel(false);
        let reloads = Arc::new(Reloads::new(loaded, gateway.control(), clock));
        Ok(Running {
            address,
            admin: admin_address,
            reloads,
            stop,
            stopping,
            serving: tokio::spawn(gateway.run(told(stopped))),
            administering: admin.map(|admin| tokio::spawn(admin.run(told(admin_stop)))),
            stop_admin,
        })
    }
}

impl Running {
    /// Stops taking work, finishes what is in flight, and ends. Metrics and health are told to the last.
    pub async fn stop(self) -> Stopped {
        self.stopping.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        let stopped = self.serving.await.unwrap_or(Stopped { cut: 0 });
        self.stop_admin.send_replace(true);
        if let Some(administering) = self.administering {
            let _ = administering.await;
        }
        stopped
    }
}

/// Waits until it is said, or until who could say it is gone.
async fn told(mut said: watch::Receiver<bool>) {
    let _ = said.wait_for(|said| *said).await;
}

/// What the interface serves by: certificates are read or made here.
pub(super) fn settings(loaded: &Loaded, clock: &Clock) -> Result<Settings, ConfigError> {
    let config = &loaded.config;
    let callers = Callers::new(&config.access).map_err(|error| loaded.wrong(&error.key(), &error))?;
    let tls = Tls::new(&config.tls, &loaded.base, &loaded.state(), &PROTOCOLS, clock)
        .map_err(|error| loaded.wrong(&error.key(), &error))?;
    Settings::new(config.server.clone(), callers, tls, clock.now()).map_err(|error| loaded.wrong(&error.key(), &error))
}

/// Checks everything that starting would, and makes nothing.
pub(super) fn check(loaded: &Loaded, clock: &Clock) -> Result<(), ConfigError> {
    let is_development = loaded.config.tls.certificate.is_none() && loaded.config.tls.key.is_none();
    if is_development && !loaded.state().join("ca.pem").exists() {
        return Ok(());
    }
    settings(loaded, clock).map(drop)
}

fn behind() -> Behind {
    Behind { interactions: Arc::new(Nothing::default()), policy: Arc::new(ListOnly), audit: Arc::new(ToLog) }
}

/// An interface that offers nothing but to say so.
#[derive(Default)]
struct Nothing(Offers);

impl Interactions for Nothing {
    fn offers(&self) -> &Offers {
        &self.0
    }

    fn handle<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Response, Refusal>> {
        let text = format!("{} is not offered", request.interaction.action());
        Box::pin(std::future::ready(Err(Refusal::new(silta_engine::fault::Fault::MethodNotSupported, text))))
    }
}
