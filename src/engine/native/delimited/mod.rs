//! Delimited and fixed-width tables, dialect and encoding kept.
//!
//! Rows are numbered as a spreadsheet shows them: the header, where there is one, is row 1, and blank lines count. A row
//! that cannot be read is a [`RowFault`] and no node; its bytes are kept, and the other rows stand.

mod create;
mod edit;
mod fixed;
mod parse;

pub use create::create;
pub(crate) use edit::Sheet;
pub use fixed::{Align, FixedColumn};
pub use parse::parse;

use std::borrow::Cow;
use std::fmt;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::charset::Charset;
use super::error::RowFault;
use super::tree::{Kind, NodeId, Tree, Value};

/// How a table is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dialect {
    /// Between cells; an ASCII character.
    pub separator: char,
    /// Around cells that hold separators, quotes or line ends; doubled inside. None: cells are never quoted.
    pub quote: Option<char>,
    /// Whether the first row names the columns.
    pub header: bool,
    /// The columns' names where there is no header row.
    pub columns: Vec<String>,
    /// The columns of a fixed-width table, by place; separator and quote mean nothing then, and a header row is passed
    /// over. None: the table is delimited.
    pub fixed: Vec<FixedColumn>,
    /// The character set. A UTF-8 byte order mark is skipped.
    pub charset: Charset,
    /// What ends the rows of a new document.
    pub line_end: LineEnd,
}

impl Default for Dialect {
    /// RFC 4180: `,`, `"`, a header, UTF-8, CRLF.
    fn default() -> Self {
        Self {
            separator: ',',
            quote: Some('"'),
            header: true,
            columns: Vec::new(),
            fixed: Vec::new(),
            charset: Charset::Utf8,
            line_end: LineEnd::CrLf,
        }
    }
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    /// Carriage return, line feed.
    #[default]
    CrLf,
    /// Line feed.
    Lf,
    /// Carriage return.
    Cr,
}

impl LineEnd {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::CrLf => b"\r\n",
            Self::Lf => b"\n",
            Self::Cr => b"\r",
        }
    }
}

/// What was found out about a table.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) charset: Charset,
    pub(crate) separator: u8,
    pub(crate) quote: Option<u8>,
    pub(crate) line_end: LineEnd,
    pub(crate) columns: Vec<Box<str>>,
    pub(crate) fixed: Vec<FixedColumn>,
    pub(crate) index: FxHashMap<Box<str>, u16>,
    pub(crate) faults: Vec<RowFault>,
}

impl Tree {
    fn table(&self) -> Option<&Found> {
        match &self.dialect {
            super::tree::Dialect::Delimited(found) => Some(found),
            _ => None,
        }
    }

    /// Delimited: the rows below the header, in order.
    pub fn rows(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.children(NodeId::ROOT).filter(|node| self.kind(*node) == Kind::Row)
    }

    /// Delimited: the row of a number.
    #[must_use]
    pub fn row(&self, number: u32) -> Option<NodeId> {
        self.children(NodeId::ROOT)
            .find(|node| matches!(self.kind(*node), Kind::Row | Kind::Header) && self.record(*node).number == number)
    }

    /// Delimited: the names of the columns, by the header or the dialect.
    pub fn columns(&self) -> impl Iterator<Item = &str> + '_ {
        self.table().into_iter().flat_map(|found| found.columns.iter().map(|name| &**name))
    }

    /// Delimited: the number of the column of this name, from 1.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<u16> {
        self.table()?.index.get(name).copied()
    }

    /// Delimited: the cell of a row in the column of this name.
    #[must_use]
    pub fn cell(&self, row: NodeId, name: &str) -> Option<NodeId> {
        self.cell_at(row, self.column(name)?)
    }

    /// Delimited: the cell of a row in a column, from 1.
    #[must_use]
    pub fn cell_at(&self, row: NodeId, column: u16) -> Option<NodeId> {
        if !matches!(self.kind(row), Kind::Row | Kind::Header) || column == 0 {
            return None;
        }
        let cell = row.raw() + u32::from(column);
        (cell < self.record(row).after).then(|| NodeId::new(cell))
    }
}

pub(crate) fn column_name(tree: &Tree, cell: NodeId) -> Option<Cow<'_, str>> {
    let column = tree.record(cell).number.checked_sub(1)?;
    let name = tree.table()?.columns.get(column as usize)?;
    (!name.is_empty()).then_some(Cow::Borrowed(&**name))
}

pub(crate) fn value<'t>(tree: &'t Tree, found: &Found, node: NodeId) -> Value<'t> {
    if tree.kind(node) != Kind::Cell {
        return Value::Empty;
    }
    let raw = tree.raw(node);
    let column = tree.record(node).number.checked_sub(1).and_then(|n| found.fixed.get(n as usize));
    Value::of_text(match column {
        Some(column) => column.text(found.charset.decode(raw).unwrap_or_default()),
        None => decode(raw, found.quote, found.charset),
    })
}

/// The text of a cell as written.
pub(crate) fn decode(raw: &[u8], quote: Option<u8>, charset: Charset) -> Cow<'_, str> {
    let text = |bytes| charset.decode(bytes).unwrap_or_default();
    let Some(quote) = quote else { return text(raw) };
    let inner = match raw.strip_prefix(&[quote]) {
        Some(rest) => rest.strip_suffix(&[quote]).unwrap_or(rest),
        None => return text(raw),
    };
    let inner_text = text(inner);
    if memchr::memchr(quote, inner).is_none() {
        return inner_text;
    }
    let quote = char::from(quote);
    Cow::Owned(inner_text.replace(&format!("{quote}{quote}"), quote.encode_utf8(&mut [0; 4])))
}

pub(crate) fn write_path(tree: &Tree, node: NodeId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let record = tree.record(node);
    match record.kind {
        Kind::Cell => {
            let row = tree.parent(node).map_or(0, |row| tree.record(row).number);
            match column_name(tree, node) {
                Some(name) if !name.starts_with('#') => write!(f, "row {row}/{name}"),
                _ => write!(f, "row {row}/#{}", record.number),
            }
        }
        Kind::Row | Kind::Header => write!(f, "row {}", record.number),
        _ => f.write_str("table"),
    }
}
