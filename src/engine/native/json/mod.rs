//! JSON documents of providers (RFC 8259), kept byte for byte where untouched.
//!
//! Strict: UTF-8, no duplicate member names, no lone surrogates, nothing after the value. Numbers are their text.

mod create;
mod edit;
mod parse;
pub(crate) mod text;

pub use create::create;
pub(crate) use edit::Sheet;
pub use parse::parse;
pub(crate) use text::{encode, is_number};

use std::borrow::Cow;

use super::tree::{ITEM, Kind, MEMBER, NodeId, PLAIN, Record, Tree, Value};

impl Tree {
    /// JSON: the member of an object.
    #[must_use]
    pub fn member(&self, object: NodeId, name: &str) -> Option<NodeId> {
        if self.kind(object) != Kind::Object {
            return None;
        }
        self.children(object).find(|child| is_member_named(self, self.record(*child), name))
    }

    /// JSON: item `index` of an array, from 0.
    #[must_use]
    pub fn item(&self, array: NodeId, index: u32) -> Option<NodeId> {
        if self.kind(array) != Kind::Array {
            return None;
        }
        self.children(array).nth(index as usize)
    }

    /// JSON: the items of an array.
    pub fn items(&self, array: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.children(array).filter(|child| self.record(*child).flags & ITEM != 0)
    }
}

/// The text between the quotes of the member's name, as written.
fn raw_name<'t>(tree: &'t Tree, record: &Record) -> Option<&'t [u8]> {
    let rest = tree.bytes.get(record.number as usize + 1..)?;
    let mut at = 0;
    loop {
        match rest.get(at)? {
            b'"' => return rest.get(..at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn is_member_named(tree: &Tree, record: &Record, name: &str) -> bool {
    if record.flags & PLAIN != 0 {
        let rest = tree.bytes.get(record.number as usize + 1..).unwrap_or_default();
        let same = rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'"'));
        same && !name.contains('"')
    } else {
        member_name(tree, record).is_some_and(|own| own == name)
    }
}

pub(crate) fn member_name<'t>(tree: &'t Tree, record: &Record) -> Option<Cow<'t, str>> {
    debug_assert!(record.flags & MEMBER != 0, "only members have names");
    raw_name(tree, record).map(text::decode)
}

pub(crate) fn value(tree: &Tree, node: NodeId) -> Value<'_> {
    let raw = tree.raw(node);
    match tree.kind(node) {
        Kind::String => {
            let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
            Value::of_text(text::decode(inner))
        }
        Kind::Number | Kind::Boolean => {
            std::str::from_utf8(raw).map_or(Value::Empty, |t| Value::Text(Cow::Borrowed(t)))
        }
        Kind::Null => Value::Null,
        _ => Value::Empty,
    }
}
