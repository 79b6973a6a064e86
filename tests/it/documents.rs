//! FHIR documents: parsing, walking, writing.
