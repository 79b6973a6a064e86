//! The header of a message, read without reading the message: enough to answer one that cannot be parsed.

use super::super::error::{Problem, SyntaxError};
use super::{Separators, parse};

/// The MSH (or FHS, BHS) at the start of some bytes. Fields are bytes as written, since what is answered to a message
/// that cannot be read is echoed, not understood.
#[derive(Debug, Clone, Copy)]
pub struct Header<'b> {
    line: &'b [u8],
    start: usize,
    separators: Separators,
}

impl<'b> Header<'b> {
    /// Reads the first line; a byte order mark and blank lines before it are skipped.
    ///
    /// # Errors
    /// [`Problem::NoHeader`] or [`Problem::Separators`]: there is nothing to answer to.
    pub fn read(bytes: &'b [u8]) -> Result<Self, SyntaxError> {
        let start = parse::start(bytes);
        let rest = bytes.get(start..).unwrap_or_default();
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        let fail = |problem, at| {
            let mut error = SyntaxError::new(problem, bytes, at);
            error.segment = Some(1);
            error
        };
        let ([b'M', b'S', b'H', field, encoding @ ..] | [b'F' | b'B', b'H', b'S', field, encoding @ ..]) = line else {
            return Err(fail(Problem::NoHeader, start));
        };
        let encoding = encoding.split(|b| b == field).next().unwrap_or_default();
        let separators =
            Separators::new(*field, encoding).map_err(|reason| fail(Problem::Separators(reason), start + 3))?;
        Ok(Self { line, start, separators })
    }

    /// `MSH`, `FHS` or `BHS`.
    #[must_use]
    pub fn name(&self) -> &'b str {
        std::str::from_utf8(self.line.get(..3).unwrap_or_default()).unwrap_or_default()
    }

    /// The separators.
    #[must_use]
    pub const fn separators(&self) -> Separators {
        self.separators
    }

    /// Field `number` as written, empty where it is not: 1 is the field separator, 2 the encoding characters.
    #[must_use]
    pub fn field(&self, number: usize) -> &'b [u8] {
        match number {
            0 => &[],
            1 => self.line.get(3..4).unwrap_or_default(),
            _ => self.line.split(|b| *b == self.separators.field).nth(number - 1).unwrap_or_default(),
        }
    }

    /// Component `component` of the first repetition of field `number`, as written.
    #[must_use]
    pub fn component(&self, number: usize, component: usize) -> &'b [u8] {
        let field = self.field(number);
        let first = match self.separators.repetition {
            Some(repetition) if number > 2 => field.split(|b| *b == repetition).next().unwrap_or_default(),
            _ => field,
        };
        let Some(nth) = component.checked_sub(1) else { return &[] };
        if number <= 2 {
            return if nth == 0 { first } else { &[] };
        }
        first.split(|b| *b == self.separators.component).nth(nth).unwrap_or_default()
    }

    /// Where field `number` begins in the bytes.
    #[must_use]
    pub fn offset(&self, number: usize) -> usize {
        let before: usize = self
            .line
            .split(|b| *b == self.separators.field)
            .take(number.saturating_sub(1))
            .map(|piece| piece.len() + 1)
            .sum();
        self.start + before.min(self.line.len())
    }
}
