//! `[providers.NAME.fhir]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Version;
use crate::provider::tls;
use crate::provider::wait::Wait;
use crate::provider::web::Credentials;

/// A FHIR server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server's base address: `"https://fhir.association.example/r4/"`.
    pub base: String,
    /// The version of FHIR that it speaks: `"4.0"`, `"5.0"` or `"3.0"`. Here its resources are R4.
    #[serde(default)]
    pub version: Version,
    /// TLS towards it; a client certificate is given here.
    pub tls: Option<tls::Config>,
    /// Speak http to a host that is not this machine.
    #[serde(default)]
    pub plaintext: bool,
    /// How the server knows us, if not by a client certificate.
    pub credentials: Option<Credentials>,
    /// The resource types that it is asked for: `[providers.NAME.fhir.types.CarePlan]`.
    pub types: BTreeMap<String, Type>,
    /// The identifier systems that the server knows patients by; only these are sent. Empty: all that are known.
    #[serde(default)]
    pub patient_identifiers: Vec<String>,
    /// How other resources than Patient are asked for: by the patient's identifier, or by the id of the Patient that the
    /// server has for it, which is looked up first (for servers that do not search through references).
    #[serde(default)]
    pub patient_by: PatientBy,
    /// How many resources are asked for a page (`_count`).
    #[serde(default = "hundred")]
    pub count: u32,
    /// How many pages of one search are fetched at most; what is left is said to be missing.
    #[serde(default = "twenty")]
    pub pages: usize,
    /// The largest answer, in bytes.
    #[serde(default = "limit")]
    pub answer_limit: usize,
    /// How often the Tasks that it was given and that are open are read again, so that what it does to them is known here.
    /// None: it posts its changes itself.
    pub poll: Option<Wait>,
    /// Create with `If-None-Exist: identifier=…`. Only where the server honours it may a create be repeated after an
    /// unknown outcome.
    #[serde(default)]
    pub conditional_create: bool,
}

/// How a patient is named in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatientBy {
    /// `patient.identifier=system|value`.
    #[default]
    Identifier,
    /// `patient=Patient/id`, after `POST Patient/_search`.
    Id,
}

/// What is asked of the server for one resource type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Type {
    /// `GET [type]/[id]`.
    pub read: bool,
    /// `POST [type]/_search`.
    pub search: bool,
    /// `POST [type]`.
    pub create: bool,
    /// `PUT [type]/[id]`.
    pub update: bool,
    /// What the server calls the type, where its version has another name for it than R4: `ProcedureRequest` for a
    /// ServiceRequest of STU3, which is a `ReferralRequest` else.
    pub name: Option<String>,
    /// The search parameter that takes the patient. Default: `identifier` for Patient, else `patient.identifier`, or
    /// `patient` where the patient is named by id.
    pub patient: Option<String>,
    /// `_include` with each search, such as `CarePlan:care-team`.
    pub include: Vec<String>,
    /// `_revinclude` with each search, such as `Task:focus`.
    pub revinclude: Vec<String>,
}

const fn hundred() -> u32 {
    100
}
const fn twenty() -> usize {
    20
}
const fn limit() -> usize {
    16 << 20
}
