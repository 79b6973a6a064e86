//! Validation of what documents are made of: the marks of XML and JSON, what stands in what in a narrative, canonicals,
//! references in Bundles, and definitions that contradict what they build on.

use std::sync::Arc;

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::fhir::slips::without_slips;
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator, slip_issues};

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

/// The places of the errors.
fn places(text: &str) -> Vec<String> {
    errors(&with([]), text)
}

fn errors(validator: &Validator, text: &str) -> Vec<String> {
    let document = read(text.as_bytes());
    let findings = validator.validate(&document, &[]);
    findings.iter().filter(|one| one.severity == Severity::Error).map(|one| one.path(&document)).collect()
}

fn xml(inner: &str) -> String {
    format!(r#"<Patient xmlns="http://hl7.org/fhir">{inner}</Patient>"#)
}

fn narrative(inner: &str) -> Vec<String> {
    let div = format!(r#"<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>"#);
    places(&json!({"resourceType": "Patient", "text": {"status": "generated", "div": div}}).to_string())
}

#[test]
fn what_is_no_content_of_fhir_in_xml_is_told_at_the_element_that_has_it() {
    assert_eq!(places(&xml("<!-- x --><active value=\"true\"/>")), NONE);
    assert_eq!(places(&xml("x<active value=\"true\"/>")), ["/f:Patient"]);
    assert_eq!(places(&xml("<active value=\"true\">x</active>")), ["/f:Patient/f:active"]);
    assert_eq!(places(&xml("<active value=\"true\"><![CDATA[x]]></active>")), ["/f:Patient/f:active"]);
    assert_eq!(places(&xml("<?x y?><active value=\"true\"/>")), ["/f:Patient"]);
    assert_eq!(places(&xml("<name/>")), ["/f:Patient/f:name"]);
    assert_eq!(places(&xml("")), ["/f:Patient"]);
    assert_eq!(places(&xml("<active value=\"true\"><id value=\"x\"/></active>")), ["/f:Patient/f:active"]);
    assert_eq!(places(&xml("<active xmlns=\"http://t.example\" value=\"true\"/>")), ["/f:Patient/?:active"]);
    let typed = r#"<active xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="boolean" value="true"/>"#;
    assert_eq!(places(&xml(typed)), ["/f:Patient/f:active"]);
}

#[test]
fn a_text_that_is_no_xml_is_refused() {
    for broken in [
        xml("<name><family value=\"a<b\"/></name>"),
        xml("<name><family value=\"a&#1;b\"/></name>"),
        format!("\n<?xml version=\"1.0\"?>{}", xml("<active value=\"true\"/>")),
    ] {
        let read = Document::from_xml(Model::r4(), broken.clone().into_bytes(), &Limits::default());
        assert!(read.is_err(), "{broken}");
    }
    let declared = format!("<?xml version=\"1.0\"?><?style x?>{}", xml("<active value=\"true\"/>"));
    assert_eq!(places(&declared), NONE, "what stands before the resource is for others");
}

#[test]
fn a_document_that_is_no_resource_is_told_by_the_name_it_gives_itself() {
    assert_eq!(places(r#"{"resourceType":"ClinicalDocument"}"#), ["ClinicalDocument"]);
    assert_eq!(places(r#"<ClinicalDocument xmlns="http://hl7.org/fhir"/>"#), ["ClinicalDocument"]);
}

/// Place and position of the slips.
fn slips(text: &str) -> Vec<String> {
    let (mended, slips) = without_slips(text.as_bytes()).unwrap();
    assert_eq!(mended.len(), text.len());
    let document = read(&mended);
    let issues = slip_issues(&document, &slips);
    issues.iter().map(|issue| format!("{} {}", issue["expression"][0], issue["diagnostics"])).collect()
}

#[test]
fn slips_in_json_are_told_at_the_object_that_has_them_and_hide_nothing_else() {
    assert_eq!(slips("{\"resourceType\":\"Patient\",\n\"active\":true,}"), [r#""Patient" "2:14""#]);
    assert_eq!(slips("{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"x\"},]}"), [r#""Patient.name" "1:47""#]);
    assert_eq!(slips("{\"resourceType\":\"Patient\" \"active\":true}"), [r#""Patient" "1:27""#]);
    assert_eq!(slips("{\"resourceType\":\"Patient\",\"active\":true, \"active\":false}").len(), 1);
    assert_eq!(slips("{\"resourceType\":\"Patient\", // x\n\"active\":true}"), [r#""Patient" "1:28""#]);
    assert_eq!(slips("{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"x\",}]}"), [r#""Patient.name[0]" "1:46""#]);
    for other in [
        "{\"resourceType\":\"Patient\"",
        "{,}",
        "[",
        "{\"a\" 1}",
        "{\"a\":1}}",
        "{\"a\":1/*",
        "{\"resourceType\":\"Patient\"}",
    ] {
        assert!(without_slips(other.as_bytes()).is_none(), "{other}");
    }
    let many = format!("[{}]", "1,,".repeat(1000));
    assert!(without_slips(many.as_bytes()).is_none());
}

#[test]
fn a_narrative_has_in_each_element_only_what_can_stand_there() {
    for good in [
        "<ul><li>x <b>y</b></li></ul>",
        "<dl><dt>x</dt><dd><p>y</p></dd></dl>",
        "<table border=\"1\"><caption>c</caption><tbody><tr><td colspan=\"2\" nowrap=\"nowrap\">x</td></tr></tbody></table>",
        "<p>x <span>y <a href=\"http://t.example\" rel=\"x\">z</a></span><br/></p>",
    ] {
        assert_eq!(narrative(good), NONE, "{good}");
    }
    for bad in [
        "<ul>x<li>y</li></ul>",
        "<ul><p>x</p></ul>",
        "<dl><li>x</li></dl>",
        "<dt>x</dt>",
        "<table>x<tr><td>y</td></tr></table>",
        "<table><tbody><td>x</td></tbody></table>",
        "<span><div>x</div></span>",
        "<h1><table><tr><td>x</td></tr></table></h1>",
        "<a href=\"#\">x <a href=\"http://t.example\">y</a></a>",
        "<br>x</br>",
        "<?x y?>x",
        "<a href=\"http://t.example\" target=\"_blank\">x</a>",
        "<p name=\"x\">y</p>",
        "<ol start=\"2\"><li>x</li></ol>",
    ] {
        assert!(!narrative(bad).is_empty(), "{bad}");
    }
}

#[test]
fn a_narrative_may_name_xhtml_by_a_prefix() {
    let judged = |div: &str| {
        places(&json!({"resourceType": "Patient", "text": {"status": "generated", "div": div}}).to_string())
    };
    assert_eq!(judged(r#"<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>"#), NONE);
    assert!(!judged(r#"<h:div xmlns:h="http://www.w3.org/1999/xhtml"><p>x</p></h:div>"#).is_empty());
    assert!(!judged(r#"<h:div xmlns:h="http://t.example"><h:p>x</h:p></h:div>"#).is_empty());
    assert!(!judged("<h:div><h:p>x</h:p></h:div>").is_empty());
}

#[test]
fn a_canonical_is_absolute_or_contained_and_of_the_kind_that_is_asked_for() {
    let bound = |value_set: &str| {
        places(
            &json!({"resourceType": "Questionnaire", "status": "active", "item": [
                {"linkId": "a", "type": "choice", "text": "x", "answerValueSet": value_set}],
                "contained": [{"resourceType": "ValueSet", "id": "v", "status": "active"}],
                "extension": [{"url": "http://t.example/e", "valueReference": {"reference": "#v"}}]})
            .to_string(),
        )
    };
    assert_eq!(bound("#v"), NONE);
    assert_eq!(bound("http://hl7.org/fhir/ValueSet/administrative-gender"), NONE);
    assert_eq!(bound("http://t.example/ValueSet/not-at-hand|1"), NONE);
    for wrong in [
        "#w",
        "ValueSet/x",
        "http://hl7.org/fhir/administrative-gender",
        "http://hl7.org/fhir/StructureDefinition/Patient",
    ] {
        assert_eq!(bound(wrong), ["Questionnaire.item[0].answerValueSet"], "{wrong}");
    }
}

#[test]
fn a_relative_reference_in_a_bundle_has_a_type_and_an_id() {
    let bundle = |kind: &str, reference: &str| {
        let mut entry = json!({"fullUrl": "http://t.example/Observation/1", "resource": {"resourceType": "Observation",
            "id": "1", "status": "final", "code": {"text": "x"}, "subject": {"reference": reference}}});
        if kind == "transaction" {
            entry["request"] = json!({"method": "PUT", "url": "Observation/1"});
        }
        places(&json!({"resourceType": "Bundle", "type": kind, "entry": [entry]}).to_string())
    };
    assert_eq!(bundle("transaction", "Patient?identifier=a|b"), NONE);
    assert_eq!(bundle("transaction", "Patient/2"), NONE);
    assert_eq!(bundle("collection", "Patient?identifier=a|b"), ["Bundle.entry[0].resource.subject"]);
    assert_eq!(bundle("transaction", "Patient"), ["Bundle.entry[0].resource.subject"]);
    assert_eq!(bundle("transaction", "Patient/a b"), ["Bundle.entry[0].resource.subject"]);
}

#[test]
fn concepts_say_of_themselves_what_their_code_system_defines() {
    let judged = |properties: Value, property: Value| {
        places(
            &json!({"resourceType": "CodeSystem", "status": "active", "content": "complete", "property": properties,
                "url": "http://t.example/cs", "concept": [{"code": "a", "property": [property]}, {"code": "b"}]})
            .to_string(),
        )
    };
    let parent = json!({"code": "parent", "type": "code", "uri": "http://hl7.org/fhir/concept-properties#parent"});
    assert_eq!(judged(json!([parent]), json!({"code": "parent", "valueCode": "b"})), NONE);
    let concept = ["CodeSystem.concept[0].property[0]"];
    assert_eq!(judged(json!([parent]), json!({"code": "parent", "valueCode": "c"})), concept);
    assert_eq!(judged(json!([parent]), json!({"code": "other", "valueCode": "b"})), concept);
    assert_eq!(judged(json!([parent]), json!({"code": "parent", "valueString": "b"})), concept);
    let said = json!({"code": "parent", "valueCode": "b"});
    assert_eq!(judged(json!([parent, parent]), said.clone()), ["CodeSystem.property[1]"]);
    let unknown = json!({"code": "x", "type": "code", "uri": "http://hl7.org/fhir/concept-properties#x"});
    assert_eq!(judged(json!([parent, unknown]), said.clone()), ["CodeSystem.property[1]"]);
    let wrong = json!({"code": "x", "type": "code", "uri": "http://hl7.org/fhir/concept-properties#inactive"});
    assert_eq!(judged(json!([parent, wrong]), said), ["CodeSystem.property[1]"]);
}

#[test]
fn a_supplement_and_a_concept_map_name_codes_that_are_there() {
    let gender = "http://hl7.org/fhir/administrative-gender";
    let supplement = |code: &str| {
        places(
            &json!({"resourceType": "CodeSystem", "status": "active", "content": "supplement", "supplements": gender,
                "concept": [{"code": code}]})
            .to_string(),
        )
    };
    assert_eq!(supplement("male"), NONE);
    assert_eq!(supplement("man"), ["CodeSystem.concept[0]"]);
    let map = |source: &str, target: &str| {
        places(
            &json!({"resourceType": "ConceptMap", "status": "active",
                "sourceCanonical": "http://hl7.org/fhir/ValueSet/administrative-gender", "group": [{
                "source": gender, "target": "http://hl7.org/fhir/observation-status", "element": [
                {"code": source, "target": [{"code": target, "equivalence": "equal"}]}]}]})
            .to_string(),
        )
    };
    assert_eq!(map("male", "final"), NONE);
    assert_eq!(map("man", "final"), ["ConceptMap.group[0].element[0].code"]);
    assert_eq!(map("male", "finished"), ["ConceptMap.group[0].element[0].target[0].code"]);
}

#[test]
fn a_value_set_names_its_code_systems_and_the_codes_of_its_filters() {
    let judged = |include: Value| {
        places(&json!({"resourceType": "ValueSet", "status": "active", "compose": {"include": [include]}}).to_string())
    };
    let gender = "http://hl7.org/fhir/administrative-gender";
    let below =
        |code: &str| json!({"system": gender, "filter": [{"property": "concept", "op": "is-a", "value": code}]});
    assert_eq!(judged(below("male")), NONE);
    assert_eq!(judged(below("man")), ["ValueSet.compose.include[0].filter[0]"]);
    assert_eq!(judged(json!({"system": format!("{gender}|4.0.1")})), ["ValueSet.compose.include[0]"]);
    assert_eq!(judged(json!({"system": "#contained"})), ["ValueSet.compose.include[0]"]);
}

#[test]
fn extensions_of_fhir_stand_where_their_definitions_let_them() {
    let option = |kind: &str| {
        places(
            &json!({"resourceType": "Questionnaire", "status": "active", "item": [{"linkId": "a", "type": kind, "text": "x",
                "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption",
                    "valueCoding": {"code": "kg"}}]}]})
            .to_string(),
        )
    };
    assert_eq!(option("quantity"), NONE);
    assert_eq!(option("string"), ["Questionnaire.item[0]"]);
    let patient = |url: &str| {
        places(&json!({"resourceType": "Patient", "extension": [{"url": url, "valueString": "x"}]}).to_string())
    };
    assert_eq!(patient("http://t.example/unknown"), NONE);
    assert_eq!(patient("http://hl7.org/fhir/uv/guide/StructureDefinition/unknown"), ["Patient.extension[0]"]);
}
