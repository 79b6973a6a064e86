//! What the caller says must hold of the resource as it is, evaluated in the order of RFC 9110, 13.2.2, after everything else
//! has gone well: a refusal for another reason is told instead.
//!
//! Entity tags are compared weakly, also in `If-Match`: FHIR's are weak and name versions
//! (<http://hl7.org/fhir/R4/http.html#concurrency>).

use hyper::StatusCode;
use silta_engine::fault::Fault;

use super::outcome::Refusal;
use super::request::{Conditions, Interaction, Request, Tag};
use super::respond::Response;

/// Checks what must hold for an answer to be given (`If-Match`, `If-Unmodified-Since`).
///
/// # Errors
/// The version is another one: 412.
pub(super) fn check(request: &Request, response: &Response) -> Result<(), Refusal> {
    let is_retrieval = matches!(
        request.interaction,
        Interaction::Read(..) | Interaction::VersionRead(..) | Interaction::Search(_) | Interaction::History(..)
    );
    if !is_retrieval || response.status != StatusCode::OK {
        return Ok(());
    }
    let conditions = &request.conditions;
    if !conditions.if_match.is_empty() {
        return match names(&conditions.if_match, response.version.as_deref()) {
            true => Ok(()),
            false => Err(stale("If-Match names another version than the current one")),
        };
    }
    match (conditions.if_unmodified_since, response.last_modified) {
        // HTTP dates have whole seconds.
        (Some(since), Some(changed)) if changed.as_second() > since.as_second() => {
            Err(stale("it has changed since the time in If-Unmodified-Since"))
        }
        _ => Ok(()),
    }
}

/// Whether the caller has this version already (`If-None-Match`, `If-Modified-Since`), so that it need not be sent.
pub(super) fn is_current(conditions: &Conditions, response: &Response) -> bool {
    if response.status != StatusCode::OK {
        return false;
    }
    if !conditions.if_none_match.is_empty() {
        return names(&conditions.if_none_match, response.version.as_deref());
    }
    match (conditions.if_modified_since, response.last_modified) {
        (Some(since), Some(changed)) => changed.as_second() <= since.as_second(),
        _ => false,
    }
}

/// Whether one of these tags names the version of what is there.
pub(super) fn names(tags: &[Tag], version: Option<&str>) -> bool {
    tags.iter().any(|tag| match tag {
        Tag::Any => true,
        Tag::Is(text) => version == Some(text),
        Tag::Unreadable => false,
    })
}

/// A version that a precondition does not allow.
pub(super) fn stale(text: &str) -> Refusal {
    Refusal::new(Fault::VersionStale, text)
}
