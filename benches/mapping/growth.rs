//! How time and memory grow with a document: each part of it that can repeat is there a number of times, and ten times as
//! often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits as FhirLimits};
use silta_engine::mapping::{Context, Loss, Map, Maps};
use silta_engine::native::{Charset, Format, Kind, Limits, NodeId, Tree};

use crate::turns::timed;

const GENEROUS: Limits = Limits { bytes: 1 << 30, depth: 256, nodes: 1 << 28 };
const BUNDLE: FhirLimits = FhirLimits { bytes: 1 << 30, depth: 256, nodes: 1 << 28, string: 1 << 30 };

/// A part that can repeat: where it stands, and what stands between two of it.
struct Part {
    path: String,
    span: std::ops::Range<usize>,
    between: &'static str,
}

/// The parts of a document that can repeat, one of each sort.
fn parts(tree: &Tree) -> Vec<Part> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut open: Vec<(NodeId, String, bool)> = vec![(NodeId::ROOT, String::new(), false)];
    while let Some((node, within, item)) = open.pop() {
        let kind = tree.kind(node);
        let shown: String = tree.path(node).to_string();
        let path = without_numbers(&shown);
        let between = match (tree.format(), kind) {
            (Format::Hl7V2, Kind::Segment) => Some("\r"),
            (Format::Hl7V2, Kind::Field) => Some("~"),
            (Format::Delimited, Kind::Row) => Some("\n"),
            (Format::Xml, Kind::Element) if !within.is_empty() => Some(""),
            (Format::Json, _) if item => Some(","),
            _ => None,
        };
        let span = tree.span(node);
        let header = path.starts_with("MSH") || path.starts_with("MSA");
        if let Some(between) = between.filter(|_| !header && !span.is_empty() && seen.insert(path.clone())) {
            let end = if between.is_empty() { span.end } else { span.start + trimmed(tree, &span) };
            found.push(Part { path: path.clone(), span: span.start..end, between });
        }
        let deeper = !matches!(kind, Kind::Field);
        let children: Vec<NodeId> = if deeper { tree.children(node).collect() } else { Vec::new() };
        open.extend(children.into_iter().map(|child| (child, path.clone() + "/", kind == Kind::Array)));
    }
    found.reverse();
    found
}

/// The length of a part without the line end that may be its last.
fn trimmed(tree: &Tree, span: &std::ops::Range<usize>) -> usize {
    tree.bytes().get(span.clone()).map_or(0, |bytes| bytes.trim_ascii_end().len())
}

fn without_numbers(path: &str) -> String {
    let mut depth = 0_usize;
    let plain = path.chars().filter(|c| {
        match c {
            '[' => depth += 1,
            ']' => {
                depth = depth.saturating_sub(1);
                return false;
            }
            _ => {}
        }
        depth == 0
    });
    plain.collect()
}

/// A document in which a part is there so many times; each with numbers of its own, or all the same.
fn repeated(tree: &Tree, part: &Part, times: usize, varied: bool) -> Vec<u8> {
    let bytes = tree.bytes();
    let piece = |span: std::ops::Range<usize>| bytes.get(span).unwrap_or_default();
    let (before, own, after) = (piece(0..part.span.start), piece(part.span.clone()), piece(part.span.end..bytes.len()));
    let mut all = before.to_vec();
    for n in 0..times {
        if n > 0 {
            all.extend_from_slice(part.between.as_bytes());
        }
        if varied && n > 0 {
            all.extend(numbered(own, n));
        } else {
            all.extend_from_slice(own);
        }
    }
    all.extend_from_slice(after);
    all
}

/// A text in which what looks like an identifier goes on with a number.
fn numbered(text: &[u8], n: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b >= 0x80;
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.iter().take_while(|b| word(b)).count();
        let (run, after) = rest.split_at(length);
        out.extend_from_slice(run);
        let digits = run.iter().filter(|b| b.is_ascii_digit()).count();
        let letters = run.iter().filter(|b| b.is_ascii_uppercase()).count();
        let number = (digits == length && (3..=7).contains(&length))
            || (letters > 0 && digits > 0 && digits + letters + 1 >= length);
        // The name of a segment, of an event or of a type is none.
        if number && length > 3 {
            out.extend_from_slice(n.to_string().as_bytes());
        }
        let (one, after) = after.split_at(after.len().min(1));
        out.extend_from_slice(one);
        rest = after;
    }
    out
}

struct Case<'m> {
    map: &'m Arc<Map>,
    cx: &'m Context,
}

impl Case<'_> {
    fn parse(&self, bytes: &[u8]) -> Option<Tree> {
        self.map.syntax(self.cx.charset).parse(bytes.to_vec(), &GENEROUS).ok()
    }

    fn bundle(&self, bytes: &[u8]) -> Option<Arc<Document>> {
        Some(Arc::clone(self.map.get(&self.parse(bytes)?, self.cx).ok()?.document()))
    }

    /// The times of each piece of work on a document of so many repetitions, beside the one that it was made from.
    fn times(&self, one: &[u8], many: &[u8]) -> Option<Vec<(&'static str, Duration)>> {
        let (first, tree) = (self.parse(one)?, self.parse(many)?);
        let (small, large) = (self.bundle(one)?, self.bundle(many)?);
        let again = |text: &str| Document::from_json(Model::r4(), text.as_bytes().to_vec(), &BUNDLE).ok();
        let (small, large) = (again(small.json())?, again(large.json())?);
        let changed = again(&edited(large.json()))?;
        let (map, cx) = (self.map, self.cx);
        Some(vec![
            ("to FHIR", timed(&mut || drop(map.get(&tree, cx)))),
            ("back, the same", timed(&mut || drop(map.put(&large, &tree, cx)))),
            ("back, edited", timed(&mut || drop(map.put(&changed, &tree, cx)))),
            ("inserted", timed(&mut || drop(map.put(&large, &first, cx)))),
            ("removed", timed(&mut || drop(map.put(&small, &tree, cx)))),
            ("created", timed(&mut || drop(map.create(&large, cx)))),
        ])
    }
}

/// A Bundle in which texts, names and displays are others.
fn edited(json: &str) -> String {
    ["text", "family", "display", "value", "description"]
        .iter()
        .fold(json.to_owned(), |json, name| json.replace(&format!("\"{name}\":\""), &format!("\"{name}\":\"Z")))
}

/// Measures every part of a document; prints what grows faster than the document.
pub(crate) fn measure(maps: &Maps, file: &str, base: usize, most: f64) {
    let mut cx = Context::new("bench", Timestamp::UNIX_EPOCH, b"bench");
    cx.loss = Loss::Warn;
    let bytes = std::fs::read(file).unwrap();
    let Ok((map, tree)) = maps.recognise(bytes.clone(), Charset::Utf8, &Limits::default()) else {
        println!("{file}: no map");
        return;
    };
    let case = Case { map: &map, cx: &cx };
    let parts = parts(&tree);
    let (mut measured, mut worst) = (0, 0.0_f64);
    for part in &parts {
        for varied in [true, false] {
            let (few, many) = (repeated(&tree, part, base, varied), repeated(&tree, part, base * 10, varied));
            let Some(small) = case.times(&bytes, &few) else { continue };
            let slow = small.iter().find(|(_, time)| *time > Duration::from_secs(2));
            if let Some((what, time)) = slow {
                println!(
                    "{} {}: {what} takes {time:?} at {base}{}",
                    map.name(),
                    part.path,
                    if varied { "" } else { ", all the same" }
                );
                continue;
            }
            let Some(large) = case.times(&bytes, &many) else { continue };
            for ((what, small), (_, large)) in small.into_iter().zip(large) {
                measured += 1;
                let ratio = large.as_secs_f64() / small.as_secs_f64().max(1e-9);
                if large > Duration::from_millis(20) {
                    worst = worst.max(ratio);
                }
                if ratio > most && large > Duration::from_millis(20) {
                    let same = if varied { "" } else { ", all the same" };
                    println!(
                        "{} {}{same}: {what} {small:?} at {base}, {large:?} at {}: {ratio:.1}",
                        map.name(),
                        part.path,
                        base * 10
                    );
                }
            }
        }
    }
    println!(
        "{} ({file}): {} parts, {measured} measurements, at most {worst:.1} times as long for ten times as much",
        map.name(),
        parts.len()
    );
}
