//! FHIR packages: archives, canonical resolution, snapshots, and the definitions compiler.
