//! HL7 v2 messages that are made anew, and edits that change what one leaf says of another.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::{Context, Maps, Refusals};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{self, Syntax, Tree};
use silta_engine::validation::{Severity, Validator};

const PATIENT: &str = "PID|1||111^^^HOSP^MR||Alpha^Anna||19700101|F";

fn context() -> Context {
    Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret")
}

fn message(kind: &str, version: &str, segments: &[&str]) -> Tree {
    let header = format!("MSH|^~\\&|HIS|A|B|C|20260702091500+0300||{kind}|7|T|{version}\r");
    let body: String = segments.iter().map(|segment| format!("{segment}\r")).collect();
    Syntax::Hl7V2(Options::default()).parse((header + &body).into_bytes(), &native::Limits::default()).unwrap()
}

fn bundle(tree: &Tree) -> Value {
    let maps = Maps::embedded(Model::r4());
    let got = maps.find(tree).unwrap().get(tree, &context()).unwrap();
    let findings = Validator::built_in().validate(got.document(), &[]);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<String> =
        errors.map(|f| format!("{}: {}", f.path(got.document()), f.text(got.document()))).collect();
    assert_eq!(errors, Vec::<String>::new(), "{}", got.document().json());
    serde_json::from_str(got.document().json()).unwrap()
}

fn document(bundle: &Value) -> Arc<Document> {
    Document::from_json(Model::r4(), bundle.to_string().into_bytes(), &Limits::default()).unwrap()
}

fn of_type<'b>(bundle: &'b Value, kind: &str) -> Vec<&'b Value> {
    let entries = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    entries.filter(|resource| resource["resourceType"] == kind).collect()
}

fn change(bundle: &mut Value, kind: &str, change: impl FnOnce(&mut Value)) {
    let entries = bundle["entry"].as_array_mut().unwrap().iter_mut().map(|entry| &mut entry["resource"]);
    change(entries.into_iter().find(|resource| resource["resourceType"] == kind).unwrap());
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).split('\r').filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What a message says, made anew.
fn anew(tree: &Tree, event: &str, bundle: &Value) -> Result<Vec<String>, Refusals> {
    let maps = Maps::embedded(Model::r4());
    let mut cx = context();
    event.clone_into(&mut cx.envelope.event);
    let written = maps.find(tree).unwrap().create(&document(bundle), &cx)?;
    Ok(lines(&written.bytes))
}

/// A message with an edit.
fn edited(tree: &Tree, bundle: &Value) -> Result<Vec<String>, Refusals> {
    let maps = Maps::embedded(Model::r4());
    Ok(lines(&maps.find(tree).unwrap().put(&document(bundle), tree, &context())?.bytes))
}

fn named<'l>(lines: &'l [String], name: &str) -> Vec<&'l str> {
    lines.iter().filter(|line| line.starts_with(name)).map(String::as_str).collect()
}

#[test]
fn a_merge_made_anew_has_the_patients_that_go_on_and_no_others() {
    let segments = ["EVN||20260702", PATIENT, "MRG|9^^^HOSP^MR", "PID|2||222^^^HOSP^MR||Beta^Bo", "MRG|8^^^HOSP^MR"];
    let merge = message("ADT^A40^ADT_A39", "2.5.1", &segments);
    let made = anew(&merge, "", &bundle(&merge)).unwrap();
    let numbers: Vec<&str> = named(&made, "PID").iter().filter_map(|line| line.split('|').nth(3)).collect();
    assert_eq!(numbers, ["111^^^HOSP^MR", "222^^^HOSP^MR"]);
    assert_eq!(named(&made, "MRG"), ["MRG|9^^^HOSP^MR", "MRG|8^^^HOSP^MR"]);
}

#[test]
fn what_a_filler_said_of_an_order_is_said_in_a_new_message_and_orders_nothing_anew() {
    let orders = ["ORC|SC|P1||", "ORC|OK|P2", "ORC|XO|P3", "ORC|UC|P4"];
    let status = message("OSU^O51^OSU_O51", "2.5.1", &[&[PATIENT], &orders[..]].concat());
    let made = anew(&status, "", &bundle(&status)).unwrap();
    assert_eq!(named(&made, "ORC"), ["ORC|SC|P1", "ORC|OK|P2", "ORC|XO|P3", "ORC|UC|P4"]);
}

#[test]
fn an_appointment_of_which_no_status_is_known_is_no_new_booking() {
    let rgs = ["SCH|P1|F1", PATIENT, "RGS|1", "AIS|1|A|X^Y^L", "AIS|2|A|Z^Y^L"];
    let change = message("SIU^S20^SIU_S12", "2.5.1", &rgs);
    let bundle = bundle(&change);
    let refused = anew(&change, "", &bundle).unwrap_err();
    assert!(refused.location().starts_with("Bundle.entry"), "{refused}");
    let made = anew(&change, "S20", &bundle).unwrap();
    assert!(made[0].contains("|SIU^S20^SIU_S12|"), "{made:?}");
    assert_eq!(named(&made, "AIS"), ["AIS|1|A|X^Y^L", "AIS|2|A|Z^Y^L"]);
    let other = anew(&change, "A01", &bundle).unwrap_err();
    assert_eq!(other.location(), "MSH-9.2");
}

#[test]
fn a_new_result_says_its_unit_where_it_is_read_and_nothing_of_a_status_that_is_not_known() {
    let segments = [PATIENT, "OBR|1|P1|F1|GLU^Glucose^L", "OBX|1|NM|GLU^Glucose^L||5.5|mmol/l|4-6|H"];
    let result = message("ORU^R01^ORU_R01", "2.5.1", &segments);
    let made = anew(&result, "", &bundle(&result)).unwrap();
    assert_eq!(named(&made, "OBX"), ["OBX|1|NM|GLU^Glucose^L||5.5|mmol/l|4-6|H^^HL70078"]);
    assert_eq!(named(&made, "PID"), [PATIENT]);
}

#[test]
fn a_new_plan_says_what_is_done_with_its_problems_and_goals() {
    let segments = [PATIENT, "PRB|AD|20260101|S72.0^Fracture^I10|PR1^HOSP", "GOL|AD|20260101|W^Walks^L|G1^HOSP"];
    let plan = message("PPR^PC1^PPR_PC1", "2.5.1", &segments);
    let made = anew(&plan, "", &bundle(&plan)).unwrap();
    assert!(named(&made, "PRB")[0].starts_with("PRB|AD|"), "{made:?}");
    assert!(named(&made, "GOL")[0].starts_with("GOL|AD|"), "{made:?}");
    let changed = anew(&plan, "PC2", &bundle(&plan)).unwrap();
    assert!(named(&changed, "PRB")[0].starts_with("PRB|UP|"), "{changed:?}");
}

#[test]
fn a_problem_that_a_message_takes_away_is_none_that_the_patient_has() {
    let problem = "PRB|DE|20260101|S72.0^Fracture^I10|PR1^HOSP|||||20260301||||CONFIRMED^Confirmed^L|ACTIVE^Active^L";
    let plan = message(
        "PPR^PC3^PPR_PC1",
        "2.5.1",
        &[PATIENT, problem, "GOL|DE|20260101|W^Walks^L|G1^HOSP||||||||||||||ACTIVE^Active^L"],
    );
    let bundle = bundle(&plan);
    let condition = of_type(&bundle, "Condition")[0];
    assert_eq!(condition["verificationStatus"]["coding"][0]["code"], "entered-in-error");
    assert_eq!(condition["clinicalStatus"], Value::Null);
    assert_eq!(of_type(&bundle, "Goal")[0]["lifecycleStatus"], "entered-in-error");
    assert_eq!(edited(&plan, &bundle).unwrap(), lines(plan.bytes()));
    let made = anew(&plan, "PC3", &bundle).unwrap();
    assert_eq!(named(&made, "PRB"), [problem]);
    let mut wanted = bundle.clone();
    change(&mut wanted, "Condition", |one| one["verificationStatus"]["coding"][0]["code"] = json!("confirmed"));
    assert!(edited(&plan, &wanted).is_err());
}

#[test]
fn a_problem_is_taken_away_by_saying_that_it_was_entered_in_error() {
    let problem = "PRB|UP|20260101|S72.0^Fracture^I10|PR1^HOSP|||||||||CONFIRMED^Confirmed^L|ACTIVE^Active^L";
    let plan = message("PPR^PC2^PPR_PC1", "2.5.1", &[PATIENT, problem]);
    let mut wanted = bundle(&plan);
    change(&mut wanted, "Condition", |one| {
        one["verificationStatus"]["coding"][0]["code"] = json!("entered-in-error");
        one.as_object_mut().unwrap().remove("clinicalStatus");
    });
    let written = edited(&plan, &wanted).unwrap();
    assert!(named(&written, "PRB")[0].starts_with("PRB|DE|"), "{written:?}");
}

#[test]
fn diagnoses_procedures_and_parts_that_are_taken_away_say_so() {
    let segments = [
        "EVN||20260702",
        PATIENT,
        "PV1|1|I",
        "ROL|R1^HOSP|DE|AD^Admitting^HL70443|7^Lind^Maija",
        "DG1|1||S72.0^Fracture^I10|||F||||||||||||||D1^HOSP|D",
        "PR1|1||X1^Scan^L||20260101||||||||||||||PR1^HOSP|D",
    ];
    let visit = message("ADT^A08^ADT_A01", "2.6", &segments);
    let bundle = bundle(&visit);
    assert_eq!(of_type(&bundle, "Condition")[0]["verificationStatus"]["coding"][0]["code"], "entered-in-error");
    assert_eq!(of_type(&bundle, "Procedure")[0]["status"], "entered-in-error");
    assert_eq!(of_type(&bundle, "PractitionerRole")[0]["active"], false);
    assert_eq!(edited(&visit, &bundle).unwrap(), lines(visit.bytes()));
}

#[test]
fn who_is_taken_out_of_a_team_is_marked_in_it() {
    let plan = message(
        "PPR^PC1^PPR_PC1",
        "2.5.1",
        &[PATIENT, "PRB|AD|20260101|S72.0^Fracture^I10|PR1^HOSP", "ROL|R1^HOSP|DE|AT^Attending^HL70443|7^Lind^Maija"],
    );
    let bundle = bundle(&plan);
    let team = of_type(&bundle, "CareTeam")[0];
    assert_eq!(team["participant"][0]["modifierExtension"][0]["valueCode"], "DE");
    assert_eq!(edited(&plan, &bundle).unwrap(), lines(plan.bytes()));
}

#[test]
fn what_repeats_a_number_follows_it() {
    let segments = [PATIENT, "ORC|NW|PL1^HOSP|FL1^LAB", "OBR|1|PL1^HOSP|FL1^LAB|GLU^Glucose^L"];
    for (kind, version) in [("OML^O21^OML_O21", "2.5.1"), ("ORM^O01", "2.3")] {
        let order = message(kind, version, &segments);
        let mut wanted = bundle(&order);
        change(&mut wanted, "ServiceRequest", |one| one["identifier"][0]["value"] = json!("PL2"));
        let written = edited(&order, &wanted).unwrap();
        assert_eq!(named(&written, "ORC"), ["ORC|NW|PL2^HOSP|FL1^LAB"], "{kind}");
        assert_eq!(named(&written, "OBR"), ["OBR|1|PL2^HOSP|FL1^LAB|GLU^Glucose^L"], "{kind}");
    }
}

#[test]
fn a_problem_becomes_resolved_whatever_else_is_said_of_its_end() {
    let problem = "PRB|UP|20260101|S72.0^Fracture^I10|PR1^HOSP|||20260201||20260301||||CONFIRMED|ACTIVE^Active^L";
    let plan = message("PPR^PC2^PPR_PC1", "2.5.1", &[PATIENT, problem]);
    let mut wanted = bundle(&plan);
    change(&mut wanted, "Condition", |one| one["clinicalStatus"]["coding"][0]["code"] = json!("resolved"));
    let written = edited(&plan, &wanted).unwrap();
    assert!(named(&written, "PRB")[0].contains("|20260301|") && named(&written, "PRB")[0].contains("|RESOLVED"));
}

#[test]
fn the_field_of_a_number_says_what_it_is_for_where_the_number_does_not() {
    let patient = "PID|1||111^^^HOSP^MR||Alpha^Anna||||||||555-1~^NET^^a@b.example~^NET^Internet^c@d.example|555-2";
    let visit = message("ADT^A08^ADT_A01", "2.5.1", &["EVN||20260702", patient, "PV1|1|O"]);
    let bundle = bundle(&visit);
    let telecom = of_type(&bundle, "Patient")[0]["telecom"].clone();
    assert_eq!(telecom[0], json!({"system": "phone", "value": "555-1", "use": "home"}));
    assert_eq!(telecom[1], json!({"system": "email", "value": "a@b.example"}));
    assert_eq!(telecom[2], json!({"system": "email", "value": "c@d.example"}));
    assert_eq!(telecom[3], json!({"system": "phone", "value": "555-2", "use": "work"}));
    assert_eq!(edited(&visit, &bundle).unwrap(), lines(visit.bytes()));
    let mut wanted = bundle.clone();
    change(&mut wanted, "Patient", |one| one["telecom"][1]["value"] = json!("x@y.example"));
    let written = edited(&visit, &wanted).unwrap();
    assert!(named(&written, "PID")[0].contains("~^NET^^x@y.example~"), "{written:?}");
}

#[test]
fn a_code_without_a_system_is_one_of_its_fields_table() {
    let patient = "PID|1||111^^^HOSP^MR||Alpha^Anna|||||||||||M";
    let visit = message("ADT^A03^ADT_A03", "2.5.1", &["EVN||20260702", patient, "PV1|1|I||ZZ||||||MED||||7"]);
    let bundle = bundle(&visit);
    let marital = |bundle: &Value| of_type(bundle, "Patient")[0]["maritalStatus"]["coding"][0].clone();
    assert_eq!(marital(&bundle), json!({"system": "http://terminology.hl7.org/CodeSystem/v2-0002", "code": "M"}));
    let encounter = of_type(&bundle, "Encounter")[0];
    assert_eq!(encounter["serviceType"]["coding"][0]["system"], "http://terminology.hl7.org/CodeSystem/v2-0069");
    assert_eq!(encounter["type"][0]["coding"][0], json!({"code": "ZZ"}));
    let mut wanted = bundle.clone();
    change(&mut wanted, "Patient", |one| one["maritalStatus"]["coding"][0]["code"] = json!("W"));
    assert!(named(&edited(&visit, &wanted).unwrap(), "PID")[0].ends_with("|W"));
    change(&mut wanted, "Patient", |one| one["maritalStatus"]["coding"][0]["code"] = json!("X9"));
    assert!(named(&edited(&visit, &wanted).unwrap(), "PID")[0].ends_with("|X9^^HL70002"));
    change(&mut wanted, "Patient", |one| {
        one["maritalStatus"] = json!({"coding": [{"code": "S"}]});
    });
    assert!(named(&edited(&visit, &wanted).unwrap(), "PID")[0].ends_with("|S"));
}

#[test]
fn a_stay_with_a_time_of_discharge_is_over() {
    let pv1 = format!("PV1|1|I{}20260701|20260702", "|".repeat(42));
    let visit = message("ADT^A08^ADT_A01", "2.5.1", &["EVN||20260702", PATIENT, &pv1]);
    let bundle = bundle(&visit);
    let encounter = of_type(&bundle, "Encounter")[0];
    assert_eq!(encounter["status"], "finished");
    assert_eq!(encounter["period"]["end"], "2026-07-02");
}

#[test]
fn code_systems_are_known_by_what_people_call_them_and_by_their_numbers() {
    let systems = [
        ("LOINC", "http://loinc.org"),
        ("SNOMED-CT", "http://snomed.info/sct"),
        ("ICD-10-CM", "http://hl7.org/fhir/sid/icd-10-cm"),
        ("I9CDX", "http://hl7.org/fhir/sid/icd-9-cm"),
        ("NPI", "http://hl7.org/fhir/sid/us-npi"),
        ("2.16.840.1.113883.6.1", "http://loinc.org"),
        ("1.2.3.4", "urn:oid:1.2.3.4"),
    ];
    for (name, uri) in systems {
        let diagnosis = format!("DG1|1||X1^Something^{name}|||F");
        let visit = message("ADT^A08^ADT_A01", "2.5.1", &["EVN||20260702", PATIENT, "PV1|1|I", &diagnosis]);
        let maps = Maps::embedded(Model::r4());
        let got = maps.find(&visit).unwrap().get(&visit, &context()).unwrap();
        let bundle: Value = serde_json::from_str(got.document().json()).unwrap();
        assert_eq!(of_type(&bundle, "Condition")[0]["code"]["coding"][0]["system"], uri, "{name}");
        assert_eq!(edited(&visit, &bundle).unwrap(), lines(visit.bytes()), "{name}");
    }
}

#[test]
fn an_urgent_order_is_urgent_though_its_time_stands_where_orders_of_old_had_none() {
    let segments = [PATIENT, "ORC|NW|P1", "TQ1|1||||||20260703||S^Stat^HL70485", "OBR|1|P1||GLU^Glucose^L"];
    let order = message("ORM^O01", "2.5.1", &segments);
    let bundle = bundle(&order);
    assert_eq!(of_type(&bundle, "ServiceRequest")[0]["priority"], "stat");
    assert_eq!(edited(&order, &bundle).unwrap(), lines(order.bytes()));
    let mut wanted = bundle.clone();
    change(&mut wanted, "ServiceRequest", |one| one["priority"] = json!("routine"));
    assert!(named(&edited(&order, &wanted).unwrap(), "TQ1")[0].contains("|R"));
    let behind = [PATIENT, "ORC|NW|P1", "OBR|1|P1||GLU^Glucose^L", "TQ1|1||||||||S"];
    let order = message("ORM^O01", "2.5.1", &behind);
    assert_eq!(of_type(&self::bundle(&order), "ServiceRequest")[0]["priority"], "stat");
}

#[test]
fn a_letter_that_comes_without_a_request_is_seen_with_what_is_remarked_of_it() {
    let rf1 = "RF1|P|R|Hom^Home care^HL70281|||R-77^HOSP";
    let prd = "PRD|RP^Referring^HL70286|Lind^Maija";
    let letter = "OBX|1|ED|L^Letter^L||^application^pdf^Base64^aGVp||||||F";
    let found = "OBX|2|NM|GLU^Glucose^L||5.5|mmol/l|||||F";
    let segments =
        [rf1, prd, PATIENT, "PD1||||7^Doc^Tor", "DG1|1||S72.0^Fracture^I10|||F", letter, "NTE|1||Please see.", found];
    let referral = message("REF^I12^REF_I12", "2.5.1", &segments);
    let bundle = bundle(&referral);
    let document = of_type(&bundle, "DocumentReference")[0];
    assert_eq!(document["content"][0]["attachment"]["data"], "aGVp");
    assert!(document.to_string().contains("Please see."), "{document}");
    assert_eq!(of_type(&bundle, "Observation")[0]["valueQuantity"]["value"], json!(5.5));
    assert_eq!(of_type(&bundle, "ServiceRequest")[0]["supportingInfo"].as_array().unwrap().len(), 2);
    assert_eq!(of_type(&bundle, "Patient")[0]["generalPractitioner"].as_array().unwrap().len(), 1);
    assert_eq!(edited(&referral, &bundle).unwrap(), lines(referral.bytes()));
}

#[test]
fn who_had_a_part_in_a_request_of_a_laboratory_order_is_told() {
    let segments = [PATIENT, "ORC|NW|P1", "OBR|1|P1||GLU^Glucose^L", "PRT|1|AD||AP^Appender^HL70912|7^Lind^Maija"];
    let order = message("OML^O21^OML_O21", "2.8", &segments);
    let bundle = bundle(&order);
    assert!(of_type(&bundle, "ServiceRequest")[0]["extension"].to_string().contains("/PRT"), "{bundle}");
    assert_eq!(edited(&order, &bundle).unwrap(), lines(order.bytes()));
}

#[test]
fn a_segment_of_the_senders_own_is_mapped_by_those_who_declare_it() {
    let map = "segment ZPI { 1 ST  2 CX*  3 CWE }\n\
        block pid PID\n  ordinal PID-1\n  use pid-fields\n\
        \x20 ZPI-1 <=> patient.extension[\"https://acme.example/ward\"].valueString\n\
        \x20 ZPI-2* <=> patient.extension[\"https://acme.example/card\"][].valueIdentifier cx\n\
        \x20 ZPI-3 <=> patient.extension[\"https://acme.example/diet\"].valueCodeableConcept cwe\n";
    let maps = Maps::with(Model::r4(), &[("acme.map".to_owned(), map.to_owned())]);
    assert_eq!(maps.problems().iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    let zpi = "ZPI|W7|A1^^^HOSP~A2^^^HOSP|VEG^Vegetarian^L|kept";
    let segments = ["EVN||20260702", PATIENT, "NK1|1|Beta^Bo", zpi, "PV1|1|I"];
    let visit = message("ADT^A08^ADT_A01", "2.5.1", &segments);
    let map = maps.find(&visit).unwrap();
    let got = map.get(&visit, &context()).unwrap();
    let mut bundle: Value = serde_json::from_str(got.document().json()).unwrap();
    let patient = of_type(&bundle, "Patient")[0];
    assert_eq!(patient["extension"][0]["valueString"], "W7");
    assert_eq!(patient["extension"].as_array().unwrap().len(), 4);
    let report = got.report(&visit);
    let kept = report.items.iter().find(|item| item.path == "ZPI[1]-4[1].1.1").unwrap();
    assert_eq!(kept.to, Vec::<String>::new());
    assert_eq!(map.put_through(got.document(), &visit, &context()).unwrap().bytes, visit.bytes());
    change(&mut bundle, "Patient", |one| one["extension"][0]["valueString"] = json!("W8"));
    let written = map.put(&document(&bundle), &visit, &context()).unwrap();
    assert_eq!(named(&lines(&written.bytes), "ZPI"), ["ZPI|W8|A1^^^HOSP~A2^^^HOSP|VEG^Vegetarian^L|kept"]);
    let made = map.create(&document(&bundle), &context()).unwrap();
    assert_eq!(named(&lines(&made.bytes), "ZPI"), ["ZPI|W8|A1^^^HOSP~A2^^^HOSP|VEG^Vegetarian^L"]);
}

#[test]
fn what_is_wrong_with_a_segment_of_the_senders_own_is_told() {
    let cases = [
        ("segment ZPI { 1 XYZ }\n", "XYZ is no data type"),
        ("segment PID { 1 ST }\n", "the fields of PID are those of HL7"),
        ("segment ZPI { 1 ST  1 CX }\n", "field 1 is there already"),
        ("segment TQ1\n", "the structures are missing"),
        (
            "segment ZPI { 1 ST }\nblock arv ARV\n  ZPI-2 <=> patient.extension[v2/ZPI-2].valueString\n",
            "ZPI has no field 2",
        ),
        ("block arv ARV\n  ZPI-2 <=> patient.extension[v2/ZPI-2].valueString\n", "has no segment ZPI"),
    ];
    for (map, wrong) in cases {
        let maps = Maps::with(Model::r4(), &[("acme.map".to_owned(), map.to_owned())]);
        let problems: Vec<String> = maps.problems().iter().map(ToString::to_string).collect();
        assert!(problems.iter().any(|problem| problem.contains(wrong)), "{map}: {problems:?}");
    }
}

#[test]
fn what_a_medicine_order_is_of_and_the_specimen_of_a_request_are_told() {
    let medicine = message("ORM^O01", "2.3", &[PATIENT, "ORC|NW|P1", "RXO|PAR^Paracetamol^L|500"]);
    assert_eq!(of_type(&bundle(&medicine), "ServiceRequest")[0]["code"]["coding"][0]["code"], "PAR");
    let obr = format!("OBR|1|P1|F1|GLU^Glucose^L{}BLD&Blood&HL70070^^by hand^ARM&Arm&L", "|".repeat(11));
    for kind in ["ORU^R01", "ORM^O01"] {
        let request = message(kind, "2.3", &[PATIENT, "ORC|NW|P1", &obr]);
        let bundle = bundle(&request);
        let specimen = of_type(&bundle, "Specimen")[0];
        assert_eq!(specimen["type"]["coding"][0]["code"], "BLD", "{kind}");
        assert_eq!(specimen["collection"]["bodySite"]["coding"][0]["code"], "ARM", "{kind}");
        assert_eq!(edited(&request, &bundle).unwrap(), lines(request.bytes()), "{kind}");
    }
}

#[test]
fn a_document_tells_what_it_replaces_and_who_signed_it_when() {
    let signed = "7^Lind^Maija^^^^^^HOSP^^^^^^20260701101500";
    let txa = format!("TXA|1|CN^Consult^L|TX{}D2^HOSP|D1^HOSP||||AU{}{signed}", "|".repeat(9), "|".repeat(5));
    let text = "OBX|1|TX|T^Text^L||All well.||||||F";
    let document = message("MDM^T10^MDM_T02", "2.5.1", &["EVN||20260702", PATIENT, "PV1|1|O", &txa, text]);
    let bundle = bundle(&document);
    let document_reference = of_type(&bundle, "DocumentReference")[0];
    assert_eq!(document_reference["relatesTo"][0]["code"], "replaces");
    assert_eq!(document_reference["relatesTo"][0]["target"]["identifier"]["value"], "D1");
    assert!(document_reference["extension"].to_string().contains("2026-07-01T10:15:00"), "{document_reference}");
    assert_eq!(edited(&document, &bundle).unwrap(), lines(document.bytes()));
}

#[test]
fn a_message_of_a_patient_has_one() {
    let maps = Maps::embedded(Model::r4());
    for (kind, segments) in [
        ("ADT^A01^ADT_A01", &["EVN||20260702", "PV1|1|I"][..]),
        ("REF^I12^REF_I12", &["RF1|P|R||||R1^H", "PRD|RP|A^B"][..]),
    ] {
        let nobody = message(kind, "2.5.1", segments);
        let refused = maps.find(&nobody).unwrap().get(&nobody, &context()).unwrap_err();
        assert_eq!(refused.location(), "PID[1]", "{kind}");
    }
}

#[test]
fn a_new_plan_takes_nothing_away_for_a_status_that_fhir_does_not_know() {
    let problem = "PRB|AD|20260101|S72.0^Fracture^I10|PR1^HOSP|||||20260301||||MAYBE^Maybe^L|OPEN^Open^L";
    let goal = "GOL|AD|20260101|W^Walks^L|G1^HOSP||||||||||||||OPEN^Open^L";
    let plan = message("PPR^PC1^PPR_PC1", "2.5.1", &[PATIENT, problem, goal, "PTH|AD|P^Path^L|PA1^HOSP||OPEN^Open^L"]);
    let made = anew(&plan, "", &bundle(&plan)).unwrap();
    assert_eq!(named(&made, "PRB"), [problem]);
    assert_eq!(named(&made, "GOL"), [goal]);
    assert!(named(&made, "PTH")[0].starts_with("PTH|AD|"), "{made:?}");
}

#[test]
fn a_new_document_says_what_it_replaces_by_the_event_that_is_asked_for() {
    let txa = format!("TXA|1|CN^Consult^L|TX{}D2^HOSP|D1^HOSP||||AU", "|".repeat(9));
    let document = message("MDM^T10^MDM_T02", "2.5.1", &["EVN||20260702", PATIENT, "PV1|1|O", &txa]);
    let made = anew(&document, "T10", &bundle(&document)).unwrap();
    assert!(made[0].contains("|MDM^T10^") && named(&made, "TXA")[0].contains("|D2^HOSP|D1^HOSP|"), "{made:?}");
}

#[test]
fn each_of_several_orders_can_be_taken_back_or_held_for_itself() {
    let segments = [PATIENT, "ORC|NW|1^A", "OBR|1|1^A||GLU^Glucose^L", "ORC|NW|2^A", "OBR|2|2^A||NA^Sodium^L"];
    let orders = message("ORM^O01", "2.3", &segments);
    for (status, control) in [("revoked", "CA"), ("on-hold", "HD"), ("completed", "RE")] {
        for which in [0, 1] {
            let mut changed = bundle(&orders);
            let entries = changed["entry"].as_array_mut().unwrap();
            let mut found = entries.iter_mut().filter(|one| one["resource"]["resourceType"] == "ServiceRequest");
            found.nth(which).unwrap()["resource"]["status"] = json!(status);
            let mut expected = lines(orders.bytes());
            expected[2 + 2 * which] = format!("ORC|{control}|{}^A", which + 1);
            assert_eq!(edited(&orders, &changed).unwrap(), expected, "{status} {which}");
        }
    }
}

#[test]
fn whether_a_document_may_be_used_is_written_as_its_availability() {
    let txa = format!("TXA|1|DS|TX|20260702{}D1^H{}AU", "|".repeat(8), "|".repeat(5));
    let segments = ["EVN||20260702", PATIENT, "PV1|1|I|W1", &txa, "OBX|1|TX|1^T^L||Text||||||F"];
    let message = message("MDM^T02^MDM_T02", "2.5.1", &segments);
    for (status, code) in [("entered-in-error", "CA"), ("superseded", "OB")] {
        let mut changed = bundle(&message);
        let entries = changed["entry"].as_array_mut().unwrap();
        let found = entries.iter_mut().find(|one| one["resource"]["resourceType"] == "DocumentReference");
        found.unwrap()["resource"]["status"] = json!(status);
        assert_eq!(named(&edited(&message, &changed).unwrap(), "TXA"), [format!("{txa}||{code}")]);
    }
}
