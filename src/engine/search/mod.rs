//! Search: parameters compiled to plans, and what a resource answers to.
//!
//! <http://hl7.org/fhir/R4/search.html>
//!
//! [`Parameters`] compiles the expressions of the search parameters that the definitions list. [`facets`] runs them over a
//! resource and gives what it can be found by; whoever stores a resource keeps its facets beside it. [`Query::parse`]
//! reads what a caller asks, within [`Bounds`], and [`Criterion::matches`] compares the two, so that a search never reads
//! a resource again.

mod expression;
mod facet;
mod interval;
mod matching;
mod parameter;
mod query;
mod sort;
mod subset;
mod value;

pub use facet::{Facet, FacetValue, facets, facets_at};
pub use interval::Interval;
pub use matching::Others;
pub use parameter::{Parameter, Parameters};
pub use query::{Bounds, Chain, Criterion, Ignored, Include, Query, SearchError, Summary, Test, Total};
pub use sort::{Sort, SortKey};
pub use subset::{is_subset, subset};
pub use value::{Prefix, ReferenceValue, Value};
