//! Parsing and full validation of the official examples, against parsing the same bytes into a `serde_json::Value`.
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

fn main() {
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
