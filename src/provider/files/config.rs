//! `[providers.NAME.files]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::provider::Interactions;

/// A folder that the provider collects from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder; it must exist. A relative path starts at the configuration's folder.
    pub folder: PathBuf,
    /// How files are called: texts and `{sequence}`, `{sequence:6}` (padded with zeros), `{date}` (UTC, `20260203`),
    /// `{time}` (`080000`), `{type}`, `{kind}`. It holds `{sequence}`, so that no name comes twice.
    pub name: String,
    /// What may be sent, by FHIR resource type: `ServiceRequest = { create = true, update = true }`. Reading and
    /// searching are not offered.
    #[serde(default)]
    pub types: BTreeMap<String, Interactions>,
    /// Where the sequence and the last messages are noted; default: `.silta-sequence.json` in the folder.
    pub ledger: Option<PathBuf>,
}
