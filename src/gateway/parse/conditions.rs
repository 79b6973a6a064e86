//! Headers on which the answer or the change depends.

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use silta_engine::fault::Fault;

use super::{pairs, unreadable};
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Conditions, Content, Id, Prefer, Tag};

const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Reads `If-Match`, `If-None-Match`, `If-Modified-Since` and `If-None-Exist`.
///
/// # Errors
/// A header on which a change depends that cannot be read. One on which only the sending of an answer depends is left
/// out then, as RFC 9110 says.
pub(in crate::gateway) fn conditions(headers: &HeaderMap, limit: usize) -> Result<Conditions, Refusal> {
    let if_none_exist = match headers.get(IF_NONE_EXIST) {
        Some(value) => {
            let text = value.to_str().map_err(|_| unreadable("If-None-Exist is not text"))?;
            let query = text.split_once('?').map_or(text, |(_, query)| query);
            let pairs = pairs(query, limit)?;
            if pairs.is_empty() {
                return Err(Refusal::new(Fault::BadValue, "If-None-Exist has no search parameter"));
            }
            Some(pairs)
        }
        None => None,
    };
    Ok(Conditions {
        if_match: if_match(headers)?,
        if_none_match: if_none_match(headers),
        if_modified_since: headers.get(IF_MODIFIED_SINCE).and_then(|value| http_date(value.to_str().ok()?)),
        if_none_exist,
    })
}

fn if_match(headers: &HeaderMap) -> Result<Option<Id>, Refusal> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let one_version = || Refusal::new(Fault::BadValue, "If-Match names one version, as in W/\"3\"");
    if values.next().is_some() {
        return Err(one_version());
    }
    let text = value.to_str().map_err(|_| one_version())?.trim();
    if text == "*" {
        return Err(Refusal::new(
            Fault::VersionMissing,
            "If-Match must name the version that is changed, as in W/\"3\"",
        ));
    }
    opaque(text).and_then(Id::new).map(Some).ok_or_else(one_version)
}

fn if_none_match(headers: &HeaderMap) -> Vec<Tag> {
    let texts = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .filter_map(|tag| match tag.trim() {
            "*" => Some(Tag::Any),
            tag => opaque(tag).map(|text| Tag::Is(text.to_owned())),
        })
        .collect()
}

/// The text of an entity tag, weak or strong.
fn opaque(tag: &str) -> Option<&str> {
    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('"'))
}

fn http_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// Reads `Prefer`; what is not known is left out, as RFC 7240 says.
pub(in crate::gateway) fn prefer(headers: &HeaderMap) -> Prefer {
    let mut prefer = Prefer::default();
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    for preference in texts.flat_map(|text| text.split([',', ';'])).map(str::trim) {
        match preference.replace([' ', '"'], "").as_str() {
            "return=minimal" => prefer.content = Content::Minimal,
            "return=representation" => prefer.content = Content::Representation,
            "return=OperationOutcome" => prefer.content = Content::Outcome,
            "handling=strict" => prefer.strict = true,
            "handling=lenient" => prefer.strict = false,
            "respond-async" => prefer.asynchronous = true,
            _ => {}
        }
    }
    prefer
}
