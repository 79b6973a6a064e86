//! XML changed from what it said to what it is to say: what stays the same stays as it is written.

use crate::native::xml::unwritable;
use crate::native::{Anchor, Edit, EditError, Insert, Limits, Name, NodeId, Place, Step, Syntax};

use super::super::versions::merge::alignment;
use super::item::{Content, Item};
use super::shape::Form;

/// Changes an element that is there.
pub(super) fn merge(edit: &mut Edit<'_>, form: &Form<'_>, old: &Item, new: &Item) -> Result<(), EditError> {
    let Some(node) = old.node else { return Ok(()) };
    for attribute in &new.attributes {
        let was = old.attribute(&attribute.name);
        if was.is_some_and(|was| was.value == attribute.value) {
            continue;
        }
        match was.and_then(|was| was.node) {
            Some(place) => edit.set(place, &[], attribute.value.as_str())?,
            None => edit.set(node, &[Step::Attribute(Name::local(&attribute.name))], attribute.value.as_str())?,
        }
    }
    for attribute in old.attributes.iter().filter(|a| new.attribute(&a.name).is_none()) {
        edit.clear(node, &[Step::Attribute(Name::local(&attribute.name))])?;
    }
    let (old, new) = (old.items(), new.items());
    if old != new { children(edit, form, node, old, new) } else { Ok(()) }
}

fn children(edit: &mut Edit<'_>, form: &Form<'_>, parent: NodeId, old: &[Item], new: &[Item]) -> Result<(), EditError> {
    let tree = edit.tree();
    let prefix = tree.qualified_name(parent).and_then(|n| n.split_once(':').map(|(p, _)| format!("{p}:")));
    let prefix = prefix.unwrap_or_default();
    let mut names: Vec<(usize, &str)> = Vec::new();
    for item in old.iter().chain(new) {
        names.push((item.place, item.name.as_str()));
    }
    names.sort_by_key(|(place, _)| *place);
    names.dedup();
    let mut seen: Vec<&str> = Vec::new();
    let mut before: Option<Place> = None;
    let mut gone: Vec<NodeId> = Vec::new();
    for (_, name) in names {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let olds: Vec<&Item> = old.iter().filter(|i| i.name == name).collect();
        let news: Vec<&Item> = new.iter().filter(|i| i.name == name).collect();
        let from = alignment(&olds, &news, |a, b| likeness(a, b));
        // What is gone is taken out; what was moved is taken out and put in again as it was.
        let mut last = None;
        let mut stays: Vec<bool> = vec![false; olds.len()];
        for (item, at) in news.iter().zip(&from) {
            let was = at.and_then(|at| Some((at, *olds.get(at)?)));
            if let Some((at, was)) = was
                && last.is_none_or(|last| at > last)
                && is_kept(was, item)
                && let (Some(node), Some(stay)) = (was.node, stays.get_mut(at))
            {
                last = Some(at);
                *stay = true;
                merge(edit, form, was, item)?;
                before = Some(Place::Node(node));
                continue;
            }
            let moved = was.filter(|(_, was)| was == item).and_then(|(_, was)| was.node);
            let text = match moved.and_then(|node| tree.charset().decode(tree.raw(node))) {
                Some(raw) => raw.into_owned(),
                None => {
                    let mut text = String::new();
                    render(item, &prefix, None, None, &mut text)?;
                    text
                }
            };
            let anchor = match (before, old.iter().find_map(|i| i.node)) {
                (Some(place), _) => Anchor::After(place),
                (None, Some(first)) => Anchor::Before(Place::Node(first)),
                (None, None) => Anchor::Last(Place::Node(parent), &[]),
            };
            before = Some(edit.insert(anchor, Insert::Markup(&text))?);
        }
        gone.extend(olds.iter().zip(stays).filter(|(_, stays)| !stays).filter_map(|(item, _)| item.node));
    }
    for node in gone {
        edit.remove(node)?;
    }
    Ok(())
}

/// Whether an element can become another without being written anew.
fn is_kept(old: &Item, new: &Item) -> bool {
    match (&old.content, &new.content) {
        (Content::Items(a), Content::Items(b)) => {
            // A resource of another type is another element.
            !(a.len() == 1
                && b.len() == 1
                && a.iter().zip(b).any(|(a, b)| a.name != b.name && is_type(a) && is_type(b)))
        }
        (Content::Markup(a), Content::Markup(b)) => a == b,
        _ => false,
    }
}

fn is_type(item: &Item) -> bool {
    item.name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// How much two elements have in common.
fn likeness(a: &Item, b: &Item) -> usize {
    let attributes = a.attributes.iter().filter(|x| b.attribute(&x.name).is_some_and(|y| x.value == y.value)).count();
    let (mut left, right) = (a.items().iter(), b.items());
    let mut same = attributes;
    let mut at = 0;
    while let Some(item) = left.next().filter(|_| at < right.len()) {
        let Some(found) = right.iter().skip(at).position(|o| o.name == item.name) else { continue };
        if let Some(other) = right.get(at + found) {
            same += likeness(item, other);
        }
        at += found + 1;
    }
    same
}

/// Writes an element; on lines of their own where a depth is given.
pub(super) fn render(
    item: &Item,
    prefix: &str,
    namespace: Option<&str>,
    depth: Option<usize>,
    out: &mut String,
) -> Result<(), EditError> {
    let refuse = |reason| EditError::Value { path: item.name.clone(), reason };
    if let Content::Markup(text) = &item.content {
        out.push_str(&standing_alone(text).ok_or_else(|| refuse("markup that is well-formed XML"))?);
        return Ok(());
    }
    out.push('<');
    out.push_str(prefix);
    out.push_str(&item.name);
    if let Some(uri) = namespace.filter(|uri| !uri.is_empty()) {
        out.push_str(" xmlns=\"");
        escape(uri, out);
        out.push('"');
    }
    for attribute in &item.attributes {
        if unwritable(&attribute.value).is_some() {
            return Err(refuse("characters that XML has"));
        }
        out.push(' ');
        out.push_str(&attribute.name);
        out.push_str("=\"");
        escape(&attribute.value, out);
        out.push('"');
    }
    let items = item.items();
    if items.is_empty() {
        out.push_str("/>");
        return Ok(());
    }
    out.push('>');
    let line = |depth: Option<usize>, out: &mut String| {
        if let Some(depth) = depth {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    let inner = depth.map(|depth| depth + 1);
    for child in items {
        line(inner, out);
        render(child, prefix, None, inner, out)?;
    }
    line(depth, out);
    out.push_str("</");
    out.push_str(prefix);
    out.push_str(&item.name);
    out.push('>');
    Ok(())
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            _ => out.push(c),
        }
    }
}

/// XHTML as an element that can stand anywhere: well-formed, its namespace declared.
fn standing_alone(text: &str) -> Option<String> {
    let text = text.trim();
    let tree = Syntax::Xml.parse(text.as_bytes().to_vec(), &Limits::default()).ok()?;
    let top = tree.document_element()?;
    let own = tree.charset().decode(tree.raw(top))?.into_owned();
    if tree.namespace(top).is_some() {
        return Some(own);
    }
    let name = tree.qualified_name(top)?;
    let (tag, rest) = own.split_at_checked(name.len() + 1)?;
    Some(format!("{tag} xmlns=\"{XHTML}\"{rest}"))
}

const XHTML: &str = "http://www.w3.org/1999/xhtml";
