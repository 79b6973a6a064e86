//! Validation by slices: what belongs to no other, what belongs to several, and very many of them.

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::package::library::Library;
use silta_engine::package::snapshot::Generator;
use silta_engine::validation::{Severity, Validator};

const PROFILE: &str = "http://t.example/sd/sliced";

fn profile(of: &str, elements: Vec<Value>) -> Library {
    let mut library = Library::empty();
    library.add(json!({"resourceType": "StructureDefinition", "url": PROFILE, "status": "active", "name": "T",
        "kind": "resource", "abstract": false, "type": of, "derivation": "constraint",
        "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{of}"), "differential": {"element": elements}}));
    library
}

fn errors(validator: &Validator, content: &Value) -> Vec<String> {
    let text = content.to_string().into_bytes();
    let document = Document::from_json(Model::r4(), text, &Limits::default()).unwrap();
    let findings = validator.validate(&document, &[PROFILE]);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.path(&document)).collect()
}

const NONE: [&str; 0] = [];

fn sliced(discriminator: Value, rules: &str) -> Value {
    json!({"id": "Patient.identifier", "path": "Patient.identifier",
        "slicing": {"discriminator": [discriminator], "rules": rules}})
}

fn slice(name: &str, more: Value) -> Value {
    let mut slice =
        json!({"id": format!("Patient.identifier:{name}"), "path": "Patient.identifier", "sliceName": name});
    slice.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    slice
}

fn within(slice: &str, child: &str, more: Value) -> Value {
    let mut element =
        json!({"id": format!("Patient.identifier:{slice}.{child}"), "path": format!("Patient.identifier.{child}")});
    element.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    element
}

fn patient(identifiers: &[Value]) -> Value {
    json!({"resourceType": "Patient", "identifier": identifiers})
}

#[test]
fn what_belongs_to_no_other_slice_belongs_to_the_default_one() {
    let validator = Validator::new(profile(
        "Patient",
        vec![
            sliced(json!({"type": "value", "path": "system"}), "closed"),
            slice("own", json!({"max": "1"})),
            within("own", "system", json!({"min": 1, "fixedUri": "http://own.example"})),
            slice("@default", json!({"max": "1"})),
            within("@default", "assigner", json!({"min": 1})),
        ],
    ));
    let own = json!({"system": "http://own.example", "value": "1"});
    let other = json!({"system": "http://other.example", "value": "1"});
    let assigned = json!({"system": "http://other.example", "value": "1", "assigner": {"display": "x"}});
    assert_eq!(errors(&validator, &patient(&[own.clone(), assigned.clone()])), NONE);
    assert_eq!(errors(&validator, &patient(&[own, other])), ["Patient.identifier[1]"]);
    assert_eq!(errors(&validator, &patient(&[assigned.clone(), assigned])), ["Patient"], "one of them at most");
}

#[test]
fn what_belongs_to_two_slices_is_told() {
    let kind = |code: &str| json!({"min": 1, "patternCodeableConcept": {"coding": [{"system": "http://k.example", "code": code}]}});
    let validator = Validator::new(profile(
        "Patient",
        vec![
            sliced(json!({"type": "pattern", "path": "type"}), "open"),
            slice("a", json!({})),
            within("a", "type", kind("a")),
            slice("b", json!({})),
            within("b", "type", kind("b")),
        ],
    ));
    let of = |codes: &[&str]| {
        let codings: Vec<Value> =
            codes.iter().map(|code| json!({"system": "http://k.example", "code": code})).collect();
        json!({"type": {"coding": codings}, "system": "http://x.example", "value": "1"})
    };
    assert_eq!(errors(&validator, &patient(&[of(&["a"]), of(&["b"]), of(&["c"])])), NONE);
    assert_eq!(errors(&validator, &patient(&[of(&["a"]), of(&["b", "a"])])), ["Patient.identifier[1]"]);
}

/// A profile of so many slices by a discriminator, and an element of each slice.
fn many(count: usize, by: fn(usize) -> (&'static str, Value, Value)) -> (Library, Vec<Value>) {
    let kind = if by(0).0 == "type" { "pattern" } else { "value" };
    let mut elements = vec![sliced(json!({"type": kind, "path": by(0).0}), "closed")];
    let mut values = Vec::new();
    for number in 0..count {
        let (child, rule, value) = by(number);
        let name = format!("s{number}");
        elements.push(slice(&name, json!({"max": "1"})));
        elements.push(within(&name, child, rule));
        let mut identifier = json!({"value": "1"});
        identifier[child] = value;
        values.push(identifier);
    }
    (profile("Patient", elements), values)
}

#[test]
fn thousands_of_slices_are_told_apart_by_their_values() {
    let by_system: fn(usize) -> (&'static str, Value, Value) = |number| {
        let system = format!("http://s{number}.example");
        ("system", json!({"min": 1, "fixedUri": system}), json!(system))
    };
    let by_type: fn(usize) -> (&'static str, Value, Value) = |number| {
        let concept = json!({"coding": [{"system": "http://k.example", "code": format!("c{number}")}]});
        ("type", json!({"min": 1, "patternCodeableConcept": concept}), concept)
    };
    for by in [by_system, by_type] {
        let (library, mut values) = many(3_000, by);
        let validator = Validator::new(library);
        assert_eq!(errors(&validator, &patient(&values)), NONE);
        values.push(values[2_999].clone());
        values.push(json!({"system": "http://other.example", "value": "1"}));
        assert_eq!(errors(&validator, &patient(&values)), ["Patient", "Patient.identifier[3001]"]);
    }
}

#[test]
fn a_snapshot_has_thousands_of_slices_in_their_order() {
    let (library, _) = many(1_000, |number| {
        let system = format!("http://s{number}.example");
        ("system", json!({"min": 1, "fixedUri": system}), json!(system))
    });
    let snapshot = Generator::new(Model::r4(), &library).snapshot(PROFILE).unwrap();
    let slices = snapshot.elements.iter().filter_map(|element| {
        element["sliceName"].as_str().filter(|_| element["path"] == "Patient.identifier").map(str::to_owned)
    });
    let wanted: Vec<String> = (0..1_000).map(|number| format!("s{number}")).collect();
    assert_eq!(slices.collect::<Vec<String>>(), wanted);
    assert!(snapshot.notes.is_empty(), "{:?}", snapshot.notes);
}

#[test]
fn a_reference_names_the_version_of_its_target_where_the_profile_wants_it() {
    let of = |versioning: &str| {
        let types = json!([{"code": "Reference", "versioning": versioning,
            "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Organization"]}]);
        Validator::new(profile(
            "Patient",
            vec![json!({"id": "Patient.managingOrganization", "path": "Patient.managingOrganization", "type": types})],
        ))
    };
    let to = |reference: &str| json!({"resourceType": "Patient", "managingOrganization": {"reference": reference}});
    let (plain, versioned) = (to("Organization/1"), to("Organization/1/_history/2"));
    let at = ["Patient.managingOrganization"];
    assert_eq!(errors(&of("specific"), &plain), at);
    assert_eq!(errors(&of("specific"), &versioned), NONE);
    assert_eq!(errors(&of("independent"), &versioned), at);
    assert_eq!(errors(&of("independent"), &plain), NONE);
    assert_eq!(errors(&of("either"), &plain).len() + errors(&of("either"), &versioned).len(), 0);
}

fn extension(name: &str, elements: Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": format!("http://t.example/{name}"), "status": "active", "name": "E",
        "kind": "complex-type", "abstract": false, "type": "Extension", "derivation": "constraint",
        "context": [{"type": "element", "expression": "Element"}],
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension", "differential": {"element": elements}})
}

#[test]
fn an_extension_that_has_a_value_has_no_parts() {
    let mut library = profile("Patient", vec![json!({"id": "Patient", "path": "Patient"})]);
    let value = json!({"id": "Extension.value[x]", "path": "Extension.value[x]", "type": [{"code": "string"}]});
    library.add(extension("simple", json!([value])));
    library.add(extension("open", json!([{"id": "Extension", "path": "Extension"}])));
    let validator = Validator::new(library);
    let on = |extension: Value| errors(&validator, &json!({"resourceType": "Patient", "extension": [extension]}));
    let part = json!([{"url": "part", "valueString": "x"}]);
    assert_eq!(on(json!({"url": "http://t.example/simple", "valueString": "x"})), NONE);
    assert_eq!(on(json!({"url": "http://t.example/simple", "extension": part})), ["Patient.extension[0].extension[0]"]);
    assert_eq!(on(json!({"url": "http://t.example/open", "extension": part})), NONE, "nothing is said of its parts");
}

#[test]
fn a_primitive_without_a_value_has_no_other_than_the_one_fixed() {
    let validator = Validator::new(profile(
        "Patient",
        vec![json!({"id": "Patient.active", "path": "Patient.active", "min": 1, "fixedBoolean": true})],
    ));
    let absent = json!({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]});
    assert_eq!(errors(&validator, &json!({"resourceType": "Patient", "_active": absent})), NONE);
    assert_eq!(errors(&validator, &json!({"resourceType": "Patient", "active": false})), ["Patient.active"]);
}

/// So many practitioners that are contained, each referred to.
fn containing(count: usize) -> Value {
    let contained = (0..count).map(|number| json!({"resourceType": "Practitioner", "id": format!("p{number}")}));
    let references = (0..count).map(|number| json!({"reference": format!("#p{number}")}));
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "contained": contained.collect::<Vec<Value>>(), "performer": references.collect::<Vec<Value>>()})
}

#[test]
fn each_of_thousands_of_contained_resources_is_found() {
    let targets =
        json!([{"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Practitioner"]}]);
    let resolves = json!([{"key": "r", "severity": "error", "human": "h", "expression": "resolve() is Practitioner"}]);
    let performer = json!({"id": "Observation.performer", "path": "Observation.performer", "type": targets, "constraint": resolves});
    let validator = Validator::new(profile("Observation", vec![performer]));
    let mut many = containing(5_000);
    assert_eq!(errors(&validator, &many), NONE);
    many["performer"][4_999]["reference"] = "#p".into();
    many["contained"][4_998]["resourceType"] = "Organization".into();
    let found = errors(&validator, &many);
    assert!(found.contains(&"Observation.performer[4999]".to_owned()), "leads nowhere: {found:?}");
    assert!(found.contains(&"Observation.performer[4998]".to_owned()), "is another: {found:?}");
    assert!(!found.iter().any(|path| path.contains("[17]")), "{found:?}");
}
