//! Data that is not part of the project, found by environment variables.
//!
//! `SILTA_TEST_DATA` is a folder of messages and cases, `SILTA_R4_EXAMPLES` the unpacked official R4 examples
//! (`SILTA_R5_EXAMPLES`, `SILTA_STU3_EXAMPLES` those of other versions),
//! `SILTA_R4_CORE` the official core package (`.tgz`). A test without its data says so and passes; the count of such
//! tests is in the last line of `tests/run`.

use std::path::PathBuf;

/// The folder or file an environment variable names; says `skipped` when there is none.
pub(crate) fn outside(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
    if found.is_none() {
        println!("skipped: no test data ({variable})");
    }
    found
}

/// The official R4 examples, as paths of JSON files.
pub(crate) fn r4_examples() -> Option<Vec<PathBuf>> {
    let files = examples("SILTA_R4_EXAMPLES")?;
    assert!(files.len() > 2_000, "the examples are all there");
    Some(files)
}

/// The JSON files of a folder of examples.
pub(crate) fn examples(variable: &str) -> Option<Vec<PathBuf>> {
    let folder = outside(variable)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| !matches!(path.file_name().unwrap().to_str(), Some("package.json" | ".index.json")))
        .collect();
    files.sort();
    Some(files)
}

/// The files of an archive (`.tgz`) in the folder of messages and cases whose names end so: name and content, sorted.
pub(crate) fn archived(archive: &str, extension: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let packed = std::fs::File::open(outside("SILTA_TEST_DATA")?.join(archive)).unwrap();
    let mut unpacked = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for entry in unpacked.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(extension) {
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            files.push((name, content));
        }
    }
    files.sort();
    Some(files)
}

/// The sample HL7 v2 messages.
pub(crate) fn hl7v2_samples() -> Option<Vec<(String, Vec<u8>)>> {
    let samples = archived("hl7v2-samples.tgz", ".hl7")?;
    assert_eq!(samples.len(), 17, "the samples are all there");
    Some(samples)
}

/// The published C-CDA fragments: name and content.
pub(crate) fn ccda_fragments() -> Option<Vec<(String, Vec<u8>)>> {
    let fragments = archived("ccda-examples.tgz", ".xml")?;
    assert!(fragments.len() >= 303, "the fragments are all there");
    Some(fragments)
}

/// Runs a check over many items on two threads and gives what each gave, in order.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], check: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let middle = items.len() / 2;
    let (left, right) = items.split_at(middle);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| right.iter().map(&check).collect::<Vec<R>>());
        let mut all: Vec<R> = left.iter().map(&check).collect();
        all.extend(other.join().unwrap());
        all
    })
}
