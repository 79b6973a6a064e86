//! What an observation says, by the types of OBX-5; words of senders, and the order of repetitions.

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::{Disposition, Maps};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{self, Syntax, Tree};

use crate::support::v2::{context, sound};

fn message(kind: &str, segments: &[&str]) -> Tree {
    let header = format!("MSH|^~\\&|HIS|A|B|C|20260302091500||{kind}|7|T|2.5.1||||||UNICODE UTF-8\r");
    let body: String = segments.iter().map(|segment| format!("{segment}\r")).collect();
    Syntax::Hl7V2(Options::default()).parse((header + &body).into_bytes(), &native::Limits::default()).unwrap()
}

/// The Bundle of a message, which is valid and written back as it was.
fn read(tree: &Tree) -> Value {
    serde_json::from_str(sound(tree, &context()).document().json()).unwrap()
}

fn resource<'b>(bundle: &'b Value, kind: &str) -> &'b Value {
    let entries = bundle["entry"].as_array().unwrap();
    entries.iter().map(|entry| &entry["resource"]).find(|resource| resource["resourceType"] == kind).unwrap()
}

/// What an edited Bundle is written as, read again.
fn written(tree: &Tree, wanted: &Value) -> Tree {
    let maps = Maps::embedded(Model::r4());
    let wanted = Document::from_json(Model::r4(), wanted.to_string().into_bytes(), &Limits::default()).unwrap();
    let written = maps.find(tree).unwrap().put(&wanted, tree, &context()).unwrap_or_else(|why| panic!("{why}"));
    Syntax::Hl7V2(Options::default()).parse(written.bytes, &native::Limits::default()).unwrap()
}

fn lines(tree: &Tree, name: &str) -> Vec<String> {
    let text = String::from_utf8(tree.bytes().to_vec()).unwrap();
    text.split('\r').filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

const PATIENT: &str = "PID|1||111^^^HOSP^MR||Alpha^Anna||19700101|F";

fn observed(kind: &str, value: &str, unit: &str) -> (Tree, Value) {
    let segment = format!("OBX|1|{kind}|X1^Koe^L||{value}|{unit}|||||F");
    let tree = message("ORU^R01^ORU_R01", &[PATIENT, "OBR|1||F1|P^Paketti^L||||||||||||||||||||||F", &segment]);
    let observation = resource(&read(&tree), "Observation").clone();
    (tree, observation)
}

#[test]
fn each_type_of_value_is_told_as_what_it_is() {
    let cases = [
        (
            "NM",
            "5.40",
            "mmol/L^^UCUM",
            "valueQuantity",
            json!({"value": 5.40, "unit": "mmol/L", "code": "mmol/L", "system": "http://unitsofmeasure.org"}),
        ),
        ("SN", ">^10", "mmol/L", "valueQuantity", json!({"comparator": ">", "value": 10, "unit": "mmol/L"})),
        (
            "SN",
            "^10^-^20",
            "U/L",
            "valueRange",
            json!({"low": {"value": 10, "unit": "U/L"}, "high": {"value": 20, "unit": "U/L"}}),
        ),
        ("SN", "^1^:^128", "", "valueRatio", json!({"numerator": {"value": 1}, "denominator": {"value": 128}})),
        (
            "NR",
            "3^7",
            "g/L",
            "valueRange",
            json!({"low": {"value": 3, "unit": "g/L"}, "high": {"value": 7, "unit": "g/L"}}),
        ),
        ("DR", "20260101^20260201", "", "valuePeriod", json!({"start": "2026-01-01", "end": "2026-02-01"})),
        ("TM", "0915", "", "valueTime", json!("09:15:00")),
        ("ST", "vapaa", "", "valueString", json!("vapaa")),
        ("TX", "rivi 1~rivi 2~rivi 3", "", "valueString", json!("rivi 1\nrivi 2\nrivi 3")),
        ("FT", "37^C & kuume", "", "valueString", json!("37^C & kuume")),
        ("NM", "<5", "mg/L", "valueString", json!("<5")),
        ("NM", "12,5", "mg/L", "valueString", json!("12,5")),
        ("", "tyypitön", "", "valueString", json!("tyypitön")),
    ];
    for (kind, value, unit, element, expected) in cases {
        let (tree, observation) = observed(kind, value, unit);
        assert_eq!(observation[element], expected, "{kind} {value}: {observation}");
        let values = observation.as_object().unwrap().keys().filter(|name| name.starts_with("value")).count();
        assert_eq!(values, 1, "{kind} {value}: {observation}");
        let maps = Maps::embedded(Model::r4());
        let report = maps.find(&tree).unwrap().get(&tree, &context()).unwrap().report(&tree);
        let kept = report.items.iter().filter(|item| item.path.starts_with("OBX[1]-5"));
        let kept: Vec<&str> = kept.filter(|i| i.disposition == Disposition::Residue).map(|i| i.path.as_str()).collect();
        assert_eq!(kept, Vec::<&str>::new(), "{kind} {value}");
    }
    // 2+ is no 2: what is neither quantity, range nor ratio is told in its parts.
    let (_, observation) = observed("SN", "^2^+", "");
    assert!(observation.as_object().unwrap().keys().all(|name| !name.starts_with("value")), "{observation}");
    assert_eq!(observation["extension"][0]["extension"][1], json!({"url": "separator", "valueString": "+"}));
}

#[test]
fn a_text_of_several_repetitions_is_written_a_line_each() {
    let (tree, _) = observed("TX", "rivi 1~rivi 2~rivi 3", "");
    for (text, expected) in [
        ("rivi 1\nmuutos\nrivi 3", "rivi 1~muutos~rivi 3"),
        ("rivi 1\nrivi 2", "rivi 1~rivi 2"),
        ("rivi 1\nrivi 2\nrivi 3\nrivi 4", "rivi 1~rivi 2~rivi 3~rivi 4"),
    ] {
        let mut wanted = read(&tree);
        for entry in wanted["entry"].as_array_mut().unwrap() {
            if entry["resource"]["resourceType"] == "Observation" {
                entry["resource"]["valueString"] = json!(text);
            }
        }
        let changed = written(&tree, &wanted);
        assert_eq!(lines(&changed, "OBX"), [format!("OBX|1|TX|X1^Koe^L||{expected}||||||F")]);
    }
}

#[test]
fn a_senders_own_words_for_a_code_of_hl7_are_the_text_of_the_concept() {
    let order = ["ORC|NW|1^HIS", "OBR|1|1^HIS||24323-8^CMP^LN", "SPM|1|||BLD^Blood^HL70487|||ANP^Anaerobi^HL70488"];
    let tree = message("OML^O21^OML_O21", &[&[PATIENT], &order[..]].concat());
    let bundle = read(&tree);
    let specimen = resource(&bundle, "Specimen");
    assert_eq!(specimen["type"]["text"], "Blood");
    assert_eq!(specimen["type"]["coding"][0]["code"], "BLD");
    assert!(specimen["type"]["coding"][0].get("display").is_none());
    // What the code system calls the code is its display.
    let tree = message("OML^O21^OML_O21", &[PATIENT, order[0], order[1], "SPM|1|||BLD^Whole blood^HL70487"]);
    let bundle = read(&tree);
    assert_eq!(resource(&bundle, "Specimen")["type"]["coding"][0]["display"], "Whole blood");
}

#[test]
fn the_numbers_of_an_order_that_its_detail_repeats_are_carried_once_and_follow_each_other() {
    let order = ["ORC|NW|ORD1^HIS|FIL1^LAB", "OBR|1|ORD1^HIS|FIL1^LAB|24323-8^CMP^LN"];
    let tree = message("ORM^O01^ORM_O01", &[&[PATIENT], &order[..]].concat());
    let maps = Maps::embedded(Model::r4());
    let report = maps.find(&tree).unwrap().get(&tree, &context()).unwrap().report(&tree);
    for path in ["OBR[1]-2[1].1.1", "OBR[1]-2[1].2.1", "OBR[1]-3[1].1.1"] {
        let item = report.items.iter().find(|item| item.path == path).unwrap();
        assert_eq!(item.disposition, Disposition::Mapped, "{path}");
    }
    let mut wanted = read(&tree);
    for entry in wanted["entry"].as_array_mut().unwrap() {
        if entry["resource"]["resourceType"] == "ServiceRequest" {
            for identifier in entry["resource"]["identifier"].as_array_mut().unwrap() {
                if identifier["value"] == "ORD1" {
                    identifier["value"] = json!("ORD2");
                }
            }
        }
    }
    let changed = String::from_utf8(written(&tree, &wanted).bytes().to_vec()).unwrap();
    assert!(changed.contains("ORC|NW|ORD2^HIS|FIL1^LAB") && !changed.contains("ORD1"), "{changed}");
}

#[test]
fn notes_of_a_message_and_of_its_patient_are_told() {
    let segments = [
        "NTE|1||Viestin huomautus",
        PATIENT,
        "NTE|1||Potilaan huomautus",
        "ORC|NW|1",
        "OBR|1|1||X^Y^L",
        "NTE|1||Tilauksen huomautus",
    ];
    for kind in ["ORM^O01^ORM_O01", "OMG^O19^OMG_O19", "OML^O21^OML_O21"] {
        let bundle = read(&message(kind, &segments));
        assert_eq!(resource(&bundle, "Communication")["note"][0]["text"], "Viestin huomautus", "{kind}");
        assert_eq!(resource(&bundle, "Patient")["extension"][0]["valueAnnotation"]["text"], "Potilaan huomautus");
        assert_eq!(resource(&bundle, "ServiceRequest")["note"][0]["text"], "Tilauksen huomautus");
    }
}

#[test]
fn repetitions_change_places_as_they_do_in_the_bundle() {
    let patient = "PID|1||111^^^HOSP^MR||Alpha^Anna||19700101|F|||||+358401~+358402^PRN^PH^^^^^huom~+358403";
    let order = ["ORC|NW|1", "OBR|1|1||X^Y^L", "NTE|1||yksi", "NTE|2||kaksi", "NTE|3|L|kolme"];
    let tree = message("ORM^O01^ORM_O01", &[&[patient], &order[..]].concat());
    let mut wanted = read(&tree);
    for entry in wanted["entry"].as_array_mut().unwrap() {
        let resource = &mut entry["resource"];
        if resource["resourceType"] == "Patient" {
            resource["telecom"].as_array_mut().unwrap().swap(0, 1);
        }
        if resource["resourceType"] == "ServiceRequest" {
            resource["note"].as_array_mut().unwrap().rotate_left(1);
        }
    }
    let changed = written(&tree, &wanted);
    assert!(
        lines(&changed, "PID")[0].ends_with("|+358402^PRN^PH^^^^^huom~+358401~+358403"),
        "{:?}",
        lines(&changed, "PID")
    );
    // Each note with all that is kept of it; what counts them stays in its place.
    assert_eq!(lines(&changed, "NTE"), ["NTE|1||kaksi", "NTE|2|L|kolme", "NTE|3||yksi"]);
    assert_eq!(read(&changed), wanted);
    let back = read(&tree);
    assert_eq!(written(&changed, &back).bytes(), tree.bytes());
}
