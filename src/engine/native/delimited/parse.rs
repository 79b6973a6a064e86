//! Bytes to rows and cells (RFC 4180, with any separator, quote and line end).

use rustc_hash::FxHashMap;

use super::super::charset::Charset;
use super::super::error::{Problem, RowFault, RowProblem, SyntaxError};
use super::super::tree::{Builder, Full, Kind, NONE, Tree};
use super::super::{Limits, Syntax, tree};
use super::{Dialect, FixedColumn, Found, LineEnd, decode, fixed};

/// After this many quoted cells that run to the end of the document, the rest of it is one fault.
const UNCLOSED: usize = 16;

/// Reads a table.
///
/// # Errors
/// [`SyntaxError`] where the header cannot be read or the dialect cannot be used; faults of rows are
/// [`Tree::row_faults`].
pub fn parse(bytes: Vec<u8>, dialect: &Dialect, limits: &Limits) -> Result<Tree, SyntaxError> {
    limits.check(&bytes)?;
    let fail = |problem, at| SyntaxError::new(problem, &bytes, at);
    let separator = u8::try_from(dialect.separator)
        .ok()
        .filter(|s| s.is_ascii() && !matches!(s, b'\r' | b'\n'))
        .ok_or_else(|| fail(Problem::Expected("a dialect with an ASCII separator"), 0))?;
    let quote = match dialect.quote {
        None => None,
        Some(quote) => Some(
            u8::try_from(quote)
                .ok()
                .filter(|q| q.is_ascii() && !matches!(q, b'\r' | b'\n') && *q != separator)
                .ok_or_else(|| fail(Problem::Expected("a dialect with an ASCII quote"), 0))?,
        ),
    };
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut reader = Reader {
        bytes: &bytes,
        separator,
        quote,
        charset: dialect.charset,
        valid: dialect.charset.check(bytes.get(start..).unwrap_or_default()).is_ok(),
        builder: Builder::new(limits, bytes.len() / 8 + 8),
        columns: columns(dialect).ok_or_else(|| fail(Problem::DuplicateColumn, 0))?,
        fixed: &dialect.fixed,
        cells: Vec::new(),
        faults: Vec::new(),
        unclosed: 0,
    };
    match reader.table(start, dialect.header) {
        Ok(()) => {
            let Reader { builder, columns, faults, .. } = reader;
            let mut index = FxHashMap::default();
            for (number, name) in (1..).zip(&columns) {
                if !name.is_empty() {
                    index.insert(name.clone(), number);
                }
            }
            let line_end = first_line_end(&bytes).unwrap_or(dialect.line_end);
            let (charset, fixed) = (dialect.charset, dialect.fixed.clone());
            let found = Found { charset, separator, quote, line_end, columns, fixed, index, faults };
            Ok(builder.finish(bytes, Syntax::Delimited(dialect.clone()), tree::Dialect::Delimited(found)))
        }
        Err((problem, at)) => Err(fail(problem, at)),
    }
}

/// The columns that the dialect names; `None` where two have one name.
fn columns(dialect: &Dialect) -> Option<Vec<Box<str>>> {
    let named = dialect.columns.iter().map(String::as_str);
    let fixed = dialect.fixed.iter().map(|column| column.name.as_str());
    let all: Vec<Box<str>> =
        if dialect.fixed.is_empty() { named.map(Into::into).collect() } else { fixed.map(Into::into).collect() };
    let mut sorted: Vec<_> = all.iter().filter(|name| !name.is_empty()).collect();
    sorted.sort_unstable();
    (sorted.array_windows().all(|[a, b]| a != b) && all.len() <= usize::from(u16::MAX)).then_some(all)
}

fn first_line_end(bytes: &[u8]) -> Option<LineEnd> {
    let at = memchr::memchr2(b'\r', b'\n', bytes)?;
    Some(match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => LineEnd::CrLf,
        (Some(b'\r'), _) => LineEnd::Cr,
        _ => LineEnd::Lf,
    })
}

struct Reader<'b> {
    bytes: &'b [u8],
    separator: u8,
    quote: Option<u8>,
    charset: Charset,
    /// The whole document is in the character set.
    valid: bool,
    builder: Builder,
    columns: Vec<Box<str>>,
    fixed: &'b [FixedColumn],
    /// The cells of the row at hand.
    cells: Vec<(usize, usize)>,
    faults: Vec<RowFault>,
    unclosed: usize,
}

impl Reader<'_> {
    fn table(&mut self, start: usize, header: bool) -> Result<(), (Problem, usize)> {
        let root = self.builder.open(Kind::Document, 0, 0, 0, NONE).map_err(|Full| (self.builder.full(), start))?;
        let mut at = start;
        let mut number = 0_u32;
        let mut names_to_come = header;
        while at < self.bytes.len() {
            number += 1;
            let row = at;
            let (end, broken) = if self.fixed.is_empty() { self.row(at) } else { self.fixed_row(at) };
            at = self.behind_line_end(end);
            if end == row || self.is_blank(row, end) {
                continue;
            }
            if names_to_come && !self.fixed.is_empty() {
                names_to_come = false;
                self.record(Kind::Header, root, number, row, end).map_err(|Full| (self.builder.full(), row))?;
            } else if names_to_come {
                names_to_come = false;
                self.header(root, number, row, end, broken)?;
            } else if let Some((column, problem)) = broken.or_else(|| self.misfit()) {
                let column = column.map(|c| self.column_label(c));
                let cells = self.cells.iter().filter(|(from, to)| from < to).count().max(1);
                let cells = u32::try_from(cells).unwrap_or(u32::MAX);
                self.faults.push(RowFault { row: number, column, problem, span: row..end, cells });
            } else {
                self.record(Kind::Row, root, number, row, end).map_err(|Full| (self.builder.full(), row))?;
            }
        }
        if names_to_come {
            return Err((Problem::Expected("a header row"), start));
        }
        self.builder.close(root, self.bytes.len());
        Ok(())
    }

    /// Whether a line of several columns has blanks alone, and says no more than an empty one.
    fn is_blank(&self, row: usize, end: usize) -> bool {
        let line = self.bytes.get(row..end).unwrap_or_default();
        self.columns.len() > 1 && self.cells.len() == 1 && line.iter().all(|byte| *byte == b' ')
    }

    fn column_label(&self, column: usize) -> String {
        match self.columns.get(column) {
            Some(name) if !name.is_empty() => name.to_string(),
            _ => format!("#{}", column + 1),
        }
    }

    fn header(
        &mut self,
        root: u32,
        number: u32,
        row: usize,
        end: usize,
        broken: Option<(Option<usize>, RowProblem)>,
    ) -> Result<(), (Problem, usize)> {
        match broken {
            Some((_, RowProblem::UnclosedQuote)) => return Err((Problem::UnclosedQuote, row)),
            Some(_) => return Err((Problem::Expected("a separator after a closing quote"), row)),
            None => {}
        }
        self.columns.clear();
        let mut seen = FxHashMap::default();
        for (from, to) in &self.cells {
            let raw = self.bytes.get(*from..*to).unwrap_or_default();
            if let Err(at) = self.charset.check(raw) {
                return Err((Problem::NotInCharset(self.charset), from + at));
            }
            let name: Box<str> = decode(raw, self.quote, self.charset).into();
            if !name.is_empty() && seen.insert(name.clone(), ()).is_some() {
                return Err((Problem::DuplicateColumn, *from));
            }
            self.columns.push(name);
        }
        if self.columns.len() > usize::from(u16::MAX) {
            return Err((Problem::TooManyNodes { limit: usize::from(u16::MAX) }, row));
        }
        self.record(Kind::Header, root, number, row, end).map_err(|Full| (self.builder.full(), row))
    }

    /// What keeps the row at hand, well written in itself, from fitting the table.
    fn misfit(&self) -> Option<(Option<usize>, RowProblem)> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (found, expected) = (self.cells.len(), self.columns.len());
        if expected > 0 && found != expected {
            let (found, expected) = (count(found), count(expected));
            return Some(if found < expected {
                (None, RowProblem::TooFewCells { found, expected })
            } else {
                (None, RowProblem::TooManyCells { found, expected })
            });
        }
        if found > usize::from(u16::MAX) {
            return Some((None, RowProblem::TooManyCells { found: count(found), expected: u32::from(u16::MAX) }));
        }
        if self.valid {
            return None;
        }
        let invalid =
            |(from, to): &(usize, usize)| self.charset.check(self.bytes.get(*from..*to).unwrap_or_default()).is_err();
        self.cells.iter().position(invalid).map(|column| (Some(column), RowProblem::NotInCharset(self.charset)))
    }

    fn record(&mut self, kind: Kind, root: u32, number: u32, row: usize, end: usize) -> Result<(), Full> {
        let node = self.builder.open(kind, 0, number, row, root)?;
        let mut column = 0;
        for (from, to) in &self.cells {
            let (from, to) = (*from, *to);
            column += 1;
            let raw = self.bytes.get(from..to).unwrap_or_default();
            let column_at = usize::try_from(column).ok().and_then(|n| self.fixed.get(n - 1));
            let padding =
                column_at.is_some_and(|fixed| fixed.text(self.charset.decode(raw).unwrap_or_default()).is_empty());
            let nothing = match (raw, self.quote) {
                _ if !self.fixed.is_empty() => padding,
                ([a, b], Some(q)) => *a == q && *b == q,
                _ => false,
            };
            if kind == Kind::Row && !raw.is_empty() && !nothing {
                self.builder.leaf(Kind::Cell, 0, column, from, to, node)?;
            } else {
                self.builder.push(Kind::Cell, column, from, to, node)?;
            }
        }
        self.builder.close(node, end);
        Ok(())
    }

    fn behind_line_end(&self, end: usize) -> usize {
        match (self.bytes.get(end), self.bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => end + 2,
            (Some(_), _) => end + 1,
            (None, _) => end,
        }
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())
    }

    /// Splits the row at `at` into [`cells`](Self::cells); gives its end, and what is wrong with it.
    fn row(&mut self, at: usize) -> (usize, Option<(Option<usize>, RowProblem)>) {
        self.cells.clear();
        let mut from = at;
        loop {
            let column = self.cells.len();
            let end = match self.quote {
                Some(quote) if self.bytes.get(from) == Some(&quote) => match self.closing(from + 1, quote) {
                    Some(end) => end,
                    None => {
                        self.unclosed += 1;
                        let end = if self.unclosed > UNCLOSED { self.bytes.len() } else { self.line_end(at) };
                        return (end, Some((Some(column), RowProblem::UnclosedQuote)));
                    }
                },
                _ => {
                    let rest = self.bytes.get(from..).unwrap_or_default();
                    from + memchr::memchr3(self.separator, b'\r', b'\n', rest).unwrap_or(rest.len())
                }
            };
            self.cells.push((from, end));
            match self.bytes.get(end) {
                Some(b) if *b == self.separator => from = end + 1,
                None | Some(b'\r' | b'\n') => return (end, None),
                Some(_) => return (self.line_end(end), Some((Some(column), RowProblem::TextAfterQuote))),
            }
        }
    }

    /// Cuts the line at `at` by the widths of the columns.
    fn fixed_row(&mut self, at: usize) -> (usize, Option<(Option<usize>, RowProblem)>) {
        self.cells.clear();
        let end = self.line_end(at);
        let row = self.bytes.get(at..end).unwrap_or_default();
        let mut from = at;
        for to in fixed::ends(row, self.fixed, self.charset) {
            self.cells.push((from, at + to));
            from = at + to;
        }
        if from < end {
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let found = count(fixed::characters(row, self.charset));
            let expected = self.fixed.iter().map(|column| u32::from(column.width)).sum();
            return (end, Some((None, RowProblem::TooLong { found, expected })));
        }
        (end, None)
    }

    /// The offset behind the closing quote of a cell whose text begins at `from`.
    fn closing(&self, from: usize, quote: u8) -> Option<usize> {
        let mut at = from;
        loop {
            at += memchr::memchr(quote, self.bytes.get(at..)?)? + 1;
            if self.bytes.get(at) != Some(&quote) {
                return Some(at);
            }
            at += 1;
        }
    }
}
