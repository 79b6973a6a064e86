//! From credentials to the caller.

use std::sync::Arc;

use jiff::Timestamp;
use silta_engine::fault::Fault;

use super::caller::{Caller, Mode};
use super::certificate::PeerCertificate;
use super::config::{CallerConfig, Config};
use super::interaction::{Grant, GrantError, Grants};
use super::secret::{NotAHash, SecretHash, hex};

/// The configured callers, ready to be asked who is calling. Immutable: a reload makes another one.
#[derive(Debug)]
pub struct Callers {
    known: Vec<Known>,
    open: Option<Arc<Caller>>,
}

#[derive(Debug)]
struct Known {
    caller: Arc<Caller>,
    secrets: Vec<SecretHash>,
    certificates: Certificates,
}

#[derive(Debug)]
struct Certificates {
    fingerprints: Vec<[u8; 32]>,
    names: Vec<String>,
    subjects: Vec<String>,
}

/// What is wrong with the configuration of the callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallersError {
    /// The name has other characters, is empty or too long.
    #[error("a caller's name has letters, digits, `-` and `_`, at most 64")]
    Name(String),
    /// There is nothing by which it could be known.
    #[error("has neither `secret_hash` nor a `certificate_…` key, so nobody can be it")]
    NoCredential(String),
    /// A hash is not one.
    #[error("{1}")]
    Hash(String, NotAHash),
    /// A fingerprint is not one.
    #[error("a SHA-256 fingerprint has 64 hexadecimal digits")]
    Fingerprint(String),
    /// An entry of the interactions is none.
    #[error("{1}")]
    Interactions(String, GrantError),
    /// It may do nothing.
    #[error("is empty, so it may do nothing")]
    NoInteractions(String),
    /// Two callers would be known by the same thing.
    #[error("caller {1} has the same {2}: nobody could tell them apart")]
    Shared(String, String, &'static str),
    /// Nobody may call.
    #[error(
        "no caller is configured: add [access.caller.NAME], or `open = true` on a loopback address to try things out"
    )]
    Nobody,
    /// Anybody may call, from anywhere.
    #[error("open = true is only for loopback addresses, and {0} is not one")]
    OpenToTheWorld(std::net::SocketAddr),
}

impl CallersError {
    /// The key at fault.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Name(name) | Self::NoCredential(name) => format!("access.caller.{name}"),
            Self::Hash(name, _) => format!("access.caller.{name}.secret_hash"),
            Self::Fingerprint(name) => format!("access.caller.{name}.certificate_fingerprint"),
            Self::Interactions(name, _) | Self::NoInteractions(name) => format!("access.caller.{name}.interactions"),
            Self::Shared(name, _, key) => format!("access.caller.{name}.{key}"),
            Self::Nobody => "access".to_owned(),
            Self::OpenToTheWorld(_) => "access.open".to_owned(),
        }
    }
}

/// Why a caller is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// It showed no credentials.
    #[error("credentials are needed: a registered client certificate or a bearer secret")]
    NoCredentials,
    /// What it showed is nobody's.
    #[error("the credentials are not known")]
    Unknown,
    /// Its certificate was valid when the connection was made and is no more.
    #[error("the client certificate has expired")]
    Expired,
}

impl Denied {
    /// Which answer it is.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::NoCredentials => Fault::NoCredentials,
            Self::Unknown => Fault::UnknownCredentials,
            Self::Expired => Fault::ExpiredCredentials,
        }
    }
}

impl Callers {
    /// Reads the configuration.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(config: &Config) -> Result<Self, CallersError> {
        let known = config.caller.iter().map(|(name, one)| Known::new(name, one)).collect::<Result<Vec<_>, _>>()?;
        for (at, one) in known.iter().enumerate() {
            for other in known.iter().skip(at + 1) {
                one.distinct_from(other)?;
            }
        }
        let open = config.open.then(|| {
            Arc::new(Caller {
                name: "open".to_owned(),
                grants: Grants::everything(),
                mode: Mode::Test,
                organisations: Vec::new(),
            })
        });
        Ok(Self { known, open })
    }

    /// Whether it is safe to listen on this address.
    ///
    /// # Errors
    /// When nobody may call, or anybody may from other machines.
    pub fn allow_listening_on(&self, address: std::net::SocketAddr) -> Result<(), CallersError> {
        if self.open.is_some() && !address.ip().is_loopback() {
            return Err(CallersError::OpenToTheWorld(address));
        }
        if self.open.is_none() && self.known.is_empty() {
            return Err(CallersError::Nobody);
        }
        Ok(())
    }

    /// Who shows these credentials: a verified certificate, the text after `Bearer `, or both.
    ///
    /// # Errors
    /// When it is nobody who is known.
    pub fn identify(
        &self,
        certificate: Option<&PeerCertificate>,
        bearer: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Denied> {
        if certificate.is_some_and(|certificate| certificate.not_after < now) {
            return Err(Denied::Expired);
        }
        let shown = match bearer {
            Some(text) => Some(SecretHash::of(text).ok_or(Denied::Unknown)?),
            None => None,
        };
        // Every entry is compared, and every comparison of secrets takes the same time whatever it finds.
        let found: Vec<&Known> =
            self.known.iter().filter(|known| known.is_shown_by(certificate, shown.as_ref())).collect();
        match found.as_slice() {
            [known] => return Ok(Arc::clone(&known.caller)),
            [] => {}
            // A certificate that is one caller's by name and another's by fingerprint is neither's.
            _ => return Err(Denied::Unknown),
        }
        match (&self.open, bearer, certificate) {
            (Some(open), None, None) => Ok(Arc::clone(open)),
            (None, None, None) => Err(Denied::NoCredentials),
            _ => Err(Denied::Unknown),
        }
    }
}

impl Known {
    fn new(name: &str, config: &CallerConfig) -> Result<Self, CallersError> {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !fits {
            return Err(CallersError::Name(name.to_owned()));
        }
        let secrets = config
            .secret_hash
            .iter()
            .map(|text| SecretHash::parse(text).map_err(|error| CallersError::Hash(name.to_owned(), error)))
            .collect::<Result<Vec<_>, _>>()?;
        let fingerprints = config
            .certificate_fingerprint
            .iter()
            .map(|text| hex(&text.replace(':', "")).ok_or_else(|| CallersError::Fingerprint(name.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        let certificates = Certificates {
            fingerprints,
            names: config.certificate_name.iter().map(|text| comparable_name(text)).collect(),
            subjects: config.certificate_subject.iter().map(|text| comparable_subject(text)).collect(),
        };
        if secrets.is_empty() && certificates.is_empty() {
            return Err(CallersError::NoCredential(name.to_owned()));
        }
        let grants = config
            .interactions
            .iter()
            .map(|text| text.parse().map_err(|error| CallersError::Interactions(name.to_owned(), error)))
            .collect::<Result<Vec<Grant>, _>>()?;
        if grants.is_empty() {
            return Err(CallersError::NoInteractions(name.to_owned()));
        }
        let caller = Arc::new(Caller {
            name: name.to_owned(),
            grants: Grants::new(grants),
            mode: config.mode,
            organisations: config.organisation.clone(),
        });
        Ok(Self { caller, secrets, certificates })
    }

    fn is_shown_by(&self, certificate: Option<&PeerCertificate>, shown: Option<&SecretHash>) -> bool {
        let secret = shown.is_some_and(|shown| self.secrets.iter().fold(false, |any, one| any | one.matches(shown)));
        let certificate = certificate.is_some_and(|certificate| self.certificates.name(certificate));
        match (self.secrets.is_empty(), self.certificates.is_empty()) {
            (false, false) => secret && certificate,
            (false, true) => secret,
            // A secret that is not this caller's must not be overlooked.
            (true, false) => certificate && shown.is_none(),
            (true, true) => false,
        }
    }

    fn distinct_from(&self, other: &Self) -> Result<(), CallersError> {
        let shared = |what| CallersError::Shared(self.caller.name.clone(), other.caller.name.clone(), what);
        if self.secrets.iter().any(|one| other.secrets.contains(one)) {
            return Err(shared("secret_hash"));
        }
        if !self.secrets.is_empty() || !other.secrets.is_empty() {
            return Ok(());
        }
        let (mine, theirs) = (&self.certificates, &other.certificates);
        if mine.fingerprints.iter().any(|one| theirs.fingerprints.contains(one)) {
            return Err(shared("certificate_fingerprint"));
        }
        if mine.names.iter().any(|one| theirs.names.contains(one)) {
            return Err(shared("certificate_name"));
        }
        if mine.subjects.iter().any(|one| theirs.subjects.contains(one)) {
            return Err(shared("certificate_subject"));
        }
        Ok(())
    }
}

impl Certificates {
    fn is_empty(&self) -> bool {
        self.fingerprints.is_empty() && self.names.is_empty() && self.subjects.is_empty()
    }

    fn name(&self, certificate: &PeerCertificate) -> bool {
        self.fingerprints.contains(&certificate.fingerprint)
            || self.names.iter().any(|name| certificate.names.contains(name))
            || self.subjects.contains(&comparable_subject(&certificate.subject))
    }
}

/// DNS names compare without case; URIs as they stand.
fn comparable_name(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { text.to_ascii_lowercase() }
}

/// A subject without the spaces between its parts.
fn comparable_subject(text: &str) -> String {
    text.split(',').map(str::trim).collect::<Vec<_>>().join(",")
}
