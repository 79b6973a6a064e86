//! `[server]`: where the interface listens and what it takes at most.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::clock::duration;

/// Address, limits and rules of the FHIR interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on. Read at start only.
    pub listen: SocketAddr,
    /// The URL under which callers reach the interface, without a final `/`. Without it: `https://` and the host that the
    /// caller named.
    pub base_url: Option<String>,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of all requests' bodies that are held at one time.
    pub bodies_bytes: usize,
    /// Bytes of a request's head: URL and header fields.
    pub head_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// Parameters of a query or form.
    pub parameters: usize,
    /// Connections at one time; more wait to be accepted.
    pub connections: usize,
    /// Requests at one time on an HTTP/2 connection.
    pub streams: u32,
    /// Requests that an HTTP/2 connection may reset before they are taken up, before it is closed.
    pub resets: usize,
    /// Refusals a second of callers that are not known, each written down in the audit; more are answered 429.
    pub strangers_per_second: u32,
    /// Time for the TLS handshake.
    #[serde(deserialize_with = "duration::deserialize")]
    pub handshake_time: Duration,
    /// Time for a request's head to arrive; an HTTP/1.1 connection that waits longer for one is closed.
    #[serde(deserialize_with = "duration::deserialize")]
    pub head_time: Duration,
    /// Time for a request from its head to its answer.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_time: Duration,
    /// Time without a request after which a connection is closed.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_time: Duration,
    /// Time that is given to what is in flight when the program is told to stop.
    #[serde(deserialize_with = "duration::deserialize")]
    pub stop_time: Duration,
    /// Lets personal identity codes stand in URLs, where proxies and logs keep them.
    pub identity_codes_in_urls: bool,
    /// Identifier systems whose values are personal identity codes. Texts of the form of a Finnish one are known without.
    pub identity_code_systems: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            base_url: None,
            body_bytes: 8 << 20,
            bodies_bytes: 256 << 20,
            head_bytes: 32 << 10,
            headers: 64,
            parameters: 1000,
            connections: 1024,
            streams: 100,
            resets: 20,
            strangers_per_second: 50,
            handshake_time: Duration::from_secs(10),
            head_time: Duration::from_secs(15),
            request_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(120),
            stop_time: Duration::from_secs(30),
            identity_codes_in_urls: false,
            identity_code_systems: [
                "urn:oid:1.2.246.21",
                "urn:oid:1.2.752.129.2.1.3.1",
                "urn:oid:1.2.752.129.2.1.3.3",
                "urn:oid:1.2.208.176.1.2",
                "urn:oid:2.16.578.1.12.4.1.4.1",
                "urn:oid:2.16.578.1.12.4.1.4.2",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}

/// What is wrong with `[server]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The base URL is not one.
    #[error("expected an https URL without query and without a final `/`, as in https://fhir.example.org/r4")]
    BaseUrl,
    /// A limit that would let nothing through.
    #[error("must be more than 0")]
    Zero(&'static str),
    /// A limit on one thing that is larger than the limit on all of them.
    #[error("must not be less than server.body_bytes")]
    Bodies,
}

impl ConfigError {
    /// The key at fault.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::BaseUrl => "server.base_url".to_owned(),
            Self::Zero(name) => format!("server.{name}"),
            Self::Bodies => "server.bodies_bytes".to_owned(),
        }
    }
}

impl Config {
    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            ("body_bytes", self.body_bytes),
            ("head_bytes", self.head_bytes),
            ("headers", self.headers),
            ("parameters", self.parameters),
            ("connections", self.connections),
            ("streams", self.streams as usize),
            ("strangers_per_second", self.strangers_per_second as usize),
        ];
        let times = [
            ("handshake_time", self.handshake_time),
            ("head_time", self.head_time),
            ("request_time", self.request_time),
            ("idle_time", self.idle_time),
        ];
        let zero_count = counts.into_iter().find(|(_, count)| *count == 0).map(|(name, _)| name);
        let zero_time = times.into_iter().find(|(_, time)| time.is_zero()).map(|(name, _)| name);
        if let Some(name) = zero_count.or(zero_time) {
            return Err(ConfigError::Zero(name));
        }
        if self.bodies_bytes < self.body_bytes {
            return Err(ConfigError::Bodies);
        }
        if let Some(url) = &self.base_url {
            let uri: hyper::Uri = url.parse().map_err(|_| ConfigError::BaseUrl)?;
            let whole = uri.scheme_str() == Some("https") && uri.authority().is_some() && uri.query().is_none();
            if !whole || url.ends_with('/') {
                return Err(ConfigError::BaseUrl);
            }
        }
        Ok(())
    }
}
