//! What a search chooses from, and what it chooses.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use silta_engine::search::{Facet, Others, Query, SortKey};

use super::Keys;
use super::anchor::{Anchor, Anchored};
use crate::access::caller::Mode;
use crate::clock::Instant;
use crate::gateway::federation::part::{Part, Report, State, merged};
use crate::gateway::federation::{Federation, PROVENANCE, store_failed};
use crate::gateway::outcome::Refusal;
use crate::store::{PersonId, ResourceKey};

/// What a search is made within.
pub(super) struct Scope<'a> {
    pub(super) federation: &'a Federation,
    pub(super) query: &'a Query,
    pub(super) mode: Mode,
    pub(super) deadline: Instant,
}

/// Everything that is at hand.
pub(super) struct Pool {
    pub(super) parts: BTreeMap<ResourceKey, Part>,
    pub(super) reports: Vec<Report>,
    settled: BTreeSet<usize>,
    /// Only these may match, where the search names them.
    only: Option<BTreeSet<ResourceKey>>,
}

/// Gathers what the search is about: everything of its persons that may match or be included, or the resources named.
pub(super) async fn gather(scope: &Scope<'_>, anchored: Anchored) -> Result<Pool, Refusal> {
    let Anchored { anchor, settled } = anchored;
    match anchor {
        Anchor::Patients(patients) => {
            let (kept, types) = wanted(scope.query);
            let asking = patients
                .iter()
                .map(|patient| scope.federation.gather(patient, &kept, &types, scope.mode, scope.deadline));
            let gathered = try_join_all(asking).await.map_err(store_failed)?;
            let (mut parts, mut reports) = (Vec::new(), Vec::new());
            for one in gathered {
                parts.extend(one.parts.into_values());
                reports.extend(one.reports);
            }
            Ok(Pool { parts: merged(parts), reports, settled, only: None })
        }
        Anchor::Resources { keys, live } => {
            let (parts, reports) = if live { found(scope, &keys).await? } else { kept(scope, keys.clone()).await? };
            let mut pool = Pool { parts: merged(parts), reports, settled, only: Some(keys.into_iter().collect()) };
            pool.add_what_refers(scope).await?;
            Ok(pool)
        }
    }
}

/// Types taken from the store (none: all) and asked of providers.
fn wanted(query: &Query) -> (Vec<&'static str>, Vec<&'static str>) {
    /// A parameter that may refer to more types than this may refer to anything.
    const NAMED: usize = 20;
    let mut types = BTreeSet::from([query.resource_type]);
    for include in &query.includes {
        types.insert(include.source);
        if let Some(target) = include.target {
            types.insert(target);
        } else if !include.reverse && include.parameter.targets().count() <= NAMED {
            types.extend(include.parameter.targets());
        }
    }
    for criterion in &query.criteria {
        types.extend(criterion.chain.iter().map(|chain| chain.target));
    }
    let types: Vec<&'static str> = types.into_iter().collect();
    // What is kept of one person is little, and an include may lead anywhere in it.
    let kept = if query.includes.is_empty() { types.clone() } else { Vec::new() };
    (kept, types)
}

async fn found(scope: &Scope<'_>, keys: &[ResourceKey]) -> Result<(Vec<Part>, Vec<Report>), Refusal> {
    let (mut parts, mut reports) = (Vec::new(), Vec::new());
    let answers = join_all(keys.iter().map(|key| scope.federation.find(key, scope.mode, scope.deadline))).await;
    for (key, answer) in keys.iter().zip(answers) {
        match (answer, key.id.split_once('.')) {
            (Ok(part), _) => parts.extend(part),
            (Err(failure), Some((provider, _))) => {
                reports.push(Report { provider: Arc::from(provider), state: State::Silent(failure) });
            }
            (Err(failure), None) => return Err(failure.into()),
        }
    }
    Ok((parts, reports))
}

async fn kept(scope: &Scope<'_>, keys: Vec<ResourceKey>) -> Result<(Vec<Part>, Vec<Report>), Refusal> {
    let members = scope.federation.store.read(move |view| {
        let mut members = Vec::new();
        for key in &keys {
            members.extend(view.member(key)?);
        }
        Ok(members)
    });
    let members = members.await.map_err(store_failed)?;
    let parts = members.into_iter().map(Part::stored).collect();
    const WHY: &str = "the search names no patient that it could be asked about";
    let reports = scope.federation.not_asked(scope.query.resource_type, WHY);
    Ok((scope.federation.visible(parts, scope.mode), reports))
}

impl Pool {
    /// Where the search names resources one by one: what is kept of their persons and may refer to them.
    async fn add_what_refers(&mut self, scope: &Scope<'_>) -> Result<(), Refusal> {
        if scope.query.includes.is_empty() {
            return Ok(());
        }
        let persons: BTreeSet<PersonId> = self.parts.values().filter_map(|part| part.person).collect();
        let members = scope.federation.store.read(move |view| {
            let mut members = Vec::new();
            for person in persons {
                members.extend(view.members(Some(person), &[])?);
            }
            Ok(members)
        });
        let members = members.await.map_err(store_failed)?;
        let traced = scope.query.includes.iter().any(|include| include.source == PROVENANCE);
        let traces = if traced {
            scope.federation.traces(members.clone(), scope.mode).await.map_err(store_failed)?
        } else {
            Vec::new()
        };
        let more: Vec<Part> = members.into_iter().map(Part::stored).collect();
        let held = std::mem::take(&mut self.parts).into_values();
        self.parts = merged(held.chain(scope.federation.visible(more, scope.mode)).chain(traces));
        Ok(())
    }

    /// What fulfils the query, in its order.
    pub(super) fn matches(&self, query: &Query) -> Keys {
        let open: Vec<_> = query
            .criteria
            .iter()
            .enumerate()
            .filter(|(place, _)| !self.settled.contains(place))
            .map(|(_, criterion)| criterion)
            .collect();
        let mut found: Vec<(&Part, Vec<SortKey>)> = self
            .parts
            .values()
            .filter(|part| part.key.resource_type == query.resource_type)
            .filter(|part| self.only.as_ref().is_none_or(|only| only.contains(&part.key)))
            .filter(|part| open.iter().all(|criterion| criterion.matches(&part.facets, self)))
            .map(|part| (part, query.sort.iter().map(|sort| sort.key(&part.facets)).collect()))
            .collect();
        found.sort_by(|(one, keys), (other, others)| {
            let asked =
                query.sort.iter().zip(keys.iter().zip(others)).map(|(sort, (one, other))| sort.order(one, other));
            let newest = || other.updated.cmp(&one.updated);
            asked.fold(Ordering::Equal, Ordering::then).then_with(newest).then_with(|| one.key.cmp(&other.key))
        });
        found.into_iter().map(|(part, _)| Arc::new(part.key.clone())).collect()
    }

    /// Other resources that bear an identifier of this one: the same thing as another source has it.
    pub(super) fn same_as<'p>(&'p self, part: &'p Part) -> impl Iterator<Item = &'p ResourceKey> {
        let bears = |other: &Part| {
            other
                .facets
                .iter()
                .any(|facet| facet.name == "identifier" && is_named(facet) && part.facets.contains(facet))
        };
        self.parts
            .values()
            .filter(move |other| other.key != part.key && other.key.resource_type == part.key.resource_type)
            .filter(move |other| bears(other))
            .map(|other| &other.key)
    }
}

/// Whether an identifier says in which system it is one.
fn is_named(facet: &Facet) -> bool {
    matches!(&facet.value, silta_engine::search::FacetValue::Token { system: Some(_), .. })
}

impl Others for Pool {
    fn facets_of(&self, reference: &str) -> Option<&[Facet]> {
        let (name, id) = reference.split_once('/')?;
        self.parts.get(&ResourceKey::new(name, id)).map(|part| part.facets.as_ref())
    }
}
