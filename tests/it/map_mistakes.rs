//! Mistakes that are made in maps, and what is told of each: where it is, what is wrong, what would be right.

use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "kind": { "const": "order" },
    "number": { "type": "string" },
    "urgency": { "enum": ["now", "soon", "later"] },
    "ordered": { "type": "string" },
    "person": { "type": "object", "properties": { "id": { "type": "string" }, "name": { "type": "string" } } },
    "remarks": { "type": "array", "items": { "type": "object", "properties": { "text": { "type": "string" } } } }
  }
}"#;

const MAP: &str = r#"map acme json schema "acme.schema.json" when $.kind = "order" <=> fhir R4 Bundle
  entry order: ServiceRequest key $.number
  entry patient: Patient key $.person.id
  const order.status = "active"  order.intent = "order"
  link order.subject = patient
  $.urgency <=> order.priority coded { now = stat  soon = urgent ~asap  later = routine } else error
  $.ordered <=> order.authoredOn iso
  $.person.name <=> patient.name[0].text
  each $.remarks[] <=> order.note[]
    $.text <=> .text
"#;

/// What is told of the map with one thing in it exchanged: `line:column what (right)` each.
fn told_of(map: &str, schema: &str) -> Vec<String> {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let maps = Maps::with(Model::r4(), &[file("acme.map", map), file("acme.schema.json", schema)]);
    let of = |problem: &silta_engine::mapping::syntax::Problem| {
        format!("{}:{} {} ({})", problem.span.line, problem.span.column, problem.what, problem.right)
    };
    maps.problems().iter().map(of).collect()
}

fn told(from: &str, to: &str) -> Vec<String> {
    assert!(MAP.contains(from), "{from}");
    told_of(&MAP.replacen(from, to, 1), SCHEMA)
}

/// The first thing told begins so.
fn first(told: &[String], begins: &str) {
    assert!(told.first().is_some_and(|one| one.starts_with(begins)), "{told:#?}");
}

#[test]
fn the_map_without_a_mistake_is_sound() {
    assert_eq!(told_of(MAP, SCHEMA), Vec::<String>::new());
    let windows = format!("\u{feff}{}", MAP.replace('\n', "\r\n"));
    assert_eq!(told_of(&windows, SCHEMA), Vec::<String>::new(), "a byte order mark and line ends of any kind");
}

#[test]
fn an_element_that_a_resource_must_have_and_nobody_fills_is_named() {
    first(&told("order.status = \"active\"  ", ""), "2:3 no line fills what order must have: status (");
    first(&told("  link order.subject = patient\n", ""), "2:3 no line fills what order must have: subject (");
}

#[test]
fn a_line_that_cannot_be_read_is_told_alone_and_its_map_is_not_used() {
    let broken = MAP.replace("\"active\"", "\"active");
    assert_eq!(told_of(&broken, SCHEMA).len(), 1);
    let files = [("acme.map".to_owned(), broken), ("acme.schema.json".to_owned(), SCHEMA.to_owned())];
    assert!(Maps::with(Model::r4(), &files).named("acme").is_err());
}

#[test]
fn lines_of_a_map_whose_header_cannot_be_read_are_not_told_for_that() {
    assert_eq!(told("fhir R4", "fhir R5"), ["1:72 found `R5` (the FHIR side is `fhir R4 Bundle`)"]);
}

#[test]
fn a_name_is_there_once() {
    first(&told_of(&format!("{MAP}{MAP}"), SCHEMA), "11:1 there is a map acme already, at acme.map:1 (");
    let tables = format!("{MAP}table t {{ a = b }}\ntable t {{ a = c }}\n");
    first(&told_of(&tables, SCHEMA), "12:1 there is a table t already, at acme.map:11 (");
    first(&told("entry patient:", "entry order: Task\n  entry patient:"), "3:3 there is an entry order here already (");
}

#[test]
fn a_table_of_a_wrong_name_is_told_with_the_nearest() {
    let map = format!("{MAP}table urgency {{ now = stat  soon = urgent ~asap  later = routine }}\n");
    let named = map.replace("coded { now = stat  soon = urgent ~asap  later = routine }", "coded urgenzy");
    first(&told_of(&named, SCHEMA), "6:32 there is no table urgenzy (`urgency`, perhaps)");
}

#[test]
fn a_schema_of_a_wrong_name_is_told_with_the_nearest() {
    let told = told("acme.schema.json", "acmi.schema.json");
    assert!(told[0].contains("(`acme.schema.json`, perhaps"), "{told:?}");
}

#[test]
fn a_schema_that_refers_to_nothing_is_told() {
    let schema = SCHEMA.replace("\"items\": {", "\"items\": { \"$ref\": \"#/$defs/none\",");
    first(&told_of(MAP, &schema), "9:1 the reference #/$defs/none leads nowhere in the schema");
}

#[test]
fn how_far_in_a_line_stands_means_something() {
    first(
        &told("  $.ordered", "    $.ordered"),
        "7:5 this line stands further in or out than those it goes with (2 characters in",
    );
    first(&told("    $.text", "\t$.text"), "10:2 a tab before the line");
}

#[test]
fn a_table_that_does_not_end_is_told_where_it_begins() {
    first(&told("later = routine }", "later = routine"), "6:38 the table that begins here does not end before line 7");
}

#[test]
fn a_list_and_what_is_there_once_do_not_fit() {
    first(&told("<=> order.note[]", "<=> order.code"), "9:24 native repeats here and order.code does not (");
    let inside =
        told("each $.remarks[] <=> order.note[]\n    $.text <=> .text", "$.remarks.text <=> order.note[0].text");
    first(&inside, "9:3 a list stands here, so no \"text\" (`[]` after the list's name");
}

#[test]
fn an_object_is_no_text() {
    first(&told("$.person.name <=>", "$.person <=>"), "8:3 an object with members is no text (");
}

#[test]
fn a_code_that_is_always_written_is_one_of_those_that_there_are() {
    first(&told("\"active\"", "\"aktive\""), "4:9 aktive is not in the required value set (one of draft, active,");
}

#[test]
fn a_system_is_known_or_a_uri() {
    let told = told("\"order\"\n", "\"order\"  order.code = acme-codes#x\n");
    first(&told, "4:58 acme-codes names no system (`alias acme-codes = \"uri\"`, or the URI in quotes)");
}

#[test]
fn one_native_code_has_one_row_and_one_element_one_line() {
    first(&told("now = stat", "now = stat now = urgent"), "6:51 the native code now has a row before this one (");
    let twice = told(
        "$.ordered <=> order.authoredOn iso\n",
        "$.ordered <=> order.authoredOn iso\n  $.number <=> order.authoredOn iso\n",
    );
    first(&twice, "8:3 this line and acme.map:7 fill the same element (");
}

#[test]
fn what_is_dropped_is_dropped_for_a_reason() {
    first(
        &told("  $.ordered <=> order.authoredOn iso\n", "  $.ordered drop\n"),
        "7:17 the reason for dropping it is missing here",
    );
}

#[test]
fn what_stands_in_for_a_code_is_one_of_those_that_there_are() {
    let told_of = |to: &str| told("} else error", to);
    first(&told_of("} else soonish"), "6:3 soonish is not in the required value set (one of routine,");
    first(&told_of("} empty => whenever else error"), "6:3 whenever is not in the required value set (one of routine,");
}

#[test]
fn a_one_way_table_has_codes_of_the_element_too() {
    let to = "$.urgency => order.priority coded { now = stat  soon = hasty  later = routine } reason \"so\"";
    let from = "$.urgency <=> order.priority coded { now = stat  soon = urgent ~asap  later = routine } else error";
    first(&told(from, to), "6:3 hasty is not in the required value set (one of routine,");
}

#[test]
fn an_alias_stands_for_one_thing_in_all_files() {
    let told = told("\"order\"\n", "\"order\"\n").len();
    assert_eq!(told, 0);
    let own = format!("{MAP}alias v2 = \"https://acme.example/\"\n");
    first(
        &told_of(&own, SCHEMA),
        "11:1 v2 is https://silta.example/fhir/v2/StructureDefinition/ already, at hl7/v2/maps/",
    );
    let alike = format!("{MAP}alias v2 = \"https://silta.example/fhir/v2/StructureDefinition/\"\n");
    assert_eq!(told_of(&alike, SCHEMA), Vec::<String>::new());
}

#[test]
fn what_is_wrong_in_a_block_is_told_once() {
    let block = "block acme-remark json <=> Annotation\n  $.text <=> .texst\n";
    let own = MAP.replace("<=> order.note[]\n    $.text <=> .text\n", "<=> order.note[] use acme-remark\n");
    let second = own.replace("map acme json", "map acme-second json");
    let told = told_of(&format!("{own}{second}{block}"), SCHEMA);
    assert_eq!(told.iter().filter(|one| one.contains("texst")).count(), 1, "{told:#?}");
}
