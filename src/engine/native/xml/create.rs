//! A document to begin with.

use super::super::Limits;
use super::super::error::SyntaxError;
use super::super::path::Name;
use super::super::tree::Tree;
use super::{parse, text};
use crate::native::charset::Charset;

/// A document in UTF-8 of one empty element, whose namespace is the default one, with declarations of prefixes.
///
/// # Errors
/// [`SyntaxError`] where the local name is no XML name.
pub fn create(root: &Name, prefixes: &[(Box<str>, Box<str>)]) -> Result<Tree, SyntaxError> {
    let mut bytes = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<".to_vec();
    bytes.extend_from_slice(root.local.as_bytes());
    if let Some(uri) = root.namespace.as_deref().filter(|uri| !uri.is_empty()) {
        bytes.extend_from_slice(b" xmlns=\"");
        text::encode(uri, Some(b'"'), Charset::Utf8, &mut bytes);
        bytes.push(b'"');
    }
    for (prefix, uri) in prefixes {
        bytes.extend_from_slice(b" xmlns:");
        bytes.extend_from_slice(prefix.as_bytes());
        bytes.extend_from_slice(b"=\"");
        text::encode(uri, Some(b'"'), Charset::Utf8, &mut bytes);
        bytes.push(b'"');
    }
    bytes.extend_from_slice(b"/>\n");
    parse(bytes, &Limits::default())
}
