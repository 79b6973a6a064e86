//! Create: `POST [base]/Type` (<http://hl7.org/fhir/R4/http.html#create>).

use hyper::StatusCode;
use silta_engine::fault::Fault;
use silta_engine::search::{Bounds, Query, Test, Value};

use super::workflow::NewResource;
use super::{Exchanged, document, read};
use crate::access::interaction::ResourceType;
use crate::gateway::federation::store_failed;
use crate::gateway::outcome::Refusal;
use crate::gateway::preconditions;
use crate::gateway::request::Request;
use crate::gateway::respond::Response;
use crate::store::{IdentifierQuery, ResourceKey};

/// Hands a new resource to the workflow; a conditional one only where nothing bears its identifier.
pub(super) async fn create(exchanged: &Exchanged, request: &Request, kind: ResourceType) -> Result<Response, Refusal> {
    if !request.conditions.if_match.is_empty() {
        return Err(preconditions::stale("If-Match names a version of what is yet to be made"));
    }
    let document = document::sent(request, kind)?;
    let none_exist = match &request.conditions.if_none_exist {
        Some(parameters) => Some(condition(request, kind, parameters)?),
        None => None,
    };
    if let Some(query) = &none_exist
        && let Some(response) = bearing(exchanged, request, kind, query).await?
    {
        return Ok(response);
    }
    let new = NewResource { document, none_exist: none_exist.clone(), caller: &request.caller, request: &request.id };
    let changed = exchanged.workflow.create(new).await?;
    match none_exist {
        // Another create came between: this one is answered as if it had found what that one made.
        Some(query) if changed.existed => {
            let found = bearing(exchanged, request, kind, &query).await?;
            let text = format!("a {kind} that this caller may not see bears the identifier in If-None-Exist");
            found.ok_or_else(|| Refusal::new(Fault::Duplicate, text))
        }
        _ => Ok(changed.response(StatusCode::CREATED, request.prefer.content)),
    }
}

/// The one resource that bears an identifier, as the answer to a create that it makes needless
/// (<http://hl7.org/fhir/R4/http.html#ccreate>).
async fn bearing(
    exchanged: &Exchanged,
    request: &Request,
    kind: ResourceType,
    query: &IdentifierQuery,
) -> Result<Option<Response>, Refusal> {
    let (query, federation) = (query.clone(), &exchanged.federation);
    let bearing = federation.store.read(move |view| view.identified(kind.name(), &query));
    let bearing = bearing.await.map_err(store_failed)?;
    if bearing.len() > 1 {
        let text = format!("{} {kind} resources bear the identifier in If-None-Exist", bearing.len());
        return Err(Refusal::new(Fault::MultipleMatches, text));
    }
    let Some(id) = bearing.into_iter().next() else { return Ok(None) };
    let deadline = federation.deadline(request.deadline);
    let key = ResourceKey::new(kind.name(), id);
    let Some(part) = federation.find(&key, request.caller.mode, deadline).await? else { return Ok(None) };
    let mut response = read::response(&part, request, federation.clock.now());
    response.location = part.version.map(|version| format!("{key}/_history/{version}"));
    Ok(Some(response))
}

/// The one identifier that a conditional create may name.
fn condition(
    request: &Request,
    kind: ResourceType,
    parameters: &[(String, String)],
) -> Result<IdentifierQuery, Refusal> {
    let parsed = Query::parse(kind.name(), parameters, &request.base, request.received, true, &Bounds::default())
        .map_err(|error| Refusal::new(error.fault(), format!("If-None-Exist: {error}")))?;
    let one = parsed.criteria.as_slice();
    if let [criterion] = one
        && criterion.parameter.code() == "identifier"
        && criterion.chain.is_none()
        && let Test::Any(values) = &criterion.test
        && let [Value::Token { system, code: Some(value) }] = values.as_slice()
    {
        return Ok(IdentifierQuery { system: system.clone(), value: value.clone() });
    }
    Err(Refusal::new(Fault::BadValue, "If-None-Exist takes one identifier: identifier=system|value"))
}
