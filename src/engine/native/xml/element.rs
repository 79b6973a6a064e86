//! An element taken apart: its tags as they are written, its attributes, the places of its content.

use std::borrow::Cow;

use super::super::charset::Charset;
use super::super::path::Name;
use super::super::tree::{NodeId, Tree};
use super::{qualified_bytes, text};

/// An element under change.
#[derive(Debug)]
pub(super) struct Element<'t> {
    /// The node that it was; none for a new one.
    pub(super) node: Option<NodeId>,
    pub(super) new_name: Option<Name>,
    /// `<name`.
    start: Cow<'t, [u8]>,
    pub(super) attributes: Vec<Attribute<'t>>,
    /// White space before the end of the start tag.
    tail: &'t [u8],
    /// Written `<name/>` as long as it has no content.
    empty: bool,
    /// The end tag.
    pub(super) end: Cow<'t, [u8]>,
    /// The slots of its content.
    pub(super) children: Vec<u32>,
}

/// An attribute under change.
#[derive(Debug)]
pub(super) struct Attribute<'t> {
    pub(super) node: Option<NodeId>,
    pub(super) new_name: Option<Name>,
    /// White space, name, `=`, opening quote.
    before: Cow<'t, [u8]>,
    value: Cow<'t, [u8]>,
    quote: u8,
}

impl<'t> Element<'t> {
    /// Takes the tags of a node apart; its content is for the caller.
    pub(super) fn open(tree: &'t Tree, node: NodeId) -> Self {
        let span = tree.span(node);
        let bytes = |from: usize, to: usize| tree.bytes().get(from..to).unwrap_or_default();
        let name = qualified_bytes(tree, node);
        let mut at = span.start + 1 + name.len();
        let start = bytes(span.start, at);
        let mut attributes = Vec::new();
        for attribute in tree.attributes(node) {
            let own = tree.span(attribute);
            let raw = bytes(own.start, own.end);
            let quote = raw.last().copied().unwrap_or(b'"');
            let open = memchr::memchr(quote, raw).map_or(own.end, |open| own.start + open + 1);
            attributes.push(Attribute {
                node: Some(attribute),
                new_name: None,
                before: Cow::Borrowed(bytes(at, open)),
                value: Cow::Borrowed(bytes(open, own.end.saturating_sub(1))),
                quote,
            });
            at = own.end;
        }
        let rest = bytes(at, span.end);
        let close = memchr::memchr(b'>', rest).unwrap_or(rest.len());
        let tail = rest.get(..close).unwrap_or_default();
        let empty = tail.ends_with(b"/");
        let tail = tail.strip_suffix(b"/").unwrap_or(tail);
        let end = if empty {
            Cow::Owned([b"</", name, b">"].concat())
        } else {
            let raw = tree.raw(node);
            Cow::Borrowed(memchr::memrchr(b'<', raw).and_then(|from| raw.get(from..)).unwrap_or_default())
        };
        let start = Cow::Borrowed(start);
        Self { node: Some(node), new_name: None, start, attributes, tail, empty, end, children: Vec::new() }
    }

    /// A new element without content.
    pub(super) fn new(name: Name, qualified: String, declaration: Option<String>) -> Self {
        Self {
            node: None,
            new_name: Some(name),
            start: Cow::Owned(format!("<{qualified}").into_bytes()),
            attributes: declaration.map(Attribute::declaring).into_iter().collect(),
            tail: b"",
            empty: true,
            end: Cow::Owned(format!("</{qualified}>").into_bytes()),
            children: Vec::new(),
        }
    }

    /// Writes the start tag; tells whether content and end tag follow.
    pub(super) fn write_start(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.start);
        for attribute in &self.attributes {
            out.extend_from_slice(&attribute.before);
            out.extend_from_slice(&attribute.value);
            out.push(attribute.quote);
        }
        if self.empty && self.children.is_empty() {
            out.extend_from_slice(self.tail);
            out.extend_from_slice(b"/>");
            return false;
        }
        if !self.empty {
            out.extend_from_slice(self.tail);
        }
        out.push(b'>');
        true
    }
}

impl Attribute<'_> {
    pub(super) fn new(name: Name, qualified: &str, value: &str, charset: Charset) -> Self {
        let mut bytes = Vec::with_capacity(value.len());
        text::encode(value, Some(b'"'), charset, &mut bytes);
        let before = Cow::Owned(format!(" {qualified}=\"").into_bytes());
        Self { node: None, new_name: Some(name), before, value: Cow::Owned(bytes), quote: b'"' }
    }

    /// A namespace declaration, written `xmlns:p="uri"`.
    pub(super) fn declaring(text: String) -> Self {
        let (before, value) = text.split_once('"').unwrap_or((&text, ""));
        let before = Cow::Owned(format!(" {before}\"").into_bytes());
        let value = Cow::Owned(value.trim_end_matches('"').as_bytes().to_vec());
        Self { node: None, new_name: None, before, value, quote: b'"' }
    }

    pub(super) fn set(&mut self, value: &str, charset: Charset) {
        let mut bytes = Vec::with_capacity(value.len());
        text::encode(value, Some(self.quote), charset, &mut bytes);
        self.value = Cow::Owned(bytes);
    }

    /// Whether it has another value than it had.
    pub(super) const fn is_changed(&self) -> bool {
        matches!(self.value, Cow::Owned(_))
    }

    /// The prefix and URI, where it declares a namespace.
    pub(super) fn declaration(&self, charset: Charset) -> Option<(String, String)> {
        let name = self.before.trim_ascii_start();
        let end = name.iter().position(|b| matches!(b, b'=' | b' ' | b'\t' | b'\r' | b'\n'))?;
        let name = name.get(..end)?;
        let prefix = match name.strip_prefix(b"xmlns")? {
            b"" => b"",
            rest => rest.strip_prefix(b":")?,
        };
        let uri = text::decode_attribute(&self.value, charset).into_owned();
        Some((charset.decode(prefix)?.into_owned(), uri))
    }
}

/// White space with a line break: what puts an element on a line of its own.
pub(super) fn is_blank_line(raw: &[u8]) -> bool {
    memchr::memchr(b'\n', raw).is_some() && raw.iter().all(u8::is_ascii_whitespace)
}
