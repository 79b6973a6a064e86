//! Read: `GET [base]/Type/id` (<http://hl7.org/fhir/R4/http.html#read>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use sha2::{Digest, Sha256};
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits};

use super::Exchanged;
use super::ready::Prepared;
use crate::access::interaction::ResourceType;
use crate::gateway::cache::Failure;
use crate::gateway::federation::part::{Content, How, Part};
use crate::gateway::federation::{Found, store_failed};
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Id, Request};
use crate::gateway::respond::{Body, Response};
use crate::store::ResourceKey;

/// The resource as it is kept here, else as its owner gives it.
pub(super) async fn read(
    exchanged: &Exchanged,
    request: &Request,
    kind: ResourceType,
    id: &Id,
) -> Result<Response, Refusal> {
    let federation = &exchanged.federation;
    let key = ResourceKey::new(kind.name(), id.as_str());
    let deadline = federation.deadline(request.deadline);
    let found = federation.find_with_basis(&key, request.caller.mode, deadline).await;
    match found {
        Ok(Some(Found { part, basis })) => {
            let response = response(&part, request, federation.clock.now());
            // A Binary depends on what the caller accepts, and is not read often.
            if let Some(basis) = basis.filter(|_| kind.name() != "Binary") {
                let as_of = (part.origin.how != How::Stored).then_some(part.origin.as_of);
                let prepared = Prepared::new(response.clone(), as_of, basis);
                exchanged.ready.keep(kind, id, request.caller.mode, prepared);
            }
            Ok(response)
        }
        Ok(None) => {
            let kept = federation.store.read(move |view| view.resource(&key, None)).await;
            let kept = kept.map_err(store_failed)?;
            match kept {
                Some(resource) if resource.deleted => {
                    Err(Refusal::new(Fault::Deleted, format!("this {kind} has been deleted")))
                }
                _ => Err(Refusal::not_found(kind)),
            }
        }
        Err(failure) => Err(named(failure, id)),
    }
}

/// The answer, where it was given before and is the same still.
pub(super) fn ready(exchanged: &Exchanged, request: &Request, kind: ResourceType, id: &Id) -> Option<Response> {
    let mode = request.caller.mode;
    let prepared = exchanged.ready.find(kind, id, mode)?;
    if !exchanged.federation.holds(prepared.basis()) {
        exchanged.ready.forget(kind, id, mode);
        return None;
    }
    Some(prepared.response(exchanged.federation.clock.now()))
}

/// A failure with the name of the provider that the id begins with.
fn named(failure: Failure, id: &Id) -> Refusal {
    let text = match (failure.fault, id.as_str().split_once('.')) {
        (Fault::StoreUnavailable | Fault::Internal, _) | (_, None) => failure.text,
        (_, Some((provider, _))) => format!("{provider}: {}", failure.text),
    };
    Failure { text, ..failure }.into()
}

/// A part as the answer to a read.
pub(super) fn response(part: &Part, request: &Request, now: jiff::Timestamp) -> Response {
    let mut response = match raw(part, request) {
        Some(body) => Response { body, ..Response::empty(StatusCode::OK) },
        None => match &part.content {
            Content::Stored(bytes) => Response::new(StatusCode::OK, bytes.clone()),
            Content::Document(document) => Response::new(StatusCode::OK, document.json().to_owned()),
        },
    };
    response.version = Some(match part.version {
        Some(version) => version.to_string(),
        None => digest([part.content.text()]),
    });
    response.last_modified = part.updated;
    response.persons = part.person.into_iter().collect();
    response.providers = part.origin.provider.iter().map(ToString::to_string).collect();
    if matches!(part.origin.how, How::Kept | How::Stale) {
        response.age = now.duration_since(part.origin.as_of).try_into().ok();
    }
    response
}

/// A Binary in its own media type, where the caller accepts that and did not ask for FHIR
/// (<http://hl7.org/fhir/R4/binary.html#rest>).
fn raw(part: &Part, request: &Request) -> Option<Body> {
    if part.key.resource_type != "Binary" {
        return None;
    }
    let accept = request.accept.as_deref()?;
    let text = part.content.text();
    let document = Document::from_json(Model::r4(), text.as_bytes().to_vec(), &Limits::default()).ok()?;
    let media_type = document.root().text_at("contentType")?;
    let essence = |text: &str| text.split(';').next().unwrap_or(text).trim().to_ascii_lowercase();
    let own = essence(media_type);
    if own.chars().any(char::is_control) || !accept.split(',').any(|range| essence(range) == own) {
        return None;
    }
    let data: String = document.root().text_at("data")?.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(data).ok()?.into();
    Some(Body::Raw { media_type: media_type.to_owned(), bytes })
}

/// A short name of texts: the same for the same ones, in their order.
pub(super) fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
