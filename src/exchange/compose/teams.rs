//! Care teams: the owners of taken Tasks in the teams of the plans that hold their orders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use silta_engine::fhir::document::Document;
use silta_engine::fhir::edit::Edit;

use crate::store::{Facet, Member, ResourceKey};

use super::super::error::ExchangeError;
use super::super::facets::facets_of;
use super::super::known::{self, Known};
use super::super::workflow::state::Status;
use super::super::workflow::{task, team};
use super::{Composed, Composer, Made, ORDER, keep_private, next_version, parse, quoted, resources, stamp};

/// A team that the document may change.
struct Team<'k> {
    key: ResourceKey,
    current: Option<&'k Member>,
    document: Arc<Document>,
    /// The orders that its plan holds now.
    orders: Vec<String>,
}

impl Composer<'_> {
    /// The teams of plans in the document, and of plans known before that hold an order whose Task was taken.
    pub(super) fn teams(
        &self,
        bundle: &Arc<Document>,
        known: &Known,
        composed: &mut Composed,
    ) -> Result<(), ExchangeError> {
        let plans = || resources(bundle).filter(|resource| resource.type_name() == "CarePlan");
        if known.teams.is_empty() && plans().next().is_none() {
            return Ok(());
        }
        let owners = owners(bundle, known, composed)?;
        let mut teams: Vec<Team<'_>> = Vec::new();
        for plan in plans() {
            let Some(id) = plan.text_at("id") else { continue };
            let key = ResourceKey::new("CareTeam", id);
            let current = known.teams.iter().find(|team| team.resource.key == key);
            let document = match current {
                Some(current) => parse(&current.resource.content, bundle)?,
                None => team::for_plan(bundle.model(), plan)
                    .map_err(|_| ExchangeError::Internal("a CareTeam cannot be made"))?,
            };
            teams.push(Team { key, current, document, orders: team::orders(plan) });
        }
        for current in &known.teams {
            let key = &current.resource.key;
            if !teams.iter().any(|team| team.key == *key) {
                let document = parse(&current.resource.content, bundle)?;
                teams.push(Team { key: key.clone(), current: Some(current), document, orders: Vec::new() });
            }
        }
        for team in teams {
            let before = team.current.into_iter().flat_map(|team| known::facet_texts(team, ORDER)).map(str::to_owned);
            let orders: BTreeSet<String> =
                team.orders.into_iter().chain(orders_of(bundle, &team.key.id)).chain(before).collect();
            let members: Vec<String> = orders.iter().filter_map(|order| owners.get(order)).flatten().cloned().collect();
            let changed = changed_team(&team.key, team.current, &team.document, &members, &orders, self.now)?;
            composed.made.extend(changed);
        }
        Ok(())
    }
}

/// The owners of taken Tasks by what these are about, each a Reference's JSON: Tasks as the document leaves them.
fn owners(
    bundle: &Arc<Document>,
    known: &Known,
    composed: &Composed,
) -> Result<BTreeMap<String, Vec<String>>, ExchangeError> {
    let made: BTreeMap<&ResourceKey, Bytes> = composed
        .made
        .iter()
        .filter(|made| made.key.resource_type == "Task")
        .map(|made| (&made.key, Bytes::copy_from_slice(made.node().raw().as_bytes())))
        .collect();
    let others = known.tasks.iter().filter(|member| !made.contains_key(&member.resource.key));
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for content in others.map(|member| &member.resource.content).chain(made.values()) {
        let task = parse(content, bundle)?;
        let root = task.root();
        if !task::status_of(root).is_some_and(Status::is_taken) {
            continue;
        }
        if let (Some(focus), Some(owner)) = (root.text_at("focus.reference"), root.first("owner")) {
            owners.entry(focus.to_owned()).or_default().push(owner.raw().to_owned());
        }
    }
    Ok(owners)
}

/// A team with these members and orders too; nothing where it has them all.
pub(crate) fn changed_team(
    key: &ResourceKey,
    current: Option<&Member>,
    document: &Arc<Document>,
    members: &[String],
    orders: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Option<Made>, ExchangeError> {
    let after =
        team::with_members(document, members).map_err(|_| ExchangeError::Internal("a CareTeam cannot be changed"))?;
    let held: Vec<&str> = current.into_iter().flat_map(|team| known::facet_texts(team, ORDER)).collect();
    let new: Vec<&String> = orders.iter().filter(|order| !held.contains(&order.as_str())).collect();
    if current.is_some() && new.is_empty() && Arc::ptr_eq(document, &after) {
        return Ok(None);
    }
    let version = next_version(current);
    let mut edit = Edit::new(&after);
    if current.is_none() {
        edit.put(after.root(), "id", &quoted(&key.id));
    }
    let document = stamp(edit, &after, version, now)?;
    let mut facets = keep_private(current, facets_of(document.root()));
    facets.extend(new.into_iter().map(|order| Facet::text(ORDER, order.clone())));
    let node = document.root().id();
    Ok(Some(Made { key: key.clone(), version, facets, node, document, provider: None, personal: true }))
}

/// The orders of a document that are based on a plan: the plan holds them, whether it says so itself yet or not.
fn orders_of<'b>(bundle: &'b Document, plan: &'b str) -> impl Iterator<Item = String> + 'b {
    let wanted = format!("CarePlan/{plan}");
    resources(bundle).filter(|one| one.type_name() == "ServiceRequest").filter_map(move |order| {
        let is_based = order.named("basedOn").any(|based| based.text_at("reference") == Some(&wanted));
        is_based.then(|| order.text_at("id").map(|id| format!("ServiceRequest/{id}"))).flatten()
    })
}
