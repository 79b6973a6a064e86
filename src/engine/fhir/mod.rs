//! FHIR documents: reading, walking, making and changing them, as JSON and as XML.
