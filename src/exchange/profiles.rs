//! Which profiles hold for what comes in: those of a realm, and those that are configured in their place.

use std::collections::BTreeMap;

use silta_engine::mapping::Map;
use silta_engine::package::library::{realm_profiles, realms};

use crate::provider::SetupError;

/// Resource type → canonicals that a resource of the type is to conform to, beside those that it claims itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Profiles(BTreeMap<String, Vec<String>>);

impl Profiles {
    /// Those of a realm.
    ///
    /// # Errors
    /// There is no such realm; the key is `realm`.
    pub(crate) fn of_realm(realm: &str) -> Result<Self, SetupError> {
        let profiles = realm_profiles(realm);
        if profiles.is_empty() {
            let known: Vec<&str> = realms().collect();
            let what = format!("no profiles are of the realm {realm}; there are {}", known.join(", "));
            return Err(SetupError::new("realm", what));
        }
        Ok(Self(profiles))
    }

    /// Those of the realm that a map stands in: the first folder of its path. None where that has no profiles.
    pub(crate) fn of_map(map: &Map) -> Option<Self> {
        let (realm, _) = map.file().split_once('/')?;
        Self::of_realm(realm).ok()
    }

    /// These, with others in place of those of a type.
    pub(crate) fn with(&self, others: &BTreeMap<String, Vec<String>>) -> Self {
        let mut profiles = self.0.clone();
        profiles.extend(others.clone());
        Self(profiles)
    }

    /// The canonicals for a type.
    pub(crate) fn on(&self, kind: &str) -> Vec<&str> {
        self.0.get(kind).into_iter().flatten().map(String::as_str).collect()
    }
}
