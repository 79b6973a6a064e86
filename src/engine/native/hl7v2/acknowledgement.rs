//! Acknowledgements: `ACK^event^ACK` (HL7 v2.5.1 §2.13.1, §2.14.8 MSA, §2.14.5 ERR), written in the version, separators
//! and character set of the message that is answered.
//!
//! Whether to answer, when, and with which code (original or enhanced mode, §2.9) is the caller's to decide. Of the
//! answered message nothing but its header is echoed; what is wrong is said by places and expectations.
//!
//! ```
//! use silta_engine::native::Charset;
//! use silta_engine::native::hl7v2::acknowledgement::{Acknowledgement, Code, Complaint, ErrorCode, Request};
//! use silta_engine::native::hl7v2::Header;
//!
//! let message = b"MSH|^~\\&|HIS|HOSP|GW|COUNTY|20260105||REF^I12^REF_I12|42|P|2.5.1\rPID|1\r";
//! let header = Header::read(message)?;
//! let missing = Complaint::new(ErrorCode::RequiredFieldMissing).at("PID[1]-3");
//! let answer = Acknowledgement::new(Code::ApplicationError, "20260105120000+0200", "G7").with([missing]);
//! assert_eq!(
//!     String::from_utf8(answer.write(&Request::of(&header)))?,
//!     "MSH|^~\\&|GW|COUNTY|HIS|HOSP|20260105120000+0200||ACK^I12^ACK|G7|P|2.5.1\r\
//!      MSA|AE|42\r\
//!      ERR||PID^1^3|101^Required field missing^HL70357|E\r"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::super::charset::Charset;
use super::super::{Format, Step};
use super::schema::{Declared, Version};
use super::{Header, Separators, escape};

/// MSA-1 (table 0008).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// AA: processed, in original mode or by the application.
    ApplicationAccept,
    /// AE: an error in the content.
    ApplicationError,
    /// AR: refused for what it is (its type, version, processing id) or for a fault here.
    ApplicationReject,
    /// CA: in safe keeping.
    CommitAccept,
    /// CE: not kept, for an error in the message.
    CommitError,
    /// CR: not kept, for what it is or for a fault here.
    CommitReject,
}

impl Code {
    /// As in MSA-1.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ApplicationAccept => "AA",
            Self::ApplicationError => "AE",
            Self::ApplicationReject => "AR",
            Self::CommitAccept => "CA",
            Self::CommitError => "CE",
            Self::CommitReject => "CR",
        }
    }

    /// The code that MSA-1 says.
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"AA" => Self::ApplicationAccept,
            b"AE" => Self::ApplicationError,
            b"AR" => Self::ApplicationReject,
            b"CA" => Self::CommitAccept,
            b"CE" => Self::CommitError,
            b"CR" => Self::CommitReject,
            _ => return None,
        })
    }

    /// Whether it says that all is well.
    #[must_use]
    pub const fn accepts(self) -> bool {
        matches!(self, Self::ApplicationAccept | Self::CommitAccept)
    }
}

/// What is wrong with a message (table 0357): ERR-3, and the fourth component of ERR-1 up to 2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 100: segments missing or out of order.
    SegmentSequence,
    /// 101.
    RequiredFieldMissing,
    /// 102: a value that is not of its data type.
    DataType,
    /// 103: a code that its table does not have.
    TableValueNotFound,
    /// 104 from 2.7, 102 before.
    ValueTooLong,
    /// 200.
    UnsupportedMessageType,
    /// 201.
    UnsupportedEvent,
    /// 202.
    UnsupportedProcessingId,
    /// 203.
    UnsupportedVersion,
    /// 204: what a key names is not known here.
    UnknownKey,
    /// 205.
    DuplicateKey,
    /// 206: changed or locked by another.
    RecordLocked,
    /// 207: an error that the others do not name, the application's own rules among them.
    ApplicationInternalError,
}

impl ErrorCode {
    /// Its code in a version.
    #[must_use]
    pub fn code(self, version: Version) -> &'static str {
        match self {
            Self::SegmentSequence => "100",
            Self::RequiredFieldMissing => "101",
            Self::DataType => "102",
            Self::TableValueNotFound => "103",
            Self::ValueTooLong if version >= Version::V2_7 => "104",
            Self::ValueTooLong => "102",
            Self::UnsupportedMessageType => "200",
            Self::UnsupportedEvent => "201",
            Self::UnsupportedProcessingId => "202",
            Self::UnsupportedVersion => "203",
            Self::UnknownKey => "204",
            Self::DuplicateKey => "205",
            Self::RecordLocked => "206",
            Self::ApplicationInternalError => "207",
        }
    }

    /// Its display in a version.
    #[must_use]
    pub fn display(self, version: Version) -> &'static str {
        match self {
            Self::SegmentSequence => "Segment sequence error",
            Self::RequiredFieldMissing => "Required field missing",
            Self::ValueTooLong if version >= Version::V2_7 => "Value too long",
            Self::DataType | Self::ValueTooLong => "Data type error",
            Self::TableValueNotFound => "Table value not found",
            Self::UnsupportedMessageType => "Unsupported message type",
            Self::UnsupportedEvent => "Unsupported event code",
            Self::UnsupportedProcessingId => "Unsupported processing id",
            Self::UnsupportedVersion => "Unsupported version id",
            Self::UnknownKey => "Unknown key identifier",
            Self::DuplicateKey => "Duplicate key identifier",
            Self::RecordLocked => "Application record locked",
            Self::ApplicationInternalError => "Application internal error",
        }
    }
}

/// How much it matters (table 0516): ERR-4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// I.
    Information,
    /// W: taken, but something may be lost.
    Warning,
    /// E: not taken.
    Error,
}

impl Severity {
    /// As in ERR-4.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Information => "I",
            Self::Warning => "W",
            Self::Error => "E",
        }
    }
}

/// Where in a message: ERR-2, and the first three components of ERR-1 up to 2.4.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorLocation {
    /// `PRD`.
    pub segment: String,
    /// Which of the segments of that name, from 1.
    pub sequence: u32,
    /// The field, from 1.
    pub field: Option<u16>,
    /// The repetition, from 1.
    pub repetition: Option<u16>,
    /// The component, from 1.
    pub component: Option<u16>,
    /// The subcomponent, from 1.
    pub subcomponent: Option<u16>,
}

impl ErrorLocation {
    /// Of a native path, as reports have it: `PRD[2]-7[1].1.1`.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let mut found = None;
        for step in Step::parse(Format::Hl7V2, path)? {
            match step {
                Step::Segment(name, sequence) => {
                    found = Some(Self {
                        segment: name.to_string(),
                        sequence,
                        field: None,
                        repetition: None,
                        component: None,
                        subcomponent: None,
                    });
                }
                Step::Field(number) => found.as_mut()?.field = Some(number),
                Step::Repetition(number) => found.as_mut()?.repetition = Some(number),
                Step::Component(number) => found.as_mut()?.component = Some(number),
                Step::Subcomponent(number) => found.as_mut()?.subcomponent = Some(number),
                _ => return None,
            }
        }
        found
    }

    /// Its parts, in the order of ERR-2; those after the last one that is known left out.
    fn parts(&self) -> Vec<String> {
        let mut parts = vec![self.segment.clone(), self.sequence.to_string()];
        let rest = [self.field, self.repetition, self.component, self.subcomponent];
        parts.extend(rest.iter().map_while(|part| part.map(|number| number.to_string())));
        parts
    }
}

/// One thing that is wrong: an ERR segment, or a repetition of ERR-1 up to 2.4.
///
/// The texts must not carry the message's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong.
    pub code: ErrorCode,
    /// How much it matters.
    pub severity: Severity,
    /// Where.
    pub location: Option<ErrorLocation>,
    /// ERR-5, from 2.5: the application's own code, its text, its code system.
    pub application_code: Option<(String, String, String)>,
    /// ERR-7, from 2.5: for those who look after the systems.
    pub diagnostic: Option<String>,
    /// ERR-8, from 2.5: for the one who works with the sending system.
    pub user_message: Option<String>,
}

impl Complaint {
    /// An error of this kind, nowhere in particular.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        Self {
            code,
            severity: Severity::Error,
            location: None,
            application_code: None,
            diagnostic: None,
            user_message: None,
        }
    }

    /// The same at a native path; unchanged if that is not one of HL7 v2.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.location = ErrorLocation::of_path(path).or(self.location);
        self
    }

    /// The same with what was found and expected.
    #[must_use]
    pub fn saying(mut self, diagnostic: impl Into<String>) -> Self {
        self.diagnostic = Some(diagnostic.into());
        self
    }
}

/// What is known of the message that is answered: its header as written, or nothing.
#[derive(Debug, Clone, Copy)]
pub struct Request<'b> {
    separators: Separators,
    /// MSH-3, MSH-4, MSH-5, MSH-6, MSH-10, MSH-11, MSH-12, MSH-18.
    sending: [&'b [u8]; 2],
    receiving: [&'b [u8]; 2],
    event: &'b [u8],
    control_id: &'b [u8],
    processing_id: &'b [u8],
    version_id: &'b [u8],
    charset: &'b [u8],
}

/// A control id is at most 199 characters (2.7); what is longer is no id and is not echoed.
const CONTROL_ID_BYTES: usize = 199;

impl<'b> Request<'b> {
    /// By its header.
    #[must_use]
    pub fn of(header: &Header<'b>) -> Self {
        let control_id = header.field(10);
        Self {
            separators: header.separators(),
            sending: [header.field(3), header.field(4)],
            receiving: [header.field(5), header.field(6)],
            event: header.component(9, 2),
            control_id: if control_id.len() <= CONTROL_ID_BYTES { control_id } else { &[] },
            processing_id: header.field(11),
            version_id: header.field(12),
            charset: header.field(18),
        }
    }

    /// Of a message without a usable MSH: the answer has the usual separators and no receiver.
    #[must_use]
    pub fn unreadable() -> Self {
        Self {
            separators: Separators::default(),
            sending: [&[], &[]],
            receiving: [&[], &[]],
            event: &[],
            control_id: &[],
            processing_id: &[],
            version_id: &[],
            charset: &[],
        }
    }

    /// What MSH-12 says.
    #[must_use]
    pub fn declared(&self) -> Declared {
        std::str::from_utf8(self.version_id).map_or(Declared::Unknown, Version::declared)
    }
}

/// An acknowledgement to be written.
#[derive(Debug, Clone)]
pub struct Acknowledgement<'a> {
    /// MSA-1.
    pub code: Code,
    /// What is wrong.
    pub complaints: Vec<Complaint>,
    /// MSH-7: `YYYYMMDDHHMMSS+ZZZZ`.
    pub timestamp: &'a str,
    /// MSH-10.
    pub control_id: &'a str,
    /// MSH-11 where the message's own is empty.
    pub processing_id: &'a str,
    /// The version to write in where MSH-12 names none.
    pub version: Version,
    /// The character set where MSH-18 is empty.
    pub charset: Charset,
    /// MSH-15 and MSH-16, for an application acknowledgement that is sent as a message of its own (`AL`, `NE`).
    pub wants: Option<(&'a str, &'a str)>,
}

impl<'a> Acknowledgement<'a> {
    /// With this code, at this time, with this control id; P, 2.5.1 and ASCII where the message does not say.
    #[must_use]
    pub const fn new(code: Code, timestamp: &'a str, control_id: &'a str) -> Self {
        Self {
            code,
            complaints: Vec::new(),
            timestamp,
            control_id,
            processing_id: "P",
            version: Version::V2_5_1,
            charset: Charset::Ascii,
            wants: None,
        }
    }

    /// The same with these complaints besides.
    #[must_use]
    pub fn with(mut self, complaints: impl IntoIterator<Item = Complaint>) -> Self {
        self.complaints.extend(complaints);
        self
    }

    /// The message, each segment ended by CR.
    #[must_use]
    pub fn write(&self, to: &Request<'_>) -> Vec<u8> {
        let version = to.declared().version().unwrap_or(self.version);
        let charset = std::str::from_utf8(to.charset)
            .ok()
            .filter(|code| !code.is_empty())
            .map_or(Some(self.charset), Charset::of_hl7)
            .unwrap_or(Charset::Ascii);
        let writer = Writer { separators: to.separators, charset, version };
        let mut out = Vec::with_capacity(256);
        writer.segment("MSH", self.header(to, &writer), &mut out);
        writer.segment("MSA", self.outcome(to, &writer), &mut out);
        if version.has_structured_errors() {
            for complaint in &self.complaints {
                writer.segment("ERR", writer.structured(complaint), &mut out);
            }
        } else if !self.complaints.is_empty() {
            let errors = self.complaints.iter().map(|complaint| writer.located(complaint)).collect();
            writer.segment("ERR", vec![writer.repeated(errors)], &mut out);
        }
        out
    }

    /// MSH-2 and what follows.
    fn header(&self, to: &Request<'_>, writer: &Writer) -> Vec<Vec<u8>> {
        let event = to.event.to_vec();
        let kind = match writer.version {
            _ if event.is_empty() => vec![b"ACK".to_vec()],
            Version::V2_1 => vec![b"ACK".to_vec()],
            Version::V2_2 | Version::V2_3 => vec![b"ACK".to_vec(), event],
            _ => vec![b"ACK".to_vec(), event, b"ACK".to_vec()],
        };
        let own = |bytes: &[u8], otherwise: &str| {
            if bytes.is_empty() { writer.text(otherwise) } else { bytes.to_vec() }
        };
        let version = match to.declared() {
            Declared::Unknown => writer.text(self.version.text()),
            Declared::Exact(_) | Declared::Nearest(_) => to.version_id.to_vec(),
        };
        let [sending_application, sending_facility] = to.sending;
        let [receiving_application, receiving_facility] = to.receiving;
        let mut fields = vec![
            writer.separators.encoding(),
            receiving_application.to_vec(),
            receiving_facility.to_vec(),
            sending_application.to_vec(),
            sending_facility.to_vec(),
            writer.text(self.timestamp),
            Vec::new(),
            writer.composed(kind),
            writer.text(self.control_id),
            own(to.processing_id, self.processing_id),
            version,
        ];
        if let Some((accept, application)) = self.wants.filter(|_| writer.version >= Version::V2_2) {
            fields.extend([Vec::new(), Vec::new(), writer.text(accept), writer.text(application)]);
        }
        if !to.charset.is_empty() {
            fields.resize(16, Vec::new());
            fields.push(to.charset.to_vec());
        }
        fields
    }

    /// MSA. Up to 2.4, where ERR has no room for a text, MSA-3 has the first one.
    fn outcome(&self, to: &Request<'_>, writer: &Writer) -> Vec<Vec<u8>> {
        let mut fields = vec![self.code.text().as_bytes().to_vec(), to.control_id.to_vec()];
        let text = self
            .complaints
            .iter()
            .find_map(|complaint| complaint.user_message.as_deref().or(complaint.diagnostic.as_deref()));
        if let Some(text) = text.filter(|_| !writer.version.has_structured_errors()) {
            fields.push(writer.text(text.get(..80).unwrap_or(text)));
        }
        fields
    }
}

struct Writer {
    separators: Separators,
    charset: Charset,
    version: Version,
}

impl Writer {
    /// A segment of these fields; empty ones at the end are left out.
    fn segment(&self, name: &str, fields: Vec<Vec<u8>>, out: &mut Vec<u8>) {
        out.extend_from_slice(name.as_bytes());
        let used = fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last + 1);
        for field in fields.into_iter().take(used) {
            out.push(self.separators.field);
            out.extend(field);
        }
        out.push(b'\r');
    }

    /// A text of our own, escaped. What the character set lacks becomes a full stop: such a text is never a value.
    fn text(&self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        if escape::encode(text, &self.separators, self.charset, |_| Some("."), &mut out).is_ok() {
            return out;
        }
        // The message has no escape character: its separators cannot be written.
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == ' ';
        text.chars().filter(plain).map(|c| c as u8).collect()
    }

    fn composed(&self, components: Vec<Vec<u8>>) -> Vec<u8> {
        components.join(&self.separators.component)
    }

    /// The repetitions; only the first where the message has no repetition separator.
    fn repeated(&self, repetitions: Vec<Vec<u8>>) -> Vec<u8> {
        match self.separators.repetition {
            Some(separator) => repetitions.join(&separator),
            None => repetitions.into_iter().next().unwrap_or_default(),
        }
    }

    /// ERR-1 (ELD): segment, sequence, field, and the error as a coded element in subcomponents.
    fn located(&self, complaint: &Complaint) -> Vec<u8> {
        let mut parts = complaint.location.as_ref().map(ErrorLocation::parts).unwrap_or_default();
        parts.resize(3, String::new());
        let mut components: Vec<Vec<u8>> = parts.iter().map(|part| self.text(part)).collect();
        let code = self.coded(complaint);
        components.push(match self.separators.subcomponent {
            Some(separator) => code.join(&separator),
            None => code.into_iter().next().unwrap_or_default(),
        });
        self.composed(components)
    }

    /// ERR-1 (left empty) to ERR-8.
    fn structured(&self, complaint: &Complaint) -> Vec<Vec<u8>> {
        let location = complaint.location.as_ref().map(ErrorLocation::parts).unwrap_or_default();
        let application = complaint.application_code.as_ref();
        let optional = |text: &Option<String>| text.as_deref().map(|text| self.text(text)).unwrap_or_default();
        vec![
            Vec::new(),
            self.composed(location.iter().map(|part| self.text(part)).collect()),
            self.composed(self.coded(complaint)),
            self.text(complaint.severity.text()),
            application
                .map(|(code, text, system)| self.composed([code, text, system].map(|part| self.text(part)).to_vec()))
                .unwrap_or_default(),
            Vec::new(),
            optional(&complaint.diagnostic),
            optional(&complaint.user_message),
        ]
    }

    fn coded(&self, complaint: &Complaint) -> Vec<Vec<u8>> {
        let code = complaint.code;
        [code.code(self.version), code.display(self.version), "HL70357"].map(|part| self.text(part)).to_vec()
    }
}
