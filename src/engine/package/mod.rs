//! FHIR packages: archives, canonical resolution, and the definitions compiler.

pub mod archive;
pub mod compiler;
pub mod library;
