//! The kinds of answer that are not a success.
//!
//! [`Fault`] has one variant for each distinct answer the product gives, each with exactly one FHIR issue code
//! (<http://hl7.org/fhir/R4/valueset-issue-type.html>). Modules have error types of their own and say which fault each
//! is; how a fault is rendered (HTTP status, v2 acknowledgement, exit code) is decided where the protocol is known.

/// Why a request, a message or a document was not taken as it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The bytes do not follow the syntax of their format. Mended by the sender.
    CannotParse,
    /// Something that must be there is not. Mended by the sender.
    RequiredMissing,
    /// A value is not of its type, or out of its range. Mended by the sender.
    BadValue,
    /// A rule of a profile is broken. Mended by the sender.
    ProfileRule,
    /// A rule of the business is broken: an illegal move of a Task, a reference that must not be. Mended by the sender.
    BusinessRule,
    /// A referral is addressed to nobody who is connected, or to several. Mended by the sender or an operator.
    NoRecipient,
    /// A code is not in the value set that is required. Mended by the sender.
    CodeNotInValueSet,
    /// The resource type, native document type or event is not known here.
    UnknownType,
    /// The interaction or method is not offered on this type.
    MethodNotSupported,
    /// No format that the caller accepts can be written.
    NotAcceptable,
    /// The format of the body is not one that can be read.
    MediaTypeNotSupported,
    /// MSH-11 (or test data) is of another mode than the connection.
    WrongProcessingMode,
    /// The version of the native format is not spoken here.
    VersionNotSupported,
    /// No credentials were presented.
    NoCredentials,
    /// Credentials were presented and are not known.
    UnknownCredentials,
    /// Credentials were known and are past their time.
    ExpiredCredentials,
    /// The caller is known and may not do this.
    Forbidden,
    /// Something is there and is held back; the caller is told so.
    Withheld,
    /// Something is there and is held back; the caller is not told.
    WithheldSilently,
    /// Nothing is there.
    NotFound,
    /// Something was there and is no more.
    Deleted,
    /// The version named by the caller is not the current one (If-Match).
    VersionStale,
    /// The caller must name the version it changes and did not.
    VersionMissing,
    /// Another change came between.
    VersionConflict,
    /// The same thing was taken before, with other content.
    Duplicate,
    /// Several things match where one is needed.
    MultipleMatches,
    /// Larger than the limit.
    TooLarge,
    /// The head of a request is larger than the limit.
    HeadTooLarge,
    /// One value longer than its limit.
    ValueTooLong,
    /// The caller did not send what it announced in time.
    CallerSlow,
    /// Too many requests.
    Throttled,
    /// A part of the answer is missing since some providers were silent.
    Incomplete,
    /// A provider cannot be reached or is refusing for now.
    ProviderDown,
    /// A provider did not answer in time.
    ProviderSlow,
    /// A provider's answer cannot be used.
    ProviderAnswerUnusable,
    /// The store cannot take the work now; nothing was done.
    StoreUnavailable,
    /// A fault of this program.
    Internal,
}

impl Fault {
    /// Every fault, in the order of the published table.
    pub const ALL: [Self; 37] = [
        Self::CannotParse,
        Self::RequiredMissing,
        Self::BadValue,
        Self::ProfileRule,
        Self::BusinessRule,
        Self::NoRecipient,
        Self::CodeNotInValueSet,
        Self::UnknownType,
        Self::MethodNotSupported,
        Self::NotAcceptable,
        Self::MediaTypeNotSupported,
        Self::WrongProcessingMode,
        Self::VersionNotSupported,
        Self::NoCredentials,
        Self::UnknownCredentials,
        Self::ExpiredCredentials,
        Self::Forbidden,
        Self::Withheld,
        Self::WithheldSilently,
        Self::NotFound,
        Self::Deleted,
        Self::VersionStale,
        Self::VersionMissing,
        Self::VersionConflict,
        Self::Duplicate,
        Self::MultipleMatches,
        Self::TooLarge,
        Self::HeadTooLarge,
        Self::ValueTooLong,
        Self::CallerSlow,
        Self::Throttled,
        Self::Incomplete,
        Self::ProviderDown,
        Self::ProviderSlow,
        Self::ProviderAnswerUnusable,
        Self::StoreUnavailable,
        Self::Internal,
    ];

    /// The FHIR issue type (`OperationOutcome.issue.code`).
    #[must_use]
    pub const fn issue_code(self) -> &'static str {
        match self {
            Self::CannotParse => "structure",
            Self::RequiredMissing | Self::VersionMissing => "required",
            Self::BadValue => "value",
            Self::ProfileRule => "invariant",
            Self::BusinessRule | Self::NoRecipient => "business-rule",
            Self::CodeNotInValueSet => "code-invalid",
            Self::UnknownType
            | Self::MethodNotSupported
            | Self::NotAcceptable
            | Self::MediaTypeNotSupported
            | Self::WrongProcessingMode
            | Self::VersionNotSupported => "not-supported",
            Self::NoCredentials => "login",
            Self::UnknownCredentials => "unknown",
            Self::ExpiredCredentials => "expired",
            Self::Forbidden => "forbidden",
            Self::Withheld | Self::WithheldSilently => "suppressed",
            Self::NotFound => "not-found",
            Self::Deleted => "deleted",
            Self::VersionStale | Self::VersionConflict => "conflict",
            Self::Duplicate => "duplicate",
            Self::MultipleMatches => "multiple-matches",
            Self::TooLarge | Self::HeadTooLarge | Self::ValueTooLong => "too-long",
            Self::Throttled => "throttled",
            Self::Incomplete => "incomplete",
            Self::ProviderDown => "transient",
            Self::ProviderSlow | Self::CallerSlow => "timeout",
            Self::ProviderAnswerUnusable | Self::Internal => "exception",
            Self::StoreUnavailable => "no-store",
        }
    }

    /// The severity with which it stands in an outcome.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            Self::Withheld | Self::Incomplete => "warning",
            Self::Internal => "fatal",
            _ => "error",
        }
    }
}
