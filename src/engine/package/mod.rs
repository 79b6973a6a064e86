//! FHIR packages: archives, canonical resolution, snapshots, and the definitions compiler.

pub mod archive;
pub mod compiler;
