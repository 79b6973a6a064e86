//! What real HL7 v2 messages mean: orders without order segments, times without zones, documents as text, vital signs.

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::mapping::{Context, Disposition, Maps};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{self, Syntax, Tree};

use crate::support::v2::{PATIENT, context, message, resources, sound};

/// The resources of a message, which are valid and written back as they were.
fn read(tree: &Tree, context: &Context) -> Vec<Value> {
    resources(&sound(tree, context))
}

fn of_type<'r>(resources: &'r [Value], kind: &str) -> Vec<&'r Value> {
    resources.iter().filter(|resource| resource["resourceType"] == kind).collect()
}

fn placers(resources: &[Value]) -> Vec<&str> {
    of_type(resources, "ServiceRequest").iter().map(|order| order["identifier"][0]["value"].as_str().unwrap()).collect()
}

#[test]
fn each_request_behind_one_order_segment_is_an_order_with_its_own_notes() {
    let segments = ["ORC|NW|P1", "OBR|1|P1||GLU^Glucose^L", "OBR|2|P2||NA^Sodium^L", "NTE|1||fasting"];
    for (kind, version) in [("ORM^O01", "2.3"), ("OML^O21^OML_O21", "2.5.1"), ("OMG^O19^OMG_O19", "2.5.1")] {
        let resources = read(&message(kind, version, &[&[PATIENT], &segments[..]].concat()), &context());
        assert_eq!(placers(&resources), ["P1", "P2"], "{kind}");
        let orders = of_type(&resources, "ServiceRequest");
        assert_eq!(orders[0]["note"], Value::Null, "{kind}");
        assert_eq!(orders[1]["note"][0]["text"], "fasting", "{kind}");
    }
}

#[test]
fn an_order_needs_no_order_segment() {
    for (kind, version) in [("ORM^O01", "2.3"), ("ORM", "2.1"), ("OML^O21^OML_O21", "2.5.1"), ("OMG^O19", "2.4")] {
        let resources = read(&message(kind, version, &[PATIENT, "OBR|1|P1||GLU^Glucose^L"]), &context());
        assert_eq!(placers(&resources), ["P1"], "{kind}");
    }
}

#[test]
fn a_time_without_a_zone_is_in_the_providers_else_in_that_of_the_header() {
    let segments = ["SCH|P1|F1", PATIENT, "RGS|1", "AIS|1||X^Y^L|202601150930"];
    let booking = message("SIU^S12^SIU_S12", "2.5.1", &segments);
    let start = |context: &Context| {
        read(&booking, context).iter().find_map(|one| {
            let participants = one["participant"].as_array()?;
            participants.iter().find_map(|one| one["period"]["start"].as_str().map(str::to_owned))
        })
    };
    assert_eq!(start(&context()).unwrap(), "2026-01-15T09:30:00+03:00");
    let helsinki = Context { zone: Some(jiff::tz::TimeZone::get("Europe/Helsinki").unwrap()), ..context() };
    assert_eq!(start(&helsinki).unwrap(), "2026-01-15T09:30:00+02:00");
    // Where neither says it, it is a guess.
    let text = String::from_utf8(booking.bytes().to_vec()).unwrap().replace("+0300", "");
    let syntax = Syntax::Hl7V2(Options::default());
    let unzoned = syntax.parse(text.into_bytes(), &native::Limits::default()).unwrap();
    let maps = Maps::embedded(Model::r4());
    let report = maps.find(&unzoned).unwrap().get(&unzoned, &context()).unwrap().report(&unzoned);
    let time = report.items.iter().find(|item| item.path == "AIS[1]-4[1].1.1").unwrap();
    assert_eq!(time.disposition, Disposition::Approximated);
}

#[test]
fn a_note_is_all_of_its_repetitions_without_their_formatting() {
    let segments = [PATIENT, "OBR|1||F1|P^P^L", "NTE|1||first~\\H\\second\\N\\ part~third\\.sp\\line"];
    let resources = read(&message("ORU^R01^ORU_R01", "2.5.1", &segments), &context());
    assert_eq!(of_type(&resources, "ServiceRequest")[0]["note"][0]["text"], "first\nsecond part\nthird\nline");
}

#[test]
fn a_document_that_is_sent_as_lines_is_one_text() {
    let segments = [
        "EVN||20260702",
        PATIENT,
        "PV1|1|I|W1",
        "TXA|1|DS|TX|20260702||||||||D1^H||||||AU",
        "OBX|1|TX|18842-5^Discharge summary^LN|1|Line one||||||F",
        "OBX|2|TX|18842-5^Discharge summary^LN|2|Line two~and three||||||F",
    ];
    let resources = read(&message("MDM^T02^MDM_T02", "2.5.1", &segments), &context());
    let document = of_type(&resources, "DocumentReference")[0];
    let content = document["content"].as_array().unwrap();
    assert_eq!(content.len(), 1);
    assert_eq!(content[0]["attachment"]["contentType"], "text/plain");
    assert_eq!(content[0]["attachment"]["data"], "TGluZSBvbmUKTGluZSB0d28KYW5kIHRocmVl");
    assert_eq!(of_type(&resources, "Observation"), Vec::<&Value>::new());
}

#[test]
fn what_is_done_in_a_visit_refers_to_it() {
    let segments = [PATIENT, "PV1|1|I|W1", "OBR|1||F1|P^P^L", "OBX|1|NM|X^Koe^L||1|mg|||||F"];
    let resources = read(&message("ORU^R01^ORU_R01", "2.5.1", &segments), &context());
    let visit = &of_type(&resources, "DiagnosticReport")[0]["encounter"]["reference"];
    assert!(visit.is_string());
    for kind in ["ServiceRequest", "Observation"] {
        for one in of_type(&resources, kind) {
            assert_eq!(one["encounter"]["reference"], *visit, "{kind}");
        }
    }
}

#[test]
fn vital_signs_are_what_fhir_asks_of_them() {
    let observed = |segment: &str| {
        let segments = [PATIENT, "OBR|1||F1|P^P^L", segment];
        of_type(&read(&message("ORU^R01^ORU_R01", "2.5.1", &segments), &context()), "Observation")[0].clone()
    };
    let height = observed("OBX|1|NM|8302-2^Height^LN||180|cm");
    assert_eq!(height["category"][0]["coding"][0]["code"], "vital-signs");
    assert_eq!(
        height["valueQuantity"],
        json!({
            "value": 180, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"
        })
    );
    let pulse = observed("OBX|1|NM|8867-4^Pulse^LN||72|bpm|||||F|||20260701");
    assert_eq!((&pulse["valueQuantity"]["unit"], &pulse["valueQuantity"]["code"]), (&json!("bpm"), &json!("/min")));
    assert_eq!(pulse["effectiveDateTime"], "2026-07-01");
    let said = observed("OBX|1|ST|29463-7^Weight^LN||not weighed");
    assert_eq!(said["dataAbsentReason"]["text"], "not weighed");
    let pressure = observed("OBX|1|SN|85354-9^BP^LN||^120^/^80|mm[Hg]");
    let values: Vec<&Value> =
        pressure["component"].as_array().unwrap().iter().map(|c| &c["valueQuantity"]["value"]).collect();
    assert_eq!(values, [&json!(120), &json!(80)]);
    observed("OBX|1|ST|85354-9^BP^LN||120/80|mm[Hg]");
    observed("OBX|1|NM|29463-7^Weight^LN||80~81|stone^^ISO+");
    observed("OBX|1|NM|2708-6^SpO2^LN||");
}

#[test]
fn of_several_numbers_none_is_told_as_the_only_one() {
    let observed = |kind: &str, value: &str| {
        let segment = format!("OBX|1|{kind}|X^Koe^L||{value}|||||||F");
        let segments = [PATIENT, "OBR|1||F1|P^P^L", &segment];
        of_type(&read(&message("ORU^R01^ORU_R01", "2.5.1", &segments), &context()), "Observation")[0].clone()
    };
    assert_eq!(observed("NM", "12~13")["valueString"], "12\n13");
}

#[test]
fn the_words_of_senders_are_understood() {
    let segments = [
        "EVN||20260702",
        "PID|1||1^^^H^MR||A^B||||||||^NET^Internet^c@d.example",
        "PV1|1|O",
        "DG1|1|I9|250.00|DIABETES",
    ];
    let resources = read(&message("ADT^A04", "2.3", &segments), &context());
    let telecom = |at: usize| {
        let one = &of_type(&resources, "Patient")[0]["telecom"][at];
        (one["system"].clone(), one["value"].clone())
    };
    assert_eq!(telecom(0), (json!("email"), json!("c@d.example")));
    let code = &of_type(&resources, "Condition")[0]["code"]["coding"][0];
    assert_eq!(*code, json!({"system": "http://hl7.org/fhir/sid/icd-9", "code": "250.00"}));

    for (said, status) in [("Canceled", "cancelled"), ("No Show", "noshow"), ("Arrived", "arrived"), ("", "booked")] {
        let booking = format!("SCH|P1|F1|||||C^Check|||30|min{}{said}", "|".repeat(14));
        let resources = read(&message("SIU^S14^SIU_S12", "2.5.1", &[&booking, PATIENT, "RGS|1"]), &context());
        assert_eq!(of_type(&resources, "Appointment")[0]["status"], status, "{said}");
    }

    let segments = [PATIENT, "OBR|1||F1|P^P^L", "OBX|1|NM|X^Koe^L||1|mg|1-2|h^High^HL70078|||F"];
    let resources = read(&message("ORU^R01^ORU_R01", "2.5.1", &segments), &context());
    let flag = &of_type(&resources, "Observation")[0]["interpretation"][0]["coding"][0];
    assert_eq!(flag["system"], "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation");
    assert_eq!(flag["code"], "H");
}

#[test]
fn a_problem_that_is_ruled_out_or_of_a_code_nobody_knows_is_not_told_as_the_patients() {
    let problem = |status: &str| {
        let problem = format!("PRB|AD|20260101|E11^Diabetes^I10|PR1^HOSP{}{status}|ACTIVE^Active^L", "|".repeat(9));
        of_type(&read(&message("PPR^PC1^PPR_PC1", "2.5.1", &[PATIENT, &problem]), &context()), "Condition")[0].clone()
    };
    let words = [("RO^Ruled out^L", "refuted"), ("E^Entered in error^L", "entered-in-error")];
    let codes =
        [("DDX^Differential^L", "differential"), ("SUS^Suspected^L", "provisional"), ("RO^Rule out", "differential")];
    for (said, status) in words.into_iter().chain(codes) {
        let condition = problem(said);
        assert_eq!(condition["verificationStatus"]["coding"][0]["code"], status, "{said}");
        assert_eq!(condition["clinicalStatus"].is_null(), status == "entered-in-error", "{said}");
        assert_eq!(condition["modifierExtension"], Value::Null, "{said}");
    }
    for said in ["RO", "X^Whatever^L"] {
        let condition = problem(said);
        let modifier = &condition["modifierExtension"][0];
        assert_eq!(modifier["url"], "https://silta.example/fhir/v2/StructureDefinition/confirmation", "{condition}");
        assert_eq!(modifier["valueCoding"]["code"], said.split('^').next().unwrap());
    }
}

#[test]
fn a_document_that_is_withdrawn_or_obsolete_is_not_current() {
    for (said, status) in
        [("AV", "current"), ("", "current"), ("UN", "current"), ("OB", "superseded"), ("CA", "entered-in-error")]
    {
        let txa = format!("TXA|1|DS|TX|20260702{}D1^H{}AU||{said}", "|".repeat(8), "|".repeat(5));
        let segments = ["EVN||20260702", PATIENT, "PV1|1|I|W1", &txa, "OBX|1|TX|1^T^L||Text||||||F"];
        let resources = read(&message("MDM^T02^MDM_T02", "2.5.1", &segments), &context());
        assert_eq!(of_type(&resources, "DocumentReference")[0]["status"], status, "{said}");
    }
}

#[test]
fn an_order_that_is_replaced_or_not_taken_is_not_active() {
    for (control, order, task) in [
        ("RP", "revoked", "requested"),
        ("RQ", "revoked", "cancelled"),
        ("RU", "revoked", "cancelled"),
        ("RO", "active", "requested"),
        ("UA", "revoked", "rejected"),
        ("OD", "revoked", "cancelled"),
        ("CR", "revoked", "cancelled"),
        ("OH", "on-hold", "on-hold"),
    ] {
        let orc = format!("ORC|{control}|P1");
        let resources = read(&message("ORM^O01", "2.3", &[PATIENT, &orc, "OBR|1|P1||GLU^Glucose^L"]), &context());
        assert_eq!(of_type(&resources, "ServiceRequest")[0]["status"], order, "{control}");
        assert_eq!(of_type(&resources, "Task")[0]["status"], task, "{control}");
    }
    let said = message("ORM^O01", "2.3", &[PATIENT, "ORC|UA|P1|||CM", "OBR|1|P1||GLU^Glucose^L"]);
    assert_eq!(of_type(&read(&said, &context()), "Task")[0]["status"], "completed");
}

#[test]
fn the_document_of_a_result_is_a_form_of_the_report() {
    let pdf = "OBX|1|ED|PDF^Report^L||^application^pdf^Base64^JVBERi0=||||||F";
    let segments = [PATIENT, "OBR|1|P1|F1|11502-2^Lab report^LN", pdf];
    let resources = read(&message("ORU^R01^ORU_R01", "2.5.1", &segments), &context());
    let form = &of_type(&resources, "DiagnosticReport")[0]["presentedForm"][0];
    assert_eq!((&form["contentType"], &form["data"]), (&json!("application/pdf"), &json!("JVBERi0=")));
    assert_eq!(form["title"], "Report");
    for kind in ["ServiceRequest", "DocumentReference"] {
        assert!(
            of_type(&resources, kind).iter().all(|one| one["supportingInfo"].is_null() && one["content"].is_null())
        );
    }
}

#[test]
fn who_is_said_to_live_has_no_time_of_death() {
    let patient = |dead: &str| {
        let pid = format!("{PATIENT}{}20260310|{dead}", "|".repeat(21));
        let read = read(&message("ADT^A08^ADT_A01", "2.5.1", &["EVN||20260702", &pid, "PV1|1|E"]), &context());
        of_type(&read, "Patient")[0].clone()
    };
    assert_eq!(patient("N")["deceasedBoolean"], json!(false));
    for said in ["Y", ""] {
        assert_eq!(patient(said)["deceasedDateTime"], "2026-03-10", "{said}");
    }
}
