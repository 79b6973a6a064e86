//! A client's certificate, as the caller's identity needs it.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The certificate that a client proved to hold, its chain verified by TLS against the configured authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The subject, as in `C=FI, O=Example, CN=case-manager`.
    pub subject: String,
    /// DNS names and URIs of the subject alternative names.
    pub names: Vec<String>,
    /// The last second in which it is valid.
    pub not_after: Timestamp,
    /// The certificate and what the client sent along to link it to an authority.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A certificate that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate cannot be read")]
pub struct UnreadableCertificate;

impl PeerCertificate {
    /// Reads the identity out of a verified chain, the client's own certificate first.
    ///
    /// # Errors
    /// When the first certificate is not X.509 that can be read, or there is none.
    pub fn read(chain: &[CertificateDer<'_>]) -> Result<Self, UnreadableCertificate> {
        let own = chain.first().ok_or(UnreadableCertificate)?;
        let (_, parsed) = X509Certificate::from_der(own).map_err(|_| UnreadableCertificate)?;
        let names = parsed
            .subject_alternative_name()
            .ok()
            .flatten()
            .into_iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
            .collect();
        Ok(Self {
            fingerprint: Sha256::digest(own.as_ref()).into(),
            subject: parsed.subject().to_string(),
            names,
            not_after: Timestamp::from_second(parsed.validity().not_after.timestamp())
                .map_err(|_| UnreadableCertificate)?,
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
        })
    }
}
