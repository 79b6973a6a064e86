//! What a resource can be found by, as the store keeps it.

use silta_engine::fhir::document::Node;
use silta_engine::search;

use crate::store::{Facet, FacetValue};

/// The facets of a resource, whole or part of a document.
pub(crate) fn facets_of(resource: Node<'_>) -> Vec<Facet> {
    search::facets_at(resource)
        .into_iter()
        .map(|facet| Facet {
            name: facet.name.into_owned(),
            value: match facet.value {
                search::FacetValue::Token { system, code } => FacetValue::Token { system, code },
                search::FacetValue::Reference(target) => FacetValue::Reference(target),
                search::FacetValue::Interval(interval) => FacetValue::Interval { from: interval.from, to: interval.to },
                search::FacetValue::Text(text) => FacetValue::Text(text),
            },
        })
        .collect()
}
