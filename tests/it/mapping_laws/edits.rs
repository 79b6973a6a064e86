//! Edits of a Bundle: a value changed, a repetition inserted, a repetition removed, two repetitions exchanged.

use std::sync::Arc;

use silta_engine::definitions::{Model, Strength};
use silta_engine::fhir::document::{Document, Node};
use silta_engine::fhir::edit::Edit;
use silta_engine::mapping::{Disposition, Report};

use super::documents::Choices;

/// What is done to a Bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Change,
    Insert,
    Remove,
    Reorder,
}

/// The wanted Bundle, where it was edited, and the places of the Bundle before that the edit is about.
pub(crate) struct Edited {
    pub(crate) document: Arc<Document>,
    pub(crate) path: String,
    pub(crate) touches: Vec<String>,
}

/// The nodes that native leaves are carried to.
pub(crate) fn carried<'d>(document: &'d Document, report: &Report) -> Vec<Node<'d>> {
    let mapped = report.items.iter().filter(|i| i.disposition == Disposition::Mapped);
    let nodes = mapped.flat_map(|i| &i.to).filter_map(|path| at(document, path));
    nodes.filter(|n| n.is_primitive() && n.name() != "fullUrl").collect()
}

/// The path of a node as reports write it.
fn written(node: Node<'_>) -> String {
    let Some(parent) = node.parent() else { return node.type_name().to_owned() };
    let index = match node.element().is_some_and(|e| e.is_array()) {
        true => format!("[{}]", node.index()),
        false => String::new(),
    };
    format!("{}.{}{index}", written(parent), node.name())
}

/// The node at a path as reports write it.
pub(crate) fn at<'d>(document: &'d Document, path: &str) -> Option<Node<'d>> {
    let mut here = document.root();
    for step in path.split('.').skip(1) {
        let (name, index) = match step.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()?),
            None => (step, 0),
        };
        here = here.children().filter(|c| c.name() == name).nth(index)?;
    }
    Some(here)
}

/// The entries that hang together with one by references, either way.
fn component(document: &Document, of: usize) -> Vec<usize> {
    let entries: Vec<Node<'_>> = document.root().named("entry").collect();
    let url = |at: usize| entries[at].text_at("fullUrl").unwrap_or_default();
    let mut all = vec![of];
    let mut at = 0;
    while let Some(here) = all.get(at).copied() {
        for other in 0..entries.len() {
            let linked = entries[here].raw().contains(url(other)) || entries[other].raw().contains(url(here));
            if linked && !all.contains(&other) {
                all.push(other);
            }
        }
        at += 1;
    }
    all.sort_unstable();
    all
}

/// The entries that only what is within a node leads to, and further from there.
fn led_to(document: &Document, node: Node<'_>) -> Vec<String> {
    let entries: Vec<Node<'_>> = document.root().named("entry").collect();
    let mut all: Vec<usize> = Vec::new();
    let mut open: Vec<String> = vec![node.raw().to_owned()];
    while let Some(text) = open.pop() {
        for (at, entry) in entries.iter().enumerate() {
            let own = node.resource().parent().is_some_and(|e| e.id() == entry.id());
            let led = entry.text_at("fullUrl").is_some_and(|url| text.contains(url));
            if led && !own && !all.contains(&at) {
                all.push(at);
                open.push(entry.raw().to_owned());
            }
        }
    }
    all.into_iter().map(|at| written(entries[at])).collect()
}

/// A row of a table is all the resources that hang together: they come and go as one.
fn whole_row(document: &Document, node: Node<'_>, sort: Sort, choices: &mut Choices<'_>) -> Option<Edited> {
    let entries: Vec<Node<'_>> = document.root().named("entry").collect();
    let own = entries.iter().position(|e| e.first("resource").map(|r| r.id()) == Some(node.resource().id()))?;
    let row = component(document, own);
    let mut edit = Edit::new(document);
    let mut touches = Vec::new();
    match sort {
        Sort::Remove => {
            if row.len() == entries.len() {
                return None;
            }
            for at in row {
                touches.push(written(entries[at]));
                edit.remove(entries[at]);
            }
        }
        Sort::Reorder => {
            let other = choices.below(entries.len());
            if other == own {
                return None;
            }
            edit.replace(entries[own], entries[other].raw());
            edit.replace(entries[other], entries[own].raw());
        }
        Sort::Change | Sort::Insert => {
            let value = other(node, choices)?;
            let mut inner = Edit::new(document);
            inner.set(node, &value);
            let changed = inner.finish().ok()?;
            let copies: Vec<Node<'_>> = changed.root().named("entry").collect();
            for at in &row {
                let mut json = copies[*at].raw().to_owned();
                for (number, other) in row.iter().enumerate() {
                    let url = entries[*other].text_at("fullUrl")?;
                    json = json.replace(url, &format!("urn:uuid:00000000-0000-4000-8000-0000000000{number:02}"));
                }
                edit.insert(document.root(), "entry", &json);
            }
        }
    }
    Some(Edited { document: edit.finish().ok()?, path: written(entries[own]), touches })
}

/// Makes an edit where one can be made. In tables what is inserted and removed are rows.
pub(crate) fn edit(
    document: &Document,
    nodes: &[Node<'_>],
    sort: Sort,
    rows: bool,
    choices: &mut Choices<'_>,
) -> Option<Edited> {
    let node = *choices.pick(nodes)?;
    if rows && sort != Sort::Change {
        return whole_row(document, node, sort, choices);
    }
    let mut edit = Edit::new(document);
    let path;
    let mut touches = Vec::new();
    match sort {
        Sort::Change => {
            path = written(node);
            edit.set(node, &other(node, choices)?);
            touches.push(path.clone());
        }
        Sort::Remove => {
            let repetition = repeated(node, choices)?;
            path = written(repetition);
            touches.push(path.clone());
            touches.extend(led_to(document, repetition));
            edit.remove(repetition);
        }
        Sort::Insert => {
            let repetition = repeated(node, choices)?;
            path = written(repetition);
            // A new repetition like this one, with another value in it.
            let mut inner = Edit::new(document);
            inner.set(node, &other(node, choices)?);
            let changed = inner.finish().ok()?;
            let copy = same_place(&changed, repetition)?;
            edit.insert(repetition.parent()?, repetition.name(), copy.raw());
            touches.extend(texts_of(repetition).map(written));
        }
        Sort::Reorder => {
            let one = repeated(node, choices)?;
            let siblings: Vec<Node<'_>> = one.parent()?.children().filter(|c| c.name() == one.name()).collect();
            let two = *choices.pick(&siblings)?;
            if one.id() == two.id() {
                return None;
            }
            path = written(one);
            edit.replace(one, two.raw());
            edit.replace(two, one.raw());
            touches.extend([written(one), written(two)]);
            touches.extend(texts_of(one).map(written));
        }
    }
    Some(Edited { document: edit.finish().ok()?, path, touches })
}

/// The texts of a list of texts: where they are one native text, or native texts by their place, all of them are at
/// stake.
fn texts_of<'d>(one: Node<'d>) -> impl Iterator<Item = Node<'d>> {
    let all = one.parent().filter(|_| one.is_primitive()).into_iter().flat_map(|p| p.children());
    all.filter(move |c| c.name() == one.name())
}

fn same_place<'d>(document: &'d Document, like: Node<'_>) -> Option<Node<'d>> {
    let mut steps = Vec::new();
    let mut here = like;
    while let Some(parent) = here.parent() {
        steps.push((here.name().to_owned(), here.index()));
        here = parent;
    }
    let mut found = document.root();
    for (name, index) in steps.into_iter().rev() {
        found = found.children().filter(|c| c.name() == name).nth(index)?;
    }
    Some(found)
}

/// A repetition of a list, below a resource, that a node stands in: any of them.
fn repeated<'d>(node: Node<'d>, choices: &mut Choices<'_>) -> Option<Node<'d>> {
    let mut lists = Vec::new();
    let mut here = node;
    while !here.is_resource() {
        if here.element().is_some_and(|e| e.is_array()) {
            lists.push(here);
        }
        here = here.parent()?;
    }
    choices.pick(&lists).copied()
}
/// Another value of the node's type.
fn other(node: Node<'_>, choices: &mut Choices<'_>) -> Option<String> {
    let text = node.text()?;
    let day = choices.below(27) + 1;
    let value = match node.type_name() {
        "code" => {
            let codes = codes(node);
            if codes.is_empty() { format!("{text}X") } else { choices.pick(&codes)?.clone() }
        }
        "boolean" => (text != "true").to_string(),
        "date" => format!("1977-05-{day:02}"),
        "dateTime" if text.len() <= 10 => format!("1977-05-{day:02}"),
        "dateTime" | "instant" => format!("2024-05-{day:02}T08:{:02}:00+02:00", choices.below(60)),
        "decimal" => format!("{}.5", choices.below(90)),
        "integer" | "positiveInt" | "unsignedInt" => (choices.below(90) + 1).to_string(),
        "uri" | "url" | "canonical" => format!("urn:oid:1.2.246.10.{}", choices.below(90) + 10),
        "base64Binary" => "TXV1dG9z".to_owned(),
        "string" | "markdown" if text.starts_with("urn:oid:") => {
            format!("urn:oid:1.2.246.10.{}", choices.below(90) + 10)
        }
        "string" | "markdown" => (*choices.pick(&["Muutos", "Uusi arvo", "Ääni|ö", "Z9"])?).to_owned(),
        _ => return None,
    };
    (value != text).then_some(value)
}

/// The codes of the node's required binding.
fn codes(node: Node<'_>) -> Vec<String> {
    let model = Model::r4();
    let Some((Strength::Required, url)) = node.element().and_then(|e| e.binding()) else { return Vec::new() };
    let Some(set) = model.value_set(url.split('|').next().unwrap()) else { return Vec::new() };
    let mut codes = Vec::new();
    for include in set.includes() {
        if include.listed() > 0 {
            codes.extend(include.concepts().map(|(code, _)| code.to_owned()));
        } else if let Some(system) = model.code_system(include.system()) {
            codes.extend(system.concepts().map(|c| c.code.to_owned()));
        }
    }
    codes
}
