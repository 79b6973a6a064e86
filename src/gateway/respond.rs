//! Answers: what a success carries, and the one table that makes HTTP of a fault.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{
    AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, LOCATION, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use silta_engine::fault::Fault;

use super::outcome::Refusal;
use super::preconditions::is_current;
use super::request::{Conditions, Format, RequestId};
use super::xml;
use crate::store::PersonId;

/// A success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its HTTP status.
    pub status: StatusCode,
    /// What it holds.
    pub body: Body,
    /// The version of the resource (`ETag: W/"…"`); for a search the digest of what was found.
    pub version: Option<String>,
    /// When the resource last changed (`Last-Modified`).
    pub last_modified: Option<Timestamp>,
    /// The resource made or changed, relative to the base: `Task/1/_history/2`.
    pub location: Option<String>,
    /// How old the oldest part is (`Age`), where it came from a cache.
    pub age: Option<Duration>,
    /// Whose data it holds, for the audit.
    pub persons: Vec<PersonId>,
    /// The providers that were asked, for the audit.
    pub providers: Vec<String>,
    /// The audit row was written with the change, in its transaction.
    pub audited: bool,
}

/// What an answer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// A resource as FHIR JSON, UTF-8; written as XML where the caller asked for that.
    Json(Bytes),
    /// The content of a Binary in its own media type.
    Raw {
        /// The media type, as it goes into the header.
        media_type: String,
        /// The content.
        bytes: Bytes,
    },
}

impl Response {
    /// An answer with a resource.
    #[must_use]
    pub fn new(status: StatusCode, json: impl Into<Bytes>) -> Self {
        Self { body: Body::Json(json.into()), ..Self::empty(status) }
    }

    /// An answer without a body.
    #[must_use]
    pub const fn empty(status: StatusCode) -> Self {
        Self {
            status,
            body: Body::Empty,
            version: None,
            last_modified: None,
            location: None,
            age: None,
            persons: Vec::new(),
            providers: Vec::new(),
            audited: false,
        }
    }
}

/// What of the request the writing of an answer depends on.
pub(super) struct Asked<'a> {
    /// The request's id.
    pub(super) id: &'a RequestId,
    /// The format to write in.
    pub(super) format: Format,
    /// The base URL.
    pub(super) base: &'a str,
    /// The caller's copies, where it was a GET that may be answered 304.
    pub(super) copies: Option<&'a Conditions>,
    /// It was a HEAD: everything but the body.
    pub(super) head: bool,
}

/// An answer as it goes out.
pub(super) type Http = hyper::Response<Full<Bytes>>;

/// Writes an answer.
pub(super) fn write(answer: &Result<Response, Refusal>, asked: &Asked<'_>) -> Http {
    let mut http = match answer {
        Ok(response) if asked.copies.is_some_and(|copies| is_current(copies, response)) => {
            let mut http = Http::default();
            *http.status_mut() = StatusCode::NOT_MODIFIED;
            describe(response, asked, http.headers_mut());
            http
        }
        Ok(response) => match body(response, asked.format) {
            Ok((media_type, bytes)) => {
                let mut http = with_body(response.status, media_type, bytes, asked.head);
                describe(response, asked, http.headers_mut());
                http
            }
            Err(refusal) => refused(&refusal, asked),
        },
        Err(refusal) => refused(refusal, asked),
    };
    let headers = http.headers_mut();
    set(headers, X_REQUEST_ID, asked.id.as_str());
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"),
    );
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    http
}

/// The name of the header with the request's id (<http://hl7.org/fhir/R4/http.html#custom>).
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Versions, times and places of a success.
fn describe(response: &Response, asked: &Asked<'_>, headers: &mut HeaderMap) {
    if let Some(version) = &response.version {
        set(headers, ETAG, &format!("W/\"{version}\""));
    }
    if let Some(text) =
        response.last_modified.and_then(|time| DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok())
    {
        set(headers, LAST_MODIFIED, &text);
    }
    if let Some(location) = &response.location {
        set(headers, LOCATION, &format!("{}/{location}", asked.base));
    }
    if let Some(age) = response.age {
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
    }
}

fn body(response: &Response, format: Format) -> Result<(HeaderValue, Bytes), Refusal> {
    match &response.body {
        Body::Empty => Ok((HeaderValue::from_static(format.media_type()), Bytes::new())),
        Body::Raw { media_type, bytes } => {
            let fallback = HeaderValue::from_static("application/octet-stream");
            Ok((HeaderValue::from_str(media_type).unwrap_or(fallback), bytes.clone()))
        }
        Body::Json(json) => {
            let bytes = match format {
                Format::Json => json.clone(),
                Format::Xml => xml::from_json(json)?,
            };
            Ok((HeaderValue::from_static(format.media_type()), bytes))
        }
    }
}

fn refused(refusal: &Refusal, asked: &Asked<'_>) -> Http {
    let json = Bytes::from(refusal.json());
    let (format, bytes) = match asked.format {
        Format::Json => (Format::Json, json),
        // An outcome that cannot be written as XML is still better told.
        Format::Xml => xml::from_json(&json).map_or((Format::Json, json), |xml| (Format::Xml, xml)),
    };
    let status = status(refusal.fault());
    let mut http = with_body(status, HeaderValue::from_static(format.media_type()), bytes, asked.head);
    let headers = http.headers_mut();
    match refusal.fault() {
        Fault::NoCredentials => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"silta\""));
        }
        Fault::UnknownCredentials | Fault::ExpiredCredentials => {
            headers
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"silta\", error=\"invalid_token\""));
        }
        _ => {}
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let wait = refusal.retry_after.map_or(DEFAULT_WAIT, |wait| wait.as_secs().max(1));
        headers.insert(RETRY_AFTER, HeaderValue::from(wait));
    }
    // A 405 says what the address does take, be it nothing (RFC 9110, 15.5.6).
    if status == StatusCode::METHOD_NOT_ALLOWED {
        set(headers, ALLOW, &refusal.allow.join(", "));
    }
    http
}

/// Room for the headers of an answer, so that the map of them does not grow while they are set.
const HEADERS: usize = 16;

/// Seconds after which to try again, where nothing better is known.
const DEFAULT_WAIT: u64 = 5;

fn with_body(status: StatusCode, media_type: HeaderValue, bytes: Bytes, head: bool) -> Http {
    let mut http = Http::default();
    *http.status_mut() = status;
    *http.headers_mut() = HeaderMap::with_capacity(HEADERS);
    if status == StatusCode::NO_CONTENT {
        return http;
    }
    if !bytes.is_empty() {
        http.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    http.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    if !head {
        *http.body_mut() = Full::new(bytes);
    }
    http
}

/// Sets a header to a text that is made here; one that cannot stand in a header is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// The HTTP status of a fault.
#[must_use]
pub const fn status(fault: Fault) -> StatusCode {
    match fault {
        Fault::Withheld | Fault::Incomplete => StatusCode::OK,
        Fault::CannotParse | Fault::RequiredMissing | Fault::BadValue | Fault::VersionMissing | Fault::ValueTooLong => {
            StatusCode::BAD_REQUEST
        }
        Fault::NoCredentials | Fault::UnknownCredentials | Fault::ExpiredCredentials => StatusCode::UNAUTHORIZED,
        Fault::Forbidden => StatusCode::FORBIDDEN,
        Fault::UnknownType | Fault::NotFound | Fault::WithheldSilently => StatusCode::NOT_FOUND,
        Fault::MethodNotSupported => StatusCode::METHOD_NOT_ALLOWED,
        Fault::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Fault::VersionConflict | Fault::Duplicate => StatusCode::CONFLICT,
        Fault::Deleted => StatusCode::GONE,
        Fault::VersionStale | Fault::MultipleMatches => StatusCode::PRECONDITION_FAILED,
        Fault::CallerSlow => StatusCode::REQUEST_TIMEOUT,
        Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Fault::MediaTypeNotSupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Fault::ProfileRule
        | Fault::BusinessRule
        | Fault::NoRecipient
        | Fault::CodeNotInValueSet
        | Fault::WrongProcessingMode
        | Fault::VersionNotSupported => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Throttled => StatusCode::TOO_MANY_REQUESTS,
        Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Fault::ProviderAnswerUnusable => StatusCode::BAD_GATEWAY,
        Fault::ProviderDown | Fault::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Fault::ProviderSlow => StatusCode::GATEWAY_TIMEOUT,
    }
}
