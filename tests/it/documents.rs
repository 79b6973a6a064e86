//! FHIR documents: parsing, walking, making, changing, writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits, Node, SyntaxFault};
use silta_engine::fhir::draft::Draft;
use silta_engine::fhir::edit::Edit;

use crate::support::data;

fn json(text: &str) -> Arc<Document> {
    Document::from_json(Model::r4(), text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

fn refused(text: &[u8]) -> (SyntaxFault, u32, u32) {
    let error = Document::from_json(Model::r4(), text.to_vec(), &Limits::default()).unwrap_err();
    (error.fault, error.line, error.column)
}

/// The first difference between two documents as FHIR sees them: elements, repetitions, lexical values.
fn difference(left: Node<'_>, right: Node<'_>) -> Option<String> {
    let trimmed = |node: Node<'_>| {
        node.text().map(|text| if node.type_name() == "xhtml" { text.trim().to_owned() } else { text.to_owned() })
    };
    if trimmed(left) != trimmed(right) || left.type_name() != right.type_name() {
        return Some(left.path().to_string());
    }
    let grouped = |node: Node<'_>| {
        let mut groups: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (place, child) in node.children().enumerate() {
            groups.entry(child.name().to_owned()).or_default().push(u32::try_from(place).unwrap());
        }
        groups
    };
    let (one, two) = (grouped(left), grouped(right));
    if one.keys().collect::<Vec<_>>() != two.keys().collect::<Vec<_>>() {
        return Some(format!("{}: members {:?} and {:?}", left.path(), one.keys(), two.keys()));
    }
    let (of_left, of_right): (Vec<_>, Vec<_>) = (left.children().collect(), right.children().collect());
    for (name, places) in one {
        let others = &two[&name];
        if places.len() != others.len() {
            return Some(format!("{}.{name}: repetitions", left.path()));
        }
        for (place, other) in places.iter().zip(others) {
            if let Some(found) = difference(of_left[*place as usize], of_right[*other as usize]) {
                return Some(found);
            }
        }
    }
    None
}

#[test]
fn every_official_example_goes_through_a_document_and_an_edit_byte_for_byte() {
    let Some(files) = data::r4_examples() else { return };
    let faults: Vec<String> = data::in_parallel(&files, |file| {
        let bytes = std::fs::read(file).unwrap();
        let document = Document::from_json(Model::r4(), bytes.clone(), &Limits::default()).unwrap();
        let same = document.json().as_bytes() == bytes;
        // An edit that puts every primitive back makes the writer go through every container.
        let mut edit = Edit::new(&document);
        let mut open = vec![document.root()];
        while let Some(node) = open.pop() {
            if node.text().is_some() {
                edit.replace(node, node.raw());
            }
            open.extend(node.children());
        }
        let rewritten = edit.write();
        (!same || rewritten.as_bytes() != bytes).then(|| file.display().to_string())
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn every_official_example_goes_to_xml_and_back_as_the_same_logical_document() {
    let Some(files) = data::r4_examples() else { return };
    let results = data::in_parallel(&files, |file| {
        let bytes = std::fs::read(file).unwrap();
        let document = Document::from_json(Model::r4(), bytes, &Limits::default()).unwrap();
        let xml = match document.to_xml() {
            Ok(xml) => xml,
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        let back = match Document::from_xml(Model::r4(), xml.into_bytes(), &Limits::default()) {
            Ok(back) => back,
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        assert_eq!(back.misplaced().count(), 0, "{}", file.display());
        if let Some(found) = difference(document.root(), back.root()) {
            return Err(format!("{}: {found}", file.display()));
        }
        let order = |document: &Document| {
            let mut names = Vec::new();
            let mut open = vec![document.root()];
            while let Some(node) = open.pop() {
                names.push(node.name().to_owned());
                open.extend(node.children());
            }
            names
        };
        Ok(order(&document) != order(&back))
    });
    let faults: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let reordered = results.iter().filter(|result| matches!(result, Ok(true))).count();
    println!("{} examples, {reordered} with members in another order than their type's", files.len());
    assert!(faults.is_empty(), "{} of {}: {faults:#?}", faults.len(), files.len());
}

#[test]
fn a_draft_copy_of_an_example_is_the_same_logical_document() {
    let Some(files) = data::r4_examples() else { return };
    let care: Vec<_> = files
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            ["CarePlan-", "ServiceRequest-", "Task-", "Patient-", "Bundle-", "Observation-"]
                .iter()
                .any(|kind| name.starts_with(kind))
        })
        .collect();
    for file in care {
        let document = Document::from_json(Model::r4(), std::fs::read(&file).unwrap(), &Limits::default()).unwrap();
        let mut draft = Draft::new(Model::r4(), document.root().type_name());
        let root = draft.root();
        draft.graft(root, document.root());
        let copy = draft.finish().unwrap();
        assert_eq!(difference(document.root(), copy.root()), None, "{}", file.display());
    }
}

#[test]
fn the_core_file_is_what_the_official_package_compiles_to() {
    let Some(package) = data::outside("SILTA_R4_CORE") else { return };
    let bytes = std::fs::read(package).unwrap();
    let files =
        silta_engine::package::archive::read_tgz(&bytes, silta_engine::package::archive::Limits::default()).unwrap();
    let compiled = silta_engine::package::compiler::compile(&files).unwrap();
    let held = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/r4/core.bin")).unwrap();
    assert!(compiled == held, "profiles/r4/core.bin differs from what `silta package compile` makes");
}

#[test]
fn every_record_of_the_core_can_be_read() {
    let model = Model::r4();
    assert_eq!(model.fhir_version(), "4.0.1");
    let mut elements = 0;
    for type_id in model.types() {
        assert!(!model.type_name(type_id).is_empty());
        for element in model.elements(type_id) {
            elements += 1;
            assert_eq!(element.owner(), type_id);
            assert!(!element.path().is_empty());
            for choice in element.types() {
                assert!(!model.type_name(choice.type_id()).is_empty(), "{}", element.path());
                let found = model.child(type_id, choice.symbol()).unwrap();
                assert_eq!((found.element, found.type_id), (element.id(), choice.type_id()));
            }
        }
    }
    assert!(elements > 7_000);
    let gender = model.value_set("http://hl7.org/fhir/ValueSet/administrative-gender").unwrap();
    assert_eq!(gender.includes().next().unwrap().system(), "http://hl7.org/fhir/administrative-gender");
    let codes: Vec<&str> = model
        .code_system("http://hl7.org/fhir/administrative-gender")
        .unwrap()
        .concepts()
        .map(|concept| concept.code)
        .collect();
    assert_eq!(codes, ["male", "female", "other", "unknown"]);
    assert!(model.search_parameters("CarePlan").any(|parameter| parameter.code() == "activity-reference"));
    assert!(model.element_named(model.type_named("CarePlan").unwrap(), "status").unwrap().binding().is_some());
}

#[test]
fn values_keep_their_lexical_form() {
    let document = json(
        r#"{"resourceType":"Observation","valueQuantity":{"value":1.10,"unit":"\u00b5g\/l"},"extension":[{"url":"u","valueDecimal":123456789012345678.000}]}"#,
    );
    let root = document.root();
    assert_eq!(root.text_at("value.value"), Some("1.10"));
    assert_eq!(root.text_at("value.unit"), Some("µg/l"));
    assert_eq!(root.text_at("extension.value"), Some("123456789012345678.000"));
    let xml = document.to_xml().unwrap();
    let back = Document::from_xml(Model::r4(), xml.into_bytes(), &Limits::default()).unwrap();
    assert_eq!(difference(root, back.root()), None);
}

#[test]
fn a_primitive_and_its_twin_are_one_node_wherever_each_stands() {
    let document = json(
        r#"{"resourceType":"Patient","_birthDate":{"extension":[{"url":"x","valueCode":"a"}]},"name":[{"given":["A",null,"C"],"_given":[null,{"id":"b"},{"id":"c"}]}],"birthDate":"1950-01-01","_gender":{"id":"g"}}"#,
    );
    let root = document.root();
    let names: Vec<&str> = root.children().map(Node::name).collect();
    assert_eq!(names, ["name", "birthDate", "gender"]);
    assert_eq!(root.first("birthDate").unwrap().extensions().count(), 1);
    let given: Vec<_> =
        root.first("name").unwrap().named("given").map(|node| (node.text(), node.text_at("id"))).collect();
    assert_eq!(given, [(Some("A"), None), (None, Some("b")), (Some("C"), Some("c"))]);
    assert_eq!(root.first("gender").unwrap().text(), None);
    assert_eq!(root.text_at("gender.id"), Some("g"));
    for node in root.first("name").unwrap().named("given") {
        assert_eq!(document.node(node.id()).raw_twin(), node.raw_twin());
    }
}

#[test]
fn paths_and_positions_name_the_place() {
    let document = json(
        "{\"resourceType\":\"Bundle\",\n \"entry\": [\n  {\"resource\":{\"resourceType\":\"Observation\",\"status\":\"final\",\n   \"valueQuantity\":{\"value\":3}, \"näin\": [1, {\"a\": 2}]}}]}",
    );
    let value = document.root().at("entry.resource.value.value").unwrap();
    assert_eq!(value.path().to_string(), "Bundle.entry[0].resource.value.ofType(Quantity).value");
    assert_eq!(value.position().to_string(), "4:29");
    let odd = document.root().at("entry.resource.näin").unwrap();
    assert_eq!(odd.path().to_string(), "Bundle.entry[0].resource.näin[0]");
    assert_eq!(odd.resource().path().to_string(), "Bundle.entry[0].resource");
}

#[test]
fn what_is_not_json_is_refused_at_its_place() {
    assert_eq!(
        refused(b"{\"resourceType\":\"Patient\",\n \"id\":\"a\", \"id\":\"b\"}"),
        (SyntaxFault::DuplicateKey, 2, 12)
    );
    assert_eq!(refused(b"{\"a\":{\"x\":1},\"b\":{\"zz\":1,\"zz\":2}}").0, SyntaxFault::DuplicateKey);
    assert_eq!(refused(b"[]").0, SyntaxFault::NotAnObject);
    assert_eq!(refused(b"").0, SyntaxFault::NotAnObject);
    assert_eq!(refused(b"{\"a\":1").0, SyntaxFault::Ends);
    assert_eq!(refused(b"{\"a\":1} x").0, SyntaxFault::Trailing);
    assert_eq!(refused(b"{\"a\":01}").0, SyntaxFault::Number);
    assert_eq!(refused(b"{\"a\":NaN}").0, SyntaxFault::Expected("a value"));
    assert_eq!(refused(b"{\"a\":1.}").0, SyntaxFault::Number);
    assert_eq!(refused(b"{\"a\":\"\\ud800\"}").0, SyntaxFault::Surrogate);
    assert_eq!(refused(b"{\"a\":\"\\x\"}").0, SyntaxFault::Escape);
    assert_eq!(refused(b"{\"a\":\"\n\"}").0, SyntaxFault::Control);
    assert_eq!(refused(b"{\"a\":\"\xff\"}").0, SyntaxFault::NotUtf8);
    assert_eq!(refused(b"{\"a\":1,}").0, SyntaxFault::Expected("a member name in quotes"));
    assert_eq!(refused(b"{\"a\":[1,]}").0, SyntaxFault::Expected("a value"));
    let deep = "[".repeat(10_000);
    assert_eq!(refused(format!("{{\"a\":{deep}").as_bytes()).0, SyntaxFault::TooDeep(64));
    json("\u{feff}{\"resourceType\":\"Patient\"}");
    json("{\"a\":1e999999}");
}

#[test]
fn limits_are_kept() {
    let limits = Limits { bytes: 1_000, nodes: 10, string: 5, depth: 3 };
    let fault = |text: String| Document::from_json(Model::r4(), text.into_bytes(), &limits).unwrap_err().fault;
    assert_eq!(fault(format!("{{\"a\":\"{}\"}}", "x".repeat(2_000))), SyntaxFault::TooLong(1_000));
    assert_eq!(fault("{\"a\":\"123456\"}".to_owned()), SyntaxFault::StringTooLong(5));
    assert_eq!(fault("{\"a\":[1,2,3,4,5,6,7,8,9,10]}".to_owned()), SyntaxFault::TooManyNodes(10));
    assert_eq!(fault("{\"a\":[[[1]]]}".to_owned()), SyntaxFault::TooDeep(3));
}

#[test]
fn what_is_not_xml_is_refused_at_its_place() {
    let refused =
        |text: &str| Document::from_xml(Model::r4(), text.as_bytes().to_vec(), &Limits::default()).unwrap_err();
    let patient = |inner: &str| format!("<Patient xmlns=\"http://hl7.org/fhir\">{inner}</Patient>");
    assert_eq!(refused("<!DOCTYPE x [<!ENTITY a \"b\">]><Patient/>").fault, SyntaxFault::DocumentType);
    assert_eq!(refused("<Patient/>").fault, SyntaxFault::Namespace);
    assert_eq!(refused(&patient("<id value=\"&x;\"/>")).fault, SyntaxFault::Entity);
    assert_eq!(refused(&patient("<id value='1' value='2'/>")).fault, SyntaxFault::DuplicateAttribute);
    assert_eq!(refused(&patient("<id value='1'></ID>")).fault, SyntaxFault::NotWellFormed);
    assert_eq!(refused("<Patient xmlns=\"http://hl7.org/fhir\"/>text").fault, SyntaxFault::MixedText);
    assert_eq!(refused("<Patient xmlns=\"http://hl7.org/fhir\">").fault, SyntaxFault::Ends);
    assert_eq!(refused("<?xml version='1.0' encoding='UTF-16'?><a/>").fault, SyntaxFault::Encoding);
    let deep = format!("{}{}", "<contact>".repeat(5_000), "</contact>".repeat(5_000));
    assert_eq!(refused(&patient(&deep)).fault, SyntaxFault::TooDeep(64));
    let error = refused(&format!("{}\n  oops", patient("\n  <active value='true'/>\n")));
    assert_eq!((error.line, error.fault), (3, SyntaxFault::MixedText));
}

#[test]
fn xml_out_of_order_is_read_and_remembered() {
    let text =
        "<Patient xmlns=\"http://hl7.org/fhir\"><birthDate value=\"1950-01-01\"/><active value=\"true\"/></Patient>";
    let document = Document::from_xml(Model::r4(), text.as_bytes().to_vec(), &Limits::default()).unwrap();
    let misplaced: Vec<String> =
        document.misplaced().map(|node| format!("{} {}", node.path(), node.position())).collect();
    assert_eq!(misplaced, ["Patient.active 1:69"]);
    assert_eq!(document.json(), r#"{"resourceType":"Patient","birthDate":"1950-01-01","active":true}"#);
}

#[test]
fn an_edit_leaves_untouched_bytes_as_they_are() {
    let text = "{\n  \"resourceType\": \"Task\",\n  \"id\" : \"1\",\n  \"status\": \"requested\",\n  \"note\": [ {\"text\":\"a\"},  {\"text\":\"b\"} ],\n  \"intent\": \"order\"\n}\n";
    let document = json(text);
    let root = document.root();
    let mut edit = Edit::new(&document);
    edit.set(root.first("status").unwrap(), "accepted");
    assert_eq!(edit.write(), text.replace("requested", "accepted"));
    edit.remove(root.named("note").next().unwrap());
    assert_eq!(edit.write(), text.replace("requested", "accepted").replace(" {\"text\":\"a\"},  ", "  "));
    edit.remove(root.named("note").nth(1).unwrap());
    edit.insert_text(root, "description", "x");
    edit.remove(root.first("id").unwrap());
    let done = edit.finish().unwrap();
    assert_eq!(
        done.json(),
        "{\n  \"resourceType\": \"Task\",\n  \"status\": \"accepted\",\n  \"intent\": \"order\",\n  \"description\":\"x\"\n}\n"
    );
    let mut edit = Edit::new(&document);
    edit.insert(root, "note", "{\"text\":\"c\"}");
    edit.insert(root, "partOf", "{\"reference\":\"Task/2\"}");
    let done = edit.finish().unwrap();
    assert_eq!(done.root().named("note").count(), 3);
    assert_eq!(done.root().text_at("partOf.reference"), Some("Task/2"));
}

#[test]
fn a_whole_member_is_put_or_dropped() {
    let document = json(
        r#"{"resourceType":"Task","identifier":[{"value":"a"},{"value":"b"}],"status":"requested","_status":{"id":"s"},"note":[{"text":"n"}]}"#,
    );
    let root = document.root();
    let mut edit = Edit::new(&document);
    edit.put(root, "identifier", r#"[{"value":"c"}]"#);
    edit.put(root, "status", "\"accepted\"");
    edit.put(root, "intent", "\"order\"");
    edit.drop_member(root, "note");
    assert_eq!(
        edit.write(),
        r#"{"resourceType":"Task","identifier":[{"value":"c"}],"status":"accepted","intent":"order"}"#
    );
}

#[test]
fn a_draft_lays_elements_out_in_the_order_of_their_type() {
    let mut draft = Draft::new(Model::r4(), "Patient");
    let root = draft.root();
    draft.set_path(root, "birthDate", "1950-01-01");
    let name = draft.push(root, "name");
    draft.set_path(name, "family", "Å\"");
    for given in ["A", "B"] {
        let at = draft.push(name, "given");
        draft.set(at, given);
    }
    draft.set_path(root, "active", "true");
    draft.set_path(root, "multipleBirthInteger", "2");
    let absent = draft.path(root, "gender.extension");
    draft.set_path(absent, "url", "http://hl7.org/fhir/StructureDefinition/data-absent-reason");
    draft.set_path(absent, "valueCode", "unknown");
    draft.push(root, "address");
    let contained = draft.resource_in(root, "contained", "Organization");
    draft.set_path(contained, "id", "o");
    assert_eq!(
        draft.finish().unwrap().json(),
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"}],"active":true,"name":[{"family":"Å\"","given":["A","B"]}],"_gender":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]},"birthDate":"1950-01-01","multipleBirthInteger":2}"#
    );
    let mut wrong = Draft::new(Model::r4(), "Patient");
    let root = wrong.root();
    wrong.set_path(root, "colour", "red");
    assert_eq!(wrong.finish().unwrap_err().to_string(), "Patient has no element colour");
}

/// Any JSON value with names that FHIR has and names that it has not.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(|text: String| text.into()),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(
                prop_oneof![
                    Just("extension".to_owned()),
                    Just("_given".to_owned()),
                    Just("given".to_owned()),
                    Just("name".to_owned()),
                    Just("contained".to_owned()),
                    Just("resourceType".to_owned()),
                    ".*"
                ],
                inner,
                0..6
            )
            .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_json_object_is_read_walked_and_written_without_fault(value in any_json(), kind in prop_oneof![Just("Patient"), Just("Bundle"), Just("Nothing")]) {
        let object = serde_json::json!({"resourceType": kind, "name": value, "contained": [value]});
        let text = serde_json::to_string_pretty(&object).unwrap();
        let document = json(&text);
        prop_assert_eq!(document.json(), &text);
        let mut open = vec![document.root()];
        while let Some(node) = open.pop() {
            let _ = (node.path().to_string(), node.position(), node.element_name(), node.raw(), node.index());
            prop_assert_eq!(document.node(node.id()).raw_twin(), node.raw_twin());
            open.extend(node.children());
        }
        let _ = document.to_xml();
    }

    #[test]
    fn removing_any_node_gives_a_document_without_it(value in any_json(), pick in any::<prop::sample::Index>()) {
        let text = serde_json::to_string_pretty(&serde_json::json!({"resourceType": "Patient", "id": "x", "contact": [value]})).unwrap();
        let document = json(&text);
        let mut all = Vec::new();
        let mut open: Vec<Node<'_>> = document.root().children().collect();
        while let Some(node) = open.pop() {
            open.extend(node.children());
            all.push(node);
        }
        let node = all[pick.index(all.len())];
        let mut edit = Edit::new(&document);
        edit.remove(node);
        let after = edit.finish().unwrap();
        prop_assert!(after.size() < document.size());
    }

    #[test]
    fn any_bytes_are_a_document_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::from_json(Model::r4(), bytes.clone(), &Limits::default());
        let _ = Document::from_xml(Model::r4(), bytes, &Limits::default());
    }

    #[test]
    fn any_text_in_xml_is_a_document_or_an_error(text in "(<[a-z/!?]{0,3}[a-zA-Z:]{0,8}( [a-z:]{1,6}=\"[^\"]{0,5}\")?/?>|[a-z& ;]{0,4}){0,12}") {
        let whole = format!("<Patient xmlns=\"http://hl7.org/fhir\">{text}</Patient>");
        let _ = Document::from_xml(Model::r4(), whole.into_bytes(), &Limits::default());
    }
}
