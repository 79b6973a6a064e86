//! From HTTP to what is asked: everything about a request that can be said without the interactions.
//!
//! The head is read first, and only a request that is known, permitted and offered has its body read.

pub(super) mod body;
mod conditions;
pub(super) mod identity_code;
mod media;
mod query;
mod route;

use hyper::header::{ACCEPT, HeaderMap};
use hyper::http::request::Parts;
use silta_engine::fault::Fault;

pub(super) use conditions::{conditions, prefer};
pub(super) use media::{BodyKind, accepted, body_kind};
pub(super) use query::pairs;

use self::identity_code::IdentityCodes;
use super::outcome::Refusal;
use super::request::{Format, Interaction};

/// The head of a request, understood.
#[derive(Debug)]
pub(super) struct Head {
    /// What is asked.
    pub(super) interaction: Interaction,
    /// The query's parameters, without those that the shell itself takes.
    pub(super) parameters: Vec<(String, String)>,
    /// Which of the formats, or neither.
    pub(super) format: Result<Format, Refusal>,
}

/// Reads method and path. `prefix` is the path of the base URL, without a final `/`.
pub(super) fn interaction(parts: &Parts, prefix: &str) -> Result<Interaction, Refusal> {
    route::interaction(&parts.method, &route::segments(parts.uri.path(), prefix)?)
}

/// Reads the query, and refuses a URL that tells what a URL must not.
pub(super) fn head(
    parts: &Parts,
    interaction: Interaction,
    limit: usize,
    codes: &IdentityCodes,
) -> Result<Head, Refusal> {
    let mut parameters = pairs(parts.uri.query().unwrap_or_default(), limit)?;
    codes.refuse_in_url(&parameters, &interaction)?;
    let format = accepted(&parts.headers, take(&mut parameters, "_format").as_deref());
    take(&mut parameters, "_pretty");
    Ok(Head { interaction, parameters, format })
}

/// The format for saying that a request was not understood: what the caller accepts as far as that can be told.
pub(super) fn format_for_refusals(parts: &Parts) -> Format {
    accepted(&parts.headers, asked_format(parts).as_deref()).unwrap_or_default()
}

/// `_format` in the query.
pub(super) fn asked_format(parts: &Parts) -> Option<String> {
    take(&mut pairs(parts.uri.query()?, usize::MAX).ok()?, "_format")
}

/// The `Accept` header as sent, where it is text.
pub(super) fn accept(headers: &HeaderMap) -> Option<String> {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Takes a parameter out; the last of several.
pub(super) fn take(parameters: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let mut found = None;
    parameters.retain_mut(|(key, value)| {
        let is_it = key == name;
        if is_it {
            found = Some(std::mem::take(value));
        }
        !is_it
    });
    found
}

/// A refusal of something that is not written as it should be.
fn unreadable(text: impl Into<String>) -> Refusal {
    Refusal::new(Fault::CannotParse, text)
}
