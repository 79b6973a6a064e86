//! The note on disk of the next number and of the last messages' names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How many messages are remembered.
const REMEMBERED: usize = 512;

/// What is noted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// The number of the next file.
    next: u64,
    /// The last messages, the oldest first.
    recent: Vec<Dropped>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Dropped {
    /// SHA-256 of the message's id.
    message: String,
    /// The file's name.
    name: String,
}

/// The note. All of it blocks.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    note: Note,
}

/// The notes that are open, so that two connections that follow one another on one folder count as one.
static OPEN: Mutex<BTreeMap<PathBuf, Weak<Mutex<Ledger>>>> = Mutex::new(BTreeMap::new());

impl Ledger {
    /// The note at this place: the one that is open, else as it is on the disk.
    ///
    /// # Errors
    /// When the note cannot be read, or its folder is not there.
    pub(super) fn open(path: &Path) -> io::Result<Arc<Mutex<Self>>> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let path = fs::canonicalize(folder)?.join(path.file_name().unwrap_or_default());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, ledger| ledger.strong_count() > 0);
        if let Some(ledger) = open.get(&path).and_then(Weak::upgrade) {
            return Ok(ledger);
        }
        let ledger = Arc::new(Mutex::new(Self::read(path.clone())?));
        open.insert(path, Arc::downgrade(&ledger));
        Ok(ledger)
    }

    fn read(path: PathBuf) -> io::Result<Self> {
        let note = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Note { next: 1, recent: Vec::new() },
            Err(error) => return Err(error),
        };
        Ok(Self { path, note })
    }

    /// Brings one message into a folder, once, and gives its file's name.
    ///
    /// # Errors
    /// When the disk refuses. Tried again, it goes on where it stopped.
    pub(super) fn drop_file(
        &mut self,
        folder: &Path,
        message_id: &str,
        bytes: &[u8],
        name: impl Fn(u64) -> String,
    ) -> io::Result<String> {
        let message: String = Sha256::digest(message_id).iter().map(|byte| format!("{byte:02x}")).collect();
        let hidden = folder.join(format!(".silta-{message}.part"));
        let known = self.note.recent.iter().find(|dropped| dropped.message == message).map(|d| d.name.clone());
        let name = match known {
            // Noted and no longer hidden: it was renamed, and may have been collected since.
            Some(name) if !hidden.try_exists()? => return Ok(name),
            Some(name) => name,
            None => {
                write(&hidden, bytes)?;
                self.note_next(folder, message, name)?
            }
        };
        let place = folder.join(&name);
        if place.try_exists()? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file of the next name is there already"));
        }
        fs::rename(&hidden, &place)?;
        sync_folder(folder)?;
        Ok(name)
    }

    fn note_next(&mut self, folder: &Path, message: String, name: impl Fn(u64) -> String) -> io::Result<String> {
        let mut number = self.note.next;
        // A folder that was used before us may hold later numbers.
        while folder.join(name(number)).try_exists()? {
            number += 1;
        }
        let name = name(number);
        let mut recent = self.note.recent.clone();
        recent.push(Dropped { message, name: name.clone() });
        recent.drain(..recent.len().saturating_sub(REMEMBERED));
        let note = Note { next: number + 1, recent };
        let hidden = self.path.with_extension("part");
        write(&hidden, &serde_json::to_vec(&note)?)?;
        fs::rename(&hidden, &self.path)?;
        sync_folder(self.path.parent().unwrap_or(folder))?;
        self.note = note;
        Ok(name)
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename in `folder` last.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
