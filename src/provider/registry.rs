//! The providers by name: how each is reached, what is told about it, and which one an order goes to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use silta_engine::definitions::{Kind, Model};

use super::health::{self, Guarded};
use super::metrics::Metrics;
use super::wait::Wait;
use super::web::Credentials;
use super::{
    Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Identifier, Liveness, Mode, NativeDocument,
    Random, Read, Receipt, Search, SetupError, fhir, files, http, mllp,
};
use crate::clock::{Clock, Instant};

/// `[providers.NAME]`: one organisation's system. A name is lower-case letters, digits and `-`, at most 24 characters.
///
/// Exactly one of the tables `fhir`, `http`, `mllp`, `files` says how it is reached; none: it only sends to us.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `"test"` or `"production"`: made-up persons or real ones. Messages of the other mode are refused.
    pub mode: Mode,
    /// The organisation, by each of its identifiers: `"urn:oid:1.2.246.537.6.202|1234567-8"`. An order's performer is
    /// routed by these.
    #[serde(default)]
    pub organisations: Vec<String>,
    /// Which orders come here when no recipient is named.
    #[serde(default)]
    pub routing: Routing,
    /// Settings for the maps (assigning authorities, time zone, character set, default code systems, table extensions).
    #[serde(default)]
    pub map: toml::Table,
    /// What happens to a resource from this provider that breaks its profile.
    #[serde(default)]
    pub validation: Validation,
    /// Serve what was fetched before, labelled as stale and at most so old, while the provider fails.
    pub stale_if_error: Option<Wait>,
    /// Deadline, retries, circuit breaker, bulkhead.
    #[serde(default)]
    pub health: health::Config,
    /// A FHIR R4 server.
    pub fhir: Option<fhir::Config>,
    /// A JSON REST service.
    pub http: Option<http::Config>,
    /// An HL7 v2 listener.
    pub mllp: Option<mllp::Config>,
    /// A drop folder.
    pub files: Option<files::Config>,
}

/// `[providers.NAME.routing]`: an order fits when it fits every list that is not empty; with all lists empty none fits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    /// Codes of the patient's municipality.
    pub municipalities: Vec<String>,
    /// Codes of the service that is ordered, as `system|code` or the code alone.
    pub services: Vec<String>,
}

/// What happens to a resource that breaks its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// It is refused.
    #[default]
    Reject,
    /// It is taken, with warnings.
    Warn,
}

/// What connections are made with.
pub struct Setup<'a> {
    /// The folder at which relative paths start.
    pub folder: &'a Path,
    /// Time.
    pub clock: Clock,
    /// Jitter.
    pub random: Random,
    /// Where requests are counted.
    pub metrics: &'a Metrics,
    /// JSON Schemas that come with the maps, by name.
    pub schema: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// One provider, ready to be used.
pub struct Connection {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it carries real people's data.
    pub mode: Mode,
    /// The way to it, guarded.
    pub adapter: Arc<Guarded>,
    /// The organisation's identifiers.
    pub organisations: Vec<Identifier>,
    /// Which orders come here when no recipient is named.
    pub routing: Routing,
    /// Settings for the maps.
    pub map: toml::Table,
    /// What happens to a resource that breaks its profile.
    pub validation: Validation,
    /// How old a stale answer may be that is served while the provider fails.
    pub stale_if_error: Option<std::time::Duration>,
    config: Config,
    /// How its server is spoken with, where that is of another version of FHIR.
    dialect: Option<fhir::Dialect>,
    stamp: [u8; 32],
}

/// Every provider.
#[derive(Default)]
pub struct Registry(BTreeMap<Arc<str>, Arc<Connection>>);

/// Where an order goes.
#[derive(Clone)]
pub enum Recipient<'a> {
    /// Nobody fits.
    None,
    /// This provider.
    One(&'a Arc<Connection>),
    /// Several fit; nobody chooses among them.
    Several(Vec<&'a Arc<Connection>>),
}

impl Registry {
    /// Makes every connection; nothing is connected yet.
    ///
    /// # Errors
    /// Everything that is wrong, with keys such as `providers.county.http.tls.ca`.
    pub fn build(config: &BTreeMap<String, Config>, setup: &Setup<'_>) -> Result<Self, Vec<SetupError>> {
        Self::default().succeed(config, setup)
    }

    /// The connections of another configuration. One whose table, and whose files, are as they were is the same; where only
    /// what is told about a provider differs, the way to it is, with what is open on it and what its breaker knows.
    ///
    /// # Errors
    /// As [`Registry::build`]; nothing has changed then.
    pub fn succeed(&self, config: &BTreeMap<String, Config>, setup: &Setup<'_>) -> Result<Self, Vec<SetupError>> {
        let (mut made, mut wrong) = (BTreeMap::new(), Vec::new());
        for (name, config) in config {
            match connect(name, config, setup, self.find(name)) {
                Ok(connection) => {
                    made.insert(Arc::clone(&connection.name), connection);
                }
                Err(error) => wrong.push(error.under(&format!("providers.{name}"))),
            }
        }
        let registry = Self(made);
        wrong.extend(registry.claimed_twice());
        if wrong.is_empty() { Ok(registry) } else { Err(wrong) }
    }

    /// One provider.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Connection>> {
        self.0.get(name)
    }

    /// Whether both are the same connections.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same = |(one, two): (&Arc<Connection>, &Arc<Connection>)| Arc::ptr_eq(one, two);
        self.0.len() == other.0.len() && self.iter().zip(other.iter()).all(same)
    }

    /// Gives back the connections that another registry has no more; one on which something is under way ends after it.
    /// Gives the names of the providers that the other reaches otherwise.
    pub async fn retire(&self, successor: &Self) -> Vec<String> {
        let stays =
            |one: &Connection| successor.find(&one.name).is_some_and(|next| Arc::ptr_eq(&one.adapter, &next.adapter));
        let gone: Vec<_> = self.iter().filter(|one| !stays(one)).collect();
        futures_util::future::join_all(gone.iter().map(|one| one.adapter.close())).await;
        gone.into_iter().filter(|one| successor.find(&one.name).is_some()).map(|one| one.name.to_string()).collect()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.0.values()
    }

    /// Those that can be asked for a type.
    pub fn searchable<'a>(&'a self, resource_type: &'a str) -> impl Iterator<Item = &'a Arc<Connection>> {
        self.iter().filter(move |connection| connection.adapter.capabilities().of(resource_type).search)
    }

    /// The provider of an organisation, by any of the identifiers it is known by ([`Identifier::organisation`]).
    #[must_use]
    pub fn of_organisation(&self, identifiers: &[Identifier]) -> Recipient<'_> {
        Recipient::of(self.iter().filter(|one| identifiers.iter().any(|id| one.organisations.contains(id))))
    }

    /// The provider that takes orders of a service (`system|code` or code, any of them) for a municipality.
    #[must_use]
    pub fn of_rules(&self, municipality: Option<&str>, services: &[&str]) -> Recipient<'_> {
        Recipient::of(self.iter().filter(|one| one.routing.fits(municipality, services)))
    }

    /// Gives back every connection at shutdown.
    pub async fn close(&self) {
        futures_util::future::join_all(self.iter().map(|connection| connection.adapter.close())).await;
    }

    fn claimed_twice(&self) -> Vec<SetupError> {
        let mut owners: BTreeMap<&Identifier, &str> = BTreeMap::new();
        let mut wrong = Vec::new();
        for connection in self.iter() {
            for identifier in &connection.organisations {
                if let Some(other) = owners.insert(identifier, &connection.name) {
                    let key = format!("providers.{}.organisations", connection.name);
                    let what = format!("{}|{} belongs to {other} too", identifier.system, identifier.value);
                    wrong.push(SetupError::new(key, what));
                }
            }
        }
        wrong
    }
}

impl Connection {
    /// Whether the provider's documents are FHIR resources.
    #[must_use]
    pub fn speaks_fhir(&self) -> bool {
        self.config.fhir.is_some()
    }

    /// A resource that it posted, as JSON or XML of its version of FHIR, in R4; as it is where that is its version.
    #[must_use]
    pub fn in_r4(&self, bytes: &bytes::Bytes, is_xml: bool) -> Option<bytes::Bytes> {
        match &self.dialect {
            Some(dialect) => dialect.inward(bytes, is_xml),
            None => Some(bytes.clone()),
        }
    }

    /// What it calls a type of resource.
    #[must_use]
    pub fn native_type<'n>(&'n self, kind: &'n str) -> &'n str {
        self.dialect.as_ref().map_or(kind, |dialect| dialect.native(kind))
    }

    /// The address of its FHIR server.
    #[must_use]
    pub fn base(&self) -> Option<&str> {
        self.config.fhir.as_ref().map(|fhir| fhir.base.as_str())
    }

    /// How often its open Tasks are read again.
    #[must_use]
    pub fn poll(&self) -> Option<std::time::Duration> {
        self.config.fhir.as_ref().and_then(|fhir| fhir.poll).map(|wait| wait.0)
    }

    /// Whether a create by an identifier makes one only where there is none.
    #[must_use]
    pub fn creates_conditionally(&self) -> bool {
        self.config.fhir.as_ref().is_some_and(|fhir| fhir.conditional_create)
    }
}

impl<'a> Recipient<'a> {
    fn of(found: impl Iterator<Item = &'a Arc<Connection>>) -> Self {
        let mut found: Vec<_> = found.collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Self::None,
            (Some(one), true) => Self::One(one),
            (Some(last), false) => {
                found.push(last);
                Self::Several(found)
            }
        }
    }
}

impl Routing {
    fn fits(&self, municipality: Option<&str>, services: &[&str]) -> bool {
        if self.municipalities.is_empty() && self.services.is_empty() {
            return false;
        }
        let here = self.municipalities.is_empty()
            || municipality.is_some_and(|code| self.municipalities.iter().any(|known| known == code));
        let same = |known: &str, asked: &str| {
            known == asked || (!known.contains('|') && asked.rsplit_once('|').is_some_and(|(_, code)| code == known))
        };
        let offered = self.services.is_empty()
            || self.services.iter().any(|known| services.iter().any(|asked| same(known, asked)));
        here && offered
    }
}

impl Config {
    /// The files that it names, which are read when the connection is made.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let (fhir, http, mllp) = (self.fhir.as_ref(), self.http.as_ref(), self.mllp.as_ref());
        let tls = [
            fhir.and_then(|one| one.tls.as_ref()),
            http.and_then(|one| one.tls.as_ref()),
            mllp.and_then(|one| one.tls.as_ref()),
        ];
        let tls = tls.into_iter().flatten().flat_map(|tls| [&tls.ca, &tls.certificate, &tls.key]).flatten();
        let credentials =
            [fhir.and_then(|one| one.credentials.as_ref()), http.and_then(|one| one.credentials.as_ref())];
        let secrets = credentials.into_iter().flatten().filter_map(Credentials::file);
        let schemas = http.into_iter().flat_map(|http| http.documents.values()).filter_map(|one| match &one.schema {
            Some(http::SchemaRef::File(path)) => Some(path),
            _ => None,
        });
        tls.chain(secrets).chain(schemas).cloned().collect()
    }

    /// One hash over all that the connection is made of and that is not in its table.
    fn stamp(&self, setup: &Setup<'_>) -> [u8; 32] {
        let files = self.files().into_iter().map(|path| std::fs::read(setup.folder.join(path)).unwrap_or_default());
        let documents = self.http.iter().flat_map(|http| http.documents.values());
        let named = documents.filter_map(|document| match &document.schema {
            Some(http::SchemaRef::Name(name)) => (setup.schema)(name),
            _ => None,
        });
        let mut hash = Sha256::new();
        for content in files.chain(named) {
            hash.update(content.len().to_be_bytes());
            hash.update(content);
        }
        hash.finalize().into()
    }

    /// The part of it that the way to the provider is made of.
    fn way(&self) -> Self {
        Self {
            organisations: Vec::new(),
            routing: Routing::default(),
            map: toml::Table::new(),
            validation: Validation::default(),
            stale_if_error: None,
            ..self.clone()
        }
    }

    /// What works and is not wise: the key (relative to the provider's table) and why.
    #[must_use]
    pub fn warnings(&self) -> Vec<SetupError> {
        self.http.iter().flat_map(|http| http.warnings()).map(|warning| warning.under("http")).collect()
    }

    /// The adapter that is configured. This is the one place that knows every kind.
    fn adapter(&self, setup: &Setup<'_>) -> Result<Arc<dyn Adapter>, SetupError> {
        let (folder, clock) = (setup.folder, || setup.clock.clone());
        match (&self.fhir, &self.http, &self.mllp, &self.files) {
            (None, None, None, None) => Ok(Arc::new(ReceiveOnly::default())),
            (Some(config), None, None, None) => fhir::Fhir::new(config.clone(), folder, clock())
                .map(|made| Arc::new(made) as Arc<dyn Adapter>)
                .map_err(|error| error.under("fhir")),
            (None, Some(config), None, None) => http::Http::new(config.clone(), folder, setup.schema, clock())
                .map(|made| Arc::new(made) as Arc<dyn Adapter>)
                .map_err(|error| error.under("http")),
            (None, None, Some(config), None) => mllp::Mllp::new(config.clone(), folder, clock())
                .map(|made| Arc::new(made) as Arc<dyn Adapter>)
                .map_err(|error| error.under("mllp")),
            (None, None, None, Some(config)) => files::Files::new(config.clone(), folder, clock())
                .map(|made| Arc::new(made) as Arc<dyn Adapter>)
                .map_err(|error| error.under("files")),
            _ => Err(SetupError::new("", "has more than one of the tables fhir, http, mllp, files")),
        }
    }
}

fn connect(
    name: &str,
    config: &Config,
    setup: &Setup<'_>,
    before: Option<&Arc<Connection>>,
) -> Result<Arc<Connection>, SetupError> {
    let stamp = config.stamp(setup);
    let before = before.filter(|before| before.stamp == stamp);
    if let Some(same) = before.filter(|before| before.config == *config) {
        return Ok(Arc::clone(same));
    }
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=24).contains(&name.len()) || !name.chars().all(legal) {
        return Err(SetupError::new("", "a provider's name is 1 to 24 lower-case letters, digits and hyphens"));
    }
    let organisation = |text: &String| match text.split_once('|') {
        Some((system, value)) if !value.is_empty() => Ok(Identifier::organisation(system, value)),
        _ => Err(SetupError::new("organisations", "expected \"system|value\"")),
    };
    let organisations = config.organisations.iter().map(organisation).collect::<Result<_, _>>()?;
    let adapter = match before.filter(|before| before.config.way() == config.way()) {
        Some(same) => Arc::clone(&same.adapter),
        None => Arc::new(
            Guarded::new(
                config.adapter(setup)?,
                name,
                config.mode,
                config.health.clone(),
                setup.clock.clone(),
                setup.random.clone(),
                setup.metrics.of(name),
            )
            .map_err(|error| error.under("health"))?,
        ),
    };
    if let Some(name) = adapter.capabilities().types.keys().find(|name| !is_resource(name)) {
        return Err(SetupError::new("", format!("`{name}` is not a resource type of FHIR R4")));
    }
    Ok(Arc::new(Connection {
        name: Arc::from(name),
        mode: config.mode,
        adapter,
        organisations,
        routing: config.routing.clone(),
        map: config.map.clone(),
        validation: config.validation,
        stale_if_error: config.stale_if_error.map(|wait| wait.0),
        dialect: config.fhir.as_ref().and_then(fhir::Dialect::of),
        config: config.clone(),
        stamp,
    }))
}

/// Whether there can be a resource of a type of this name.
fn is_resource(name: &str) -> bool {
    let model = Model::r4();
    model.type_named(name).is_some_and(|id| model.kind(id) == Kind::Resource && !model.is_abstract(id))
}

/// A provider that sends to us and is never called.
struct ReceiveOnly(Capabilities);

impl Default for ReceiveOnly {
    fn default() -> Self {
        Self(Capabilities { liveness: Liveness::PushOnly, types: BTreeMap::new() })
    }
}

fn never<T: Send + 'static>(what: &str) -> BoxFuture<'static, Result<T, AdapterError>> {
    Box::pin(std::future::ready(Err(AdapterError::NotSupported { what: format!("{what}: the provider only sends") })))
}

impl Adapter for ReceiveOnly {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn read<'a>(&'a self, _: &'a Read, _: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        never("read")
    }

    fn search<'a>(&'a self, _: &'a Search, _: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        never("search")
    }

    fn submit<'a>(&'a self, _: &'a Delivery, _: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        never("submit")
    }

    fn repeatable(&self, _: &Delivery) -> bool {
        false
    }
}
