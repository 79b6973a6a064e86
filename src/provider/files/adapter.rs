//! The adapter: each delivery a file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Config;
use super::ledger::Ledger;
use super::pattern::{Parts, Pattern};
use crate::clock::{Clock, Instant};
use crate::provider::{
    Action, Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Interactions, Liveness, NativeDocument,
    Read, Receipt, Search, SetupError,
};

/// A provider's drop folder.
pub struct Files {
    capabilities: Capabilities,
    pattern: Pattern,
    folder: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    clock: Clock,
}

impl Files {
    /// The adapter of one folder.
    ///
    /// # Errors
    /// When the folder is not there, its note cannot be read, or the pattern of names is not usable.
    pub fn new(config: Config, base: &Path, clock: Clock) -> Result<Self, SetupError> {
        let pattern = Pattern::parse(&config.name).map_err(|what| SetupError::new("name", what))?;
        if !pattern.has_sequence() || !pattern.writes() {
            return Err(SetupError::new("name", "needs {sequence}, so that no name comes twice, and no {any}"));
        }
        for (name, interactions) in &config.types {
            if interactions.read || interactions.search {
                return Err(SetupError::new(format!("types.{name}"), "a drop folder offers create and update only"));
            }
        }
        let folder = base.join(&config.folder);
        let key = if config.ledger.is_some() { "ledger" } else { "folder" };
        let path = config.ledger.map_or_else(|| folder.join(".silta-sequence.json"), |path| base.join(path));
        if !folder.is_dir() {
            return Err(SetupError::new("folder", "there is no such folder"));
        }
        let ledger = Ledger::open(&path).map_err(|error| SetupError::new(key, error.to_string()))?;
        let capabilities = Capabilities { liveness: Liveness::PushOnly, types: config.types };
        Ok(Self { capabilities, pattern, folder, ledger, clock })
    }

    async fn drop_file(&self, delivery: &Delivery) -> Result<Receipt, AdapterError> {
        let Interactions { create, update, .. } = self.capabilities.of(&delivery.resource_type);
        let offered = match delivery.action {
            Action::Create => create,
            Action::Update { .. } => update,
        };
        if !offered {
            return Err(AdapterError::NotSupported { what: format!("this action on {}", delivery.resource_type) });
        }
        let (ledger, pattern, now) = (Arc::clone(&self.ledger), self.pattern.clone(), self.clock.now());
        let folder = self.folder.clone();
        let delivery = delivery.clone();
        // The disk blocks. Once begun it is not cancelled: what is dropped with the future is only the waiting.
        let written = tokio::task::spawn_blocking(move || {
            let kind = delivery.kind.as_deref().unwrap_or(&delivery.resource_type);
            let name = |sequence| pattern.name(&Parts { sequence, now, resource_type: &delivery.resource_type, kind });
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.drop_file(&folder, &delivery.message_id, &delivery.bytes, name)
        });
        written
            .await
            .map_err(|_| AdapterError::Internal { what: "writing a file" })?
            .map_err(|error| AdapterError::Folder { what: error.to_string() })?;
        Ok(Receipt::silent())
    }
}

impl Adapter for Files {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn read<'a>(&'a self, read: &'a Read, _: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        let what = format!("read of {} from a drop folder", read.resource_type);
        Box::pin(std::future::ready(Err(AdapterError::NotSupported { what })))
    }

    fn search<'a>(&'a self, _: &'a Search, _: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        let what = "search in a drop folder".to_owned();
        Box::pin(std::future::ready(Err(AdapterError::NotSupported { what })))
    }

    fn submit<'a>(&'a self, delivery: &'a Delivery, deadline: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        Box::pin(async move {
            let dropped = self.clock.deadline(deadline, self.drop_file(delivery)).await;
            dropped.unwrap_or(Err(AdapterError::TimedOut { sent: true }))
        })
    }

    /// Always: a message is noted by its id before its file appears.
    fn repeatable(&self, _: &Delivery) -> bool {
        true
    }
}
