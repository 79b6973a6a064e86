//! A server of another version of FHIR: what it gives is R4 before anybody else sees it, and what it is sent is its own
//! version again. Nothing is lost on the way: what only one version has stands in extensions.

use bytes::Bytes;
use serde::Deserialize;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{self, Document};
use silta_engine::mapping::{Crossing, FhirVersion, Maps};
use silta_engine::native::{Limits, Syntax};

use super::Config;

/// The version of FHIR that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Version {
    /// STU3.
    #[serde(rename = "3.0")]
    Stu3,
    /// R4, which the gateway speaks itself.
    #[default]
    #[serde(rename = "4.0")]
    R4,
    /// R5.
    #[serde(rename = "5.0")]
    R5,
}

/// How a server of another version is spoken with.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    crossing: Crossing,
    /// What it calls types that have another name in R4: R4's first.
    names: Vec<(String, String)>,
}

impl Dialect {
    /// None where the server speaks R4.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let version = match config.version {
            Version::Stu3 => FhirVersion::Stu3,
            Version::R4 => return None,
            Version::R5 => FhirVersion::R5,
        };
        let named = config.types.iter().filter_map(|(kind, of)| Some((kind.clone(), of.name.clone()?)));
        let mut names: Vec<(String, String)> = named.collect();
        // What is asked of others is a referral.
        if version == FhirVersion::Stu3 && !names.iter().any(|(kind, _)| kind == "ServiceRequest") {
            names.push(("ServiceRequest".to_owned(), "ReferralRequest".to_owned()));
        }
        let prefers = names.iter().map(|(_, name)| name.clone()).collect();
        let crossing = Maps::embedded(Model::r4()).crossing(version, prefers)?;
        Some(Self { crossing, names })
    }

    /// What the server calls a type.
    pub(crate) fn native<'n>(&'n self, kind: &'n str) -> &'n str {
        self.names.iter().find(|(known, _)| known == kind).map_or(kind, |(_, name)| name)
    }

    /// What a type of the server's is in R4.
    fn r4<'n>(&'n self, name: &'n str) -> &'n str {
        self.names.iter().find(|(_, known)| known == name).map_or(name, |(kind, _)| kind)
    }

    /// A resource's address with its type as R4 calls it.
    pub(crate) fn address(&self, url: &str) -> String {
        let mut steps = url.rsplitn(3, '/');
        match (steps.next(), steps.next(), steps.next()) {
            (Some(id), Some(kind), Some(base)) => format!("{base}/{}/{id}", self.r4(kind)),
            _ => url.to_owned(),
        }
    }

    /// What the server says, in R4.
    pub(crate) fn inward(&self, bytes: &[u8], is_xml: bool) -> Option<Bytes> {
        let document = self.document(bytes, is_xml)?;
        Some(Bytes::copy_from_slice(document.json().as_bytes()))
    }

    fn document(&self, bytes: &[u8], is_xml: bool) -> Option<std::sync::Arc<Document>> {
        let syntax = if is_xml { Syntax::Xml } else { Syntax::Json };
        let tree = syntax.parse(bytes.to_vec(), &Limits::default()).ok()?;
        self.crossing.to_r4(&tree)
    }

    /// What is said to it, in its version.
    pub(crate) fn outward(&self, bytes: &[u8]) -> Option<Bytes> {
        let limits = document::Limits::default();
        let resource = Document::from_json(Model::r4(), bytes.to_vec(), &limits).ok()?;
        self.crossing.of_r4(&resource).map(Bytes::from)
    }
}
