//! Validation: where findings are told, and how many, as the reference validator has it; and what it holds definitions to.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator};

static CORE: LazyLock<Validator> = LazyLock::new(|| Validator::new(Library::empty()));

fn by(validator: &Validator, text: &[u8]) -> Vec<String> {
    let read = if text.starts_with(b"<") { Document::from_xml } else { Document::from_json };
    let document: Arc<Document> = read(Model::r4(), text.to_vec(), &Limits::default()).unwrap();
    let findings = validator.validate(&document, &[]);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.path(&document)).collect()
}

/// The paths of the errors by the core alone.
fn places(content: &Value) -> Vec<String> {
    by(&CORE, content.to_string().as_bytes())
}

/// The paths of the errors by the core and one more definition, which the content claims where it is a profile.
fn with(definition: &Value, content: &Value) -> Vec<String> {
    let mut library = Library::empty();
    library.add(definition.clone());
    by(&Validator::new(library), content.to_string().as_bytes())
}

fn profile(of: &str, elements: Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": "http://t.example/p", "status": "active", "name": "T",
        "kind": "resource", "abstract": false, "type": of, "derivation": "constraint",
        "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{of}"), "differential": {"element": elements}})
}

const NONE: [&str; 0] = [];

#[test]
fn what_is_no_element_is_told_at_what_has_it() {
    assert_eq!(
        places(&json!({"resourceType": "Patient", "contact": [{"name": {"text": "x"}, "colour": 1}]})),
        ["Patient.contact[0]"]
    );
    assert_eq!(
        places(&json!({"resourceType": "Patient", "deceasedBoolean": false, "deceasedDateTime": "2020"})),
        ["Patient"]
    );
    let xml = r#"<Patient xmlns="http://hl7.org/fhir"><name><text value="x"><script>run()</script></text></name>
        <birthDate value="2020" kind="a"/></Patient>"#;
    assert_eq!(by(&CORE, xml.as_bytes()), ["/f:Patient/f:name/f:text", "/f:Patient/f:birthDate"]);
}

#[test]
fn what_a_profile_fixes_is_told_at_the_parts_that_differ() {
    let judged = |fixes: &str, value: Value, identifier: Value| {
        let definition =
            profile("Patient", json!([{"id": "Patient.identifier", "path": "Patient.identifier", fixes: value}]));
        let claims =
            json!({"resourceType": "Patient", "meta": {"profile": ["http://t.example/p"]}, "identifier": [identifier]});
        with(&definition, &claims)
    };
    let expected = || json!({"system": "urn:a:b", "type": {"text": "t"}});
    let sound = json!({"system": "urn:a:b", "type": {"text": "t"}, "value": "1"});
    assert_eq!(judged("patternIdentifier", expected(), sound.clone()), NONE);
    assert_eq!(judged("fixedIdentifier", expected(), sound), ["Patient.identifier[0].value"]);
    assert_eq!(
        judged("patternIdentifier", expected(), json!({"system": "urn:x:y"})),
        ["Patient.identifier[0].type", "Patient.identifier[0].system"]
    );
    assert_eq!(
        judged("patternIdentifier", expected(), json!({"system": "urn:a:b", "type": {"text": "u"}})),
        ["Patient.identifier[0].type"],
        "a concept is told as a whole"
    );
}

#[test]
fn contained_resources_that_nothing_refers_to_are_told_each() {
    let organization = |id: &str| json!({"resourceType": "Organization", "id": id, "name": "x"});
    let content = json!({"resourceType": "Patient", "contained": [organization("a"), organization("b"), organization("c")],
        "managingOrganization": {"reference": "#b"}});
    assert_eq!(places(&content), ["Patient.contained[0]", "Patient.contained[2]"]);
}

#[test]
fn names_of_systems_types_and_extensions_are_absolute_and_known() {
    let patient = |name: &str, value: Value| places(&json!({"resourceType": "Patient", name: value}));
    assert_eq!(patient("identifier", json!([{"system": "abc", "value": "1"}])), ["Patient.identifier[0]"]);
    assert_eq!(patient("extension", json!([{"url": "abc", "valueString": "x"}])), ["Patient.extension[0]"]);
    assert_eq!(patient("extension", json!([{"valueString": "x"}])), ["Patient.extension[0]"; 2]);
    let reference = json!({"reference": "Organization/1", "type": "Shop"});
    assert_eq!(patient("managingOrganization", reference), ["Patient.managingOrganization"]);
    let parts = json!([{"url": "http://hl7.org/fhir/StructureDefinition/patient-nationality",
        "extension": [{"url": "colour", "valueString": "x"}]}]);
    assert_eq!(patient("extension", parts), ["Patient.extension[0].extension[0]"]);
}

#[test]
fn a_code_is_within_the_maximum_of_its_binding() {
    assert_eq!(places(&json!({"resourceType": "Patient", "language": "fi"})), NONE);
    assert_eq!(places(&json!({"resourceType": "Patient", "language": "not a language"})), ["Patient.language"]);
    let spoken = |code: &str| json!({"resourceType": "Patient", "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}}]});
    assert_eq!(places(&spoken("sv-FI")), NONE);
    assert!(places(&spoken("s!")).contains(&"Patient.communication[0].language".to_owned()));
}

#[test]
fn a_narrative_has_the_entities_of_xhtml_and_its_tables_and_lists_are_whole() {
    let div = |content: &str| {
        let text = format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>"#);
        places(&json!({"resourceType": "Patient", "text": {"status": "generated", "div": text}})).len()
    };
    assert_eq!(
        div("&nbsp;&auml; <ul><li>a</li></ul><table><thead><tr><th>b</th></tr></thead><tr><td>c</td></tr></table>"),
        0
    );
    assert_eq!(div("a &euml; &eeml;"), 1);
    assert_eq!(div("<li>a</li>"), 1);
    assert_eq!(div("<table><td>a</td></table>"), 1);
    // The same link with the same words is told once.
    let link = |number: usize| format!(r#"<a href="urn:uuid:{number}">a</a>"#);
    assert_eq!(div(&[link(1), link(2), link(1)].concat()), 2);
}

#[test]
fn a_link_from_data_into_the_narrative_leads_to_one_place_of_the_bundle() {
    let judged = |fragment: &str| {
        let text =
            r#"<div xmlns="http://www.w3.org/1999/xhtml"><p id="one">a</p><p id="two">b</p><p id="two">c</p></div>"#;
        let (document, patient) =
            ("urn:uuid:0b1c2d3e-0000-4000-8000-000000000001", "urn:uuid:0b1c2d3e-0000-4000-8000-000000000002");
        let link = json!([{"url": "http://hl7.org/fhir/StructureDefinition/narrativeLink",
            "valueUrl": format!("{document}#{fragment}")}]);
        places(&json!({"resourceType": "Bundle", "type": "document", "timestamp": "2026-01-01T00:00:00Z",
            "identifier": {"system": "urn:a:b", "value": "1"}, "entry": [
                {"fullUrl": document, "resource": {"resourceType": "Composition", "status": "final", "type": {"text": "x"},
                    "date": "2026-01-01", "title": "t", "author": [{"reference": patient}],
                    "text": {"status": "generated", "div": text}}},
                {"fullUrl": patient, "resource": {"resourceType": "Patient", "extension": link}}]}))
    };
    assert_eq!(judged("one"), NONE);
    assert_eq!(judged("two"), ["Bundle"]);
    assert_eq!(judged("three"), ["Bundle"]);
}

#[test]
fn answers_are_of_the_options_units_media_and_value_sets_of_their_item() {
    let gender = "http://hl7.org/fhir/administrative-gender";
    let judged = |item: Value, answer: Value| {
        let mut item = item;
        item["linkId"] = json!("1");
        let questionnaire = json!({"resourceType": "Questionnaire", "url": "http://t.example/q", "status": "active", "item": [item],
            "contained": [{"resourceType": "ValueSet", "id": "v", "status": "active",
                "compose": {"include": [{"system": gender, "concept": [{"code": "male"}]}]}}]});
        with(
            &questionnaire,
            &json!({"resourceType": "QuestionnaireResponse", "questionnaire": "http://t.example/q", "status": "completed",
                "item": [{"linkId": "1", "answer": [answer]}]}),
        )
    };
    let answer = "QuestionnaireResponse.item[0].answer[0]";
    let options = json!({"type": "choice", "answerOption": [{"valueInteger": 3}]});
    assert_eq!(judged(options.clone(), json!({"valueInteger": 3})), NONE);
    assert_eq!(judged(options, json!({"valueInteger": 4})), [answer]);
    let unit = json!({"type": "quantity", "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption",
        "valueCoding": {"system": "http://unitsofmeasure.org", "code": "kg"}}]});
    let quantity =
        |code: &str| json!({"valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": code}});
    assert_eq!(judged(unit.clone(), quantity("kg")), NONE);
    assert_eq!(judged(unit, quantity("g")), [format!("{answer}.value.ofType(Quantity)")]);
    let image = json!({"type": "attachment", "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/mimeType",
        "valueCode": "image/png"}]});
    let attachment = |kind: &str| json!({"valueAttachment": {"contentType": kind, "url": "http://h.example/a"}});
    assert_eq!(judged(image.clone(), attachment("image/png")), NONE);
    assert_eq!(judged(image, attachment("text/plain")), [answer]);
    let set = json!({"type": "choice", "answerValueSet": "#v"});
    let coding = |code: &str| json!({"valueCoding": {"system": gender, "code": code}});
    assert_eq!(judged(set.clone(), coding("male")), NONE);
    assert_eq!(judged(set.clone(), coding("female")), [answer]);
    assert_eq!(judged(set, json!({"valueCoding": {"code": "male"}})), [answer], "a coding without a system is of none");
}

#[test]
fn a_constraint_narrows_what_it_derives_from() {
    let judged = |elements: Value| places(&profile("Patient", elements));
    let element = |path: &str, says: Value| {
        let mut element = says;
        element["id"] = json!(path);
        element["path"] = json!(path);
        element
    };
    let root = "StructureDefinition";
    assert_eq!(
        judged(json!([element("Patient.name", json!({"min": 1})), element("Patient.gender", json!({"min": 1}))])),
        NONE
    );
    for (path, says) in [
        ("Patient.gender", json!({"max": "2"})),
        ("Patient.link.other", json!({"min": 0})),
        ("Patient.gender", json!({"type": [{"code": "string"}]})),
        ("Patient.gender", json!({"binding": {"strength": "example", "valueSet": "http://t.example/v"}})),
        ("Patient.gender", json!({"fixedString": "male"})),
        (
            "Patient.managingOrganization",
            json!({"type": [{"code": "Reference",
            "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Device"]}]}),
        ),
    ] {
        assert_eq!(judged(json!([element(path, says.clone())])), [root], "{path} {says}");
    }
    let first = "StructureDefinition.differential.element[0]";
    assert_eq!(
        judged(json!([element("Patient.gender", json!({})), element("Patient.name", json!({}))])),
        [root, first]
    );
    assert_eq!(
        judged(json!([element("Patient.name", json!({})), element("Patient.name", json!({}))])).first().unwrap(),
        root
    );
    let slice = json!({"id": "Patient.identifier:a", "path": "Patient.identifier", "sliceName": "a"});
    assert_eq!(judged(json!([slice.clone()])), [first]);
    let slicing = element(
        "Patient.identifier",
        json!({"slicing": {"rules": "open",
        "discriminator": [{"type": "value", "path": "system"}]}}),
    );
    assert_eq!(judged(json!([slicing, slice])), NONE);
}

#[test]
fn code_systems_and_value_sets_hold_together() {
    let system = |more: Value| {
        let mut system = json!({"resourceType": "CodeSystem", "url": "http://t.example/c", "status": "active", "content": "complete",
            "concept": [{"code": "a", "concept": [{"code": "b"}]}]});
        system.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        places(&system)
    };
    assert_eq!(system(json!({"count": 2})), NONE);
    assert_eq!(system(json!({"count": 3})), ["CodeSystem.count"]);
    assert_eq!(system(json!({"content": "not-present"})), ["CodeSystem.concept[0]"]);
    assert_eq!(system(json!({"content": "supplement"})), ["CodeSystem.content"]);
    assert_eq!(system(json!({"url": "c"})), ["CodeSystem.url"]);
    let twice = json!({"concept": [{"code": "a"}, {"code": "a"}]});
    assert_eq!(system(twice), ["CodeSystem", "CodeSystem.concept[1]"]);
    let set = |include: Value| {
        places(&json!({"resourceType": "ValueSet", "url": "http://t.example/v", "status": "active",
            "compose": {"include": [include]}}))
    };
    assert_eq!(set(json!({"system": "http://hl7.org/fhir/administrative-gender"})), NONE);
    for system in ["gender", "http://hl7.org/fhir/ValueSet/administrative-gender"] {
        assert_eq!(set(json!({"system": system})), ["ValueSet.compose.include[0]"]);
    }
}
