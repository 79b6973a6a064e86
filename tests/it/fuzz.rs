//! The fuzz targets over their corpus, on stable: whatever bytes come, there is an end and no panic.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::path::Path;

use targets::TARGETS;

/// Each file as it is, cut in half, and with some of its bytes changed.
fn variants(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut variants = vec![bytes.to_vec(), bytes[..bytes.len() / 2].to_vec()];
    for step in [7, 31] {
        let mut changed = bytes.to_vec();
        for (number, byte) in changed.iter_mut().step_by(step).enumerate() {
            *byte = byte.wrapping_add(u8::try_from(number % 251).unwrap());
        }
        variants.push(changed);
    }
    variants
}

#[test]
fn every_target_ends_on_everything_in_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let mut files: Vec<_> =
            std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() > 3, "{name} has a corpus");
        for file in files {
            for bytes in variants(&std::fs::read(&file).unwrap()) {
                target(&bytes);
            }
        }
    }
}

#[test]
fn every_target_has_a_program_for_cargo_fuzz() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut programs: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    programs.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(programs, names);
}
