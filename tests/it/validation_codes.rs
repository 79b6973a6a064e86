//! Validation of codes: units, versions of code systems, codes that are no longer in use.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator};

static CORE: LazyLock<Validator> = LazyLock::new(|| Validator::new(Library::empty()));

fn errors(validator: &Validator, content: &Value, profiles: &[&str]) -> Vec<String> {
    told(Severity::Error, validator, content, profiles)
}

fn told(severity: Severity, validator: &Validator, content: &Value, profiles: &[&str]) -> Vec<String> {
    let text = content.to_string().into_bytes();
    let document: Arc<Document> = Document::from_json(Model::r4(), text, &Limits::default()).unwrap();
    let findings = validator.validate(&document, profiles);
    let told = findings.iter().filter(|finding| finding.severity == severity);
    told.map(|finding| finding.path(&document)).collect()
}

fn observation(more: Value) -> Value {
    let mut base = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

fn measured(unit: &str) -> Value {
    observation(json!({"valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": unit}}))
}

#[test]
fn the_unit_of_a_quantity_is_one_by_the_grammar_and_the_atoms_of_ucum() {
    for unit in [
        "mg",
        "kg.m/s2",
        "mm[Hg]",
        "10*3/uL",
        "10^9/L",
        "/min",
        "mL/min/{1.73_m2}",
        "{tbl}",
        "m-3",
        "1",
        "%",
        "[iU]/mL",
        "[degF]",
        "Cel",
        "/[HPF]",
        "cm[H2O]",
        "mg/(kg.h)",
        "meq/L",
        "umol",
        "KiBy",
        "[den]",
        "100/L",
        "Torr",
        "{}",
    ] {
        assert_eq!(errors(&CORE, &measured(unit), &[]), [""; 0], "{unit}");
        let warned = told(Severity::Warning, &CORE, &measured(unit), &[]);
        assert!(!warned.iter().any(|path| path.ends_with("(Quantity).code")), "{unit}");
    }
    let wrong = "Observation.value.ofType(Quantity).code";
    for unit in [
        "foo",
        "mmHg",
        "mcg",
        "kmin",
        "kkg",
        "mg//L",
        "mg/",
        "mg/(kg.h",
        "100mg",
        "mg{a b}",
        "mg{a{b}}",
        "{a}mg",
        "degC",
        "\u{b5}g",
        "Mg.mm[foo]",
        "m^2",
        "mg+",
        "[foo]",
    ] {
        assert_eq!(errors(&CORE, &measured(unit), &[]), [""; 0], "{unit}");
        assert!(told(Severity::Warning, &CORE, &measured(unit), &[]).contains(&wrong.to_owned()), "{unit}");
    }
}

#[test]
fn the_unit_of_another_system_is_a_code_of_it_where_the_system_is_at_hand() {
    let of =
        |system: &str, code: &str| observation(json!({"valueQuantity": {"value": 1, "system": system, "code": code}}));
    let gender = "http://hl7.org/fhir/administrative-gender";
    assert_eq!(errors(&CORE, &of(gender, "foo"), &[]), ["Observation.value.ofType(Quantity).code"]);
    assert_eq!(errors(&CORE, &of("http://t.example/units", "foo"), &[]), [""; 0], "who knows");
}

const SYSTEM: &str = "http://t.example/cs";

fn system(version: &str, concepts: Value) -> Value {
    json!({"resourceType": "CodeSystem", "url": SYSTEM, "version": version, "name": "C", "status": "active",
        "content": "complete", "caseSensitive": true, "concept": concepts,
        "property": [{"code": "out", "uri": "http://hl7.org/fhir/concept-properties#inactive", "type": "boolean"}]})
}

/// A profile whose codes must be in a value set composed so.
fn bound(library: &mut Library, name: &str, compose: Value) -> String {
    let (set, profile) = (format!("http://t.example/vs/{name}"), format!("http://t.example/sd/{name}"));
    library.add(json!({"resourceType": "ValueSet", "url": set, "name": "V", "status": "active", "compose": compose}));
    library.add(json!({"resourceType": "StructureDefinition", "url": profile, "status": "active", "name": "T",
        "kind": "resource", "abstract": false, "type": "Observation", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation", "differential": {"element": [
            {"id": "Observation.code", "path": "Observation.code", "binding": {"strength": "required", "valueSet": set}}]}}));
    profile
}

fn coded(code: &str, version: Option<&str>) -> Value {
    let mut coding = json!({"system": SYSTEM, "code": code});
    if let Some(version) = version {
        coding["version"] = version.into();
    }
    observation(json!({"code": {"coding": [coding]}}))
}

#[test]
fn a_code_is_judged_by_the_version_of_its_system_that_it_names() {
    let mut library = Library::empty();
    library.add(system("1.0", json!([{"code": "a", "display": "Old"}, {"code": "gone"}])));
    library.add(system("2.0", json!([{"code": "a", "display": "New"}, {"code": "come"}])));
    let any = bound(&mut library, "any", json!({"include": [{"system": SYSTEM}]}));
    let pinned = bound(&mut library, "pinned", json!({"include": [{"system": SYSTEM, "version": "1.0"}]}));
    let absent = bound(&mut library, "absent", json!({"include": [{"system": SYSTEM, "version": "3.0"}]}));
    let validator = Validator::new(library);
    let told =
        |code: &str, version: Option<&str>, profile: &str| errors(&validator, &coded(code, version), &[profile]).len();
    assert_eq!(told("come", None, &any), 0, "without a version the newest is meant");
    assert_eq!(told("gone", None, &any), 2, "unknown to the system and to the value set");
    assert_eq!(told("gone", Some("1.0"), &any), 0);
    assert_eq!(told("come", Some("1.0"), &any), 2);
    assert_eq!(told("gone", Some("7.0"), &any), 0, "nobody knows what that version has");
    assert_eq!(told("gone", Some("1.0"), &pinned), 0);
    assert_eq!(told("come", Some("2.0"), &pinned), 1, "a code of its version, but not one of the value set");
    assert_eq!(told("a", None, &absent) + told("gone", Some("1.0"), &absent), 0, "what the set has is not known");
    let mut named = coded("a", Some("1.0"));
    named["code"]["coding"][0]["display"] = "Old".into();
    assert_eq!(errors(&validator, &named, &[]), [""; 0]);
    named["code"]["coding"][0]["version"] = "2.0".into();
    assert_eq!(errors(&validator, &named, &[]), ["Observation.code.coding[0].display"]);
}

#[test]
fn a_value_set_without_inactive_codes_has_none_of_those_that_its_system_has_retired() {
    let mut library = Library::empty();
    let retired = json!([{"code": "out", "valueBoolean": true}]);
    library.add(system("1", json!([{"code": "a"}, {"code": "old", "property": retired}])));
    let active = bound(&mut library, "active", json!({"inactive": false, "include": [{"system": SYSTEM}]}));
    let listed =
        json!({"inactive": false, "include": [{"system": SYSTEM, "concept": [{"code": "a"}, {"code": "old"}]}]});
    let listed = bound(&mut library, "listed", listed);
    let all = bound(&mut library, "all", json!({"inactive": true, "include": [{"system": SYSTEM}]}));
    let open = bound(&mut library, "open", json!({"include": [{"system": SYSTEM}]}));
    let validator = Validator::new(library);
    let told = |code: &str, profile: &str| errors(&validator, &coded(code, None), &[profile]);
    for profile in [&active, &listed] {
        assert_eq!(told("a", profile), [""; 0]);
        assert_eq!(told("old", profile), ["Observation.code"]);
    }
    assert_eq!(told("old", &all), [""; 0]);
    assert_eq!(told("old", &open), [""; 0]);
}

#[test]
fn a_code_has_no_white_space_but_single_spaces_within() {
    let of = |code: &str| {
        let any = json!([{"url": "http://t.example/any", "valueCode": code}]);
        errors(&CORE, &json!({"resourceType": "Basic", "code": {"text": "x"}, "extension": any}), &[])
    };
    for good in ["a", "a b", "a-b c"] {
        assert_eq!(of(good), [""; 0], "{good:?}");
    }
    for wrong in [" a", "a ", "a  b", "a\tb", "a\nb"] {
        assert_eq!(of(wrong), ["Basic.extension[0].value.ofType(code)"], "{wrong:?}");
    }
}

#[test]
fn the_system_of_a_coding_is_the_absolute_address_of_a_code_system() {
    let of = |system: &str| {
        let coding = json!({"system": system, "code": "male"});
        errors(&CORE, &observation(json!({"valueCodeableConcept": {"coding": [coding]}})), &[])
    };
    let at = ["Observation.value.ofType(CodeableConcept).coding[0]"];
    assert_eq!(of("http://hl7.org/fhir/administrative-gender"), [""; 0]);
    assert_eq!(of("urn:oid:1.2.3"), [""; 0]);
    assert_eq!(of("gender"), at);
    assert_eq!(of("http://hl7.org/fhir/ValueSet/administrative-gender"), at, "a value set is none");
}

#[test]
fn a_quantity_is_held_to_a_bound_in_other_units_of_the_same_measure() {
    let mut library = Library::empty();
    let grams = |value: u8| json!({"value": value, "system": "http://unitsofmeasure.org", "code": "g"});
    library.add(
        json!({"resourceType": "StructureDefinition", "url": "http://t.example/bounds", "status": "active", "name": "T",
        "kind": "resource", "abstract": false, "type": "Observation", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation", "differential": {"element": [
            {"id": "Observation.value[x]", "path": "Observation.value[x]", "type": [{"code": "Quantity"}],
             "minValueQuantity": grams(1), "maxValueQuantity": grams(2)}]}}),
    );
    let validator = Validator::new(library);
    let of = |value: f64, unit: &str| {
        let quantity = json!({"value": value, "system": "http://unitsofmeasure.org", "code": unit});
        errors(&validator, &observation(json!({"valueQuantity": quantity})), &["http://t.example/bounds"])
    };
    let at = ["Observation.value.ofType(Quantity)"];
    assert_eq!(of(1.5, "g"), [""; 0]);
    assert_eq!(of(1500.0, "mg"), [""; 0]);
    assert_eq!(of(500.0, "mg"), at);
    assert_eq!(of(2.5, "g"), at);
    assert_eq!(of(1.0, "m"), at, "a length is no mass");
}
