//! Single faults, made by the program: each is found, at its exact place.
//!
//! The sound documents are the official examples of the types that carry a case; a seed chooses where each kind of fault is
//! made. The seed is printed; `SILTA_SEED` gives another, `SILTA_MUTANTS` how many of each kind a document gets, and
//! `SILTA_MUTANTS_OUT` a folder to write them to, for other validators to judge.

mod faults;
mod places;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::validation::{Severity, Validator};

use crate::support::data;

/// One fault in a document that was sound.
pub(crate) struct Mutant {
    /// Which kind of fault: `bad-date`.
    pub(crate) kind: &'static str,
    pub(crate) document: Value,
    /// Where an error must be told.
    pub(crate) path: String,
    /// A profile that the fault is against, beyond the core.
    pub(crate) profile: Option<&'static str>,
}

/// Chooses; the same seed chooses the same.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Some of many, in their order.
    pub(crate) fn some<T>(&mut self, mut of: Vec<T>, most: usize) -> Vec<T> {
        while of.len() > most {
            let place = usize::try_from(self.roll() % of.len() as u64).unwrap();
            of.swap_remove(place);
        }
        of
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn read(value: &Value) -> Result<Arc<Document>, String> {
    Document::from_json(Model::r4(), value.to_string().into_bytes(), &Limits::default())
        .map_err(|error| error.to_string())
}

/// Path and sentence of each error.
fn errors(validator: &Validator, value: &Value, profile: Option<&str>) -> Vec<(String, String)> {
    let document = read(value).unwrap();
    let profiles: Vec<&str> = profile.into_iter().collect();
    validator
        .validate(&document, &profiles)
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| (finding.path(&document), finding.text(&document)))
        .collect()
}

const TYPES: [&str; 7] = ["CarePlan-", "ServiceRequest-", "Task-", "CareTeam-", "Goal-", "Patient-", "Bundle-"];

#[test]
fn every_single_fault_in_the_examples_is_found_at_its_place() {
    let Some(files) = data::r4_examples() else { return };
    let validator = Validator::built_in();
    let seed = number("SILTA_SEED", 20_260_302);
    let each = usize::try_from(number("SILTA_MUTANTS", 1)).unwrap();
    println!("seed {seed}, {each} of each kind a document");
    let sound: Vec<(String, Value)> = files
        .iter()
        .filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            TYPES.iter().any(|start| name.starts_with(start)) && std::fs::metadata(file).unwrap().len() < 60_000
        })
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
        })
        .filter(|(_, value)| errors(&validator, value, None).is_empty())
        .collect();
    assert!(sound.len() > 80, "most examples are sound: {}", sound.len());
    let judged = data::in_parallel(&sound, |(name, value)| {
        let mut dice = Dice::new(seed ^ name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte)));
        let mutants = faults::of(value, &mut dice, each, &validator);
        if let Some(folder) = std::env::var_os("SILTA_MUTANTS_OUT") {
            write(std::path::Path::new(&folder), name, &mutants);
        }
        judge(&validator, name, &mutants)
    });
    tell(judged);
}

#[test]
fn every_single_fault_against_a_profile_is_found_at_its_place() {
    let validator = Validator::built_in();
    let judged = faults::profiled().into_iter().map(|(name, mutants)| judge(&validator, name, &mutants)).collect();
    tell(judged);
}

/// What came of the mutants of one document: made by kind, and the misses.
type Judged = (BTreeMap<&'static str, usize>, Vec<String>);

fn judge(validator: &Validator, name: &str, mutants: &[Mutant]) -> Judged {
    let mut made = BTreeMap::new();
    let mut missed = Vec::new();
    for mutant in mutants {
        *made.entry(mutant.kind).or_default() += 1;
        let found = errors(validator, &mutant.document, mutant.profile);
        if mutant.kind == "sound" {
            assert_eq!(found, [], "{name}");
            continue;
        }
        if !found.iter().any(|(path, _)| *path == mutant.path) {
            let mut line = format!("{name} {} at {}: ", mutant.kind, mutant.path);
            let _ = write!(line, "{found:?}");
            missed.push(line);
        }
    }
    (made, missed)
}

fn tell(judged: Vec<Judged>) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missed = Vec::new();
    for (made, misses) in judged {
        for (kind, count) in made {
            *kinds.entry(kind).or_default() += count;
        }
        missed.extend(misses);
    }
    println!("{} mutants: {kinds:?}", kinds.values().sum::<usize>());
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}

fn write(folder: &std::path::Path, name: &str, mutants: &[Mutant]) {
    std::fs::create_dir_all(folder).unwrap();
    for (number, mutant) in mutants.iter().enumerate() {
        let file = folder.join(format!("{name}.{}.{number}.json", mutant.kind));
        std::fs::write(file, mutant.document.to_string()).unwrap();
        let place = folder.join(format!("{name}.{}.{number}.path", mutant.kind));
        std::fs::write(place, &mutant.path).unwrap();
    }
}
