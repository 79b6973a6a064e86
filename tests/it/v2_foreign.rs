//! HL7 v2 messages as other systems write them: what contradicts itself, codes that nobody knows, and what stands in the
//! message that is made anew of them.

use std::sync::Arc;

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::{Disposition, Maps, Refusals};
use silta_engine::native::Tree;
use silta_engine::native_rules::{Config, hl7v2};

use crate::support::v2::{PATIENT, context, message, resources, sound};

fn of_type<'r>(resources: &'r [Value], kind: &str) -> Vec<&'r Value> {
    resources.iter().filter(|resource| resource["resourceType"] == kind).collect()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).split('\r').filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn named<'l>(lines: &'l [String], name: &str) -> Vec<&'l str> {
    lines.iter().filter(|line| line.starts_with(name)).map(String::as_str).collect()
}

fn document(bundle: &Value) -> Arc<Document> {
    Document::from_json(Model::r4(), bundle.to_string().into_bytes(), &Limits::default()).unwrap()
}

/// A message with the first resource of a type changed.
fn edited(tree: &Tree, kind: &str, change: impl FnOnce(&mut Value)) -> Result<Vec<String>, Refusals> {
    let maps = Maps::embedded(Model::r4());
    let map = maps.find(tree).unwrap();
    let mut bundle: Value = serde_json::from_str(sound(tree, &context()).document().json()).unwrap();
    let entries = bundle["entry"].as_array_mut().unwrap().iter_mut().map(|entry| &mut entry["resource"]);
    change(entries.into_iter().find(|resource| resource["resourceType"] == kind).unwrap());
    Ok(lines(&map.put(&document(&bundle), tree, &context())?.bytes))
}

/// What a message says, made anew in a version.
fn anew(tree: &Tree, version: &str) -> Vec<String> {
    let maps = Maps::embedded(Model::r4());
    let mut cx = context();
    version.clone_into(&mut cx.envelope.version);
    let got = sound(tree, &context());
    lines(&maps.find(tree).unwrap().create(got.document(), &cx).unwrap_or_else(|why| panic!("{why}")).bytes)
}

#[test]
fn a_period_that_ends_before_it_starts_has_its_start_and_its_end_is_told() {
    for (start, end) in [("20260105", "20260101"), ("20260105", "202601"), ("202601051000+0200", "20260105")] {
        let relative = format!("NK1|1|Alpha^Otto|SPO|||||{start}|{end}");
        let tree = message("ADT^A08^ADT_A01", "2.5.1", &["EVN||20260702", PATIENT, &relative, "PV1|1|O"]);
        let got = sound(&tree, &context());
        let period = of_type(&resources(&got), "RelatedPerson")[0]["period"].clone();
        assert!(period["start"].is_string() && period["end"].is_null(), "{period}");
        let report = got.report(&tree);
        let of_end = report.items.iter().find(|item| item.path.starts_with("NK1[1]-9")).unwrap();
        assert_eq!(of_end.disposition, Disposition::Residue);
        assert_eq!(of_end.reason.as_deref(), Some("expected a period that does not end before it starts"));
        let written = edited(&tree, "RelatedPerson", |one| one["period"]["end"] = json!("2026-02")).unwrap();
        assert_eq!(named(&written, "NK1"), [format!("NK1|1|Alpha^Otto|SPO|||||{start}|202602")]);
    }
}

#[test]
fn codes_of_names_that_nobody_knows_make_no_resource_invalid_and_are_written_back() {
    let patient = "PID|1||111^^^HOSP^MR||Alpha^Anna^^^^^ZZ^^^^ZZ||19700101|F|||Katu 1^^Kylä^^00100^FI^H^^^0091";
    let visit = "PV1|1|I|W1||||7^Lind^Maija^^^^^^HOSP^ZZ^^^^^^^^ZZ";
    let tree = message("ADT^A08^ADT_A01", "2.5.1", &["EVN||20260702", patient, visit]);
    let got = sound(&tree, &context());
    let kept: Vec<String> = got
        .report(&tree)
        .items
        .into_iter()
        .filter(|item| item.disposition == Disposition::Residue && item.path.starts_with('P'))
        .map(|item| item.path)
        .collect();
    assert_eq!(kept, Vec::<String>::new());
    assert_eq!(named(&anew(&tree, "2.5.1"), "PID"), [patient]);
}

#[test]
fn every_citizenship_of_a_patient_is_told() {
    let patient = format!("{PATIENT}{}FI^Finland^L~SE^Sweden^L", "|".repeat(18));
    let tree = message("ADT^A08^ADT_A01", "2.5.1", &["EVN||20260702", &patient, "PV1|1|O"]);
    let got = sound(&tree, &context());
    let told = of_type(&resources(&got), "Patient")[0]["extension"].as_array().unwrap().len();
    assert_eq!(told, 2);
    assert_eq!(named(&anew(&tree, "2.5.1"), "PID"), [patient]);
}

#[test]
fn who_has_a_part_in_a_new_admission_has_it_by_an_action() {
    let role = "ROL|R1^HOSP|AD|AT^Attending^HL70443|7^Lind^Maija";
    let visit = message("ADT^A01^ADT_A01", "2.5.1", &["EVN||20260702", PATIENT, "PV1|1|I", role]);
    assert!(
        named(&anew(&visit, "2.5.1"), "ROL")[0].starts_with("ROL|R1^HOSP|AD|AT^Attending"),
        "{:?}",
        anew(&visit, "2.5.1")
    );
}

#[test]
fn the_sample_of_a_new_order_stands_where_the_version_has_it() {
    let segments = [PATIENT, "ORC|NW|P1", "OBR|1|P1||GLU^Glucose^L|||||||||||BLD&Blood&L^^draw"];
    let tree = message("OML^O21^OML_O21", "2.4", &segments);
    let made = anew(&tree, "2.4");
    assert_eq!(named(&made, "SPM"), Vec::<&str>::new());
    assert!(named(&made, "OBR")[0].ends_with("|BLD&Blood&L^^draw"), "{made:?}");
}

#[test]
fn an_address_of_an_organisation_in_the_network_keeps_what_its_use_is_called() {
    let provider = "PRD|RT|||||||||Clinic|||^PRN^Internet^a@b.example";
    let segments = ["RF1|A|R|||||20260701", "PRD|RP|Doc^Bob", provider, PATIENT];
    let tree = message("REF^I12^REF_I12", "2.6", &segments);
    let made = anew(&tree, "2.6");
    assert!(named(&made, "PRD").iter().any(|line| line.ends_with("|^PRN^Internet^a@b.example")), "{made:?}");
}

#[test]
fn the_action_on_a_pathway_is_of_one_table_in_every_version() {
    for version in ["2.5.1", "2.7", "2.8", "2.8.2"] {
        let segments = [PATIENT, "PTH|AD|PW^Pathway^L|PT1^HOSP|20260101"];
        let judged = hl7v2::check(&message("PPP^PCB^PPP_PCB", version, &segments), &Config::default());
        let of_action: Vec<_> = judged.findings.iter().filter(|f| format!("{f:?}").contains("PTH")).collect();
        assert!(of_action.is_empty(), "{version}: {of_action:?}");
    }
}

#[test]
fn every_observation_of_a_laboratory_order_is_told() {
    for version in ["2.5.1", "2.8"] {
        let segments = [
            PATIENT,
            "ORC|NW|P1",
            "OBR|1|P1||GLU^Glucose^L",
            "OBX|1|ST|Q1^Fasting^L||yes||||||F",
            "TCD|T1^Test^L",
            "NTE|1||since midnight",
            "OBX|2|ST|Q2^Pregnant^L||no||||||F",
            "OBX|3|ED|Q3^Letter^L||^TEXT^PDF^Base64^aGVp||||||F",
        ];
        let tree = message("OML^O21^OML_O21", version, &segments);
        let got = sound(&tree, &context());
        let report = got.report(&tree);
        let kept: Vec<&str> = report
            .items
            .iter()
            .filter(|item| item.disposition == Disposition::Residue && !item.path.starts_with("MSH"))
            .map(|item| item.path.as_str())
            .collect();
        assert_eq!(kept, Vec::<&str>::new(), "{version}");
        assert_eq!(of_type(&resources(&got), "Observation").len(), 2, "{version}");
        let made = anew(&tree, version);
        assert_eq!(named(&made, "OBX").len(), 3, "{version}: {made:?}");
    }
}

#[test]
fn the_unit_of_a_measurement_gets_its_code_and_the_measurement_stays_a_number() {
    let segments = [PATIENT, "OBR|1||F1|24323-8^CMP^LN", "OBX|1|NM|2951-2^Sodium^LN||140|mmol/L|136-145|N|||F"];
    let tree = message("ORU^R01^ORU_R01", "2.5.1", &segments);
    let ucum = |one: &mut Value| {
        one["valueQuantity"]["system"] = json!("http://unitsofmeasure.org");
        one["valueQuantity"]["code"] = json!("mmol/L");
    };
    let written = edited(&tree, "Observation", ucum).unwrap();
    assert_eq!(named(&written, "OBX"), ["OBX|1|NM|2951-2^Sodium^LN||140|mmol/L^^UCUM|136-145|N|||F"]);
}

#[test]
fn a_status_that_is_given_takes_the_place_of_the_senders_own_code() {
    let segments = [
        PATIENT,
        "GOL|AD|20250101|G1^Walk^L|G1||||||||||||||A^Active^L",
        "PRB|AD|20250101|44054006^Diabetes^SCT|P1||||||||||A^Active^L",
    ];
    let tree = message("PGL^PC6^PGL_PC6", "2.5.1", &segments);
    let goal = edited(&tree, "Goal", |one| one["lifecycleStatus"] = json!("completed")).unwrap();
    assert_eq!(named(&goal, "GOL"), ["GOL|AD|20250101|G1^Walk^L|G1||||||||||||||COMPLETED^^"]);
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    let inactive = json!({ "coding": [{ "system": system, "code": "inactive" }] });
    let problem = edited(&tree, "Condition", |one| one["clinicalStatus"] = inactive.clone()).unwrap();
    assert_eq!(named(&problem, "PRB"), ["PRB|AD|20250101|44054006^Diabetes^SCT|P1||||||||||INACTIVE^^"]);
    // What the sender's own code is changed to as well is not lost.
    let both = edited(&tree, "Condition", |one| {
        one["clinicalStatus"] = inactive;
        one["extension"][0]["valueCoding"]["code"] = json!("B");
    });
    assert!(both.is_err(), "{both:?}");
}

#[test]
fn all_who_caused_a_variance_or_have_a_role_are_told_and_written_anew() {
    let segments = [
        PATIENT,
        "PRB|AD|20250101|44054006^Diabetes^SCT|P1",
        "VAR|V1|202309141750+0200||D1^Deere^Jane~D2^Doe^John~D3^Dae^Joe|A1",
        "ROL|R1|AD|AT|1^Smith^Jack~2^Smyth^Jill",
    ];
    let made = anew(&message("PPR^PC1^PPR_PC1", "2.5.1", &segments), "2.5.1");
    assert_eq!(named(&made, "VAR"), ["VAR|V1|20230914175000+0200||D1^Deere^Jane~D2^Doe^John~D3^Dae^Joe|A1"]);
    assert_eq!(named(&made, "ROL"), ["ROL|R1|AD|AT|1^Smith^Jack~2^Smyth^Jill"]);
}

#[test]
fn a_procedure_of_cpt_is_written_by_the_name_that_senders_use() {
    let segments = ["SCH|P1|F1", PATIENT, "RGS|1", "AIS|1|A|99213^Visit^C4|202601150930+0300"];
    let made = anew(&message("SIU^S12^SIU_S12", "2.5.1", &segments), "2.5.1");
    assert!(named(&made, "AIS")[0].contains("99213^Visit^C4"), "{made:?}");
}

/// What of a message stays in the original, but for its header.
fn kept(tree: &Tree) -> Vec<String> {
    let report = sound(tree, &context()).report(tree);
    let kept = report.items.into_iter().filter(|item| item.disposition == Disposition::Residue);
    kept.map(|item| item.path).filter(|path| !path.starts_with("MSH") && !path.starts_with("AUT")).collect()
}

#[test]
fn all_who_take_part_in_one_way_and_all_that_a_repeat_pattern_says_are_told() {
    let order = message(
        "OML^O21^OML_O21",
        "2.8",
        &[
            PATIENT,
            "ORC|NW|P1",
            "PRT|1|AD||AT^Attending^HL70912|1^Smith^Jack~2^Smyth^Jill|||Ward^D&Display&HL70204^^^^HOSP&1.2.3&ISO^XX^^^10~Clinic^L",
            "TQ1|1||Q2D&every other day&L&A&alternate&L^^1^2^4^xx&odd&L^^^3^EV&event&L||||20260101",
            "OBR|1|P1||GLU^Glucose^L",
        ],
    );
    assert_eq!(kept(&order), Vec::<String>::new());
    let made = anew(&order, "2.8");
    assert!(named(&made, "PRT")[0].contains("|1^Smith^Jack~2^Smyth^Jill|"), "{made:?}");
    let with_role = ["ORC|NW|P1", "OBR|1|P1||GLU^Glucose^L", "ROL||AD|AT^Attending^L|1^Smith^Jack"];
    assert_eq!(kept(&message("OML^O21^OML_O21", "2.6", &[&[PATIENT], &with_role[..]].concat())), Vec::<String>::new());
    let referral = [
        "RF1|P|R|PT^^L||Q|R1^HOSP",
        "PRD|RT|Care^Home",
        PATIENT,
        "PR1|1||P1^Operation^L||20260101",
        "AUT||A1",
        "CTD|C^Contact^L|Karhu^Kaisa|||^PRN^PH^^^^5550100",
    ];
    for version in ["2.3", "2.5.1", "2.8"] {
        assert_eq!(kept(&message("REF^I12", version, &referral)), Vec::<String>::new(), "{version}");
    }
}

#[test]
fn how_an_order_of_old_follows_on_another_is_told() {
    let quantity = "1&tab^Q6H&0600,1200^D10^20260101^20260102^^as needed^with food^S^S&P1&LAB&F1&LAB&S&2&1.2.3&ISO&1.2.4&ISO^3&days&L^4";
    let order = message("ORM^O01", "2.4", &[PATIENT, &format!("ORC|NW|P1|||||{quantity}"), "OBR|1|P1||GLU^Glucose^L"]);
    assert_eq!(kept(&order), Vec::<String>::new());
    assert_eq!(named(&anew(&order, "2.4"), "ORC")[0].split('|').nth(7), Some(quantity));
}
