//! The code is laid out as ARCHITECTURE.md says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each module may use, itself and `fault` aside. What is used may be used further.
const USES: &[(&str, &[&str])] = &[
    ("definitions", &[]),
    ("fhir", &["definitions"]),
    ("native", &["definitions"]),
    ("fhirpath", &["fhir"]),
    ("package", &["fhir"]),
    ("terminology", &["fhirpath", "package"]),
    ("search", &["fhirpath"]),
    ("validation", &["fhirpath", "package", "terminology"]),
    ("native_rules", &["native", "terminology"]),
    ("mapping", &["native", "native_rules", "fhirpath", "terminology"]),
    ("clock", &[]),
    ("telemetry", &["clock"]),
    ("store", &["engine", "clock", "telemetry"]),
    ("provider", &["engine", "clock", "telemetry"]),
    ("access", &["store"]),
    ("exchange", &["access", "provider", "store"]),
    ("gateway", &["exchange"]),
    ("config", &["gateway"]),
    ("command", &["config"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every Rust file with the module it belongs to.
fn modules() -> Vec<(String, PathBuf)> {
    let source = root().join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    found
        .into_iter()
        .filter_map(|path| {
            let relative = path.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
            let inside = relative.strip_prefix("engine/").unwrap_or(&relative);
            let module = inside.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            (!matches!(module.as_str(), "lib" | "main" | "build" | "examples")).then_some((module, path))
        })
        .collect()
}

/// The modules named after `crate::` or `silta_engine::` in a text, comments and strings aside.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for start in ["crate::", "silta_engine::"] {
            let mut rest = code;
            while let Some(at) = rest.find(start) {
                rest = &rest[at + start.len()..];
                if let Some(list) = rest.strip_prefix('{') {
                    for one in list.split(['}', ',']) {
                        let name: String =
                            one.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                        found.insert(name);
                    }
                    continue;
                }
                found.insert(rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect());
            }
        }
    }
    found
}

#[test]
fn every_module_uses_only_what_it_may() {
    let direct: BTreeMap<&str, &[&str]> = USES.iter().copied().collect();
    let engine = [
        "definitions",
        "fhir",
        "native",
        "fhirpath",
        "package",
        "terminology",
        "search",
        "validation",
        "mapping",
        "native_rules",
    ];
    let allowed = |module: &str| {
        let mut open = vec![module.to_owned()];
        let mut all = BTreeSet::from(["fault".to_owned()]);
        while let Some(one) = open.pop() {
            if one == "engine" {
                open.extend(engine.map(str::to_owned));
            } else if all.insert(one.clone()) {
                let more = direct.get(one.as_str()).copied().unwrap_or_default();
                open.extend(more.iter().map(|name| (*name).to_owned()));
            }
        }
        all
    };
    let known: BTreeSet<&str> = USES.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for (module, path) in modules() {
        if module == "fault" {
            continue;
        }
        assert!(known.contains(module.as_str()), "{module} is not in the table");
        let allowed = allowed(&module);
        for name in named(&std::fs::read_to_string(&path).unwrap()) {
            if known.contains(name.as_str()) && !allowed.contains(&name) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_about() {
    let silent: Vec<PathBuf> = modules()
        .into_iter()
        .map(|(_, path)| path)
        .filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_engine_knows_no_network_runtime_or_database() {
    let manifest: toml::Table =
        toml::from_str(&std::fs::read_to_string(root().join("src/engine/Cargo.toml")).unwrap()).unwrap();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        assert!(!["tokio", "hyper", "rusqlite", "reqwest", "rustls"].contains(&name.as_str()), "{name}");
    }
}
