//! The laws of the maps, for every map in the tree, over documents made from the schemas and edits made from the Bundles.
//!
//! GetPut, byte for byte; PutGet, a refusal naming where; CreateGet; Rewrite; every leaf accounted for, and what is told
//! to be carried is; an edit touches its own native place only; no leaf that is kept describes a value that is no more. A
//! case is worth something when a change, an insertion and a removal in it were written, or the document has none to make.
//! `SILTA_LAW_CASES` sets how many cases there are of each map; without it there are few, the same each time. With
//! `SILTA_LAW_FOLDER` the maps of a folder are taken (`profiles`: those of the program, without building it anew).

#[path = "mapping_laws/documents.rs"]
mod documents;
#[path = "mapping_laws/edits.rs"]
mod edits;
#[path = "mapping_laws/elements.rs"]
mod elements;
#[path = "mapping_laws/resources.rs"]
mod resources;
#[path = "mapping_laws/told.rs"]
mod told;
#[path = "mapping_laws/touched.rs"]
mod touched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use silta_engine::definitions::Model;
use silta_engine::mapping::{Context, Disposition, Holds, Loss, Map, Maps, Report, Translation, Written};
use silta_engine::native::{Edit, Format, Limits, Syntax, Tree};

use documents::Choices;
use edits::{Edited, Sort};

/// What one translation, one way, may take: far more than any needs, far less than what does not end.
const PATIENCE: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "how long a run takes is what is judged")]
fn now() -> Instant {
    Instant::now()
}

pub(crate) fn context() -> Context {
    let mut context = Context::new("laws", Timestamp::from_second(1_763_000_000).unwrap(), b"laws");
    context.zone = Some(jiff::tz::TimeZone::get("Europe/Helsinki").unwrap());
    context
}

pub(crate) fn lines(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "\n")
}

/// How many cases there were, and were worth something.
#[derive(Default)]
struct Count {
    cases: usize,
    worthwhile: usize,
    /// Those that say nothing that is carried, and have nothing to edit.
    empty: usize,
    refused: usize,
}

/// A document and what it became.
pub(crate) struct Case<'c> {
    pub(crate) map: &'c Arc<Map>,
    pub(crate) tree: &'c Tree,
    pub(crate) got: &'c Translation,
    pub(crate) report: &'c Report,
    pub(crate) cx: &'c Context,
}

/// A map, with what it says of itself: found out once for all its cases.
struct Of<'m> {
    map: &'m Arc<Map>,
    vocabulary: BTreeMap<String, Holds>,
    /// The lists that lines fill one by one: elsewhere nothing is to be put in.
    lists: BTreeSet<String>,
}

impl<'m> Of<'m> {
    fn new(map: &'m Arc<Map>) -> Self {
        let lines = map.lines();
        let all = lines.iter().flat_map(|line| line.fhir.match_indices("[]").map(|(at, _)| &line.fhir[..at]));
        let lists = all.filter_map(|before| before.rsplit(['.', ']']).next()).map(str::to_owned).collect();
        Self { map, vocabulary: map.vocabulary(), lists }
    }
}

/// What a document in JSON says as one in XML, where the map reads that too.
fn in_xml(map: &Arc<Map>, json: &[u8]) -> Option<Vec<u8>> {
    let cx = Context { xml: true, ..context() };
    let tree = Syntax::Json.parse(json.to_vec(), &Limits::default()).unwrap();
    let got = map.get(&tree, &cx).ok()?;
    Some(map.create(got.document(), &cx).ok()?.bytes)
}

/// One case: a document, its laws, and edits of each sort.
fn case(of: &Of<'_>, bytes: &[u8], seed: u64, count: &mut Count) -> Result<(), String> {
    let mut choices = Choices::new(bytes);
    let map = of.map;
    let (mut original, mut syntax) = documents::document(map, &of.vocabulary, &mut choices);
    if seed % 2 == 1
        && syntax == Syntax::Json
        && map.takes(Format::Xml)
        && let Some(xml) = in_xml(map, &original)
    {
        (original, syntax) = (xml, Syntax::Xml);
    }
    let shown = || lines(&original);
    let tree = syntax.parse(original.clone(), &Limits::default()).map_err(|e| format!("{e}\n{}", shown()))?;
    let cx = context();
    count.cases += 1;
    let started = now();
    let got = match map.get(&tree, &cx) {
        Ok(got) => got,
        // A value that a line refuses is named.
        Err(refusals) if refusals.items.iter().all(|r| !r.path.is_empty() && r.rule.is_some()) => {
            count.refused += 1;
            return Ok(());
        }
        Err(refusals) => return Err(format!("a refusal without a place: {refusals}\n{}", shown())),
    };
    if started.elapsed() > PATIENCE {
        return Err(format!("get takes too long\n{}", shown()));
    }
    let report = got.report(&tree);
    let case = Case { map, tree: &tree, got: &got, report: &report, cx: &cx };
    let json = || got.document().json();
    let mut choices = Choices::endless(seed);
    case.accounted(&mut choices).map_err(|e| format!("{e}\nof\n{}\n{}", shown(), json()))?;
    case.unchanged().map_err(|e| format!("{e}\nof\n{}\n{}", shown(), json()))?;
    case.rewritten().map_err(|e| format!("Rewrite: {e}\nof\n{}\n{}", shown(), json()))?;
    case.created().map_err(|e| format!("{e}\nof\n{}\n{}", shown(), json()))?;
    let rows = tree.format() == Format::Delimited;
    let nodes = edits::carried(got.document(), &report);
    if nodes.is_empty() {
        count.empty += 1;
        return Ok(());
    }
    let fills = |path: &str| {
        let last = path.rsplit('.').next().unwrap_or_default();
        of.lists.contains(last.split('[').next().unwrap_or_default())
    };
    let mut worthwhile = true;
    for sort in [Sort::Change, Sort::Insert, Sort::Remove, Sort::Reorder] {
        let (mut done, mut offered) = (false, false);
        for _ in 0..if of.vocabulary.len() > elements::LARGE { 20 } else { 60 } {
            let Some(edited) = edits::edit(got.document(), &nodes, sort, rows, &mut choices) else { continue };
            offered |= fills(&edited.path);
            let started = now();
            done = case.edited(sort, &edited).map_err(|e| {
                format!("{sort:?} at {}: {e}\nof\n{}\n{}", edited.path, shown(), edited.document.json())
            })?;
            if started.elapsed() > PATIENCE {
                return Err(format!("{sort:?} at {} takes too long\n{}", edited.path, shown()));
            }
            if done {
                break;
            }
        }
        worthwhile &= done || sort == Sort::Reorder || (sort == Sort::Insert && !offered);
    }
    count.worthwhile += usize::from(worthwhile);
    Ok(())
}

impl Case<'_> {
    /// Every leaf has one disposition, with a line where a line speaks of it; the same each time; and a leaf that is
    /// told to be carried is: another value makes another Bundle, or a refusal.
    fn accounted(&self, choices: &mut Choices<'_>) -> Result<(), String> {
        let report = self.report;
        let sum = report.mapped + report.approximated + report.residue + report.dropped + report.errors;
        let items = u32::try_from(report.items.len()).unwrap();
        if sum != report.leaves || items != report.leaves || report.leaves != self.tree.leaf_count() {
            return Err("a leaf without a disposition".to_owned());
        }
        for (leaf, item) in (0_u32..).zip(&report.items) {
            let unsaid = match item.disposition {
                Disposition::Mapped | Disposition::Approximated | Disposition::Error => item.rule.is_none(),
                Disposition::Dropped => item.rule.is_none(),
                Disposition::Residue => false,
            };
            if unsaid || item.path != self.tree.leaf_path(leaf).to_string() {
                return Err(format!("{} is {:?} by no line", item.path, item.disposition));
            }
        }
        let again = self.map.get(self.tree, self.cx).map_err(|e| e.to_string())?;
        if again.document().json() != self.got.document().json() {
            return Err("get is not deterministic".to_owned());
        }
        let carried: Vec<u32> = (0_u32..)
            .zip(&report.items)
            .filter(|(_, item)| item.disposition == Disposition::Mapped && !item.to.is_empty())
            .map(|(leaf, _)| leaf)
            .collect();
        for _ in 0..3 {
            let Some(leaf) = choices.pick(&carried).copied() else { break };
            let Some(node) = self.tree.leaf_node(leaf) else { continue };
            let Some(text) = self.tree.text(node) else { continue };
            // Of signs there are no others to take instead.
            if documents::unlike(&text) == text {
                continue;
            }
            let mut edit = Edit::new(self.tree);
            if edit.set(node, &[], documents::unlike(&text).as_str()).is_err() {
                continue;
            }
            let bytes = edit.finish().bytes;
            let other = self.tree.syntax().parse(bytes, &Limits::default()).map_err(|e| e.to_string())?;
            let Ok(translated) = self.map.get(&other, self.cx) else { continue };
            let still = other.leaf_count() > leaf
                && translated.report(&other).items[leaf as usize].disposition == Disposition::Mapped;
            if still && translated.document().json() == self.got.document().json() {
                return Err(format!("{} is told to be mapped, and is not", self.tree.leaf_path(leaf)));
            }
        }
        Ok(())
    }

    /// GetPut: an unchanged Bundle writes the same bytes.
    fn unchanged(&self) -> Result<(), String> {
        let Self { map, tree, cx, .. } = self;
        let lossy = Context { loss: Loss::Warn, ..(*cx).clone() };
        let wrote = |bytes: &[u8]| {
            let before = lines(tree.bytes());
            lines(bytes).lines().filter(|l| !before.contains(l)).map(str::to_owned).collect::<Vec<_>>().join("\n")
        };
        let short = map.put(self.got.document(), tree, cx).map_err(|e| format!("GetPut refused: {e}"))?;
        if short.bytes != tree.bytes() {
            return Err(format!("GetPut wrote\n{}", wrote(&short.bytes)));
        }
        match map.put_through(self.got.document(), tree, cx) {
            Ok(written) if written.bytes == tree.bytes() => Ok(()),
            Ok(written) => Err(format!("GetPut wrote\n{}", wrote(&written.bytes))),
            Err(refusals) => {
                let bytes = map.put(self.got.document(), tree, &lossy).map(|w| w.bytes).unwrap_or_default();
                Err(format!("GetPut refused: {refusals}\nwrote\n{}", wrote(&bytes)))
            }
        }
    }

    /// Rewrite: every line written gives a document that says the same; and again gives the same bytes.
    fn rewritten(&self) -> Result<(), String> {
        let written = self.map.rewrite(self.got.document(), self.tree, self.cx).map_err(|e| {
            let lossy = Context { loss: Loss::Warn, ..self.cx.clone() };
            let written = self.map.rewrite(self.got.document(), self.tree, &lossy).map(|w| w.bytes);
            format!("{e}\nwrote\n{}", lines(&written.unwrap_or_default()))
        })?;
        let (read, got) = self.read(&written.bytes)?;
        told::differing(self.got.document(), got.document(), &written.report)
            .map_err(|e| format!("{e}\nwrote\n{}", lines(&written.bytes)))?;
        let again = self.map.rewrite(got.document(), &read, self.cx).map_err(|e| format!("again: {e}"))?;
        if again.bytes != written.bytes {
            return Err(format!("not the same again:\n{}\n{}", lines(&written.bytes), lines(&again.bytes)));
        }
        Ok(())
    }

    /// CreateGet: what the map covers can be written as a new document, and says the same.
    fn created(&self) -> Result<(), String> {
        let mut cx = self.cx.clone();
        cx.xml = self.tree.format() == Format::Xml;
        let header = self.tree.segments().next();
        if let Some(version) = header.and_then(|h| self.tree.field(h, 12)).and_then(|f| self.tree.text(f)) {
            cx.envelope.version = version.into_owned();
        }
        let mut made = self.map.create(self.got.document(), &cx);
        // What nothing in the resources tells the event of, the caller does.
        if made.as_ref().is_err_and(|e| e.to_string().contains("an event that is asked for"))
            && let Some(event) = header.and_then(|h| self.tree.component(self.tree.field(h, 9)?, 2))
            && let Some(event) = self.tree.text(event)
        {
            cx.envelope.event = event.into_owned();
            made = self.map.create(self.got.document(), &cx);
        }
        let written = made.map_err(|e| {
            let lossy = Context { loss: Loss::Warn, ..cx.clone() };
            let bytes = self.map.create(self.got.document(), &lossy).map(|w| w.bytes).unwrap_or_default();
            format!("CreateGet: {e}\nwrote\n{}", lines(&bytes))
        })?;
        if written.report.errors > 0 {
            return Err(format!("CreateGet wrote what cannot be read: {}", lines(&written.bytes)));
        }
        let (_, got) = self.read(&written.bytes)?;
        told::missing(self.got.document(), got.document(), &written.report)
            .map_err(|e| format!("CreateGet: {e}\nwrote\n{}", lines(&written.bytes)))
    }

    fn read(&self, bytes: &[u8]) -> Result<(Tree, Translation), String> {
        let read = self.tree.syntax().parse(bytes.to_vec(), &Limits::default()).map_err(|e| e.to_string())?;
        let got = self.map.get(&read, self.cx).map_err(|e| format!("wrote what is refused: {e}\n{}", lines(bytes)))?;
        Ok((read, got))
    }

    /// PutGet: true when the edit was written and reads back; false when it was refused, naming where.
    fn edited(&self, sort: Sort, edited: &Edited) -> Result<bool, String> {
        let written = match self.map.put(&edited.document, self.tree, self.cx) {
            Ok(written) => written,
            Err(refusals) if refusals.items.iter().all(|r| !r.path.is_empty()) => return Ok(false),
            Err(refusals) => return Err(format!("a refusal without a place: {refusals}")),
        };
        if sort == Sort::Change {
            self.both_ways(edited, &written)?;
        }
        let (read, got) = self.read(&written.bytes)?;
        let wrote = |e: String| format!("{e}\nwrote\n{}", lines(&written.bytes));
        // What is written as a stand-in, or follows from another element, is told.
        told::differing(&edited.document, got.document(), &written.report)
            .map_err(|e| wrote(format!("PutGet: {e}")))?;
        touched::own_place(self, sort, edited, &read, &written.report).map_err(wrote)?;
        if sort == Sort::Reorder {
            touched::order(self, edited, got.document()).map_err(wrote)?;
        }
        if sort == Sort::Change {
            touched::nothing_describes_what_is_gone(self, edited, &read, &got.report(&read)).map_err(wrote)?;
        }
        Ok(true)
    }

    /// The short way to write changed values gives what the long one does, where that is not refused.
    fn both_ways(&self, edited: &Edited, short: &Written) -> Result<(), String> {
        let Ok(long) = self.map.put_through(&edited.document, self.tree, self.cx) else { return Ok(()) };
        if long.bytes != short.bytes || long.report != short.report {
            return Err(format!("two ways:\n{}\n{}\n{:?}", lines(&short.bytes), lines(&long.bytes), long.report.lost));
        }
        Ok(())
    }
}

/// The laws of a map; gives what there was to say of its cases.
fn laws_of(map: &Arc<Map>) -> Result<String, String> {
    let asked: Option<u32> = std::env::var("SILTA_LAW_CASES").ok().and_then(|n| n.parse().ok());
    let of = Of::new(map);
    let usual = if of.vocabulary.len() > elements::LARGE { 4 } else { 10 };
    let config =
        Config { cases: asked.unwrap_or(usual), failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same cases each time, unless asked for more of them than usual.
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let count = std::cell::RefCell::new(Count::default());
    let decisions = (proptest::collection::vec(any::<u8>(), 1500..4000), any::<u64>());
    let result = runner
        .run(&decisions, |(bytes, seed)| case(&of, &bytes, seed, &mut count.borrow_mut()).map_err(TestCaseError::fail));
    match result {
        Err(TestError::Fail(reason, _)) => return Err(format!("{}: {reason}", map.name())),
        Err(TestError::Abort(reason)) => return Err(format!("{}: {reason}", map.name())),
        Ok(()) => {}
    }
    let Count { cases, worthwhile, empty, refused } = count.into_inner();
    let cases = cases - empty;
    let said = format!("{}: {cases} cases, {worthwhile} worthwhile, {refused} refused", map.name());
    if cases > 0 && worthwhile * 100 >= cases * 60 {
        Ok(said)
    } else {
        Err(format!("too few worthwhile cases: {said}"))
    }
}

#[test]
fn the_laws_hold_for_a_map_of_ones_own_for_xml() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let files = [
        file("acme.map", include_str!("mapping_laws/acme.map")),
        file("acme.xmlschema", include_str!("mapping_laws/acme.xmlschema")),
    ];
    let maps = Maps::with(Model::r4(), &files);
    assert!(maps.problems().is_empty(), "{:#?}", maps.problems());
    let map = maps.named("acme-order").unwrap();
    assert_eq!(map.coverage().unclaimed, Vec::<String>::new());
    println!("{}", laws_of(map).unwrap_or_else(|broke| panic!("{broke}")));
}

/// The maps and schemas of a folder, by their paths below it.
fn below(folder: &std::path::Path, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = format!("{name}{}", entry.file_name().into_string().unwrap());
        if path.is_dir() {
            found.extend(below(&path, &format!("{name}/")));
        } else if [".map", ".schema.json", ".xmlschema"].iter().any(|end| name.ends_with(end)) {
            found.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    found
}

#[test]
fn the_laws_hold_for_every_map() {
    let maps: Vec<Arc<Map>> = match std::env::var("SILTA_LAW_FOLDER") {
        Ok(folder) => Maps::with(Model::r4(), &below(std::path::Path::new(&folder), "")).iter().cloned().collect(),
        Err(_) => Maps::embedded(Model::r4()).iter().cloned().collect(),
    };
    let only = std::env::var("SILTA_LAW_MAP").ok();
    let next = AtomicUsize::new(0);
    let broken: Mutex<Vec<String>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(map) = maps.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if only.as_ref().is_some_and(|only| !map.name().starts_with(only.as_str())) {
                        continue;
                    }
                    match laws_of(map) {
                        Ok(said) => println!("{said}"),
                        Err(broke) => broken.lock().unwrap().push(broke),
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{} of {} maps\n\n{}", broken.len(), maps.len(), broken.join("\n\n"));
}
