//! Files and batches of messages (HL7 v2.9 chapter 2, section 2.10.3): FHS { BHS { MSH … } BTS } FTS, any of the
//! envelopes left out.

use std::ops::Range;

use super::super::error::{Problem, SyntaxError};
use super::{Header, parse};

/// One piece of a batch file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// FHS.
    FileHeader(Range<usize>),
    /// BHS.
    BatchHeader(Range<usize>),
    /// A message, from its MSH to the end of its last line.
    Message(Range<usize>),
    /// BTS, with the number of messages that it declares.
    BatchTrailer(Range<usize>, Option<u32>),
    /// FTS, with the number of batches that it declares.
    FileTrailer(Range<usize>, Option<u32>),
}

/// Whether the bytes begin with a batch or file header.
#[must_use]
pub fn is_batch(bytes: &[u8]) -> bool {
    let rest = bytes.get(parse::start(bytes)..).unwrap_or_default();
    rest.starts_with(b"FHS") || rest.starts_with(b"BHS")
}

/// The pieces of a batch file, in order; a lone message, or several without envelopes, are pieces too.
#[derive(Debug, Clone)]
pub struct Parts<'b> {
    bytes: &'b [u8],
    at: usize,
    field: Option<u8>,
}

impl<'b> Parts<'b> {
    /// The pieces of these bytes.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: parse::start(bytes), field: None }
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())
    }

    fn skip_line_ends(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()
    }

    fn declared(&self, line: &Range<usize>) -> Option<u32> {
        let line = self.bytes.get(line.clone())?;
        let field = self.field.unwrap_or(b'|');
        let digits = line.split(|b| *b == field).nth(1)?;
        std::str::from_utf8(digits).ok()?.trim().parse().ok()
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Part, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.skip_line_ends(self.at);
        let rest = self.bytes.get(start..)?;
        if rest.is_empty() {
            return None;
        }
        let line = start..self.line_end(start);
        self.at = self.skip_line_ends(line.end);
        let part = match rest.first_chunk::<3>() {
            Some(name @ (b"FHS" | b"BHS")) => {
                if let Ok(header) = Header::read(rest) {
                    self.field = Some(header.separators().field);
                }
                if name == b"FHS" { Part::FileHeader(line) } else { Part::BatchHeader(line) }
            }
            Some(b"BTS") => Part::BatchTrailer(line.clone(), self.declared(&line)),
            Some(b"FTS") => Part::FileTrailer(line.clone(), self.declared(&line)),
            Some(b"MSH") => {
                let mut at = self.at;
                while at < self.bytes.len() {
                    let next = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<3>());
                    if matches!(next, Some(b"MSH" | b"FHS" | b"BHS" | b"BTS" | b"FTS")) {
                        break;
                    }
                    at = self.skip_line_ends(self.line_end(at));
                }
                self.at = at;
                Part::Message(start..at)
            }
            _ => {
                self.at = self.bytes.len();
                return Some(Err(SyntaxError::new(Problem::Expected("FHS, BHS, MSH, BTS or FTS"), self.bytes, start)));
            }
        };
        Some(Ok(part))
    }
}
