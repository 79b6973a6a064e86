//! Update: `PUT [base]/Task/id` (<http://hl7.org/fhir/R4/http.html#update>), always on a named version.

use hyper::StatusCode;
use silta_engine::fault::Fault;

use super::workflow::Change;
use super::{Exchanged, document};
use crate::access::interaction::ResourceType;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Id, Request};
use crate::gateway::respond::Response;

/// Hands a new version of a Task to the workflow.
pub(super) async fn update(
    exchanged: &Exchanged,
    request: &Request,
    kind: ResourceType,
    id: &Id,
) -> Result<Response, Refusal> {
    let Some(version) = &request.conditions.if_match else {
        let text = format!("a change of a {kind} names the version it is made on, as in If-Match: W/\"3\"");
        return Err(Refusal::new(Fault::VersionMissing, text));
    };
    let Ok(if_match) = version.as_str().parse() else {
        return Err(Refusal::new(Fault::VersionStale, "If-Match names a version that there never was"));
    };
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
