//! A provider as the exchange sees it: its connection, and how its documents are read and written.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use silta_engine::mapping::{Context, Loss, Maps, Named};
use silta_engine::native::Charset;
use silta_engine::native::delimited::Dialect;

use crate::provider::registry::Connection;
use crate::provider::{Liveness, Mode, SetupError};

use super::profiles::Profiles;

/// `[providers.NAME.map]`: what the maps need to know about a provider, and in which map it is told of its Tasks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The map in which the provider is told of its Tasks: a new document, or a change of the one it knows. None: it is
    /// not told.
    pub task: Option<String>,
    /// The map's own kind of answer (an HL7 v2 requester is answered by RRI rather than by a change of its REF).
    pub answers: bool,
    /// The kind of native document that the adapter is handed when it is told as the owner, where it has several.
    pub kind: Option<String>,
    /// The same when it is told as the requester.
    pub requester_kind: Option<String>,
    /// The states of a Task in which the provider is told as the requester; empty: all.
    pub tell: Vec<String>,
    /// Maps for what it sends, where the document does not say itself which it is (a table, a JSON document).
    pub maps: Vec<String>,
    /// How its tables are written: separator, quote, header. None: it sends none.
    pub table: Option<Dialect>,
    /// The zone of its times that name none: `"Europe/Helsinki"`. Default UTC.
    pub time_zone: Option<String>,
    /// The character set of documents that declare none: `"windows-1252"`. Default UTF-8.
    pub charset: Option<String>,
    /// Its assigning authorities: name → URI.
    pub authorities: BTreeMap<String, String>,
    /// Its code systems: name → URI.
    pub code_systems: BTreeMap<String, String>,
    /// Identifier systems by identifier type: `NNFIN` → URI.
    pub identifier_types: BTreeMap<String, String>,
    /// Facilities by the names it uses → `system|value` of the Organization.
    pub facilities: BTreeMap<String, String>,
    /// Further rows of the maps' tables: table → native code → FHIR code.
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
    /// The realm (`"fi"`) whose profiles its resources are to conform to, beside those they claim. Without it that of its
    /// maps, else that of `[exchange]`.
    pub realm: Option<String>,
    /// Profiles in place of the realm's: type → canonicals; an empty list: none for the type.
    pub profiles: BTreeMap<String, Vec<String>>,
    /// Send what its format can carry of a resource, and report the rest, rather than refuse.
    pub lossy: bool,
    /// The envelope of new HL7 v2 messages to it.
    pub envelope: Envelope,
}

/// `[providers.NAME.map.envelope]`: MSH-3 to MSH-6 of new messages, as the fields are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Envelope {
    /// MSH-3.
    pub sending_application: String,
    /// MSH-4.
    pub sending_facility: String,
    /// MSH-5.
    pub receiving_application: String,
    /// MSH-6.
    pub receiving_facility: String,
    /// MSH-12.
    pub version: String,
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            sending_application: "SILTA".to_owned(),
            sending_facility: String::new(),
            receiving_application: String::new(),
            receiving_facility: String::new(),
            version: "2.5.1".to_owned(),
        }
    }
}

/// One provider.
#[derive(Clone)]
pub struct Partner {
    /// Its connection, guarded by deadline, retries, breaker and bulkhead.
    pub connection: Arc<Connection>,
    /// What its maps need.
    pub settings: Settings,
    context: Context,
    profiles: Profiles,
}

impl std::fmt::Debug for Partner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partner").field("name", &self.connection.name).finish_non_exhaustive()
    }
}

fn named(pairs: &BTreeMap<String, String>) -> Vec<Named> {
    pairs.iter().map(|(name, uri)| Named::new(name, uri)).collect()
}

impl Settings {
    /// The settings of `[providers.NAME.map]`.
    ///
    /// # Errors
    /// The key that is wrong.
    pub fn of(table: &toml::Table) -> Result<Self, SetupError> {
        table.clone().try_into().map_err(|error: toml::de::Error| SetupError::new("map", error.message().to_owned()))
    }

    /// What these settings tell a translation; its time is to be set.
    ///
    /// # Errors
    /// The key that is wrong, below `providers.NAME`.
    pub fn context(&self, provider: &str, mode: Mode, secret: &[u8]) -> Result<Context, SetupError> {
        let mut context = Context::new(provider, Timestamp::UNIX_EPOCH, secret);
        if let Some(zone) = &self.time_zone {
            let zone = TimeZone::get(zone)
                .map_err(|_| SetupError::new("map.time_zone", format!("no time zone is named {zone}")))?;
            context.zone = Some(zone);
        }
        if let Some(name) = &self.charset {
            context.charset = Charset::named(name)
                .ok_or_else(|| SetupError::new("map.charset", format!("no character set is named {name}")))?;
        }
        context.authorities = named(&self.authorities);
        context.code_systems = named(&self.code_systems);
        context.identifier_types = named(&self.identifier_types);
        context.facilities = named(&self.facilities);
        context.tables = self
            .tables
            .iter()
            .map(|(table, rows)| {
                (table.clone(), rows.iter().map(|(native, fhir)| (native.clone(), fhir.clone())).collect())
            })
            .collect();
        context.loss = if self.lossy { Loss::Warn } else { Loss::Refuse };
        let envelope = self.envelope.clone();
        context.envelope.sending_application = envelope.sending_application;
        context.envelope.sending_facility = envelope.sending_facility;
        context.envelope.receiving_application = envelope.receiving_application;
        context.envelope.receiving_facility = envelope.receiving_facility;
        context.envelope.version = envelope.version;
        context.envelope.processing = if mode == Mode::Test { "T" } else { "P" }.to_owned();
        Ok(context)
    }
}

impl Partner {
    /// A provider with its settings read.
    ///
    /// # Errors
    /// The key that is wrong, below `providers.NAME.map`.
    pub(crate) fn new(
        connection: &Arc<Connection>,
        secret: &[u8],
        maps: &Maps,
        usual: &Profiles,
    ) -> Result<Self, SetupError> {
        let settings = Settings::of(&connection.map)?;
        let context = settings.context(&connection.name, connection.mode, secret)?;
        let profiles = match &settings.realm {
            Some(realm) => Profiles::of_realm(realm).map_err(|error| error.under("map"))?,
            None => settings
                .task
                .iter()
                .chain(&settings.maps)
                .filter_map(|name| maps.named(name).ok())
                .find_map(|map| Profiles::of_map(map))
                .unwrap_or_else(|| usual.clone()),
        };
        let profiles = profiles.with(&settings.profiles);
        Ok(Self { connection: Arc::clone(connection), settings, context, profiles })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.connection.name
    }

    /// What a translation is told, at a moment.
    #[must_use]
    pub fn context(&self, now: Timestamp) -> Context {
        Context { now, ..self.context.clone() }
    }

    /// The profiles that its resources of a type are to conform to.
    pub(crate) fn profiles_on(&self, kind: &str) -> Vec<&str> {
        self.profiles.on(kind)
    }

    /// Whether it is told of its Tasks: in a map's format, or as FHIR resources.
    pub(crate) fn is_told(&self) -> bool {
        self.settings.task.is_some() || super::plain::is_brought(self)
    }

    /// How its tables are written.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        let dialect = self.settings.table.clone().unwrap_or_default();
        if self.settings.charset.is_some() { Dialect { charset: self.context.charset, ..dialect } } else { dialect }
    }

    /// Whether it can be asked again for what it sent.
    #[must_use]
    pub fn is_live(&self) -> bool {
        use crate::provider::Adapter;
        self.connection.adapter.capabilities().liveness == Liveness::Live
    }

    /// Whether it carries made-up persons only.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.connection.mode == Mode::Test
    }

    /// The URI of the provider as a source (`meta.source`).
    #[must_use]
    pub fn source(&self) -> String {
        source_of(self.name())
    }
}

/// The URI of a provider as a source.
#[must_use]
pub fn source_of(provider: &str) -> String {
    format!("urn:silta:provider:{provider}")
}

/// The system under which a provider's own id of somebody else's resource is found.
#[must_use]
pub(crate) fn alias_system(provider: &str) -> String {
    format!("urn:silta:native:{provider}")
}
