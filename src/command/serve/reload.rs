//! Reading configuration and certificates again while the gateway runs.
//!
//! Everything new is read and checked before anything old is given up; what is wrong is logged and counted, and the old
//! stays.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::assembly::settings;
use crate::clock::Clock;
use crate::config::watch::{Watch, digest};
use crate::config::{Config, ConfigError, Loaded};
use crate::exchange::mllp;
use crate::gateway::Control;

/// How long files must have been quiet: several belong together and are not replaced at one moment.
const QUIET: Duration = Duration::from_millis(200);

/// What is reloaded, and how.
pub(super) struct Reloads {
    file: PathBuf,
    /// As it is in use: with the values that the start fixed.
    running: Mutex<Loaded>,
    /// The hash of the files' contents when they were last read, whether they were taken or refused.
    seen: Mutex<[u8; 32]>,
    control: Control,
    /// The listeners for messages, in the order of the configuration.
    listeners: Vec<mllp::Reload>,
    clock: Clock,
}

impl Reloads {
    pub(super) fn new(loaded: Loaded, control: Control, listeners: Vec<mllp::Reload>, clock: Clock) -> Self {
        let seen = Mutex::new(digest(&files(&loaded)));
        Self { file: loaded.file.clone(), running: Mutex::new(loaded), seen, control, listeners, clock }
    }

    /// Reads everything again and uses it, or refuses it as a whole.
    fn reload(&self) {
        let now = digest(&files(&self.running.lock().unwrap_or_else(PoisonError::into_inner)));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let taken = self.try_reload();
        self.control.count_reload(taken.is_ok());
        match taken {
            Ok(later) if later.is_empty() => tracing::info!("configuration and certificates read again"),
            Ok(later) => tracing::warn!(
                keys = later.join(", "),
                "configuration and certificates read again; these keys are read at start only and keep their values"
            ),
            Err(error) => tracing::error!(%error, "the new configuration is refused, the old one stays in use"),
        }
    }

    fn try_reload(&self) -> Result<Vec<&'static str>, ConfigError> {
        let mut loaded = Loaded::read(&self.file)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let later = loaded.needing_restart(&running.config);
        keep(&mut loaded.config, &running.config);
        let settings = settings(&loaded, &self.clock)?;
        for (number, (listener, config)) in self.listeners.iter().zip(&loaded.config.mllp).enumerate() {
            listener.certificates(config, &loaded.base).map_err(|error| {
                let error = error.under(&format!("mllp.{number}"));
                loaded.wrong(&error.key, &error.what)
            })?;
        }
        self.control.replace(settings);
        *running = loaded;
        Ok(later)
    }

    /// Watches the files whose change asks for a reload, compared with what was last read.
    fn watch(&self) -> Result<Watch, notify::Error> {
        let files = files(&self.running.lock().unwrap_or_else(PoisonError::into_inner));
        Watch::new(files, *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The files whose change asks for a reload.
fn files(loaded: &Loaded) -> Vec<PathBuf> {
    let tls = &loaded.config.tls;
    let named = [&tls.certificate, &tls.key, &tls.client_ca, &tls.client_crl];
    let named = named.into_iter().flatten().map(|path| loaded.base.join(path));
    let listeners = loaded.config.mllp.iter().filter_map(|listener| listener.tls.as_ref());
    let theirs = listeners.flat_map(|tls| [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref()]);
    let theirs = theirs.flatten().map(|path| loaded.base.join(path));
    std::iter::once(loaded.file.clone()).chain(named).chain(theirs).collect()
}

/// Keeps what is read at start only.
fn keep(new: &mut Config, running: &Config) {
    new.state.clone_from(&running.state);
    new.server.listen = running.server.listen;
    new.server.bodies_bytes = running.server.bodies_bytes;
    new.admin.clone_from(&running.admin);
    new.log.clone_from(&running.log);
    new.store.clone_from(&running.store);
    new.providers.clone_from(&running.providers);
    new.mllp.clone_from(&running.mllp);
}

/// Reloads whenever a file has changed, or `hung_up` counts on.
pub(super) async fn run(reloads: Arc<Reloads>, mut hung_up: watch::Receiver<u64>) {
    loop {
        let mut watch = match reloads.watch() {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::warn!(%error, "files cannot be watched: send SIGHUP after changing them");
                None
            }
        };
        tokio::select! {
            changed = hung_up.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = content_changed(watch.as_mut(), &reloads.clock) => {}
        }
        reloads.reload();
    }
}

/// Waits until files have other contents, and have been quiet for a moment.
async fn content_changed(watch: Option<&mut Watch>, clock: &Clock) {
    let Some(watch) = watch else { return std::future::pending().await };
    while !watch.has_changed() {
        watch.event().await;
        while clock.deadline(clock.instant().after(QUIET), watch.event()).await.is_ok() {}
    }
}
