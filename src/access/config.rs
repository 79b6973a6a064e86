//! `[access]`: who may call and what each may do.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::caller::Mode;

/// Callers and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Lets a caller without credentials do everything. Refused unless every listener is on a loopback address: it is
    /// for trying things out on one machine. Wrong credentials are refused all the same.
    pub open: bool,
    /// The callers, by name: letters, digits, `-` and `_`.
    pub caller: BTreeMap<String, CallerConfig>,
}

/// One caller. It shows a certificate that one of the `certificate_…` keys names, or a bearer secret whose hash is
/// listed; where both are configured, both on every request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallerConfig {
    /// Hashes of bearer secrets as `silta secret` prints them. Two are valid at once while a secret is being changed.
    pub secret_hash: Vec<String>,
    /// SHA-256 fingerprints of client certificates: 64 hexadecimal digits, colons allowed.
    pub certificate_fingerprint: Vec<String>,
    /// DNS names or URIs in the subject alternative names of a client certificate.
    pub certificate_name: Vec<String>,
    /// Subjects of client certificates, as in `C=FI, O=Example, CN=case-manager`.
    pub certificate_subject: Vec<String>,
    /// What it may do: `CarePlan.search`, `ServiceRequest.create`, `*.read`, `Task.*`, `*`.
    pub interactions: Vec<String>,
    /// Whether it works with real persons (`production`) or with test data (`test`).
    pub mode: Mode,
    /// The organisation that it calls for, as `system|value`; several where it has several identifiers.
    pub organisation: Vec<String>,
}
