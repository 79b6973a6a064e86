//! Update: `PUT [base]/Task/id` (<http://hl7.org/fhir/R4/http.html#update>), always on a named version.

use hyper::StatusCode;
use silta_engine::fault::Fault;

use super::workflow::Change;
use super::{Exchanged, document};
use crate::access::interaction::ResourceType;
use crate::gateway::federation::store_failed;
use crate::gateway::outcome::Refusal;
use crate::gateway::preconditions;
use crate::gateway::request::{Id, Request, Tag};
use crate::gateway::respond::Response;
use crate::store::ResourceKey;

/// Hands a new version of a Task to the workflow.
pub(super) async fn update(
    exchanged: &Exchanged,
    request: &Request,
    kind: ResourceType,
    id: &Id,
) -> Result<Response, Refusal> {
    let if_match = version(exchanged, request, kind, id).await?;
    let document = document::sent(request, kind)?;
    match document.root().text_at("id") {
        Some(own) if own == id.as_str() => {}
        Some(_) => {
            let text = "the id in the resource is not the one in the URL";
            return Err(Refusal::new(Fault::BadValue, text).at(format!("{kind}.id")));
        }
        None => {
            let text = "the resource has no id; an update needs the one in the URL";
            return Err(Refusal::new(Fault::RequiredMissing, text).at(format!("{kind}.id")));
        }
    }
    let change = Change { document, id: id.as_str(), if_match, caller: &request.caller, request: &request.id };
    let changed = exchanged.workflow.update_task(change).await?;
    Ok(changed.response(StatusCode::OK, request.prefer.content))
}

/// The version that the change is made on, as far as the caller's conditions name one.
async fn version(exchanged: &Exchanged, request: &Request, kind: ResourceType, id: &Id) -> Result<u64, Refusal> {
    let conditions = &request.conditions;
    let named: Vec<&String> = conditions.if_match.iter().filter_map(Tag::text).collect();
    let [first, others @ ..] = named.as_slice() else {
        let text = format!("a change of a {kind} names the version it is made on, as in If-Match: W/\"3\"");
        return Err(Refusal::new(Fault::VersionMissing, text));
    };
    if others.is_empty() && conditions.if_none_match.is_empty() {
        return first.parse().map_err(|_| preconditions::stale("If-Match names a version that there never was"));
    }
    let key = ResourceKey::new(kind.name(), id.as_str());
    let current = exchanged.federation.store.read(move |view| view.resource(&key, None)).await.map_err(store_failed)?;
    let current = current.filter(|current| !current.deleted).ok_or_else(|| Refusal::not_found(kind))?;
    let tag = current.version.to_string();
    if !preconditions::names(&conditions.if_match, Some(&tag)) {
        return Err(preconditions::stale("If-Match names other versions than the current one"));
    }
    if preconditions::names(&conditions.if_none_match, Some(&tag)) {
        return Err(preconditions::stale("If-None-Match names what is there"));
    }
    Ok(current.version)
}
