//! The collector: looks, takes the first complete file, has it handled, moves it, and looks again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};

use super::folder::{Folder, Found};
use super::metrics::Handles;
use super::{CollectedFile, Complete, Config, Handler, Metrics, UnreadFile, Verdict};
use crate::clock::{Clock, Instant};
use crate::provider::SetupError;
use crate::provider::files::pattern::Pattern;

/// One folder, ready to be collected from.
pub struct Collector {
    provider: Arc<str>,
    config: Config,
    folder: Arc<Folder>,
    clock: Clock,
    metrics: Handles,
    /// When each file was first seen as it is now, for [`Complete::Stable`].
    seen: BTreeMap<String, (Found, Instant)>,
}

/// A collector at work. Dropping it stops it at once, which is safe; [`Running::drain`] lets it finish its file.
#[derive(Debug)]
pub struct Running {
    clock: Clock,
    drain: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The drain's deadline came before the file at hand was done; it will be handed over again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file was still being handled at the deadline")]
pub struct Cut;

/// What to wait for before the next look.
enum Pause {
    /// Nothing: there may be more to take.
    None,
    /// A change in the folder, or the next regular look.
    Change,
    /// A while, whatever changes.
    Retry,
}

impl Collector {
    /// Opens the folder and makes `done` and `set-aside`.
    ///
    /// # Errors
    /// When a folder or the pattern is not usable. Keys are relative to the collector's table.
    pub fn open(config: Config, base: &Path, clock: Clock, metrics: &Metrics) -> Result<Self, SetupError> {
        let pattern = Pattern::parse(&config.name).map_err(|what| SetupError::new("name", what))?;
        let incoming = base.join(&config.folder);
        let beside =
            |path: &Option<_>, name: &str| path.as_ref().map_or_else(|| incoming.join(name), |path| base.join(path));
        let folder = Folder {
            done: beside(&config.done, "done"),
            set_aside: beside(&config.set_aside, "set-aside"),
            incoming,
            pattern,
            limit: config.file_limit,
        };
        if folder.done == folder.incoming || folder.set_aside == folder.incoming {
            return Err(SetupError::new(
                "done",
                "files that were taken cannot stay in the folder that they are taken from",
            ));
        }
        folder.prepare().map_err(|error| SetupError::new("folder", error.to_string()))?;
        let provider = Arc::from(config.provider.as_str());
        let metrics = metrics.of(&config.provider);
        Ok(Self { provider, config, folder: Arc::new(folder), clock, metrics, seen: BTreeMap::new() })
    }

    /// Begins to collect.
    #[must_use]
    pub fn start(self, handler: Arc<dyn Handler>) -> Running {
        let (drain, draining) = watch::channel(false);
        let clock = self.clock.clone();
        Running { clock, drain, task: tokio::spawn(self.run(handler, draining)) }
    }

    async fn run(mut self, handler: Arc<dyn Handler>, mut draining: watch::Receiver<bool>) {
        let changed = Arc::new(Notify::new());
        let _watcher = self.watcher(Arc::clone(&changed));
        while !*draining.borrow() {
            let pause = match self.step(&handler).await {
                Ok(pause) => pause,
                Err(error) => {
                    self.metrics.failed.inc();
                    tracing::error!(provider = %self.provider, %error, "the folder cannot be used");
                    Pause::Retry
                }
            };
            let wait = match pause {
                Pause::None => continue,
                Pause::Change => self.config.poll.0,
                Pause::Retry => self.config.retry.0,
            };
            tokio::select! {
                biased;
                _ = draining.wait_for(|drain| *drain) => break,
                () = self.clock.sleep(wait) => {}
                () = changed.notified(), if matches!(pause, Pause::Change) => {}
            }
        }
    }

    /// The operating system's word on changes; without it the regular look remains.
    fn watcher(&self, changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
        let tell = move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| is_only_looking(&event)) {
                changed.notify_one();
            }
        };
        let watching = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(&self.folder.incoming, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        watching
            .inspect_err(|error| tracing::warn!(provider = %self.provider, %error, "the folder is only polled"))
            .ok()
    }

    /// One look, and at most one file.
    async fn step(&mut self, handler: &Arc<dyn Handler>) -> io::Result<Pause> {
        let folder = Arc::clone(&self.folder);
        let look = blocking(move || folder.look()).await?;
        self.metrics.waiting.set(count(look.files.len()));
        self.metrics.strange.set(count(look.strange));
        // Order is kept: a file that is not whole yet holds those behind it.
        let whole = look.files.first().filter(|first| self.whole(first)).cloned();
        self.remember(&look.files);
        let Some(found) = whole else { return Ok(Pause::Change) };
        let (folder, name) = (Arc::clone(&self.folder), found.name.clone());
        let Some(bytes) = blocking(move || folder.read(&name)).await? else {
            self.metrics.too_large.inc();
            tracing::warn!(provider = %self.provider, sequence = found.sequence, "a file is set aside: larger than the limit");
            let errors = format!("{}: larger than {} bytes\n", found.name, self.config.file_limit);
            let unread = UnreadFile {
                provider: Arc::clone(&self.provider),
                name: found.name.clone(),
                sequence: found.sequence,
                size: found.size,
                limit: self.config.file_limit,
            };
            if !handler.unread(&unread).await {
                return Ok(Pause::Retry);
            }
            return self.refuse(found.name, errors).await;
        };
        let file = CollectedFile {
            provider: Arc::clone(&self.provider),
            name: found.name.clone(),
            sequence: found.sequence,
            bytes: bytes.into(),
            modified: found.modified,
        };
        let handler = Arc::clone(handler);
        // A task of its own, so that a handler that fails badly does not end the collector.
        let verdict = tokio::spawn(async move { handler.handle(&file).await }).await.unwrap_or_else(|_| {
            tracing::error!(provider = %self.provider, "the handler of files failed");
            Verdict::Later
        });
        match verdict {
            Verdict::Taken => {
                self.metrics.taken.inc();
                let folder = Arc::clone(&self.folder);
                blocking(move || folder.finish(&found.name)).await?;
                Ok(Pause::None)
            }
            Verdict::TakenInPart { rejected, errors } => {
                self.metrics.taken_in_part.inc();
                let folder = Arc::clone(&self.folder);
                blocking(move || folder.finish_in_part(&found.name, &rejected, &errors)).await?;
                Ok(Pause::None)
            }
            Verdict::Refused { errors } => {
                self.metrics.refused.inc();
                self.refuse(found.name, errors).await
            }
            Verdict::Later => {
                self.metrics.later.inc();
                Ok(Pause::Retry)
            }
        }
    }

    async fn refuse(&self, name: String, errors: String) -> io::Result<Pause> {
        let folder = Arc::clone(&self.folder);
        blocking(move || folder.refuse(&name, &errors)).await?;
        Ok(Pause::None)
    }

    fn whole(&self, found: &Found) -> bool {
        match self.config.complete {
            Complete::Renamed => true,
            Complete::Stable => self.seen.get(&found.name).is_some_and(|(before, since)| {
                before == found && self.clock.instant().since(*since) >= self.config.stable.0
            }),
        }
    }

    fn remember(&mut self, files: &[Found]) {
        let now = self.clock.instant();
        let mut before = std::mem::take(&mut self.seen);
        for found in files {
            let since = before.remove(&found.name).filter(|(old, _)| old == found).map_or(now, |(_, since)| since);
            self.seen.insert(found.name.clone(), (found.clone(), since));
        }
    }
}

impl Running {
    /// Finishes the file at hand and stops.
    ///
    /// # Errors
    /// [`Cut`] when `deadline` came first.
    pub async fn drain(mut self, deadline: Instant) -> Result<(), Cut> {
        let _ = self.drain.send(true);
        let clock = self.clock.clone();
        clock.deadline(deadline, &mut self.task).await.map(|_| ()).map_err(|_| Cut)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(io::Error::other("a task on the folder ended in a panic")))
}

fn count(files: usize) -> i64 {
    i64::try_from(files).unwrap_or(i64::MAX)
}

/// Whether an event tells of nothing but a look at the folder, such as the collector's own: answering those with another
/// look would never end.
fn is_only_looking(event: &notify::Event) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
mod tests {
    use super::*;

    #[test]
    fn looking_at_a_folder_is_no_change_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, changes) = std::sync::mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let event = event.unwrap();
            if !is_only_looking(&event) {
                sender.send(event).unwrap();
            }
        })
        .unwrap();
        watcher.watch(folder.path(), RecursiveMode::NonRecursive).unwrap();
        for _ in 0..3 {
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let first = changes.recv().unwrap();
        assert!(first.kind.is_create() && first.paths.iter().any(|path| path.ends_with("a")), "{first:?}");
    }
}
