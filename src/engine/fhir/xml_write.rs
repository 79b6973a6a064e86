//! A document as XML (<http://hl7.org/fhir/R4/xml.html>).

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::fault::Fault;

use super::document::Document;
use super::node::Node;

/// Why a document cannot be written as XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// A narrative that is not well-formed.
    #[error("{path}: the narrative is not well-formed XHTML")]
    Narrative {
        /// Where.
        path: String,
    },
    /// A character that XML 1.0 does not have.
    #[error("{path}: a character that XML 1.0 cannot carry")]
    Character {
        /// Where.
        path: String,
    },
    /// An element name that is no XML name.
    #[error("{path}: a name that is no XML name")]
    Name {
        /// Where.
        path: String,
    },
}

impl XmlError {
    /// Which answer it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::NotAcceptable
    }
}

pub(super) fn write(document: &Document) -> Result<String, XmlError> {
    let mut out = String::with_capacity(document.json().len() * 2);
    let root = document.root();
    let name = resource_name(root);
    out.push('<');
    push_name(name, root, &mut out)?;
    out.push_str(" xmlns=\"http://hl7.org/fhir\"");
    content(root, name, &mut out)?;
    Ok(out)
}

fn resource_name(node: Node<'_>) -> &str {
    if node.type_name().is_empty() { node.text_at("resourceType").unwrap_or("Resource") } else { node.type_name() }
}

fn push_name(name: &str, node: Node<'_>, out: &mut String) -> Result<(), XmlError> {
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'));
    if !is_name {
        return Err(XmlError::Name { path: node.path().to_string() });
    }
    out.push_str(name);
    Ok(())
}

/// The children of a node in the order of its type; those it does not know come last.
fn ordered(node: Node<'_>) -> Vec<(u32, Node<'_>)> {
    let mut children: Vec<(u32, Node<'_>)> =
        node.children().map(|child| (child.element().map_or(u32::MAX, |element| element.order()), child)).collect();
    children.sort_by_key(|(order, _)| *order);
    children
}

/// After `<name`: attributes, children, end. The depth of a document is bounded when it is read.
fn content(node: Node<'_>, name: &str, out: &mut String) -> Result<(), XmlError> {
    let children = ordered(node);
    for (_, child) in &children {
        if child.element().is_some_and(|element| element.is_attribute())
            && let Some(value) = child.text()
        {
            attribute(child.name(), value, *child, out)?;
        }
    }
    if let Some(value) = node.text() {
        attribute("value", value, node, out)?;
    }
    let start = out.len();
    out.push('>');
    for (_, child) in children {
        if !child.element().is_some_and(|element| element.is_attribute()) {
            element(child, out)?;
        }
    }
    if out.len() == start + 1 {
        out.truncate(start);
        out.push_str("/>");
        return Ok(());
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
    Ok(())
}

fn element(node: Node<'_>, out: &mut String) -> Result<(), XmlError> {
    if node.type_name() == "xhtml" {
        return narrative(node, out);
    }
    let name = node.name();
    out.push('<');
    push_name(name, node, out)?;
    if !node.is_resource() {
        return content(node, name, out);
    }
    let inner = resource_name(node);
    out.push_str("><");
    push_name(inner, node, out)?;
    content(node, inner, out)?;
    out.push_str("</");
    out.push_str(name);
    out.push('>');
    Ok(())
}

fn narrative(node: Node<'_>, out: &mut String) -> Result<(), XmlError> {
    let Some(text) = node.text() else { return Ok(()) };
    let fault = || XmlError::Narrative { path: node.path().to_string() };
    let mut reader = Reader::from_str(text);
    let (mut depth, mut roots) = (0_usize, 0_usize);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(Event::Start(start)) => {
                roots += usize::from(depth == 0);
                depth += 1;
                if start.attributes().any(|attribute| attribute.is_err()) {
                    return Err(fault());
                }
            }
            Ok(Event::Empty(_)) => roots += usize::from(depth == 0),
            Ok(Event::End(_)) => depth = depth.checked_sub(1).ok_or_else(fault)?,
            Ok(Event::Text(text)) if depth == 0 && text.chars().any(|letter| !letter.is_ascii_whitespace()) => {
                return Err(fault());
            }
            Ok(Event::DocType(_)) | Err(_) => return Err(fault()),
            Ok(_) => {}
        }
    }
    if depth != 0 || roots != 1 {
        return Err(fault());
    }
    if !text.chars().all(is_xml) {
        return Err(XmlError::Character { path: node.path().to_string() });
    }
    out.push_str(text.trim());
    Ok(())
}

fn is_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn attribute(name: &str, value: &str, node: Node<'_>, out: &mut String) -> Result<(), XmlError> {
    out.push(' ');
    push_name(name, node, out)?;
    out.push_str("=\"");
    for letter in value.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            // An attribute's white space is normalised unless it is written as references.
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            other if is_xml(other) => out.push(other),
            _ => return Err(XmlError::Character { path: node.path().to_string() }),
        }
    }
    out.push('"');
    Ok(())
}
