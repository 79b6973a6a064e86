//! The FHIR interface: listener, interactions, federation, cache, answers.
