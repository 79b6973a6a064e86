//! The synchronous heart of Silta.
//!
//! FHIR documents, native formats, FHIRPath, validation, search and the correspondence language. Nothing here knows a
//! network, a runtime or a database: every function takes bytes and values and gives values back; time and randomness
//! are handed in.
//!
//! Read from the bottom: [`fault`] and [`definitions`] know nothing else; [`fhir`] and [`native`] are the two kinds of
//! document; [`mapping`] relates them; [`validation`] judges the FHIR ones.

pub mod definitions;
pub mod fault;
pub mod fhir;
pub mod fhirpath;
pub mod mapping;
pub mod native;
pub mod native_rules;
pub mod package;
pub mod search;
pub mod terminology;
pub mod validation;
