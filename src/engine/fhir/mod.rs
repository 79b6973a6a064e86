//! FHIR documents: reading, walking, making and changing them, as JSON and as XML.
//!
//! A [`document::Document`] is immutable and shared. [`draft::Draft`] makes a new one in any order, [`edit::Edit`] makes
//! a changed one and leaves untouched bytes as they are. What FHIR means is the logical view ([`document::Node`]):
//! arrays are repetitions, `x` and `_x` are one primitive, XML and JSON look alike.

mod bind;
pub(crate) mod compare;

pub mod datatypes;
pub mod document;
pub mod draft;
pub mod edit;
mod emit;
mod json;
mod node;
mod path;
pub mod physical;
pub mod query;
mod scan;
pub mod slips;
mod xml_read;
mod xml_write;

pub(crate) use xml_read::NOTHING;
