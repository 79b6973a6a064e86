//! A FHIR package as files: from a `.tgz` in memory, bounded and without trusting its paths.
//!
//! <https://confluence.hl7.org/display/FHIR/NPM+Package+Specification>: definitions lie in `package/`.

use std::io::Read;

use flate2::read::GzDecoder;

/// What an archive may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all files together, unpacked.
    pub bytes: u64,
    /// Number of entries.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 30, entries: 100_000 }
    }
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not gzip, not tar, or cut short.
    #[error("not a readable .tgz: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A path that leads out of the package.
    #[error("entry {index} has a path outside of the package")]
    Path {
        /// Which entry, from 0.
        index: usize,
    },
    /// A link or device.
    #[error("entry {index} is not a plain file or folder")]
    Special {
        /// Which entry, from 0.
        index: usize,
    },
    /// More than the limits allow.
    #[error("the package unpacks to more than {0} bytes or entries")]
    TooLarge(u64),
}

/// One file of a package.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path within `package/`.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Reads the files of `package/` and its folders, in the archive's order.
///
/// # Errors
/// See [`ArchiveError`].
pub fn read_tgz(bytes: &[u8], limits: Limits) -> Result<Vec<File>, ArchiveError> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(limits.bytes.saturating_add(1 << 20)));
    let mut files = Vec::new();
    let mut total = 0_u64;
    for (index, entry) in archive.entries()?.enumerate() {
        if index >= limits.entries {
            return Err(ArchiveError::TooLarge(limits.entries as u64));
        }
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        if !kind.is_file() {
            return Err(ArchiveError::Special { index });
        }
        let path = entry.path()?.into_owned();
        if !path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir))
        {
            return Err(ArchiveError::Path { index });
        }
        let Some(name) = path.to_str() else { return Err(ArchiveError::Path { index }) };
        let name = name.trim_start_matches("./");
        let Some(name) = name.strip_prefix("package/") else { continue };
        let name = name.to_owned();
        total = total.saturating_add(entry.size());
        if total > limits.bytes {
            return Err(ArchiveError::TooLarge(limits.bytes));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push(File { name, content });
    }
    Ok(files)
}
