//! What is found, and how much each kind of it matters.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::native::hl7v2::acknowledgement::{Complaint, ErrorCode, Severity};

/// How much a kind of finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is not looked for.
    Off,
    /// Told in reports.
    Information,
    /// Told to the sender; the document is taken.
    Warning,
    /// The document is refused.
    Error,
}

impl Level {
    const fn severity(self) -> Option<Severity> {
        match self {
            Self::Off => None,
            Self::Information => Some(Severity::Information),
            Self::Warning => Some(Severity::Warning),
            Self::Error => Some(Severity::Error),
        }
    }
}

/// How much each kind of finding matters for a provider.
///
/// What makes a message unusable is an error always: no message type, control id or version, and no patient or no
/// identifier of the patient where the structure requires one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Segments that are missing or not expected where they stand, and an MSH-9.3 that is not the event's. Default:
    /// warning.
    pub structure: Level,
    /// Required fields without a value. Default: warning.
    pub required: Level,
    /// Required components without a value in fields that have one. Default: information.
    pub components: Level,
    /// Values that are not of their data type, and more repetitions than the field may have. Default: warning.
    pub data_type: Level,
    /// Codes that an HL7 table of the version does not have (data type ID). Default: warning.
    pub tables: Level,
    /// Codes that the suggested values of a site's table do not have (IS, and coded elements without a system of
    /// their own). Default: off, since a site fills these tables itself.
    pub site_tables: Level,
    /// Fields and components with a value that the version does not have, or has withdrawn. Default: information.
    pub surplus: Level,
    /// How many findings are kept; the rest is counted. Default: 100.
    pub limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            structure: Level::Warning,
            required: Level::Warning,
            components: Level::Information,
            data_type: Level::Warning,
            tables: Level::Warning,
            site_tables: Level::Off,
            surplus: Level::Information,
            limit: 100,
        }
    }
}

impl Config {
    /// For judging a document rather than receiving it: whatever the standard requires is an error. Required components
    /// are a warning, since senders and the standard's own examples leave them out; what the version does not have is
    /// one, too.
    #[must_use]
    pub fn by_the_standard() -> Self {
        Self {
            structure: Level::Error,
            required: Level::Error,
            components: Level::Warning,
            data_type: Level::Error,
            tables: Level::Error,
            site_tables: Level::Information,
            surplus: Level::Warning,
            limit: 10_000,
        }
    }
}

/// What rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The version is not one of the format's, or only a nearest one is known.
    Version,
    /// The structure of the event is not known; only its segments were judged.
    UnknownStructure,
    /// The document names another structure than its event has.
    StructureMismatch,
    /// A required segment is missing.
    SegmentMissing,
    /// A segment stands where the structure does not have it.
    SegmentUnexpected,
    /// A required field has no value.
    FieldMissing,
    /// A required component has no value.
    ComponentMissing,
    /// More repetitions than the field may have.
    Repetitions,
    /// A value is not of its data type.
    DataType,
    /// A code is not in the HL7 table.
    TableCode,
    /// A code is not among the suggested ones of a site's table.
    SiteCode,
    /// The version has no such field or component, or has withdrawn it.
    Surplus,
}

impl Rule {
    /// The code by which an HL7 v2 answer names it (table 0357).
    #[must_use]
    pub const fn error_code(self) -> ErrorCode {
        match self {
            Self::Version => ErrorCode::UnsupportedVersion,
            Self::UnknownStructure => ErrorCode::UnsupportedEvent,
            Self::StructureMismatch | Self::TableCode | Self::SiteCode => ErrorCode::TableValueNotFound,
            Self::SegmentMissing | Self::SegmentUnexpected => ErrorCode::SegmentSequence,
            Self::FieldMissing | Self::ComponentMissing => ErrorCode::RequiredFieldMissing,
            Self::Repetitions | Self::DataType | Self::Surplus => ErrorCode::DataType,
        }
    }

    /// The answer that it leads to, where it refuses the document.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::Version => Fault::VersionNotSupported,
            Self::UnknownStructure => Fault::UnknownType,
            Self::SegmentMissing | Self::FieldMissing | Self::ComponentMissing => Fault::RequiredMissing,
            Self::SegmentUnexpected => Fault::CannotParse,
            Self::StructureMismatch | Self::Repetitions | Self::DataType | Self::Surplus => Fault::BadValue,
            Self::TableCode | Self::SiteCode => Fault::CodeNotInValueSet,
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// How much it matters.
    pub severity: Severity,
    /// Where, as a native path: `PRD[2]-7[1].1.1`, `PID[1]` for a segment that is missing.
    pub path: String,
    /// What was expected there; nothing of what was found.
    pub expected: String,
}

impl Finding {
    /// As an acknowledgement says it.
    #[must_use]
    pub fn complaint(&self) -> Complaint {
        let complaint = Complaint::new(self.rule.error_code()).at(&self.path).saying(self.expected.as_str());
        Complaint { severity: self.severity, ..complaint }
    }
}

/// All that was found, in document order; what concerns the whole comes first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// How many more there are than are kept.
    pub more: usize,
    /// Whether there is an error among all of them: the document is not to be taken.
    pub refused: bool,
}

impl Report {
    /// The fault of the first error.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.findings.iter().find(|finding| finding.severity == Severity::Error).map(|finding| finding.rule.fault())
    }

    /// Adds a finding. Errors are kept beyond the limit, so that the reason of a refusal is always told.
    pub(super) fn add(
        &mut self,
        config: &Config,
        level: Level,
        rule: Rule,
        path: impl FnOnce() -> String,
        expected: impl FnOnce() -> String,
    ) {
        let Some(severity) = level.severity() else { return };
        let first_error = severity == Severity::Error && !self.refused;
        self.refused |= severity == Severity::Error;
        if self.findings.len() >= config.limit && !first_error {
            self.more += 1;
            return;
        }
        self.findings.push(Finding { rule, severity, path: path(), expected: expected() });
    }
}
