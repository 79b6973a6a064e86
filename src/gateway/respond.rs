//! Answers: what a success carries, and the one table that makes HTTP of a fault.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use jiff::Timestamp;
use silta_engine::fault::Fault;

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
