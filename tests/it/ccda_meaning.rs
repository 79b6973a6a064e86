//! What C-CDA documents say clinically: planned and done, said and denied, when needed and how much; and documents made anew.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits as FhirLimits};
use silta_engine::mapping::{Context, Loss, Map, Maps, Translation};
use silta_engine::native::{Limits, Syntax, Tree};
use silta_engine::native_rules::xml;
use silta_engine::validation::{Severity, Validator};

pub(crate) const CARE_PLAN: &str = "2.16.840.1.113883.10.20.22.1.15";
pub(crate) const REFERRAL_NOTE: &str = "2.16.840.1.113883.10.20.22.1.14";
pub(crate) const INTERVENTIONS: &str = "2.16.840.1.113883.10.20.21.2.3";
pub(crate) const PLAN_OF_TREATMENT: &str = "2.16.840.1.113883.10.20.22.2.10";
const MEDICINE: &str = r#"<consumable><manufacturedProduct classCode="MANU"><manufacturedMaterial>
    <code code="745679" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>"#;
pub(crate) const AUTHOR: &str = r#"<author><time value="20250102"/><assignedAuthor><id root="1.2.246.10.3" extension="7"/>
    <assignedPerson><name><family>Laine</family></name></assignedPerson></assignedAuthor></author>"#;

/// A document of a template whose only section, of a template too, holds this.
pub(crate) fn document(template: &str, section: &str, entries: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc">
<templateId root="{template}"/><id root="1.2.246.10.1" extension="1"/><code code="52521-2" codeSystem="2.16.840.1.113883.6.1"/>
<title>t</title><effectiveTime value="20250101"/><confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
<recordTarget><patientRole><id root="1.2.246.10.2" extension="2"/></patientRole></recordTarget>
<author><time value="20250101"/><assignedAuthor><id root="1.2.246.10.3" extension="3"/></assignedAuthor></author>
<custodian><assignedCustodian><representedCustodianOrganization><id root="1.2.246.10.4"/><name>Shell</name></representedCustodianOrganization></assignedCustodian></custodian>
<component><structuredBody><component><section><templateId root="{section}"/><code code="1" codeSystem="2.16.840.1.113883.6.1"/>
<title>t</title><text>t</text>{entries}</section></component></structuredBody></component></ClinicalDocument>"#
    )
}

fn medication(mood: &str, template: &str, inner: &str) -> String {
    let (time, rest) = inner.split_once("<!--and-->").unwrap_or((inner, ""));
    format!(
        r#"<entry><substanceAdministration classCode="SBADM" moodCode="{mood}"><templateId root="{template}"/>
        <id root="1.2.246.10.9" extension="M1"/><statusCode code="active"/>{time}{MEDICINE}{rest}</substanceAdministration></entry>"#
    )
}

pub(crate) fn context() -> Context {
    Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret")
}

pub(crate) fn read(native: &str) -> (Tree, Arc<Map>, Translation) {
    let maps = Maps::embedded(Model::r4());
    let tree = Syntax::Xml.parse(native.as_bytes().to_vec(), &Limits::default()).unwrap();
    let map = Arc::clone(maps.find(&tree).unwrap());
    let got = map.get(&tree, &context()).unwrap();
    (tree, map, got)
}

pub(crate) fn bundle(got: &Translation) -> Value {
    serde_json::from_str(got.document().json()).unwrap()
}

pub(crate) fn resources(native: &str, kind: &str) -> Vec<Value> {
    let (_, _, got) = read(native);
    let all = bundle(&got)["entry"].as_array().unwrap().clone();
    all.into_iter().map(|entry| entry["resource"].clone()).filter(|r| r["resourceType"] == kind).collect()
}

/// Laid out by hand, as an editor of the receiver would: the same Bundle in other bytes.
pub(crate) fn wanted(bundle: &Value) -> Arc<Document> {
    let text = serde_json::to_vec_pretty(bundle).unwrap();
    Document::from_json(Model::r4(), text, &FhirLimits::default()).unwrap()
}

pub(crate) fn comes_back(native: &str) {
    let (tree, map, got) = read(native);
    let written = map.put(&wanted(&bundle(&got)), &tree, &context()).unwrap();
    assert_eq!(String::from_utf8(written.bytes).unwrap(), native);
}

#[test]
fn a_vaccination_that_is_planned_has_not_been_given() {
    let planned = medication("INT", "2.16.840.1.113883.10.20.22.4.52", r#"<effectiveTime value="20241001"/>"#);
    for section in [PLAN_OF_TREATMENT, "1.2.3"] {
        let native = document(CARE_PLAN, section, &planned);
        assert!(resources(&native, "Immunization").is_empty());
        let request = &resources(&native, "MedicationRequest")[0];
        assert_eq!(request["intent"], "plan");
        assert_eq!(request["dosageInstruction"][0]["timing"]["event"], json!(["2024-10-01"]));
        comes_back(&native);
    }
}

#[test]
fn a_dose_is_as_large_and_as_frequent_as_the_document_says_and_only_when_needed() {
    let inner = r#"<effectiveTime xsi:type="IVL_TS"><low value="20240901"/></effectiveTime>
        <effectiveTime xsi:type="PIVL_TS" operator="A"><period xsi:type="IVL_PQ"><low value="4" unit="h"/><high value="6" unit="h"/></period></effectiveTime>
        <doseQuantity><low value="1"/><high value="2"/></doseQuantity>
        <maxDoseQuantity><numerator value="8" unit="1"/><denominator value="1" unit="d"/></maxDoseQuantity><!--and-->
        <precondition typeCode="PRCN"><criterion><value xsi:type="CD" code="56018004" codeSystem="2.16.840.1.113883.6.96"/></criterion></precondition>"#;
    let native = document(CARE_PLAN, "1.2.3", &medication("EVN", "2.16.840.1.113883.10.20.22.4.16", inner));
    let dosage = &resources(&native, "MedicationStatement")[0]["dosage"][0];
    assert_eq!(dosage["asNeededCodeableConcept"]["coding"][0]["code"], "56018004", "{dosage}");
    let repeat = &dosage["timing"]["repeat"];
    assert_eq!((&repeat["period"], &repeat["periodMax"], &repeat["periodUnit"]), (&json!(4), &json!(6), &json!("h")));
    let range = &dosage["doseAndRate"][0]["doseRange"];
    assert_eq!((&range["low"]["value"], &range["high"]["value"]), (&json!(1), &json!(2)));
    assert_eq!(dosage["maxDosePerPeriod"]["numerator"]["value"], 8);
    comes_back(&native);
    let before_meals = r#"<effectiveTime xsi:type="EIVL_TS" operator="A"><event code="ACM"/></effectiveTime>"#;
    let native = document(CARE_PLAN, "1.2.3", &medication("EVN", "2.16.840.1.113883.10.20.22.4.16", before_meals));
    let timing = &resources(&native, "MedicationStatement")[0]["dosage"][0]["timing"];
    assert_eq!(timing["repeat"]["when"], json!(["ACM"]));
}

#[test]
fn what_narrows_a_code_goes_with_it() {
    let entry = r#"<entry><procedure classCode="PROC" moodCode="RQO"><id root="1.2.246.10.9" extension="P1"/>
        <code code="80146002" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/>
        <targetSiteCode code="72696002" codeSystem="2.16.840.1.113883.6.96"><qualifier>
        <name code="272741003" codeSystem="2.16.840.1.113883.6.96"/><value code="7771000" codeSystem="2.16.840.1.113883.6.96"/>
        </qualifier></targetSiteCode></procedure></entry>"#;
    let native = document(CARE_PLAN, "1.2.3", entry);
    let request = resources(&native, "ServiceRequest").into_iter().find(|r| r["bodySite"].is_array()).unwrap();
    let qualifier = &request["bodySite"][0]["extension"][0]["extension"];
    assert_eq!(qualifier[1]["valueCodeableConcept"]["coding"][0]["code"], "7771000", "{request}");
    comes_back(&native);
}

#[test]
fn that_no_allergy_is_known_is_said_of_no_substance_and_comes_back_unchanged() {
    for substance in [
        "",
        r#"<participant typeCode="CSM"><participantRole><playingEntity><code nullFlavor="NA"/></playingEntity></participantRole></participant>"#,
    ] {
        let entry = format!(
            r#"<entry><act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.30"/><id root="1.2.246.10.9" extension="A1"/>
            <code code="CONC" codeSystem="2.16.840.1.113883.5.6"/><statusCode code="active"/><effectiveTime><low value="2010"/></effectiveTime>
            <entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN" negationInd="true">
            <templateId root="2.16.840.1.113883.10.20.22.4.7"/><id root="1.2.246.10.9" extension="A2"/>
            <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><statusCode code="completed"/><effectiveTime><low value="20100101"/></effectiveTime>
            <value xsi:type="CD" code="419199007" codeSystem="2.16.840.1.113883.6.96"/>{substance}</observation></entryRelationship></act></entry>"#
        );
        let native = document(CARE_PLAN, "1.2.3", &entry);
        let allergy = &resources(&native, "AllergyIntolerance")[0];
        assert_eq!(allergy["code"]["coding"][0]["code"], "419199007", "{allergy}");
        assert_eq!(allergy["verificationStatus"]["coding"][0]["code"], "refuted");
        comes_back(&native);
    }
}

#[test]
fn a_concern_that_is_denied_is_refuted() {
    let concern = |denied: &str| {
        let entry = format!(
            r#"<entry><act classCode="ACT" moodCode="EVN"{denied}><templateId root="2.16.840.1.113883.10.20.22.4.132"/>
            <id root="1.2.246.10.9" extension="C1"/><code code="75310-3" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/></act></entry>"#
        );
        let native = document(CARE_PLAN, "2.16.840.1.113883.10.20.22.2.58", &entry);
        comes_back(&native);
        resources(&native, "Condition")[0]["verificationStatus"]["coding"][0]["code"].clone()
    };
    assert_eq!(concern(r#" negationInd="true""#), "refuted");
    assert_eq!(concern(""), Value::Null);
}

#[test]
fn that_nothing_is_known_of_concerns_is_no_concern() {
    let entry = r#"<entry><act classCode="ACT" moodCode="EVN" nullFlavor="NI"><templateId root="2.16.840.1.113883.10.20.22.4.132"/>
        <id nullFlavor="NI"/><code code="75310-3" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/></act></entry>"#;
    let native = document(CARE_PLAN, "2.16.840.1.113883.10.20.22.2.58", entry);
    assert_eq!(resources(&native, "Condition"), Vec::<Value>::new());
    assert_eq!(resources(&native, "CarePlan")[0]["addresses"], Value::Null);
    comes_back(&native);
}

#[test]
fn a_problem_that_is_denied_is_not_active() {
    let problem = |denied: &str| {
        let entry = format!(
            r#"<entry><act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.3"/><id root="1.2.246.10.9" extension="A1"/>
            <code code="CONC" codeSystem="2.16.840.1.113883.5.6"/><statusCode code="active"/><effectiveTime><low value="2010"/></effectiveTime>
            <entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"{denied}>
            <templateId root="2.16.840.1.113883.10.20.22.4.4"/><id root="1.2.246.10.9" extension="A2"/>
            <code code="64572001" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/><effectiveTime><low value="20100101"/></effectiveTime>
            <value xsi:type="CD" code="73211009" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship></act></entry>"#
        );
        let native = document(CARE_PLAN, "1.2.3", &entry);
        comes_back(&native);
        resources(&native, "Condition")[0].clone()
    };
    let denied = problem(r#" negationInd="true""#);
    assert_eq!(denied["verificationStatus"]["coding"][0]["code"], "refuted");
    assert_eq!(denied["clinicalStatus"], Value::Null);
    assert_eq!(problem("")["clinicalStatus"]["coding"][0]["code"], "active");
}

#[test]
fn a_titer_is_a_ratio() {
    let entry = r#"<entry><observation classCode="OBS" moodCode="EVN"><id root="1.2.246.10.9" extension="O1"/>
        <code code="5048-4" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/><effectiveTime value="20240101"/>
        <value xsi:type="RTO_PQ_PQ"><numerator value="1" unit="1"/><denominator value="128" unit="1"/></value></observation></entry>"#;
    let native = document(CARE_PLAN, "1.2.3", entry);
    let ratio = &resources(&native, "Observation")[0]["valueRatio"];
    assert_eq!((&ratio["numerator"]["value"], &ratio["denominator"]["value"]), (&json!(1), &json!(128)));
    comes_back(&native);
}

#[test]
fn a_section_that_holds_nothing_is_still_a_section_of_fhir() {
    let native = document(CARE_PLAN, "1.2.3", "").replace("<text>t</text>", "");
    let (_, _, got) = read(&native);
    let found = Validator::built_in().validate(got.document(), &[]);
    let errors: Vec<String> =
        found.iter().filter(|f| f.severity == Severity::Error).map(|f| f.path(got.document()).to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    comes_back(&native);
}

#[test]
fn who_a_patient_is_referred_to_is_the_one_to_perform_it() {
    let act = r#"<entry><act classCode="PCPR" moodCode="RQO"><templateId root="2.16.840.1.113883.10.20.22.4.140"/>
        <id root="1.2.246.10.9" extension="R1"/><code code="103696004" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/>
        <participant typeCode="REFT"><participantRole><id root="1.2.246.10.5" extension="55"/><playingEntity><name><family>Virtanen</family></name>
        </playingEntity></participantRole></participant></act></entry>"#;
    let native = document(REFERRAL_NOTE, "1.2.3", act);
    let request = &resources(&native, "ServiceRequest")[0];
    assert_eq!(request["performer"].as_array().map(Vec::len), Some(1), "{request}");
    let named = resources(&native, "Practitioner");
    assert!(named.iter().any(|p| p["name"][0]["family"] == "Virtanen"), "{named:?}");
    comes_back(&native);
    // A note without such an act was asked for when it was written.
    let request = &resources(&document(REFERRAL_NOTE, "1.2.3", ""), "ServiceRequest")[0];
    assert_eq!(request["authoredOn"], "2025-01-01");
}

#[test]
fn a_statement_made_anew_has_one_author_with_name_and_time() {
    let entry = format!(
        r#"<entry><act classCode="ACT" moodCode="RQO"><templateId root="2.16.840.1.113883.10.20.22.4.39"/><id root="1.2.246.10.9" extension="1"/>
        <code code="1" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/>{AUTHOR}</act></entry>"#
    );
    let native = document(CARE_PLAN, INTERVENTIONS, &entry);
    let (_, map, got) = read(&native);
    let made = map.create(&wanted(&bundle(&got)), &context()).unwrap();
    let made = String::from_utf8(made.bytes).unwrap();
    let (_, after) = made.split_once("<act ").unwrap();
    let (act, _) = after.split_once("</act>").unwrap();
    assert_eq!((act.matches("<author>").count(), act.matches("<time value=\"20250102\"/>").count()), (1, 1), "{act}");
    assert!(act.contains("<family>Laine</family>"), "{act}");
    let tree = Syntax::Xml.parse(made.into_bytes(), &Limits::default()).unwrap();
    // The document had no sections of goals and concerns before either.
    let wrong = xml::clinical_document(&tree).into_iter().filter(|one| one.path != "/ClinicalDocument[1]");
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::new());
}

#[test]
fn an_identifier_that_is_a_root_alone_is_written_so() {
    let entry = r#"<entry><observation classCode="OBS" moodCode="GOL"><id root="1.2.246.10.9" extension="G1"/>
        <code code="1" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="active"/>
        <reference typeCode="REFR"><externalDocument><id root="4eab0e52-dd7d-4285-99eb-72d32ddb195c"/></externalDocument></reference></observation></entry>"#;
    let (_, map, got) = read(&document(CARE_PLAN, "2.16.840.1.113883.10.20.22.2.60", entry));
    let made = String::from_utf8(map.create(&wanted(&bundle(&got)), &context()).unwrap().bytes).unwrap();
    assert!(made.contains(r#"<id root="4eab0e52-dd7d-4285-99eb-72d32ddb195c"/>"#), "{made}");
}

#[test]
fn an_activity_is_written_by_the_type_of_what_it_refers_to() {
    let native = document(CARE_PLAN, INTERVENTIONS, "");
    let (tree, map, got) = read(&native);
    let mut bundle = bundle(&got);
    let patient = bundle["entry"].as_array().unwrap().iter().find(|e| e["resource"]["resourceType"] == "Patient");
    let patient = patient.unwrap()["fullUrl"].clone();
    let entries = bundle["entry"].as_array_mut().unwrap();
    let plan = entries.iter_mut().find(|e| e["resource"]["resourceType"] == "CarePlan").unwrap();
    plan["resource"]["activity"] =
        json!([{"reference": {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}}]);
    entries.push(json!({"fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111", "resource": {
        "resourceType": "MedicationRequest", "status": "active", "intent": "plan", "subject": {"reference": patient},
        "medicationCodeableConcept": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "745679"}]}
    }}));
    let written = map.put(&wanted(&bundle), &tree, &context()).unwrap();
    let written = String::from_utf8(written.bytes).unwrap();
    assert!(written.contains(r#"<substanceAdministration classCode="SBADM" moodCode="INT">"#), "{written}");
    assert!(written.contains(r#"<code code="745679""#), "{written}");
}

#[test]
fn what_turns_the_meaning_round_is_never_left_out() {
    let maps = Maps::embedded(Model::r4());
    let map = maps.named("fi-kotihoito-tilaus").unwrap();
    let mut lossy = context();
    lossy.loss = Loss::Warn;
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/fi-kotihoito-tilaus/kotikuntoutus/fhir.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let at = golden["entry"].as_array().unwrap().iter().position(|e| e["resource"]["resourceType"] == "ServiceRequest");
    let at = at.unwrap();
    let order = |more: Value| {
        let mut bundle = golden.clone();
        bundle["entry"][at]["resource"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        map.create(&wanted(&bundle), &lossy)
    };
    let refused = |more: Value| order(more).unwrap_err().items.into_iter().map(|item| item.path).collect::<Vec<_>>();
    assert!(order(json!({"note": [{"text": "n"}], "doNotPerform": false})).is_ok());
    assert_eq!(refused(json!({"doNotPerform": true})), [format!("Bundle.entry[{at}].resource.doNotPerform")]);
    let modifier = json!({"modifierExtension": [{"url": "https://example.org/not", "valueBoolean": true}]});
    assert_eq!(refused(modifier), [format!("Bundle.entry[{at}].resource.modifierExtension[0]")]);
}

#[test]
fn a_document_of_two_persons_is_refused() {
    let first = r#"<recordTarget><patientRole><id root="1.2.246.10.2" extension="2"/></patientRole></recordTarget>"#;
    let second = first.replace("extension=\"2\"", "extension=\"3\"");
    let two = document(CARE_PLAN, INTERVENTIONS, "").replace(first, &format!("{first}{second}"));
    let maps = Maps::embedded(Model::r4());
    let tree = Syntax::Xml.parse(two.into_bytes(), &Limits::default()).unwrap();
    let refused = maps.find(&tree).unwrap().get(&tree, &context()).err().unwrap();
    assert_eq!(refused.location(), "/ClinicalDocument[1]/recordTarget[2]");
}

const GOALS: &str = "2.16.840.1.113883.10.20.22.2.60";

fn goal(inner: &str) -> String {
    format!(
        r#"<entry><observation classCode="OBS" moodCode="GOL"><id root="1.2.246.10.9" extension="G1"/>
        <code code="3141-9" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="active"/>{inner}</observation></entry>"#
    )
}

#[test]
fn a_goal_is_expressed_by_the_patient_where_the_patients_number_is_the_authors() {
    let own = r#"<author><time value="20250102"/><assignedAuthor><id root="1.2.246.10.2" extension="2"/></assignedAuthor></author>"#;
    let native = document(CARE_PLAN, GOALS, &goal(own));
    let patient = {
        let (_, _, got) = read(&native);
        let all = bundle(&got);
        let all = all["entry"].as_array().unwrap();
        all.iter().find(|e| e["resource"]["resourceType"] == "Patient").unwrap()["fullUrl"].clone()
    };
    let goal_of = |native: &str| resources(native, "Goal").remove(0);
    assert_eq!(goal_of(&native)["expressedBy"]["reference"], patient);
    assert_eq!(goal_of(&native)["statusDate"], "2025-01-02");
    // No one but the document's author is a practitioner.
    assert_eq!(resources(&native, "PractitionerRole").len(), 1);
    comes_back(&native);
    // Whoever has the number of another is another, and so is the second of two authors who is the patient.
    let other = own.replace("1.2.246.10.2", "1.2.246.10.5");
    assert_ne!(goal_of(&document(CARE_PLAN, GOALS, &goal(&other)))["expressedBy"]["reference"], patient);
    let both = document(CARE_PLAN, GOALS, &goal(&format!("{other}{own}")));
    let extension = goal_of(&both)["extension"].to_string();
    assert!(extension.contains(patient.as_str().unwrap()), "{extension}");
    comes_back(&both);
    // Written anew the author has the patient's number.
    let (_, map, got) = read(&native);
    let made = String::from_utf8(map.create(&wanted(&bundle(&got)), &context()).unwrap().bytes).unwrap();
    let (_, made_goal) = made.split_once("moodCode=\"GOL\"").unwrap();
    assert!(
        made_goal.contains(r#"<assignedAuthor><id root="1.2.246.10.2" extension="2"/></assignedAuthor>"#),
        "{made_goal}"
    );
    assert_eq!(goal_of(&made)["expressedBy"]["reference"], patient);
}

#[test]
fn one_date_of_a_goal_is_when_it_is_due_if_it_is_later_than_the_goal_was_set() {
    let dated = |date: &str| {
        let inner = format!(r#"<effectiveTime value="{date}"/>{AUTHOR}"#);
        let native = document(CARE_PLAN, GOALS, &goal(&inner));
        comes_back(&native);
        resources(&native, "Goal").remove(0)
    };
    let (due, start) = (dated("20250801"), dated("20250102"));
    assert_eq!((&due["target"][0]["dueDate"], &due["startDate"]), (&json!("2025-08-01"), &Value::Null));
    assert_eq!((&start["target"], &start["startDate"]), (&Value::Null, &json!("2025-01-02")));
}

#[test]
fn how_far_a_goal_is_reached_is_told_by_the_goal() {
    let progress = r#"<entryRelationship typeCode="REFR"><observation classCode="OBS" moodCode="EVN">
        <templateId root="2.16.840.1.113883.10.20.22.4.110"/><id root="1.2.246.10.9" extension="P1"/>
        <code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><statusCode code="completed"/>
        <value xsi:type="CD" code="385633008" codeSystem="2.16.840.1.113883.6.96"/></observation></entryRelationship>"#;
    let native = document(CARE_PLAN, GOALS, &goal(progress));
    let goal = &resources(&native, "Goal")[0];
    assert_eq!(goal["achievementStatus"]["coding"][0]["code"], "385633008", "{goal}");
    assert_eq!(goal["outcomeReference"].as_array().map(Vec::len), Some(1));
    comes_back(&native);
}

#[test]
fn a_referral_that_is_only_a_note_says_who_asks_when_and_why() {
    let native = document(REFERRAL_NOTE, "1.3.6.1.4.1.19376.1.5.3.1.3.1", "").replace(
        "<text>t</text>",
        "<text><paragraph>Please see for</paragraph><list><item>atrial <content>fibrillation</content></item></list></text>",
    );
    let request = &resources(&native, "ServiceRequest")[0];
    assert_eq!(request["authoredOn"], "2025-01-01");
    assert_eq!(request["reasonCode"][0]["text"], "Please see for\natrial fibrillation");
    let author = &resources(&native, "Composition")[0]["author"][0];
    assert_eq!(request["requester"], *author);
    comes_back(&native);
}
