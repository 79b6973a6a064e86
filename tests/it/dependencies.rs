//! What the program is built from: sources, licences, version floors, one TLS library.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Least versions: below them are faults that matter here.
const FLOORS: [(&str, [u64; 3]); 6] = [
    ("h2", [0, 4, 16]),
    ("quick-xml", [0, 41, 0]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
    ("tar", [0, 4, 45]),
    ("zip", [2, 3, 0]),
];

const LICENCES: [&str; 14] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    // The metadata name optional packages too; the tree those that are built.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let used: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?.trim_start_matches('v')))
        })
        .collect();
    assert!(used.len() > 100, "the tree was read");
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| used.contains(&(package["name"].as_str().unwrap(), package["version"].as_str().unwrap())))
        .cloned()
        .collect()
}

/// Whether one of the alternatives of an SPDX expression needs only licences that are allowed.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

#[test]
fn licences_sources_and_versions_are_as_they_must_be() {
    let mut wrong = Vec::new();
    for package in packages() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        if !package["license"].as_str().is_some_and(is_allowed) {
            wrong.push(format!("{name} {version}: licence {}", package["license"]));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+")) {
            wrong.push(format!("{name} {version}: source {source:?}"));
        }
        if ["openssl", "native-tls", "ring", "openssl-sys"].contains(&name) {
            wrong.push(format!("{name} {version}: a second TLS library"));
        }
        if let Some((_, floor)) = FLOORS.iter().find(|(held, _)| *held == name) {
            let numbers: Vec<u64> =
                version.split(['.', '-', '+']).take(3).map(|number| number.parse().unwrap_or(0)).collect();
            if numbers < floor.to_vec() {
                wrong.push(format!("{name} {version}: below {floor:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
