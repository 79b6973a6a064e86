//! Translation of native documents both ways, against parsing the Bundle that they become into a `serde_json::Value`.
//!
//! `cargo run --release -p silta-bench-mapping FILE…`: for each document the time from its bytes to the written Bundle
//! with its trace, from an edited Bundle's text and the original to the changed document, from the Bundle's text to a
//! `Value`; and the same with every OBX (or the last segment, row or item) ten times. One thread; each figure is the
//! shortest of its runs, and the pieces of work take turns so that all meet the same noise. Then the most memory that a
//! translation held beyond the document itself.
//!
//! `… --growth 2000 FILE…`: every part that can repeat is there so many times, and ten times as often; printed is what then
//! takes more than eleven times as long: to FHIR, back unchanged and edited, inserted, removed, and as a new document.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on has failed")]

mod growth;
#[path = "../turns.rs"]
mod turns;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{self, Document, Node};
use silta_engine::fhir::edit::Edit;
use silta_engine::mapping::{Context, Loss, Map, Maps};
use silta_engine::native::{Charset, Limits};

use peak_alloc::PeakAlloc;
use turns::shortest;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The Bundle with its first changeable text changed.
fn edited(map: &Arc<Map>, bytes: &[u8], cx: &Context) -> Option<String> {
    let tree = map.syntax(cx.charset).parse(bytes.to_vec(), &Limits::default()).unwrap();
    let got = map.get(&tree, cx).unwrap();
    let mut texts: Vec<Node<'_>> = Vec::new();
    let mut open: Vec<Node<'_>> = vec![got.document().root()];
    while let Some(node) = open.pop() {
        if matches!(node.name(), "text" | "family" | "display") && node.text().is_some() {
            texts.push(node);
        }
        open.extend(node.children());
    }
    texts.into_iter().find_map(|node| {
        let mut edit = Edit::new(got.document());
        edit.set(node, "Changed");
        let document = edit.finish().ok()?;
        map.put(&document, &tree, cx).ok().map(|_| document.json().to_owned())
    })
}

fn measure(name: &str, map: &Arc<Map>, bytes: &[u8], cx: &Context) -> Option<Duration> {
    let syntax = map.syntax(cx.charset);
    let tree = syntax.parse(bytes.to_vec(), &Limits::default()).unwrap();
    let got = map.get(&tree, cx).unwrap();
    let json = got.document().json().to_owned();
    let Some(wanted) = edited(map, bytes, cx) else {
        println!("{name}: nothing in it can be edited");
        return None;
    };
    let mut forward = || {
        let tree = syntax.parse(bytes.to_vec(), &Limits::default()).unwrap();
        black_box(map.text(&tree, cx).unwrap().json().len());
    };
    let mut backward = || {
        let tree = syntax.parse(bytes.to_vec(), &Limits::default()).unwrap();
        let text = wanted.clone().into_bytes();
        let document = Document::from_json(Model::r4(), text, &document::Limits::default()).unwrap();
        black_box(map.put(&document, &tree, cx).unwrap().bytes.len());
    };
    let mut plain = || {
        black_box(serde_json::from_str::<Value>(&json).unwrap());
    };
    let runs = u32::try_from((40_000_000 / json.len().max(1)).clamp(20, 2_000)).unwrap_or(20);
    let [forward, backward, plain] = shortest(runs, [&mut forward, &mut backward, &mut plain]);
    let times = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let translated = syntax.parse(bytes.to_vec(), &Limits::default()).unwrap();
    let translation = map.text(&translated, cx).unwrap();
    let memory = MEMORY.peak_usage().saturating_sub(before);
    black_box((translation, translated));
    println!(
        "{name} ({}): {} bytes, {} leaves, Bundle of {} bytes; to FHIR {forward:?} = {:.2} x serde_json's {plain:?}; back {backward:?} = {:.2} x to FHIR; at most {memory} bytes of memory = {:.1} x the document",
        map.name(),
        bytes.len(),
        tree.leaf_count(),
        json.len(),
        times(forward, plain),
        times(backward, forward),
        memory as f64 / bytes.len() as f64,
    );
    Some(forward)
}

/// Every OBX ten times; of a message without one, its last segment.
fn tenfold(bytes: &[u8]) -> Vec<u8> {
    let end = if bytes.contains(&b'\r') { b'\r' } else { b'\n' };
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == end).collect();
    let has = lines.iter().any(|line| line.trim_ascii_start().starts_with(b"OBX"));
    let last = lines.iter().rposition(|line| !line.trim_ascii().is_empty());
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let many = if has { line.trim_ascii_start().starts_with(b"OBX") } else { Some(at) == last };
        for _ in 0..if many { 10 } else { 1 } {
            out.extend_from_slice(line);
        }
    }
    out
}

fn main() {
    let maps = Maps::embedded(Model::r4());
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "--growth").is_some() {
        let base = arguments.next().and_then(|n| n.parse().ok()).unwrap();
        arguments.for_each(|file| growth::measure(&maps, &file, base, 11.0));
        return;
    }
    let mut cx = Context::new("bench", Timestamp::UNIX_EPOCH, b"bench");
    cx.loss = Loss::Warn;
    for file in arguments {
        let bytes = std::fs::read(&file).unwrap();
        let name = file.rsplit('/').next().unwrap_or(&file);
        let map = match maps.recognise(bytes.clone(), Charset::Utf8, &Limits::default()) {
            Ok((map, _)) => map,
            Err(error) => {
                println!("{name}: {error}");
                continue;
            }
        };
        let one = measure(name, &map, &bytes, &cx);
        if bytes.starts_with(b"MSH")
            && let Some(one) = one
        {
            let many = tenfold(&bytes);
            let ten = measure(&format!("{name}, tenfold"), &map, &many, &cx);
            if let Some(ten) = ten {
                let size = many.len() as f64 / bytes.len() as f64;
                println!("  {size:.1} times the bytes take {:.1} times as long", ten.as_secs_f64() / one.as_secs_f64());
            }
        }
    }
}
