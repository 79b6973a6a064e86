//! Changes to a table: a touched row is taken apart at its separators and joined again.

use std::borrow::Cow;

use super::super::edit::{Anchor, Ink, NewId, Place, address};
use super::super::error::{EditError, RowProblem};
use super::super::lines::Lines;
use super::super::path::Step;
use super::super::tree::{Kind, NodeId, Tree};
use super::{Found, fixed};

/// A row taken apart.
type Cells<'t> = Vec<Cow<'t, [u8]>>;

/// A table under change.
#[derive(Debug)]
pub(crate) struct Sheet<'t> {
    tree: &'t Tree,
    found: &'t Found,
    lines: Lines<'t, Cells<'t>>,
    made: Vec<u32>,
}

impl<'t> Sheet<'t> {
    pub(crate) fn new(tree: &'t Tree, found: &'t Found) -> Self {
        let rows = tree.children(NodeId::ROOT);
        Self { tree, found, lines: Lines::new(tree, rows, found.line_end.bytes()), made: Vec::new() }
    }

    fn path(&self, at: Place, steps: &[Step]) -> String {
        match at {
            Place::Node(node) => address(self.tree, "", Some(node), steps),
            Place::New(_) => address(self.tree, "row new", None, steps),
        }
    }

    /// A quoted cell that does not end could be ended by what is written after it.
    fn check(&self, path: impl FnOnce() -> String) -> Result<(), EditError> {
        if self.found.faults.iter().any(|fault| fault.problem == RowProblem::UnclosedQuote) {
            return Err(EditError::Fixed { path: path(), reason: "a quoted cell of the table does not end" });
        }
        Ok(())
    }

    /// The line and, where one is addressed, the column from zero.
    fn resolve(&self, at: Place, steps: &[Step]) -> Result<(u32, Option<usize>), EditError> {
        let wrong = |expected| EditError::NoSuchStep { path: self.path(at, steps), expected };
        let fixed = || EditError::Fixed { path: self.path(at, steps), reason: "the header of the table" };
        self.check(|| self.path(at, steps))?;
        let mut steps_left = steps;
        let row = |node: NodeId| self.lines.of(node).ok_or(EditError::Gone);
        let mut column = None;
        let line = match at {
            Place::New(id) => {
                let line = self.made.get(id.0 as usize).copied().filter(|line| self.lines.is_there(*line));
                line.ok_or(EditError::Gone)?
            }
            Place::Node(node) => match self.tree.kind(node) {
                Kind::Row => row(node)?,
                Kind::Header => return Err(fixed()),
                Kind::Cell => {
                    let parent = self.tree.parent(node).ok_or(EditError::Gone)?;
                    if self.tree.kind(parent) == Kind::Header {
                        return Err(fixed());
                    }
                    column = self.tree.record(node).number.checked_sub(1).map(|n| n as usize);
                    row(parent)?
                }
                _ => {
                    let Some((Step::Row(number), rest)) = steps.split_first() else {
                        return Err(wrong("a row expected"));
                    };
                    steps_left = rest;
                    let node = self.tree.row(*number).ok_or_else(|| wrong("no such row: insert it first"))?;
                    if self.tree.kind(node) == Kind::Header {
                        return Err(fixed());
                    }
                    row(node)?
                }
            },
        };
        match steps_left {
            [] => {}
            [step] if column.is_none() => {
                let number = match step {
                    Step::Cell(name) => self.tree.column(name),
                    Step::Column(number) => Some(*number),
                    _ => return Err(wrong("a column expected")),
                };
                let width = self.found.columns.len();
                let index = number.and_then(|n| usize::from(n).checked_sub(1));
                let index = index.filter(|n| width == 0 || *n < width);
                column = Some(index.ok_or_else(|| wrong("a column of the table expected"))?);
            }
            _ => return Err(wrong("one column expected")),
        }
        Ok((line, column))
    }

    pub(crate) fn set(&mut self, at: Place, steps: &[Step], text: &str, ink: &mut Ink) -> Result<(), EditError> {
        let (line, column) = self.resolve(at, steps)?;
        let path = || self.path(at, steps);
        let column = column.ok_or_else(|| EditError::NoSuchStep { path: path(), expected: "a column expected" })?;
        let mut content = Vec::with_capacity(text.len() + 2);
        for c in text.chars() {
            if self.found.charset.push(c, &mut content) {
                continue;
            }
            match ink.replace(c, path) {
                Some(stand_in) => content.extend_from_slice(stand_in.as_bytes()),
                None => return Err(ink.lacks(c, path())),
            }
        }
        if let Some(fixed) = self.found.fixed.get(column) {
            if content.iter().any(|b| matches!(b, b'\r' | b'\n')) {
                return Err(EditError::Value {
                    path: path(),
                    reason: "a fixed-width table has no line breaks in cells",
                });
            }
            let limit = u32::from(fixed.width);
            let filled = fixed.filled(&content, self.found.charset);
            let filled = filled.ok_or_else(|| EditError::TooLong { path: path(), limit })?;
            let value = self.found.charset.decode(&content);
            if content.is_empty() {
                return self.empty(line, column);
            }
            if Some(fixed.text(self.found.charset.decode(&filled).unwrap_or_default())) != value {
                return Err(EditError::Value {
                    path: path(),
                    reason: "a value that ends in padding cannot be told from it",
                });
            }
            return self.put_fixed(line, column, filled);
        }
        let separator = self.found.separator;
        let special = |b: &u8| *b == separator || matches!(b, b'\r' | b'\n') || Some(*b) == self.found.quote;
        let must_quote = content.iter().any(special);
        let Some(quote) = self.found.quote else {
            if must_quote {
                return Err(EditError::NoSeparator { path: path(), what: "quote" });
            }
            return self.put(line, column, content);
        };
        let was_quoted = self.cell(line, column)?.is_some_and(|cell| cell.first() == Some(&quote));
        if must_quote || was_quoted {
            content = quoted(&content, quote);
        }
        self.put(line, column, content)
    }

    fn cells(&mut self, line: u32) -> Result<&mut Cells<'t>, EditError> {
        let found = self.found;
        let open = |raw: &'t [u8]| {
            if found.fixed.is_empty() {
                return open(raw, found.separator, found.quote);
            }
            let ends = fixed::ends(raw, &found.fixed, found.charset);
            let starts = std::iter::once(0).chain(ends.iter().copied());
            starts.zip(&ends).map(|(from, to)| Cow::Borrowed(raw.get(from..*to).unwrap_or_default())).collect()
        };
        self.lines.content(line, open).ok_or(EditError::Gone)
    }

    /// Puts a filled cell into a row, those before it filled up where the row had ended.
    fn put_fixed(&mut self, line: u32, column: usize, content: Vec<u8>) -> Result<(), EditError> {
        let found = self.found;
        for (cell, fixed) in self.cells(line)?.iter_mut().zip(&found.fixed).take(column) {
            let characters = fixed::characters(cell, found.charset);
            if characters < usize::from(fixed.width) {
                let missing = usize::from(fixed.width) - characters;
                cell.to_mut().extend(std::iter::repeat_n(b' ', missing));
            }
        }
        self.put(line, column, content)
    }

    fn cell(&mut self, line: u32, column: usize) -> Result<Option<&[u8]>, EditError> {
        Ok(self.cells(line)?.get(column).map(|cell| &**cell))
    }

    fn put(&mut self, line: u32, column: usize, content: Vec<u8>) -> Result<(), EditError> {
        let cells = self.cells(line)?;
        if cells.len() <= column {
            cells.resize_with(column + 1, || Cow::Borrowed(b""));
        }
        if let Some(cell) = cells.get_mut(column) {
            *cell = Cow::Owned(content);
        }
        Ok(())
    }

    fn empty(&mut self, line: u32, column: usize) -> Result<(), EditError> {
        let Some(fixed) = self.found.fixed.get(column) else { return self.put(line, column, Vec::new()) };
        if self.cell(line, column)?.is_none_or(<[u8]>::is_empty) {
            return Ok(());
        }
        self.put_fixed(line, column, vec![b' '; usize::from(fixed.width)])
    }

    pub(crate) fn clear(&mut self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        match self.resolve(at, steps)? {
            (line, Some(column)) => self.empty(line, column),
            (_, None) => {
                Err(EditError::NoSuchStep { path: self.path(at, steps), expected: "a row is removed, not cleared" })
            }
        }
    }

    pub(crate) fn null(&self, at: Place, steps: &[Step]) -> Result<(), EditError> {
        self.resolve(at, steps)?;
        Err(EditError::NoNull { path: self.path(at, steps) })
    }

    pub(crate) fn remove(&mut self, at: Place) -> Result<(), EditError> {
        match self.resolve(at, &[])? {
            (line, None) => self.lines.remove(line),
            (line, Some(column)) => self.empty(line, column)?,
        }
        Ok(())
    }

    pub(crate) fn insert_row(&mut self, anchor: Anchor<'_>) -> Result<NewId, EditError> {
        self.check(|| "row new".to_owned())?;
        let cells = vec![Cow::Borrowed(&b""[..]); self.found.columns.len()];
        let line = match anchor {
            Anchor::Last(Place::Node(NodeId::ROOT), []) => self.lines.append(cells),
            Anchor::Last(place, steps) => {
                return Err(EditError::NoSuchStep { path: self.path(place, steps), expected: "the table expected" });
            }
            Anchor::After(Place::Node(node)) if self.tree.kind(node) == Kind::Header => {
                let header = self.lines.of(node).ok_or(EditError::Gone)?;
                self.lines.insert(header, false, cells)
            }
            Anchor::Before(place) | Anchor::After(place) => {
                let (beside, column) = self.resolve(place, &[])?;
                if column.is_some() {
                    return Err(EditError::NoSuchStep { path: self.path(place, &[]), expected: "a row expected" });
                }
                self.lines.insert(beside, matches!(anchor, Anchor::Before(_)), cells)
            }
        };
        let id = NewId(u32::try_from(self.made.len()).unwrap_or(u32::MAX));
        self.made.push(line);
        Ok(id)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.lines.write(out, |cells, out| {
            if self.found.fixed.is_empty() {
                write_row(cells, self.found.separator, self.found.quote, out);
            } else {
                out.extend(cells.iter().flat_map(|cell| cell.iter().copied()));
            }
        });
    }
}

/// Writes a row. One that would be a blank line, and so no row, is written as a quoted empty cell.
pub(crate) fn write_row(cells: &[Cow<'_, [u8]>], separator: u8, quote: Option<u8>, out: &mut Vec<u8>) {
    if let ([cell], Some(quote)) = (cells, quote)
        && cell.is_empty()
    {
        out.extend_from_slice(&[quote, quote]);
        return;
    }
    for (n, cell) in cells.iter().enumerate() {
        if n > 0 {
            out.push(separator);
        }
        out.extend_from_slice(cell);
    }
}

pub(crate) fn quoted(content: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 2);
    out.push(quote);
    for byte in content {
        if *byte == quote {
            out.push(quote);
        }
        out.push(*byte);
    }
    out.push(quote);
    out
}

/// The cells of a row that the parser has accepted.
fn open(raw: &[u8], separator: u8, quote: Option<u8>) -> Cells<'_> {
    let mut cells = Vec::new();
    let mut start = 0;
    let (mut is_quoted, mut inside) = (false, false);
    for (at, byte) in raw.iter().enumerate() {
        if Some(*byte) == quote && (at == start || is_quoted) {
            // A doubled quote leaves and enters again.
            is_quoted = true;
            inside = !inside;
        } else if *byte == separator && !inside {
            cells.push(Cow::Borrowed(raw.get(start..at).unwrap_or_default()));
            start = at + 1;
            is_quoted = false;
        }
    }
    cells.push(Cow::Borrowed(raw.get(start..).unwrap_or_default()));
    cells
}
