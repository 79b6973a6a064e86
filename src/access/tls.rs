//! TLS towards callers: which versions, which certificates, which authorities for theirs.
//!
//! TLS 1.3 and 1.2 with AEAD suites only. A [`Tls`] is immutable: a reload makes another one, for the connections that come
//! after it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::Deserialize;

use super::authority::{Authority, AuthorityError};
use crate::clock::Clock;

/// `[tls]`: how callers' connections are secured. Relative paths start at the configuration's folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// PEM file with our certificate and what links it to an authority. Without it, a development authority in the state
    /// folder makes one at the first start.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// DNS names and addresses that a development certificate is made for, beside `localhost`, `127.0.0.1` and `::1`.
    pub development_names: Vec<String>,
    /// PEM file with the authorities that sign callers' certificates. Without it, the development authority where that is
    /// in use; else callers cannot show certificates.
    pub client_ca: Option<PathBuf>,
    /// PEM file with revocation lists of those authorities; a certificate that they do not cover is refused then.
    pub client_crl: Option<PathBuf>,
    /// The oldest version of TLS that is spoken: `1.2` or `1.3`.
    pub oldest: Version,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Version {
    /// TLS 1.2, with forward secrecy and AEAD.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            development_names: Vec::new(),
            client_ca: None,
            client_crl: None,
            oldest: Version::V12,
        }
    }
}

/// The server's side of TLS, ready for use.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What the handshake needs.
    pub server: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    files: Vec<PathBuf>,
}

/// Why TLS cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or does not hold what it should.
    #[error("{} cannot be used: {error}", path.display())]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: PemError,
    },
    /// A file holds nothing of what it should.
    #[error("{} holds no {expected}", path.display())]
    Nothing {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// One of certificate and key is configured without the other.
    #[error("certificate and key are needed together")]
    Half,
    /// Certificate and key do not belong together, or cannot be used.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(rustls::Error),
    /// The callers' authorities or revocation lists cannot be used.
    #[error("the authorities or revocation lists cannot be used: {0}")]
    ClientAuthority(String),
    /// The development authority cannot be made or used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl TlsError {
    /// The key at fault.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::File { key, .. } | Self::Nothing { key, .. } => format!("tls.{key}"),
            Self::Half => "tls".to_owned(),
            Self::Unusable(_) => "tls.certificate".to_owned(),
            Self::ClientAuthority(_) => "tls.client_ca".to_owned(),
            Self::Authority(_) => "state".to_owned(),
        }
    }
}

impl Tls {
    /// Reads the files, or makes a development authority and certificates in the folder `state`. Protocols offered by
    /// ALPN are `protocols`, the preferred one first.
    ///
    /// # Errors
    /// What cannot be used, and which key names it.
    pub fn new(
        config: &Config,
        base: &Path,
        state: &Path,
        protocols: &[&[u8]],
        clock: &Clock,
    ) -> Result<Self, TlsError> {
        let identity = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => Identity::read(base, certificate, key)?,
            (None, None) => Identity::development(config, state, clock)?,
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::Half),
        };
        let mut files = identity.files;
        let authorities = match &config.client_ca {
            Some(path) => {
                files.push(base.join(path));
                Some(certificates("client_ca", &base.join(path))?)
            }
            None => identity.authority.map(|authority| vec![authority]),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = match authorities {
            Some(authorities) => {
                let lists = match &config.client_crl {
                    Some(path) => {
                        files.push(base.join(path));
                        revocations(&base.join(path))?
                    }
                    None => Vec::new(),
                };
                Some(verifier(authorities, lists, &provider)?)
            }
            None => None,
        };
        let versions: &[&SupportedProtocolVersion] = match config.oldest {
            Version::V12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Version::V13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(TlsError::Unusable)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_single_cert(identity.chain, identity.key).map_err(TlsError::Unusable)?;
        server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Self { server: Arc::new(server), verifier, files })
    }

    /// The files that it was made from, whose change asks for another one.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether a chain that was verified for an earlier configuration still is good.
    #[must_use]
    pub fn still_trusts(&self, chain: &[CertificateDer<'_>], clock: &Clock) -> bool {
        let (Some(verifier), Some((own, others))) = (&self.verifier, chain.split_first()) else { return false };
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(clock.now().as_second()).unwrap_or_default(),
        ));
        verifier.verify_client_cert(own, others, now).is_ok()
    }
}

/// What the server shows of itself.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: Option<CertificateDer<'static>>,
    files: Vec<PathBuf>,
}

impl Identity {
    fn read(base: &Path, certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let (certificate, key) = (base.join(certificate), base.join(key));
        let chain = certificates("certificate", &certificate)?;
        let private = PrivateKeyDer::from_pem_file(&key).map_err(|error| TlsError::File {
            key: "key",
            path: key.clone(),
            error,
        })?;
        Ok(Self { chain, key: private, authority: None, files: vec![certificate, key] })
    }

    fn development(config: &Config, state: &Path, clock: &Clock) -> Result<Self, TlsError> {
        let authority = Authority::open(state, clock)?;
        let own = authority.server("server", &config.development_names, clock)?;
        // A caller's certificate to try mutual TLS with.
        authority.client("client", clock)?;
        let chain = certificates("certificate", &own.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|error| TlsError::File {
            key: "key",
            path: own.key.clone(),
            error,
        })?;
        let authority = certificates("client_ca", &authority.certificate())?.into_iter().next();
        Ok(Self { chain, key, authority, files: Vec::new() })
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |error| TlsError::File { key, path: path.to_owned(), error };
    let found =
        CertificateDer::pem_file_iter(path).map_err(unusable)?.collect::<Result<Vec<_>, _>>().map_err(unusable)?;
    if found.is_empty() {
        return Err(TlsError::Nothing { key, path: path.to_owned(), expected: "certificate" });
    }
    Ok(found)
}

fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let unusable = |error| TlsError::File { key: "client_crl", path: path.to_owned(), error };
    let found = CertificateRevocationListDer::pem_file_iter(path)
        .map_err(unusable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    if found.is_empty() {
        return Err(TlsError::Nothing { key: "client_crl", path: path.to_owned(), expected: "revocation list" });
    }
    Ok(found)
}

/// Certificates are asked for and not needed: a caller may show a bearer secret instead.
fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    lists: Vec<CertificateRevocationListDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| TlsError::ClientAuthority(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .with_crls(lists)
        .allow_unauthenticated()
        .build()
        .map_err(|error| TlsError::ClientAuthority(error.to_string()))
}
