//! What is made to be costly: cyclic and exploding definitions, patterns, texts. There is an end, soon, and it is said what is
//! wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use silta::clock::Clock;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator};

const CORE: &str = "http://hl7.org/fhir/StructureDefinition";

fn with(definitions: impl IntoIterator<Item = Value>) -> Validator {
    let mut library = Library::empty();
    definitions.into_iter().for_each(|definition| library.add(definition));
    Validator::new(library)
}

fn read(text: Vec<u8>) -> Result<Arc<Document>, String> {
    let is_xml = text.first() == Some(&b'<');
    let read = if is_xml { Document::from_xml } else { Document::from_json };
    read(Model::r4(), text, &Limits::default()).map_err(|error| error.to_string())
}

/// Severity, path and text of each finding; fails when it takes longer than any sound document would.
fn judged(validator: &Validator, content: &Value) -> Vec<String> {
    let document = read(content.to_string().into_bytes()).unwrap();
    let clock = Clock::system();
    let started = clock.instant();
    let findings = validator.validate(&document, &[]);
    let took = clock.instant().since(started);
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    findings
        .iter()
        .filter(|finding| finding.severity != Severity::Information)
        .map(|finding| format!("{} {}: {}", finding.severity.code(), finding.path(&document), finding.text(&document)))
        .collect()
}

fn profile(name: &str, of: &str, base: &str, elements: Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": format!("http://t.example/{name}"), "status": "active", "name": "T",
        "kind": "resource", "abstract": false, "type": of, "derivation": "constraint", "baseDefinition": base,
        "differential": {"element": elements}})
}

fn patient(claims: &str) -> Value {
    json!({"resourceType": "Patient", "id": "p", "meta": {"profile": [claims]}})
}

#[test]
fn profiles_that_derive_from_one_another_are_told_and_not_followed() {
    let root = || json!([{"id": "Patient", "path": "Patient"}]);
    let validator = with([
        profile("a", "Patient", "http://t.example/b", root()),
        profile("b", "Patient", "http://t.example/a", root()),
        profile("self", "Patient", "http://t.example/self", root()),
    ]);
    for name in ["a", "self"] {
        let url = format!("http://t.example/{name}");
        let says = format!("error Patient.meta.profile[0]: the profile {url} derives from itself");
        assert_eq!(judged(&validator, &patient(&url)), [says]);
    }
}

#[test]
fn an_extension_that_has_itself_as_a_part_ends_with_the_document() {
    let extension = profile(
        "x",
        "Extension",
        &format!("{CORE}/Extension"),
        json!([
            {"id": "Extension", "path": "Extension"},
            {"id": "Extension.extension", "path": "Extension.extension",
                "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}},
            {"id": "Extension.extension:x", "path": "Extension.extension", "sliceName": "x",
                "type": [{"code": "Extension", "profile": ["http://t.example/x"]}]},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": "http://t.example/x"}]),
    );
    let mut nested = json!({"url": "http://t.example/x", "valueString": "x"});
    for _ in 0..20 {
        nested = json!({"url": "http://t.example/x", "extension": [nested]});
    }
    let content = json!({"resourceType": "Patient", "extension": [nested]});
    assert_eq!(judged(&with([extension]), &content), Vec::<String>::new());
}

/// Patients that are all linked to one another, and must all conform to the profile that says so of their links.
fn linked(count: usize, wrong: Option<usize>) -> Value {
    let url = |number: usize| format!("http://h.example/fhir/Patient/p{number}");
    let entries: Vec<Value> = (0..count)
        .map(|number| {
            let links: Vec<Value> = (0..count)
                .filter(|other| *other != number)
                .map(|other| json!({"other": {"reference": url(other)}, "type": "seealso"}))
                .collect();
            let mut resource = json!({"resourceType": "Patient", "id": format!("p{number}"), "active": true,
                "meta": {"profile": ["http://t.example/linked"]}, "link": links});
            if wrong == Some(number) {
                resource.as_object_mut().unwrap().remove("active");
            }
            json!({"fullUrl": url(number), "resource": resource})
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "collection", "entry": entries})
}

#[test]
fn resources_that_all_refer_to_one_another_are_judged_once_each() {
    let validator = with([profile(
        "linked",
        "Patient",
        &format!("{CORE}/Patient"),
        json!([{"id": "Patient.active", "path": "Patient.active", "min": 1},
            {"id": "Patient.link.other", "path": "Patient.link.other",
                "type": [{"code": "Reference", "targetProfile": ["http://t.example/linked"]}]}]),
    )]);
    assert_eq!(judged(&validator, &linked(40, None)), Vec::<String>::new());
    let told = judged(&validator, &linked(12, Some(3)));
    // The one itself, and every reference: none leads to a patient all of whose links conform.
    assert!(told.contains(&"error Bundle.entry[3].resource: found 0 of active, expected at least 1".to_owned()));
    assert_eq!(told.len(), 1 + 12 * 11, "{told:#?}");
}

#[test]
fn profiles_that_impose_ever_more_profiles_end_in_one_error() {
    let impose = |level: usize, side: char| {
        let mut made = profile(
            &format!("{side}{level}"),
            "Patient",
            &format!("{CORE}/Patient"),
            json!([{"id": "Patient", "path": "Patient"}]),
        );
        let next = |side: char| {
            json!({"url": "http://hl7.org/fhir/StructureDefinition/structuredefinition-imposeProfile",
                "valueCanonical": format!("http://t.example/{side}{}", level + 1)})
        };
        made["extension"] = json!([next('l'), next('r')]);
        made
    };
    let validator = with((0..40).flat_map(|level| [impose(level, 'l'), impose(level, 'r')]));
    let told = judged(&validator, &patient("http://t.example/l0"));
    let says = "error Patient: the profiles and constraints ask for more than is looked at of one document";
    assert!(told.iter().any(|line| line == says), "{told:#?}");
}

fn set(name: &str, includes: &[String]) -> Value {
    let include: Vec<Value> = includes.iter().map(|url| json!({"valueSet": [url]})).collect();
    json!({"resourceType": "ValueSet", "url": format!("http://t.example/{name}"), "status": "active",
        "compose": {"include": include}})
}

fn bound_to(name: &str) -> Value {
    profile(
        "bound",
        "Patient",
        &format!("{CORE}/Patient"),
        json!([{"id": "Patient.meta.tag", "path": "Patient.meta.tag",
            "binding": {"strength": "required", "valueSet": format!("http://t.example/{name}")}}]),
    )
}

fn tagged() -> Value {
    let mut patient = patient("http://t.example/bound");
    patient["meta"]["tag"] = json!([{"system": "http://c.example/s", "code": "M"}]);
    patient
}

#[test]
fn value_sets_that_take_one_another_in_are_told() {
    let url = |name: &str| format!("http://t.example/{name}");
    let validator = with([set("a", &[url("b")]), set("b", &[url("c")]), set("c", &[url("a")]), bound_to("a")]);
    assert_eq!(
        judged(&validator, &tagged()),
        ["error Patient.meta.tag[0]: the value set http://t.example/a takes itself in"]
    );
}

#[test]
fn value_sets_that_share_their_parts_are_compiled_once() {
    let url = |level: usize, side: char| format!("http://t.example/{side}{level}");
    let mut sets: Vec<Value> = (0..40)
        .flat_map(|level| {
            ['l', 'r'].map(|side| set(&format!("{side}{level}"), &[url(level + 1, 'l'), url(level + 1, 'r')]))
        })
        .collect();
    for side in ['l', 'r'] {
        let mut last = set(&format!("{side}40"), &[]);
        last["compose"] = json!({"include": [{"system": "http://c.example/s", "concept": [{"code": "M"}]}]});
        sets.push(last);
    }
    sets.push(bound_to("l0"));
    assert_eq!(judged(&with(sets), &tagged()), Vec::<String>::new());
}

#[test]
fn patterns_that_explode_elsewhere_end_or_are_told() {
    let long = "a".repeat(200_000) + "!";
    let by = |elements: Value| with([profile("r", "Patient", &format!("{CORE}/Patient"), elements)]);
    let mut named = patient("http://t.example/r");
    named["name"] = json!([{"family": long}]);
    let constraint = |expression: &str| {
        by(json!([{"id": "Patient", "path": "Patient", "constraint": [{"key": "r-1", "severity": "error", "human": "r",
            "expression": expression}]}]))
    };
    for expression in ["name.family.matches('^(a+)+$')", "name.family.replaceMatches('(a|aa)+$', 'b') = 'b'"] {
        let told = judged(&constraint(expression), &named);
        assert_eq!(told, [format!("error Patient: r ({expression})")], "backtracking has no end");
    }
    let told = judged(&constraint("name.family.matches('((a{1,1000}){1,1000}){1,1000}')"), &named);
    assert!(told.len() == 1 && told[0].starts_with("warning Patient: the constraint could not be decided"), "{told:?}");
    let regex = |expression: &str| {
        by(json!([{"id": "Patient.name.family", "path": "Patient.name.family", "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/regex", "valueString": expression}]}]))
    };
    let path = "Patient.name[0].family";
    assert_eq!(
        judged(&regex("(a+)+"), &named),
        [format!("error {path}: the text does not match the pattern of the profile")]
    );
    for expression in ["((a{1,1000}){1,1000}){1,1000}", "(a"] {
        let says = "the pattern of the profile is no regular expression, or is too large to be used";
        assert_eq!(judged(&regex(expression), &named), [format!("warning {path}: {says}")]);
    }
}

#[test]
fn texts_without_measure_are_refused_with_their_reason() {
    let validator = with([]);
    let string =
        |length: usize| format!(r#"{{"resourceType":"Patient","name":[{{"family":"{}"}}]}}"#, "a".repeat(length));
    assert_eq!(
        read(string(50 << 20).into_bytes()).unwrap_err().split(": ").nth(1),
        Some("a string longer than 33554432 bytes")
    );
    let told = judged(&validator, &serde_json::from_str(&string(2 << 20)).unwrap());
    assert_eq!(told, ["error Patient.name[0].family: a string has at most 1,048,576 characters"]);

    let many = format!(r#"{{"resourceType":"Patient","name":[{{"given":[{}"a"]}}]}}"#, r#""a","#.repeat(1_000_000));
    assert_eq!(judged(&validator, &serde_json::from_str(&many).unwrap()), Vec::<String>::new());
    let objects = format!(r#"{{"resourceType":"Patient","name":[{}{{}}]}}"#, "{},".repeat(1_000_000));
    assert!(judged(&validator, &serde_json::from_str(&objects).unwrap()).len() <= 10_000);
    let more = format!(r#"{{"resourceType":"Patient","name":[{}{{}}]}}"#, "{},".repeat(3_000_000));
    assert_eq!(read(more.into_bytes()).unwrap_err().split(": ").nth(1), Some("more than 2000000 values"));

    for (open, close) in [(r#"{"extension":["#, "]}"), ("[", "]"), (r#"{"contained":["#, "]}")] {
        let deep =
            format!(r#"{{"resourceType":"Patient","extension":[{}{}]}}"#, open.repeat(100_000), close.repeat(100_000));
        assert_eq!(read(deep.into_bytes()).unwrap_err().split(": ").nth(1), Some("nested deeper than 64"));
    }
    let deep = format!("<Patient xmlns=\"http://hl7.org/fhir\">{}", "<extension>".repeat(100_000));
    assert_eq!(read(deep.into_bytes()).unwrap_err().split(": ").nth(1), Some("nested deeper than 64"));

    let latin = b"{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"M\xe4kinen\"}]}".to_vec();
    assert_eq!(read(latin).unwrap_err().split(": ").nth(1), Some("not UTF-8"));
    let laughs = "<!DOCTYPE p [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><Patient xmlns=\"http://hl7.org/fhir\"/>";
    assert_eq!(read(laughs.into()).unwrap_err().split(": ").nth(1), Some("a document type declaration is not allowed"));
    let entity = "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"&b;\"/></Patient>";
    assert_eq!(read(entity.into()).unwrap_err().split(": ").nth(1), Some("an entity that XML does not define"));
}
