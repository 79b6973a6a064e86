//! Profiles that derive from profiles, and extensions within extensions: what each of them says counts, and what cannot be
//! judged is told.

use std::sync::Arc;

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::fhirpath::{Context, Plan};
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator};

const NONE: [&str; 0] = [];
const SD: &str = "http://hl7.org/fhir/StructureDefinition";

fn with(definitions: impl IntoIterator<Item = Value>) -> Validator {
    let mut library = Library::empty();
    definitions.into_iter().for_each(|definition| library.add(definition));
    Validator::new(library)
}

fn read(content: &Value) -> Arc<Document> {
    Document::from_json(Model::r4(), content.to_string().into_bytes(), &Limits::default()).unwrap()
}

fn found(validator: &Validator, content: &Value, severity: Severity) -> Vec<(String, String)> {
    let document = read(content);
    let findings = validator.validate(&document, &[]);
    let of = findings.iter().filter(|one| one.severity == severity);
    of.map(|one| (one.path(&document), one.text(&document))).collect()
}

fn errors(validator: &Validator, content: &Value) -> Vec<String> {
    found(validator, content, Severity::Error).into_iter().map(|(path, _)| path).collect()
}

fn warnings(validator: &Validator, content: &Value) -> Vec<String> {
    found(validator, content, Severity::Warning).into_iter().map(|(_, text)| text).collect()
}

fn definition(name: &str, of: &str, base: &str, elements: &Value) -> Value {
    let kind = if of == "Extension" { "complex-type" } else { "resource" };
    json!({"resourceType": "StructureDefinition", "url": format!("http://t.example/{name}"), "status": "active", "name": "T",
        "kind": kind, "abstract": false, "type": of, "derivation": "constraint", "baseDefinition": base,
        "context": [{"type": "element", "expression": "Element"}], "differential": {"element": elements}})
}

fn profile(name: &str, of: &str, elements: &Value) -> Value {
    definition(name, of, &format!("{SD}/{of}"), elements)
}

fn claiming(name: &str, mut content: Value) -> Value {
    content["meta"] = json!({"profile": [format!("http://t.example/{name}")]});
    content
}

/// An extension with a code.
fn coded() -> Value {
    profile(
        "coded",
        "Extension",
        &json!([
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": "http://t.example/coded"},
            {"id": "Extension.value[x]", "path": "Extension.value[x]", "min": 1, "type": [{"code": "code"}]}
        ]),
    )
}

#[test]
fn a_profile_on_an_extension_is_judged_where_an_element_names_it() {
    let narrow = definition(
        "narrow",
        "Extension",
        "http://t.example/coded",
        &json!([{"id": "Extension.value[x]", "path": "Extension.value[x]", "patternCode": "male"}]),
    );
    let person = profile(
        "person",
        "Patient",
        &json!([{"id": "Patient.extension:s", "path": "Patient.extension", "sliceName": "s",
            "type": [{"code": "Extension", "profile": ["http://t.example/narrow"]}]}]),
    );
    let validator = with([coded(), narrow, person]);
    let said = |code: &str| {
        let extension = json!([{"url": "http://t.example/coded", "valueCode": code}]);
        errors(&validator, &claiming("person", json!({"resourceType": "Patient", "extension": extension})))
    };
    assert_eq!(said("male"), NONE);
    assert_eq!(said("female"), ["Patient.extension[0].value.ofType(code)"]);
}

#[test]
fn what_a_profile_says_of_parts_of_an_extension_is_judged_two_deep() {
    let deep = profile(
        "deep",
        "Extension",
        &json!([
            {"id": "Extension.extension:a", "path": "Extension.extension", "sliceName": "a"},
            {"id": "Extension.extension:a.extension:b", "path": "Extension.extension.extension", "sliceName": "b"},
            {"id": "Extension.extension:a.extension:b.url", "path": "Extension.extension.extension.url", "fixedUri": "b-part"},
            {"id": "Extension.extension:a.extension:b.value[x]", "path": "Extension.extension.extension.value[x]",
                "type": [{"code": "code"}]},
            {"id": "Extension.extension:a.url", "path": "Extension.extension.url", "fixedUri": "a-part"},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": "http://t.example/deep"}
        ]),
    );
    let person = profile(
        "person",
        "Patient",
        &json!([
            {"id": "Patient.extension:s", "path": "Patient.extension", "sliceName": "s",
                "type": [{"code": "Extension", "profile": ["http://t.example/deep"]}]},
            {"id": "Patient.extension:s.extension:a.extension:b.value[x]",
                "path": "Patient.extension.extension.extension.value[x]", "patternCode": "male"}
        ]),
    );
    let validator = with([deep, person]);
    let said = |code: &str| {
        let extension = json!([{"url": "http://t.example/deep", "extension": [
            {"url": "a-part", "extension": [{"url": "b-part", "valueCode": code}]}]}]);
        errors(&validator, &claiming("person", json!({"resourceType": "Patient", "extension": extension})))
    };
    assert_eq!(said("male"), NONE);
    assert_eq!(said("female"), ["Patient.extension[0].extension[0].extension[0].value.ofType(code)"]);
}

#[test]
fn of_a_choice_only_the_types_that_can_be_bound_are() {
    let either = profile(
        "either",
        "Extension",
        &json!([
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": "http://t.example/either"},
            {"id": "Extension.value[x]", "path": "Extension.value[x]",
                "type": [{"code": "boolean"}, {"code": "dateTime"}, {"code": "code"}, {"code": "string"}],
                "binding": {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"}}
        ]),
    );
    let validator = with([either]);
    let said = |name: &str, value: Value| {
        let mut extension = json!({"url": "http://t.example/either"});
        extension[name] = value;
        !errors(&validator, &json!({"resourceType": "Patient", "extension": [extension]})).is_empty()
    };
    assert!(!said("valueBoolean", json!(true)));
    assert!(!said("valueDateTime", json!("2020")));
    assert!(!said("valueCode", json!("female")));
    assert!(said("valueCode", json!("x")));
    assert!(said("valueString", json!("x")));
}

#[test]
fn slices_by_renamed_elements_leave_a_choice_their_types_only() {
    let measured = profile(
        "measured",
        "Observation",
        &json!([
            {"id": "Observation.valueQuantity:valueQuantity", "path": "Observation.valueQuantity", "sliceName": "valueQuantity"},
            {"id": "Observation.valueString:valueString", "path": "Observation.valueString", "sliceName": "valueString"}
        ]),
    );
    let validator = with([measured]);
    let said = |name: &str, value: Value| {
        let mut observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
        observation[name] = value;
        errors(&validator, &claiming("measured", observation))
    };
    assert_eq!(said("valueString", json!("x")), NONE);
    assert_eq!(said("valueQuantity", json!({"value": 1})), NONE);
    assert_eq!(said("valueBoolean", json!(true)), ["Observation.value.ofType(boolean)"]);
}

#[test]
fn a_profile_that_loosens_its_base_is_held_to_it_and_told() {
    let two = profile("two", "Patient", &json!([{"id": "Patient.name", "path": "Patient.name", "min": 1, "max": "2"}]));
    let loose = definition(
        "loose",
        "Patient",
        "http://t.example/two",
        &json!([{"id": "Patient.name", "path": "Patient.name", "min": 0, "max": "*"}]),
    );
    let validator = with([two, loose]);
    let named =
        |many: usize| claiming("loose", json!({"resourceType": "Patient", "name": vec![json!({"text": "x"}); many]}));
    assert_eq!(errors(&validator, &named(2)), NONE);
    assert_eq!(errors(&validator, &named(3)), ["Patient"]);
    let mut without = named(1);
    without.as_object_mut().unwrap().remove("name");
    assert_eq!(errors(&validator, &without), ["Patient"]);
    let told = warnings(&validator, &named(2)).join("\n");
    assert!(told.contains("at least 0 is less than the 1 of the base"), "{told}");
    assert!(told.contains("at most * is more than the 2 of the base"), "{told}");
}

#[test]
fn slices_that_cannot_be_told_apart_are_told_and_not_counted() {
    let by = |path: &str| {
        profile(
            "sliced",
            "Patient",
            &json!([
                {"id": "Patient.name", "path": "Patient.name",
                    "slicing": {"discriminator": [{"type": "value", "path": path}], "rules": "open"}},
                {"id": "Patient.name:m", "path": "Patient.name", "sliceName": "m", "min": 1}
            ]),
        )
    };
    let patient = claiming("sliced", json!({"resourceType": "Patient", "name": [{"use": "maiden", "family": "X"}]}));
    for (path, text) in [("foo.bar", "it has no foo.bar"), ("use", "cannot be told by use")] {
        let validator = with([by(path)]);
        assert_eq!(errors(&validator, &patient), NONE, "{path}");
        let told = warnings(&validator, &patient).join("\n");
        assert!(told.contains(text), "{path}: {told}");
    }
}

#[test]
fn the_definition_that_is_not_at_hand_is_named() {
    let orphan =
        definition("orphan", "Patient", "http://t.example/nowhere", &json!([{"id": "Patient", "path": "Patient"}]));
    let told = warnings(&with([orphan]), &claiming("orphan", json!({"resourceType": "Patient"}))).join("\n");
    assert!(told.contains("http://t.example/nowhere"), "{told}");
}

#[test]
fn quantities_whose_units_are_not_known_are_neither_equal_nor_other() {
    let document = read(&json!({"resourceType": "Patient"}));
    let says = |expression: &str| {
        let plan = Plan::compile(Model::r4(), expression, document.root().type_id()).unwrap();
        let found = plan.evaluate(&Context::of(document.root())).unwrap();
        found.iter().map(|value| value.to_text().unwrap().into_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(says("1 'Cel' = 274.15 'K'"), "");
    assert_eq!(says("1 'mmol/L' = 1 'mol/m3'"), "");
    assert_eq!(says("1 'mmol/L' = 1 'mmol/L'"), "true");
    assert_eq!(says("1 'g' = 1 'm'"), "false");
    assert_eq!(says("12 months = 1 year"), "true");
    assert_eq!(says("1 year > 11 months"), "true");
    assert_eq!(says("1 year = 365 days"), "");
    assert_eq!(says("'1e3'.convertsToDecimal()"), "false");
}

#[test]
fn a_slice_of_a_profile_on_a_type_is_known_where_a_resource_speaks_of_it() {
    let coded = profile(
        "concept",
        "CodeableConcept",
        &json!([
            {"id": "CodeableConcept.coding", "path": "CodeableConcept.coding",
                "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
            {"id": "CodeableConcept.coding:a", "path": "CodeableConcept.coding", "sliceName": "a"},
            {"id": "CodeableConcept.coding:a.system", "path": "CodeableConcept.coding.system", "fixedUri": "http://t.example/a"}
        ]),
    );
    let measured = profile(
        "measured",
        "Observation",
        &json!([
            {"id": "Observation.code", "path": "Observation.code",
                "type": [{"code": "CodeableConcept", "profile": ["http://t.example/concept"]}]},
            {"id": "Observation.code.coding:a", "path": "Observation.code.coding", "sliceName": "a", "min": 1},
            {"id": "Observation.code.coding:a.display", "path": "Observation.code.coding.display", "min": 1}
        ]),
    );
    let validator = with([coded, measured]);
    let said = |coding: Value| {
        let code = json!({"coding": [coding]});
        errors(
            &validator,
            &claiming("measured", json!({"resourceType": "Observation", "status": "final", "code": code})),
        )
    };
    assert_eq!(said(json!({"system": "http://t.example/a", "code": "x", "display": "X"})), NONE);
    assert_eq!(said(json!({"system": "http://t.example/a", "code": "x"})), ["Observation.code.coding[0]"]);
    assert_eq!(said(json!({"system": "http://t.example/b", "code": "x", "display": "X"})), ["Observation.code"]);
}

#[test]
fn an_extension_slice_is_known_by_its_url_where_its_definition_is_not_at_hand() {
    let person = |rules: &str| {
        profile(
            "person",
            "Patient",
            &json!([
                {"id": "Patient.extension", "path": "Patient.extension",
                    "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": rules}},
                {"id": "Patient.extension:q", "path": "Patient.extension", "sliceName": "q", "min": 1,
                    "type": [{"code": "Extension", "profile": ["http://nowhere.example/ext|1.0"]}]}
            ]),
        )
    };
    let said = |rules: &str, url: &str| {
        let extension = json!([{"url": url, "valueString": "x"}]);
        errors(&with([person(rules)]), &claiming("person", json!({"resourceType": "Patient", "extension": extension})))
    };
    assert_eq!(said("open", "http://nowhere.example/ext"), NONE);
    assert_eq!(said("closed", "http://nowhere.example/ext"), NONE);
    assert_eq!(said("open", "http://nowhere.example/other"), ["Patient"]);
}

#[test]
fn a_slice_by_a_value_set_that_is_not_at_hand_is_not_counted() {
    let measured = profile(
        "measured",
        "Observation",
        &json!([
            {"id": "Observation.category", "path": "Observation.category",
                "slicing": {"discriminator": [{"type": "value", "path": "$this"}], "rules": "closed"}},
            {"id": "Observation.category:a", "path": "Observation.category", "sliceName": "a", "min": 1,
                "binding": {"strength": "required", "valueSet": "http://nowhere.example/vs"}}
        ]),
    );
    let validator = with([measured]);
    let observation = claiming(
        "measured",
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "category": [{"text": "y"}]}),
    );
    assert_eq!(errors(&validator, &observation), NONE);
    assert!(warnings(&validator, &observation).iter().any(|text| text.contains("the slice a cannot be told")));
}

#[test]
fn errors_count_however_much_else_was_found_before() {
    let unknown: Vec<Value> =
        (0..20_000).map(|n| json!({"url": format!("http://t.example/{n}"), "valueString": "x"})).collect();
    let patient = json!({"resourceType": "Patient", "extension": unknown, "gender": "x"});
    let validator = with([]);
    assert!(errors(&validator, &patient).contains(&"Patient.gender".to_owned()));
    assert!(warnings(&validator, &patient).iter().any(|text| text.contains("more to tell")));
}

#[test]
fn a_long_way_of_references_is_judged_to_its_end() {
    let measured = profile(
        "measured",
        "Observation",
        &json!([
            {"id": "Observation.hasMember", "path": "Observation.hasMember",
                "type": [{"code": "Reference", "targetProfile": ["http://t.example/measured"]}]},
            {"id": "Observation.note", "path": "Observation.note", "max": "0"}
        ]),
    );
    let validator = with([measured]);
    let chain = |noted: usize| {
        let entries: Vec<Value> = (0..100)
            .map(|n| {
                let mut one = json!({"resourceType": "Observation", "id": format!("o{n}"), "status": "final", "code": {"text": "x"},
                    "hasMember": [{"reference": format!("Observation/o{}", (n + 1) % 100)}]});
                if n == 0 {
                    one = claiming("measured", one);
                }
                if n == noted {
                    one["note"] = json!([{"text": "x"}]);
                }
                json!({"fullUrl": format!("http://t.example/fhir/Observation/o{n}"), "resource": one})
            })
            .collect();
        errors(&validator, &json!({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    };
    assert_eq!(chain(usize::MAX), NONE);
    assert_ne!(chain(90), NONE);
}

#[test]
fn a_bound_is_of_the_type_that_it_names() {
    let bounded = profile(
        "bounded",
        "Observation",
        &json!([{"id": "Observation.value[x]", "path": "Observation.value[x]", "maxValueInteger": 10, "maxLength": 2}]),
    );
    let validator = with([bounded]);
    let said = |name: &str, value: Value| {
        let mut observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
        observation[name] = value;
        errors(&validator, &claiming("bounded", observation)).len()
    };
    assert_eq!(said("valueInteger", json!(11)), 1);
    assert_eq!(said("valueInteger", json!(-100)), 0);
    assert_eq!(said("valueQuantity", json!({"value": 99})), 0);
    assert_eq!(said("valueString", json!("abc")), 1);
}

#[test]
fn what_a_profile_imposes_holds_for_those_that_derive_from_it() {
    let named = profile("named", "Patient", &json!([{"id": "Patient.name", "path": "Patient.name", "min": 1}]));
    let mut imposing = profile("imposing", "Patient", &json!([{"id": "Patient", "path": "Patient"}]));
    imposing["extension"] =
        json!([{"url": format!("{SD}/structuredefinition-imposeProfile"), "valueCanonical": "http://t.example/named"}]);
    let derived =
        definition("derived", "Patient", "http://t.example/imposing", &json!([{"id": "Patient", "path": "Patient"}]));
    let validator = with([named, imposing, derived]);
    assert_eq!(errors(&validator, &claiming("derived", json!({"resourceType": "Patient"}))), ["Patient"]);
}

#[test]
fn a_code_that_its_value_set_has_by_an_older_version_is_known() {
    let system = |version: &str, code: &str| {
        json!({"resourceType": "CodeSystem", "url": "http://t.example/cs", "version": version, "status": "active",
            "content": "complete", "concept": [{"code": code}]})
    };
    let set = json!({"resourceType": "ValueSet", "url": "http://t.example/vs", "status": "active",
        "compose": {"include": [{"system": "http://t.example/cs", "version": "1"}]}});
    let bound = profile(
        "bound",
        "Basic",
        &json!([{"id": "Basic.code", "path": "Basic.code",
            "binding": {"strength": "required", "valueSet": "http://t.example/vs"}}]),
    );
    let validator = with([system("1", "a"), system("2", "b"), set, bound]);
    let said = |code: &str| {
        let coding = json!({"system": "http://t.example/cs", "code": code});
        errors(&validator, &claiming("bound", json!({"resourceType": "Basic", "code": {"coding": [coding]}})))
    };
    assert_eq!(said("a"), NONE);
    assert_eq!(said("b"), ["Basic.code"]);
}

#[test]
fn constraints_that_look_at_all_for_each_end_in_one_clear_error() {
    let unique = profile(
        "unique",
        "Patient",
        &json!([{"id": "Patient.identifier", "path": "Patient.identifier", "constraint": [{"key": "once", "severity": "error",
            "human": "once", "expression": "%resource.identifier.where(value = %context.value).count() = 1"}]}]),
    );
    let validator = with([unique]);
    let patient = |many: usize| {
        let identifiers: Vec<Value> = (0..many).map(|n| json!({"value": n.to_string()})).collect();
        claiming("unique", json!({"resourceType": "Patient", "identifier": identifiers}))
    };
    assert_eq!(errors(&validator, &patient(200)), NONE);
    let told = found(&validator, &patient(8_000), Severity::Error);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told.iter().all(|(_, text)| text.contains("more than is looked at")), "{told:?}");
}

#[test]
fn a_resource_of_no_type_is_told_where_it_stands() {
    let validator = with([]);
    let said = |resource: Value| {
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "resource": resource}]});
        found(&validator, &bundle, Severity::Error)
    };
    for resource in [json!({"resourceType": "Foo"}), json!({}), json!({"resourceType": 1}), json!({"id": "a"})] {
        let told = said(resource.clone());
        assert_eq!(
            told.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            ["Bundle.entry[0].resource"],
            "{resource}: {told:?}"
        );
    }
}
