//! Secrets that configuration names and does not hold.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::SetupError;

/// Where a secret is kept: `{ file = "county.key" }` or `{ env = "COUNTY_KEY" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// A file holding it, one line; a relative path starts at the configuration's folder.
    File(PathBuf),
    /// An environment variable holding it.
    Env(String),
}

/// A secret, never shown.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Secret {
    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl SecretRef {
    /// Fetches the secret.
    ///
    /// # Errors
    /// When the file or variable is not there, empty, or holds more than one line. The key of the error is empty.
    pub fn resolve(&self, base: &Path) -> Result<Secret, SetupError> {
        let (text, place) = match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(base.join(path))
                    .map_err(|error| SetupError::new("file", format!("cannot read {}: {error}", path.display())))?;
                (text, "file")
            }
            Self::Env(name) => {
                let text = std::env::var(name)
                    .map_err(|_| SetupError::new("env", format!("the environment has no readable variable {name}")))?;
                (text, "env")
            }
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(SetupError::new(place, "the secret is empty"));
        }
        if secret.contains(|c: char| c.is_control()) {
            return Err(SetupError::new(place, "a secret is one line without control characters"));
        }
        Ok(Secret(secret.to_owned()))
    }
}
