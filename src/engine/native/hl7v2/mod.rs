//! HL7 v2: messages, segments, fields; the tables of each version.

pub mod schema;
