//! Golden cases of the maps: `tests/golden/<map>/<case>/{context.toml,native.EXT,fhir.json,report.json}` and, below
//! `edits/<name>/`, an `edit.txt` with the `native.EXT` that the changed Bundle is written as. Each case also holds the laws: the
//! unchanged Bundle writes the same bytes, and what was edited reads back as it was wanted. `SILTA_BLESS=1` writes what
//! is found as what is expected.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::syntax::NativeType;
use silta_engine::mapping::{Context, Loss, Map, Maps, Named, Report};
use silta_engine::native::delimited::Dialect;
use silta_engine::native::{self, Charset, Syntax, Tree};
use silta_engine::validation::{Severity, Validator};

/// What a case says of its provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    provider: String,
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    charset: Option<String>,
    #[serde(default)]
    authorities: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    lossy: bool,
}

struct Case {
    directory: PathBuf,
    map: String,
    context: Context,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found = Vec::new();
    for map in folders(&root) {
        for directory in folders(&map) {
            let Ok(text) = fs::read_to_string(directory.join("context.toml")) else { continue };
            let settings: Settings = toml::from_str(&text).unwrap();
            let mut context = Context::new(&settings.provider, "2026-03-05T12:00:00Z".parse().unwrap(), b"golden");
            if let Some(zone) = &settings.zone {
                context.zone = Some(TimeZone::get(zone).unwrap());
            }
            if let Some(name) = &settings.charset {
                context.charset = Charset::named(name).unwrap();
            }
            context.authorities = settings.authorities.iter().map(|(name, uri)| Named::new(name, uri)).collect();
            context.loss = if settings.lossy { Loss::Warn } else { Loss::Refuse };
            let map = map.file_name().unwrap().to_string_lossy().into_owned();
            found.push(Case { directory, map, context });
        }
    }
    assert!(!found.is_empty());
    found
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(of).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    all.sort();
    all
}

impl Case {
    fn name(&self) -> String {
        format!("{}/{}", self.map, self.directory.file_name().unwrap().to_string_lossy())
    }

    fn native(&self) -> PathBuf {
        let files = fs::read_dir(&self.directory).unwrap().map(|e| e.unwrap().path());
        files.into_iter().find(|p| p.file_stem().is_some_and(|s| s == "native")).unwrap()
    }

    fn syntax(&self) -> Syntax {
        match self.native().extension().unwrap().to_str().unwrap() {
            "json" => Syntax::Json,
            "xml" => Syntax::Xml,
            "csv" => {
                let dialect = Dialect { separator: ';', charset: self.context.charset, ..Dialect::default() };
                Syntax::Delimited(dialect)
            }
            "hl7" => Syntax::Hl7V2(native::hl7v2::Options { charset: self.context.charset }),
            other => panic!("no syntax for {other}"),
        }
    }

    /// The map of the case: the document is found to be of it, but where it may be of several versions of FHIR.
    fn map_of<'m>(&self, maps: &'m Maps, tree: &Tree) -> &'m Arc<Map> {
        let named = maps.named(&self.map).unwrap();
        if maps.find(tree).is_err() {
            assert!(matches!(named.native(), NativeType::Fhir { .. }) && named.accepts(tree), "{}", self.name());
            return named;
        }
        maps.find(tree).unwrap()
    }

    fn is_v2(&self) -> bool {
        self.native().extension().is_some_and(|e| e == "hl7")
    }

    /// The bytes as they stand in the repository, where each segment has a line of its own.
    fn in_lines(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().map(|b| if self.is_v2() && *b == b'\r' { b'\n' } else { *b }).collect()
    }

    fn tree(&self) -> Tree {
        let mut bytes = fs::read(self.native()).unwrap();
        if self.is_v2() {
            bytes.iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b'\r');
        }
        self.syntax().parse(bytes, &native::Limits::default()).unwrap()
    }
}

fn maps() -> Maps {
    Maps::embedded(Model::r4())
}

fn document(text: &str) -> Arc<Document> {
    Document::from_json(Model::r4(), text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

fn pretty(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    serde_json::to_string_pretty(&value).unwrap() + "\n"
}

/// A report whose rules name files only: a line more in a block that all share changes no case.
fn without_lines(report: &Report) -> Value {
    let mut value = serde_json::to_value(report).unwrap();
    for item in value["items"].as_array_mut().unwrap() {
        if let Some(rule) = item["rule"].as_str() {
            let files: Vec<&str> = rule.split(" > ").map(|part| part.rsplit_once(':').unwrap().0).collect();
            item["rule"] = files.join(" > ").into();
        }
    }
    value
}

fn expect(file: &Path, found: &str) {
    if std::env::var_os("SILTA_BLESS").is_some() {
        fs::write(file, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_else(|_| panic!("{} is missing", file.display()));
    assert_eq!(expected, found, "{}", file.display());
}

fn errors(document: &Arc<Document>) -> Vec<String> {
    let validator = Validator::built_in();
    let findings = validator.validate(document, &[]);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| format!("{}: {}", finding.path(document), finding.text(document))).collect()
}

#[test]
fn documents_become_the_resources_that_are_expected_and_each_leaf_has_its_disposition() {
    let maps = maps();
    for case in cases() {
        let tree = case.tree();
        let map = case.map_of(&maps, &tree);
        assert_eq!(map.name(), case.map);
        let got = map.get(&tree, &case.context).unwrap();
        expect(&case.directory.join("fhir.json"), &pretty(got.document().json()));
        let report = got.report(&tree);
        expect(&case.directory.join("report.json"), &pretty(&without_lines(&report).to_string()));
        let sum = report.mapped + report.approximated + report.residue + report.dropped + report.errors;
        assert_eq!(sum, report.leaves, "{}", case.name());
        assert_eq!(report.errors, 0, "{}", case.name());
        assert_eq!(errors(got.document()), Vec::<String>::new(), "{}", case.name());
    }
}

#[test]
fn unchanged_resources_write_the_same_bytes() {
    let maps = maps();
    for case in cases() {
        let tree = case.tree();
        let map = case.map_of(&maps, &tree);
        let got = map.get(&tree, &case.context).unwrap();
        let written = map.put_through(got.document(), &tree, &case.context).unwrap();
        assert_eq!(String::from_utf8_lossy(&written.bytes), String::from_utf8_lossy(tree.bytes()), "{}", case.name());
    }
}

#[test]
fn edited_resources_are_written_where_they_changed_and_read_back_as_wanted() {
    let maps = maps();
    for case in cases() {
        let edits = case.directory.join("edits");
        if !edits.is_dir() {
            continue;
        }
        let tree = case.tree();
        let map = case.map_of(&maps, &tree);
        let before = got_json(map, &tree, &case.context);
        for edit in folders(&edits) {
            let wanted = edited(&before, &edit);
            let written = map.put(&document(&wanted.to_string()), &tree, &case.context);
            let written = written.unwrap_or_else(|error| panic!("{}: {error}", edit.display()));
            let file = edit.join(case.native().file_name().unwrap());
            if std::env::var_os("SILTA_BLESS").is_some() {
                fs::write(&file, case.in_lines(&written.bytes)).unwrap();
            }
            let expected = fs::read(&file).unwrap();
            let found = case.in_lines(&written.bytes);
            assert_eq!(String::from_utf8_lossy(&expected), String::from_utf8_lossy(&found), "{}", edit.display());
            let again = case.syntax().parse(written.bytes, &native::Limits::default()).unwrap();
            let got = got_json(map, &again, &case.context);
            // A changed document that is a new one is another in its number, its signatures and what its sections show.
            if map.makes_editions() {
                assert_ne!(written.report.lost, Vec::new(), "{}", edit.display());
                for value in values(&edit) {
                    assert!(holds(&got, &value), "{}: {value}", edit.display());
                }
                continue;
            }
            // What goes with what was changed: words beside a code.
            let wanted = if edit.join("follows.txt").is_file() { told(&wanted, &edit, "follows.txt") } else { wanted };
            assert_eq!(got, wanted, "{}", edit.display());
        }
    }
}

/// The values that an edit sets.
fn values(edit: &Path) -> Vec<Value> {
    let text = fs::read_to_string(edit.join("edit.txt")).unwrap();
    let all = text.lines().map(|line| serde_json::from_str(line.split_once(' ').unwrap().1).unwrap());
    all.filter(|value: &Value| !value.is_null()).collect()
}

/// Whether a value is anywhere in a Bundle.
fn holds(json: &Value, value: &Value) -> bool {
    json == value
        || match json {
            Value::Array(items) => items.iter().any(|item| holds(item, value)),
            Value::Object(members) => members.values().any(|member| holds(member, value)),
            _ => false,
        }
}

fn got_json(map: &Arc<silta_engine::mapping::Map>, tree: &Tree, context: &Context) -> Value {
    serde_json::from_str(map.get(tree, context).unwrap().document().json()).unwrap()
}

/// An edit: lines of a JSON pointer into the Bundle and a JSON value; `null` takes out.
fn edited(before: &Value, edit: &Path) -> Value {
    told(before, edit, "edit.txt")
}

fn told(before: &Value, edit: &Path, file: &str) -> Value {
    let mut wanted = before.clone();
    for line in fs::read_to_string(edit.join(file)).unwrap().lines() {
        let (pointer, value) = line.split_once(' ').unwrap();
        let (holder, name) = pointer.rsplit_once('/').unwrap();
        let holder = wanted.pointer_mut(holder).unwrap_or_else(|| panic!("{}: {pointer}", edit.display()));
        let value: Value = serde_json::from_str(value).unwrap();
        match (holder, name.parse::<usize>()) {
            (Value::Array(items), Ok(at)) if value.is_null() => drop(items.remove(at)),
            (Value::Array(items), Ok(at)) if at == items.len() => items.push(value),
            (Value::Array(items), Ok(at)) => items[at] = value,
            (Value::Object(members), _) if value.is_null() => drop(members.remove(name)),
            (Value::Object(members), _) => drop(members.insert(name.to_owned(), value)),
            _ => panic!("{}: {pointer}", edit.display()),
        }
    }
    wanted
}
