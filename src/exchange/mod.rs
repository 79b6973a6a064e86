//! Messages in and out: receive, workflow, outbox.
//!
//! [`Exchange`] is what stands between the providers and the FHIR interface. In: a native document is translated, given
//! the gateway's ids, validated, taken through the workflow of its Task and committed with its raw bytes. Out: what
//! changed is rendered in the format of each party when it is delivered. [`Exchange::translate`] does the first half of
//! the way in for what is fetched live and kept by nobody here.

mod change;
mod compose;
mod current;
mod directory;
mod error;
mod facets;
pub mod files;
mod generations;
mod judge;
mod known;
mod localise;
pub mod mllp;
mod outbox;
mod partner;
mod plain;
mod profiles;
mod receive;
mod render;
pub mod routing;
mod tables;
mod translate;
mod translated;
mod turns;
mod v2;
mod webhook;
pub mod workflow;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Deserialize;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::Maps;
use silta_engine::validation::Validator;

use crate::clock::Clock;
use crate::provider::{Random, Registry, SetupError};
use crate::store::Store;

pub use change::{Changed, Origin};
pub use current::Current;
pub use error::{ExchangeError, Problem};
pub use generations::Generations;
pub use outbox::Config as OutboxConfig;
use profiles::Profiles;

pub use partner::{Envelope, Partner, Settings as MapSettings, source_of};
pub use tables::TableHandler;
pub use translate::LiveDocuments;
pub use v2::MessageHandler;
pub use webhook::Hooked;

/// `[exchange]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A folder of maps (`*.map`) and schemas (`*.schema.json`, `*.xmlschema`) that add to those of the program, or stand
    /// in place of those of the same name. A relative path starts at the configuration's folder.
    pub profiles: Option<PathBuf>,
    /// The realm (`"fi"`) whose profiles hold for what callers send, and for what comes of providers that name none and
    /// whose maps are of none. None: the rules of FHIR R4 alone.
    pub realm: Option<String>,
    /// Identifier systems of which a person has one, and by which a person is known across providers.
    pub person_systems: Vec<String>,
    /// `[exchange.outbox]`.
    pub outbox: OutboxConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profiles: None,
            realm: None,
            person_systems: vec!["urn:oid:1.2.246.21".to_owned()],
            outbox: OutboxConfig::default(),
        }
    }
}

/// What the exchange was configured with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) ground: Arc<known::Ground>,
    pub(crate) outbox: OutboxConfig,
    /// What callers' resources are to conform to.
    pub(crate) profiles: Profiles,
}

/// What an exchange is made of.
#[derive(Clone)]
pub struct Parts {
    /// Time.
    pub clock: Clock,
    /// Jitter.
    pub random: Random,
    /// The store.
    pub store: Store,
    /// The providers.
    pub registry: Arc<Registry>,
    /// The maps.
    pub maps: Arc<Maps>,
    /// The rules.
    pub validator: Arc<Validator>,
    /// The key under which personal identifiers appear in keys.
    pub secret: Vec<u8>,
}

/// The exchange, as it is configured. Cheap to clone.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    parts: Parts,
    settings: Settings,
    partners: BTreeMap<String, Arc<Partner>>,
    lasting: Arc<Lasting>,
}

/// What stays when another configuration follows.
#[derive(Default)]
struct Lasting {
    generations: Generations,
    turns: turns::Turns,
    /// Where the interface is reached, each without a final `/`.
    addresses: ArcSwap<Arc<[String]>>,
}

/// The providers, by name.
type Partners = BTreeMap<String, Arc<Partner>>;

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("partners", &self.0.partners.keys()).finish_non_exhaustive()
    }
}

impl Exchange {
    /// An exchange of these parts.
    ///
    /// # Errors
    /// Every setting of a provider's map that is wrong, and every map that is named and not there.
    pub fn new(config: &Config, parts: Parts) -> Result<Self, Vec<SetupError>> {
        Self::with(config, parts, Arc::default())
    }

    /// The same exchange by another configuration: what was counted, and whose turn it is, goes on.
    ///
    /// # Errors
    /// As [`Exchange::new`].
    pub fn succeed(&self, config: &Config, parts: Parts) -> Result<Self, Vec<SetupError>> {
        Self::with(config, parts, Arc::clone(&self.0.lasting))
    }

    fn with(config: &Config, parts: Parts, lasting: Arc<Lasting>) -> Result<Self, Vec<SetupError>> {
        let (partners, profiles) = Self::partners(config, &parts.registry, &parts.maps, &parts.secret)?;
        let settings = Settings {
            ground: Arc::new(known::Ground {
                person_systems: config.person_systems.clone(),
                providers: partners.keys().cloned().collect(),
            }),
            outbox: config.outbox.clone(),
            profiles,
        };
        Ok(Self(Arc::new(Inner { parts, settings, partners, lasting })))
    }

    /// What [`Exchange::new`] would say of the settings.
    ///
    /// # Errors
    /// As there.
    pub fn check_settings(config: &Config, registry: &Registry, maps: &Maps) -> Result<(), Vec<SetupError>> {
        Self::partners(config, registry, maps, &[]).map(drop)
    }

    fn partners(
        config: &Config,
        registry: &Registry,
        maps: &Maps,
        secret: &[u8],
    ) -> Result<(Partners, Profiles), Vec<SetupError>> {
        let (mut partners, mut wrong) = (BTreeMap::new(), Vec::new());
        let profiles = match &config.realm {
            Some(realm) => Profiles::of_realm(realm).unwrap_or_else(|error| {
                wrong.push(error.under("exchange"));
                Profiles::default()
            }),
            None => Profiles::default(),
        };
        for connection in registry.iter() {
            let under = format!("providers.{}", connection.name);
            match Partner::new(connection, secret, maps, &profiles) {
                Ok(partner) => {
                    wrong.extend(plain::check(&partner).err().map(|error| error.under(&under)));
                    for name in partner.settings.task.iter().chain(&partner.settings.maps) {
                        if maps.named(name).is_err() {
                            wrong.push(SetupError::new("map", format!("there is no map named {name}")).under(&under));
                        }
                    }
                    partners.insert(connection.name.to_string(), Arc::new(partner));
                }
                Err(error) => wrong.push(error.under(&under)),
            }
        }
        if wrong.is_empty() { Ok((partners, profiles)) } else { Err(wrong) }
    }

    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// A provider by its name.
    #[must_use]
    pub fn partner(&self, name: &str) -> Option<Arc<Partner>> {
        self.0.partners.get(name).cloned()
    }

    /// Says where the interface is reached, without a final `/`: a provider that refers to something by such an address
    /// refers to what is kept here.
    pub fn reached_at(&self, addresses: impl IntoIterator<Item = String>) {
        self.0.lasting.addresses.store(Arc::new(addresses.into_iter().collect()));
    }

    pub(crate) fn bases(&self, provider: Option<String>) -> localise::Bases {
        localise::Bases { provider, gateway: Arc::clone(&self.0.lasting.addresses.load()) }
    }

    /// How often something changed, for caches.
    #[must_use]
    pub fn generations(&self) -> &Generations {
        &self.0.lasting.generations
    }

    /// The systems by which persons are known.
    #[must_use]
    pub fn person_systems(&self) -> &[String] {
        &self.0.settings.ground.person_systems
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.parts.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.parts.random
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.parts.store
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.parts.registry
    }

    pub(crate) fn maps(&self) -> &Maps {
        &self.0.parts.maps
    }

    pub(crate) fn validator(&self) -> &Validator {
        &self.0.parts.validator
    }

    pub(crate) fn turns(&self) -> &turns::Turns {
        &self.0.lasting.turns
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// A stored resource as a document.
    pub(crate) fn stored(&self, content: &[u8]) -> Result<Arc<Document>, ExchangeError> {
        Document::from_json(Model::r4(), content.to_vec(), &Limits::default())
            .map_err(|_| ExchangeError::Internal("a stored resource cannot be read"))
    }
}
