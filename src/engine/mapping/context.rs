//! What a translation takes from outside the document and the map: the provider's settings, the time, a key.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustc_hash::FxHashMap;

use super::lens::zone_of;
use crate::native::{Charset, Format, Tree};

/// What a provider's configuration and the moment say. Cheap to keep for each provider; `now` and `control_id` change
/// with each document.
#[derive(Debug, Clone)]
pub struct Context {
    /// The provider's name, without a dot.
    pub provider: String,
    /// When the translation is made; times of new messages are this.
    pub now: Timestamp,
    /// The zone of native times that name none, where it is known; else an HL7 v2 message is in the one that its MSH-7
    /// names (v2.5.1, 2.15.9.7), and what names none is taken for UTC and told as approximated.
    pub zone: Option<TimeZone>,
    /// The character set of new documents, and of received ones that declare none.
    pub charset: Charset,
    /// The key of the HMAC under which personal identifiers appear in keys.
    pub secret: Vec<u8>,
    /// Assigning authorities by the names that the provider uses.
    pub authorities: Vec<Named>,
    /// Code systems by the names that the provider uses.
    pub code_systems: Vec<Named>,
    /// Identifier systems by identifier type, where a type names its system (`NNFIN`).
    pub identifier_types: Vec<Named>,
    /// Organizations by the facility names that the provider uses; the URI is `system|value`.
    pub facilities: Vec<Named>,
    /// Further rows of tables, by the table's name: native code and FHIR code.
    pub tables: FxHashMap<String, Vec<(String, String)>>,
    /// What becomes of FHIR content that the native format cannot carry.
    pub loss: Loss,
    /// Whether new documents are XML, where the format has that beside JSON.
    pub xml: bool,
    /// The envelope of new messages.
    pub envelope: Envelope,
}

/// A provider's name for something that has a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The URI.
    pub uri: String,
}

impl Named {
    /// A name and its URI.
    #[must_use]
    pub fn new(name: &str, uri: &str) -> Self {
        Self { name: name.to_owned(), uri: uri.to_owned() }
    }
}

/// What becomes of FHIR content that the native format cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loss {
    /// The document is refused, and the paths named.
    #[default]
    Refuse,
    /// The document is written without it, and the report names the paths.
    Warn,
}

/// What stands in the header of a new HL7 v2 message, as the fields are written (`GHH^1.2.3^ISO`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MSH-3.
    pub sending_application: String,
    /// MSH-4.
    pub sending_facility: String,
    /// MSH-5.
    pub receiving_application: String,
    /// MSH-6.
    pub receiving_facility: String,
    /// MSH-10.
    pub control_id: String,
    /// MSH-11.1: `P`, `T` or `D`.
    pub processing: String,
    /// MSH-12 of messages that answer none.
    pub version: String,
    /// MSH-9.2 of messages that answer none; empty takes the map's first.
    pub event: String,
}

impl Default for Envelope {
    /// Test mode, 2.5.1, no applications.
    fn default() -> Self {
        Self {
            sending_application: "SILTA".to_owned(),
            sending_facility: String::new(),
            receiving_application: String::new(),
            receiving_facility: String::new(),
            control_id: "1".to_owned(),
            processing: "T".to_owned(),
            version: "2.5.1".to_owned(),
            event: String::new(),
        }
    }
}

/// Identifier types that name their system: the national person numbers (table 0203 `NNxxx`).
const IDENTIFIER_TYPES: [(&str, &str); 5] = [
    ("NNFIN", "urn:oid:1.2.246.21"),
    ("NNSWE", "urn:oid:1.2.752.129.2.1.3.1"),
    ("NNDNK", "urn:oid:1.2.208.176.1.2"),
    ("NNNOR", "urn:oid:2.16.578.1.12.4.1.4.1"),
    ("SS", "http://hl7.org/fhir/sid/us-ssn"),
];

impl Context {
    /// A context for a provider without settings: UTC, UTF-8, test mode.
    #[must_use]
    pub fn new(provider: &str, now: Timestamp, secret: &[u8]) -> Self {
        Self {
            provider: provider.to_owned(),
            now,
            zone: None,
            charset: Charset::Utf8,
            secret: secret.to_vec(),
            authorities: Vec::new(),
            code_systems: Vec::new(),
            identifier_types: IDENTIFIER_TYPES.iter().map(|(name, uri)| Named::new(name, uri)).collect(),
            facilities: Vec::new(),
            tables: FxHashMap::default(),
            loss: Loss::default(),
            xml: false,
            envelope: Envelope::default(),
        }
    }

    /// The zone of native times that name none: UTC where it is not known.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or(TimeZone::UTC)
    }

    /// What holds for this document: of an HL7 v2 message the zone that its header names, where none is known.
    #[must_use]
    pub fn of(&self, tree: &Tree) -> Cow<'_, Self> {
        let header = || {
            let header = tree.segments().next()?;
            tree.text(tree.component(tree.field(header, 7)?, 1)).and_then(|time| zone_of(&time))
        };
        match header().filter(|_| self.zone.is_none() && tree.format() == Format::Hl7V2) {
            Some(zone) => Cow::Owned(Self { zone: Some(zone), ..self.clone() }),
            None => Cow::Borrowed(self),
        }
    }

    pub(crate) fn uri<'c>(named: &'c [Named], name: &str) -> Option<&'c str> {
        named.iter().find(|n| n.name == name).map(|n| n.uri.as_str())
    }

    pub(crate) fn name(named: &[Named], uri: &str) -> Option<String> {
        named.iter().find(|n| n.uri == uri).map(|n| n.name.clone())
    }
}
