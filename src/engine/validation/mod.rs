//! Judging FHIR documents against the core definitions and profiles.
