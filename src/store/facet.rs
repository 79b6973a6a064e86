//! Facets: what searching needs to know about a resource without parsing it again.
//!
//! Whoever writes a member says its facets; the store keeps them beside it, so that a search walks a person's members in
//! memory. Three names are also indexed across persons: `identifier` (tokens), and on `Task` the worklist made of `owner`,
//! `requester` (references) and `status` (token).

use jiff::Timestamp;
use silta_engine::search;

/// One value of one search parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// The search parameter's code, e.g. `status`, `lifecycle-status`, `subject`.
    pub name: String,
    /// Its value.
    pub value: FacetValue,
}

/// The value of a [`Facet`], by kind of search parameter (<http://hl7.org/fhir/R4/search.html#ptypes>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FacetValue {
    /// A code, Coding or Identifier.
    Token {
        /// Its system; `None` where the element has none.
        system: Option<String>,
        /// The code or the identifier's value.
        code: String,
    },
    /// A reference as written, `Type/id` or absolute.
    Reference(String),
    /// A date, dateTime or Period as the half-open interval that it covers; an open end is the end of time.
    Interval {
        /// The first instant.
        from: Timestamp,
        /// The first instant after it.
        to: Timestamp,
    },
    /// A string, uri or number by its text.
    Text(String),
}

impl Facet {
    /// A token.
    pub fn token(name: impl Into<String>, system: Option<&str>, code: impl Into<String>) -> Self {
        Self { name: name.into(), value: FacetValue::Token { system: system.map(str::to_owned), code: code.into() } }
    }

    /// A reference.
    pub fn reference(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self { name: name.into(), value: FacetValue::Reference(target.into()) }
    }

    /// A text.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), value: FacetValue::Text(text.into()) }
    }

    /// An interval of time.
    pub fn interval(name: impl Into<String>, from: Timestamp, to: Timestamp) -> Self {
        Self { name: name.into(), value: FacetValue::Interval { from, to } }
    }
}

impl From<search::Facet> for Facet {
    fn from(facet: search::Facet) -> Self {
        let value = match facet.value {
            search::FacetValue::Token { system, code } => FacetValue::Token { system, code },
            search::FacetValue::Reference(target) => FacetValue::Reference(target),
            search::FacetValue::Interval(search::Interval { from, to }) => FacetValue::Interval { from, to },
            search::FacetValue::Text(text) => FacetValue::Text(text),
        };
        Self { name: facet.name.into_owned(), value }
    }
}

impl From<Facet> for search::Facet {
    fn from(facet: Facet) -> Self {
        let value = match facet.value {
            FacetValue::Token { system, code } => search::FacetValue::Token { system, code },
            FacetValue::Reference(target) => search::FacetValue::Reference(target),
            FacetValue::Interval { from, to } => search::FacetValue::Interval(search::Interval { from, to }),
            FacetValue::Text(text) => search::FacetValue::Text(text),
        };
        Self { name: facet.name.into(), value }
    }
}
