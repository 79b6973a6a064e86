//! Noticing that files have changed.
//!
//! What is watched are folders, since editors and orchestrators replace files instead of writing them. An event only says
//! that something may have changed; whether it did is decided by content.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use silta_engine::mapping::Maps;
use tokio::sync::mpsc;

/// What is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Single files.
    pub files: BTreeSet<PathBuf>,
    /// Folders whose maps and schemas count, those that are not there yet too.
    pub maps: BTreeSet<PathBuf>,
}

/// The contents of what is watched, by hash. A file that cannot be read counts as empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<PathBuf, [u8; 32]>);

/// Watches files. Dropping it ends that.
pub struct Watch {
    watched: Watched,
    seen: Seen,
    changes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watched {
    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.files.extend(others.files);
        self.maps.extend(others.maps);
        self
    }

    /// Reads everything.
    #[must_use]
    pub fn look(&self) -> Seen {
        let files = self.files.iter().map(|file| (file.clone(), hash_of(file)));
        let trees = self.maps.iter().map(|folder| {
            let mut hash = Sha256::new();
            for (name, content) in Maps::read_tree(folder).unwrap_or_default() {
                for part in [name, content] {
                    hash.update(part.len().to_be_bytes());
                    hash.update(part);
                }
            }
            (folder.clone(), hash.finalize().into())
        });
        Seen(files.chain(trees).collect())
    }
}

impl Seen {
    /// What was seen, with one file as it was seen another time.
    #[must_use]
    pub fn but(mut self, file: &Path, hash: [u8; 32]) -> Self {
        self.0.insert(file.to_owned(), hash);
        self
    }

    /// The part of it that is about what is watched.
    #[must_use]
    pub fn of(&self, watched: &Watched) -> Self {
        let is_watched = |path: &PathBuf| watched.files.contains(path) || watched.maps.contains(path);
        Self(self.0.iter().filter(|(path, _)| is_watched(path)).map(|(path, hash)| (path.clone(), *hash)).collect())
    }
}

/// The hash of a file's content.
#[must_use]
pub fn hash_of(file: &Path) -> [u8; 32] {
    Sha256::digest(std::fs::read(file).unwrap_or_default()).into()
}

impl Watch {
    /// Watches what had these contents when it was last read.
    ///
    /// # Errors
    /// When the operating system cannot watch one of the folders.
    pub fn new(watched: Watched, seen: &Seen) -> Result<Self, notify::Error> {
        let names: BTreeSet<OsString> =
            watched.files.iter().filter_map(|file| file.file_name()).map(OsString::from).collect();
        let has_maps = !watched.maps.is_empty();
        let (sender, changes) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
            let concerns = event.is_ok_and(|event| {
                !event.kind.is_access()
                    && event.paths.iter().filter_map(|path| path.file_name()).any(|name| {
                        let text = name.to_string_lossy();
                        // Kubernetes exchanges a link named `..data` beside the files. A folder of maps may come, go and
                        // be renamed as a whole.
                        let of_maps = || text.ends_with(".map") || text.ends_with(".json") || !text.contains('.');
                        names.contains(name) || text.starts_with("..") || (has_maps && of_maps())
                    })
            });
            if concerns {
                // One waiting notice is as good as many.
                let _ = sender.try_send(());
            }
        })?;
        let folders: BTreeSet<PathBuf> =
            watched.files.iter().chain(&watched.maps).filter_map(|path| path.parent()).map(here).collect();
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        for folder in watched.maps.iter().filter(|folder| folder.is_dir()) {
            watcher.watch(folder, RecursiveMode::Recursive)?;
        }
        let seen = seen.of(&watched);
        Ok(Self { watched, seen, changes, _watcher: watcher })
    }

    /// Waits until something may have changed.
    pub async fn event(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the contents are others than those that were last read.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.watched.look() != self.seen
    }
}

fn here(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
}
