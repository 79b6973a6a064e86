//! Whether a resource, by its facets, is what a criterion asks for.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;

use super::facet::{Facet, FacetValue};
use super::interval::Interval;
use super::parameter::Parameter;
use super::query::{Chain, Criterion, Modifier, Test};
use super::value::{Prefix, ReferenceValue, Value};

/// The other resources that a chain may lead to.
pub trait Others {
    /// The facets of the resource of this `Type/id`; none when it is not at hand.
    fn facets_of(&self, reference: &str) -> Option<&[Facet]>;
}

impl Others for () {
    fn facets_of(&self, _: &str) -> Option<&[Facet]> {
        None
    }
}

impl Criterion {
    /// Whether a resource with these facets fulfils it.
    #[must_use]
    pub fn matches(&self, facets: &[Facet], others: &dyn Others) -> bool {
        let mut own = facets.iter().filter(|facet| facet.name == self.parameter.code()).map(|facet| &facet.value);
        if let Some(chain) = &self.chain {
            return own.any(|value| chain.leads(value, others));
        }
        match &self.test {
            Test::Missing(missing) => own.next().is_none() == *missing,
            Test::Any(values) => own.any(|facet| values.iter().any(|value| self.equal(value, facet))),
            Test::NoneOf(values) => !own.any(|facet| values.iter().any(|value| self.equal(value, facet))),
        }
    }

    fn equal(&self, value: &Value, facet: &FacetValue) -> bool {
        match (value, facet) {
            (Value::Token { system, code }, FacetValue::Token { system: of, code: is }) => {
                equal_tokens(self.parameter, (system.as_ref(), code.as_deref()), (of.as_deref(), is))
            }
            (Value::Reference(wanted), FacetValue::Reference(is)) => wanted.is(is),
            (Value::Date { prefix, interval }, FacetValue::Interval(is)) => prefix.holds(*interval, *is),
            (Value::Text(wanted), FacetValue::Text(is)) => match self.modifier {
                Modifier::Exact => wanted == is,
                Modifier::Contains => folded(is).contains(&folded(wanted)),
                _ if self.parameter.kind() == crate::definitions::SearchType::Uri => wanted == is,
                _ => folded(is).starts_with(&folded(wanted)),
            },
            _ => false,
        }
    }
}

impl Chain {
    fn leads(&self, facet: &FacetValue, others: &dyn Others) -> bool {
        let FacetValue::Reference(reference) = facet else { return false };
        let reference = unversioned(reference);
        reference.split_once('/').is_some_and(|(name, _)| name == self.target)
            && others.facets_of(reference).is_some_and(|facets| self.criterion.matches(facets, others))
    }
}

impl ReferenceValue {
    /// Whether a reference as written is to this.
    #[must_use]
    pub fn is(&self, written: &str) -> bool {
        match self {
            Self::Url(url) => written == url || written.split_once('|').is_some_and(|(canonical, _)| canonical == url),
            Self::Here { resource_type, id } => {
                let Some((name, is)) = unversioned(written).split_once('/') else { return false };
                is == id && resource_type.is_none_or(|wanted| wanted == name)
            }
        }
    }
}

impl Prefix {
    /// Whether what the resource says lies to the asked one as the prefix says
    /// (<http://hl7.org/fhir/R4/search.html#prefix>).
    #[must_use]
    pub fn holds(self, asked: Interval, is: Interval) -> bool {
        match self {
            Self::Eq => asked.contains(is),
            Self::Ne => !asked.contains(is),
            Self::Gt => is.to > asked.to,
            Self::Lt => is.from < asked.from,
            Self::Ge => is.to > asked.to || asked.contains(is),
            Self::Le => is.from < asked.from || asked.contains(is),
            Self::Sa => is.from >= asked.to,
            Self::Eb => is.to <= asked.from,
            Self::Ap => asked.overlaps(is),
        }
    }
}

fn equal_tokens(
    parameter: &Parameter,
    (system, code): (Option<&Option<String>>, Option<&str>),
    (of, is): (Option<&str>, &str),
) -> bool {
    let in_system = match system {
        None => true,
        Some(None) => of.is_none(),
        Some(Some(wanted)) => of.or(parameter.implied_system()) == Some(wanted.as_str()),
    };
    in_system && code.is_none_or(|code| code == is)
}

/// For strings neither case nor accents count (<http://hl7.org/fhir/R4/search.html#string>): "Jarvi" finds Järvi.
fn folded(text: &str) -> String {
    let (accents, letters) = (CanonicalCombiningClassMapBorrowed::new(), DecomposingNormalizerBorrowed::new_nfd());
    letters.normalize_iter(text.chars().flat_map(char::to_lowercase)).filter(|c| accents.get_u8(*c) == 0).collect()
}

pub(super) fn unversioned(reference: &str) -> &str {
    reference.split_once("/_history/").map_or(reference, |(before, _)| before)
}
