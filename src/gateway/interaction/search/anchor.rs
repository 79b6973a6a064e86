//! Whom or what a search is about.
//!
//! Nobody can be asked for everything: a search names a patient, or something that leads to one or to a few resources. The
//! patient is a person: whoever is named by an identifier or by one provider's Patient is asked for at all providers.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use silta_engine::definitions::SearchType;
use silta_engine::fault::Fault;
use silta_engine::search::{Criterion, FacetValue, ReferenceValue, Test, Value};

use super::pool::Scope;
use crate::gateway::federation::{Patient, store_failed};
use crate::gateway::outcome::Refusal;
use crate::provider::Identifier;
use crate::store::{Evidence, IdentifierQuery, ResourceKey, Role};

/// Patients in one search.
const PATIENTS: usize = 20;

/// Resources named one by one in one search.
const NAMED: usize = 100;

/// Resources of a worklist in one search.
const WORKLIST: usize = 2000;

/// What a search is about.
pub(super) enum Anchor {
    /// These persons; there may be none.
    Patients(Vec<Patient>),
    /// These resources, whoever they are about.
    Resources {
        keys: Vec<ResourceKey>,
        /// Whether owners are asked for what is not kept here.
        live: bool,
    },
}

/// The anchor, and which criteria it stands for.
pub(super) struct Anchored {
    pub(super) anchor: Anchor,
    pub(super) settled: BTreeSet<usize>,
}

/// How a criterion names patients.
enum Named {
    Identified(Vec<IdentifierQuery>),
    Referred(Vec<String>),
}

/// Finds out what a search is about.
///
/// # Errors
/// It is about nothing in particular, or about too much; the store or the one provider that knows fails.
pub(super) async fn anchor(scope: &Scope<'_>) -> Result<Anchored, Refusal> {
    let (mut settled, mut patients) = (BTreeSet::new(), None::<Vec<Patient>>);
    for (place, criterion) in scope.query.criteria.iter().enumerate() {
        let Some(named) = named(scope.query.resource_type, criterion) else { continue };
        let found = match named {
            Named::Identified(queries) => identified(scope, queries).await?,
            Named::Referred(ids) => referred(scope, ids).await?,
        };
        settled.insert(place);
        patients = Some(match patients {
            None => found,
            Some(before) => before.into_iter().filter(|one| found.iter().any(|other| other.is(one))).collect(),
        });
    }
    if let Some(patients) = patients {
        return Ok(Anchored { anchor: Anchor::Patients(patients), settled });
    }
    let anchor = match by_key(scope).await? {
        Some(anchor) => anchor,
        None => Anchor::Patients(by_reference(scope).await?.ok_or_else(|| needs_more(scope))?),
    };
    Ok(Anchored { anchor, settled })
}

fn needs_more(scope: &Scope<'_>) -> Refusal {
    let kind = scope.query.resource_type;
    let patient = if kind == "Patient" { "identifier" } else { "patient, patient.identifier" };
    let text = format!("a search on {kind} says what it is about: {patient}, _id, identifier or a reference");
    Refusal::new(Fault::RequiredMissing, text)
}

fn too_many(what: &str, limit: usize) -> Refusal {
    Refusal::new(Fault::BadValue, format!("one search takes at most {limit} {what}"))
}

fn named(resource_type: &str, criterion: &Criterion) -> Option<Named> {
    let code = criterion.parameter.code();
    if let Some(chain) = &criterion.chain {
        let inner = &chain.criterion;
        if !matches!(code, "patient" | "subject") || chain.target != "Patient" || inner.chain.is_some() {
            return None;
        }
        return match inner.parameter.code() {
            "identifier" => tokens(&inner.test).map(Named::Identified),
            "_id" => ids(&inner.test).map(Named::Referred),
            _ => None,
        };
    }
    match (code, resource_type) {
        ("identifier", "Patient") => tokens(&criterion.test).map(Named::Identified),
        ("patient" | "subject", _) => {
            tokens(&criterion.test).map(Named::Identified).or_else(|| references(&criterion.test).map(Named::Referred))
        }
        _ => None,
    }
}

/// Identifiers, where every alternative is one.
fn tokens(test: &Test) -> Option<Vec<IdentifierQuery>> {
    let Test::Any(values) = test else { return None };
    values
        .iter()
        .map(|value| match value {
            Value::Token { system, code: Some(value) } => {
                Some(IdentifierQuery { system: system.clone(), value: value.clone() })
            }
            _ => None,
        })
        .collect()
}

/// Logical ids, where every alternative is one.
fn ids(test: &Test) -> Option<Vec<String>> {
    let found = tokens(test)?;
    found.into_iter().map(|query| query.system.is_none().then_some(query.value)).collect()
}

/// Ids of Patients, where every alternative is one.
fn references(test: &Test) -> Option<Vec<String>> {
    let Test::Any(values) = test else { return None };
    values
        .iter()
        .map(|value| match value {
            Value::Reference(ReferenceValue::Here { resource_type: None | Some("Patient"), id }) => Some(id.clone()),
            _ => None,
        })
        .collect()
}

async fn identified(scope: &Scope<'_>, queries: Vec<IdentifierQuery>) -> Result<Vec<Patient>, Refusal> {
    if queries.len() > PATIENTS {
        return Err(too_many("patients", PATIENTS));
    }
    let found = scope.federation.store.read(move |view| {
        let mut found: Vec<Patient> = Vec::new();
        for query in &queries {
            for patient in Patient::bearing(view, query)? {
                if !found.iter().any(|known| known.is(&patient)) {
                    found.push(patient);
                }
            }
        }
        Ok(found)
    });
    Ok(found.await.map_err(store_failed)?)
}

async fn referred(scope: &Scope<'_>, ids: Vec<String>) -> Result<Vec<Patient>, Refusal> {
    if ids.len() > PATIENTS {
        return Err(too_many("patients", PATIENTS));
    }
    let mut found: Vec<Patient> = Vec::new();
    for answer in join_all(ids.into_iter().map(|id| patient(scope, id))).await {
        if let Some(patient) = answer?
            && !found.iter().any(|known| known.is(&patient))
        {
            found.push(patient);
        }
    }
    Ok(found)
}

/// The person whose Patient this is at some provider.
async fn patient(scope: &Scope<'_>, id: String) -> Result<Option<Patient>, Refusal> {
    let key = ResourceKey::new("Patient", id);
    let wanted = key.clone();
    let known = scope.federation.store.read(move |view| {
        let mut person = view.member(&wanted)?.and_then(|member| member.resource.person);
        if person.is_none() {
            let native = match view.native(&wanted)? {
                Some(native) => Some(native),
                None => wanted.id.split_once('.').map(|(provider, native)| (provider.to_owned(), native.to_owned())),
            };
            if let Some((provider, native)) = native {
                person = view.person(&Evidence::Patient { provider, native })?;
            }
        }
        person.map(|person| Patient::of(view, person)).transpose()
    });
    if let Some(known) = known.await.map_err(store_failed)? {
        return Ok(Some(known));
    }
    let Some(part) = scope.federation.find(&key, scope.mode, scope.deadline).await? else { return Ok(None) };
    let identifiers: Vec<Identifier> = part
        .facets
        .iter()
        .filter(|facet| facet.name == "identifier")
        .filter_map(|facet| match &facet.value {
            FacetValue::Token { system: Some(system), code } => {
                Some(Identifier { system: system.clone(), value: code.clone() })
            }
            _ => None,
        })
        .collect();
    let asked = identifiers.clone();
    let found = scope.federation.store.read(move |view| {
        for identifier in asked {
            let evidence = Evidence::Identifier { system: identifier.system, value: identifier.value };
            if let Some(person) = view.person(&evidence)? {
                return Patient::of(view, person).map(Some);
            }
        }
        Ok(None)
    });
    let found = found.await.map_err(store_failed)?;
    Ok(Some(found.unwrap_or(Patient { person: None, identifiers, holders: BTreeSet::new() })))
}

/// Resources that are named by their ids or identifiers, or are on a worklist.
async fn by_key(scope: &Scope<'_>) -> Result<Option<Anchor>, Refusal> {
    let kind = scope.query.resource_type;
    for criterion in scope.query.criteria.iter().filter(|criterion| criterion.chain.is_none()) {
        match criterion.parameter.code() {
            "_id" => {
                let Some(ids) = ids(&criterion.test) else { continue };
                if ids.len() > NAMED {
                    return Err(too_many("ids", NAMED));
                }
                let keys = ids.into_iter().map(|id| ResourceKey::new(kind, id)).collect();
                return Ok(Some(Anchor::Resources { keys, live: true }));
            }
            "identifier" => {
                let Some(queries) = tokens(&criterion.test) else { continue };
                if queries.len() > NAMED {
                    return Err(too_many("identifiers", NAMED));
                }
                let found = scope.federation.store.read(move |view| {
                    let mut keys = BTreeSet::new();
                    for query in &queries {
                        keys.extend(view.identified(kind, query)?.into_iter().map(|id| ResourceKey::new(kind, id)));
                    }
                    Ok(keys)
                });
                let keys = found.await.map_err(store_failed)?.into_iter().collect();
                return Ok(Some(Anchor::Resources { keys, live: false }));
            }
            "owner" | "requester" if kind == "Task" => {
                if let Some(anchor) = worklist(scope, criterion).await? {
                    return Ok(Some(anchor));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The Tasks of owners or requesters.
async fn worklist(scope: &Scope<'_>, criterion: &Criterion) -> Result<Option<Anchor>, Refusal> {
    let Test::Any(values) = &criterion.test else { return Ok(None) };
    let role = if criterion.parameter.code() == "owner" { Role::Owner } else { Role::Requester };
    let mut parties = Vec::new();
    for value in values {
        match value {
            Value::Reference(ReferenceValue::Here { resource_type: Some(name), id }) => {
                parties.push(format!("{name}/{id}"));
            }
            Value::Reference(ReferenceValue::Here { resource_type: None, id }) => {
                parties.extend(criterion.parameter.targets().map(|name| format!("{name}/{id}")));
            }
            _ => return Ok(None),
        }
    }
    let found = scope.federation.store.read(move |view| {
        let mut keys = BTreeSet::new();
        for party in &parties {
            keys.extend(view.worklist(role, party, &[])?.into_iter().map(|entry| entry.key));
        }
        Ok(keys)
    });
    let keys = found.await.map_err(store_failed)?;
    if keys.len() > WORKLIST {
        return Err(too_many("Tasks of a worklist: add a patient", WORKLIST));
    }
    Ok(Some(Anchor::Resources { keys: keys.into_iter().collect(), live: false }))
}

/// The persons of what is referred to; none where no criterion refers to anything.
async fn by_reference(scope: &Scope<'_>) -> Result<Option<Vec<Patient>>, Refusal> {
    for criterion in scope.query.criteria.iter().filter(|criterion| criterion.chain.is_none()) {
        if criterion.parameter.kind() != SearchType::Reference {
            continue;
        }
        let Test::Any(values) = &criterion.test else { continue };
        let mut keys = Vec::new();
        for value in values {
            let Value::Reference(ReferenceValue::Here { resource_type, id }) = value else { continue };
            let mut targets = criterion.parameter.targets();
            let only = targets.next().filter(|_| targets.next().is_none());
            keys.extend(resource_type.or(only).map(|name| ResourceKey::new(name, id.clone())));
        }
        if keys.is_empty() {
            continue;
        }
        if keys.len() > PATIENTS {
            return Err(too_many("references that lead to patients", PATIENTS));
        }
        let parts = join_all(keys.iter().map(|key| scope.federation.find(key, scope.mode, scope.deadline))).await;
        let (mut persons, mut patients) = (BTreeSet::new(), Vec::new());
        for part in parts {
            let Some(part) = part? else { continue };
            match part.person {
                Some(person) => {
                    persons.insert(person);
                }
                None => patients.extend(about(&part.facets)),
            }
        }
        let known = scope.federation.store.read(move |view| {
            persons.into_iter().map(|person| Patient::of(view, person)).collect::<Result<Vec<_>, _>>()
        });
        let mut found = known.await.map_err(store_failed)?;
        for patient in referred(scope, patients).await? {
            if !found.iter().any(|known| known.is(&patient)) {
                found.push(patient);
            }
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// The id of the Patient that a resource is about.
fn about(facets: &[silta_engine::search::Facet]) -> Option<String> {
    facets.iter().filter(|facet| facet.name == "patient" || facet.name == "subject").find_map(|facet| {
        let FacetValue::Reference(reference) = &facet.value else { return None };
        reference.strip_prefix("Patient/").map(|id| id.split('/').next().unwrap_or(id).to_owned())
    })
}
