//! The order of results (<http://hl7.org/fhir/R4/search.html#sort>).

use std::cmp::Ordering;

use jiff::Timestamp;

use super::facet::{Facet, FacetValue};
use super::parameter::Parameter;

/// One rule of `_sort`.
#[derive(Debug, Clone, Copy)]
pub struct Sort {
    /// By which parameter.
    pub parameter: &'static Parameter,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// By what a resource is put in its place under one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// The end of an interval that counts first, then its other end.
    Time(Timestamp, Timestamp),
    /// A text.
    Text(String),
    /// The resource has no value: it comes last, whichever way the rule runs.
    Nothing,
}

impl Sort {
    /// The key of a resource with these facets: its smallest value, or its largest where the largest comes first.
    #[must_use]
    pub fn key(&self, facets: &[Facet]) -> SortKey {
        let keys = facets.iter().filter(|facet| facet.name == self.parameter.code()).map(|facet| match &facet.value {
            FacetValue::Interval(interval) if self.descending => SortKey::Time(interval.to, interval.from),
            FacetValue::Interval(interval) => SortKey::Time(interval.from, interval.to),
            FacetValue::Token { code, .. } => SortKey::Text(code.clone()),
            FacetValue::Reference(text) => SortKey::Text(text.clone()),
            FacetValue::Text(text) => SortKey::Text(text.to_lowercase()),
        });
        let extreme = if self.descending { keys.max() } else { keys.min() };
        extreme.unwrap_or(SortKey::Nothing)
    }

    /// Which of two keys comes first.
    #[must_use]
    pub fn order(&self, one: &SortKey, other: &SortKey) -> Ordering {
        match (one, other) {
            (SortKey::Nothing, _) | (_, SortKey::Nothing) => one.cmp(other),
            _ if self.descending => other.cmp(one),
            _ => one.cmp(other),
        }
    }
}
