//! Validation by what guides define: value sets with filters, slices by what is referred to, contexts, invariants that ask for
//! the time; and what is none of FHIR in XML and in narratives.

use std::sync::Arc;

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::fhirpath::{Context, Plan, Temporal};
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator};

const NONE: [&str; 0] = [];

fn with(definitions: impl IntoIterator<Item = Value>) -> Validator {
    let mut library = Library::empty();
    definitions.into_iter().for_each(|definition| library.add(definition));
    Validator::new(library)
}

fn read(text: &[u8]) -> Arc<Document> {
    let read = if text.starts_with(b"<") { Document::from_xml } else { Document::from_json };
    read(Model::r4(), text.to_vec(), &Limits::default()).unwrap()
}

fn found(validator: &Validator, text: &[u8], severity: Severity) -> Vec<String> {
    let document = read(text);
    let findings = validator.validate(&document, &[]);
    findings.iter().filter(|one| one.severity == severity).map(|one| one.path(&document)).collect()
}

fn errors(validator: &Validator, content: &Value) -> Vec<String> {
    found(validator, content.to_string().as_bytes(), Severity::Error)
}

fn profile(name: &str, of: &str, elements: &Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": format!("http://t.example/{name}"), "status": "active", "name": "T",
        "kind": "resource", "abstract": false, "type": of, "derivation": "constraint",
        "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{of}"), "differential": {"element": elements}})
}

fn claiming(name: &str, mut content: Value) -> Value {
    content["meta"] = json!({"profile": [format!("http://t.example/{name}")]});
    content
}

#[test]
fn filters_of_value_sets_are_decided_by_the_code_system_at_hand() {
    let system = json!({"resourceType": "CodeSystem", "url": "http://t.example/cs", "status": "active", "content": "complete",
        "caseSensitive": true,
        "property": [
            {"code": "parent", "uri": "http://hl7.org/fhir/concept-properties#parent", "type": "code"},
            {"code": "level", "type": "integer"}, {"code": "kind", "type": "string"}],
        "concept": [
            {"code": "a", "display": "Alpha", "property": [{"code": "level", "valueInteger": 1}],
                "concept": [{"code": "a1", "display": "Alpha one", "property": [{"code": "kind", "valueString": "x"}]}]},
            {"code": "b", "display": "Beta", "property": [{"code": "level", "valueInteger": 2}]},
            {"code": "c", "display": "Gamma", "property": [{"code": "parent", "valueCode": "a1"}]}]});
    let taken = |property: &str, operation: &str, value: &str| -> String {
        let set = json!({"resourceType": "ValueSet", "url": "http://t.example/vs", "status": "active",
            "compose": {"include": [{"system": "http://t.example/cs",
                "filter": [{"property": property, "op": operation, "value": value}]}]}});
        let elements = json!([{"id": "Patient.maritalStatus", "path": "Patient.maritalStatus",
            "binding": {"strength": "required", "valueSet": "http://t.example/vs"}}]);
        let validator = with([system.clone(), set, profile("p", "Patient", &elements)]);
        let is_in = |code: &&str| {
            let coding = json!({"coding": [{"system": "http://t.example/cs", "code": code}]});
            errors(&validator, &claiming("p", json!({"resourceType": "Patient", "maritalStatus": coding}))).is_empty()
        };
        ["a", "a1", "b", "c"].iter().filter(|code| is_in(code)).copied().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(taken("level", "=", "1"), "a");
    assert_eq!(taken("kind", "=", "x"), "a1");
    assert_eq!(taken("concept", "is-a", "a"), "a a1 c", "a parent that a property names counts");
    assert_eq!(taken("concept", "descendent-of", "a1"), "c");
    assert_eq!(taken("concept", "is-not-a", "a1"), "a b");
    assert_eq!(taken("concept", "generalizes", "c"), "a a1 c");
    assert_eq!(taken("parent", "=", "a"), "a1");
    assert_eq!(taken("child", "exists", "true"), "a a1");
    assert_eq!(taken("level", "exists", "false"), "a1 c");
    assert_eq!(taken("concept", "regex", "a.?"), "a a1");
    assert_eq!(taken("display", "regex", ".*ta"), "b");
    assert_eq!(taken("concept", "in", "a,b"), "a b");
    assert_eq!(taken("concept", "not-in", "a,b"), "a1 c");
    assert_eq!(taken("level", "in", "1, 2"), "a b");
}

#[test]
fn a_supplement_gives_codes_more_names() {
    let supplement = json!({"resourceType": "CodeSystem", "url": "http://t.example/more", "status": "active",
        "content": "supplement", "supplements": "http://hl7.org/fhir/administrative-gender",
        "concept": [{"code": "female", "designation": [{"language": "fi", "value": "nainen"}]}]});
    let said = |display: &str| {
        json!({"resourceType": "Observation", "status": "final", "code": {"coding": [
            {"system": "http://hl7.org/fhir/administrative-gender", "code": "female", "display": display}]}})
    };
    assert_eq!(errors(&with([supplement.clone()]), &said("Nainen")), NONE);
    assert_eq!(errors(&with([supplement]), &said("mies")), ["Observation.code.coding[0].display"]);
    assert_eq!(errors(&with([]), &said("nainen")), ["Observation.code.coding[0].display"]);
}

#[test]
fn a_currency_is_one_of_iso_4217() {
    let costs = |currency: &str| {
        errors(
            &with([]),
            &json!({"resourceType": "Account", "status": "active", "coverage": [{"coverage": {"display": "x"}}],
                "extension": [{"url": "http://t.example/e", "valueMoney": {"value": 1, "currency": currency}}]}),
        )
    };
    assert_eq!(costs("EUR"), NONE);
    assert_eq!(costs("FIM"), NONE, "a currency that is no longer in use");
    assert!(costs("XXQ").iter().all(|path| path.ends_with("currency")) && !costs("XXQ").is_empty());
}

#[test]
fn slices_may_be_told_by_the_profile_of_what_is_referred_to() {
    let named =
        profile("named", "Organization", &json!([{"id": "Organization.name", "path": "Organization.name", "min": 1}]));
    let elements = json!([
        {"id": "Observation.performer", "path": "Observation.performer",
            "slicing": {"discriminator": [{"type": "profile", "path": "resolve()"}], "rules": "open"}},
        {"id": "Observation.performer:org", "path": "Observation.performer", "sliceName": "org", "min": 1, "max": "1",
            "type": [{"code": "Reference", "targetProfile": ["http://t.example/named"]}]}]);
    let validator = with([named, profile("p", "Observation", &elements)]);
    let observation = |organization: Value| {
        claiming(
            "p",
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "contained": [organization], "performer": [{"reference": "#o"}]}),
        )
    };
    let named = json!({"resourceType": "Organization", "id": "o", "name": "x"});
    assert_eq!(errors(&validator, &observation(named)), NONE);
    let other = json!({"resourceType": "Organization", "id": "o", "identifier": [{"value": "1"}]});
    assert_eq!(errors(&validator, &observation(other)), ["Observation"]);
}

#[test]
fn a_slice_of_contained_resources_says_what_they_hold() {
    let elements = json!([
        {"id": "Observation.contained", "path": "Observation.contained",
            "slicing": {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}},
        {"id": "Observation.contained:pat", "path": "Observation.contained", "sliceName": "pat", "min": 1, "max": "1",
            "type": [{"code": "Patient"}]},
        {"id": "Observation.contained:pat.name", "path": "Observation.contained.name", "min": 1}]);
    let validator = with([profile("p", "Observation", &elements)]);
    let observation = |patient: Value| {
        claiming(
            "p",
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "contained": [patient], "subject": {"reference": "#p"}}),
        )
    };
    let named = json!({"resourceType": "Patient", "id": "p", "name": [{"text": "x"}]});
    assert_eq!(errors(&validator, &observation(named)), NONE);
    let nameless = json!({"resourceType": "Patient", "id": "p"});
    assert_eq!(errors(&validator, &observation(nameless)), ["Observation.contained[0]"]);
}

#[test]
fn an_extension_context_may_name_the_definition_of_its_element() {
    let extension = |context: &str| {
        json!({"resourceType": "StructureDefinition", "url": "http://t.example/e", "status": "active", "name": "E",
            "kind": "complex-type", "abstract": false, "type": "Extension", "derivation": "constraint",
            "context": [{"type": "element", "expression": context}],
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension", "differential": {"element": []}})
    };
    let patient = json!({"resourceType": "Patient",
        "name": [{"text": "x", "extension": [{"url": "http://t.example/e", "valueString": "x"}]}]});
    let judged = |context: &str| errors(&with([extension(context)]), &patient);
    assert_eq!(judged("http://hl7.org/fhir/StructureDefinition/Patient#Patient.name"), NONE);
    assert_eq!(judged("http://hl7.org/fhir/StructureDefinition/Patient#Patient.name:official"), NONE);
    assert_eq!(judged("http://hl7.org/fhir/StructureDefinition/Patient#Patient.contact"), ["Patient.name[0]"]);
}

#[test]
fn an_invariant_that_asks_for_the_time_is_decided_by_the_clock_that_was_handed_in() {
    let elements = json!([{"id": "Patient", "path": "Patient", "constraint": [
        {"key": "t-1", "severity": "error", "human": "born", "expression": "birthDate <= today()"}]}]);
    let patient = claiming("p", json!({"resourceType": "Patient", "birthDate": "2026-06-01"}));
    let at = |time: &'static str| {
        let validator = with([profile("p", "Patient", &elements)]);
        errors(&validator.with_clock(move || Temporal::date_time(time)), &patient)
    };
    assert_eq!(at("2026-07-01T12:00:00Z"), NONE);
    assert_eq!(at("2026-05-01T12:00:00Z"), ["Patient"]);
    let without = with([profile("p", "Patient", &elements)]);
    assert_eq!(errors(&without, &patient), NONE, "without a clock it is not decided");
}

#[test]
fn a_simple_quantity_has_no_comparator() {
    let range = |low: Value| json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "referenceRange": [{"low": low}]});
    assert_eq!(errors(&with([]), &range(json!({"value": 1}))), NONE);
    assert_eq!(
        errors(&with([]), &range(json!({"value": 1, "comparator": "<"}))),
        ["Observation.referenceRange[0].low"]
    );
}

#[test]
fn a_reference_that_is_to_be_contained_is_contained() {
    let elements = json!([{"id": "Observation.subject", "path": "Observation.subject", "type": [{"code": "Reference",
        "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"], "aggregation": ["contained"]}]}]);
    let validator = with([profile("p", "Observation", &elements)]);
    let observation = |reference: &str| {
        claiming(
            "p",
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                "contained": [{"resourceType": "Patient", "id": "p"}], "focus": [{"reference": "#p"}],
                "subject": {"reference": reference}}),
        )
    };
    assert_eq!(errors(&validator, &observation("#p")), NONE);
    assert_eq!(errors(&validator, &observation("Patient/1")), ["Observation.subject"]);
}

#[test]
fn a_relative_reference_leads_nowhere_from_an_entry_without_a_base() {
    let named = profile("named", "Patient", &json!([{"id": "Patient.name", "path": "Patient.name", "min": 1}]));
    let elements = json!([{"id": "Observation.subject", "path": "Observation.subject",
        "type": [{"code": "Reference", "targetProfile": ["http://t.example/named"]}]}]);
    let validator = with([named, profile("p", "Observation", &elements)]);
    let bundle = |base: &str, second: &str| {
        let observation = claiming(
            "p",
            json!({"resourceType": "Observation", "id": "1", "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "Patient/2"}}),
        );
        json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": base, "resource": observation},
            {"fullUrl": second, "resource": {"resourceType": "Patient", "id": "2"}}]})
    };
    let alone =
        bundle("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c601", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c602");
    assert_eq!(errors(&validator, &alone), NONE);
    let based = bundle("http://t.example/Observation/1", "http://t.example/Patient/2");
    assert_eq!(errors(&validator, &based), ["Bundle.entry[0].resource.subject"]);
}

#[test]
fn a_condition_of_a_repeating_group_is_on_the_answers_of_the_same_repetition() {
    let questionnaire = json!({"resourceType": "Questionnaire", "url": "http://t.example/q", "status": "active", "item": [
        {"linkId": "g", "type": "group", "repeats": true, "item": [
            {"linkId": "ask", "type": "boolean"},
            {"linkId": "more", "type": "string", "required": true,
                "enableWhen": [{"question": "ask", "operator": "=", "answerBoolean": true}]}]}]});
    let group = |ask: bool, more: Option<&str>| {
        let mut items = vec![json!({"linkId": "ask", "answer": [{"valueBoolean": ask}]})];
        items.extend(more.map(|text| json!({"linkId": "more", "answer": [{"valueString": text}]})));
        json!({"linkId": "g", "item": items})
    };
    let response = |groups: [Value; 2]| {
        let content = json!({"resourceType": "QuestionnaireResponse", "status": "completed",
            "questionnaire": "http://t.example/q", "item": groups});
        errors(&with([questionnaire.clone()]), &content)
    };
    assert_eq!(response([group(true, Some("x")), group(false, None)]), NONE);
    assert_eq!(response([group(false, None), group(true, Some("x"))]), NONE);
    assert_eq!(response([group(true, Some("x")), group(true, None)]), ["QuestionnaireResponse.item[1]"]);
    assert_eq!(response([group(true, Some("x")), group(false, Some("y"))]), ["QuestionnaireResponse.item[1].item[1]"]);
}

#[test]
fn xml_that_says_nothing_or_says_it_in_the_wrong_place_is_refused() {
    let judged = |inner: &str| {
        let text = format!(r#"<Patient xmlns="http://hl7.org/fhir">{inner}</Patient>"#);
        found(&with([]), text.as_bytes(), Severity::Error)
    };
    assert_eq!(judged(r#"<active value="true"/>"#), NONE);
    assert_eq!(judged("<active/>"), ["Patient.active", "Patient.active", "/f:Patient/f:active"]);
    assert!(!judged(r#"<extension><url value="http://t.example/e"/><valueString value="x"/></extension>"#).is_empty());
    let attribute = br#"<Patient xmlns="http://hl7.org/fhir" id="1"><active value="true"/></Patient>"#;
    assert!(!found(&with([]), attribute, Severity::Error).is_empty(), "a resource has no attribute id");
}

#[test]
fn a_narrative_has_nothing_that_html_deprecates_and_no_second_root() {
    let judged = |inner: &str| {
        let div = format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>"#);
        errors(&with([]), &json!({"resourceType": "Patient", "text": {"status": "generated", "div": div}}))
    };
    assert_eq!(judged("<p>x <b>y</b></p>"), NONE);
    for inner in [
        "<font color=\"red\">x</font>",
        "<u>x</u>",
        "<ins>x</ins>",
        "<p data-x=\"1\">x</p>",
        "<p xmlns=\"http://t.example/other\">x</p>",
        "x</div><div xmlns=\"http://www.w3.org/1999/xhtml\">y",
        "<a href=\" java&#x73;cript:run()\">x</a>",
        "<a href=\"java\nscript:run()\">x</a>",
    ] {
        assert!(!judged(inner).is_empty(), "{inner}");
    }
    assert_eq!(judged("<a href=\"http://t.example/a:b\">x</a>"), NONE);
}

#[test]
fn what_a_profile_says_of_no_element_is_told() {
    let elements = json!([{"id": "Patient.foo", "path": "Patient.foo", "min": 1}]);
    let validator = with([profile("p", "Patient", &elements)]);
    let patient = claiming("p", json!({"resourceType": "Patient", "active": true}));
    let text = patient.to_string();
    assert_eq!(found(&validator, text.as_bytes(), Severity::Error), NONE);
    assert_eq!(found(&validator, text.as_bytes(), Severity::Warning), ["Patient"]);
}

#[test]
fn an_expression_makes_no_text_without_end() {
    let document = read(
        br#"{"resourceType": "Patient", "name": [{"given": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]}]}"#,
    );
    for expression in [
        "name.given.select($this & 'x').aggregate($total & $total & $total & $total & $total & $total & $total, 'aaaaaaaaaaaaaaaaaaaaaaa')",
        "name.given.aggregate($total.replace('a', $total), 'aaaaaaaaaaaa')",
        "name.given.aggregate($total.replaceMatches('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'aaaa')",
        "name.given.aggregate($total + $total + $total + $total + $total + $total + $total + $total, 'aaaaaaaaaaa')",
    ] {
        let plan = Plan::compile(Model::r4(), expression, None).unwrap();
        let ended = plan.evaluate(&Context::of(document.root()));
        assert_eq!(ended.unwrap_err().to_string(), "the expression looks at more items than allowed", "{expression}");
    }
}

#[test]
fn quantities_are_added_in_the_finer_unit_and_scaled_by_numbers() {
    let document = read(br#"{"resourceType": "Patient"}"#);
    let shown = |expression: &str| {
        let plan = Plan::compile(Model::r4(), expression, None).unwrap();
        let found = plan.evaluate(&Context::of(document.root())).unwrap();
        found.iter().map(|value| value.to_text().unwrap().into_owned()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(shown("((1 'kg') + (1 'g')) = 1001 'g'"), "true");
    assert_eq!(shown("((1 'm') - (1 'cm')) = 99 'cm'"), "true");
    assert_eq!(shown("2 * (3 'cm')"), "6 'cm'");
    assert_eq!(shown("((6 'cm') / 2) = 3 'cm'"), "true");
    assert_eq!(shown("(1 'kg') + (1 's')"), "");
}
