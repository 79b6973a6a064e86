//! Headers on which the answer or the change depends.

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;
use silta_engine::fault::Fault;

use super::{pairs, unreadable};
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Conditions, Content, Prefer, Tag};

const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Reads `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since` and `If-None-Exist`.
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
        if_modified_since: date_in(headers, &IF_MODIFIED_SINCE),
        if_unmodified_since: date_in(headers, &IF_UNMODIFIED_SINCE),
        if_none_exist,
    })
}

/// Every entry must be readable: a change, or a refusal to give, depends on it.
fn if_match(headers: &HeaderMap) -> Result<Vec<Tag>, Refusal> {
    let wrong = || Refusal::new(Fault::BadValue, "If-Match names versions, as in W/\"3\", or is *");
    let mut tags = Vec::new();
    for value in headers.get_all(IF_MATCH) {
        let text = value.to_str().map_err(|_| wrong())?;
        tags.extend(entries(text));
    }
    let is_given = headers.contains_key(IF_MATCH);
    let is_mixed = tags.len() > 1 && tags.contains(&Tag::Any);
    let is_readable = !tags.contains(&Tag::Unreadable) && !is_mixed && tags.is_empty() != is_given;
    if is_readable { Ok(tags) } else { Err(wrong()) }
}

fn if_none_match(headers: &HeaderMap) -> Vec<Tag> {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    values.flat_map(|value| value.to_str().map_or_else(|_| vec![Tag::Unreadable], entries)).collect()
}

/// The entries of a list of entity tags.
fn entries(text: &str) -> Vec<Tag> {
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    tags.map(|tag| match tag {
        "*" => Tag::Any,
        tag => opaque(tag).map_or(Tag::Unreadable, |text| Tag::Is(text.to_owned())),
    })
    .collect()
}

/// The text of an entity tag, weak or strong.
fn opaque(tag: &str) -> Option<&str> {
    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('"'))
}

/// A date in any of the three forms that RFC 9110, 5.6.7, has recipients read.
fn http_date(text: &str) -> Option<Timestamp> {
    let usual = DateTimeParser::new().parse_timestamp(text).ok();
    usual.or_else(|| {
        let older = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
        let read = older.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
        read.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

fn date_in(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    headers.get(name).and_then(|value| http_date(value.to_str().ok()?))
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
