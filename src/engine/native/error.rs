//! What can be wrong with a native document, and with a change to one.
//!
//! No text here ever carries the document's content: positions, paths and expectations only.

use std::fmt;

use thiserror::Error;

use super::charset::{CharacterClass, Charset};
use crate::fault::Fault;

/// Where in the bytes: all counted from one, except the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bytes before it.
    pub offset: usize,
    /// Line; CR, LF and CRLF each end one.
    pub line: u32,
    /// Byte in the line.
    pub column: u32,
}

impl Position {
    /// The position of a byte offset in a text.
    #[must_use]
    pub fn of(bytes: &[u8], offset: usize) -> Self {
        let offset = offset.min(bytes.len());
        // A line that would begin behind the place does not count.
        Self::on(&Self::lines(bytes.get(..=offset).unwrap_or(bytes)), offset)
    }

    /// The offsets at which lines begin.
    pub(super) fn lines(bytes: &[u8]) -> Vec<usize> {
        let mut starts = vec![0];
        let mut at = 0;
        while let Some(found) = memchr::memchr2(b'\r', b'\n', bytes.get(at..).unwrap_or_default()) {
            let end = at + found;
            let pair = bytes.get(end) == Some(&b'\r') && bytes.get(end + 1) == Some(&b'\n');
            at = end + if pair { 2 } else { 1 };
            starts.push(at);
        }
        starts
    }

    /// The position of a byte offset, given where lines begin.
    pub(super) fn on(lines: &[usize], offset: usize) -> Self {
        let line = lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| lines.get(line)).copied().unwrap_or(0);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self { offset, line: number(line), column: number(offset.saturating_sub(start)).saturating_add(1) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A document that cannot be read, where, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct SyntaxError {
    /// What is wrong.
    pub problem: Problem,
    /// Where.
    pub position: Position,
    /// In HL7 v2: the number of the segment in the message, from one.
    pub segment: Option<u32>,
}

impl SyntaxError {
    pub(crate) fn new(problem: Problem, bytes: &[u8], offset: usize) -> Self {
        Self { problem, position: Position::of(bytes, offset), segment: None }
    }

    /// The answer that it leads to.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self.problem {
            Problem::TooLarge { .. } | Problem::TooDeep { .. } | Problem::TooManyNodes { .. } => Fault::TooLarge,
            Problem::UnknownCharset => Fault::BadValue,
            _ => Fault::CannotParse,
        }
    }

    /// Where it is, as an outcome or an ERR segment says it.
    #[must_use]
    pub fn location(&self) -> String {
        match self.segment {
            Some(segment) => format!("segment {segment}, byte {}", self.position.offset),
            None => self.position.to_string(),
        }
    }

    /// HL7 v2: whether there is an MSH that an answer can be addressed by (AE rather than AR).
    #[must_use]
    pub const fn header_usable(&self) -> bool {
        !matches!(self.problem, Problem::NoHeader | Problem::Separators(_))
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.problem, self.location())
    }
}

/// What can be wrong with the bytes of a native document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// More bytes than the limit.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Nested deeper than the limit.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// More nodes than the limit.
    #[error("more than {limit} nodes")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
    /// A byte sequence that the character set of the document does not have.
    #[error("bytes that are not {0}")]
    NotInCharset(Charset),
    /// A document of two or four bytes a character, which none here is read in.
    #[error("in UTF-16 or UTF-32; expected UTF-8, or a character set of one byte a character")]
    WideCharset,
    /// The document declares a character set that is not known here.
    #[error("the declared character set is not known")]
    UnknownCharset,
    /// HL7 v2: it does not begin with an MSH segment.
    #[error("no MSH segment at the start")]
    NoHeader,
    /// HL7 v2: MSH-1 and MSH-2 give no usable separators.
    #[error("unusable separators in MSH-1 and MSH-2: {0}")]
    Separators(&'static str),
    /// HL7 v2: a segment does not begin with a name of three letters or digits and the field separator.
    #[error("a segment name of three capital letters or digits, and the field separator, expected")]
    SegmentName,
    /// HL7 v2: a batch or file segment where it cannot be.
    #[error("a batch or file segment out of place")]
    BatchSegment,
    /// Something else was expected here.
    #[error("{0} expected")]
    Expected(&'static str),
    /// JSON: a name that the object has already.
    #[error("a member name for the second time in one object")]
    DuplicateName,
    /// JSON: a surrogate without its twin.
    #[error("a lone surrogate")]
    LoneSurrogate,
    /// Something after the end of the document.
    #[error("content after the end of the document")]
    TrailingContent,
    /// XML: a document type declaration; none is accepted.
    #[error("a document type declaration, which is not accepted")]
    DocumentType,
    /// XML: an entity other than the five predefined ones and character references.
    #[error("an entity that is not predefined")]
    Entity,
    /// XML: a character that XML does not have.
    #[error("a character that XML does not have")]
    Character,
    /// XML: an attribute for the second time in one element.
    #[error("an attribute for the second time in one element")]
    DuplicateAttribute,
    /// XML: a prefix that is bound to no namespace.
    #[error("a prefix that is bound to no namespace")]
    UnboundPrefix,
    /// XML: an end tag of another name than its start tag.
    #[error("an end tag that does not match its start tag")]
    MismatchedTag,
    /// Delimited: two columns have one name.
    #[error("two columns of one name")]
    DuplicateColumn,
    /// Delimited: a quoted cell that does not end.
    #[error("a quoted cell that does not end")]
    UnclosedQuote,
}

/// A change that cannot be made. The edit stands as it was before the call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EditError {
    /// The target's character set lacks a character of the value.
    #[error("{path}: a character of {class} that {charset} does not have")]
    Character {
        /// The address that was to be set.
        path: String,
        /// What kind of character.
        class: CharacterClass,
        /// The character set of the document.
        charset: Charset,
    },
    /// The document's dialect lacks the separator, escape or quote that the value needs.
    #[error("{path}: the document declares no {what}")]
    NoSeparator {
        /// The address that was to be set.
        path: String,
        /// Which.
        what: &'static str,
    },
    /// The step does not exist in this format or below this place.
    #[error("{path}: {expected}")]
    NoSuchStep {
        /// The address.
        path: String,
        /// What would be possible.
        expected: &'static str,
    },
    /// The place has been removed in this edit, or belongs to another.
    #[error("the place is not, or no longer, in the document")]
    Gone,
    /// The place cannot be changed (MSH-1, MSH-2, a header row …).
    #[error("{path}: cannot be changed: {reason}")]
    Fixed {
        /// The address.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// A value that the format cannot carry at all.
    #[error("{path}: {reason}")]
    Value {
        /// The address.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// More characters than the place can hold.
    #[error("{path}: more than {limit} characters")]
    TooLong {
        /// The address.
        path: String,
        /// How many it can hold.
        limit: u32,
    },
    /// The format has no way to say that a value is deleted.
    #[error("{path}: the format has no null")]
    NoNull {
        /// The address.
        path: String,
    },
    /// An address so far out that filling up to it would pass the limit.
    #[error("{path}: beyond the limit of {limit}")]
    Limit {
        /// The address.
        path: String,
        /// The limit.
        limit: u32,
    },
}

impl EditError {
    /// The answer that it leads to.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Character { .. } | Self::NoSeparator { .. } | Self::Value { .. } | Self::NoNull { .. } => {
                Fault::BadValue
            }
            Self::TooLong { .. } => Fault::ValueTooLong,
            Self::Limit { .. } => Fault::TooLarge,
            Self::NoSuchStep { .. } | Self::Gone | Self::Fixed { .. } => Fault::Internal,
        }
    }

    /// The address, where there is one.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match self {
            Self::Character { path, .. }
            | Self::NoSeparator { path, .. }
            | Self::NoSuchStep { path, .. }
            | Self::Fixed { path, .. }
            | Self::Value { path, .. }
            | Self::TooLong { path, .. }
            | Self::NoNull { path }
            | Self::Limit { path, .. } => Some(path),
            Self::Gone => None,
        }
    }
}

/// A row of a delimited document that cannot be read; the other rows stand.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("row {row}{}: {problem}", column.as_ref().map(|c| format!("/{c}")).unwrap_or_default())]
pub struct RowFault {
    /// The row, as paths count it: the header is row 1.
    pub row: u32,
    /// The column, by its header or its number.
    pub column: Option<String>,
    /// What is wrong.
    pub problem: RowProblem,
    /// The bytes of the row, without its line end.
    pub span: std::ops::Range<usize>,
    /// How many cells of it are not empty, as far as it could be read: one at least.
    pub cells: u32,
}

/// What can be wrong with one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// Fewer cells than columns.
    #[error("{found} cells where the header has {expected}")]
    TooFewCells {
        /// Cells in the row.
        found: u32,
        /// Columns.
        expected: u32,
    },
    /// More cells than columns.
    #[error("{found} cells where the header has {expected}")]
    TooManyCells {
        /// Cells in the row.
        found: u32,
        /// Columns.
        expected: u32,
    },
    /// Fixed width: more characters than the columns have.
    #[error("{found} characters where the columns have {expected}")]
    TooLong {
        /// Characters in the row.
        found: u32,
        /// Characters of the columns.
        expected: u32,
    },
    /// Text after the closing quote of a cell.
    #[error("text after a closing quote")]
    TextAfterQuote,
    /// A quoted cell that does not end.
    #[error("a quoted cell that does not end")]
    UnclosedQuote,
    /// A byte that the character set does not have.
    #[error("bytes that are not {0}")]
    NotInCharset(Charset),
}

impl RowFault {
    /// The answer that it leads to.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::CannotParse
    }

    /// `row 3/hetu`, or `row 3`.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.column {
            Some(column) => format!("row {}/{column}", self.row),
            None => format!("row {}", self.row),
        }
    }
}
