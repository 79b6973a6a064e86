//! The resource that a caller sent, read and compared with what its URL says.

use std::sync::Arc;

use serde_json::json;
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits};

use crate::access::interaction::ResourceType;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Format, Request};

/// The resource in the request's body.
///
/// # Errors
/// There is none, or it cannot be read.
pub(super) fn read(request: &Request) -> Result<Arc<Document>, Refusal> {
    let Some(payload) = &request.body else {
        return Err(Refusal::new(Fault::RequiredMissing, "the body with the resource is missing"));
    };
    parsed(payload.bytes.to_vec(), payload.format)
}

/// A resource in a format.
///
/// # Errors
/// It cannot be read.
pub(super) fn parsed(bytes: Vec<u8>, format: Format) -> Result<Arc<Document>, Refusal> {
    let limits = Limits::default();
    let read = match format {
        Format::Json => Document::from_json(Model::r4(), bytes, &limits),
        Format::Xml => Document::from_xml(Model::r4(), bytes, &limits),
    };
    read.map_err(|error| {
        Refusal::new(error.fault(), error.fault.to_string()).located(format!("{}:{}", error.line, error.column))
    })
}

/// The resource in the request's body, which is of this type.
///
/// # Errors
/// There is none, it cannot be read, or it is of another type.
pub(super) fn sent(request: &Request, kind: ResourceType) -> Result<Arc<Document>, Refusal> {
    let document = read(request)?;
    if document.root().type_name() != kind.name() {
        return Err(Refusal::new(Fault::BadValue, format!("the resource sent is not a {kind}, as the URL says")));
    }
    Ok(document)
}

/// An OperationOutcome that says that nothing is to be said.
pub(super) fn all_well() -> String {
    json!({
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "information", "code": "informational", "details": {"text": "done"}}],
    })
    .to_string()
}
