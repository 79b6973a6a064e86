//! What HL7 v2 messages say that has a place in FHIR: fields of every segment of a referral or an order, old and new versions.

use serde_json::Value;
use silta_engine::definitions::Model;
use silta_engine::mapping::{Disposition, Maps, Report};
use silta_engine::native::hl7v2::{Options, acknowledgement};
use silta_engine::native::{self, Syntax, Tree};
use silta_engine::native_rules::{Config, hl7v2};

use crate::support::v2::{PATIENT, context, message, resources, sound};

/// The resources of a message, which are valid and written back as they were, and what became of its leaves.
fn read(tree: &Tree) -> (Vec<Value>, Report) {
    let got = sound(tree, &context());
    (resources(&got), got.report(tree))
}

fn of_type<'r>(resources: &'r [Value], kind: &str) -> Vec<&'r Value> {
    resources.iter().filter(|resource| resource["resourceType"] == kind).collect()
}

/// The leaves below a path that stay in the original only.
fn kept(report: &Report, below: &str) -> Vec<String> {
    let of = report.items.iter().filter(|item| item.path.starts_with(below));
    of.filter(|item| item.disposition == Disposition::Residue).map(|item| item.path.clone()).collect()
}

fn extension<'r>(of: &'r Value, name: &str) -> &'r Value {
    let url = format!("https://silta.example/fhir/v2/StructureDefinition/{name}");
    let all = of["extension"].as_array().unwrap();
    all.iter().find(|one| one["url"] == url.as_str()).unwrap_or(&Value::Null)
}

#[test]
fn admissions_of_the_oldest_versions_are_read() {
    for version in ["2.1", "2.2"] {
        for (event, status) in [("A01", "in-progress"), ("A03", "finished"), ("A11", "cancelled"), ("A31", "unknown")] {
            let visit = "PV1|1|I|W1^2^3";
            let segments = [&format!("EVN|{event}|20260702"), PATIENT, visit];
            let (resources, report) = read(&message(&format!("ADT^{event}"), version, &segments));
            assert_eq!(of_type(&resources, "Patient")[0]["name"][0]["family"], "Alpha", "{version} {event}");
            assert_eq!(of_type(&resources, "Encounter")[0]["status"], status, "{version} {event}");
            assert_eq!(kept(&report, "P"), Vec::<String>::new(), "{version} {event}");
        }
    }
}

#[test]
fn an_order_in_the_old_structure_is_read_in_every_later_version() {
    for version in ["2.6", "2.7", "2.8", "2.8.2"] {
        let segments = [PATIENT, "ORC|NW|P1", "OBR|1|P1||GLU^Glucose^L"];
        let (resources, _) = read(&message("ORM^O01", version, &segments));
        assert_eq!(of_type(&resources, "ServiceRequest")[0]["code"]["coding"][0]["code"], "GLU", "{version}");
    }
}

#[test]
fn a_stay_that_may_move_or_end_goes_on() {
    for (event, version) in [("A15", "2.3"), ("A15", "2.5.1"), ("A16", "2.5.1"), ("A25", "2.5.1"), ("A26", "2.8")] {
        let segments = [&format!("EVN|{event}|20260702091500"), PATIENT, "PV1|1|I|W1^2^3", "AL1|1|DA|PEN^Penicillin^L"];
        let (resources, _) = read(&message(&format!("ADT^{event}"), version, &segments));
        assert_eq!(of_type(&resources, "Encounter")[0]["status"], "in-progress", "{event} {version}");
        assert_eq!(of_type(&resources, "AllergyIntolerance").len(), 1, "{event} {version}");
    }
}

#[test]
fn relatives_and_allergies_are_told_with_every_event_of_a_stay() {
    for event in ["A02", "A11", "A21", "A22", "A38"] {
        let segments = [
            &format!("EVN|{event}|20260702091500"),
            PATIENT,
            "NK1|1|Alpha^Otto|SPO^Spouse^HL70063",
            "PV1|1|I|W1^2^3",
            "AL1|1|DA|PEN^Penicillin^L",
            "DG1|1||I10^Hypertension^I10||20260701|W",
        ];
        let (resources, report) = read(&message(&format!("ADT^{event}"), "2.5.1", &segments));
        for kind in ["RelatedPerson", "AllergyIntolerance", "Condition"] {
            assert_eq!(of_type(&resources, kind).len(), 1, "{event} {kind}");
        }
        assert_eq!(kept(&report, "NK1"), Vec::<String>::new(), "{event}");
        assert_eq!(kept(&report, "AL1"), Vec::<String>::new(), "{event}");
    }
}

#[test]
fn a_medicine_that_is_ordered_has_its_dose_its_route_and_its_components() {
    for (kind, version) in [("ORM^O01", "2.3"), ("ORM^O01", "2.5.1")] {
        let segments = [
            PATIENT,
            "ORC|NW|P1",
            "RXO|AMO^Amoxicillin^L|500|750|mg^milligram^L|CAP^Capsule^L||WF^With food^L||G",
            "RXR|PO^Oral^HL70162",
            "RXC|B|AMO^Amoxicillin^L|500|mg^milligram^L",
            "NTE|1||for ten days",
            "ORC|NW|P2",
            "OBR|1|P2||GLU^Glucose^L",
        ];
        let tree = message(kind, version, &segments);
        let (resources, report) = read(&tree);
        let orders = of_type(&resources, "ServiceRequest");
        assert_eq!(orders.len(), 2);
        assert_eq!(extension(orders[0], "RXO-2")["valueDecimal"], 500);
        assert_eq!(extension(orders[0], "RXR")["extension"][0]["valueCodeableConcept"]["coding"][0]["code"], "PO");
        assert_eq!(orders[0]["note"][0]["text"], "for ten days");
        assert_eq!(orders[1]["note"], Value::Null);
        assert_eq!(kept(&report, "RX"), Vec::<String>::new());
        let judged = hl7v2::check(&tree, &Config::default());
        assert_eq!(
            judged.findings.iter().filter(|f| f.severity == acknowledgement::Severity::Error).count(),
            0,
            "{:?}",
            judged.findings
        );
    }
}

#[test]
fn where_an_item_comes_from_is_no_order_of_its_own() {
    let segments = [PATIENT, "ORC|NW|P1", "RQD|1|GLV^Gloves^L|||10|BX^box^L", "RQ1|10.00||CAT-1"];
    let (resources, report) = read(&message("ORM^O01", "2.5.1", &segments));
    let orders = of_type(&resources, "ServiceRequest");
    assert_eq!(orders.len(), 1);
    assert_eq!(extension(orders[0], "RQ1-3")["valueString"], "CAT-1");
    assert_eq!(kept(&report, "RQ"), Vec::<String>::new());
}

#[test]
fn what_a_report_in_a_referral_says_of_its_request_is_told() {
    let segments = [
        "RF1|A^Accepted^HL70283|R^Routine^HL70280|||E^Emergency^HL70284|REF1|20260701",
        "PRD|RP^Referring provider^HL70286|Doc^Bob|1 Street^^Oulu^^90100^FI^O||^WPN^PH^^^08^123|E^E-mail^HL70185",
        "PRD|RT^Referred to provider^HL70286||||^WPN^PH^^^08^456",
        PATIENT,
        "DRG|123^Group^L|20260701",
        "OBR|1|P1|F1|GLU^Glucose^L|R|20260630|20260701||3^ml|7^Nurse^Nina|L|||20260701101500|BLD&Blood&L\
         |9^Doc^Dan|^WPN^PH^^^08^789|pf1|pf2|ff1|ff2|20260702101500|12.50&EUR^CH1&Charge&L|LAB|F",
    ];
    let (resources, report) = read(&message("REF^I12^REF_I12", "2.5.1", &segments));
    for below in ["RF1", "PRD", "DRG", "OBR"] {
        assert_eq!(kept(&report, below), Vec::<String>::new());
    }
    assert_eq!(of_type(&resources, "Specimen")[0]["type"]["coding"][0]["code"], "BLD");
}

#[test]
fn a_visit_has_its_number_whatever_its_type_beside_its_alternate_one() {
    let visit = format!("PV1|1|I|W1^2^3{}V1^^^HOSP^FIN{}V2^^^HOSP^XX", "|".repeat(16), "|".repeat(31));
    let (resources, report) = read(&message("ADT^A01", "2.5.1", &["EVN||20260702091500", PATIENT, &visit]));
    let numbers = &of_type(&resources, "Encounter")[0]["identifier"];
    assert_eq!((&numbers[0]["value"], &numbers[0]["type"]["coding"][0]["code"]), (&"V1".into(), &"FIN".into()));
    assert_eq!((&numbers[1]["value"], &numbers[1]["use"]), (&"V2".into(), &"secondary".into()));
    assert_eq!(kept(&report, "PV1"), Vec::<String>::new());
    let plain = format!("PV1|1|I|W1^2^3{}V1", "|".repeat(16));
    let (resources, _) = read(&message("ADT^A01", "2.5.1", &["EVN||20260702091500", PATIENT, &plain]));
    let number = &of_type(&resources, "Encounter")[0]["identifier"][0];
    assert_eq!(number["type"]["coding"][0]["code"], "VN", "a number of a visit is one of a visit");
}

#[test]
fn an_organisation_is_never_at_home_and_keeps_what_its_sender_says() {
    let order = format!("ORC|NW|P1{}Ward A^L|1 Street^^Oulu^^90100^FI^H|^PRN^PH^^^08^123", "|".repeat(19));
    let (resources, report) = read(&message("ORM^O01", "2.5.1", &[PATIENT, &order, "OBR|1|P1||GLU^Glucose^L"]));
    let facility = of_type(&resources, "Organization")[0];
    assert_eq!((&facility["address"][0]["use"], &facility["telecom"][0]["use"]), (&Value::Null, &Value::Null));
    assert_eq!(extension(&facility["address"][0], "XAD.7")["valueCode"], "H");
    assert_eq!(kept(&report, "ORC[1]-2"), Vec::<String>::new());
}

#[test]
fn a_time_of_discharge_that_is_no_time_is_not_told_as_carried() {
    let visit = format!("PV1|1|I|W1^2^3{}soon", "|".repeat(42));
    let (resources, report) = read(&message("ADT^A08", "2.5.1", &["EVN||20260702091500", PATIENT, &visit]));
    assert_eq!(of_type(&resources, "Encounter")[0]["status"], "finished");
    assert_eq!(kept(&report, "PV1[1]-45"), ["PV1[1]-45[1].1.1"]);
}

#[test]
fn a_visit_behind_the_last_order_is_no_earlier_one() {
    for kind in ["OMG^O19^OMG_O19", "OML^O21^OML_O21"] {
        let segments = [PATIENT, "ORC|NW|P1", "OBR|1|P1||GLU^Glucose^L", "PV1|1|I|W1^2^3"];
        let (resources, report) = read(&message(kind, "2.5.1", &segments));
        assert_eq!(of_type(&resources, "List").len(), 0, "{kind}");
        assert_eq!(kept(&report, "PV1").len(), 5, "{kind}");
    }
}

#[test]
fn a_first_order_is_one_even_where_it_is_called_an_earlier_result() {
    for kind in ["OMG^O19^OMG_O19", "OML^O21^OML_O21"] {
        let segments = [PATIENT, "ORC|PR|P1", "OBR|1|P1||GLU^Glucose^L", "ORC|PR|P2", "OBR|2|P2||NA^Sodium^L"];
        let (resources, _) = read(&message(kind, "2.5.1", &segments));
        assert_eq!(of_type(&resources, "List").len(), 1, "{kind}: the second is a result before the first");
    }
}

#[test]
fn a_severity_of_an_allergy_is_of_its_reaction_wherever_the_reaction_stands() {
    let segments = ["EVN||20260702091500", PATIENT, "AL1|1|DA|PEN^Penicillin^L|SV|\"\"~Rash"];
    let (resources, _) = read(&message("ADT^A01", "2.5.1", &segments));
    let allergy = of_type(&resources, "AllergyIntolerance")[0];
    assert_eq!((&allergy["reaction"][0]["severity"], &allergy["criticality"]), (&"severe".into(), &Value::Null));
}

#[test]
fn what_is_seen_of_a_container_is_no_finding_of_the_order() {
    let segments = [
        PATIENT,
        "ORC|NW|P1",
        "OBR|1|P1||GLU^Glucose^L",
        "SAC|||C1",
        "OBX|1|NM|VOL^Volume^L||5|ml|||||F",
        "OBX|2|ST|COL^Colour^L||red||||||F",
        "DG1|1||I10^Hypertension^I10||20260701|W",
        "OBX|1|NM|WT^Weight^L||70|kg|||||F",
    ];
    let (resources, _) = read(&message("OML^O21", "2.4", &segments));
    let order = of_type(&resources, "ServiceRequest")[0];
    assert_eq!(order["supportingInfo"].as_array().unwrap().len(), 1);
    assert_eq!(of_type(&resources, "Observation").len(), 3);
}

#[test]
fn a_note_of_an_old_order_is_of_the_order_or_of_its_observation_and_never_of_both() {
    for version in ["2.1", "2.2", "2.3", "2.6"] {
        let segments = [
            PATIENT,
            "ORC|NW|P1",
            "OBR|1|P1||GLU^Glucose^L",
            "NTE|1||of the order",
            "OBX|1|ST|COL^Colour^L||red||||||F",
            "NTE|1||of the finding",
        ];
        let (resources, _) = read(&message("ORM^O01", version, &segments));
        let notes = |kind| of_type(&resources, kind)[0]["note"].as_array().unwrap().len();
        assert_eq!((notes("ServiceRequest"), notes("Observation")), (1, 1), "{version}");
    }
}

#[test]
fn a_new_order_goes_into_the_segment_that_it_is_of() {
    let details = [
        ("OBR|1|P1||GLU^Glucose^L", "OBR"),
        ("RXO|AMO^Amoxicillin^L|500||mg^milligram^L", "RXO"),
        ("ODS|D||321^Diet^L", "ODS"),
        ("RQD|1|GLV^Gloves^L|||10", "RQD"),
    ];
    let maps = Maps::embedded(Model::r4());
    for (detail, segment) in details {
        let tree = message("ORM^O01", "2.5.1", &[PATIENT, "ORC|NW|P1", detail]);
        let got = maps.find(&tree).unwrap().get(&tree, &context()).unwrap();
        let made = maps.named("orm-o01").unwrap().create(got.document(), &context()).unwrap();
        let text = String::from_utf8(made.bytes).unwrap();
        let details: Vec<&str> = text.split('\r').filter_map(|line| line.get(..3)).collect();
        assert_eq!(details, ["MSH", "PID", "ORC", segment], "{text}");
    }
}

#[test]
fn a_sum_in_no_currency_keeps_what_its_sender_calls_it() {
    let request = format!("OBR|1|P1||GLU^Glucose^L{}12.50&credits", "|".repeat(19));
    let (resources, report) = read(&message("ORM^O01", "2.5.1", &[PATIENT, "ORC|NW|P1", &request]));
    assert_eq!(extension(of_type(&resources, "ServiceRequest")[0], "OBR-23")["valueMoney"]["value"], 12.5);
    assert_eq!(kept(&report, "OBR[1]-23"), ["OBR[1]-23[1].1.2"]);
}

#[test]
fn blanks_are_no_error() {
    let (_, report) =
        read(&message("ADT^A01", "2.5.1", &["EVN||20260702091500", "PID|1||1^^^X||Alpha^Anna^   ", "PV1|1|I"]));
    assert_eq!((report.errors, kept(&report, "PID[1]-5")), (0, vec!["PID[1]-5[1].3.1".to_owned()]));
}

#[test]
fn a_document_without_its_content_says_that_it_is_not_known() {
    let segments = ["PRD|RP^^HL70286|Doc^Bob", PATIENT, "OBR|1|P1||L^Letter^L", "OBX|1|ED|L||\"\"||||||F"];
    let (resources, _) = read(&message("REF^I12^REF_I12", "2.5.1", &segments));
    let attachment = &of_type(&resources, "DocumentReference")[0]["content"][0]["attachment"];
    assert_eq!(attachment["extension"][0]["valueCode"], "unknown");
}

#[test]
fn a_new_message_names_its_event_and_structure_as_its_version_does() {
    let maps = Maps::embedded(Model::r4());
    for (version, event, structure) in [("2.3", "A12", ""), ("2.4", "A12", "ADT_A09"), ("2.8", "A12", "ADT_A12")] {
        let tree = message(&format!("ADT^{event}"), version, &[&format!("EVN|{event}|20260702"), PATIENT, "PV1|1|I"]);
        let got = maps.find(&tree).unwrap().get(&tree, &context()).unwrap();
        let mut cx = context();
        (cx.envelope.version, cx.envelope.event) = (version.to_owned(), event.to_owned());
        let made = maps.named("adt-a09").unwrap().create(got.document(), &cx).unwrap();
        let made = Syntax::Hl7V2(Options::default()).parse(made.bytes, &native::Limits::default()).unwrap();
        let text = String::from_utf8_lossy(made.bytes()).into_owned();
        assert!(
            text.contains(&format!("|ADT^{event}{}{structure}|", if structure.is_empty() { "" } else { "^" })),
            "{text}"
        );
        assert_eq!(text.contains("EVN|A12|"), version == "2.3", "{text}");
        let judged = hl7v2::check(&made, &Config::default());
        assert_eq!(
            judged.findings.iter().filter(|f| f.severity == acknowledgement::Severity::Error).count(),
            0,
            "{text}\n{:?}",
            judged.findings
        );
    }
}
