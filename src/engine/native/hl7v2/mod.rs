//! HL7 v2 in its delimited encoding: messages, segments, fields; the tables of each version.
//!
//! The separators are the message's own (MSH-1, MSH-2; HL7 v2.9 chapter 2, section 2.5.4). A separator that MSH-2 does
//! not give is not in use: its character is text. CR, LF and CRLF each end a segment, blank lines and a byte order
//! mark are kept and mean nothing. The character set is MSH-18's; where that is empty, that of a UTF-8 byte order
//! mark, else the one in [`Options`].

pub mod acknowledgement;
mod batch;
mod create;
mod edit;
mod escape;
mod file;
mod header;
mod navigate;
mod parse;
pub mod schema;
mod segment;

pub use batch::{Part, Parts, is_batch};
pub use create::create;
pub(crate) use edit::Sheet;
pub use file::messages;
pub use header::Header;
pub use navigate::{Repetitions, Segments};
use parse::ESCAPED;
pub use parse::parse;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::charset::Charset;
use super::tree::{NodeId, PLAIN, Tree, Value};

/// What a sender has declared beside the message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The character set of messages whose MSH-18 is empty.
    pub charset: Charset,
}

/// The separators of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    /// Between fields: MSH-1.
    pub field: u8,
    /// Between components: the first character of MSH-2.
    pub component: u8,
    /// Between repetitions: the second.
    pub repetition: Option<u8>,
    /// Around escapes: the third.
    pub escape: Option<u8>,
    /// Between subcomponents: the fourth.
    pub subcomponent: Option<u8>,
    /// At the end of a truncated value: the fifth, from version 2.7.
    pub truncation: Option<u8>,
}

impl Default for Separators {
    /// `|` and `^~\&`.
    fn default() -> Self {
        Self {
            field: b'|',
            component: b'^',
            repetition: Some(b'~'),
            escape: Some(b'\\'),
            subcomponent: Some(b'&'),
            truncation: None,
        }
    }
}

impl Separators {
    /// The separators given by the byte after `MSH` and by MSH-2.
    ///
    /// # Errors
    /// What is wrong with them: each is one printable ASCII character, no letter, digit or space, and all differ.
    pub fn new(field: u8, encoding: &[u8]) -> Result<Self, &'static str> {
        let mut all = vec![field];
        all.extend_from_slice(encoding);
        if encoding.is_empty() {
            return Err("MSH-2 is empty");
        }
        if encoding.len() > 5 {
            return Err("MSH-2 has more than five characters");
        }
        if !all.iter().all(u8::is_ascii_punctuation) {
            return Err("a separator is a punctuation character");
        }
        if (1..all.len()).any(|n| all.get(..n).is_some_and(|before| all.get(n).is_some_and(|s| before.contains(s)))) {
            return Err("two separators are the same character");
        }
        let at = |n: usize| encoding.get(n).copied();
        let Some(component) = at(0) else { return Err("MSH-2 is empty") };
        Ok(Self { field, component, repetition: at(1), escape: at(2), subcomponent: at(3), truncation: at(4) })
    }

    /// MSH-2.
    #[must_use]
    pub fn encoding(&self) -> Vec<u8> {
        [Some(self.component), self.repetition, self.escape, self.subcomponent, self.truncation]
            .into_iter()
            .map_while(|s| s)
            .collect()
    }
}

/// What was found out about a message's own way of writing.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) charset: Charset,
    pub(crate) separators: Separators,
}

impl Tree {
    /// HL7 v2: the separators of the message.
    #[must_use]
    pub const fn separators(&self) -> Option<Separators> {
        match &self.dialect {
            super::tree::Dialect::Hl7V2(found) => Some(found.separators),
            _ => None,
        }
    }
}

pub(crate) fn value<'t>(tree: &'t Tree, found: &Found, node: NodeId) -> Value<'t> {
    let Some(node) = tree.first_leaf(node) else { return Value::Empty };
    let record = tree.record(node);
    let range = record.start as usize..record.end as usize;
    let is_plain = record.flags & (PLAIN | ESCAPED) != ESCAPED;
    if is_plain && let Some(text) = tree.bytes.text(range.clone()) {
        return match text {
            "" => Value::Empty,
            "\"\"" => Value::Null,
            text => Value::Text(Cow::Borrowed(text)),
        };
    }
    let raw = tree.bytes.get(range).unwrap_or_default();
    match raw {
        [] => Value::Empty,
        b"\"\"" => Value::Null,
        _ if is_plain => found.charset.decode(raw).map_or(Value::Empty, Value::of_text),
        _ => Value::of_text(escape::decode(raw, &found.separators, found.charset)),
    }
}

pub(crate) fn segment_name(tree: &Tree, node: NodeId) -> Option<&str> {
    std::str::from_utf8(tree.raw(node).get(..3)?).ok()
}
