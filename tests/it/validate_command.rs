//! `silta validate` and `silta package`, as a person at a terminal has them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

struct Ran {
    code: i32,
    out: String,
    told: String,
}

fn silta(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut running = Command::new(env!("CARGO_BIN_EXE_silta"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = running.wait_with_output().unwrap();
    Ran {
        code: done.status.code().unwrap(),
        out: String::from_utf8(done.stdout).unwrap(),
        told: String::from_utf8(done.stderr).unwrap(),
    }
}

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

const WRONG: &str = "{\n  \"resourceType\": \"Patient\",\n  \"gender\": \"F\"\n}";

#[test]
fn a_finding_names_file_place_path_rule_and_what_was_expected() {
    let (_kept, at) = folder(&[("p.json", WRONG), ("q.json", r#"{"resourceType":"Patient","active":true}"#)]);
    let ran = silta(&at, &["validate", "p.json", "q.json"], "");
    assert_eq!(ran.code, 1);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(
        lines,
        [
            "p.json:3:14: error: Patient.gender: the value set gives no code system to \"F\" \
             [http://hl7.org/fhir/ValueSet/administrative-gender]",
            "p.json:3:14: error: Patient.gender: the code \"F\" is not in the value set \
             http://hl7.org/fhir/ValueSet/administrative-gender \
             [http://hl7.org/fhir/StructureDefinition/Patient|4.0.1#Patient.gender]",
            "p.json: 2 errors",
            "q.json: nothing wrong was found",
        ]
    );
    assert_eq!(silta(&at, &["validate", "q.json"], "").code, 0);
    assert_eq!(silta(&at, &["validate", "none.json"], "").code, 2);
    assert_eq!(silta(&at, &["validate"], "").code, 2);
}

#[test]
fn machines_get_an_outcome_a_document_from_files_folders_lines_and_standard_input() {
    let lines = format!("{}\n\n{}\n", r#"{"resourceType":"Patient"}"#, WRONG.replace('\n', ""));
    let xml = "<Patient xmlns=\"http://hl7.org/fhir\">\n<gender value=\"F\"/></Patient>";
    let (_kept, at) = folder(&[("all/a.ndjson", &lines), ("all/in/b.xml", xml), ("all/notes.txt", "no document")]);
    let ran = silta(&at, &["validate", "--json", "all", "-"], WRONG);
    assert_eq!(ran.code, 1);
    let told: Vec<(String, Value, String, String)> = ran
        .out
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let issue = &line["outcome"]["issue"][0];
            let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
            (text(&line["file"]), line["line"].clone(), text(&issue["severity"]), text(&issue["diagnostics"]))
        })
        .collect();
    let of = |file: &str, line: Value, severity: &str, place: &str| {
        (file.to_owned(), line, severity.to_owned(), place.to_owned())
    };
    assert_eq!(
        told,
        [
            of("all/a.ndjson", json!(1), "information", ""),
            of("all/a.ndjson", json!(3), "error", "1:43"),
            of("all/in/b.xml", Value::Null, "error", "2:1"),
            of("-", Value::Null, "error", "3:14"),
        ]
    );
}

#[test]
fn packages_bring_profiles_and_say_what_they_lack() {
    let profile = json!({"resourceType": "StructureDefinition", "url": "https://example.org/P", "version": "1.2.0",
        "name": "P", "status": "draft", "kind": "resource", "abstract": false, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient", "path": "Patient"},
            {"id": "Patient.name", "path": "Patient.name", "min": 1}]}})
    .to_string();
    let manifest =
        r#"{"name":"a.b","version":"1.0.0","fhirVersions":["4.0.1"],"dependencies":{"c.d":"2.0.0","e.f":"1.0.0"}}"#;
    let other = r#"{"name":"c.d","version":"2.0.0","fhirVersions":["4.0.1"]}"#;
    let (_kept, at) = folder(&[
        ("a/package/package.json", manifest),
        ("a/package/P.json", &profile),
        ("c.d-2.0.0/package/package.json", other),
        ("patient.json", r#"{"resourceType":"Patient"}"#),
    ]);
    for canonical in ["https://example.org/P", "https://example.org/P|1.2.0"] {
        let ran = silta(&at, &["validate", "--package", "a", "--profile", canonical, "patient.json"], "");
        assert_eq!(ran.code, 1);
        assert!(ran.out.contains("[https://example.org/P|1.2.0#Patient.name]"), "{}", ran.out);
        assert_eq!(ran.told, "e.f 1.0.0 is not at hand: what refers to it is told and not checked\n");
    }
    let ran = silta(&at, &["validate", "--package", "a", "--profile", "https://example.org/P|9", "patient.json"], "");
    assert_eq!((ran.code, ran.out.contains("is not at hand")), (0, true));
    let ran = silta(&at, &["package", "snapshot", "--package", "a", "https://example.org/P"], "");
    let made: Value = serde_json::from_str(&ran.out).unwrap();
    let elements = made["snapshot"]["element"].as_array().unwrap();
    let name = elements.iter().find(|element| element["id"] == "Patient.name").unwrap();
    assert_eq!((&name["min"], &name["type"][0]["code"]), (&json!(1), &json!("HumanName")));
}

#[test]
fn native_documents_are_judged_by_their_own_rules() {
    let message = "MSH|^~\\&|A|B|C|D|20261302100000||REF^I12^REF_I12|1|P|2.5.1\rPID|||1||A^B\rPV1||X\r";
    let schema = r#"{"type":"object","required":["hetu"],"properties":{"ika":{"type":"integer"}}}"#;
    let (_kept, at) = folder(&[
        ("m.hl7", message),
        ("no.hl7", "MSH|^~\\&|A"),
        ("s.schema", schema),
        ("d.json", r#"{"ika":"x"}"#),
        ("t.csv", "hetu;nimi\r\n1;A\r\n2\r\n"),
        ("cda.xml", "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><id/></ClinicalDocument>"),
        ("cut.xml", "<ClinicalDocument xmlns=\"urn:hl7-org:v3\">\n<id></ClinicalDocument>"),
    ]);
    let ran = silta(&at, &["validate", "m.hl7"], "");
    assert!(ran.out.contains("m.hl7:PRD[1]: error: expected PROVIDER_CONTACT in REF_I12 "), "{}", ran.out);
    assert!(ran.out.contains("m.hl7:MSH[1]-7[1].1.1: error: expected a time stamp"), "{}", ran.out);
    assert_eq!(ran.code, 1);
    assert_eq!(silta(&at, &["validate", "no.hl7"], "").code, 1);
    let ran = silta(&at, &["validate", "--schema", "s.schema", "d.json"], "");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("d.json:$: error: expected the member hetu"), "{}", ran.out);
    assert!(ran.out.contains("d.json:$.ika: error: expected another type"), "{}", ran.out);
    let ran = silta(&at, &["validate", "--columns", "hetu,suku", "t.csv"], "");
    assert_eq!(ran.code, 1);
    for line in [
        "t.csv:row 1: error: the column suku is missing [columns]",
        "t.csv:row 1: error: a column nimi was not expected [columns]",
        "t.csv:row 3: error: 1 cells where the header has 2 [row]",
    ] {
        assert!(ran.out.contains(line), "{line} in {}", ran.out);
    }
    let ran = silta(&at, &["validate", "cda.xml"], "");
    assert_eq!(ran.code, 1);
    let missing = "cda.xml:1:1 /ClinicalDocument[1]: error: expected recordTarget in it [cda-missing]";
    assert!(ran.out.contains(missing), "{}", ran.out);
    let ran = silta(&at, &["validate", "cut.xml"], "");
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("cut.xml:2:"), "{}", ran.out);
}

#[test]
fn a_profile_is_named_by_its_file_or_by_what_stands_in_its_definition() {
    let profile = r#"{"resourceType":"StructureDefinition","url":"http://t.example/p","status":"active","name":"P",
        "kind":"resource","abstract":false,"type":"Patient","derivation":"constraint",
        "extension":[{"url":"http://hl7.org/fhir/StructureDefinition/structuredefinition-category","valueString":"x"}],
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient",
        "differential":{"element":[{"id":"Patient.active","path":"Patient.active","min":1}]}}"#;
    let (_kept, at) =
        folder(&[("p.json", profile), ("patient.json", r#"{"resourceType":"Patient"}"#), ("no.json", "{}")]);
    let missing =
        "patient.json:1:1: error: Patient: found 0 of active, expected at least 1 [http://t.example/p#Patient.active]";
    let ran = silta(&at, &["validate", "--profile", "p.json", "patient.json"], "");
    assert_eq!((ran.code, ran.out.lines().next()), (1, Some(missing)));
    let category = "http://hl7.org/fhir/StructureDefinition/structuredefinition-category";
    let ran = silta(&at, &["validate", "--package", "p.json", "--profile", category, "patient.json"], "");
    assert_eq!((ran.code, ran.out.lines().next()), (1, Some(missing)));
    assert!(ran.told.contains("stands in p.json, which defines http://t.example/p"), "{}", ran.told);
    let ran = silta(&at, &["validate", "--profile", "no.json", "patient.json"], "");
    assert_eq!(ran.code, 2);
    assert_eq!(ran.told.trim(), "no.json: a profile is a StructureDefinition with a url");
}
