//! Validation: rules that go beyond single elements: Bundles, narratives, definitions, measures, questionnaires, and what
//! packages bring along.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::package::library::Library;
use silta_engine::validation::{Severity, Validator};

static CORE: LazyLock<Validator> = LazyLock::new(|| Validator::new(Library::empty()));

fn document(content: &Value) -> Arc<Document> {
    Document::from_json(Model::r4(), content.to_string().into_bytes(), &Limits::default()).unwrap()
}

fn found(validator: &Validator, content: &Value, profiles: &[&str], severity: Severity) -> Vec<String> {
    let document = document(content);
    let findings = validator.validate(&document, profiles);
    let of_severity = findings.iter().filter(|finding| finding.severity == severity);
    of_severity
        .map(|finding| {
            let rule = finding.rule_code(&document);
            format!("{} {}", finding.path(&document), rule.rsplit(['#', '/']).next().unwrap())
        })
        .collect()
}

/// Path and rule of each error by the core alone.
fn errors(content: &Value) -> Vec<String> {
    found(&CORE, content, &[], Severity::Error)
}

fn with(definitions: impl IntoIterator<Item = Value>) -> Validator {
    let mut library = Library::empty();
    for definition in definitions {
        library.add(definition);
    }
    Validator::new(library)
}

/// A profile with this differential.
fn profile(name: &str, of: &str, elements: Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": format!("http://t.example/{name}"), "status": "active", "name": "T",
        "kind": "resource", "abstract": false, "type": of, "derivation": "constraint",
        "baseDefinition": format!("http://hl7.org/fhir/StructureDefinition/{of}"), "differential": {"element": elements}})
}

const NONE: [&str; 0] = [];

fn composition(section: Value) -> Value {
    json!({"resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"}, "date": "2026-01-01", "title": "t",
        "author": [{"reference": "Organization/o"}], "section": [section]})
}

fn bundle(entries: &[(&str, Value)]) -> Value {
    let entries: Vec<Value> =
        entries.iter().map(|(url, resource)| json!({"fullUrl": url, "resource": resource})).collect();
    json!({"resourceType": "Bundle", "type": "document", "timestamp": "2026-01-01T00:00:00Z",
        "identifier": {"system": "urn:oid:1.2.3", "value": "1"}, "entry": entries})
}

fn organization() -> Value {
    json!({"resourceType": "Organization", "id": "o", "name": "x"})
}

const BASE: &str = "http://h.example/fhir";

#[test]
fn a_document_holds_what_its_composition_refers_to_and_nothing_else() {
    let at = |path: &str| format!("{BASE}/{path}");
    let good = bundle(&[
        (
            &at("Composition/c"),
            composition(json!({"title": "s", "text": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}})),
        ),
        (&at("Organization/o"), organization()),
    ]);
    assert_eq!(errors(&good), NONE);

    let missing = bundle(&[
        (&at("Composition/c"), composition(json!({"entry": [{"reference": "Observation/gone"}]}))),
        (&at("Organization/o"), organization()),
    ]);
    assert_eq!(errors(&missing), ["Bundle.entry[0].resource.section[0].entry[0] bundle-reference"]);

    let alone = bundle(&[
        (
            &at("Composition/c"),
            composition(json!({"title": "s", "text": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}})),
        ),
        (&at("Organization/o"), organization()),
        (&at("Organization/p"), json!({"resourceType": "Organization", "id": "p", "name": "y"})),
    ]);
    assert_eq!(errors(&alone), ["Bundle.entry[2] bundle-connected"]);

    // What refers to the document's content belongs to it too.
    let backward = bundle(&[
        (
            &at("Composition/c"),
            composition(json!({"title": "s", "text": {"status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}})),
        ),
        (&at("Organization/o"), organization()),
        (
            &at("Provenance/p"),
            json!({"resourceType": "Provenance", "id": "p", "recorded": "2026-01-01T00:00:00Z",
            "target": [{"reference": "Composition/c"}], "agent": [{"who": {"reference": "Organization/o"}}]}),
        ),
    ]);
    assert_eq!(errors(&backward), NONE);
}

#[test]
fn versioned_references_of_a_document_find_their_version() {
    let version = |number: &str| json!({"resourceType": "Observation", "id": "b", "meta": {"versionId": number}, "status": "final", "code": {"text": "x"}});
    let url = |path: &str| format!("{BASE}/{path}");
    let of = |reference: &str| {
        let content = bundle(&[
            (
                &url("Composition/c"),
                composition(json!({"entry": [{"reference": "Observation/b/_history/1"},
                {"reference": "Observation/b/_history/2"}, {"reference": reference}]})),
            ),
            (&url("Organization/o"), organization()),
            (&url("Observation/b"), version("1")),
            (&url("Observation/b"), version("2")),
        ]);
        errors(&content)
    };
    assert_eq!(of("Observation/b/_history/2"), NONE);
    assert_eq!(of("Observation/b/_history/3"), ["Bundle.entry[0].resource.section[0].entry[2] bundle-reference"]);
    assert_eq!(of("Observation/b"), ["Bundle.entry[0].resource.section[0].entry[2] bundle-reference"]);
}

#[test]
fn a_full_url_is_that_of_its_resource() {
    let entry = |url: &str, resource: Value| {
        errors(
            &json!({"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": url, "resource": resource}]}),
        )
    };
    assert_eq!(entry(&format!("{BASE}/Organization/o"), organization()), NONE);
    assert_eq!(entry("urn:uuid:0b1c2d3e-0000-4000-8000-000000000001", organization()), NONE);
    assert_eq!(entry(&format!("{BASE}/Organization/x"), organization()), ["Bundle.entry[0] full-url"]);
    assert_eq!(entry(&format!("{BASE}/Patient/o"), organization()), ["Bundle.entry[0] full-url"]);
    assert_eq!(entry("Organization/o", organization()), ["Bundle.entry[0] full-url"]);
    let without_id = json!({"resourceType": "Organization", "name": "x"});
    assert_eq!(entry(&format!("{BASE}/Organization/o"), without_id), ["Bundle.entry[0] full-url"]);
    let none = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": organization()}]});
    assert_eq!(errors(&none), ["Bundle.entry[0] full-url"]);
    let posted = json!({"resourceType": "Bundle", "type": "transaction",
        "entry": [{"resource": organization(), "request": {"method": "POST", "url": "Organization"}}]});
    assert_eq!(errors(&posted), NONE);
}

#[test]
fn matches_of_a_search_have_ids_and_are_what_was_asked_for() {
    let set = |resource: Value, mode: &str| {
        errors(&json!({"resourceType": "Bundle", "type": "searchset",
            "link": [{"relation": "self", "url": format!("{BASE}/Organization?name=x")}],
            "entry": [{"fullUrl": "urn:uuid:0b1c2d3e-0000-4000-8000-000000000001", "resource": resource, "search": {"mode": mode}}]}))
    };
    assert_eq!(set(organization(), "match"), NONE);
    assert_eq!(set(json!({"resourceType": "Patient", "id": "p"}), "include"), NONE);
    assert_eq!(set(json!({"resourceType": "Patient", "id": "p"}), "match"), ["Bundle.entry[0].resource search-entry"]);
    assert_eq!(
        set(json!({"resourceType": "Organization", "name": "x"}), "match"),
        ["Bundle.entry[0].resource search-entry"]
    );
    assert_eq!(set(organization(), "outcome"), ["Bundle.entry[0].resource search-entry"]);
}

#[test]
fn links_of_a_narrative_lead_somewhere_and_do_nothing() {
    let patient = |inside: &str| {
        errors(
            &json!({"resourceType": "Patient", "id": "p", "contact": [{"id": "here", "name": {"text": "x"}}], "text": {
            "status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inside}</div>")}}),
        )
    };
    for good in [
        r##"<a href="#here">x</a>"##,
        r##"<p id="q">x</p><a href="#q">x</a>"##,
        r#"<a href="http://h.example">x</a>"#,
        r#"<a href="mailto:a@h.example">x</a>"#,
    ] {
        assert_eq!(patient(good), NONE, "{good}");
    }
    for bad in [
        r#"<a href="urn:uuid:0b1c2d3e-0000-4000-8000-000000000001">x</a>"#,
        r#"<a href="javascript:alert()">x</a>"#,
        r#"<a href="">x</a>"#,
    ] {
        assert_eq!(patient(bad), ["Patient.text.div txt-1"], "{bad}");
    }
    assert_eq!(patient("<p>x<div>y</div></p>"), ["Patient.text.div txt-1"; 2]);
    assert_eq!(patient(r##"<a href="#gone">x</a>"##), ["Patient.text.div narrative-link"]);
}

#[test]
fn element_ids_differ_within_their_resource() {
    let two = |second: &str| {
        errors(&json!({"resourceType": "Patient", "name": [{"id": "a", "text": "x"}, {"id": second, "text": "y"}]}))
    };
    assert_eq!(two("b"), NONE);
    assert_eq!(two("a"), ["Patient.name[1] element-id"]);
}

#[test]
fn a_coding_says_what_its_code_means() {
    let coded = |system: &str, code: &str, display: &str| {
        errors(
            &json!({"resourceType": "Basic", "code": {"coding": [{"system": system, "code": code, "display": display}]}}),
        )
    };
    let relation = "http://terminology.hl7.org/CodeSystem/v2-0131";
    assert_eq!(coded(relation, "C", "emergency  contact"), NONE);
    assert_eq!(coded(relation, "C", "Employer"), ["Basic.code.coding[0].display display"]);
    assert_eq!(coded("http://hl7.org/fhir/administrative-gender", "male", "Male"), NONE);
    assert_eq!(
        coded("http://hl7.org/fhir/administrative-gender", "m", "Male"),
        ["Basic.code.coding[0].code code-known"]
    );
    assert_eq!(coded("http://other.example/system", "m", "Whatever"), NONE);
}

#[test]
fn a_vital_sign_is_judged_by_its_profile_whether_it_claims_it_or_not() {
    let heart = json!({"resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-01-01", "valueQuantity": {"value": 60, "unit": "/min",
            "system": "http://unitsofmeasure.org", "code": "/min"}});
    assert_eq!(errors(&heart), NONE);
    let mut without_time = heart;
    without_time.as_object_mut().unwrap().remove("effectiveDateTime");
    assert_eq!(errors(&without_time), ["Observation Observation.effective[x]"]);
}

#[test]
fn a_measure_report_reports_its_measure() {
    let code = |code: &str| json!({"coding": [{"system": "http://t.example/parts", "code": code}]});
    let measure = json!({"resourceType": "Measure", "url": "http://t.example/Measure/m", "status": "active",
        "scoring": {"coding": [{"code": "proportion"}]}, "group": [{"code": code("g"), "population": [{"code": code("p")}],
        "stratifier": [{"code": code("s")}]}]});
    let validator = with([measure]);
    let report = |group: Value| {
        let content = json!({"resourceType": "MeasureReport", "status": "complete", "type": "summary",
            "measure": "http://t.example/Measure/m", "period": {"start": "2026-01-01"}, "group": [group]});
        found(&validator, &content, &[], Severity::Error)
    };
    let whole = json!({"code": code("g"), "population": [{"code": code("p"), "count": 1}], "stratifier": [{"code": [code("s")]}],
        "measureScore": {"value": 0.5}});
    let changed = |key: &str, value: Value| {
        let mut changed = whole.clone();
        changed[key] = value;
        report(changed)
    };
    // The code of a stratifier of a report repeats.
    assert_eq!(report(whole.clone()), NONE);
    assert_eq!(changed("code", code("other")), ["MeasureReport.group[0] measure"]);
    assert_eq!(
        changed("population", json!([{"code": code("q")}])),
        ["MeasureReport.group[0] measure", "MeasureReport.group[0].population[0] measure"]
    );
    assert_eq!(changed("stratifier", json!([])).last().unwrap(), "MeasureReport.group[0].stratifier empty");
    assert_eq!(changed("measureScore", json!({"value": 1.5})), ["MeasureReport.group[0].measureScore.value measure"]);
    assert_eq!(
        changed("measureScore", json!({"value": 0.5, "unit": "x"})),
        ["MeasureReport.group[0].measureScore.unit measure"]
    );
}

#[test]
fn a_search_parameter_agrees_with_the_one_it_is_derived_from() {
    let derived = |base: &str, kind: &str, expression: &str| {
        errors(&json!({"resourceType": "SearchParameter", "url": "http://t.example/SearchParameter/n", "name": "N",
            "status": "active", "description": "x", "code": "name", "base": [base], "type": kind, "expression": expression,
            "derivedFrom": "http://hl7.org/fhir/SearchParameter/Organization-name"}))
    };
    assert_eq!(derived("Organization", "string", "Organization.name"), NONE);
    assert_eq!(derived("Organization", "token", "Organization.name"), ["SearchParameter definition"]);
    assert_eq!(
        derived("Patient", "string", "Organization.name"),
        ["SearchParameter definition", "SearchParameter.expression definition"]
    );
    assert_eq!(derived("Organization", "string", "Organization.name("), ["SearchParameter.expression definition"]);
}

#[test]
fn a_structure_definition_says_nothing_that_its_base_cannot_mean() {
    let of = |elements: Value| errors(&profile("p", "Observation", elements));
    assert_eq!(of(json!([{"id": "Observation.code", "path": "Observation.code", "min": 1}])), NONE);
    let element = "StructureDefinition.differential.element[0]";
    assert_eq!(
        of(json!([{"id": "Observation.cod", "path": "Observation.cod"}])),
        ["StructureDefinition definition".to_owned(), format!("{element} definition")]
    );
    assert!(of(json!([{"id": "Patient.name", "path": "Patient.name"}])).contains(&format!("{element} definition")));
    let sliced = |path: &str, discriminator: &str| {
        of(json!([{"id": path, "path": path, "slicing": {"rules": "open",
            "discriminator": [{"type": "value", "path": discriminator}]}}]))
    };
    assert_eq!(sliced("Observation.category", "coding.code"), NONE);
    assert_eq!(sliced("Observation.category", "colour"), [format!("{element}.slicing.discriminator[0] definition")]);
    assert_eq!(
        sliced("Observation.code", "coding.code"),
        ["StructureDefinition definition".to_owned(), format!("{element}.slicing definition")]
    );
    let mut alien = profile("p", "Observation", json!([{"id": "Observation", "path": "Observation"}]));
    alien["type"] = json!("Boo");
    assert!(errors(&alien).contains(&"StructureDefinition.type definition".to_owned()));
    let mut out_of_place = profile("p", "Observation", json!([{"id": "Observation", "path": "Observation"}]));
    out_of_place["context"] = json!([{"type": "element", "expression": "Patient"}]);
    assert_eq!(errors(&out_of_place), ["StructureDefinition.context[0] definition"]);
}

#[test]
fn an_extension_stands_where_its_definition_allows_and_what_it_asks_holds() {
    let mut extension = profile(
        "x",
        "Extension",
        json!([
        {"id": "Extension.url", "path": "Extension.url", "fixedUri": "http://t.example/x"},
        {"id": "Extension.value[x]", "path": "Extension.value[x]", "type": [{"code": "boolean"}]}]),
    );
    extension["context"] = json!([{"type": "element", "expression": "Patient"}]);
    extension["contextInvariant"] = json!(["active.exists()"]);
    let validator = with([extension]);
    let held = json!([{"url": "http://t.example/x", "valueBoolean": true}]);
    let judged = |content: Value| found(&validator, &content, &[], Severity::Error);
    assert_eq!(judged(json!({"resourceType": "Patient", "active": true, "extension": held})), NONE);
    assert_eq!(judged(json!({"resourceType": "Patient", "extension": held})), ["Patient x"]);
    assert_eq!(
        judged(json!({"resourceType": "Patient", "active": true, "name": [{"extension": held}]})),
        ["Patient.name[0] x"]
    );
    // One that R4 does not define but was published for it since is known with its value and its place.
    let later = |on: Value| {
        errors(&json!({"resourceType": "Endpoint", "status": "active", "address": "http://h.example",
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "payloadType": [{"text": "x"}], "extension": [on]}))
    };
    let url = "http://hl7.org/fhir/StructureDefinition/endpoint-fhir-version";
    assert_eq!(later(json!({"url": url, "valueCode": "4.0.1"})), NONE);
    assert_eq!(later(json!({"url": url, "valueString": "4.0.1"})), ["Endpoint.extension[0] Extension.value[x]"]);
    let invented = "http://hl7.org/fhir/StructureDefinition/endpoint-colour";
    assert_eq!(later(json!({"url": invented, "valueCode": "red"})), ["Endpoint.extension[0] extension-known"]);
}

#[test]
fn guides_ask_profiles_of_every_resource_of_a_type() {
    let named = profile("named", "Patient", json!([{"id": "Patient.name", "path": "Patient.name", "min": 1}]));
    let guide = json!({"resourceType": "ImplementationGuide", "url": "http://t.example/guide",
        "global": [{"type": "Patient", "profile": "http://t.example/named"}]});
    let validator = with([named, guide]);
    assert_eq!(
        found(&validator, &json!({"resourceType": "Patient", "active": true}), &[], Severity::Error),
        ["Patient Patient.name"]
    );
}

#[test]
fn a_slice_that_says_nothing_of_one_discriminator_is_told_by_the_others() {
    let pattern = |code: &str| json!({"coding": [{"code": code}]});
    let ranges = profile(
        "ranges",
        "Observation",
        json!([
        {"id": "Observation.referenceRange", "path": "Observation.referenceRange", "slicing": {"rules": "closed",
            "discriminator": [{"type": "pattern", "path": "type"}, {"type": "pattern", "path": "appliesTo"}]}},
        {"id": "Observation.referenceRange:a", "path": "Observation.referenceRange", "sliceName": "a"},
        {"id": "Observation.referenceRange:a.type", "path": "Observation.referenceRange.type", "patternCodeableConcept": pattern("a")},
        {"id": "Observation.referenceRange:a.appliesTo", "path": "Observation.referenceRange.appliesTo",
            "patternCodeableConcept": pattern("x")},
        {"id": "Observation.referenceRange:b", "path": "Observation.referenceRange", "sliceName": "b", "max": "1"},
        {"id": "Observation.referenceRange:b.type", "path": "Observation.referenceRange.type", "patternCodeableConcept": pattern("b")}]),
    );
    let validator = with([ranges]);
    let range =
        |kind: &str, applies: &str| json!({"text": "x", "type": pattern(kind), "appliesTo": [pattern(applies)]});
    let judged = |ranges: Value| {
        let content =
            json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "referenceRange": ranges});
        found(&validator, &content, &["http://t.example/ranges"], Severity::Error)
    };
    assert_eq!(judged(json!([range("a", "x"), range("b", "x")])), NONE);
    assert_eq!(judged(json!([range("a", "y")])), ["Observation.referenceRange[0] Observation.referenceRange"]);
    assert_eq!(judged(json!([range("b", "x"), range("b", "y")])), ["Observation Observation.referenceRange:b"]);
}

#[test]
fn a_slice_may_be_what_another_profile_says_of_an_element() {
    let library = profile(
        "sections",
        "Composition",
        json!([
        {"id": "Composition.section", "path": "Composition.section", "slicing": {"rules": "open",
            "discriminator": [{"type": "pattern", "path": "code"}]}},
        {"id": "Composition.section:a", "path": "Composition.section", "sliceName": "a"},
        {"id": "Composition.section:a.title", "path": "Composition.section.title", "min": 1},
        {"id": "Composition.section:a.code", "path": "Composition.section.code", "min": 1,
            "patternCodeableConcept": {"coding": [{"code": "a"}]}}]),
    );
    let document = profile(
        "document",
        "Composition",
        json!([
        {"id": "Composition.section", "path": "Composition.section", "slicing": {"rules": "open",
            "discriminator": [{"type": "pattern", "path": "code"}]}},
        {"id": "Composition.section:first", "path": "Composition.section", "sliceName": "first", "min": 1,
            "type": [{"code": "BackboneElement", "profile": ["http://t.example/sections"], "_profile": [{"extension": [{
                "url": "http://hl7.org/fhir/StructureDefinition/elementdefinition-profile-element",
                "valueString": "Composition.section:a"}]}]}]}]),
    );
    let validator = with([library, document]);
    let judged =
        |section: Value| found(&validator, &composition(section), &["http://t.example/document"], Severity::Error);
    let code = json!({"coding": [{"code": "a"}]});
    assert_eq!(judged(json!({"title": "x", "code": code, "entry": [{"reference": "Patient/1"}]})), NONE);
    assert_eq!(
        judged(json!({"code": code, "entry": [{"reference": "Patient/1"}]})),
        ["Composition.section[0] Composition.section:a.title"]
    );
    assert_eq!(
        judged(json!({"title": "x", "entry": [{"reference": "Patient/1"}]})),
        ["Composition Composition.section:first"]
    );
}

#[test]
fn additional_bindings_and_value_sets_within_the_profile_hold() {
    let colours = json!({"resourceType": "ValueSet", "id": "colours", "url": "http://t.example/colours", "compose": {"include": [
        {"system": "http://t.example/colour", "concept": [{"code": "red"}]}]}});
    let additional = json!({"extension": [{"url": "purpose", "valueCode": "required"},
        {"url": "valueSet", "valueCanonical": "http://t.example/colours"}],
        "url": "http://hl7.org/fhir/tools/StructureDefinition/additional-binding"});
    let more = profile(
        "more",
        "Basic",
        json!([{"id": "Basic.code", "path": "Basic.code", "binding": {"strength": "example",
        "valueSet": "http://t.example/any", "extension": [additional]}}]),
    );
    let mut within = profile(
        "within",
        "Basic",
        json!([{"id": "Basic.code", "path": "Basic.code",
        "binding": {"strength": "required", "valueSet": "#colours"}}]),
    );
    within["contained"] = json!([colours]);
    let validator = with([more, within, colours]);
    for name in ["http://t.example/more", "http://t.example/within"] {
        let judged = |code: &str| {
            let content = json!({"resourceType": "Basic", "code": {"coding": [{"system": "http://t.example/colour", "code": code}]}});
            found(&validator, &content, &[name], Severity::Error)
        };
        assert_eq!(judged("red"), NONE, "{name}");
        assert_eq!(judged("blue"), ["Basic.code Basic.code"], "{name}");
    }
}

#[test]
fn an_item_is_enabled_by_an_expression_on_the_response() {
    let questionnaire = json!({"resourceType": "Questionnaire", "url": "http://t.example/q", "status": "active", "item": [
        {"linkId": "a", "type": "boolean"},
        {"linkId": "b", "type": "string", "extension": [{
            "url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression",
            "valueExpression": {"language": "text/fhirpath", "expression": "item.where(linkId='a').answer.value = true"}}]}]});
    let validator = with([questionnaire]);
    let judged = |answer: bool| {
        let content = json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "http://t.example/q",
            "item": [{"linkId": "a", "answer": [{"valueBoolean": answer}]}, {"linkId": "b", "answer": [{"valueString": "x"}]}]});
        found(&validator, &content, &[], Severity::Error)
    };
    assert_eq!(judged(true), NONE);
    assert_eq!(judged(false), ["QuestionnaireResponse.item[1] questionnaire"]);
}

#[test]
fn conditions_of_a_questionnaire_are_on_other_items_of_it() {
    let of = |question: &str| {
        errors(
            &json!({"resourceType": "Questionnaire", "status": "active", "item": [{"linkId": "a", "type": "boolean"},
            {"linkId": "b", "type": "string", "enableWhen": [{"question": question, "operator": "=", "answerBoolean": true}]}]}),
        )
    };
    assert_eq!(of("a"), NONE);
    assert_eq!(of("b"), ["Questionnaire.item[1] definition"]);
    assert_eq!(of("c"), ["Questionnaire.item[1] definition"]);
}

#[test]
fn conforming_to_a_type_of_the_core_is_more_than_being_of_it() {
    let mut own = profile(
        "own",
        "Patient",
        json!([{"id": "Patient", "path": "Patient", "constraint": [{"key": "own-1",
        "severity": "error", "human": "x", "expression": "conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')"}]}]),
    );
    own["name"] = json!("Own");
    let validator = with([own]);
    // A resource that claims the profile is not judged without end.
    let judged = |gender: &str| {
        let content =
            json!({"resourceType": "Patient", "meta": {"profile": ["http://t.example/own"]}, "gender": gender});
        found(&validator, &content, &[], Severity::Error)
    };
    assert_eq!(judged("male"), NONE);
    assert_eq!(judged("m"), ["Patient own-1", "Patient.gender administrative-gender", "Patient.gender Patient.gender"]);
}

#[test]
fn sections_by_language_are_there_where_a_profile_asks_for_them() {
    let asking = |code: &str| {
        profile(
            &format!("text{code}"),
            "Patient",
            json!([{"id": "Patient.text", "path": "Patient.text", "extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/narrative-language-control", "valueCode": code}]}]),
        )
    };
    let validator = with([asking("_yes"), asking("_no"), asking("_resource"), asking("fi")]);
    let judged = |code: &str, inside: &str| {
        let content = json!({"resourceType": "Patient", "language": "sv", "text": {"status": "generated",
            "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inside}</div>")}});
        found(&validator, &content, &[&format!("http://t.example/text{code}")], Severity::Error)
    };
    let two = r#"<div xml:lang="fi">x</div><div xml:lang="sv">y</div>"#;
    for (code, inside, holds) in [
        ("_yes", two, true),
        ("_yes", "x", false),
        ("_no", "x", true),
        ("_no", two, false),
        ("_resource", two, true),
        ("_resource", r#"<div xml:lang="fi">x</div>"#, false),
        ("fi", two, true),
        ("fi", r#"<div xml:lang="sv">x</div>"#, false),
    ] {
        let expected: &[&str] = if holds { &[] } else { &["Patient.text Patient.text"] };
        assert_eq!(judged(code, inside), expected, "{code} {inside}");
    }
}
