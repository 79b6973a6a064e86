//! Reading configuration, certificates and maps again while the gateway runs.
//!
//! Everything new is read, checked and bound before anything old is given up; what is wrong is logged and counted, and the
//! old stays, whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::assembly::settings;
use super::doors::Doors;
use super::remake::Remaking;
use crate::clock::{Clock, Instant};
use crate::config::watch::{Seen, Watch, Watched, hash_of};
use crate::config::{Config, ConfigError, Loaded};
use crate::gateway::Control;

/// How long files must have been quiet: several belong together and are not replaced at one moment.
const QUIET: Duration = Duration::from_millis(200);

/// What is reloaded, and how.
pub(super) struct Reloads {
    file: PathBuf,
    state: Mutex<State>,
    control: Control,
    clock: Clock,
}

struct State {
    /// As it is in use: with the values that the start fixed.
    running: Loaded,
    /// What was refused last: the files that it names may come yet.
    refused: Option<Loaded>,
    /// What was read last, whether it was taken or refused.
    seen: Seen,
    remaking: Remaking,
    doors: Doors,
    is_stopping: bool,
}

impl Reloads {
    pub(super) fn new(loaded: Loaded, control: Control, remaking: Remaking, doors: Doors, clock: Clock) -> Self {
        let (file, seen) = (loaded.file.clone(), watched(&loaded).look());
        let state = State { running: loaded, refused: None, seen, remaking, doors, is_stopping: false };
        Self { file, state: Mutex::new(state), control, clock }
    }

    /// Reads everything again and uses it, or refuses it as a whole.
    async fn reload(&self) {
        let mut state = self.state.lock().await;
        if state.is_stopping {
            return;
        }
        // What is seen is looked at before it is read, so that a change meanwhile asks for another time.
        let before = hash_of(&self.file);
        let loaded = Loaded::read(&self.file);
        let about = loaded.as_ref().map_or_else(|_| Watched::default(), watched);
        state.seen = state.watched().and(about).look().but(&self.file, before);
        let taken = match loaded {
            Ok(loaded) => {
                let taken = self.take(&mut state, loaded.clone()).await;
                state.refused = taken.is_err().then_some(loaded);
                taken
            }
            Err(error) => Err(error),
        };
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

    /// Gives the keys that differ and keep their values.
    async fn take(&self, state: &mut State, mut loaded: Loaded) -> Result<Vec<&'static str>, ConfigError> {
        let later = loaded.needing_restart(&state.running.config);
        keep(&mut loaded.config, &state.running.config);
        let remade = state.remaking.prepare(&loaded, &state.running)?;
        let settings = settings(&loaded, &self.clock)?;
        let plan = state.doors.plan(&loaded, &remade.exchange).await?;
        // Nothing fails from here on. What a door that closes has whole ends with the old configuration.
        let deadline = self.clock.instant().after(state.running.config.server.stop_time);
        state.doors.close(&plan, deadline).await;
        state.remaking.install(remade).await;
        self.control.replace(settings);
        state.doors.open(plan);
        state.running = loaded;
        Ok(later)
    }

    /// Watches the files whose change asks for a reload, compared with what was last read.
    async fn watch(&self) -> Result<Watch, notify::Error> {
        let state = self.state.lock().await;
        Watch::new(state.watched(), &state.seen)
    }

    /// Closes the doors beside the interface and takes no configuration any more. Gives how many were cut at the deadline.
    pub(super) async fn stop(&self, deadline: Instant) -> usize {
        let mut state = self.state.lock().await;
        state.is_stopping = true;
        state.doors.drain(deadline).await
    }
}

impl State {
    fn watched(&self) -> Watched {
        let refused = self.refused.as_ref().map_or_else(Watched::default, watched);
        watched(&self.running).and(refused)
    }
}

/// The files whose change asks for a reload.
fn watched(loaded: &Loaded) -> Watched {
    let tls = &loaded.config.tls;
    let named = [&tls.certificate, &tls.key, &tls.client_ca, &tls.client_crl].into_iter().flatten().cloned();
    let listeners = loaded.config.mllp.iter().filter_map(|listener| listener.tls.as_ref());
    let listeners = listeners.flat_map(|tls| [Some(&tls.certificate), Some(&tls.key), tls.client_ca.as_ref()]);
    let providers = loaded.config.providers.values().flat_map(crate::provider::registry::Config::files);
    let named = named.chain(listeners.flatten().cloned()).chain(providers).map(|path| loaded.base.join(path));
    Watched {
        files: named.chain(std::iter::once(loaded.file.clone())).collect(),
        maps: loaded.map_folder().into_iter().collect(),
    }
}

/// Keeps what is read at start only.
fn keep(new: &mut Config, running: &Config) {
    new.state.clone_from(&running.state);
    new.server.listen = running.server.listen;
    new.server.bodies_bytes = running.server.bodies_bytes;
    new.admin.clone_from(&running.admin);
    new.log.clone_from(&running.log);
    new.store.clone_from(&running.store);
    new.cache.clone_from(&running.cache);
}

/// Reloads whenever a file has changed, or `hung_up` counts on.
pub(super) async fn run(reloads: Arc<Reloads>, mut hung_up: watch::Receiver<u64>) {
    loop {
        let mut watch = match reloads.watch().await {
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
        reloads.reload().await;
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
