//! Lengths of time in configuration: `"10s"`, `"250ms"`, `"1m 30s"`, `"PT5M"`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de};

/// A length of time as configuration writes it; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub Duration);

impl Wait {
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    /// So many seconds.
    #[must_use]
    pub const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed: SignedDuration = text
            .parse()
            .map_err(|_| de::Error::custom(format!("`{text}` is not a length of time such as \"10s\" or \"250ms\"")))?;
        Duration::try_from(parsed).map(Self).map_err(|_| de::Error::custom("a length of time is not negative"))
    }
}
