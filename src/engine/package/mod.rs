//! FHIR packages: archives, dependencies, canonical resolution, snapshots, and the definitions compiler.

pub mod archive;
pub mod compiler;
pub mod library;
pub mod manifest;
pub mod place;
pub mod snapshot;
