//! Validation of definitions that say what is to be done: maps.

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator};

fn errors(content: &Value) -> Vec<String> {
    let text = content.to_string().into_bytes();
    let document = Document::from_json(Model::r4(), text, &Limits::default()).unwrap();
    let findings = Validator::new(Library::empty()).validate(&document, &[]);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.path(&document)).collect()
}

/// A map of a Patient to a Basic with these rules.
fn map(rules: Value) -> Value {
    json!({"resourceType": "StructureMap", "url": "http://t.example/map", "name": "M", "status": "active", "structure": [
            {"url": "http://hl7.org/fhir/StructureDefinition/Patient", "mode": "source", "alias": "P"},
            {"url": "http://hl7.org/fhir/StructureDefinition/Basic", "mode": "target", "alias": "B"}],
        "group": [{"name": "main", "typeMode": "none", "rule": rules, "input": [
            {"name": "src", "type": "P", "mode": "source"}, {"name": "tgt", "type": "B", "mode": "target"}]}]})
}

fn source(context: &str, element: &str) -> Value {
    json!([{"context": context, "element": element, "variable": "v"}])
}

fn target(context: &str, element: &str) -> Value {
    json!([{"context": context, "contextType": "variable", "element": element, "variable": "w"}])
}

const NONE: [&str; 0] = [];
const RULE: &str = "StructureMap.group[0].rule[0]";

#[test]
fn the_rules_of_a_map_name_what_is_known_where_they_stand() {
    let inner = json!([{"name": "b", "source": source("v", "family"), "target": target("w", "text")}]);
    let good = json!([{"name": "a", "source": source("src", "name"), "target": target("tgt", "code"), "rule": inner,
        "dependent": [{"name": "main", "variable": ["v", "tgt"]}]}]);
    assert_eq!(errors(&map(good)), NONE);
    let one = |rule: Value| errors(&map(json!([rule])));
    assert_eq!(one(json!({"name": "a", "source": source("other", "name")})), [format!("{RULE}.source[0]")]);
    assert_eq!(
        one(json!({"name": "a", "source": source("tgt", "code")})),
        [format!("{RULE}.source[0]")],
        "it is a target"
    );
    assert_eq!(one(json!({"name": "a", "source": source("src", "colour")})), [format!("{RULE}.source[0]")]);
    let to = |target: Value| one(json!({"name": "a", "source": source("src", "name"), "target": target}));
    assert_eq!(to(target("other", "code")), [format!("{RULE}.target[0]")]);
    assert_eq!(to(target("tgt", "colour")), [format!("{RULE}.target[0]")]);
    let beside =
        json!([{"name": "a", "source": source("src", "name")}, {"name": "b", "source": source("v", "family")}]);
    assert_eq!(
        errors(&map(beside)),
        ["StructureMap.group[0].rule[1].source[0]"],
        "what a rule names, its neighbour does not know"
    );
}

#[test]
fn the_groups_that_a_map_calls_are_there_and_take_what_they_are_given() {
    let calls = |name: &str, variables: &[&str]| {
        errors(&map(json!([{"name": "a", "source": source("src", "name"),
            "dependent": [{"name": name, "variable": variables}]}])))
    };
    assert_eq!(calls("main", &["v", "tgt"]), NONE);
    assert_eq!(calls("other", &["v", "tgt"]), [format!("{RULE}.dependent[0]")]);
    assert_eq!(calls("main", &["v"]), [format!("{RULE}.dependent[0]")]);
    assert_eq!(calls("main", &["x", "tgt"]), [format!("{RULE}.dependent[0].variable[0]")]);
    let mut importing = map(json!([{"name": "a", "source": source("src", "name"),
        "dependent": [{"name": "other", "variable": ["v"]}]}]));
    importing["import"] = json!(["http://t.example/other"]);
    assert_eq!(errors(&importing), NONE, "another map may have it");
}
