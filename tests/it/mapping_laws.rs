//! The laws of the maps, for every map in the tree, over documents made from the schemas and edits made from the Bundles.
//!
//! GetPut, byte for byte; PutGet, a refusal naming where; CreateGet; Rewrite; and every leaf accounted for. A case is
//! worth something when a change, an insertion and a removal in it were written. `PROPTEST_CASES` sets how many cases.

#[path = "mapping_laws/documents.rs"]
mod documents;
#[path = "mapping_laws/edits.rs"]
mod edits;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Node};
use silta_engine::mapping::{Context, Disposition, Loss, Map, Maps};
use silta_engine::native::{Format, Limits, Tree};

use documents::Choices;
use edits::{Edited, Sort};

fn context() -> Context {
    let mut context = Context::new("laws", Timestamp::from_second(1_763_000_000).unwrap(), b"laws");
    context.zone = jiff::tz::TimeZone::get("Europe/Helsinki").unwrap();
    context
}

fn lines(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "\n")
}

/// All leaves of the resources as path and value, indexes left out: what a Bundle says, whatever the order.
fn says(document: &Document) -> BTreeMap<(String, String), usize> {
    let mut all = BTreeMap::new();
    for resource in document.root().named("entry").filter_map(|e| e.first("resource")) {
        collect(resource, resource.type_name(), &mut all);
    }
    all
}

fn collect(node: Node<'_>, path: &str, all: &mut BTreeMap<(String, String), usize>) {
    if let Some(text) = node.text() {
        // What a reference leads to is in the resources themselves.
        let text = if text.starts_with("urn:uuid:") { "" } else { text };
        let text = match node.type_name() {
            "dateTime" | "instant" => text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |t| t.to_string()),
            _ => text.to_owned(),
        };
        *all.entry((path.to_owned(), text)).or_insert(0) += 1;
    }
    for child in node.children() {
        collect(child, &format!("{path}.{}", child.name()), all);
    }
}

/// What differs between two Bundles.
fn differing(wanted: &Document, got: &Document) -> Vec<(String, String)> {
    let (wanted, got) = (says(wanted), says(got));
    let mut all: Vec<(String, String)> = Vec::new();
    for key in wanted.keys().chain(got.keys()) {
        if wanted.get(key) != got.get(key) && !all.contains(key) {
            all.push(key.clone());
        }
    }
    all
}

#[derive(Default)]
struct Count {
    cases: usize,
    worthwhile: usize,
}

/// One case: a document, its laws, and edits of each sort.
fn case(map: &Arc<Map>, bytes: &[u8], seed: u64, count: &mut Count) -> Result<(), String> {
    let mut choices = Choices::new(bytes);
    let (original, syntax) = documents::document(map, &mut choices);
    let shown = || lines(&original);
    let tree = syntax.parse(original.clone(), &Limits::default()).map_err(|e| format!("{e}\n{}", shown()))?;
    let cx = context();
    let got = match map.get(&tree, &cx) {
        Ok(got) => got,
        // A value that a line refuses is named.
        Err(refusals) if refusals.items.iter().all(|r| !r.path.is_empty() && r.rule.is_some()) => return Ok(()),
        Err(refusals) => return Err(format!("a refusal without a place: {refusals}\n{}", shown())),
    };
    count.cases += 1;
    let report = got.report(&tree);
    if report.mapped + report.approximated + report.residue + report.dropped + report.errors != report.leaves {
        return Err(format!("a leaf without a disposition\n{}", shown()));
    }
    let again = map.get(&tree, &cx).map_err(|e| e.to_string())?;
    if again.document().json() != got.document().json() {
        return Err(format!("get is not deterministic\n{}", shown()));
    }
    let json = || got.document().json();
    unchanged(map, got.document(), &tree, &cx).map_err(|e| format!("{e}\nof\n{}\n{}", shown(), json()))?;
    map.rewrite(got.document(), &tree, &cx).map_err(|e| format!("Rewrite: {e}\n{}\n{}", shown(), json()))?;
    created(map, got.document(), &tree, &cx).map_err(|e| format!("{e}\nof\n{}\n{}", shown(), json()))?;
    let mapped = report.items.iter().filter(|i| i.disposition == Disposition::Mapped);
    let paths: Vec<String> = mapped.flat_map(|i| i.to.iter().cloned()).collect();
    let rows = tree.format() == Format::Delimited;
    let mut choices = Choices::endless(seed);
    let mut done = [false; 3];
    for (sort, done) in [Sort::Change, Sort::Insert, Sort::Remove].into_iter().zip(done.iter_mut()) {
        for _ in 0..80 {
            if *done {
                break;
            }
            let Some(edited) = edits::edit(got.document(), &paths, sort, rows, &mut choices) else { continue };
            *done |= edited_once(map, &tree, &edited, &cx)
                .map_err(|e| format!("{sort:?} at {}: {e}\n{}\n{}", edited.path, shown(), edited.document.json()))?;
        }
    }
    count.worthwhile += usize::from(done.iter().all(|d| *d));
    Ok(())
}

/// GetPut: an unchanged Bundle writes the same bytes.
fn unchanged(map: &Arc<Map>, document: &Arc<Document>, tree: &Tree, cx: &Context) -> Result<(), String> {
    let lossy = Context { loss: Loss::Warn, ..cx.clone() };
    let wrote = |bytes: &[u8]| {
        let before = lines(tree.bytes());
        lines(bytes).lines().filter(|l| !before.contains(l)).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    match map.put(document, tree, cx) {
        Ok(written) if written.bytes == tree.bytes() => Ok(()),
        Ok(written) => Err(format!("GetPut wrote\n{}", wrote(&written.bytes))),
        Err(refusals) => {
            let bytes = map.put(document, tree, &lossy).map(|w| w.bytes).unwrap_or_default();
            Err(format!("GetPut refused: {refusals}\nwrote\n{}", wrote(&bytes)))
        }
    }
}

/// CreateGet: what the map covers can be written as a new document, and says the same.
fn created(map: &Arc<Map>, document: &Arc<Document>, tree: &Tree, cx: &Context) -> Result<(), String> {
    let mut cx = cx.clone();
    let header = tree.segments().next();
    if let Some(version) = header.and_then(|h| tree.field(h, 12)).and_then(|f| tree.text(f)) {
        cx.envelope.version = version.into_owned();
    }
    let written = map.create(document, &cx).map_err(|e| {
        let lossy = Context { loss: Loss::Warn, ..cx.clone() };
        let bytes = map.create(document, &lossy).map(|w| w.bytes).unwrap_or_default();
        format!("CreateGet: {e}\nwrote\n{}", lines(&bytes))
    })?;
    if written.report.errors > 0 {
        return Err(format!("CreateGet wrote what cannot be read: {}", lines(&written.bytes)));
    }
    Ok(())
}

/// PutGet: true when the edit was written and reads back; false when it was refused, naming where.
fn edited_once(map: &Arc<Map>, tree: &Tree, edited: &Edited, cx: &Context) -> Result<bool, String> {
    let written = match map.put(&edited.document, tree, cx) {
        Ok(written) => written,
        Err(refusals) if refusals.items.iter().all(|r| !r.path.is_empty()) => return Ok(false),
        Err(refusals) => return Err(format!("a refusal without a place: {refusals}")),
    };
    let read = tree.syntax().parse(written.bytes.clone(), &Limits::default()).map_err(|e| e.to_string())?;
    let got = map.get(&read, cx).map_err(|e| e.to_string())?;
    let differing = differing(&edited.document, got.document());
    // What is written as a stand-in, or follows from another element, is told.
    if !differing.is_empty() && written.report.lost.is_empty() {
        return Err(format!("PutGet: {differing:?}\nwrote\n{}", lines(&written.bytes)));
    }
    Ok(true)
}

fn laws_of(map: &Arc<Map>) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    // The same cases each time, unless asked for more of them than usual.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let count = std::cell::RefCell::new(Count::default());
    let decisions = (proptest::collection::vec(any::<u8>(), 1500..4000), any::<u64>());
    let result = runner
        .run(&decisions, |(bytes, seed)| case(map, &bytes, seed, &mut count.borrow_mut()).map_err(TestCaseError::fail));
    if let Err(proptest::test_runner::TestError::Fail(reason, _)) = &result {
        panic!("{}: {reason}", map.name());
    }
    let count = count.into_inner();
    println!("{}: {} cases, {} worthwhile", map.name(), count.cases, count.worthwhile);
    assert!(count.worthwhile * 100 >= count.cases * 60, "{}: too few worthwhile cases", map.name());
}

#[test]
fn the_laws_hold_for_every_map() {
    for map in Maps::embedded(Model::r4()).iter() {
        laws_of(map);
    }
}
