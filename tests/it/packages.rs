//! Packages: what is refused, what they build on, snapshots generated from differentials, and the Finnish packages with
//! their examples.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits as DocumentLimits};
use silta_engine::package::archive::{File, Limits, read_tgz};
use silta_engine::package::library::Library;
use silta_engine::package::manifest::{Found, Manifest};
use silta_engine::package::snapshot::Generator;
use silta_engine::validation::Validator;

use crate::support::data;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("")
}

/// What of an element a validator acts on, in one line.
fn facts(element: &Value) -> BTreeMap<&'static str, String> {
    let plain = |url: &str| url.strip_suffix("|4.0.1").unwrap_or(url).to_owned();
    let strings = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
    };
    let mut facts = BTreeMap::new();
    facts.insert("min", element["min"].to_string());
    facts.insert("max", text(element, "max").to_owned());
    let types: BTreeSet<String> = element["type"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let system = text(one, "code").starts_with("http://hl7.org/fhirpath/");
            let code = if system { "primitive" } else { text(one, "code") };
            format!("{code} {:?} {:?}", strings(&one["profile"]), strings(&one["targetProfile"]))
        })
        .collect();
    facts.insert("type", format!("{types:?}"));
    let binding = &element["binding"];
    // A binding to no value set binds nothing; the core has one version of each of its own.
    let value_set = text(binding, "valueSet").split('|').next().unwrap();
    if !value_set.is_empty() {
        facts.insert("binding", format!("{} {value_set}", text(binding, "strength")));
    }
    let keys: BTreeSet<&str> =
        element["constraint"].as_array().into_iter().flatten().map(|one| text(one, "key")).collect();
    facts.insert("constraint", format!("{keys:?}"));
    for (key, value) in element.as_object().unwrap() {
        for start in ["fixed", "pattern"] {
            if key.starts_with(start) {
                facts.insert(start, format!("{key} {value}"));
            }
        }
    }
    let slicing = &element["slicing"];
    // Extensions are sliced by their url whether a snapshot repeats it or not.
    let is_extension = text(element, "path").to_ascii_lowercase().ends_with("extension");
    if !slicing.is_null() && !is_extension {
        facts.insert("slicing", format!("{} {}", slicing["discriminator"], text(slicing, "rules")));
    }
    facts
}

/// Where two snapshots differ: element and fact, ours and theirs.
fn differences(ours: &[Value], theirs: &[Value]) -> Vec<String> {
    let by_id = |elements: &[Value]| -> BTreeMap<String, BTreeMap<&'static str, String>> {
        elements.iter().map(|element| (text(element, "id").to_owned(), facts(element))).collect()
    };
    let (ours, theirs) = (by_id(ours), by_id(theirs));
    let mut out = Vec::new();
    for id in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        match (ours.get(id), theirs.get(id)) {
            (Some(own), Some(other)) => {
                for key in own.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                    if own.get(key) != other.get(key) {
                        let of = |facts: &BTreeMap<&str, String>| facts.get(key).cloned().unwrap_or_default();
                        out.push(format!("{id} {key}: {} / {}", of(own), of(other)));
                    }
                }
            }
            (Some(_), None) => out.push(format!("{id} only ours")),
            _ => out.push(format!("{id} only theirs")),
        }
    }
    out
}

/// Known differences, each block with its reason: definition, element, fact, ours and theirs.
const KNOWN: &str = include_str!("../golden/packages/snapshots.txt");

fn judged(found: &[String], of: &str) {
    let known: BTreeSet<&str> =
        KNOWN.lines().filter(|line| line.starts_with(of) && !line.starts_with('#') && !line.is_empty()).collect();
    let unexpected: Vec<&String> = found.iter().filter(|line| !known.contains(line.as_str())).collect();
    let gone: Vec<&&str> = known.iter().filter(|line| !found.iter().any(|one| one == **line)).collect();
    assert!(unexpected.is_empty() && gone.is_empty(), "unexpected: {unexpected:#?}\ngone: {gone:#?}");
}

/// The differences of all profiles in a package's files between what we make and what they hold.
fn all_differences(generator: &mut Generator<'_>, files: &[File], of: &str) -> (usize, Vec<String>) {
    let (mut compared, mut out) = (0, Vec::new());
    for file in files.iter().filter(|file| file.name.starts_with("StructureDefinition-")) {
        let Ok(definition) = serde_json::from_slice::<Value>(&file.content) else { continue };
        if text(&definition, "derivation") != "constraint" || definition["snapshot"].is_null() {
            continue;
        }
        compared += 1;
        let url = text(&definition, "url");
        let told = match generator.snapshot(url) {
            Ok(made) => {
                let mut told = differences(&made.elements, definition["snapshot"]["element"].as_array().unwrap());
                told.extend(made.notes.into_iter().map(|note| format!("{} says {}", note.element, note.says)));
                told
            }
            Err(error) => vec![error.to_string()],
        };
        let name = url.rsplit('/').next().unwrap();
        out.extend(told.iter().map(|line| format!("{of} {name} {line}")));
    }
    (compared, out)
}

#[test]
fn snapshots_made_from_differentials_are_those_that_the_core_package_has() {
    let Some(core) = data::outside("SILTA_R4_CORE") else { return };
    let files = read_tgz(&std::fs::read(core).unwrap(), Limits::default()).unwrap();
    let library = Library::empty();
    let (compared, found) = all_differences(&mut Generator::new(Model::r4(), &library), &files, "core");
    assert!(compared > 430, "the core package is all there");
    judged(&found, "core");
}

/// The Finnish packages at hand: name, files.
fn finnish() -> Option<Vec<(String, Vec<File>)>> {
    let folder = data::outside("SILTA_TEST_DATA")?.join("packages");
    let mut packages: Vec<(String, Vec<File>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, read_tgz(&std::fs::read(&path).unwrap(), Limits::default()).unwrap())
        })
        .collect();
    packages.sort_by(|one, two| one.0.cmp(&two.0));
    assert_eq!(packages.len(), 3, "base, scheduling and SMART are there");
    Some(packages)
}

#[test]
fn snapshots_made_from_differentials_are_those_that_the_finnish_packages_have() {
    let Some(packages) = finnish() else { return };
    let mut library = Library::empty();
    for (_, files) in &packages {
        assert_eq!(library.add_package(files), []);
    }
    let mut generator = Generator::new(Model::r4(), &library);
    let mut found = Vec::new();
    for (_, files) in &packages {
        found.extend(all_differences(&mut generator, files, "fi").1);
    }
    judged(&found, "fi");
}

#[test]
fn the_finnish_examples_have_no_errors_by_the_finnish_packages() {
    let Some(packages) = finnish() else { return };
    let Some(examples) = data::archived("fi-examples.tgz", ".json") else { return };
    let mut library = Library::built_in();
    for (_, files) in &packages {
        assert_eq!(library.add_package(files), []);
    }
    let validator = Validator::new(library);
    let mut judged = 0;
    let mut wrong = Vec::new();
    for (name, content) in examples {
        let document = Document::from_json(Model::r4(), content, &DocumentLimits::default()).unwrap();
        for finding in validator.validate(&document, &[]) {
            if finding.is_error() {
                wrong.push(format!("{name} {} {}", finding.path(&document), finding.text(&document)));
            }
        }
        judged += 1;
    }
    assert!(judged > 20, "the examples are there");
    // `urn:uuid:ietf:rfc:3986` names no UUID (RFC 4122): the example means `urn:ietf:rfc:3986`.
    let uuid = "found a text that is not of the form of uri";
    let plan = "fi-examples/CarePlan-kanta-phr-optional.json CarePlan.identifier";
    assert_eq!(wrong, [format!("{plan}[0].system {uuid}"), format!("{plan}[1].system {uuid}")]);
}

fn definition(url: &str, base: &str, kind: &str, elements: &Value) -> Value {
    serde_json::json!({
        "resourceType": "StructureDefinition", "url": url, "version": "1.0.0", "name": "X", "status": "draft", "kind": "resource",
        "abstract": false, "type": kind, "derivation": "constraint",
        "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{base}"),
        "differential": {"element": elements},
    })
}

fn made(definitions: Vec<Value>, url: &str) -> (Vec<Value>, Vec<String>) {
    let mut library = Library::empty();
    for one in definitions {
        library.add(one);
    }
    let made = Generator::new(Model::r4(), &library).snapshot(url).unwrap();
    (made.elements, made.notes.into_iter().map(|note| format!("{}: {}", note.element, note.says)).collect())
}

fn element<'e>(elements: &'e [Value], id: &str) -> &'e Value {
    elements.iter().find(|one| text(one, "id") == id).unwrap_or_else(|| panic!("{id} is there"))
}

#[test]
fn slices_and_slices_of_slices_stand_after_their_element_in_order() {
    let url = "https://example.org/StructureDefinition/identified";
    let elements = serde_json::json!([
        {"path": "Patient"},
        {"path": "Patient.identifier", "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
        {"path": "Patient.identifier", "sliceName": "national", "min": 1, "max": "2"},
        {"path": "Patient.identifier.system", "fixedUri": "urn:oid:1.2.246.21"},
        {"id": "Patient.identifier:national/official", "path": "Patient.identifier", "sliceName": "national/official",
            "min": 1, "max": "1"},
        {"id": "Patient.identifier:national/official.use", "path": "Patient.identifier.use", "fixedCode": "official"},
        {"path": "Patient.identifier", "sliceName": "local", "max": "1"},
    ]);
    let (elements, notes) = made(vec![definition(url, "Patient", "Patient", &elements)], url);
    assert_eq!(notes, Vec::<String>::new());
    let slices: Vec<&str> =
        elements.iter().filter(|one| text(one, "path") == "Patient.identifier").map(|one| text(one, "id")).collect();
    assert_eq!(
        slices,
        [
            "Patient.identifier",
            "Patient.identifier:national",
            "Patient.identifier:national/official",
            "Patient.identifier:local"
        ]
    );
    assert_eq!(element(&elements, "Patient.identifier:national.system")["fixedUri"], "urn:oid:1.2.246.21");
    assert_eq!(element(&elements, "Patient.identifier:national/official.use")["fixedCode"], "official");
    // What holds for the slice holds for the slices of it.
    assert_eq!(element(&elements, "Patient.identifier:national/official.system")["fixedUri"], "urn:oid:1.2.246.21");
    assert_eq!(element(&elements, "Patient.identifier:local")["min"], 0);
    assert!(element(&elements, "Patient.identifier").get("fixedUri").is_none());
}

#[test]
fn a_content_reference_and_an_extensions_own_profile_can_be_entered() {
    let url = "https://example.org/StructureDefinition/asked";
    let color = "https://example.org/StructureDefinition/colour";
    let extension = definition(
        color,
        "Extension",
        "Extension",
        &serde_json::json!([
            {"id": "Extension", "path": "Extension", "constraint":
                [{"key": "c-1", "severity": "error", "human": "x", "expression": "value.exists()"}]},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": color},
            {"id": "Extension.value[x]", "path": "Extension.value[x]", "type": [{"code": "string"}]},
        ]),
    );
    let elements = serde_json::json!([
        {"id": "Questionnaire", "path": "Questionnaire"},
        {"id": "Questionnaire.extension:colour", "path": "Questionnaire.extension", "sliceName": "colour", "max": "1",
            "type": [{"code": "Extension", "profile": [color]}]},
        {"id": "Questionnaire.extension:colour.value[x]", "path": "Questionnaire.extension.value[x]", "maxLength": 9},
        {"id": "Questionnaire.item.item.linkId", "path": "Questionnaire.item.item.linkId", "maxLength": 5},
        {"id": "Questionnaire.item.nothing", "path": "Questionnaire.item.nothing", "max": "0"},
        {"id": "Questionnaire.title", "path": "Questionnaire.title", "max": "*"},
    ]);
    let (elements, notes) = made(vec![extension, definition(url, "Questionnaire", "Questionnaire", &elements)], url);
    assert_eq!(
        notes,
        [
            "Questionnaire.item.nothing: the base has no element nothing here",
            "Questionnaire.title: at most * is more than its base's"
        ]
    );
    assert_eq!(element(&elements, "Questionnaire.item.item.linkId")["maxLength"], 5);
    assert_eq!(element(&elements, "Questionnaire.item.linkId").get("maxLength"), None);
    let slice = element(&elements, "Questionnaire.extension:colour");
    assert!(slice["constraint"].as_array().unwrap().iter().any(|one| text(one, "key") == "c-1"));
    let value = element(&elements, "Questionnaire.extension:colour.value[x]");
    assert_eq!((value["maxLength"].as_u64(), text(&value["type"][0], "code")), (Some(9), "string"));
}

#[test]
fn a_short_name_leaves_a_choice_its_type_only_and_the_validator_says_so() {
    let url = "https://example.org/StructureDefinition/measured";
    let elements = serde_json::json!([
        {"path": "Observation"},
        {"path": "Observation.valueQuantity", "min": 0},
        {"path": "Observation.valueQuantity.unit", "min": 1},
    ]);
    let profile = definition(url, "Observation", "Observation", &elements);
    let (elements, _) = made(vec![profile.clone()], url);
    assert_eq!(element(&elements, "Observation.value[x]")["type"], serde_json::json!([{"code": "Quantity"}]));
    assert_eq!(element(&elements, "Observation.value[x]:valueQuantity.unit")["min"], 1);
    let mut library = Library::empty();
    library.add(profile);
    let validator = Validator::new(library);
    let places = |value: &str| {
        let text = format!(
            r#"{{"resourceType":"Observation","meta":{{"profile":["{url}"]}},"status":"final","code":{{"text":"x"}},{value}}}"#
        );
        let document = Document::from_json(Model::r4(), text.into_bytes(), &DocumentLimits::default()).unwrap();
        let findings = validator.validate(&document, &[]);
        findings.iter().filter(|one| one.is_error()).map(|one| one.path(&document)).collect::<Vec<_>>()
    };
    assert_eq!(places(r#""valueQuantity":{"value":1,"unit":"kg"}"#), Vec::<String>::new());
    assert_eq!(places(r#""valueQuantity":{"value":1}"#), ["Observation.value.ofType(Quantity)"]);
    assert_eq!(places(r#""valueString":"heavy""#), ["Observation.value.ofType(string)"]);
}

#[test]
fn definitions_that_derive_from_themselves_or_from_nothing_at_hand_are_told() {
    let (one, two) = ("https://example.org/StructureDefinition/one", "https://example.org/StructureDefinition/two");
    let of = |url: &str, base: &str| {
        let mut made = definition(url, "Patient", "Patient", &serde_json::json!([{"path": "Patient"}]));
        made["baseDefinition"] = base.into();
        made
    };
    let mut library = Library::empty();
    library.add(of(one, two));
    library.add(of(two, one));
    library.add(of("https://example.org/StructureDefinition/three", "https://example.org/StructureDefinition/none"));
    let mut generator = Generator::new(Model::r4(), &library);
    let told =
        |made: Result<_, silta_engine::package::snapshot::SnapshotError>| made.map(|_| ()).unwrap_err().to_string();
    assert_eq!(told(generator.snapshot(one)), format!("{one} derives from itself"));
    assert_eq!(
        told(generator.snapshot("https://example.org/StructureDefinition/three")),
        "https://example.org/StructureDefinition/none is not at hand"
    );
}

fn packed(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        // The library refuses to write such paths itself.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        if *kind == tar::EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn paths_out_of_a_package_links_and_bombs_are_refused() {
    use tar::EntryType::{Regular, Symlink};
    let told = |bytes: &[u8], limits| read_tgz(bytes, limits).unwrap_err().to_string();
    let limits = Limits::default();
    let good = packed(&[("package/package.json", Regular, b"{}")]);
    assert_eq!(read_tgz(&good, limits).unwrap()[0].name, "package.json");
    for path in ["package/../../x.json", "../x.json", "/etc/x.json"] {
        let bad = packed(&[("package/package.json", Regular, b"{}"), (path, Regular, b"{}")]);
        assert_eq!(told(&bad, limits), "entry 1 has a path outside of the package", "{path}");
    }
    let link = packed(&[("package/a.json", Symlink, b"")]);
    assert_eq!(told(&link, limits), "entry 0 is not a plain file or folder");
    let small = Limits { bytes: 1_000_000, entries: 3 };
    let bomb = packed(&[("package/a.json", Regular, &vec![b' '; 2_000_000])]);
    assert!(bomb.len() < 10_000, "it is small while it is packed");
    assert_eq!(told(&bomb, small), "the package unpacks to more than 1000000 bytes or entries");
    let many = packed(&[("package/a.json", Regular, b"{}".as_slice()); 5]);
    assert_eq!(told(&many, small), "the package unpacks to more than 3 bytes or entries");
    let cut = good.get(..good.len() / 2).unwrap();
    assert!(told(cut, limits).starts_with("not a readable .tgz"));
    assert!(told(b"PK\x03\x04", limits).starts_with("not a readable .tgz"));
}

#[test]
fn versions_stand_side_by_side_and_the_highest_release_is_meant_where_none_is_named() {
    let mut library = Library::empty();
    let url = "https://example.org/ValueSet/x";
    for version in ["1.2.0", "1.10.0", "2.0.0-rc2", "1.9.0"] {
        library.add(serde_json::json!({"resourceType": "ValueSet", "url": url, "version": version}));
    }
    let found = |canonical: &str| library.find("ValueSet", canonical).map(|one| one.version.clone());
    assert_eq!(found(url).as_deref(), Some("2.0.0-rc2"));
    assert_eq!(found(&format!("{url}|1.2.0")).as_deref(), Some("1.2.0"));
    assert_eq!(found(&format!("{url}|1.9")).as_deref(), Some("1.9.0"));
    assert_eq!(found(&format!("{url}|3.0.0")), None);
    assert_eq!(library.find("CodeSystem", url).map(|one| &one.version), None);
}

#[test]
fn a_package_says_what_it_builds_on_and_what_stands_for_what_is_not_there() {
    let manifest = |name: &str, version: &str, dependencies: &str| {
        let content = format!(
            r#"{{"name":"{name}","version":"{version}","fhirVersions":["4.0.1"],"dependencies":{{{dependencies}}}}}"#
        );
        Manifest::of(&[File { name: "package.json".to_owned(), content: content.into_bytes() }]).unwrap()
    };
    let loaded = [
        manifest("a", "1.0.0", r#""hl7.fhir.r4.core":"4.0.1","b":"1.1.0","c":"2.0.x","d":"1.0.0""#),
        manifest("b", "1.2.0", ""),
        manifest("c", "2.0.7", ""),
    ];
    let found: Vec<_> = loaded[0].resolve(&loaded).collect();
    assert_eq!(
        found,
        [
            ("b", "1.1.0", Found::Other("1.2.0".to_owned())),
            ("c", "2.0.x", Found::Loaded),
            ("d", "1.0.0", Found::Absent),
            ("hl7.fhir.r4.core", "4.0.1", Found::BuiltIn),
        ]
    );
    assert!(loaded[0].is_for("4.0.1") && !loaded[0].is_for("5.0.0"));
}
