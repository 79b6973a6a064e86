//! A provider's own JSON over HTTP, described by templates in the configuration.
//!
//! For each kind of document the configuration says how it is listed, got, created and updated ([`Config`]), where in an
//! answer the documents stand, and which JSON Schema they follow. The schema is checked both ways: what breaks it is
//! neither sent nor handed up, and the error names the place and the rule, never the value. Documents are handed up as
//! the exact bytes that stood in the answer.

mod adapter;
mod config;
mod extract;
pub(crate) mod schema;
mod template;

pub use adapter::Http;
pub use config::{Config, Create, Document, Get, List, SchemaRef, Update};

/// The media type of JSON.
pub const MEDIA_TYPE: &str = "application/json";
