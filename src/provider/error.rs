//! What goes wrong between us and a provider: whose fault it is, whether it may have acted, whether trying again helps.

use std::time::Duration;

use silta_engine::fault::Fault;

use super::NativeDocument;

/// Why a provider did not do what it was asked.
///
/// No variant shows a patient's data: documents are carried for the journal and show only their size.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// No connection came about: name, address, TCP or TLS. Nothing was sent.
    #[error("the provider cannot be reached: {what}")]
    Unreachable {
        /// Which step failed, in the words of the library that took it.
        what: String,
    },
    /// The connection broke after something was sent and before the answer was whole.
    #[error("the connection broke before the answer was whole: {what}")]
    Interrupted {
        /// What was seen.
        what: String,
    },
    /// No answer within the deadline.
    #[error("the provider did not answer in time")]
    TimedOut {
        /// Whether the request had (perhaps) been sent.
        sent: bool,
    },
    /// As many requests as allowed are under way and waiting already. Nothing was sent.
    #[error("too many requests to this provider are waiting")]
    Busy,
    /// The circuit breaker is open: the provider failed repeatedly a short time ago. Nothing was sent.
    #[error("the provider failed repeatedly and is left alone for a while")]
    CircuitOpen {
        /// How long until it is tried again.
        retry_after: Duration,
    },
    /// The provider says that it cannot take the request now (429, 503; v2 error 206, 207).
    #[error("the provider cannot take the request now ({status})")]
    Overloaded {
        /// The status or code that it gave.
        status: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
        /// What it answered.
        answer: Option<Box<NativeDocument>>,
    },
    /// The provider failed on its own account (500 and the like).
    #[error("the provider failed ({status})")]
    Failed {
        /// The status that it gave.
        status: String,
        /// What it answered.
        answer: Option<Box<NativeDocument>>,
    },
    /// The provider does not accept our credentials (401, 403), or we not its certificate.
    #[error("the provider does not accept the gateway's credentials ({status})")]
    CredentialsRefused {
        /// The status that it gave.
        status: String,
    },
    /// The provider has no such document.
    #[error("the provider has no such document")]
    NotFound,
    /// The provider had it and has it no more.
    #[error("the provider has deleted the document")]
    Deleted,
    /// The document is still the one that the caller has ([`Read::if_none_match`](super::Read::if_none_match)).
    #[error("the document has not changed")]
    NotModified,
    /// The change was made on a version that is not the current one.
    #[error("the document has changed at the provider since the version that was changed")]
    VersionStale,
    /// The provider wants to be told the version that is changed.
    #[error("the provider changes a document only when told which version was changed")]
    VersionMissing,
    /// Another change came between, or the document exists already.
    #[error("the change conflicts with what the provider has")]
    Conflict,
    /// Several documents of the provider match where one must.
    #[error("several documents of the provider match")]
    MultipleMatches,
    /// The provider understood and refuses the content.
    #[error("the provider refuses the document ({status}{})", .code.as_deref().map(|c| format!(", code {c}")).unwrap_or_default())]
    Refused {
        /// The status or acknowledgement code that it gave.
        status: String,
        /// The error code inside its answer, where it has one (ERR-3, table 0357).
        code: Option<String>,
        /// What kind of refusal that is.
        refusal: Refusal,
        /// What it answered.
        answer: Option<Box<NativeDocument>>,
    },
    /// The document that was to be sent breaks the provider's schema. Nothing was sent.
    #[error("the document breaks the provider's schema at {path}: {expected}")]
    OutboundSchema {
        /// Where, as a JSON path.
        path: String,
        /// Which rule of the schema, without the value.
        expected: String,
    },
    /// The provider's answer breaks its own schema.
    #[error("the provider's answer breaks its schema at {path}: {expected}")]
    InboundSchema {
        /// Where, as a JSON path.
        path: String,
        /// Which rule of the schema, without the value.
        expected: String,
        /// The answer as it came.
        answer: Box<NativeDocument>,
    },
    /// The provider's answer cannot be used: not the format, not the answer to our message, a redirect.
    #[error("the provider's answer cannot be used: {what}")]
    AnswerUnusable {
        /// What was expected or seen.
        what: String,
        /// Whether the provider may have acted on the request.
        acted: bool,
        /// The answer as it came, where there is one.
        answer: Option<Box<NativeDocument>>,
    },
    /// The provider's answer is larger than allowed.
    #[error("the provider's answer is larger than {limit} bytes")]
    AnswerTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection cannot do this.
    #[error("the provider's connection does not offer {what}")]
    NotSupported {
        /// The operation, and on what.
        what: String,
    },
    /// The delivery itself cannot be sent by this connection (not a message, framing bytes inside). Nothing was sent.
    #[error("the message cannot be sent: {what}")]
    Unsendable {
        /// What is wrong with it.
        what: String,
    },
    /// The delivery is about test persons and the connection about real ones, or the reverse. Nothing was sent.
    #[error("the message is not of the mode of the provider's connection")]
    WrongMode,
    /// A folder could not be read or written.
    #[error("the folder cannot be used: {what}")]
    Folder {
        /// What the operating system said.
        what: String,
    },
    /// This program failed at something that cannot fail.
    #[error("an internal step failed: {what}")]
    Internal {
        /// Which step.
        what: &'static str,
    },
}

/// What kind of refusal a provider gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It cannot read the document.
    Syntax,
    /// It lacks something.
    Required,
    /// A value is not acceptable.
    Value,
    /// A code is not known there.
    Code,
    /// A rule of its own is broken, or it does not say.
    Rule,
    /// It does not know the person, order or thing that the document is about.
    UnknownKey,
    /// It has it already.
    Duplicate,
    /// It does not take this kind of document or version.
    NotSupported,
    /// The document is too large for it.
    TooLarge,
}

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The one who wrote what was sent.
    Sender,
    /// This gateway, or its configuration.
    Gateway,
    /// The provider.
    Provider,
    /// The network between; nobody knows.
    Network,
}

/// Whether the provider may have acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did not: nothing was sent, or it says that it did nothing.
    NotDone,
    /// It may have.
    Unknown,
}

impl AdapterError {
    /// The kind of answer this becomes.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::Busy
            | Self::CircuitOpen { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::Folder { .. } => Fault::ProviderDown,
            Self::TimedOut { .. } => Fault::ProviderSlow,
            Self::CredentialsRefused { .. }
            | Self::NotModified
            | Self::InboundSchema { .. }
            | Self::AnswerUnusable { .. }
            | Self::AnswerTooLarge { .. } => Fault::ProviderAnswerUnusable,
            Self::NotFound => Fault::NotFound,
            Self::Deleted => Fault::Deleted,
            Self::VersionStale => Fault::VersionStale,
            Self::VersionMissing => Fault::VersionMissing,
            Self::Conflict => Fault::VersionConflict,
            Self::MultipleMatches => Fault::MultipleMatches,
            Self::Refused { refusal, .. } => refusal.fault(),
            Self::OutboundSchema { .. } => Fault::ProfileRule,
            Self::NotSupported { .. } => Fault::MethodNotSupported,
            Self::Unsendable { .. } => Fault::BadValue,
            Self::WrongMode => Fault::WrongProcessingMode,
            Self::Internal { .. } => Fault::Internal,
        }
    }

    /// Who can mend it.
    #[must_use]
    pub fn party(&self) -> Party {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } => Party::Network,
            Self::TimedOut { .. }
            | Self::CircuitOpen { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::InboundSchema { .. }
            | Self::AnswerUnusable { .. }
            | Self::AnswerTooLarge { .. }
            | Self::MultipleMatches => Party::Provider,
            Self::Busy
            | Self::CredentialsRefused { .. }
            | Self::OutboundSchema { .. }
            | Self::Unsendable { .. }
            | Self::Folder { .. }
            | Self::Internal { .. } => Party::Gateway,
            Self::NotFound
            | Self::Deleted
            | Self::NotModified
            | Self::VersionStale
            | Self::VersionMissing
            | Self::Conflict
            | Self::Refused { .. }
            | Self::NotSupported { .. }
            | Self::WrongMode => Party::Sender,
        }
    }

    /// Whether the same request may succeed later without anybody changing it.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. }
            | Self::Busy
            | Self::CircuitOpen { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::CredentialsRefused { .. }
            | Self::InboundSchema { .. }
            | Self::AnswerUnusable { .. }
            | Self::Folder { .. } => true,
            Self::NotFound
            | Self::Deleted
            | Self::NotModified
            | Self::VersionStale
            | Self::VersionMissing
            | Self::Conflict
            | Self::MultipleMatches
            | Self::Refused { .. }
            | Self::OutboundSchema { .. }
            | Self::AnswerTooLarge { .. }
            | Self::NotSupported { .. }
            | Self::Unsendable { .. }
            | Self::WrongMode
            | Self::Internal { .. } => false,
        }
    }

    /// Whether trying again at once, within the same deadline, is worth while.
    #[must_use]
    pub fn passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Overloaded { .. } | Self::Failed { .. }
        ) || matches!(self, Self::AnswerUnusable { acted: true, answer: None, .. })
    }

    /// Whether it counts against the provider's health: the system itself failed, rather than refused.
    #[must_use]
    pub fn ailing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. }
            | Self::Overloaded { .. }
            | Self::Failed { .. }
            | Self::Folder { .. } => true,
            Self::Busy
            | Self::CircuitOpen { .. }
            | Self::CredentialsRefused { .. }
            | Self::NotFound
            | Self::Deleted
            | Self::NotModified
            | Self::VersionStale
            | Self::VersionMissing
            | Self::Conflict
            | Self::MultipleMatches
            | Self::Refused { .. }
            | Self::OutboundSchema { .. }
            | Self::InboundSchema { .. }
            | Self::AnswerUnusable { .. }
            | Self::AnswerTooLarge { .. }
            | Self::NotSupported { .. }
            | Self::Unsendable { .. }
            | Self::WrongMode
            | Self::Internal { .. } => false,
        }
    }

    /// Whether this came about here, without a word from the provider.
    #[must_use]
    pub fn local(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::CircuitOpen { .. }
                | Self::OutboundSchema { .. }
                | Self::NotSupported { .. }
                | Self::Unsendable { .. }
                | Self::WrongMode
                | Self::Internal { .. }
        )
    }

    /// Whether the provider may have acted on the request.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Interrupted { .. }
            | Self::TimedOut { sent: true }
            | Self::Failed { .. }
            | Self::InboundSchema { .. }
            | Self::AnswerTooLarge { .. }
            | Self::AnswerUnusable { acted: true, .. } => Outcome::Unknown,
            Self::Unreachable { .. }
            | Self::TimedOut { sent: false }
            | Self::Busy
            | Self::CircuitOpen { .. }
            | Self::Overloaded { .. }
            | Self::CredentialsRefused { .. }
            | Self::NotFound
            | Self::Deleted
            | Self::NotModified
            | Self::VersionStale
            | Self::VersionMissing
            | Self::Conflict
            | Self::MultipleMatches
            | Self::Refused { .. }
            | Self::OutboundSchema { .. }
            | Self::AnswerUnusable { acted: false, .. }
            | Self::NotSupported { .. }
            | Self::Unsendable { .. }
            | Self::WrongMode
            | Self::Folder { .. }
            | Self::Internal { .. } => Outcome::NotDone,
        }
    }

    /// How long the provider, or its circuit breaker, asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after } => Some(*retry_after),
            Self::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Where in the document the fault lies, as a JSON path, where that is known.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match self {
            Self::OutboundSchema { path, .. } | Self::InboundSchema { path, .. } => Some(path),
            _ => None,
        }
    }

    /// What the provider answered, for the journal.
    #[must_use]
    pub fn answer(&self) -> Option<&NativeDocument> {
        match self {
            Self::Overloaded { answer, .. }
            | Self::Failed { answer, .. }
            | Self::Refused { answer, .. }
            | Self::AnswerUnusable { answer, .. } => answer.as_deref(),
            Self::InboundSchema { answer, .. } => Some(answer),
            _ => None,
        }
    }

    /// A short fixed word for metrics and logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Interrupted { .. } => "interrupted",
            Self::TimedOut { .. } => "timeout",
            Self::Busy => "busy",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::Overloaded { .. } => "overloaded",
            Self::Failed { .. } => "failed",
            Self::CredentialsRefused { .. } => "credentials",
            Self::NotFound => "not_found",
            Self::Deleted => "deleted",
            Self::NotModified => "not_modified",
            Self::VersionStale | Self::VersionMissing | Self::Conflict | Self::MultipleMatches => "conflict",
            Self::Refused { .. } => "refused",
            Self::OutboundSchema { .. } => "outbound_schema",
            Self::InboundSchema { .. } => "inbound_schema",
            Self::AnswerUnusable { .. } | Self::AnswerTooLarge { .. } => "answer_unusable",
            Self::NotSupported { .. } => "not_supported",
            Self::Unsendable { .. } => "unsendable",
            Self::WrongMode => "wrong_mode",
            Self::Folder { .. } => "folder",
            Self::Internal { .. } => "internal",
        }
    }

    /// Every word that [`AdapterError::label`] gives, and `ok`.
    pub const LABELS: [&'static str; 22] = [
        "ok",
        "unreachable",
        "interrupted",
        "timeout",
        "busy",
        "circuit_open",
        "overloaded",
        "failed",
        "credentials",
        "not_found",
        "deleted",
        "not_modified",
        "conflict",
        "refused",
        "outbound_schema",
        "inbound_schema",
        "answer_unusable",
        "not_supported",
        "unsendable",
        "wrong_mode",
        "folder",
        "internal",
    ];
}

impl Refusal {
    /// The kind of answer this becomes.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::Syntax => Fault::CannotParse,
            Self::Required => Fault::RequiredMissing,
            Self::Value => Fault::BadValue,
            Self::Code => Fault::CodeNotInValueSet,
            Self::Rule => Fault::BusinessRule,
            Self::UnknownKey => Fault::NotFound,
            Self::Duplicate => Fault::Duplicate,
            Self::NotSupported => Fault::MethodNotSupported,
            Self::TooLarge => Fault::TooLarge,
        }
    }

    /// The refusal that an error code of HL7 table 0357 (ERR-3) tells; a rule where it tells nothing more.
    #[must_use]
    pub fn of_v2_code(code: &str) -> Self {
        match code {
            "100" => Self::Syntax,
            "101" => Self::Required,
            "102" | "104" => Self::Value,
            "103" => Self::Code,
            "200" | "201" | "202" | "203" => Self::NotSupported,
            "204" => Self::UnknownKey,
            "205" => Self::Duplicate,
            _ => Self::Rule,
        }
    }
}

/// Why a connection cannot be made from its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct SetupError {
    /// The key at fault, such as `providers.county.http.tls.ca`.
    pub key: String,
    /// What is wrong with it and what would be right.
    pub what: String,
}

impl SetupError {
    /// The error at one key.
    #[must_use]
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }

    /// The same error with the key under `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.key = if self.key.is_empty() { prefix.to_owned() } else { format!("{prefix}.{}", self.key) };
        self
    }
}
