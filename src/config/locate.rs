//! Places in a TOML text.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where the value of a key stands, by its dotted path; of its table where the key is not there.
pub(super) fn offset_of(text: &str, path: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == step) else { break };
        found = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Array(items) => {
                // A step into an array of tables is its index.
                let Some(item) = steps.next().and_then(|index| items.get(index.parse::<usize>().ok()?)) else { break };
                found = Some(Spanned::span(item).start);
                let DeValue::Table(inner) = item.get_ref() else { break };
                table = inner;
            }
            _ => break,
        }
    }
    found
}

/// Line and column, from 1, of a place in a text; columns count characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
