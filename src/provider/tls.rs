//! TLS towards providers: whom we trust and how we show who we are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde::Deserialize;

use super::SetupError;

/// `[….tls]`: TLS 1.2 or 1.3 towards a provider. Paths start at the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// PEM file with the certificate authorities that may sign the provider's certificate. Without it: the operating
    /// system's.
    pub ca: Option<PathBuf>,
    /// PEM file with our certificate chain, where the provider wants to know who asks.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// The name that the provider's certificate must bear, where it is not the host of the address.
    pub server_name: Option<String>,
}

impl Config {
    /// The client's side of TLS.
    ///
    /// # Errors
    /// When a file cannot be read or holds no certificate or key. Keys are relative to this table.
    pub fn client(&self, base: &Path) -> Result<ClientConfig, SetupError> {
        let builder = trusting(self.roots(base)?)?;
        match (&self.certificate, &self.key) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(chain), Some(key)) => builder
                .with_client_auth_cert(certificates(base, chain, "certificate")?, private_key(base, key, "key")?)
                .map_err(|error| SetupError::new("certificate", error.to_string())),
            (Some(_), None) => Err(SetupError::new("key", "a certificate needs its private key")),
            (None, Some(_)) => Err(SetupError::new("certificate", "a private key needs its certificate")),
        }
    }

    fn roots(&self, base: &Path) -> Result<RootCertStore, SetupError> {
        let mut roots = RootCertStore::empty();
        let found = match &self.ca {
            Some(path) => certificates(base, path, "ca")?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let (added, _) = roots.add_parsable_certificates(found);
        if added == 0 {
            return Err(SetupError::new("ca", "no usable certificate authority: name a PEM file"));
        }
        Ok(roots)
    }
}

/// A client's side of TLS that trusts nobody, for connections that use none.
///
/// # Errors
/// Never with the cryptography that is built in.
pub fn untrusting() -> Result<ClientConfig, SetupError> {
    Ok(trusting(RootCertStore::empty())?.with_no_client_auth())
}

fn trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, SetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::new("", error.to_string()))?
        .with_root_certificates(roots))
}

/// The certificates in a PEM file, at least one.
///
/// # Errors
/// When the file cannot be read or holds none; the error is at `key`.
pub fn certificates(base: &Path, path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let unusable = |error: rustls::pki_types::pem::Error| {
        SetupError::new(key, format!("cannot read certificates from {}: {error}", path.display()))
    };
    let found = CertificateDer::pem_file_iter(base.join(path))
        .map_err(unusable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    if found.is_empty() {
        return Err(SetupError::new(key, format!("{} holds no certificate", path.display())));
    }
    Ok(found)
}

/// The private key in a PEM file.
///
/// # Errors
/// When the file cannot be read or holds none; the error is at `key`.
pub fn private_key(base: &Path, path: &Path, key: &str) -> Result<PrivateKeyDer<'static>, SetupError> {
    PrivateKeyDer::from_pem_file(base.join(path))
        .map_err(|error| SetupError::new(key, format!("cannot read a private key from {}: {error}", path.display())))
}
