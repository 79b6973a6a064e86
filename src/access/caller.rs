//! The system that calls.

use super::interaction::{Action, Grants, ResourceType};

/// A system that calls the interface, once it is known who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name in the configuration: letters, digits, `-`, `_`. Stands in logs and audit.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// Whether it works with real persons or with test data.
    pub mode: Mode,
    /// Identifiers of the organisation that it calls for, as `system|value`; may be empty.
    pub organisations: Vec<String>,
}

impl Caller {
    /// Whether it may use the interaction on this type, or on the whole system.
    #[must_use]
    pub fn may(&self, action: Action, kind: Option<ResourceType>, operation: Option<&str>) -> bool {
        self.grants.permit(action, kind, operation)
    }
}

/// Test data never leaves for a production system, and real data never for a test system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Synthetic persons only.
    #[default]
    Test,
    /// Real persons.
    Production,
}
