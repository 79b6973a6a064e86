//! What is given beside the matches: `_include`, `_revinclude` (<http://hl7.org/fhir/R4/search.html#revinclude>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use silta_engine::search::{FacetValue, Include};

use super::pool::{Pool, Scope};
use crate::gateway::federation::part::{Part, Report, State};
use crate::gateway::outcome::Refusal;
use crate::store::ResourceKey;

/// How often `:iterate` goes on from what was included.
const ROUNDS: usize = 3;

/// Resources that are included at most.
const MOST: usize = 1000;

/// Resources that are fetched one by one, since what was gathered does not hold them.
const FETCHED: usize = 64;

/// What was included.
#[derive(Default)]
pub(super) struct Included {
    /// In order.
    pub(super) keys: Vec<ResourceKey>,
    /// Whether there is more than may be.
    pub(super) cut: bool,
    /// References to what nobody gave.
    pub(super) missing: usize,
}

/// Follows the includes from the matches of a page.
pub(super) async fn included(
    scope: &Scope<'_>,
    pool: &mut Pool,
    matches: &[Arc<ResourceKey>],
) -> Result<Included, Refusal> {
    let mut included = Included::default();
    if scope.query.includes.is_empty() {
        return Ok(included);
    }
    let mut seen: BTreeSet<ResourceKey> = matches.iter().map(|key| key.as_ref().clone()).collect();
    let mut from: Vec<ResourceKey> = seen.iter().cloned().collect();
    for round in 0..=ROUNDS {
        let mut next = BTreeSet::new();
        for include in scope.query.includes.iter().filter(|include| round == 0 || include.iterate) {
            let reached =
                if include.reverse { referring(pool, include, &from) } else { referred(pool, include, &from) };
            next.extend(reached.into_iter().filter(|key| !seen.contains(key)));
        }
        fetch(scope, pool, &next, &mut included).await?;
        next.retain(|key| pool.parts.contains_key(key));
        for key in &next {
            if included.keys.len() >= MOST {
                included.cut = true;
                return Ok(included);
            }
            included.keys.push(key.clone());
            seen.insert(key.clone());
        }
        if next.is_empty() {
            break;
        }
        from = next.into_iter().collect();
    }
    Ok(included)
}

/// What these refer to.
fn referred(pool: &Pool, include: &Include, from: &[ResourceKey]) -> Vec<ResourceKey> {
    let sources = from.iter().filter(|key| key.resource_type == include.source);
    let parts = sources.filter_map(|key| pool.parts.get(key));
    parts
        .flat_map(|part| targets(part, include))
        .filter(|key| include.target.is_none_or(|target| key.resource_type == target))
        .collect()
}

/// What refers to these.
fn referring(pool: &Pool, include: &Include, from: &[ResourceKey]) -> Vec<ResourceKey> {
    let to: BTreeSet<&ResourceKey> =
        from.iter().filter(|key| include.target.is_none_or(|target| key.resource_type == target)).collect();
    let sources = pool.parts.values().filter(|part| part.key.resource_type == include.source);
    sources.filter(|part| targets(part, include).any(|key| to.contains(&key))).map(|part| part.key.clone()).collect()
}

fn targets<'p>(part: &'p Part, include: &'p Include) -> impl Iterator<Item = ResourceKey> + 'p {
    let facets = part.facets.iter().filter(|facet| facet.name == include.parameter.code());
    facets.filter_map(|facet| match &facet.value {
        FacetValue::Reference(reference) => {
            let mut parts = reference.split('/');
            let (name, id) = (parts.next()?, parts.next()?);
            let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
            is_type.then(|| ResourceKey::new(name, id))
        }
        _ => None,
    })
}

/// Fetches what is referred to and not at hand. Who fails is reported.
async fn fetch(
    scope: &Scope<'_>,
    pool: &mut Pool,
    wanted: &BTreeSet<ResourceKey>,
    included: &mut Included,
) -> Result<(), Refusal> {
    let absent: Vec<&ResourceKey> = wanted.iter().filter(|key| !pool.parts.contains_key(key)).collect();
    included.cut |= absent.len() > FETCHED;
    let asked = absent.into_iter().take(FETCHED);
    let answers = join_all(asked.map(async |key| (key, scope.federation.find(key, scope.mode, scope.deadline).await)));
    let mut silent = BTreeMap::new();
    for (key, answer) in answers.await {
        match answer {
            Ok(Some(part)) => {
                pool.parts.insert(key.clone(), part);
            }
            Ok(None) => included.missing = included.missing.saturating_add(1),
            Err(failure) => {
                included.missing = included.missing.saturating_add(1);
                if let Some((provider, _)) = key.id.split_once('.') {
                    silent.insert(provider.to_owned(), failure);
                }
            }
        }
    }
    for (provider, failure) in silent {
        if !pool.reports.iter().any(|report| report.provider.as_ref() == provider && report.is_gap()) {
            pool.reports.push(Report { provider: provider.into(), state: State::Silent(failure) });
        }
    }
    Ok(())
}
