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
        errors(
            r#"{"resourceType":"Patient","nam":[{}],"contact":[{"gender":"male","name":{"text":"x"},"colour":"red"}]}"#
        ),
        [
            "Patient structure http://hl7.org/fhir/StructureDefinition/Patient|4.0.1#Patient",
            "Patient.contact[0] structure http://hl7.org/fhir/StructureDefinition/Patient|4.0.1#Patient.contact",
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
    assert_eq!(places(r#"{"resourceType":"Patient","name":{"family":"A"}}"#), ["Patient.name structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","gender":["male"]}"#), ["Patient.gender structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","active":"true"}"#), ["Patient.active structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","birthDate":{}}"#), ["Patient.birthDate structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","maritalStatus":"M"}"#), ["Patient.maritalStatus structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","name":[]}"#), ["Patient.name structure"]);
    assert_eq!(places(r#"{"resourceType":"Patient","name":[{}]}"#), ["Patient.name[0] structure"]);
    assert_eq!(
        places(r#"{"resourceType":"Patient","language":""}"#),
        ["Patient.language structure", "Patient.language invariant"]
    );
    assert_eq!(places(r#"{"resourceType":"Patient","gender":null}"#), ["Patient.gender structure"]);
    assert_eq!(
        places(r#"{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}"#),
        ["Patient structure"]
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
    // No system gives it a meaning, and the value set does not have it.
    assert_eq!(places(r#"{"resourceType":"Patient","gender":"F"}"#), ["Patient.gender code-invalid"; 2]);
    assert_eq!(
        places(r#"{"resourceType":"Patient","name":[{"use":"official"},{"use":"unofficial","family":"A"}]}"#),
        ["Patient.name[1].use code-invalid"; 2]
    );
}

#[test]
fn references_to_other_types_and_to_nothing_are_found() {
    let task = |body: &str| format!(r#"{{"resourceType":"CareTeam","subject":{{"reference":"{body}"}}}}"#);
    assert_eq!(places(&task("Patient/1")), Vec::<String>::new());
    assert_eq!(places(&task("https://h.example/fhir/Group/1/_history/2")), Vec::<String>::new());
    assert_eq!(places(&task("Organization/1")), ["CareTeam.subject value"]);
    assert_eq!(places(&task("https://h.example/fhir/Organization/1")), ["CareTeam.subject value"]);
    assert_eq!(places(&task("#p")), ["CareTeam.subject not-found", "CareTeam.subject invariant"]);
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
    assert_eq!(places(r#"{"resourceType":"Patent","id":"x"}"#), ["Patent structure"]);
    assert_eq!(
        places(
            r##"{"resourceType":"Patient","contained":[{"resourceType":"Patent","id":"x"}],
            "generalPractitioner":[{"reference":"#x","display":"y"}]}"##
        ),
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

const FI: &str = "https://silta.example/fhir/fi/StructureDefinition/";

/// Path and rule (without the profile) of each finding by a Finnish profile of a severity.
fn by(profile: &str, text: &str, severity: Severity) -> Vec<String> {
    let document = json(text);
    let canonical = format!("{FI}{profile}");
    assert!(VALIDATOR.knows(&canonical), "{profile} is there");
    let findings = VALIDATOR.validate(&document, &[&canonical]);
    findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .map(|finding| {
            let rule = finding.rule_code(&document);
            format!("{} {}", finding.path(&document), rule.rsplit(['#', '/']).next().unwrap())
        })
        .collect()
}

/// Replaces text that must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is there");
    text.replacen(from, to, 1)
}

/// One change of a document that conforms to a profile, and the error it makes.
fn every_rule_is_found(profile: &str, good: &str, changes: &[(&str, &str, &str)]) {
    assert_eq!(by(profile, good, Severity::Error), Vec::<String>::new(), "{profile} holds");
    for (from, to, expected) in changes {
        let found = by(profile, &with(good, from, to), Severity::Error);
        assert_eq!(found, [(*expected).to_owned()], "{profile}: {from} -> {to}");
    }
}

const PATIENT: &str = r#"{"resourceType":"Patient",
    "meta":{"security":[{"system":"https://hl7.fi/fhir/finnish-base-profiles/CodeSystem/fi-base-security-label-cs","code":"TURVAKIELTO"}]},
    "extension":[{"url":"https://silta.example/fhir/fi/StructureDefinition/fi-municipality",
        "valueCoding":{"system":"urn:oid:1.2.246.537.6.21","code":"837"}}],
    "identifier":[{"use":"official","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NNFIN"}]},
        "system":"urn:oid:1.2.246.21","value":"140347-9120"},{"use":"secondary","system":"urn:oid:1.2.3","value":"x"}]}"#;

#[test]
fn the_finnish_patient_has_one_official_identifier_a_municipality_and_a_label() {
    every_rule_is_found(
        "fi-patient",
        PATIENT,
        &[
            (r#""code":"NNFIN""#, r#""code":"MR""#, "Patient.identifier[0].type Patient.identifier:PIC.type"),
            (r#""system":"urn:oid:1.2.246.21","#, "", "Patient.identifier[0] Patient.identifier:PIC.system"),
            (
                "urn:oid:1.2.246.21\"",
                "urn:oid:1.2.246.22\"",
                "Patient.identifier[0].system Patient.identifier:PIC.system",
            ),
            (r#","value":"140347-9120""#, "", "Patient.identifier[0] Patient.identifier:PIC.value"),
            ("140347-9120", "140347-912", "Patient.identifier[0] fi-hetu-form"),
            ("140347-9120", "141347-9120", "Patient.identifier[0] fi-hetu-form"),
            ("140347-9120", "140347G9120", "Patient.identifier[0] fi-hetu-form"),
            (
                r#""system":"urn:oid:1.2.246.537.6.21","#,
                "",
                "Patient.extension[0].value.ofType(Coding) Extension.value[x].system",
            ),
            (
                "1.2.246.537.6.21\"",
                "1.2.246.537.6.22\"",
                "Patient.extension[0].value.ofType(Coding).system Extension.value[x].system",
            ),
            (r#","code":"837""#, "", "Patient.extension[0].value.ofType(Coding) Extension.value[x].code"),
            (
                r#""valueCoding":{"system":"urn:oid:1.2.246.537.6.21","code":"837"}"#,
                r#""valueString":"Tampere""#,
                "Patient.extension[0] Extension.value[x]",
            ),
        ],
    );
    let two = with(PATIENT, r#""use":"secondary""#, r#""use":"official""#);
    assert!(by("fi-patient", &two, Severity::Error).contains(&"Patient Patient.identifier:PIC".to_owned()));
    let label = r#"{"system":"https://hl7.fi/fhir/finnish-base-profiles/CodeSystem/fi-base-security-label-cs","code":"TURVAKIELTO"}"#;
    let twice = with(PATIENT, label, &format!("{label},{label}"));
    assert_eq!(by("fi-patient", &twice, Severity::Error), ["Patient.meta Patient.meta.security:turvakielto"]);
}

#[test]
fn a_wrong_check_character_of_an_identity_code_is_a_warning() {
    assert!(by("fi-patient", PATIENT, Severity::Warning).iter().all(|line| !line.contains("hetu")));
    let wrong = with(PATIENT, "140347-9120", "140347-9121");
    assert_eq!(by("fi-patient", &wrong, Severity::Error), Vec::<String>::new());
    assert!(by("fi-patient", &wrong, Severity::Warning).contains(&"Patient.identifier[0] fi-hetu-check".to_owned()));
}

#[test]
fn a_client_plan_is_made_by_someone_for_a_time_and_its_activities_are_orders() {
    every_rule_is_found(
        "client-plan",
        r#"{"resourceType":"CarePlan","status":"active","intent":"plan","title":"Kotiin","subject":{"reference":"Patient/1"},
        "period":{"start":"2026-03-03"},"author":{"reference":"Organization/1"},"careTeam":[{"reference":"CareTeam/1"}],
        "goal":[{"reference":"Goal/1"}],"activity":[{"reference":{"reference":"ServiceRequest/1"}}]}"#,
        &[
            (r#""intent":"plan""#, r#""intent":"order""#, "CarePlan.intent CarePlan.intent"),
            (r#""title":"Kotiin","#, "", "CarePlan CarePlan.title"),
            ("Patient/1", "Group/1", "CarePlan.subject CarePlan.subject"),
            (r#""period":{"start":"2026-03-03"},"#, "", "CarePlan CarePlan.period"),
            (r#"{"start":"2026-03-03"}"#, r#"{"end":"2026-03-03"}"#, "CarePlan.period CarePlan.period.start"),
            (r#""author":{"reference":"Organization/1"},"#, "", "CarePlan CarePlan.author"),
            (
                r#"{"reference":{"reference":"ServiceRequest/1"}}"#,
                r#"{"progress":[{"text":"x"}]}"#,
                "CarePlan.activity[0] CarePlan.activity.reference",
            ),
            ("ServiceRequest/1", "VisionPrescription/1", "CarePlan.activity[0].reference CarePlan.activity.reference"),
        ],
    );
    let detail = r#"{"resourceType":"CarePlan","status":"active","intent":"plan","title":"Kotiin","subject":{"reference":"Patient/1"},
        "period":{"start":"2026-03-03"},"author":{"reference":"Organization/1"},"activity":[{"detail":{"status":"scheduled"}}]}"#;
    assert!(
        by("client-plan", detail, Severity::Error)
            .contains(&"CarePlan.activity[0] CarePlan.activity.detail".to_owned())
    );
}

#[test]
fn a_service_referral_is_identified_ordered_and_asked_for() {
    every_rule_is_found(
        "service-referral",
        r#"{"resourceType":"ServiceRequest","identifier":[{"system":"urn:oid:1.2.3","value":"1"}],"status":"active","intent":"order",
        "code":{"text":"Kotikuntoutus"},"subject":{"reference":"Patient/1"},"requester":{"reference":"Organization/1"},
        "basedOn":[{"reference":"CarePlan/1"}]}"#,
        &[
            (
                r#""identifier":[{"system":"urn:oid:1.2.3","value":"1"}],"#,
                "",
                "ServiceRequest ServiceRequest.identifier",
            ),
            (r#""system":"urn:oid:1.2.3","#, "", "ServiceRequest.identifier[0] ServiceRequest.identifier.system"),
            (r#","value":"1""#, "", "ServiceRequest.identifier[0] ServiceRequest.identifier.value"),
            (r#""intent":"order""#, r#""intent":"plan""#, "ServiceRequest.intent ServiceRequest.intent"),
            (r#""code":{"text":"Kotikuntoutus"},"#, "", "ServiceRequest silta-what"),
            ("Patient/1", "Device/1", "ServiceRequest.subject ServiceRequest.subject"),
            (r#","requester":{"reference":"Organization/1"}"#, "", "ServiceRequest ServiceRequest.requester"),
            ("CarePlan/1", "MedicationRequest/1", "ServiceRequest.basedOn[0] ServiceRequest.basedOn"),
        ],
    );
}

#[test]
fn a_coordination_task_has_parties_a_focus_and_reasons() {
    every_rule_is_found(
        "coordination-task",
        r#"{"resourceType":"Task","status":"requested","intent":"order","focus":{"reference":"ServiceRequest/1"},
        "for":{"reference":"Patient/1"},"authoredOn":"2026-03-02","requester":{"reference":"Organization/1"},
        "owner":{"reference":"Organization/2"}}"#,
        &[
            (r#""intent":"order""#, r#""intent":"plan""#, "Task.intent Task.intent"),
            (r#""focus":{"reference":"ServiceRequest/1"},"#, "", "Task Task.focus"),
            ("ServiceRequest/1", "CarePlan/1", "Task.focus Task.focus"),
            (r#""for":{"reference":"Patient/1"},"#, "", "Task Task.for"),
            ("Patient/1", "Group/1", "Task.for Task.for"),
            (r#""requester":{"reference":"Organization/1"},"#, "", "Task Task.requester"),
            (r#","authoredOn":"2026-03-02""#, "", "Task Task.authoredOn"),
            (r#""status":"requested""#, r#""status":"rejected""#, "Task silta-reason"),
            (r#""status":"requested""#, r#""status":"on-hold""#, "Task silta-reason"),
            (r#""status":"requested""#, r#""status":"cancelled""#, "Task silta-reason"),
            (r#""status":"requested""#, r#""status":"failed""#, "Task silta-reason"),
        ],
    );
}

#[test]
fn an_integrated_care_team_has_members_and_at_most_one_own_worker() {
    let worker = r#"{"role":[{"coding":[{"system":"https://silta.example/fhir/fi/CodeSystem/care-team-role","code":"own-worker"}]}],
        "member":{"reference":"Practitioner/1"}}"#;
    let team = format!(
        r#"{{"resourceType":"CareTeam","status":"active","subject":{{"reference":"Patient/1"}},"participant":[{worker}]}}"#
    );
    every_rule_is_found(
        "integrated-care-team",
        &team,
        &[
            (r#""status":"active","#, "", "CareTeam CareTeam.status"),
            (r#""subject":{"reference":"Patient/1"},"#, "", "CareTeam CareTeam.subject"),
            ("Patient/1", "Group/1", "CareTeam.subject CareTeam.subject"),
            (worker, &format!("{worker},{worker}"), "CareTeam silta-one-own-worker"),
        ],
    );
    let alone = with(&team, worker, r#"{"member":{"reference":"Organization/1"}}"#);
    assert_eq!(by("integrated-care-team", &alone, Severity::Error), Vec::<String>::new());
    assert!(by("integrated-care-team", &alone, Severity::Warning).contains(&"CareTeam silta-own-worker".to_owned()));
    let nobody = with(&team, worker, r#"{"role":[{"text":"x"}]}"#);
    assert_eq!(
        by("integrated-care-team", &nobody, Severity::Error),
        ["CareTeam.participant[0] CareTeam.participant.member"]
    );
    let empty = r#"{"resourceType":"CareTeam","status":"active","subject":{"reference":"Patient/1"}}"#;
    assert_eq!(by("integrated-care-team", empty, Severity::Error), ["CareTeam CareTeam.participant"]);
}

#[test]
fn a_care_goal_is_told_in_words_for_a_person_by_a_day() {
    every_rule_is_found(
        "care-goal",
        r#"{"resourceType":"Goal","lifecycleStatus":"active","description":{"text":"Walks outside"},
        "subject":{"reference":"Patient/1"},"startDate":"2026-03-03","target":[{"dueDate":"2026-05-31"}]}"#,
        &[
            (r#"{"text":"Walks outside"}"#, r#"{"coding":[{"code":"x"}]}"#, "Goal.description Goal.description.text"),
            ("Patient/1", "Organization/1", "Goal.subject Goal.subject"),
            (
                r#""startDate":"2026-03-03""#,
                r#""startCodeableConcept":{"text":"now"}"#,
                "Goal.start.ofType(CodeableConcept) Goal.start[x]",
            ),
            (
                r#""dueDate":"2026-05-31""#,
                r#""dueDuration":{"value":2,"system":"http://unitsofmeasure.org","code":"mo"}"#,
                "Goal.target[0].due.ofType(Duration) Goal.target.due[x]",
            ),
        ],
    );
}
