//! Media types: what the caller accepts, what it sends (<http://hl7.org/fhir/R4/http.html#mime-type>).

use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use silta_engine::fault::Fault;

use crate::gateway::outcome::Refusal;
use crate::gateway::request::Format;

/// What a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum BodyKind {
    /// A resource.
    Resource(Format),
    /// Parameters.
    Form,
}

/// The format to answer in: `_format` before `Accept` before JSON.
pub(in crate::gateway) fn accepted(headers: &HeaderMap, asked: Option<&str>) -> Result<Format, Refusal> {
    if let Some(asked) = asked {
        // In a query that was not escaped, the `+` of a media type has become a space.
        let asked = asked.replace(' ', "+");
        return match asked.as_str() {
            "json" => Ok(Format::Json),
            "xml" => Ok(Format::Xml),
            other => MediaType::parse(other).and_then(|media| media.format()).ok_or_else(|| {
                Refusal::new(Fault::NotAcceptable, "_format names neither FHIR JSON nor FHIR XML in version 4.0")
            }),
        };
    }
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT) {
        let text = value.to_str().map_err(|_| super::unreadable("the Accept header is not text"))?;
        ranges.extend(text.split(',').map(str::trim).filter(|range| !range.is_empty()));
    }
    if ranges.is_empty() {
        return Ok(Format::Json);
    }
    // Of what is accepted equally, the first named; a wildcard means JSON.
    let mut best: Option<(Format, u32)> = None;
    for media in ranges.iter().filter_map(|range| MediaType::parse(range)) {
        let weight = media.weight();
        let format =
            if matches!(media.essence.as_str(), "*/*" | "application/*") { Some(Format::Json) } else { media.format() };
        if let Some(format) = format
            && weight > 0
            && best.is_none_or(|(_, heaviest)| weight > heaviest)
        {
            best = Some((format, weight));
        }
    }
    best.map(|(format, _)| format).ok_or_else(|| {
        Refusal::new(
            Fault::NotAcceptable,
            "the Accept header names neither application/fhir+json nor application/fhir+xml in version 4.0",
        )
    })
}

/// What the body is, by its `Content-Type`.
pub(in crate::gateway) fn body_kind(headers: &HeaderMap) -> Result<BodyKind, Refusal> {
    let refused = |text: &str| Refusal::new(Fault::MediaTypeNotSupported, text);
    if headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(refused("a compressed body is not taken: send it without Content-Encoding"));
    }
    let media = headers
        .get(CONTENT_TYPE)
        .ok_or_else(|| refused("Content-Type is missing: application/fhir+json or application/fhir+xml"))?
        .to_str()
        .ok()
        .and_then(MediaType::parse)
        .ok_or_else(|| refused("Content-Type is not a media type"))?;
    if media.parameter("charset").is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(refused("only UTF-8 is taken"));
    }
    if media.essence == "application/x-www-form-urlencoded" {
        return Ok(BodyKind::Form);
    }
    media
        .format()
        .map(BodyKind::Resource)
        .ok_or_else(|| refused("Content-Type is neither application/fhir+json nor application/fhir+xml in version 4.0"))
}

/// A media type or range with its parameters, in lower case.
struct MediaType {
    essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        if !essence.contains('/') {
            return None;
        }
        let parameters = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
            .collect();
        Some(Self { essence, parameters })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The format that it means; none when it is another, or of another version of FHIR.
    fn format(&self) -> Option<Format> {
        if self.parameter("fhirversion").is_some_and(|version| version != "4.0" && version != "4.0.1") {
            return None;
        }
        match self.essence.as_str() {
            "application/fhir+json" | "application/json" | "text/json" => Some(Format::Json),
            "application/fhir+xml" | "application/xml" | "text/xml" => Some(Format::Xml),
            _ => None,
        }
    }

    /// Its `q` in thousandths.
    fn weight(&self) -> u32 {
        let Some(q) = self.parameter("q") else { return 1000 };
        let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
        if whole == "1" {
            return 1000;
        }
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        thousandths.parse().unwrap_or(0)
    }
}
