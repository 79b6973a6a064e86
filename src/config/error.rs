//! What is wrong with a configuration, and where.

use std::io;
use std::path::{Path, PathBuf};

use super::locate;

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Its text is not TOML, or a key or value is not one of ours.
    #[error("{}:{line}:{column}: {what}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
        /// What is wrong and what was expected.
        what: String,
    },
}

impl ConfigError {
    pub(super) fn of_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().map_or(0, |span| span.start);
        let (line, column) = locate::line_and_column(text, at);
        let what = unknown_key(error.message()).unwrap_or_else(|| error.message().to_owned());
        Self::Wrong { file: file.to_owned(), line, column, what }
    }

    pub(super) fn of_value(file: &Path, text: &str, key: &str, what: String) -> Self {
        let (line, column) = locate::line_and_column(text, locate::offset_of(text, key).unwrap_or(0));
        Self::Wrong { file: file.to_owned(), line, column, what: format!("{key}: {what}") }
    }
}

/// Serde names an unknown key and all known ones; the nearest of them is what is likely meant.
fn unknown_key(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (key, known) = message.starts_with("unknown field").then(|| (quoted.next(), quoted.collect::<Vec<_>>()))?;
    let key = key?;
    let nearest = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(key, name), name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .filter(|(likeness, _)| *likeness > 0.3);
    let hint = nearest.map(|(_, name)| format!("; did you mean `{name}`?")).unwrap_or_default();
    Some(format!("unknown key `{key}`{hint} (known here: {})", known.join(", ")))
}
