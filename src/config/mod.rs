//! Configuration: TOML assembled from each module's own, checked, reloaded.
//!
//! Each module says what its keys mean and which defaults they have; here they become one file. `deploy/silta.toml` shows
//! every key.

mod error;
mod locate;
pub mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::error::ConfigError;
use crate::access::callers::Callers;
use crate::{access, exchange, gateway, provider, store, telemetry};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder for what the program keeps: the store, and development certificates. Made at the first start. A relative path starts at the configuration's folder.
    pub state: PathBuf,
    /// The FHIR interface.
    pub server: gateway::config::Config,
    /// How its connections are secured.
    pub tls: access::tls::Config,
    /// Who may call it.
    pub access: access::config::Config,
    /// The administrators' port.
    pub admin: gateway::admin::Config,
    /// Logging.
    pub log: telemetry::logs::Config,
    /// The store.
    pub store: store::Config,
    /// Organisations' systems, by name.
    pub providers: BTreeMap<String, provider::registry::Config>,
    /// Listeners for HL7 v2 messages.
    pub mllp: Vec<exchange::mllp::Config>,
    /// Folders that files are collected from.
    pub collect: Vec<exchange::files::Config>,
    /// What becomes of messages and documents.
    pub exchange: exchange::Config,
    /// Who is asked for what is not kept here.
    pub federation: gateway::federation::Config,
    /// What providers answered, kept for a while.
    pub cache: gateway::cache::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state: PathBuf::from("state"),
            server: gateway::config::Config::default(),
            tls: access::tls::Config::default(),
            access: access::config::Config::default(),
            admin: gateway::admin::Config::default(),
            log: telemetry::logs::Config::default(),
            store: store::Config::default(),
            providers: BTreeMap::new(),
            mllp: Vec::new(),
            collect: Vec::new(),
            exchange: exchange::Config::default(),
            federation: gateway::federation::Config::default(),
            cache: gateway::cache::Config::default(),
        }
    }
}

/// A configuration that was read from a file.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// The file.
    pub file: PathBuf,
    /// The folder at which relative paths in it start.
    pub base: PathBuf,
    text: String,
}

impl Loaded {
    /// Reads a file and checks what can be checked without opening anything that it names.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the file.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|error| ConfigError::Unreadable { file: file.to_owned(), error })?;
        Self::parse(file, text)
    }

    /// Reads the text of a file, as [`Loaded::read`] does.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the text.
    pub fn parse(file: &Path, text: String) -> Result<Self, ConfigError> {
        let config = toml::from_str(&text).map_err(|error| ConfigError::of_toml(file, &text, &error))?;
        let base = file.parent().filter(|base| !base.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let loaded = Self { config, file: file.to_owned(), base, text };
        loaded.check()?;
        Ok(loaded)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let config = &self.config;
        config.server.check().map_err(|error| self.wrong(&error.key(), &error))?;
        config.log.check().map_err(|error| self.wrong("log.level", &error))?;
        let callers = Callers::new(&config.access).map_err(|error| self.wrong(&error.key(), &error))?;
        callers.allow_listening_on(config.server.listen).map_err(|error| self.wrong(&error.key(), &error))
    }

    /// Something is wrong with the value of a key, given as its dotted path.
    #[must_use]
    pub fn wrong(&self, key: &str, what: &impl std::fmt::Display) -> ConfigError {
        ConfigError::of_value(&self.file, &self.text, key, what.to_string())
    }

    /// The folder for what the program keeps.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.base.join(&self.config.state)
    }

    /// The store's configuration, its folder resolved.
    #[must_use]
    pub fn store(&self) -> store::Config {
        let folder = self.state().join(&self.config.store.folder);
        store::Config { folder, ..self.config.store.clone() }
    }

    /// The folder of further maps, resolved.
    #[must_use]
    pub fn map_folder(&self) -> Option<PathBuf> {
        self.config.exchange.profiles.as_ref().map(|folder| self.base.join(folder))
    }

    /// Keys that differ from `running` and are read at start only.
    #[must_use]
    pub fn needing_restart(&self, running: &Config) -> Vec<&'static str> {
        let new = &self.config;
        let differ = [
            ("state", new.state != running.state),
            ("server.listen", new.server.listen != running.server.listen),
            ("server.bodies_bytes", new.server.bodies_bytes != running.server.bodies_bytes),
            ("admin", new.admin != running.admin),
            ("log", new.log != running.log),
            ("store", new.store != running.store),
            ("cache", new.cache != running.cache),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}
