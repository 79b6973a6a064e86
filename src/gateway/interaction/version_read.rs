//! Version read: `GET [base]/Type/id/_history/version` (<http://hl7.org/fhir/R4/http.html#vread>).

use hyper::StatusCode;
use silta_engine::fault::Fault;

use super::Exchanged;
use super::read;
use crate::access::interaction::ResourceType;
use crate::gateway::federation::store_failed;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Id, Request};
use crate::gateway::respond::Response;
use crate::store::ResourceKey;

/// A version that is kept here; of what is only asked live, the current one.
pub(super) async fn version_read(
    exchanged: &Exchanged,
    request: &Request,
    kind: ResourceType,
    id: &Id,
    version: &Id,
) -> Result<Response, Refusal> {
    let federation = &exchanged.federation;
    let key = ResourceKey::new(kind.name(), id.as_str());
    let deadline = federation.deadline(request.deadline);
    let Ok(number) = version.as_str().parse::<u64>() else {
        let current = federation.find(&key, request.caller.mode, deadline).await?;
        return match current.map(|part| read::response(&part, request, federation.clock.now())) {
            Some(response) if response.version.as_deref() == Some(version.as_str()) => Ok(response),
            _ => Err(Refusal::not_found(kind)),
        };
    };
    let current = {
        let (store, key) = (&federation.store, key.clone());
        store.read(move |view| view.resource(&key, Some(number))).await.map_err(store_failed)?
    };
    let Some(resource) = current else { return Err(Refusal::not_found(kind)) };
    if resource.deleted {
        return Err(Refusal::new(Fault::Deleted, format!("this version is the deletion of the {kind}")));
    }
    if !federation.is_of_mode(resource.provider.as_deref(), &resource.content, request.caller.mode) {
        return Err(Refusal::not_found(kind));
    }
    let mut response = Response::new(StatusCode::OK, resource.content);
    response.version = Some(resource.version.to_string());
    response.last_modified = Some(resource.updated);
    response.persons = resource.person.into_iter().collect();
    response.providers = resource.provider.into_iter().collect();
    Ok(response)
}
