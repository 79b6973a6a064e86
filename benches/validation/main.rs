//! Parsing and full validation of the official examples, against parsing the same bytes into a `serde_json::Value`.
//!
//! `cargo run --release -p silta-bench-validation -- --bundles`: Bundles of 1,000 and of 10,000 entries that refer to one another.
//!
//! With `--features mimalloc` both sides have the allocator of the program instead of the system's.
//!
//! `SILTA_R4_EXAMPLES=DIR cargo run --release -p silta-bench-validation [--all] [PREFIX]`: the care types file by
//! file (with `--all` every file, with a prefix only the files whose names start so), then the whole folder. One thread; each figure is the shortest of its runs, and the two
//! sides take turns so that both meet the same noise.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on has failed")]

#[path = "../turns.rs"]
mod turns;

use std::path::{Path, PathBuf};
use std::time::Duration;

use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::validation::Validator;

use turns::shortest;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CARE: [&str; 6] = ["CarePlan-", "ServiceRequest-", "Task-", "Patient-", "CareTeam-", "Goal-"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| !path.ends_with("package.json") && !path.ends_with(".index.json"))
        .collect();
    files.sort();
    files
}

#[derive(Default)]
struct Sum {
    plain: Duration,
    parse: Duration,
    all: Duration,
    worst: f64,
    worst_name: String,
    files: usize,
    bytes: usize,
}

impl Sum {
    fn add(&mut self, name: &str, bytes: usize, [plain, parse, all]: [Duration; 3]) {
        self.plain += plain;
        self.parse += parse;
        self.all += all;
        self.files += 1;
        self.bytes += bytes;
        let ratio = all.as_secs_f64() / plain.as_secs_f64();
        if ratio > self.worst {
            self.worst = ratio;
            name.clone_into(&mut self.worst_name);
        }
    }

    fn print(&self, title: &str) {
        let plain = self.plain.as_secs_f64();
        println!(
            "{title}: {} files, {:.1} MB: serde_json::Value {:.1} ms, ours parsing {:.2}x, parsing and validating {:.2}x, \
             slowest {:.2}x {}",
            self.files,
            self.bytes as f64 / 1e6,
            plain * 1e3,
            self.parse.as_secs_f64() / plain,
            self.all.as_secs_f64() / plain,
            self.worst,
            self.worst_name
        );
    }
}

/// A Bundle of referrals, tasks and patients that refer to one another, by address and by type and id.
fn bundle(entries: usize, kind: &str) -> Vec<u8> {
    let mut text = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":["#);
    for number in 0..entries {
        let base = "https://h.example/fhir/";
        let patient = number - number % 10;
        let (name, resource) = match number % 10 {
            0 => (
                "Patient",
                format!(
                    r#""identifier":[{{"system":"urn:oid:1.2.246.21","value":"{number}"}}],"name":[{{"family":"Virtanen"}}],"gender":"male""#
                ),
            ),
            1 | 3 | 5 | 7 | 9 => (
                "ServiceRequest",
                format!(
                    r#""status":"active","intent":"order","code":{{"text":"x"}},"subject":{{"reference":"Patient/r{patient}"}},"occurrenceDateTime":"2026-01-02T10:00:00+02:00""#
                ),
            ),
            _ => (
                "Task",
                format!(
                    r#""status":"requested","intent":"order","focus":{{"reference":"{base}ServiceRequest/r{}"}},"for":{{"reference":"Patient/r{patient}"}}"#,
                    number - 1
                ),
            ),
        };
        let comma = if number == 0 { "" } else { "," };
        let url = format!(r#""fullUrl":"{base}{name}/r{number}""#);
        text += &format!(r#"{comma}{{{url},"resource":{{"resourceType":"{name}","id":"r{number}",{resource}}}}}"#);
    }
    (text + "]}").into_bytes()
}

/// How the time for ten times the entries compares.
fn bundles() {
    let validator = Validator::built_in();
    for kind in ["collection", "message"] {
        let texts = [bundle(1_000, kind), bundle(10_000, kind)];
        let judge = |text: &[u8]| {
            let document = Document::from_json(Model::r4(), text.to_vec(), &Limits::default()).unwrap();
            drop(std::hint::black_box(validator.validate(&document, &[])));
        };
        let plain = || drop(std::hint::black_box(serde_json::from_slice::<serde_json::Value>(&texts[1]).unwrap()));
        let [small, large, plain] = shortest(10, [&mut || judge(&texts[0]), &mut || judge(&texts[1]), &mut || plain()]);
        println!(
            "{kind}: 1,000 entries {:.1} ms, 10,000 entries {:.1} ms, {:.2} times (a Value of them {:.1} ms)",
            small.as_secs_f64() * 1e3,
            large.as_secs_f64() * 1e3,
            large.as_secs_f64() / small.as_secs_f64(),
            plain.as_secs_f64() * 1e3
        );
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--bundles") {
        bundles();
        return;
    }
    let Some(folder) = std::env::var_os("SILTA_R4_EXAMPLES").map(PathBuf::from) else {
        println!("skipped: no test data (SILTA_R4_EXAMPLES)");
        return;
    };
    let each = std::env::args().any(|argument| argument == "--all");
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let validator = Validator::built_in();
    let limits = Limits::default();
    let (mut care, mut all) = (Sum::default(), Sum::default());
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| !name.starts_with(only)) {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let runs = if text.len() < 100_000 { 200 } else { 12 };
        let measured = shortest(
            runs,
            [
                &mut || drop(std::hint::black_box(serde_json::from_slice::<serde_json::Value>(&text).unwrap())),
                &mut || drop(std::hint::black_box(Document::from_json(Model::r4(), text.clone(), &limits).unwrap())),
                &mut || {
                    let document = Document::from_json(Model::r4(), text.clone(), &limits).unwrap();
                    drop(std::hint::black_box(validator.validate(&document, &[])));
                },
            ],
        );
        let is_care = CARE.iter().any(|start| name.starts_with(start));
        if is_care || each {
            let micros = |at: usize| measured.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6);
            println!(
                "{name:60} {:9} B {:9.1} us {:5.2}x {:5.2}x",
                text.len(),
                micros(0),
                micros(1) / micros(0),
                micros(2) / micros(0)
            );
        }
        if is_care {
            care.add(&name, text.len(), measured);
        }
        all.add(&name, text.len(), measured);
    }
    care.print("care types");
    all.print("all examples");
}
