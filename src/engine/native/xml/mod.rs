//! XML 1.0 documents with namespaces, comments, order and white space kept.
//!
//! No document type declaration is accepted, and so no entity but the five predefined ones. The character set is the
//! declaration's, UTF-8 without one. A run of text with its CDATA sections is one text node.

mod create;
mod edit;
mod element;
mod parse;
pub mod schema;
pub(crate) mod text;

pub use create::create;
pub(crate) use edit::Sheet;
pub use parse::parse;
pub use schema::{QName, XmlSchema};
pub(crate) use text::unwritable;

use std::borrow::Cow;
use std::fmt;

use super::charset::Charset;
use super::path::{Name, numbered};
use super::tree::{DECLARATION, Kind, NodeId, Tree, Value};

/// The namespace of `xsi:nil`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// The namespace of the prefix `xml`.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// What was found out about a document.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) charset: Charset,
    /// The URIs of the namespaces; number 0 is no namespace.
    pub(crate) namespaces: Vec<Box<str>>,
}

impl Found {
    fn uri(&self, number: u16) -> Option<&str> {
        self.namespaces.get(usize::from(number)).map(|uri| &**uri).filter(|uri| !uri.is_empty())
    }
}

/// An expanded name with its namespace looked up in one tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'n> {
    namespace: u16,
    local: &'n str,
}

impl Tree {
    pub(crate) fn xml_name<'n>(&self, name: &'n Name) -> Option<Known<'n>> {
        let super::tree::Dialect::Xml(found) = &self.dialect else { return None };
        let namespace = match name.namespace.as_deref() {
            None | Some("") => 0,
            Some(uri) => u16::try_from(found.namespaces.iter().position(|known| **known == *uri)?).ok()?,
        };
        Some(Known { namespace, local: &name.local })
    }

    pub(crate) fn is_named(&self, node: NodeId, kind: Kind, name: Known<'_>) -> bool {
        let record = self.record(node);
        record.kind == kind && record.namespace == name.namespace && local_bytes(self, node) == name.local.as_bytes()
    }

    /// XML: the name of an element or attribute without its prefix, as written.
    pub(crate) fn local_bytes(&self, node: NodeId) -> &[u8] {
        local_bytes(self, node)
    }

    /// XML: the name of an element or attribute, prefix included.
    #[must_use]
    pub fn qualified_name(&self, node: NodeId) -> Option<Cow<'_, str>> {
        matches!(self.kind(node), Kind::Element | Kind::Attribute)
            .then(|| self.charset().decode(qualified_bytes(self, node)))
            .flatten()
    }

    /// XML: the URI of the namespace of an element or attribute.
    #[must_use]
    pub fn namespace(&self, node: NodeId) -> Option<&str> {
        let super::tree::Dialect::Xml(found) = &self.dialect else { return None };
        found.uri(self.record(node).namespace)
    }

    /// XML: the top element.
    #[must_use]
    pub fn document_element(&self) -> Option<NodeId> {
        self.children(NodeId::ROOT).find(|node| self.kind(*node) == Kind::Element)
    }

    /// XML: the child elements of a name, in order.
    pub fn elements<'a>(&'a self, parent: NodeId, name: &'a Name) -> impl Iterator<Item = NodeId> + 'a {
        let known = self.xml_name(name);
        self.children(parent).filter(move |node| known.is_some_and(|known| self.is_named(*node, Kind::Element, known)))
    }

    /// XML: what stands between the tags of an element, as written.
    #[must_use]
    pub fn markup(&self, element: NodeId) -> Option<Cow<'_, str>> {
        if self.kind(element) != Kind::Element {
            return None;
        }
        let inner: Vec<NodeId> = self.children(element).filter(|child| self.kind(*child) != Kind::Attribute).collect();
        let (first, last) = (inner.first()?, inner.last()?);
        let bytes = self.bytes.get(self.span(*first).start..self.span(*last).end)?;
        self.charset().decode(bytes)
    }

    /// XML: an attribute of an element.
    #[must_use]
    pub fn attribute(&self, element: NodeId, name: &Name) -> Option<NodeId> {
        let known = self.xml_name(name)?;
        self.attributes(element).find(|node| self.is_named(*node, Kind::Attribute, known))
    }

    pub(crate) fn attributes(&self, element: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.children(element).take_while(|node| self.kind(*node) == Kind::Attribute)
    }
}

/// The name of an element or attribute, prefix included, as written.
pub(crate) fn qualified_bytes(tree: &Tree, node: NodeId) -> &[u8] {
    let raw = tree.raw(node);
    let raw = if tree.kind(node) == Kind::Element { raw.get(1..).unwrap_or_default() } else { raw };
    let end = raw.iter().position(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>' | b'='));
    raw.get(..end.unwrap_or(raw.len())).unwrap_or_default()
}

fn local_bytes(tree: &Tree, node: NodeId) -> &[u8] {
    let name = qualified_bytes(tree, node);
    match memchr::memchr(b':', name) {
        Some(colon) => name.get(colon + 1..).unwrap_or_default(),
        None => name,
    }
}

pub(crate) fn local_name(tree: &Tree, node: NodeId) -> Option<Cow<'_, str>> {
    tree.charset().decode(local_bytes(tree, node))
}

/// The text between the quotes of an attribute, as written.
pub(crate) fn attribute_bytes(tree: &Tree, node: NodeId) -> &[u8] {
    let raw = tree.raw(node);
    let open = memchr::memchr2(b'"', b'\'', raw).unwrap_or(raw.len());
    raw.get(open + 1..raw.len().saturating_sub(1)).unwrap_or_default()
}

pub(crate) fn value<'t>(tree: &'t Tree, found: &Found, node: NodeId) -> Value<'t> {
    match tree.kind(node) {
        Kind::Attribute => Value::of_text(text::decode_attribute(attribute_bytes(tree, node), found.charset)),
        Kind::Text => Value::of_text(text::decode(tree.raw(node), found.charset)),
        Kind::Element => element_value(tree, found, node),
        _ => Value::Empty,
    }
}

fn element_value<'t>(tree: &'t Tree, found: &Found, node: NodeId) -> Value<'t> {
    let mut texts = tree.children(node).filter(|child| tree.kind(*child) == Kind::Text && tree.leaf(*child).is_some());
    let Some(first) = texts.next() else {
        let nil = tree.attributes(node).any(|attribute| {
            found.uri(tree.record(attribute).namespace) == Some(XSI)
                && local_bytes(tree, attribute) == b"nil"
                && matches!(attribute_bytes(tree, attribute), b"true" | b"1")
        });
        return if nil { Value::Null } else { Value::Empty };
    };
    let mut text = text::decode(tree.raw(first), found.charset);
    for more in texts {
        text.to_mut().push_str(&text::decode(tree.raw(more), found.charset));
    }
    Value::of_text(text)
}

pub(crate) fn write_path(tree: &Tree, node: NodeId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut line = vec![node];
    let mut at = node;
    while let Some(parent) = tree.parent(at) {
        line.push(parent);
        at = parent;
    }
    if line.len() == 1 {
        return f.write_str("/");
    }
    for node in line.into_iter().rev().skip(1) {
        let record = tree.record(node);
        match record.kind {
            Kind::Element => {
                let name = tree.charset().decode(qualified_bytes(tree, node)).unwrap_or_default();
                write!(f, "/{name}[{}]", record.number)?;
            }
            Kind::Attribute => {
                let name = tree.charset().decode(qualified_bytes(tree, node)).unwrap_or_default();
                write!(f, "/@{name}")?;
            }
            Kind::Text => write!(f, "/text()[{}]", record.number)?,
            _ => f.write_str("/comment()")?,
        }
    }
    Ok(())
}

pub(crate) fn locate(tree: &Tree, path: &str) -> Option<NodeId> {
    let path = path.strip_prefix('/')?;
    let mut at = NodeId::ROOT;
    for step in path.split('/').filter(|step| !step.is_empty()) {
        let matches_name = |node: NodeId, name: &str| {
            tree.charset().decode(qualified_bytes(tree, node)).is_some_and(|own| own == name)
        };
        at = if let Some(name) = step.strip_prefix('@') {
            tree.attributes(at).find(|node| matches_name(*node, name))?
        } else {
            let (name, number) = numbered(step)?;
            let number = number.unwrap_or(1);
            tree.children(at).find(|node| {
                let record = tree.record(*node);
                record.number == number
                    && match record.kind {
                        Kind::Text => name == "text()",
                        Kind::Element => matches_name(*node, name),
                        _ => false,
                    }
            })?
        };
    }
    Some(at)
}

/// Whether the attribute declares a namespace.
pub(crate) fn is_declaration(tree: &Tree, attribute: NodeId) -> bool {
    tree.record(attribute).flags & DECLARATION != 0
}
