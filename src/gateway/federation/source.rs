//! The providers that can be asked, and what makes FHIR of what they answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use silta_engine::fhir::document::Document;

use crate::clock::Instant;
use crate::gateway::outcome::Issue;
use crate::provider::registry::{Connection, Registry};
use crate::provider::{
    Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Identifier, Liveness, Mode, NativeDocument, Read,
    Receipt, Search,
};
use crate::store::{PersonId, ResourceKey};

/// A provider that can be asked.
#[derive(Clone)]
pub struct Source {
    /// Its configured name: what the ids of its resources begin with.
    pub name: Arc<str>,
    /// Whether it holds real persons' data.
    pub mode: Mode,
    /// The way to it.
    pub adapter: Arc<dyn Adapter>,
    /// The organisation behind it.
    pub organisation: Option<Identifier>,
    /// How old an answer may be that is given, labelled as stale, while it fails.
    pub stale_if_error: Option<Duration>,
}

/// Every provider, by name.
#[derive(Clone, Default)]
pub struct Sources {
    pub(super) by_name: BTreeMap<Arc<str>, Source>,
    pub(super) version: u64,
}

/// Makes FHIR of native documents; the exchange does.
pub trait Translation: Send + Sync {
    /// Native documents of a provider as resources with gateway ids, references rewritten and validated.
    ///
    /// # Errors
    /// What the provider's documents are refused for.
    fn translate<'a>(
        &'a self,
        provider: &'a str,
        documents: &'a [NativeDocument],
    ) -> BoxFuture<'a, Result<Translated, Issue>>;

    /// How often something changed at the provider for the person. Read before a question is asked.
    fn generation(&self, provider: &str, person: PersonId) -> u64;
}

/// What came of native documents.
#[derive(Debug, Clone, Default)]
pub struct Translated {
    /// Complete resources: id, `meta.source`, references to ids of the gateway.
    pub resources: Vec<Arc<Document>>,
    /// What is to be said of them.
    pub warnings: Vec<Issue>,
}

impl Source {
    /// Whether it can be asked for a resource by what the resource's own id says.
    pub(super) fn can_read(&self, key: &ResourceKey) -> bool {
        let is_own = key.id.split_once('.').is_some_and(|(provider, _)| provider == self.name.as_ref());
        is_own && self.adapter.capabilities().of(&key.resource_type).read
    }
}

impl Sources {
    /// These providers. `version` changes with configuration, maps, profiles and terminology.
    pub fn new(sources: impl IntoIterator<Item = Source>, version: u64) -> Self {
        Self { by_name: sources.into_iter().map(|source| (Arc::clone(&source.name), source)).collect(), version }
    }

    /// Every provider of a registry.
    #[must_use]
    pub fn of(registry: &Registry, version: u64) -> Self {
        let sources = registry.iter().map(|connection| Source {
            name: Arc::clone(&connection.name),
            mode: connection.mode,
            adapter: Arc::new(Through(Arc::clone(connection))),
            organisation: connection.organisations.first().cloned(),
            stale_if_error: connection.stale_if_error,
        });
        Self::new(sources, version)
    }

    /// The provider of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Source> {
        self.by_name.get(name)
    }

    /// Those that can be asked at all.
    pub(super) fn live(&self) -> impl Iterator<Item = &Source> {
        self.by_name.values().filter(|source| source.adapter.capabilities().liveness == Liveness::Live)
    }
}

/// The guarded adapter of a connection.
struct Through(Arc<Connection>);

impl Adapter for Through {
    fn capabilities(&self) -> &Capabilities {
        self.0.adapter.capabilities()
    }

    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        self.0.adapter.read(read, deadline)
    }

    fn search<'a>(&'a self, search: &'a Search, deadline: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        self.0.adapter.search(search, deadline)
    }

    fn submit<'a>(&'a self, delivery: &'a Delivery, deadline: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        self.0.adapter.submit(delivery, deadline)
    }

    fn repeatable(&self, delivery: &Delivery) -> bool {
        self.0.adapter.repeatable(delivery)
    }
}
