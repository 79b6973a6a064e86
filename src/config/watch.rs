//! Noticing that files have changed.
//!
//! What is watched are folders, since editors and orchestrators replace files instead of writing them. An event only says
//! that something may have changed; whether it did is decided by content.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

/// Watches files. Dropping it ends that.
pub struct Watch {
    files: Vec<PathBuf>,
    seen: [u8; 32],
    changes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches these files, whose contents had the hash `seen` ([`digest`]) when they were last read.
    ///
    /// # Errors
    /// When the operating system cannot watch one of their folders.
    pub fn new(files: Vec<PathBuf>, seen: [u8; 32]) -> Result<Self, notify::Error> {
        let names: BTreeSet<OsString> = files.iter().filter_map(|file| file.file_name()).map(OsString::from).collect();
        let (sender, changes) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
            let concerns = event.is_ok_and(|event| {
                !event.kind.is_access()
                    && event.paths.iter().filter_map(|path| path.file_name()).any(|name| {
                        // Kubernetes exchanges a link named `..data` beside the files.
                        names.contains(name) || name.to_string_lossy().starts_with("..")
                    })
            });
            if concerns {
                // One waiting notice is as good as many.
                let _ = sender.try_send(());
            }
        })?;
        let folders: BTreeSet<PathBuf> = files
            .iter()
            .filter_map(|file| file.parent())
            .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
            .collect();
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { files, seen, changes, _watcher: watcher })
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
        digest(&self.files) != self.seen
    }
}

/// One hash over the contents of all files; one that cannot be read counts as empty.
#[must_use]
pub fn digest(files: &[PathBuf]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in files {
        let content = std::fs::read(file).unwrap_or_default();
        hash.update(content.len().to_be_bytes());
        hash.update(content);
    }
    hash.finalize().into()
}
