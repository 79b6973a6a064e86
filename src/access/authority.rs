//! A certificate authority for development, made on first start in a folder of its own and used again after.
//!
//! The folder then has `ca.pem`, which who connects must trust, and for each certificate `NAME.pem` and `NAME.key`. Keys
//! have mode 0600, the folder 0700. In production certificates come from elsewhere and none of this happens.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Clock;

/// Days for which the authority is valid.
const AUTHORITY_DAYS: i64 = 3650;
/// Days for which a certificate is valid.
const CERTIFICATE_DAYS: i64 = 397;
/// A certificate with fewer days left is made anew at the next start.
const RENEW_DAYS: i64 = 30;

/// A development authority in a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM, mode 0600.
    pub key: PathBuf,
}

/// Why the development authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of it cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// One of `ca.pem` and `ca.key` is there without the other, or they cannot be read.
    #[error("{}: ca.pem and ca.key cannot be used; remove both to have new ones made ({detail})", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A certificate cannot be made.
    #[error("a development certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
}

impl Authority {
    /// The authority in the folder, made if there is none yet.
    ///
    /// # Errors
    /// When the folder or its files cannot be used.
    pub fn open(folder: &Path, clock: &Clock) -> Result<Self, AuthorityError> {
        make_folder(folder)?;
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let damaged = |detail: String| AuthorityError::Damaged { folder: folder.to_owned(), detail };
        let issuer = match (read(&certificate)?, read(&key)?) {
            (None, None) => {
                let mut params = CertificateParams::default();
                params.distinguished_name.push(DnType::CommonName, "Silta development authority");
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                valid(&mut params, clock, AUTHORITY_DAYS);
                let pair = KeyPair::generate()?;
                let own = params.self_signed(&pair)?;
                write(&key, &pair.serialize_pem(), 0o600)?;
                write(&certificate, &own.pem(), 0o644)?;
                Issuer::new(params, pair)
            }
            (Some(certificate), Some(key)) => {
                let pair = KeyPair::from_pem(&key).map_err(|error| damaged(error.to_string()))?;
                Issuer::from_ca_cert_pem(&certificate, pair).map_err(|error| damaged(error.to_string()))?
            }
            (Some(_), None) => return Err(damaged("ca.key is missing".to_owned())),
            (None, Some(_)) => return Err(damaged("ca.pem is missing".to_owned())),
        };
        Ok(Self { folder: folder.to_owned(), issuer })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for a server on this machine (`localhost`, `127.0.0.1`, `::1`) and the names given: the one made
    /// before, while it has all names and is not about to expire.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn server(&self, name: &str, names: &[String], clock: &Clock) -> Result<Issued, AuthorityError> {
        let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        for other in names {
            if !all.contains(other) {
                all.push(other.clone());
            }
        }
        let mut params = CertificateParams::new(all.clone())?;
        params.distinguished_name.push(DnType::CommonName, "Silta development server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(name, &all, params, clock)
    }

    /// A certificate for a system that calls, with `name` as its common name and DNS name.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn client(&self, name: &str, clock: &Clock) -> Result<Issued, AuthorityError> {
        let all = [name.to_owned()];
        let mut params = CertificateParams::new(all.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(name, &all, params, clock)
    }

    fn issue(
        &self,
        name: &str,
        names: &[String],
        mut params: CertificateParams,
        clock: &Clock,
    ) -> Result<Issued, AuthorityError> {
        let issued = Issued {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        if let (Some(certificate), Some(_), Some(authority)) =
            (read(&issued.certificate)?, read(&issued.key)?, read(&self.certificate())?)
            && is_good(&certificate, &authority, names, clock)
        {
            return Ok(issued);
        }
        valid(&mut params, clock, CERTIFICATE_DAYS);
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, &self.issuer)?;
        write(&issued.key, &pair.serialize_pem(), 0o600)?;
        write(&issued.certificate, &certificate.pem(), 0o644)?;
        Ok(issued)
    }
}

/// Sets the validity: from yesterday, since clocks differ.
fn valid(params: &mut CertificateParams, clock: &Clock, days: i64) {
    let day = |offset: i64| {
        let date = clock.now().to_zoned(TimeZone::UTC).date().saturating_add(offset.days());
        let month = u8::try_from(date.month()).unwrap_or(1);
        let day = u8::try_from(date.day()).unwrap_or(1);
        date_time_ymd(date.year().into(), month, day)
    };
    params.not_before = day(-1);
    params.not_after = day(days);
}

/// Whether a certificate made before is this authority's, has these names and enough time left.
fn is_good(pem: &str, authority: &str, names: &[String], clock: &Clock) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    let Ok((_, parsed)) = X509Certificate::from_der(&der) else { return false };
    let Ok(authority) = CertificateDer::from_pem_slice(authority.as_bytes()) else { return false };
    let Ok((_, authority)) = X509Certificate::from_der(&authority) else { return false };
    let signer = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    let own = authority.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    if signer.is_none() || signer != own {
        return false;
    }
    let Ok(Some(alternative)) = parsed.subject_alternative_name() else { return false };
    let has = |wanted: &String| {
        alternative.value.general_names.iter().any(|name| match name {
            GeneralName::DNSName(name) => name == wanted,
            GeneralName::IPAddress(bytes) => wanted.parse::<IpAddr>().is_ok_and(|wanted| match wanted {
                IpAddr::V4(wanted) => *bytes == wanted.octets(),
                IpAddr::V6(wanted) => *bytes == wanted.octets(),
            }),
            _ => false,
        })
    };
    let left = Timestamp::from_second(parsed.validity().not_after.timestamp())
        .map_or(0, |end| end.duration_since(clock.now()).as_hours() / 24);
    left >= RENEW_DAYS && names.iter().all(has)
}

fn make_folder(folder: &Path) -> Result<(), AuthorityError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| AuthorityError::File { path: folder.to_owned(), error })
}

fn read(path: &Path) -> Result<Option<String>, AuthorityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuthorityError::File { path: path.to_owned(), error }),
    }
}

/// Writes beside and renames, so that a file is whole or not there, and never readable by others for a moment.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let failed = |error| AuthorityError::File { path: path.to_owned(), error };
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    if beside.exists() {
        fs::remove_file(&beside).map_err(failed)?;
    }
    let mut file = options.open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
