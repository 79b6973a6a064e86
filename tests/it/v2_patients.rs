//! Whose a fact is, in HL7 v2 messages that speak of several patients: each resource is about the patient that the
//! message says, and a message that leaves it open is refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::Node;
use silta_engine::mapping::{Context, Maps, Refusals, Translation};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{Limits, Syntax, Tree};

const ANNA: &str = "PID|1||111^^^HOSP^MR||ALPHA^Anna||19700101|F";
const BERTA: &str = "PID|1||222^^^HOSP^MR||BETA^Berta||19800101|F";

fn message(kind: &str, version: &str, segments: &[&str]) -> Tree {
    let header = format!("MSH|^~\\&|HIS|A|B|C|20260302091500||{kind}|7|T|{version}\r");
    let body: String = segments.iter().map(|segment| format!("{segment}\r")).collect();
    Syntax::Hl7V2(Options::default()).parse((header + &body).into_bytes(), &Limits::default()).unwrap()
}

fn read(tree: &Tree) -> Result<Translation, Refusals> {
    let maps = Maps::embedded(Model::r4());
    let context = Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret");
    let map = maps.find(tree).unwrap();
    let got = map.get(tree, &context)?;
    assert_eq!(map.put_through(got.document(), tree, &context).unwrap().bytes, tree.bytes());
    Ok(got)
}

/// What refers to which patient: the types of the resources, by the family name.
fn by_patient(got: &Translation) -> BTreeMap<String, Vec<String>> {
    fn references(node: Node<'_>, url: &str) -> bool {
        node.name() == "reference" && node.text() == Some(url) || node.children().any(|child| references(child, url))
    }
    let entries =
        || got.document().root().named("entry").filter_map(|e| Some((e.text_at("fullUrl")?, e.first("resource")?)));
    let patients = entries().filter(|(_, resource)| resource.type_name() == "Patient");
    patients
        .filter_map(|(url, patient)| {
            let about = entries().filter(|(_, resource)| references(*resource, url));
            let mut types: Vec<String> = about.map(|(_, r)| r.type_name().to_owned()).collect();
            types.sort_unstable();
            Some((patient.text_at("name.family")?.to_owned(), types))
        })
        .collect()
}

#[test]
fn each_patient_of_an_appointment_has_its_own_visit_diagnoses_and_observations() {
    for version in ["2.3", "2.5.1", "2.8"] {
        let tree = message(
            "SIU^S12",
            version,
            &[
                "SCH|P1|F1",
                ANNA,
                "PV1|1|O",
                "OBX|1|NM|8867-4^Heart rate^LN||70",
                BERTA,
                "PV1|1|I",
                "DG1|1||E11^Diabetes^I10",
                "RGS|1",
                "AIS|1|A|X^Y",
            ],
        );
        let got = read(&tree).unwrap();
        let expected = [
            ("ALPHA".to_owned(), ["Appointment", "Encounter", "Observation"].map(str::to_owned).to_vec()),
            ("BETA".to_owned(), ["Appointment", "Condition", "Encounter"].map(str::to_owned).to_vec()),
        ];
        assert_eq!(by_patient(&got), BTreeMap::from(expected), "{version}");
        assert_eq!(got.entries().iter().filter(|entry| &*entry.resource == "Appointment").count(), 1);
    }
}

#[test]
fn results_of_several_patients_are_each_of_its_own() {
    let tree = message(
        "ORU^R01",
        "2.5.1",
        &[ANNA, "OBR|1||F1|X", "OBX|1|ST|Y||a", BERTA, "PV1|1|I", "OBR|1||F2|X", "OBX|1|ST|Y||b"],
    );
    let all = by_patient(&read(&tree).unwrap());
    assert_eq!(all["ALPHA"], ["DiagnosticReport", "Observation"]);
    assert_eq!(all["BETA"], ["DiagnosticReport", "Encounter", "Observation"]);
}

#[test]
fn a_second_patient_where_the_structure_has_one_refuses_the_message() {
    let cases: [(&str, &[&str], &[&str]); 18] = [
        ("ORM^O01", &[], &["ORC|NW|1", "OBR|1|1||X"]),
        ("OMG^O19", &[], &["ORC|NW|1", "OBR|1|1||X"]),
        ("OML^O21", &[], &["ORC|NW|1", "OBR|1|1||X"]),
        ("ORR^O02", &["MSA|AA|1"], &["ORC|OK|1", "OBR|1|1||X"]),
        ("ORG^O20", &["MSA|AA|1"], &["ORC|OK|1", "OBR|1|1||X"]),
        ("ORL^O22", &["MSA|AA|1"], &["ORC|OK|1", "OBR|1|1||X"]),
        ("OSU^O51", &[], &["ORC|OK|1"]),
        ("MDM^T02", &["EVN||2026"], &["PV1|1|O", "TXA|1|CN", "OBX|1|TX|A||x"]),
        ("REF^I12", &["RF1|P|R|||||R1", "PRD|RP|X"], &["DG1|1||I10"]),
        ("RRI^I12", &["MSA|AA|1", "RF1|A|R|||||R1", "PRD|RP|X"], &["DG1|1||I10"]),
        ("PPR^PC1", &[], &["PRB|AD|20260101|I10|1"]),
        ("PGL^PC6", &[], &["GOL|AD|20260101|I10|1"]),
        ("PPP^PCB", &[], &["PTH|AD|I10|1"]),
        ("PPG^PCG", &[], &["PTH|AD|I10|1"]),
        ("ADT^A01", &["EVN||2026"], &["PV1|1|O", "DG1|1||I10"]),
        ("ADT^A03", &["EVN||2026"], &["PV1|1|O", "DG1|1||I10"]),
        ("ADT^A28", &["EVN||2026"], &["PV1|1|O", "DG1|1||I10"]),
        ("ADT^A47", &["EVN||2026"], &["MRG|333"]),
    ];
    for (kind, before, after) in cases {
        let of = |patient: &'static str| [&[patient], after].concat();
        let two = message(kind, "2.5.1", &[before, &of(ANNA), &of(BERTA)].concat());
        let refused = read(&two).err().unwrap_or_else(|| panic!("{kind} of two patients is read"));
        assert_eq!(refused.location(), "PID[2]", "{kind}");
        assert!(read(&message(kind, "2.5.1", &[before, of(ANNA).as_slice()].concat())).is_ok(), "{kind}");
    }
    // The same patient said again is no other.
    let again = message("ORM^O01", "2.5.1", &[ANNA, "ORC|NW|1", "OBR|1|1||X", ANNA, "ORC|NW|2", "OBR|1|2||X"]);
    assert_eq!(by_patient(&read(&again).unwrap())["ALPHA"].len(), 4);
}

#[test]
fn linked_and_merged_patients_keep_their_own() {
    let link = message("ADT^A24", "2.5.1", &["EVN||2026", ANNA, BERTA]);
    assert_eq!(by_patient(&read(&link).unwrap())["BETA"], ["Patient"]);
    let merge = ["EVN||2026", ANNA, "MRG|333^^^HOSP^MR", "PV1|1|O", BERTA, "MRG|444^^^HOSP^MR", "PV1|1|I"];
    let all = by_patient(&read(&message("ADT^A40", "2.5.1", &merge)).unwrap());
    assert_eq!(all["ALPHA"], ["Encounter", "Patient"]);
    assert_eq!(all["BETA"], ["Encounter", "Patient"]);
    let third = message("ADT^A24", "2.5.1", &["EVN||2026", ANNA, BERTA, "PID|3||333^^^HOSP^MR||GAMMA"]);
    assert_eq!(read(&third).unwrap_err().location(), "PID[3]");
}

#[test]
fn the_order_control_code_tells_earlier_results_from_the_next_order() {
    let earlier = [BERTA, "ORC|PR|9", "OBR|1|9||Z", "OBX|1|ST|A||x"];
    let next = ["ORC|NW|2", "OBR|1|2||Q"];
    let tree = message("OML^O21", "2.5.1", &[&[ANNA, "ORC|NW|1", "OBR|1|1||X"], &earlier[..], &next].concat());
    let all = by_patient(&read(&tree).unwrap());
    assert_eq!(all["ALPHA"], ["ServiceRequest", "ServiceRequest", "Task", "Task"]);
    assert_eq!(all["BETA"], ["DiagnosticReport", "List", "Observation"]);
    // Without a patient of their own they are this patient's, and no order.
    let tree = message("OML^O21", "2.8", &[&[ANNA, "ORC|NW|1", "OBR|1|1||X"], &earlier[1..], &next].concat());
    let types = by_patient(&read(&tree).unwrap()).remove("ALPHA").unwrap();
    assert_eq!(types.iter().filter(|one| *one == "ServiceRequest").count(), 2, "{types:?}");
    assert!(types.contains(&"DiagnosticReport".to_owned()), "{types:?}");
}
