//! What two Bundles say differently, and whether the report of a write tells it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use silta_engine::fhir::document::{Document, Node};
use silta_engine::mapping::Report;

/// All leaves of the resources as path and value, indexes left out: what a Bundle says, whatever the order.
type Says = BTreeMap<(String, String), usize>;

fn says(document: &Document) -> Says {
    let mut all = BTreeMap::new();
    for resource in document.root().named("entry").filter_map(|e| e.first("resource")) {
        collect(resource, resource.type_name(), &mut all);
    }
    all
}

fn collect(node: Node<'_>, path: &str, all: &mut Says) {
    if let Some(text) = node.text() {
        // What a reference leads to is in the resources themselves.
        let text = if text.starts_with("urn:uuid:") { "" } else { text };
        let text = match node.type_name() {
            "dateTime" | "instant" => text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |t| t.to_string()),
            _ => text.to_owned(),
        };
        *all.entry((path.to_owned(), text)).or_insert(0) += 1;
    }
    // That something is not known is no content.
    let absent = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
    for child in node.children().filter(|child| child.text_at("url") != Some(absent)) {
        collect(child, &format!("{path}.{}", child.name()), all);
    }
}

/// The paths below resources that a report speaks of, as `Type.a.b`.
fn told(documents: [&Document; 2], report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    for lost in &report.lost {
        let Some(rest) = lost.path.strip_prefix("Bundle.entry[") else { continue };
        let Some((index, rest)) = rest.split_once(']') else { continue };
        let Ok(index) = index.parse::<usize>() else { continue };
        let below = rest.strip_prefix(".resource").unwrap_or_default();
        for document in documents {
            let resource = document.root().named("entry").nth(index).and_then(|e| e.first("resource"));
            all.extend(resource.map(|r| format!("{}{}", r.type_name(), as_written(&without_indexes(below)))));
        }
    }
    all
}

/// A path with the names of choices as they are written: `value.ofType(Reference)` is `valueReference`.
fn as_written(path: &str) -> String {
    let mut parts = path.split(".ofType(");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(')').unwrap_or((part, ""));
        let mut letters = name.chars();
        text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text.push_str(rest);
    }
    text
}

/// A path without what stands between brackets.
pub(crate) fn without_indexes(path: &str) -> String {
    let mut depth = 0_usize;
    path.chars()
        .filter(|c| {
            match c {
                '[' => depth += 1,
                ']' => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

fn excused(path: &str, told: &[String]) -> bool {
    let within = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
    told.iter().any(|t| within(path, t) || within(t, path))
}

fn compare(wanted: &Document, got: &Document, report: &Report, also_more: bool) -> Result<(), String> {
    let told = told([wanted, got], report);
    let (wanted, got) = (says(wanted), says(got));
    let mut all: Vec<&(String, String)> = Vec::new();
    for key in wanted.keys().chain(got.keys()) {
        let (w, g) = (wanted.get(key).copied().unwrap_or(0), got.get(key).copied().unwrap_or(0));
        if (w > g || also_more && w < g) && !all.contains(&key) && !excused(&key.0, &told) {
            all.push(key);
        }
    }
    if all.is_empty() { Ok(()) } else { Err(format!("differs without being told: {all:?}")) }
}

/// That what differs between two Bundles is told.
pub(crate) fn differing(wanted: &Document, got: &Document, report: &Report) -> Result<(), String> {
    compare(wanted, got, report, true)
}

/// That what is wanted and not there is told.
pub(crate) fn missing(wanted: &Document, got: &Document, report: &Report) -> Result<(), String> {
    compare(wanted, got, report, false)
}
