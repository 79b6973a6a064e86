//! Compiled facts about FHIR: types, elements, names, codes and search parameters.
//!
//! A [`Model`] is one version of FHIR. R4 is in the binary ([`Model::r4`]); nothing but facts is held, no prose. Names
//! become [`Symbol`]s, so that documents and plans compare small numbers. Terminology is read in place.

mod facts;
pub(crate) mod format;
mod format_version;
mod model;
mod names;
pub(crate) mod tables;

pub use facts::{CodeSystem, Concept, Include, SearchParameter, SearchType, ValueSet};
pub use format::FormatError;
pub use format_version::FORMAT_VERSION;
pub(crate) use model::JsonForm;
pub use model::{Constraint, Element, ElementId, Kind, Model, Resolved, Strength, Symbol, TypeChoice, TypeId};
