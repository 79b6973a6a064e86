//! `[[mllp]]`: one listener for one provider.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::Deserialize;

use crate::provider::SetupError;
use crate::provider::mllp::framing::LIMIT;
use crate::provider::tls::{certificates, private_key};
use crate::provider::wait::Wait;

/// One listener for one provider's HL7 v2 messages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The provider whose messages come here.
    pub provider: String,
    /// Address and port to listen on: `"0.0.0.0:6661"`; port 0 takes any.
    pub listen: SocketAddr,
    /// TLS, 1.2 or 1.3.
    pub tls: Option<TlsConfig>,
    /// Listen without TLS on an address that is not this machine's loopback.
    #[serde(default)]
    pub plaintext: bool,
    /// How many connections at most; a further one is closed at once.
    #[serde(default = "hundred")]
    pub connections: usize,
    /// A connection on which no frame begins for so long is closed.
    #[serde(default = "hour")]
    pub idle: Wait,
    /// How long a frame may take from its first byte to its last, a TLS handshake to its end, and a reply to be read.
    #[serde(default = "minute")]
    pub frame: Wait,
    /// The largest frame, in bytes.
    #[serde(default = "limit")]
    pub frame_limit: usize,
}

/// `[mllp.tls]`: our certificate, and whose we want to see. Paths start at the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with our certificate chain.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the authorities that sign the provider's client certificate. With it a certificate is demanded
    /// (mutual TLS).
    pub client_ca: Option<PathBuf>,
    /// The client certificates that are accepted, as SHA-256 of the DER in hexadecimal (colons allowed); empty: every
    /// one that `client_ca` signed.
    #[serde(default)]
    pub clients: Vec<String>,
}

impl TlsConfig {
    /// The server's side of TLS.
    ///
    /// # Errors
    /// When a file cannot be used. Keys are relative to this table.
    pub fn server(&self, base: &Path) -> Result<ServerConfig, SetupError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let wrong = |key: &str, error: &dyn std::fmt::Display| SetupError::new(key, error.to_string());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("", &error))?;
        let builder = match &self.client_ca {
            None if self.clients.is_empty() => builder.with_no_client_auth(),
            None => {
                return Err(SetupError::new(
                    "client_ca",
                    "accepting certain clients needs the authority that signs them",
                ));
            }
            Some(path) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(base, path, "client_ca")?);
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| wrong("client_ca", &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        builder
            .with_single_cert(
                certificates(base, &self.certificate, "certificate")?,
                private_key(base, &self.key, "key")?,
            )
            .map_err(|error| wrong("certificate", &error))
    }

    /// The accepted fingerprints, as [`super::Peer::certificate`] writes them.
    pub(super) fn fingerprints(&self) -> Result<Vec<String>, SetupError> {
        let normal = |text: &String| {
            let hex: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
            let usable = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            usable.then_some(hex).ok_or_else(|| SetupError::new("clients", "expected SHA-256 as 64 hexadecimal digits"))
        };
        self.clients.iter().map(normal).collect()
    }
}

const fn hundred() -> usize {
    100
}
const fn hour() -> Wait {
    Wait::seconds(3600)
}
const fn minute() -> Wait {
    Wait::seconds(60)
}
const fn limit() -> usize {
    LIMIT
}
