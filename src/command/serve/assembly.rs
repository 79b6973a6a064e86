//! From a configuration to a gateway that runs. What belongs together is made here and nowhere else: from the bottom up, the
//! store, the providers, what stands behind the interface, the interface and the other ports.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reload::Reloads;
use super::vitals;
use crate::access::audit::{Audit, ToStore};
use crate::access::callers::Callers;
use crate::access::tls::Tls;
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::exchange::mllp;
use crate::gateway::admin::{Admin, Readiness};
use crate::gateway::listener::{PROTOCOLS, Stopped};
use crate::gateway::outcome::Refusal;
use crate::gateway::request::Request;
use crate::gateway::respond::Response;
use crate::gateway::service::{BoxFuture, Interactions, ListOnly, Offers, Policy};
use crate::gateway::settings::Settings;
use crate::gateway::{Gateway, Parts, StartError};
use crate::provider::{self, Registry, Setup, SetupError};
use crate::store::{Health, NoFaults, Store, StoreError};
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
    /// The store.
    #[error("{}: the store cannot be opened: {error}", folder.display())]
    Store {
        /// Its folder.
        folder: std::path::PathBuf,
        /// What is wrong.
        error: StoreError,
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
    store: Store,
    behind: Behind,
}

/// What stands behind the ports.
struct Behind {
    interactions: Arc<dyn Interactions>,
    policy: Arc<dyn Policy>,
    audit: Arc<dyn Audit>,
    /// What takes HL7 v2 messages.
    messages: Option<Arc<dyn mllp::Handler>>,
}

/// A gateway that runs.
pub struct Running {
    /// Where its interface listens.
    pub address: SocketAddr,
    /// Where the administrators' port listens, if there is one.
    pub admin: Option<SocketAddr>,
    /// Where HL7 v2 messages are taken, in the order of the configuration.
    pub mllp: Vec<SocketAddr>,
    pub(super) reloads: Arc<Reloads>,
    clock: Clock,
    store: Store,
    stop_time: std::time::Duration,
    stopping: Arc<AtomicBool>,
    serving: Task<Stopped>,
    administering: Option<Task<()>>,
    listening: Vec<mllp::Running>,
    vitals: JoinHandle<()>,
}

/// A task, and the word that ends it.
struct Task<T> {
    stop: watch::Sender<bool>,
    task: JoinHandle<T>,
}

impl Assembly {
    /// Puts a gateway together; nothing listens yet. Waits for the disk.
    ///
    /// # Errors
    /// What the configuration says that cannot be, and a store that cannot be opened.
    pub fn new(loaded: Loaded, clock: Clock) -> Result<Self, AssemblyError> {
        let metrics = Metrics::new()?;
        let readiness = Readiness::default();
        let store = open_store(&loaded, &clock)?;
        let watched = store.clone();
        readiness.check("store", move || match watched.health() {
            // A full store still gives out what it has, and refuses changes itself.
            Health::Open | Health::Full => Ok(()),
            Health::Closed => Err("closed".to_owned()),
        });
        let providers = providers(&loaded, &clock, &metrics)?;
        let behind = behind(&store, &providers);
        Ok(Self { loaded, clock, metrics, readiness, store, behind })
    }

    /// Everything that is measured.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Binds the ports and serves.
    ///
    /// # Errors
    /// A port that cannot be bound, a certificate that cannot be used.
    pub async fn start(self) -> Result<Running, AssemblyError> {
        let Self { loaded, clock, metrics, readiness, store, behind } = self;
        let vitals = vitals::watch(store.clone(), &metrics, clock.clone())?;
        let gateway = Gateway::bind(Parts {
            settings: settings(&loaded, &clock)?,
            interactions: behind.interactions,
            policy: behind.policy,
            audit: behind.audit,
            metrics: metrics.clone(),
            clock: clock.clone(),
            random: random()?,
        })
        .await?;
        let listening = listen(&loaded, behind.messages.as_ref(), &clock, &metrics).await?;
        let stopping = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopping);
        readiness.check("accepting", move || match flag.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err("stopping".to_owned()),
        });
        let admin = match &loaded.config.admin {
            config if config.enabled => {
                let bound = Admin::bind(config, metrics, readiness).await;
                Some(bound.map_err(|error| AssemblyError::Admin { address: config.listen, error })?)
            }
            _ => None,
        };
        let stop_time = loaded.config.server.stop_time;
        let certificates = listening.iter().map(mllp::Running::reload).collect();
        Ok(Running {
            address: gateway.address().map_err(AssemblyError::Address)?,
            admin: admin.as_ref().map(Admin::address).transpose().map_err(AssemblyError::Address)?,
            mllp: listening.iter().map(mllp::Running::address).collect(),
            reloads: Arc::new(Reloads::new(loaded, gateway.control(), certificates, clock.clone())),
            clock,
            store,
            stop_time,
            stopping,
            serving: Task::start(|stop| gateway.run(stop)),
            administering: admin.map(|admin| Task::start(|stop| admin.run(stop))),
            listening,
            vitals: tokio::spawn(vitals),
        })
    }
}

impl Running {
    /// Stops taking work, finishes what is in flight, and ends. Metrics and health are told to the last.
    pub async fn stop(self) -> Stopped {
        self.stopping.store(true, Ordering::Relaxed);
        let deadline = self.clock.instant().after(self.stop_time);
        let draining: Vec<JoinHandle<_>> =
            self.listening.into_iter().map(|listener| tokio::spawn(listener.drain(deadline))).collect();
        let mut stopped = self.serving.stop().await.unwrap_or(Stopped { cut: 0 });
        for drained in draining {
            if !matches!(drained.await, Ok(Ok(()))) {
                stopped.cut = stopped.cut.saturating_add(1);
            }
        }
        self.store.close().await;
        self.vitals.abort();
        if let Some(administering) = self.administering {
            administering.stop().await;
        }
        stopped
    }
}

impl<T: Send + 'static> Task<T> {
    fn start<F>(work: impl FnOnce(Told) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (stop, mut said) = watch::channel(false);
        let told: Told = Box::pin(async move {
            let _ = said.wait_for(|said| *said).await;
        });
        Self { stop, task: tokio::spawn(work(told)) }
    }

    async fn stop(self) -> Option<T> {
        self.stop.send_replace(true);
        self.task.await.ok()
    }
}

/// Ready when it is said, or when who could say it is gone.
type Told = BoxFuture<'static, ()>;

/// What the interface serves by: certificates are read or made here.
pub(super) fn settings(loaded: &Loaded, clock: &Clock) -> Result<Settings, ConfigError> {
    let config = &loaded.config;
    let callers = Callers::new(&config.access).map_err(|error| loaded.wrong(&error.key(), &error))?;
    let tls = Tls::new(&config.tls, &loaded.base, &loaded.state(), &PROTOCOLS, clock)
        .map_err(|error| loaded.wrong(&error.key(), &error))?;
    Settings::new(config.server.clone(), callers, tls, clock.now()).map_err(|error| loaded.wrong(&error.key(), &error))
}

/// Checks what starting would, as far as nothing is made by it: neither a state folder nor a connection.
pub(super) fn check(loaded: &Loaded, clock: &Clock) -> Result<(), AssemblyError> {
    providers(loaded, clock, &Metrics::new()?)?;
    let is_development = loaded.config.tls.certificate.is_none() && loaded.config.tls.key.is_none();
    if is_development && !loaded.state().join("ca.pem").exists() {
        return Ok(());
    }
    Ok(settings(loaded, clock).map(drop)?)
}

fn open_store(loaded: &Loaded, clock: &Clock) -> Result<Store, AssemblyError> {
    let config = loaded.store();
    let folder = config.folder.clone();
    let fill = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()));
    Store::open(config, clock.clone(), &fill, Arc::new(NoFaults))
        .map_err(|error| AssemblyError::Store { folder, error })
}

fn providers(loaded: &Loaded, clock: &Clock, metrics: &Metrics) -> Result<Registry, AssemblyError> {
    let setup = Setup {
        folder: &loaded.base,
        clock: clock.clone(),
        random: provider::Random::seeded(random().map(u64::from_be_bytes)?),
        metrics: &provider::metrics::Metrics::register(metrics.registry()).map_err(MetricError::from)?,
        schema: &|_| None,
    };
    Ok(Registry::build(&loaded.config.providers, &setup).map_err(|errors| first(loaded, &errors))?)
}

/// The first of several, with its place in the file.
fn first(loaded: &Loaded, errors: &[SetupError]) -> ConfigError {
    let (key, what) =
        errors.first().map_or(("providers", "cannot be used"), |error| (error.key.as_str(), error.what.as_str()));
    loaded.wrong(key, &what)
}

/// Binds the listeners for messages.
async fn listen(
    loaded: &Loaded,
    handler: Option<&Arc<dyn mllp::Handler>>,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Vec<mllp::Running>, AssemblyError> {
    let metrics = mllp::Metrics::register(metrics.registry()).map_err(MetricError::from)?;
    let mut bound = Vec::new();
    for (number, config) in loaded.config.mllp.iter().enumerate() {
        let wrong = |error: SetupError| {
            let error = error.under(&format!("mllp.{number}"));
            loaded.wrong(&error.key, &error.what)
        };
        let Some(handler) = handler else {
            return Err(wrong(SetupError::new("", "HL7 v2 messages are not taken by this program")).into());
        };
        let listener = mllp::Listener::bind(config.clone(), &loaded.base, clock.clone(), &metrics).await;
        bound.push((listener.map_err(wrong)?, Arc::clone(handler)));
    }
    Ok(bound.into_iter().map(|(listener, handler)| listener.start(handler)).collect())
}

fn behind(store: &Store, _providers: &Registry) -> Behind {
    Behind {
        interactions: Arc::new(Nothing::default()),
        policy: Arc::new(ListOnly),
        audit: Arc::new(ToStore(store.clone())),
        messages: None,
    }
}

/// Random bytes.
fn random<const N: usize>() -> Result<[u8; N], AssemblyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(AssemblyError::Random)?;
    Ok(bytes)
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
