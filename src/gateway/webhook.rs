//! What providers post to us by themselves: `POST /hooks/{provider}`, one native document.
//!
//! A caller may post for a provider when its list of interactions has `$inbound` and it calls for the provider's
//! organisation. `X-Message-Id` names the message, so that it is known when it comes again.

use bytes::Bytes;
use hyper::http::request::Parts;
use silta_engine::fault::Fault;

use super::outcome::Refusal;
use super::request::RequestId;
use super::respond::Response;
use super::service::BoxFuture;
use crate::access::caller::Caller;

/// The header with the provider's own id of the message.
pub const X_MESSAGE_ID: &str = "x-message-id";
/// The operation that a caller's list must name.
pub(super) const OPERATION: &str = "$inbound";
/// Where providers post.
const PATH: &str = "/hooks/";
/// A message's id is at most so long.
const MESSAGE_ID: usize = 199;

/// Takes documents that providers post.
pub trait Hooks: Send + Sync {
    /// Whether a caller may post for a provider: it calls for the provider's organisation.
    fn may(&self, caller: &Caller, provider: &str) -> bool;

    /// Takes one document. It is in safe keeping when this says so.
    ///
    /// # Errors
    /// What is wrong with it.
    fn take<'a>(&'a self, post: Post<'a>) -> BoxFuture<'a, Result<Taken, Refusal>>;
}

/// A document that was posted.
#[derive(Debug)]
pub struct Post<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The resource that the address names, `Type/id`, where it names one.
    pub names: Option<&'a str>,
    /// The media type of the body.
    pub media_type: &'a str,
    /// The body.
    pub body: Bytes,
    /// The provider's id of the message.
    pub message_id: Option<&'a str>,
    /// The request's id.
    pub request: &'a RequestId,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What to say: never the patient's data.
    pub text: String,
    /// `Type/id` of what changed.
    pub changed: Vec<String>,
}

/// The provider that a request posts for, if it is such a post. A FHIR server may put the resource under its type and id, as
/// a rest-hook with a payload does (<http://hl7.org/fhir/R4/subscription.html#2.46.7.1>).
pub(super) fn provider(parts: &Parts) -> Option<&str> {
    let path = parts.uri.path().strip_prefix(PATH)?;
    Some(path.split_once('/').map_or(path, |(provider, _)| provider))
}

/// The resource that the address of a request names, `Type/id`.
pub(super) fn named(parts: &Parts) -> Option<&str> {
    let (_, resource) = parts.uri.path().strip_prefix(PATH)?.split_once('/')?;
    Some(resource)
}

/// Refuses what is no post of a document, or not this caller's to make.
pub(super) fn check(hooks: &dyn Hooks, parts: &Parts, caller: &Caller, provider: &str) -> Result<(), Refusal> {
    let (method, allowed) =
        if named(parts).is_some() { (hyper::Method::PUT, "PUT") } else { (hyper::Method::POST, "POST") };
    if parts.method != method {
        let mut refusal = Refusal::new(Fault::MethodNotSupported, "documents are posted here");
        refusal.allow = vec![allowed];
        return Err(refusal);
    }
    let permitted = caller.may(crate::access::interaction::Action::Operation, None, Some(OPERATION));
    if !permitted || !hooks.may(caller, provider) {
        let text = "this caller may not post for this provider: it needs *.$inbound and the provider's organisation";
        return Err(Refusal::new(Fault::Forbidden, text));
    }
    Ok(())
}

/// The message id of a request, where it has a usable one.
pub(super) fn message_id(parts: &Parts) -> Result<Option<&str>, Refusal> {
    let Some(value) = parts.headers.get(X_MESSAGE_ID) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=MESSAGE_ID).contains(&text.len()) => Ok(Some(text)),
        _ => Err(Refusal::new(Fault::BadValue, "X-Message-Id has 1 to 199 visible ASCII characters")),
    }
}

/// The answer to a document that was taken.
pub(super) fn response(taken: &Taken) -> Response {
    let text = if taken.changed.is_empty() {
        taken.text.clone()
    } else {
        format!("{}: {}", taken.text, taken.changed.join(", "))
    };
    let outcome = serde_json::json!({
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "information", "code": "informational", "details": {"text": text}}],
    });
    let mut response = Response::new(hyper::StatusCode::OK, outcome.to_string());
    response.audited = true;
    response
}
