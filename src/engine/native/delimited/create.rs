//! A table to begin with.

use std::borrow::Cow;

use super::super::Limits;
use super::super::charset::CharacterClass;
use super::super::error::EditError;
use super::super::tree::Tree;
use super::edit::{quoted, write_row};
use super::{Dialect, parse};

/// A table without rows: the header, where the dialect has one, names these columns. A fixed-width table has its own
/// columns, and no header.
///
/// # Errors
/// [`EditError`] where a name cannot be written in the dialect, or two are the same.
pub fn create(dialect: &Dialect, columns: &[&str]) -> Result<Tree, EditError> {
    let mut dialect = dialect.clone();
    let path = |name: &str| format!("row 1/{name}");
    let unusable = |reason| EditError::Value { path: "row 1".to_owned(), reason };
    let ascii = |c: char| u8::try_from(c).ok().filter(u8::is_ascii);
    let separator = ascii(dialect.separator).ok_or_else(|| unusable("the separator is no ASCII character"))?;
    let quote = dialect.quote.and_then(ascii);
    let mut bytes = Vec::new();
    if !dialect.fixed.is_empty() {
        dialect.header = false;
    } else if dialect.header {
        let mut cells = Vec::with_capacity(columns.len());
        for name in columns {
            let mut content = Vec::with_capacity(name.len());
            for c in name.chars() {
                if !dialect.charset.push(c, &mut content) {
                    let (class, charset) = (CharacterClass::of(c), dialect.charset);
                    return Err(EditError::Character { path: path(name), class, charset });
                }
            }
            let special = |b: &u8| *b == separator || matches!(b, b'\r' | b'\n') || Some(*b) == quote;
            if content.iter().any(special) {
                let quote = quote.ok_or_else(|| EditError::NoSeparator { path: path(name), what: "quote" })?;
                content = quoted(&content, quote);
            }
            cells.push(Cow::Owned(content));
        }
        write_row(&cells, separator, quote, &mut bytes);
        bytes.extend_from_slice(dialect.line_end.bytes());
    } else {
        dialect.columns = columns.iter().map(|name| (*name).to_owned()).collect();
    }
    parse(bytes, &dialect, &Limits::default()).map_err(|_| unusable("columns with different names expected"))
}
