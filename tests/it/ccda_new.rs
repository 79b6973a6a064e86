//! New C-CDA documents from Bundles that come from elsewhere, and what a document says of those who act in it.

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::mapping::{Maps, Written};
use silta_engine::native::{Limits, Syntax, Tree};
use silta_engine::native_rules::xml;

use crate::ccda_meaning::{
    AUTHOR, CARE_PLAN, INTERVENTIONS, PLAN_OF_TREATMENT, bundle, comes_back, context, document, read, resources, wanted,
};

const LOINC: &str = "http://loinc.org";

fn url(number: u8) -> String {
    format!("urn:uuid:00000000-0000-4000-8000-0000000000{number:02}")
}

fn to(number: u8) -> Value {
    json!({"reference": url(number)})
}

fn entry(number: u8, resource: Value) -> Value {
    json!({"fullUrl": url(number), "resource": resource})
}

fn concept(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// Someone with an address, a professional in a role, and a document of theirs with these sections, beside other resources.
fn elsewhere(kind: &str, author: u8, sections: Value, others: Vec<Value>) -> Value {
    let mut entries = vec![
        entry(
            1,
            json!({
                "resourceType": "Composition", "status": "final", "type": concept(LOINC, kind), "subject": to(2),
                "date": "2025-03-01T10:00:00+02:00", "author": [to(author)], "title": "Plan", "custodian": to(5), "section": sections
            }),
        ),
        entry(
            2,
            json!({
                "resourceType": "Patient", "identifier": [{"system": "urn:oid:1.2.246.21", "value": "010150-999A"}],
                "name": [{"family": "Koivu", "given": ["Aino"]}], "gender": "female", "birthDate": "1950-01-01"
            }),
        ),
        entry(
            3,
            json!({
                "resourceType": "Practitioner", "identifier": [{"system": "urn:oid:1.2.246.3", "value": "P1"}],
                "name": [{"family": "Laine", "given": ["Liisa"]}]
            }),
        ),
        entry(4, json!({"resourceType": "PractitionerRole", "practitioner": to(3), "organization": to(5)})),
        entry(
            5,
            json!({
                "resourceType": "Organization", "identifier": [{"system": "urn:oid:1.2.246.10", "value": "O1"}], "name": "Pohde"
            }),
        ),
    ];
    entries.extend(others);
    json!({"resourceType": "Bundle", "type": "collection", "entry": entries})
}

fn made(map: &str, bundle: &Value) -> (String, Tree, Written) {
    let maps = Maps::embedded(Model::r4());
    let written =
        maps.named(map).unwrap().create(&wanted(bundle), &context()).unwrap_or_else(|refused| panic!("{refused}"));
    let text = String::from_utf8(written.bytes.clone()).unwrap();
    let tree = Syntax::Xml.parse(written.bytes.clone(), &Limits::default()).unwrap();
    (text, tree, written)
}

fn plan() -> Vec<Value> {
    vec![
        entry(
            11,
            json!({
                "resourceType": "CarePlan", "status": "active", "intent": "plan", "title": "Plan", "subject": to(2), "goal": [to(6)],
                "activity": [{"reference": to(7)}, {"reference": to(8)}]
            }),
        ),
        entry(
            6,
            json!({
                "resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "Walk 1 km"}, "subject": to(2),
                "expressedBy": to(4)
            }),
        ),
        entry(
            7,
            json!({
                "resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": to(2),
                "code": concept("http://snomed.info/sct", "91251008"), "authoredOn": "2025-03-01", "requester": to(4)
            }),
        ),
        entry(
            8,
            json!({
                "resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": to(2),
                "medicationCodeableConcept": concept("http://www.nlm.nih.gov/research/umls/rxnorm", "745679"),
                "authoredOn": "2025-03-01", "requester": to(4)
            }),
        ),
    ]
}

#[test]
fn a_plan_from_elsewhere_becomes_a_document_with_all_that_its_templates_demand() {
    let sections = json!([{"title": "Goals", "code": concept(LOINC, "61146-7"), "entry": [to(6)]}]);
    for sections in [json!([]), sections] {
        let (text, tree, _) = made("ccda-care-plan", &elsewhere("52521-2", 4, sections, plan()));
        assert_eq!(xml::clinical_document(&tree), Vec::new(), "{text}");
        for template in [
            "20.22.1.15\" extension=\"2015-08-01",
            "20.22.2.60",
            "20.21.2.3\" extension=\"2015-08-01",
            "20.22.4.121",
            "20.22.4.146\" extension=\"2015-08-01",
            "20.22.4.42\" extension=\"2014-06-09",
        ] {
            assert_eq!(text.matches(&format!("{template}\"")).count(), 1, "{template}: {text}");
        }
        assert!(text.contains("<item>Goal: Walk 1 km: status active</item>"), "{text}");
        assert!(text.contains("<id root=\"00000000-0000-4000-8000-000000000007\"/>"), "{text}");
        // Nothing is said of concerns, which there must be a section for.
        assert!(text.contains("<section nullFlavor=\"NI\">"), "{text}");
        // Whoever asks for all of it is told each time, in full.
        assert_eq!(text.matches("<id extension=\"P1\" root=\"1.2.246.3\"/>").count(), 4, "{text}");
        assert_eq!(text.matches("<family>Laine</family>").count(), 4, "{text}");
    }
}

#[test]
fn a_referral_from_elsewhere_becomes_a_note_with_its_request_and_its_lists() {
    let others = vec![
        entry(
            7,
            json!({
                "resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": to(2), "priority": "urgent",
                "code": concept("http://snomed.info/sct", "44383000"), "authoredOn": "2025-03-01", "requester": to(4), "performer": [to(9)]
            }),
        ),
        entry(9, json!({"resourceType": "PractitionerRole", "practitioner": to(10), "organization": to(12)})),
        entry(
            10,
            json!({
                "resourceType": "Practitioner", "identifier": [{"system": "urn:oid:1.2.246.3", "value": "P2"}], "name": [{"family": "Salo"}]
            }),
        ),
        entry(12, json!({"resourceType": "Organization", "name": "Heart clinic"})),
        entry(
            13,
            json!({
                "resourceType": "Condition", "subject": to(2), "code": concept("http://snomed.info/sct", "194828000"),
                "category": [concept("http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item")],
                "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active")
            }),
        ),
    ];
    let text = json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Chest pain</div>"});
    let sections = json!([{"title": "Problems", "code": concept(LOINC, "11450-4"), "text": text, "entry": [to(13)]}]);
    let (text, tree, written) = made("ccda-referral-note", &elsewhere("57133-1", 3, sections, others));
    assert_eq!(xml::clinical_document(&tree), Vec::new(), "{text}");
    assert!(text.contains("20.22.4.140\""), "{text}");
    assert!(text.contains("<family>Salo</family>") && text.contains("<desc>Heart clinic</desc>"), "{text}");
    assert!(text.contains("20.22.4.3\" extension") && text.contains("20.22.4.4\" extension"), "{text}");
    assert!(
        written.report.lost.iter().any(|lost| lost.path.ends_with("section[0].text.status")),
        "{:?}",
        written.report.lost
    );
}

#[test]
fn a_statement_that_comes_has_its_template_and_a_number_and_is_told() {
    let native = document(CARE_PLAN, INTERVENTIONS, "");
    let (tree, map, got) = read(&native);
    let mut bundle = bundle(&got);
    let entries = bundle["entry"].as_array_mut().unwrap();
    let patient = entries.iter().find(|e| e["resource"]["resourceType"] == "Patient").unwrap()["fullUrl"].clone();
    let plan = entries.iter_mut().find(|e| e["resource"]["resourceType"] == "CarePlan").unwrap();
    plan["resource"]["activity"] = json!([{"reference": to(7)}]);
    entries.push(entry(7, json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "plan", "code": {"text": "walk"}, "subject": {"reference": patient}
    })));
    let written = map.put(&wanted(&bundle), &tree, &context()).unwrap();
    let text = String::from_utf8(written.bytes).unwrap();
    let stated = r#"<templateId root="2.16.840.1.113883.10.20.22.4.146" extension="2015-08-01"/><id root="00000000-0000-4000-8000-000000000007"/>"#;
    assert!(text.contains(stated), "{text}");
    let told = |name: &str| written.report.lost.iter().any(|lost| lost.path.ends_with(&format!(".resource.{name}")));
    assert!(told("extension") && told("identifier"), "{:?}", written.report.lost);
}

fn act(number: u8, author: &str) -> String {
    format!(
        r#"<entry><act classCode="ACT" moodCode="INT"><id root="1.2.246.10.9" extension="A{number}"/>
        <code code="{number}" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/>{author}</act></entry>"#
    )
}

fn procedure() -> &'static str {
    r#"<entry><procedure classCode="PROC" moodCode="RQO"><id root="1.2.246.10.9" extension="P"/>
    <code code="73761001" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/></procedure></entry>"#
}

fn changed(native: &str, change: impl FnOnce(&mut Vec<Value>)) -> Written {
    let (tree, map, got) = read(native);
    let mut bundle = bundle(&got);
    change(bundle["entry"].as_array_mut().unwrap());
    map.put(&wanted(&bundle), &tree, &context()).unwrap_or_else(|refused| panic!("{refused}"))
}

fn of<'b>(entries: &'b mut [Value], kind: &str) -> &'b mut Value {
    let found = entries.iter_mut().find(|entry| entry["resource"]["resourceType"] == kind);
    &mut found.unwrap()["resource"]
}

#[test]
fn an_order_of_activities_that_a_document_cannot_say_is_told() {
    let native = document(CARE_PLAN, PLAN_OF_TREATMENT, &[act(1, ""), procedure().to_owned()].concat());
    let written = changed(&native, |entries| of(entries, "CarePlan")["activity"].as_array_mut().unwrap().reverse());
    assert_eq!(String::from_utf8(written.bytes).unwrap(), native);
    let told: Vec<&str> = written.report.lost.iter().map(|lost| lost.path.as_str()).collect();
    assert!(told.len() == 1 && told[0].ends_with(".resource.activity"), "{told:?}");
    // That of one kind is written.
    let native = document(CARE_PLAN, PLAN_OF_TREATMENT, &[act(1, ""), act(2, "")].concat());
    let written = changed(&native, |entries| of(entries, "CarePlan")["activity"].as_array_mut().unwrap().reverse());
    let unsaid = |reason: &str| reason.starts_with("in the order that the document has them in");
    assert!(!written.report.lost.iter().any(|lost| unsaid(&lost.reason)), "{:?}", written.report.lost);
    let text = String::from_utf8(written.bytes).unwrap();
    assert!(text.find("\"A2\"") < text.find("\"A1\""), "{text}");
}

#[test]
fn an_activity_that_comes_before_others_leaves_these_as_they_are() {
    let native = document(CARE_PLAN, PLAN_OF_TREATMENT, &[act(1, AUTHOR), act(2, "")].concat());
    let written = changed(&native, |entries| {
        let role = of(entries, "ServiceRequest")["requester"].clone();
        let patient = of(entries, "ServiceRequest")["subject"].clone();
        of(entries, "CarePlan")["activity"].as_array_mut().unwrap().insert(0, json!({"reference": to(7)}));
        // Asked for by whom another was.
        entries.push(entry(7, json!({
            "resourceType": "ServiceRequest", "status": "active", "intent": "plan", "code": {"text": "walk"}, "subject": patient,
            "requester": role
        })));
    });
    let text = String::from_utf8(written.bytes).unwrap();
    for number in [1, 2] {
        assert!(text.contains(&act(number, if number == 1 { AUTHOR } else { "" })), "{text}");
    }
    assert_eq!(text.matches("<family>Laine</family>").count(), 2, "{text}");
    assert!(text.find("walk</originalText>") < text.find("\"A1\""), "{text}");
}

const AS_PATIENT: &str = r#"<author><time value="20250103"/><assignedAuthor><id root="1.2.246.10.2" extension="2"/></assignedAuthor></author>"#;

#[test]
fn a_patient_who_wrote_the_document_or_asks_for_a_device_is_the_patient() {
    let supply = format!(
        r#"<entry><supply classCode="SPLY" moodCode="INT"><id root="1.2.246.10.9" extension="S"/><statusCode code="active"/>{AS_PATIENT}</supply></entry>"#
    );
    let native =
        document(CARE_PLAN, PLAN_OF_TREATMENT, &supply).replace("<custodian>", &format!("{AS_PATIENT}<custodian>"));
    let (_, _, got) = read(&native);
    let all = bundle(&got);
    let patient = all["entry"].as_array().unwrap().iter().find(|e| e["resource"]["resourceType"] == "Patient").unwrap();
    let authors = resources(&native, "Composition")[0]["author"].clone();
    assert_eq!(authors.as_array().unwrap().len(), 2);
    assert_eq!(authors[1]["reference"], patient["fullUrl"]);
    assert_eq!(resources(&native, "DeviceRequest")[0]["requester"]["reference"], patient["fullUrl"]);
    comes_back(&native);
    // When it was written can be taken back, and is said not to be known.
    let written = changed(&native, |entries| {
        let author = &mut of(entries, "Composition")["author"][1];
        author.as_object_mut().unwrap().remove("extension");
    });
    let text = String::from_utf8(written.bytes).unwrap();
    assert!(
        text.contains(r#"<author><time nullFlavor="NI"/><assignedAuthor><id root="1.2.246.10.2" extension="2"/>"#),
        "{text}"
    );
    // A new one is told by the patient's number.
    let native = document(CARE_PLAN, PLAN_OF_TREATMENT, "");
    let patient = {
        let (_, _, got) = read(&native);
        bundle(&got)["entry"].as_array().unwrap().iter().find(|e| e["resource"]["resourceType"] == "Patient").unwrap()["fullUrl"].clone()
    };
    let written = changed(&native, |entries| {
        of(entries, "Composition")["author"].as_array_mut().unwrap().push(json!({"reference": patient}));
    });
    let text = String::from_utf8(written.bytes).unwrap();
    assert!(text.contains(r#"<assignedAuthor><id root="1.2.246.10.2" extension="2"/></assignedAuthor>"#), "{text}");
}

#[test]
fn how_a_value_was_reckoned_goes_with_the_value() {
    let native = document(
        CARE_PLAN,
        "1.2.3",
        r#"<entry><observation classCode="OBS" moodCode="EVN"><id root="1.2.246.10.9" extension="O"/><code code="1" codeSystem="2.16.840.1.113883.6.1"/>
        <derivationExpr>a+b</derivationExpr><statusCode code="completed"/><value xsi:type="PQ" value="5" unit="kg"/></observation></entry>"#,
    );
    comes_back(&native);
    let told = serde_json::to_string(&resources(&native, "Observation")[0]).unwrap();
    assert!(told.contains("derivationExpr") && told.contains("a+b"), "{told}");
    let written = changed(&native, |entries| of(entries, "Observation")["valueQuantity"]["value"] = json!(6));
    assert!(!String::from_utf8(written.bytes).unwrap().contains("a+b"));
}
