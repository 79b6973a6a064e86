//! Validation: what is found in documents, where, and by which rule.

use std::sync::{Arc, LazyLock};

use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::validation::{Finding, Severity, Validator};

use crate::support::data;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::built_in);

fn json(text: &str) -> Arc<Document> {
    Document::from_json(Model::r4(), text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

fn told(document: &Document, findings: &[Finding], severity: Severity) -> Vec<String> {
    findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .map(|finding| format!("{} {} {}", finding.path(document), finding.issue.code(), finding.rule_code(document)))
        .collect()
}

/// Path, issue code and rule of each error.
fn errors(text: &str) -> Vec<String> {
    let document = json(text);
    told(&document, &VALIDATOR.validate(&document, &[]), Severity::Error)
}

/// Path and issue code of each error.
fn places(text: &str) -> Vec<String> {
    let cut = |line: String| line.rsplit_once(' ').unwrap().0.to_owned();
    errors(text).into_iter().map(cut).collect()
}

#[test]
fn a_correct_patient_has_no_errors() {
    let text = r#"{"resourceType":"Patient","id":"p","name":[{"family":"Virtanen","given":["Aino",null],
        "_given":[null,{"extension":[{"url":"http://example.org/x","valueString":"y"}]}]}],"gender":"female",
        "birthDate":"1942-01-01"}"#;
    assert_eq!(errors(text), Vec::<String>::new());
}

#[test]
fn an_unknown_element_is_found_at_the_top_and_within() {
    assert_eq!(
        errors(r#"{"resourceType":"Patient","nam":[{}],"contact":[{"gender":"male","colour":"red"}]}"#),
        [
            "Patient.nam structure http://hl7.org/fhir/StructureDefinition/Patient|4.0.1#Patient",
            "Patient.contact[0].colour structure http://hl7.org/fhir/StructureDefinition/Patient|4.0.1#Patient.contact",
        ]
    );
}

#[test]
fn a_missing_required_element_is_found_at_what_should_have_it() {
    let text =
        r#"{"resourceType":"CarePlan","intent":"plan","subject":{"reference":"Patient/1"},"activity":[{"detail":{}}]}"#;
    assert_eq!(places(text), ["CarePlan required", "CarePlan.activity[0].detail structure"]);
    let text = r#"{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/1"},
        "activity":[{"detail":{"description":"x"}}]}"#;
    assert_eq!(places(text), ["CarePlan.activity[0].detail required"]);
}

#[test]
fn json_shapes_that_the_element_does_not_have_are_found() {
    assert_eq!(places(r#"{"resourceType":"Patient","name":{"family":"A"}}"#), ["Patient.name[0] structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","gender":["male"]}"#), ["Patient.gender structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","active":"true"}"#), ["Patient.active structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","birthDate":{}}"#), ["Patient.birthDate structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","maritalStatus":"M"}"#), ["Patient.maritalStatus structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","name":[]}"#), ["Patient.name structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","name":[{}]}"#), ["Patient.name[0] structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","language":""}"#), ["Patient.language structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","gender":null}"#), ["Patient.gender structure"]);
    assert_eq!(
        places(r#"{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}"#),
        ["Patient.deceased.ofType(dateTime) structure"]
    );
}

#[test]
fn primitives_that_are_not_in_the_form_of_their_type_are_found() {
    assert_eq!(places(r#"{"resourceType":"Patient","birthDate":"1942-13-01"}"#), ["Patient.birthDate value"]);
    assert_eq!(places(r#"{"resourceType":"Patient","id":"a b"}"#), ["Patient.id value"]);
    assert_eq!(
        places(r#"{"resourceType":"Patient","multipleBirthInteger":1.5}"#),
        ["Patient.multipleBirth.ofType(integer) value"]
    );
}

#[test]
fn codes_outside_of_required_value_sets_are_found_where_they_stand() {
    assert_eq!(places(r#"{"resourceType":"Patient","gender":"F"}"#), ["Patient.gender code-invalid"]);
    assert_eq!(
        places(r#"{"resourceType":"Patient","name":[{"use":"official"},{"use":"unofficial","family":"A"}]}"#),
        ["Patient.name[1].use code-invalid"]
    );
}

#[test]
fn references_to_other_types_and_to_nothing_are_found() {
    let task = |body: &str| format!(r#"{{"resourceType":"CareTeam","subject":{{"reference":"{body}"}}}}"#);
    assert_eq!(places(&task("Patient/1")), Vec::<String>::new());
    assert_eq!(places(&task("https://h.example/fhir/Group/1/_history/2")), Vec::<String>::new());
    assert_eq!(places(&task("Organization/1")), ["CareTeam.subject value"]);
    assert_eq!(places(&task("https://h.example/fhir/Organization/1")), ["CareTeam.subject value"]);
    assert_eq!(places(&task("#p")), ["CareTeam.subject.reference structure"]);
    assert_eq!(
        places(
            r##"{"resourceType":"CareTeam","contained":[{"resourceType":"Organization","id":"o","name":"x"}],
            "subject":{"reference":"#o"}}"##
        ),
        ["CareTeam.subject value"]
    );
    assert_eq!(
        places(
            r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:0b1c2d3e-0000-4000-8000-000000000001",
            "resource":{"resourceType":"Organization","name":"x"}},{"fullUrl":"urn:uuid:0b1c2d3e-0000-4000-8000-000000000002",
            "resource":{"resourceType":"CareTeam","subject":{"reference":"urn:uuid:0b1c2d3e-0000-4000-8000-000000000001"}}}]}"#
        ),
        ["Bundle.entry[1].resource.subject value"]
    );
}

#[test]
fn a_resource_must_say_a_type_that_is_known() {
    assert_eq!(places(r#"{"id":"x"}"#), ["$this structure"]);
    assert_eq!(places(r#"{"resourceType":"Patent","id":"x"}"#), ["$this structure"]);
    assert_eq!(
        places(r#"{"resourceType":"Patient","contained":[{"resourceType":"Patent","id":"x"}]}"#),
        ["Patient.contained[0] structure"]
    );
}

/// What is wrong in the official examples themselves, each line with its reason: `file path issue rule`.
const EXAMPLES: &str = include_str!("../golden/validation/r4-examples.txt");

#[test]
fn the_official_examples_have_no_errors_but_the_known_ones() {
    let Some(files) = data::r4_examples() else { return };
    let found: Vec<String> = data::in_parallel(&files, |file| {
        let document = Document::from_json(Model::r4(), std::fs::read(file).unwrap(), &Limits::default()).unwrap();
        let findings = VALIDATOR.validate(&document, &[]);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        told(&document, &findings, Severity::Error).iter().map(|line| format!("{name} {line}")).collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();
    if let Some(file) = std::env::var_os("SILTA_WRITE_GOLDEN") {
        std::fs::write(file, found.join("\n")).unwrap();
    }
    let known: Vec<&str> = EXAMPLES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let unexpected: Vec<&String> = found.iter().filter(|line| !known.contains(&line.as_str())).collect();
    let gone: Vec<&&str> = known.iter().filter(|line| !found.iter().any(|one| one == **line)).collect();
    assert!(unexpected.is_empty() && gone.is_empty(), "unexpected: {unexpected:#?}\ngone: {gone:#?}");
}
