//! Fixed-width tables: a cell is so many characters, filled up with padding.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::charset::Charset;

/// A column of a fixed-width table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedColumn {
    /// The name.
    pub name: String,
    /// Characters in the row.
    pub width: u16,
    /// Where the value stands among the padding.
    #[serde(default)]
    pub align: Align,
    /// What fills the cell up. A cell of spaces is empty; one of nothing but other padding is one such character (`000`
    /// padded by `0` is `0`).
    #[serde(default = "space")]
    pub pad: char,
}

const fn space() -> char {
    ' '
}

/// Where a value stands in its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// At the left, as texts do.
    #[default]
    Left,
    /// At the right, as numbers do.
    Right,
}

impl FixedColumn {
    /// The value in the text of a cell.
    pub(super) fn text<'t>(&self, cell: Cow<'t, str>) -> Cow<'t, str> {
        let trim = |text: &str| {
            let rest = match self.align {
                Align::Left => text.trim_end_matches(self.pad),
                Align::Right => text.trim_start_matches(self.pad),
            };
            let from = match self.align {
                Align::Left => 0,
                Align::Right => text.len() - rest.len(),
            };
            if text.bytes().all(|b| b == b' ') {
                return 0..0;
            }
            if rest.is_empty() && self.pad != ' ' && !text.is_empty() {
                return 0..self.pad.len_utf8();
            }
            from..from + rest.len()
        };
        match cell {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(trim(text)).unwrap_or_default()),
            Cow::Owned(text) => Cow::Owned(text.get(trim(&text)).unwrap_or_default().to_owned()),
        }
    }

    /// Fills the bytes of a value up to the width; `None` where they are more characters than that.
    pub(super) fn filled(&self, value: &[u8], charset: Charset) -> Option<Vec<u8>> {
        let missing = usize::from(self.width).checked_sub(characters(value, charset))?;
        let mut pad = Vec::new();
        if !charset.push(self.pad, &mut pad) {
            pad = b" ".to_vec();
        }
        let pad = pad.repeat(missing);
        Some(match self.align {
            Align::Left => [value, &pad].concat(),
            Align::Right => [&pad, value].concat(),
        })
    }
}

/// How many characters some valid bytes are.
pub(super) fn characters(bytes: &[u8], charset: Charset) -> usize {
    match charset {
        Charset::Utf8 => bytes.iter().filter(|b| **b & 0xC0 != 0x80).count(),
        _ => bytes.len(),
    }
}

/// Where the cells of a row end, in bytes from its start. A row may end early; what is beyond the last column is not counted.
pub(super) fn ends(row: &[u8], columns: &[FixedColumn], charset: Charset) -> Vec<usize> {
    let mut ends = Vec::with_capacity(columns.len());
    let mut at = 0;
    for column in columns {
        let rest = row.get(at..).unwrap_or_default();
        let width = usize::from(column.width);
        at += match charset {
            Charset::Utf8 => {
                let mut starts = rest.iter().enumerate().filter(|(_, b)| **b & 0xC0 != 0x80);
                starts.nth(width).map_or(rest.len(), |(n, _)| n)
            }
            _ => width.min(rest.len()),
        };
        ends.push(at);
    }
    ends
}
