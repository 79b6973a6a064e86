//! Native documents: trees over their own bytes, and lossless writers.

pub mod delimited;
pub mod hl7v2;
pub mod json;
pub mod xml;
