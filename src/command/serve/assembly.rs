//! From a configuration to a gateway that runs. What belongs together is made here and nowhere else: from the bottom up, the
//! store, the providers, what stands behind the interface, the interface and the other ports.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;
use silta_engine::mapping::syntax::{Level, NativeType};
use silta_engine::validation::Validator;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reload::Reloads;
use super::vitals;
use crate::access::audit::{Audit, ToStore};
use crate::access::callers::Callers;
use crate::access::tls::Tls;
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::exchange::{self, Exchange, MessageHandler, TableHandler, files, mllp};
use crate::gateway::admin::{Admin, Readiness};
use crate::gateway::bridge::Bridge;
use crate::gateway::federation::{Federation, Sources, Translation};
use crate::gateway::interaction::{Converter, Exchanged, Pages, Workflow};
use crate::gateway::listener::{PROTOCOLS, Stopped};
use crate::gateway::queue::Queue;
use crate::gateway::service::{BoxFuture, Interactions, ListOnly, Policy};
use crate::gateway::settings::Settings;
use crate::gateway::webhook::Hooks;
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
    exchange: Exchange,
    registry: Arc<Registry>,
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
    collecting: Vec<files::Running>,
    delivering: Task<()>,
    registry: Arc<Registry>,
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
        let maps = Arc::new(maps(&loaded)?);
        let registry = Arc::new(providers(&loaded, &clock, &metrics, &maps)?);
        let behind = behind(&loaded, &clock, &store, &metrics, registry, maps)?;
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
        behind.exchange.reached_at(own_addresses(&loaded, address));
        let listening = listen(&loaded, &behind.exchange, &clock, &metrics).await?;
        let collecting = collect(&loaded, &behind.exchange, &clock, &metrics)?;
        let exchange = behind.exchange.clone();
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
        let certificates = listening.iter().map(mllp::Running::reload).collect();
        Ok(Running {
            address,
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
            collecting,
            delivering: Task::start(|stop| exchange.deliver(stop)),
            registry: behind.registry,
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
        for collector in self.collecting {
            if collector.drain(deadline).await.is_err() {
                tracing::warn!("a collected file was cut short; it is taken again at the next start");
            }
        }
        let mut stopped = self.serving.stop().await.unwrap_or(Stopped { cut: 0 });
        for drained in draining {
            if !matches!(drained.await, Ok(Ok(()))) {
                stopped.cut = stopped.cut.saturating_add(1);
            }
        }
        // What is being delivered is finished; the rest waits in the outbox.
        self.delivering.stop().await;
        self.registry.close().await;
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
    let maps = maps(loaded)?;
    let registry = providers(loaded, clock, &Metrics::new()?, &maps)?;
    let config = &loaded.config;
    Exchange::check_settings(&config.exchange, &registry, &maps).map_err(|errors| first(loaded, &errors))?;
    let senders = config.mllp.iter().enumerate().map(|(number, one)| (format!("mllp.{number}"), &one.provider));
    let folders = config.collect.iter().enumerate().map(|(number, one)| (format!("collect.{number}"), &one.provider));
    for (under, provider) in senders.chain(folders) {
        if registry.find(provider).is_none() {
            let error = unknown(provider).under(&under);
            return Err(loaded.wrong(&error.key, &error.what).into());
        }
    }
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

/// The maps of the program, and those of the configured folder over them.
fn maps(loaded: &Loaded) -> Result<Maps, AssemblyError> {
    let folder = loaded.config.exchange.profiles.as_ref().map(|folder| loaded.base.join(folder));
    let files = match &folder {
        Some(folder) => Maps::read_tree(folder)
            .map_err(|error| loaded.wrong("exchange.profiles", &format!("{}: {error}", folder.display())))?,
        None => Vec::new(),
    };
    let maps = Maps::with(Model::r4(), &files);
    let wrong = maps.problems().iter().find(|problem| problem.level == Level::Error);
    match wrong {
        Some(problem) => Err(loaded.wrong("exchange.profiles", problem).into()),
        None => Ok(maps),
    }
}

/// The JSON Schema of this name that comes with a map.
fn schema(maps: &Maps, name: &str) -> Option<Vec<u8>> {
    maps.iter().find_map(|map| match map.native() {
        NativeType::Json { schema, .. } if schema == name || schema.ends_with(&format!("/{name}")) => {
            serde_json::to_vec(map.json_schema()?).ok()
        }
        _ => None,
    })
}

fn providers(loaded: &Loaded, clock: &Clock, metrics: &Metrics, maps: &Maps) -> Result<Registry, AssemblyError> {
    let setup = Setup {
        folder: &loaded.base,
        clock: clock.clone(),
        random: provider::Random::seeded(random().map(u64::from_be_bytes)?),
        metrics: &provider::metrics::Metrics::register(metrics.registry()).map_err(MetricError::from)?,
        schema: &|name| schema(maps, name),
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
    exchange: &Exchange,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Vec<mllp::Running>, AssemblyError> {
    let metrics = mllp::Metrics::register(metrics.registry()).map_err(MetricError::from)?;
    let handler: Arc<dyn mllp::Handler> = Arc::new(MessageHandler(exchange.clone()));
    let mut bound = Vec::new();
    for (number, config) in loaded.config.mllp.iter().enumerate() {
        let wrong = |error: SetupError| {
            let error = error.under(&format!("mllp.{number}"));
            loaded.wrong(&error.key, &error.what)
        };
        known(exchange, &config.provider).map_err(wrong)?;
        let listener = mllp::Listener::bind(config.clone(), &loaded.base, clock.clone(), &metrics).await;
        bound.push(listener.map_err(wrong)?);
    }
    Ok(bound.into_iter().map(|listener| listener.start(Arc::clone(&handler))).collect())
}

/// Opens the folders that files are collected from.
fn collect(
    loaded: &Loaded,
    exchange: &Exchange,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Vec<files::Running>, AssemblyError> {
    let metrics = files::Metrics::register(metrics.registry()).map_err(MetricError::from)?;
    let handler: Arc<dyn files::Handler> = Arc::new(TableHandler(exchange.clone()));
    let mut open = Vec::new();
    for (number, config) in loaded.config.collect.iter().enumerate() {
        let wrong = |error: SetupError| {
            let error = error.under(&format!("collect.{number}"));
            loaded.wrong(&error.key, &error.what)
        };
        known(exchange, &config.provider).map_err(wrong)?;
        let collector = files::Collector::open(config.clone(), &loaded.base, clock.clone(), &metrics);
        open.push(collector.map_err(wrong)?);
    }
    Ok(open.into_iter().map(|collector| collector.start(Arc::clone(&handler))).collect())
}

/// Whether what comes in is from a provider that is configured.
fn known(exchange: &Exchange, provider: &str) -> Result<(), SetupError> {
    match exchange.partner(provider) {
        Some(_) => Ok(()),
        None => Err(unknown(provider)),
    }
}

fn unknown(provider: &str) -> SetupError {
    SetupError::new("provider", format!("there is no [providers.{provider}]"))
}

/// What stands behind the ports: the exchange, and the interface's interactions over it.
fn behind(
    loaded: &Loaded,
    clock: &Clock,
    store: &Store,
    metrics: &Metrics,
    registry: Arc<Registry>,
    maps: Arc<Maps>,
) -> Result<Behind, AssemblyError> {
    let config = &loaded.config;
    let validator = Arc::new(Validator::built_in());
    let parts = exchange::Parts {
        clock: clock.clone(),
        random: provider::Random::seeded(random().map(u64::from_be_bytes)?),
        store: store.clone(),
        registry: Arc::clone(&registry),
        maps: Arc::clone(&maps),
        validator: Arc::clone(&validator),
        secret: store.derived_key("keys in translations").to_vec(),
    };
    let converter = Converter::new(maps, clock.clone(), parts.secret.clone());
    let exchange = Exchange::new(&config.exchange, parts).map_err(|errors| first(loaded, &errors))?;
    let bridge = Bridge::new(exchange.clone(), clock.clone());
    let sources = Sources::of(&registry, 0);
    let federation = Federation::new(
        sources,
        store.clone(),
        Arc::clone(&bridge) as Arc<dyn Translation>,
        config.federation.clone(),
        &config.cache,
        clock.clone(),
    )
    .measured(metrics)?;
    let pages = Pages::new(store.derived_key("links to further pages")).map_err(|_| AssemblyError::Pages)?;
    let workflow = Arc::clone(&bridge) as Arc<dyn Workflow>;
    Ok(Behind {
        interactions: Arc::new(
            Exchanged::new(Arc::new(federation), workflow, pages, validator)
                .converting(converter.with_providers(exchange.clone())),
        ),
        policy: Arc::new(ListOnly),
        audit: Arc::new(ToStore(store.clone())),
        hooks: bridge,
        exchange,
        registry,
    })
}

/// Random bytes.
fn random<const N: usize>() -> Result<[u8; N], AssemblyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(AssemblyError::Random)?;
    Ok(bytes)
}
