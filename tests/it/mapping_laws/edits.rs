//! Edits of a Bundle: a value changed, a repetition inserted, a repetition removed.

use std::sync::Arc;

use silta_engine::definitions::{Model, Strength};
use silta_engine::fhir::document::{Document, Node};
use silta_engine::fhir::edit::Edit;

use super::documents::Choices;

/// What is done to a Bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Change,
    Insert,
    Remove,
}

/// The wanted Bundle, and where it was edited.
pub(crate) struct Edited {
    pub(crate) document: Arc<Document>,
    pub(crate) path: String,
}

/// The nodes that native leaves are carried to.
fn carried<'d>(document: &'d Document, paths: &[String]) -> Vec<Node<'d>> {
    paths.iter().filter_map(|path| at(document, path)).filter(|n| n.is_primitive() && n.name() != "fullUrl").collect()
}

/// The node at a path as reports write it.
fn at<'d>(document: &'d Document, path: &str) -> Option<Node<'d>> {
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

/// A row of a table is all the resources that hang together: they come and go as one.
fn whole_row(document: &Document, node: Node<'_>, sort: Sort, choices: &mut Choices<'_>) -> Option<Edited> {
    let entries: Vec<Node<'_>> = document.root().named("entry").collect();
    let own = entries.iter().position(|e| e.first("resource").map(|r| r.id()) == Some(node.resource().id()))?;
    let row = component(document, own);
    let mut edit = Edit::new(document);
    if sort == Sort::Remove {
        if row.len() == entries.len() {
            return None;
        }
        for at in row {
            edit.remove(entries[at]);
        }
    } else {
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
    Some(Edited { document: edit.finish().ok()?, path: entries[own].path().to_string() })
}

/// Makes an edit where one can be made. In tables what is inserted and removed are rows.
pub(crate) fn edit(
    document: &Document,
    paths: &[String],
    sort: Sort,
    rows: bool,
    choices: &mut Choices<'_>,
) -> Option<Edited> {
    let nodes = carried(document, paths);
    let node = *choices.pick(&nodes)?;
    if rows && sort != Sort::Change {
        return whole_row(document, node, sort, choices);
    }
    let mut edit = Edit::new(document);
    let path;
    match sort {
        Sort::Change => {
            path = node.path().to_string();
            edit.set(node, &other(node, choices)?);
        }
        Sort::Remove => {
            let repetition = repeated(node, choices)?;
            path = repetition.path().to_string();
            edit.remove(repetition);
        }
        Sort::Insert => {
            let repetition = repeated(node, choices)?;
            path = repetition.path().to_string();
            // A new repetition like this one, with another value in it.
            let mut inner = Edit::new(document);
            inner.set(node, &other(node, choices)?);
            let changed = inner.finish().ok()?;
            let copy = same_place(&changed, repetition)?;
            edit.insert(repetition.parent()?, repetition.name(), copy.raw());
        }
    }
    Some(Edited { document: edit.finish().ok()?, path })
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
