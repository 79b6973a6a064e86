//! What of the interface can be exchanged while it runs.

use jiff::Timestamp;

use super::base::BaseUrl;
use super::config::{Config, ConfigError};
use super::parse::identity_code::IdentityCodes;
use crate::access::callers::{Callers, CallersError};
use crate::access::tls::Tls;

/// Limits, callers and certificates: one value, exchanged as a whole, so that no request sees a half of each.
#[derive(Debug)]
pub struct Settings {
    pub(super) config: Config,
    pub(super) callers: Callers,
    pub(super) tls: Tls,
    pub(super) base: BaseUrl,
    pub(super) identity_codes: IdentityCodes,
    pub(super) since: Timestamp,
    pub(super) generation: u64,
}

/// Settings that must not be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A limit or the base URL.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Who may call.
    #[error(transparent)]
    Callers(#[from] CallersError),
}

impl Settings {
    /// Settings in use from `since`.
    ///
    /// # Errors
    /// What must not be: a limit of nothing, nobody who may call, anybody who may call from elsewhere.
    pub fn new(config: Config, callers: Callers, tls: Tls, since: Timestamp) -> Result<Self, SettingsError> {
        config.check()?;
        callers.allow_listening_on(config.listen)?;
        let base = BaseUrl::new(config.base_url.as_deref());
        let identity_codes = IdentityCodes::new(&config.identity_code_systems, config.identity_codes_in_urls);
        Ok(Self { config, callers, tls, base, identity_codes, since, generation: 0 })
    }
}

impl SettingsError {
    /// The key at fault.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Config(error) => error.key(),
            Self::Callers(error) => error.key(),
        }
    }
}
