//! A provider's plain FHIR server, of R4 or of another version (<http://hl7.org/fhir/R4/http.html>).
//!
//! Reads, searches and writes JSON. A patient's identifiers go only into the body of `POST [type]/_search`, never into
//! an address. Resources are handed up one by one as the server wrote them; only the envelope of a Bundle is looked at
//! here. Links for further pages are followed on the same origin only, and up to a limit.

mod adapter;
mod bundle;
mod config;
mod doubt;
mod version;

pub use adapter::Fhir;
pub use config::{Config, PatientBy, Type};
pub(crate) use version::Dialect;
pub use version::Version;

/// The media type of FHIR JSON.
pub const MEDIA_TYPE: &str = "application/fhir+json";
