//! Acknowledging HL7 v2: which code a fault has, in which mode, and whether the sender wants to hear it.
//!
//! HL7 v2.5.1 §2.9.2 (original mode), §2.9.3 (enhanced mode), tables 0008, 0155, 0357.

use silta_engine::fault::Fault;
use silta_engine::native::hl7v2::Header;
use silta_engine::native::hl7v2::acknowledgement::{Code, Complaint, ErrorCode};

use crate::exchange::error::{ExchangeError, Problem};

/// How the sender wants to be answered: MSH-15 and MSH-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wishes<'h> {
    accept: &'h [u8],
    application: &'h [u8],
}

impl<'h> Wishes<'h> {
    pub(crate) fn of(header: &Header<'h>) -> Self {
        Self { accept: header.field(15), application: header.field(16) }
    }

    /// Enhanced mode: either field is valued.
    pub(crate) fn is_enhanced(self) -> bool {
        !self.accept.is_empty() || !self.application.is_empty()
    }

    /// Whether an accept acknowledgement is wanted for this outcome. In original mode there is none.
    pub(crate) fn wants_accept(self, good: bool) -> bool {
        self.is_enhanced() && wanted(self.accept, good)
    }

    /// Whether an application acknowledgement is wanted for this outcome.
    pub(crate) fn wants_application(self, good: bool) -> bool {
        !self.is_enhanced() || wanted(self.application, good)
    }
}

/// Table 0155. An empty field beside a valued one means NE (§2.9.3.1).
fn wanted(condition: &[u8], good: bool) -> bool {
    match condition {
        b"AL" => true,
        b"ER" => !good,
        b"SU" => good,
        _ => false,
    }
}

/// The code and the error code of a fault. `commit`: an accept acknowledgement (CE, CR) rather than an application's.
pub(crate) fn code_of(fault: Fault, commit: bool) -> (Code, ErrorCode) {
    let (rejects, error) = match fault {
        Fault::CannotParse => (false, ErrorCode::SegmentSequence),
        Fault::RequiredMissing | Fault::VersionMissing => (false, ErrorCode::RequiredFieldMissing),
        Fault::BadValue => (false, ErrorCode::DataType),
        Fault::ProfileRule | Fault::BusinessRule => (false, ErrorCode::ApplicationInternalError),
        Fault::CodeNotInValueSet => (false, ErrorCode::TableValueNotFound),
        Fault::NoRecipient | Fault::NotFound | Fault::Deleted | Fault::WithheldSilently | Fault::Withheld => {
            (false, ErrorCode::UnknownKey)
        }
        Fault::Duplicate | Fault::MultipleMatches => (false, ErrorCode::DuplicateKey),
        Fault::ValueTooLong => (false, ErrorCode::ValueTooLong),
        Fault::UnknownType => (true, ErrorCode::UnsupportedMessageType),
        Fault::MethodNotSupported => (true, ErrorCode::UnsupportedEvent),
        Fault::WrongProcessingMode => (true, ErrorCode::UnsupportedProcessingId),
        Fault::VersionNotSupported => (true, ErrorCode::UnsupportedVersion),
        Fault::VersionStale | Fault::VersionConflict => (true, ErrorCode::RecordLocked),
        Fault::NotAcceptable
        | Fault::MediaTypeNotSupported
        | Fault::NoCredentials
        | Fault::UnknownCredentials
        | Fault::ExpiredCredentials
        | Fault::Forbidden
        | Fault::TooLarge
        | Fault::HeadTooLarge
        | Fault::CallerSlow
        | Fault::Throttled
        | Fault::Incomplete
        | Fault::ProviderDown
        | Fault::ProviderSlow
        | Fault::ProviderAnswerUnusable
        | Fault::StoreUnavailable
        | Fault::Internal => (true, ErrorCode::ApplicationInternalError),
    };
    let code = match (commit, rejects) {
        (true, true) => Code::CommitReject,
        (true, false) => Code::CommitError,
        (false, true) => Code::ApplicationReject,
        (false, false) => Code::ApplicationError,
    };
    (code, error)
}

/// What is wrong, as complaints: at most ten.
pub(crate) fn complaints(error: &ExchangeError) -> Vec<Complaint> {
    error.problems().iter().take(10).map(complaint).collect()
}

fn complaint(problem: &Problem) -> Complaint {
    let (_, code) = code_of(problem.fault, false);
    let mut complaint = Complaint::new(code);
    if let Some(location) = &problem.location {
        complaint = complaint.at(location);
    }
    let mut text = problem.text.clone();
    if let Some(expression) = &problem.expression {
        text = format!("{expression}: {text}");
    }
    if let Some(rule) = &problem.rule {
        text = format!("{text} ({rule})");
    }
    complaint.saying(text)
}
