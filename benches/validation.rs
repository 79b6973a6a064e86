//! Parsing and full validation of the official examples, against parsing the same bytes into a `serde_json::Value`.
//!
//! `SILTA_R4_EXAMPLES=DIR cargo bench --bench validation`: the care types file by file, then the whole folder.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use silta::clock::Clock;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::validation::Validator;

const CARE: [&str; 6] = ["CarePlan-", "ServiceRequest-", "Task-", "Patient-", "CareTeam-", "Goal-"];

/// The shortest of some runs of a piece of work.
fn shortest(clock: &Clock, runs: u32, mut work: impl FnMut()) -> Duration {
    (0..runs)
        .map(|_| {
            let start = clock.instant();
            work();
            clock.instant().since(start)
        })
        .min()
        .unwrap_or_default()
}

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

fn main() {
    let Some(folder) = std::env::var_os("SILTA_R4_EXAMPLES").map(PathBuf::from) else {
        println!("skipped: no test data (SILTA_R4_EXAMPLES)");
        return;
    };
    let clock = Clock::system();
    let validator = Validator::built_in();
    let limits = Limits::default();
    let mut care = (Duration::ZERO, Duration::ZERO);
    let mut all = (Duration::ZERO, Duration::ZERO);
    let mut slowest = (0.0, String::new());
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read(&path).unwrap();
        let is_care = CARE.iter().any(|start| name.starts_with(start));
        let runs = if text.len() < 100_000 { 30 } else { 3 };
        let plain = shortest(&clock, runs, || {
            std::hint::black_box(serde_json::from_slice::<serde_json::Value>(&text).unwrap());
        });
        let ours = shortest(&clock, runs, || {
            let document = Document::from_json(Model::r4(), text.clone(), &limits).unwrap();
            std::hint::black_box(validator.validate(&document, &[]));
        });
        let ratio = ours.as_secs_f64() / plain.as_secs_f64();
        all = (all.0 + plain, all.1 + ours);
        if ratio > slowest.0 {
            slowest = (ratio, name.clone());
        }
        if is_care {
            care = (care.0 + plain, care.1 + ours);
            println!("{name:60} {:8.1} us {:8.1} us {ratio:5.2}", plain.as_secs_f64() * 1e6, ours.as_secs_f64() * 1e6);
        }
    }
    let ratio = |(plain, ours): (Duration, Duration)| ours.as_secs_f64() / plain.as_secs_f64();
    println!(
        "care types together {:.2}, all examples {:.2}, slowest {:.2} {}",
        ratio(care),
        ratio(all),
        slowest.0,
        slowest.1
    );
}
