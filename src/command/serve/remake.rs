//! What a configuration makes of providers and maps: the exchange, and who is asked. Made whole, then taken whole.

use std::sync::Arc;

use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;
use silta_engine::mapping::syntax::{Level, NativeType};

use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::exchange::{self, Current, Exchange};
use crate::gateway::bridge::Translating;
use crate::gateway::federation::{Federation, Sources, Translation};
use crate::provider::{self, Random, Setup, SetupError};
use crate::store::{Commit, Write};

/// The files of the configured folder of maps: name and content.
pub(super) type MapFiles = Vec<(String, String)>;

/// What another configuration's providers and maps are made with, and where they are put to use.
pub(super) struct Remaking {
    current: Current,
    federation: Arc<Federation>,
    metrics: provider::metrics::Metrics,
    random: Random,
    clock: Clock,
    files: MapFiles,
}

/// An exchange that is not in use yet.
pub(super) struct Remade {
    pub(super) exchange: Exchange,
    federation: crate::gateway::federation::Config,
    files: MapFiles,
    is_new: bool,
}

impl Remaking {
    /// `files`: the maps that the current exchange was made with.
    pub(super) fn new(
        current: Current,
        federation: Arc<Federation>,
        metrics: provider::metrics::Metrics,
        random: Random,
        clock: Clock,
        files: MapFiles,
    ) -> Self {
        Self { current, federation, metrics, random, clock, files }
    }

    /// Makes what a configuration says; what is as it was before is kept.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the file.
    pub(super) fn prepare(&self, loaded: &Loaded, running: &Loaded) -> Result<Remade, ConfigError> {
        let (now, files) = (self.current.now(), map_files(loaded)?);
        let parts = now.parts();
        let maps = if files == self.files { Arc::clone(&parts.maps) } else { Arc::new(maps(loaded, &files)?) };
        let registry = {
            let setup = Setup {
                folder: &loaded.base,
                clock: self.clock.clone(),
                random: self.random.clone(),
                metrics: &self.metrics,
                schema: &|name| schema(&maps, name),
            };
            let registry = parts.registry.succeed(&loaded.config.providers, &setup);
            registry.map_err(|errors| first(loaded, &errors))?
        };
        let (config, before) = (&loaded.config, &running.config);
        let is_same = Arc::ptr_eq(&maps, &parts.maps)
            && registry.is(&parts.registry)
            && (&config.exchange, &config.federation) == (&before.exchange, &before.federation);
        let exchange = if is_same {
            now
        } else {
            let parts = exchange::Parts { registry: Arc::new(registry), maps, ..parts.clone() };
            now.succeed(&config.exchange, parts).map_err(|errors| first(loaded, &errors))?
        };
        Ok(Remade { exchange, federation: config.federation.clone(), files, is_new: !is_same })
    }

    /// Takes it for whatever begins from now on. What was answered before is not given again.
    pub(super) async fn install(&mut self, remade: Remade) {
        self.files = remade.files;
        if !remade.is_new {
            return;
        }
        let (before, registry) = (self.current.now(), Arc::clone(&remade.exchange.parts().registry));
        let sources = Sources::of(&registry, self.federation.version().wrapping_add(1));
        let translation = Translating::by(remade.exchange.clone()) as Arc<dyn Translation>;
        self.current.replace(remade.exchange);
        self.federation.replace(sources, translation, remade.federation);
        let changed = before.parts().registry.retire(&registry).await;
        self.hasten(changed).await;
    }
}

impl Remaking {
    /// What waits for a provider that is reached otherwise now is tried again at once.
    async fn hasten(&self, providers: Vec<String>) {
        let due = self.clock.now();
        let write: Vec<Write> = providers.into_iter().map(|provider| Write::Hasten { provider, due }).collect();
        if write.is_empty() {
            return;
        }
        let store = self.current.now().parts().store.clone();
        if let Err(error) = store.commit(Commit { expect: Vec::new(), write }).await {
            tracing::warn!(%error, "messages that wait for a provider stay due when they were");
        }
    }
}

/// The files of the configured folder of maps.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn map_files(loaded: &Loaded) -> Result<MapFiles, ConfigError> {
    let Some(folder) = loaded.map_folder() else { return Ok(Vec::new()) };
    Maps::read_tree(&folder)
        .map_err(|error| loaded.wrong("exchange.profiles", &format!("{}: {error}", folder.display())))
}

/// The maps of the program, and these over them.
///
/// # Errors
/// The first mistake in them.
pub(super) fn maps(loaded: &Loaded, files: &MapFiles) -> Result<Maps, ConfigError> {
    if files.is_empty() {
        return Ok(Maps::embedded(Model::r4()));
    }
    let maps = Maps::with(Model::r4(), files);
    let wrong = maps.problems().iter().find(|problem| problem.level == Level::Error);
    match wrong {
        Some(problem) => Err(loaded.wrong("exchange.profiles", problem)),
        None => Ok(maps),
    }
}

/// The JSON Schema of this name that comes with a map.
pub(super) fn schema(maps: &Maps, name: &str) -> Option<Vec<u8>> {
    maps.iter().find_map(|map| match map.native() {
        NativeType::Json { schema, .. } if schema == name || schema.ends_with(&format!("/{name}")) => {
            serde_json::to_vec(map.json_schema()?).ok()
        }
        _ => None,
    })
}

/// The first of several, with its place in the file.
pub(super) fn first(loaded: &Loaded, errors: &[SetupError]) -> ConfigError {
    let (key, what) =
        errors.first().map_or(("providers", "cannot be used"), |error| (error.key.as_str(), error.what.as_str()));
    loaded.wrong(key, &what)
}
