//! Judging native documents: structure, cardinality, types and tables.
//!
//! A finding says where, what is wrong and what was expected, never what was found: the document's data stays in the
//! document. Only errors refuse one. Real messages break many rules of their standard and are understood all the same,
//! so most findings are warnings unless the configuration of a provider makes them errors.

mod finding;
pub mod hl7v2;
pub mod xml;

pub use finding::{Config, Finding, Level, Report, Rule};
