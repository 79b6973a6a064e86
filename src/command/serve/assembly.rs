//! From a configuration to a gateway that runs. What belongs together is made here and nowhere else: from the bottom up, the
//! store, the providers, what stands behind the interface, the interface and the other ports.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use silta_engine::mapping::Maps;
use silta_engine::validation::Validator;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::doors::{self, Doors};
use super::reload::Reloads;
use super::remake::{Remaking, first, map_files, maps, schema};
use super::vitals;
use crate::access::audit::{Audit, ToStore};
use crate::access::callers::Callers;
use crate::access::tls::Tls;
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::exchange::{self, Current, Exchange};
use crate::gateway::admin::{Admin, Readiness};
use crate::gateway::bridge::{Bridge, Translating};
use crate::gateway::federation::{Federation, Sources, Translation};
use crate::gateway::interaction::{Converter, Exchanged, Pages, Workflow};
use crate::gateway::listener::{PROTOCOLS, Stopped};
use crate::gateway::queue::Queue;
use crate::gateway::service::{BoxFuture, Interactions, ListOnly, Policy};
use crate::gateway::settings::Settings;
use crate::gateway::webhook::Hooks;
use crate::gateway::{Gateway, Parts, StartError};
use crate::provider::{self, Registry, Setup};
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
    /// The key for links to further pages cannot be used.
    #[error("the key for links to further pages cannot be used")]
    Pages,
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
    hooks: Arc<dyn Hooks>,
    exchange: Current,
    remaking: Remaking,
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
    delivering: Task<()>,
    watching: Task<()>,
    exchange: Current,
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
        let behind = behind(&loaded, &clock, &store, &metrics)?;
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
            hooks: Some(behind.hooks),
            audit: behind.audit,
            metrics: metrics.clone(),
            clock: clock.clone(),
            random: random()?,
        })
        .await?;
        let address = gateway.address().map_err(AssemblyError::Address)?;
        let exchange = behind.exchange;
        exchange.now().reached_at(own_addresses(&loaded, address));
        let mut doors = Doors::new(exchange.clone(), clock.clone(), &metrics)?;
        let plan = doors.plan(&loaded, &exchange.now()).await?;
        doors.open(plan);
        let (delivering, watching) = (exchange.clone(), exchange.clone());
        let stopping = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopping);
        readiness.check("accepting", move || match flag.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err("stopping".to_owned()),
        });
        let admin = match &loaded.config.admin {
            config if config.enabled => {
                let bound = Admin::bind(config, metrics, readiness).await;
                let bound = bound.map_err(|error| AssemblyError::Admin { address: config.listen, error })?;
                Some(bound.with_queue(Queue::new(store.clone(), clock.clone())))
            }
            _ => None,
        };
        let stop_time = loaded.config.server.stop_time;
        Ok(Running {
            address,
            admin: admin.as_ref().map(Admin::address).transpose().map_err(AssemblyError::Address)?,
            mllp: doors.addresses(),
            reloads: Arc::new(Reloads::new(loaded, gateway.control(), behind.remaking, doors, clock.clone())),
            clock,
            store,
            stop_time,
            stopping,
            serving: Task::start(|stop| gateway.run(stop)),
            administering: admin.map(|admin| Task::start(|stop| admin.run(stop))),
            delivering: Task::start(|stop| delivering.deliver(stop)),
            watching: Task::start(|stop| watching.watch(stop)),
            exchange,
            vitals: tokio::spawn(vitals),
        })
    }
}

impl Running {
    /// Stops taking work, finishes what is in flight, and ends. Metrics and health are told to the last.
    pub async fn stop(self) -> Stopped {
        self.stopping.store(true, Ordering::Relaxed);
        let deadline = self.clock.instant().after(self.stop_time);
        let reloads = Arc::clone(&self.reloads);
        let draining = tokio::spawn(async move { reloads.stop(deadline).await });
        let mut stopped = self.serving.stop().await.unwrap_or(Stopped { cut: 0 });
        stopped.cut = stopped.cut.saturating_add(draining.await.unwrap_or(1));
        // What is being delivered is finished; the rest waits in the outbox.
        self.watching.stop().await;
        self.delivering.stop().await;
        self.exchange.now().parts().registry.close().await;
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
    let maps = maps(loaded, &map_files(loaded)?)?;
    let registry = providers(loaded, clock, &provider_metrics(&Metrics::new()?)?, random_of_providers()?, &maps)?;
    Exchange::check_settings(&loaded.config.exchange, &registry, &maps).map_err(|errors| first(loaded, &errors))?;
    doors::check(loaded, |provider| registry.find(provider).is_some())?;
    let is_development = loaded.config.tls.certificate.is_none() && loaded.config.tls.key.is_none();
    if is_development && !loaded.state().join("ca.pem").exists() {
        return Ok(());
    }
    Ok(settings(loaded, clock).map(drop)?)
}

/// The URLs under which the interface is reached: the configured one, else those of this machine.
fn own_addresses(loaded: &Loaded, bound: SocketAddr) -> Vec<String> {
    if let Some(url) = &loaded.config.server.base_url {
        return vec![url.clone()];
    }
    let port = bound.port();
    let names = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into_iter();
    let names = names.chain(loaded.config.tls.development_names.iter().cloned());
    let own = (!bound.ip().is_unspecified()).then(|| format!("https://{bound}"));
    own.into_iter().chain(names.map(|name| format!("https://{name}:{port}"))).collect()
}

fn open_store(loaded: &Loaded, clock: &Clock) -> Result<Store, AssemblyError> {
    let config = loaded.store();
    let folder = config.folder.clone();
    let fill = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()));
    Store::open(config, clock.clone(), &fill, Arc::new(NoFaults))
        .map_err(|error| AssemblyError::Store { folder, error })
}

fn provider_metrics(metrics: &Metrics) -> Result<provider::metrics::Metrics, AssemblyError> {
    Ok(provider::metrics::Metrics::register(metrics.registry()).map_err(MetricError::from)?)
}

fn random_of_providers() -> Result<provider::Random, AssemblyError> {
    Ok(provider::Random::seeded(random().map(u64::from_be_bytes)?))
}

fn providers(
    loaded: &Loaded,
    clock: &Clock,
    metrics: &provider::metrics::Metrics,
    random: provider::Random,
    maps: &Maps,
) -> Result<Registry, AssemblyError> {
    let setup =
        Setup { folder: &loaded.base, clock: clock.clone(), random, metrics, schema: &|name| schema(maps, name) };
    Ok(Registry::build(&loaded.config.providers, &setup).map_err(|errors| first(loaded, &errors))?)
}

/// What stands behind the ports: the exchange, and the interface's interactions over it.
fn behind(loaded: &Loaded, clock: &Clock, store: &Store, metrics: &Metrics) -> Result<Behind, AssemblyError> {
    let config = &loaded.config;
    let (files, requests, random) = (map_files(loaded)?, provider_metrics(metrics)?, random_of_providers()?);
    let maps = Arc::new(maps(loaded, &files)?);
    let registry = Arc::new(providers(loaded, clock, &requests, random.clone(), &maps)?);
    let now = clock.clone();
    let validator = Arc::new(Validator::built_in().with_clock(move || super::super::moment(&now)));
    let parts = exchange::Parts {
        clock: clock.clone(),
        random: random.clone(),
        store: store.clone(),
        registry: Arc::clone(&registry),
        maps,
        validator: Arc::clone(&validator),
        secret: store.derived_key("keys in translations").to_vec(),
    };
    let exchange = Exchange::new(&config.exchange, parts).map_err(|errors| first(loaded, &errors))?;
    let translation = Translating::by(exchange.clone());
    let exchange = Current::from(exchange);
    let bridge = Bridge::new(exchange.clone(), clock.clone());
    let sources = Sources::of(&registry, 0);
    let federation = Federation::new(
        sources,
        store.clone(),
        translation as Arc<dyn Translation>,
        config.federation.clone(),
        &config.cache,
        clock.clone(),
    )
    .measured(metrics)?;
    let federation = Arc::new(federation);
    let remaking = Remaking::new(exchange.clone(), Arc::clone(&federation), requests, random, clock.clone(), files);
    let pages = Pages::new(store.derived_key("links to further pages")).map_err(|_| AssemblyError::Pages)?;
    let workflow = Arc::clone(&bridge) as Arc<dyn Workflow>;
    Ok(Behind {
        interactions: Arc::new(
            Exchanged::new(federation, workflow, pages, validator).converting(Converter::by(exchange.clone())),
        ),
        policy: Arc::new(ListOnly),
        audit: Arc::new(ToStore(store.clone())),
        hooks: bridge,
        exchange,
        remaking,
    })
}

/// Random bytes.
fn random<const N: usize>() -> Result<[u8; N], AssemblyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(AssemblyError::Random)?;
    Ok(bytes)
}
