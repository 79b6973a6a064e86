//! The folder on disk: what lies in it, and moving files out of it. All of this blocks.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::provider::files::pattern::Pattern;

/// The three folders of one collector.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) incoming: PathBuf,
    pub(super) done: PathBuf,
    pub(super) set_aside: PathBuf,
    pub(super) pattern: Pattern,
    pub(super) limit: u64,
}

/// A file that lies there and fits the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) sequence: Option<u64>,
    pub(super) modified: Timestamp,
    pub(super) size: u64,
}

/// What one look at the folder showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// In the order in which they are to be taken.
    pub(super) files: Vec<Found>,
    /// How many files fit no pattern.
    pub(super) strange: usize,
}

impl Folder {
    /// Makes `done` and `set-aside`.
    pub(super) fn prepare(&self) -> io::Result<()> {
        if !fs::metadata(&self.incoming)?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        fs::create_dir_all(&self.done)?;
        fs::create_dir_all(&self.set_aside)
    }

    pub(super) fn look(&self) -> io::Result<Look> {
        let mut look = Look::default();
        for entry in fs::read_dir(&self.incoming)? {
            let entry = entry?;
            // What has gone since it was listed is nobody's fault; a link is not followed.
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
            if !metadata.is_file() {
                continue;
            }
            let name = entry.file_name().into_string().ok();
            if name.as_deref().is_some_and(unfinished) {
                continue;
            }
            let fitting = name.and_then(|name| Some((self.pattern.read(&name)?, name)));
            let Some((sequence, name)) = fitting else {
                look.strange += 1;
                continue;
            };
            let modified = Timestamp::try_from(metadata.modified()?).unwrap_or(Timestamp::UNIX_EPOCH);
            look.files.push(Found { name, sequence, modified, size: metadata.len() });
        }
        look.files.sort_by(|a, b| {
            let key =
                |found: &Found| (found.sequence, if found.sequence.is_some() { None } else { Some(found.modified) });
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        Ok(look)
    }

    /// The whole file; none when it is larger than the limit.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        File::open(self.incoming.join(name))?.take(self.limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok((u64::try_from(bytes.len()).unwrap_or(u64::MAX) <= self.limit).then_some(bytes))
    }

    pub(super) fn finish(&self, name: &str) -> io::Result<()> {
        self.shift(name, &self.done).map(|_| ())
    }

    /// Moves a file to `set-aside`, with an error file beside it.
    pub(super) fn refuse(&self, name: &str, errors: &str) -> io::Result<()> {
        // The error file comes first: a crash between leaves the file where it will be handed over again.
        let free = free_name(&self.set_aside, name)?;
        write(&self.set_aside.join(format!("{free}.error.txt")), errors.as_bytes())?;
        rename(&self.incoming.join(name), &self.set_aside.join(free), &self.set_aside)?;
        File::open(&self.incoming)?.sync_all()
    }

    /// Moves a file to `done`; the part of it that was rejected goes to `set-aside`, with an error file beside it.
    pub(super) fn finish_in_part(&self, name: &str, rejected: &[u8], errors: &str) -> io::Result<()> {
        let same = self.set_aside.join(name);
        // Handed over again after a crash, the same part is not set aside twice.
        let noted = fs::read(&same).is_ok_and(|before| before == rejected);
        let free = if noted { name.to_owned() } else { free_name(&self.set_aside, name)? };
        write(&self.set_aside.join(format!("{free}.error.txt")), errors.as_bytes())?;
        write(&self.set_aside.join(&free), rejected)?;
        File::open(&self.set_aside)?.sync_all()?;
        self.finish(name)
    }

    fn shift(&self, name: &str, to: &Path) -> io::Result<()> {
        rename(&self.incoming.join(name), &to.join(free_name(to, name)?), to)?;
        File::open(&self.incoming)?.sync_all()
    }
}

/// Names under which files are still being written.
fn unfinished(name: &str) -> bool {
    let ending = |end: &&str| name.len() > end.len() && name.to_ascii_lowercase().ends_with(*end);
    name.starts_with('.') || [".tmp", ".part", ".filepart", "~"].iter().any(ending)
}

/// The name, or the name with a number, that is not taken in `folder`.
fn free_name(folder: &Path, name: &str) -> io::Result<String> {
    if !folder.join(name).try_exists()? {
        return Ok(name.to_owned());
    }
    let mut number = 2_u32;
    loop {
        let numbered = format!("{name}.{number}");
        if !folder.join(&numbered).try_exists()? {
            return Ok(numbered);
        }
        number += 1;
    }
}

fn rename(from: &Path, to: &Path, folder: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
