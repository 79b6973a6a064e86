//! Answers as XML.

use bytes::Bytes;
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits};

use super::outcome::Refusal;

/// The same resource as XML (<http://hl7.org/fhir/R4/xml.html>).
pub(super) fn from_json(json: &Bytes) -> Result<Bytes, Refusal> {
    // It is our own, so only its form limits it.
    let limits = Limits { bytes: u32::MAX, ..Limits::default() };
    let document = Document::from_json(Model::r4(), json.to_vec(), &limits);
    let xml = document.map_err(drop).and_then(|document| document.to_xml().map_err(drop));
    xml.map(Bytes::from).map_err(|()| {
        Refusal::new(Fault::NotAcceptable, "this answer cannot be carried by XML: ask for application/fhir+json")
    })
}
