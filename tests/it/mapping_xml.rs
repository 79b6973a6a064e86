//! Maps for XML: what is written stands where the schema has it, in the namespaces and with the prefixes of the document.

use std::sync::Arc;

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits as FhirLimits};
use silta_engine::mapping::{Context, Map, Maps};
use silta_engine::native::{Limits, Syntax, Tree};

const MAP: &str = include_str!("mapping_laws/acme.map");
const SCHEMA: &str = include_str!("mapping_laws/acme.xmlschema");

fn maps(map: &str, schema: &str) -> Maps {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    Maps::with(Model::r4(), &[file("acme.map", map), file("acme.xmlschema", schema)])
}

fn acme() -> Arc<Map> {
    Arc::clone(maps(MAP, SCHEMA).named("acme-order").unwrap())
}

fn context() -> Context {
    Context::new("acme", Timestamp::UNIX_EPOCH, b"key")
}

fn tree(text: &str) -> Tree {
    Syntax::Xml.parse(text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

/// A document with an edit made in the Bundle's text, written back.
fn edited(original: &str, from: &str, to: &str) -> String {
    let (map, tree) = (acme(), tree(original));
    let got = map.get(&tree, &context()).unwrap();
    let json = got.document().json();
    assert!(json.contains(from), "{json}");
    let json = json.replacen(from, to, 1).into_bytes();
    let wanted = Document::from_json(Model::r4(), json, &FhirLimits::default()).unwrap();
    String::from_utf8(map.put(&wanted, &tree, &context()).unwrap().bytes).unwrap()
}

const ORDER: &str = "<?xml version=\"1.0\"?>
<order xmlns=\"urn:acme:order\" kind=\"referral\"><!-- kept -->
  <templateId root=\"1.2.246.10.77\"/>
  <id root=\"1.2.3\" extension=\"A-1\"/>
  <person>
    <id root=\"1.2.246.21\" extension=\"X1\"/>
  </person>
  <remark>Mind the step</remark>
</order>
";

#[test]
fn an_element_that_comes_stands_where_the_schema_has_it() {
    let written = edited(ORDER, "\"status\":\"active\"", "\"status\":\"active\",\"priority\":\"stat\"");
    let wanted = ORDER.replace("A-1\"/>\n", "A-1\"/>\n  <urgency>now</urgency>\n");
    assert_eq!(written, wanted);
    let written =
        edited(ORDER, "\"resourceType\":\"Patient\"", "\"resourceType\":\"Patient\",\"birthDate\":\"1950-01-02\"");
    let wanted = ORDER.replace("X1\"/>\n", "X1\"/>\n    <born>1950-01-02</born>\n");
    assert_eq!(written, wanted);
}

#[test]
fn names_are_written_with_the_prefixes_of_the_document() {
    let prefixed = ORDER
        .replace("xmlns=", "xmlns:o=")
        .replace("<order", "<o:order")
        .replace("</order", "</o:order")
        .replace("<templateId", "<o:templateId")
        .replace("<id", "<o:id")
        .replace("<person", "<o:person")
        .replace("</person", "</o:person")
        .replace("<remark", "<o:remark")
        .replace("</remark", "</o:remark");
    let written = edited(&prefixed, "\"status\":\"active\"", "\"status\":\"active\",\"priority\":\"stat\"");
    assert!(written.contains("  <o:urgency>now</o:urgency>\n"), "{written}");
    let finding = "<o:finding id=\"f\"><o:concept code=\"c\"/></o:finding>";
    let with = prefixed.replace("  <o:remark", &format!("  {finding}\n  <o:remark"));
    let written = edited(&with, "\"status\":\"final\"", "\"status\":\"final\",\"valueQuantity\":{\"value\":1.50}");
    assert!(written.contains("xsi:type=\"o:Quantity\" value=\"1.50\"/>"), "{written}");
    assert!(written.contains("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""), "{written}");
    // What was written is read.
    assert!(acme().get(&tree(&written), &context()).unwrap().document().json().contains("1.50"));
}

#[test]
fn what_is_taken_out_leaves_no_empty_elements_behind() {
    let with = ORDER.replace("  <person>", "  <window>\n    <low value=\"2025\"/>\n  </window>\n  <person>");
    let written = edited(&with, ",\"occurrencePeriod\":{\"start\":\"2025\"}", "");
    assert_eq!(written, ORDER);
}

#[test]
fn a_new_document_says_of_which_type_it_is() {
    let (map, tree) = (acme(), tree(ORDER));
    let got = map.get(&tree, &context()).unwrap();
    let written = String::from_utf8(map.create(got.document(), &context()).unwrap().bytes).unwrap();
    assert!(written.contains("<order xmlns=\"urn:acme:order\" xmlns:e=\"urn:acme:extra\""), "{written}");
    assert!(written.contains("<templateId root=\"1.2.246.10.77\"/>"), "{written}");
    let again = self::tree(&written);
    assert!(map.reads(&again));
}

#[test]
fn a_document_of_another_type_of_the_same_root_is_not_read() {
    let maps = maps(MAP, SCHEMA);
    let other = ORDER.replace("1.2.246.10.77", "1.2.246.10.78");
    assert!(maps.find(&tree(&other)).is_err());
    let elsewhere = ORDER.replace("urn:acme:order", "urn:acme:other");
    assert!(maps.find(&tree(&elsewhere)).is_err());
    assert_eq!(maps.find(&tree(ORDER)).unwrap().name(), "acme-order");
}

#[test]
fn a_path_that_the_schema_does_not_know_is_told() {
    let wrong = MAP.replace("  urgency <=>", "  urgenzy <=>");
    let found = maps(&wrong, SCHEMA);
    let problem = found.problems().first().unwrap();
    assert_eq!(problem.what, "Order has no element urgenzy");
    assert!(problem.right.contains("urgency"), "{problem:?}");
    let found = maps(MAP, &SCHEMA.replace("  placed? Moment", "  placed? Momnt"));
    let problem = found.problems().first().unwrap();
    assert_eq!((problem.file.as_ref(), problem.what.as_str()), ("acme.xmlschema", "there is no type Momnt"));
    assert_eq!(problem.span.line, 12);
}

#[test]
fn a_place_that_no_line_speaks_of_is_named() {
    let silent = MAP.replace("  other residue\n", "").replace("  e:channel <=> order.patientInstruction\n", "");
    let maps = maps(&silent, SCHEMA);
    assert!(maps.problems().is_empty(), "{:?}", maps.problems());
    let unclaimed = maps.named("acme-order").unwrap().coverage().unclaimed;
    assert!(unclaimed.contains(&"/e:channel".to_owned()), "{unclaimed:?}");
    let explained = acme().explain("/order[1]/person[1]/born[1]/text()[1]");
    assert!(explained.iter().any(|line| line.element == "Patient.birthDate"), "{explained:?}");
}
