//! `silta translate` and `silta map`, through the program: what an integrator does with a format of his own, and what
//! anyone does with a message.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn silta(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_silta")).args(arguments).output().unwrap()
}

fn silta_with(input: &[u8], arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_silta"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const REFERRAL: &str = "MSH|^~\\&|HIS|HOSP|SILTA|SILTA|20251113100000+0200||REF^I12^REF_I12|M1|T|2.5.1\r\
    RF1|P|A^ASAP^HL70280||||R-77^HOSP|||20251113\r\
    PRD|RP|Lind^Maija|||||MD77\r\
    PID|1||010190-900R^^^^NNFIN||Virtanen^Aino||19900101|F\r\
    ZXX|kept\r";

const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["kind", "number"],
  "properties": {
    "kind": { "const": "order" },
    "number": { "type": "string" },
    "urgency": { "enum": ["now", "soon", "later"] },
    "ordered": { "type": "string" },
    "person": { "type": "object", "properties": { "id": { "type": "string" }, "name": { "type": "string" } } },
    "remarks": { "type": "array", "items": { "type": "object", "properties": {
      "key": { "type": "string" }, "text": { "type": "string" } } } },
    "inside": { "type": "string" }
  }
}"#;

const MAP: &str = r#"# Orders of a system of our own.
map acme-order json schema "acme.schema.json" when $.kind = "order" <=> fhir R4 Bundle
  entry order: ServiceRequest key $.number
  entry patient: Patient key $.person.id
  const order.status = "active"  order.intent = "order"
  link order.subject = patient
  $.number <=> order.identifier[0].value
  $.urgency <=> order.priority coded { now = stat  soon = urgent ~asap  later = routine } else error
  $.ordered <=> order.authoredOn iso
  $.person.id <=> patient.identifier[0].value
  $.person.name <=> patient.name[0].text
  each $.remarks[] key $.key <=> order.note[]
    $.text <=> .text
    $.key residue
  $.inside drop "an internal number of the sender's"
"#;

const ORDER: &str = r#"{
  "kind" : "order",  "number":"A-1", "urgency":"soon",
  "person": {"id":"7", "name":"Aino"},
  "remarks":[ {"key":"1","text":"first"} , {"key":"2","text":"second"} ],
  "inside": "x9", "ownThing": 1.10
}"#;

fn own(map: &str, schema: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("acme.map"), map).unwrap();
    fs::write(folder.path().join("acme.schema.json"), schema).unwrap();
    folder
}

fn written(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn the_maps_of_the_program_are_sound_and_speak_of_every_leaf() {
    let checked = silta(&["map", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", out(&checked), err(&checked));
    assert!(out(&checked).contains(" 0 errors, 0 leaves that no line speaks of"), "{}", out(&checked));
    let as_json = silta(&["map", "check", "--json"]);
    let maps: Vec<Value> = out(&as_json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(maps.iter().any(|map| map["map"] == "ref-i12" && map["unclaimed"] == serde_json::json!([])));
}

#[test]
fn an_integrators_own_map_is_checked_and_translates_both_ways() {
    let folder = own(MAP, SCHEMA);
    let maps = text(folder.path());
    let checked = silta(&["map", "check", maps]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", out(&checked), err(&checked));
    assert!(out(&checked).contains("acme-order: "), "{}", out(&checked));
    assert!(out(&checked).contains("left out: acme.map:15: an internal number of the sender's"), "{}", out(&checked));
    let alone = silta(&["map", "check", text(&folder.path().join("acme.map"))]);
    assert_eq!(alone.status.code(), Some(0), "{}", out(&alone));

    let order = written(folder.path(), "order.json", ORDER.as_bytes());
    let got = silta(&["translate", "--to", "fhir", "--maps", maps, "--report=json", text(&order)]);
    assert_eq!(got.status.code(), Some(0), "{}", err(&got));
    let report: Value = serde_json::from_str(&err(&got)).unwrap();
    let leaf = |path: &str| report["items"].as_array().unwrap().iter().find(|i| i["path"] == path).unwrap().clone();
    assert_eq!(report["map"], "acme-order");
    assert_eq!(leaf("$.urgency")["to"], serde_json::json!(["Bundle.entry[0].resource.priority"]));
    assert_eq!(leaf("$.inside")["disposition"], "dropped");
    assert_eq!(leaf("$.ownThing")["disposition"], "residue");

    let bundle = out(&got).replace("\"second\"", "\"changed\"");
    let bundle = written(folder.path(), "bundle.json", bundle.as_bytes());
    let back = silta(&["translate", "--to", "native", "--maps", maps, "--original", text(&order), text(&bundle)]);
    assert_eq!(out(&back), ORDER.replace("second", "changed"), "{}", err(&back));

    let new = silta(&["translate", "--to", "native", "--maps", maps, "--map", "acme-order", text(&bundle)]);
    let new: Value = serde_json::from_slice(&new.stdout).unwrap();
    assert_eq!((&new["kind"], &new["remarks"][1]["text"]), (&"order".into(), &"changed".into()));
}

#[test]
fn a_mistake_in_a_map_is_shown_with_its_line_and_what_would_be_right() {
    let folder = own(&MAP.replace("order.authoredOn", "order.authored"), SCHEMA);
    let checked = silta(&["map", "check", text(folder.path())]);
    assert_eq!(checked.status.code(), Some(1));
    let told = out(&checked);
    assert!(told.contains("acme.map:9:"), "{told}");
    assert!(told.contains("9 | $.ordered <=> order.authored iso"), "{told}");
    assert!(told.contains("right: "), "{told}");

    let folder = own(&MAP.replace("  $.inside drop \"an internal number of the sender's\"\n", ""), SCHEMA);
    let checked = silta(&["map", "check", text(folder.path())]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(out(&checked).contains("$.inside: no line speaks of it"), "{}", out(&checked));

    let folder = own(MAP, "{ no schema");
    let checked = silta(&["map", "check", text(folder.path())]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(out(&checked).contains("acme.schema.json:1:"), "{}", out(&checked));

    assert_eq!(silta(&["map", "check", "/there/is/no/such.map"]).status.code(), Some(2));
}

#[test]
fn a_place_is_explained_from_both_sides() {
    let native = silta(&["map", "explain", "ref-i12", "PID[1]-5[1].1.1"]);
    assert!(out(&native).contains("PID-5.1.1 <=> patient.name[].family"), "{}", out(&native));
    for fhir in ["Patient.birthDate", "patient.birthDate"] {
        let found = silta(&["map", "explain", "ref-i12", fhir]);
        assert!(out(&found).contains("PID-7 <=> patient.birthDate"), "{}", out(&found));
        assert!(out(&found).contains("PID-7 <=> patient.birthDate dtm else residue"), "{}", out(&found));
    }
    let kept = silta(&["map", "explain", "ref-i12", "AUT-1"]);
    assert!(out(&kept).contains("stays in the original"), "{}", out(&kept));
    let column = silta(&["map", "explain", "fi-kotihoito-toteuma", "row 3/alkoi", "--json"]);
    let column: Value = serde_json::from_str(&out(&column)).unwrap();
    assert_eq!(column["element"], "Encounter.period.start");
    assert_eq!(silta(&["map", "explain", "ref-i12", "no.such.place"]).status.code(), Some(1));
    let unknown = silta(&["map", "explain", "no-such-map", "PID-5"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(err(&unknown).contains("ref-i12"), "{}", err(&unknown));
}

#[test]
fn a_map_is_described_in_tables() {
    let described = out(&silta(&["map", "doc", "fi-kotihoito-toteuma"]));
    assert!(described.starts_with("# fi-kotihoito-toteuma\n"), "{described}");
    assert!(
        described.contains("| row/alkoi | <=> | visit.period.start | `alkoi <=> .period.start date"),
        "{described}"
    );
    let broken: Vec<&str> = described.lines().filter(|l| l.starts_with('|') != l.ends_with('|')).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn a_message_finds_its_map_and_only_an_edit_changes_it() {
    let got = silta_with(REFERRAL.as_bytes(), &["translate", "--to", "fhir", "--report", "-"]);
    assert_eq!(got.status.code(), Some(0), "{}", err(&got));
    assert!(err(&got).contains("PID[1]-7[1].1.1") && err(&got).contains("conveyed"), "{}", err(&got));
    let folder = tempfile::tempdir().unwrap();
    let original = written(folder.path(), "referral.hl7", REFERRAL.as_bytes());
    let same = silta_with(&got.stdout, &["translate", "--to", "native", "--original", text(&original), "-"]);
    assert_eq!(out(&same), REFERRAL);
    let edited = out(&got).replace("1990-01-01", "1990-01-02");
    let back = silta_with(edited.as_bytes(), &["translate", "--to", "native", "--original", text(&original), "-"]);
    assert_eq!(out(&back), REFERRAL.replace("|19900101|", "|19900102|"));

    let xml = silta_with(REFERRAL.as_bytes(), &["translate", "--to", "fhir", "--xml", "-"]);
    let xml = written(folder.path(), "bundle.xml", &xml.stdout);
    let same = silta(&["translate", "--to", "native", "--original", text(&original), text(&xml)]);
    assert_eq!(out(&same), REFERRAL, "{}", err(&same));

    let new = silta_with(&got.stdout, &["translate", "--to", "native", "--map", "ref-i12", "-"]);
    assert!(out(&new).contains("REF^I12^REF_I12") && out(&new).contains("\rPID|"), "{}", out(&new));
}

#[test]
fn what_the_format_cannot_say_is_refused_with_its_place_or_told() {
    let got = silta_with(REFERRAL.as_bytes(), &["translate", "--to", "fhir", "-"]);
    let folder = tempfile::tempdir().unwrap();
    let original = written(folder.path(), "referral.hl7", REFERRAL.as_bytes());
    let edited = out(&got).replace("\"status\": \"requested\"", "\"status\": \"draft\"");
    let arguments = ["translate", "--to", "native", "--original", text(&original), "-"];
    let refused = silta_with(edited.as_bytes(), &arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    assert!(err(&refused).contains("resource.status: expected one of"), "{}", err(&refused));
    let told = silta_with(edited.as_bytes(), &[&arguments[..], &["--lossy"]].concat());
    assert_eq!(told.status.code(), Some(0), "{}", err(&told));
    assert!(err(&told).contains("resource.status: not carried"), "{}", err(&told));
}

#[test]
fn what_is_not_read_is_told_by_the_exit_code_and_in_words() {
    let unknown = silta_with(b"{\"a\":1}", &["translate", "--to", "fhir", "-"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("no map reads this document; known are "), "{}", err(&unknown));
    let broken = silta_with(b"{\"a\":", &["translate", "--to", "fhir", "-"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(err(&broken).contains("line 1"), "{}", err(&broken));
    assert_eq!(silta(&["translate", "--to", "fhir", "/no/such/file"]).status.code(), Some(2));
    assert_eq!(silta_with(b"{}", &["translate", "--to", "native", "-"]).status.code(), Some(1));
    let bundle = b"{\"resourceType\":\"Bundle\",\"type\":\"collection\"}";
    assert_eq!(silta_with(bundle, &["translate", "--to", "native", "-"]).status.code(), Some(2));
    assert_eq!(silta(&["translate", "--to", "fhir", "--map", "no-such", "/dev/null"]).status.code(), Some(2));
}

#[test]
fn a_providers_settings_come_from_a_gateways_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(
        folder.path(),
        "silta.toml",
        b"[access]\nopen = true\n[providers.hospital]\nmode = \"test\"\nfiles = { folder = \".\", name = \"{sequence}.hl7\" }\n[providers.hospital.map.authorities]\nHOSP = \"urn:oid:1.2.3.4\"\n",
    );
    let arguments = ["translate", "--to", "fhir", "--config", text(&config), "--provider", "hospital", "-"];
    let got = silta_with(REFERRAL.as_bytes(), &arguments);
    assert!(out(&got).contains("\"urn:oid:1.2.3.4\""), "{}{}", out(&got), err(&got));
    let unknown = silta_with(
        REFERRAL.as_bytes(),
        &["translate", "--to", "fhir", "--config", text(&config), "--provider", "nobody", "-"],
    );
    assert_eq!(unknown.status.code(), Some(2));
    assert!(err(&unknown).contains("there are hospital"), "{}", err(&unknown));
}

#[test]
fn a_file_of_several_messages_is_translated_and_written_back_message_by_message() {
    let second = REFERRAL.replace("M1", "M2").replace("Virtanen", "Korhonen");
    let batch = format!("FHS|^~\\&|HIS\rBHS|^~\\&|HIS\r{REFERRAL}{second}BTS|2\rFTS|1\r");
    let framed = format!("\x0b{REFERRAL}\x1c\r\x0b{second}\x1c\r");
    let plain = format!("{REFERRAL}\r{second}");
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in [("batch.hl7", &batch), ("framed.hl7", &framed), ("plain.hl7", &plain)] {
        let original = written(folder.path(), name, file.as_bytes());
        let got = silta(&["translate", "--to", "fhir", "--report=json", text(&original)]);
        assert_eq!(got.status.code(), Some(0), "{name}: {}", err(&got));
        let bundles = out(&got);
        assert_eq!(bundles.lines().count(), 2, "{name}");
        assert_eq!(err(&got).lines().count(), 2, "{name}: {}", err(&got));
        let back = ["translate", "--to", "native", "--original", text(&original), "-"];
        assert_eq!(silta_with(bundles.as_bytes(), &back).stdout, file.as_bytes(), "{name}");
        let edited = bundles.replace("Korhonen", "Nieminen");
        assert_eq!(out(&silta_with(edited.as_bytes(), &back)), file.replace("Korhonen", "Nieminen"), "{name}");
        let one = silta_with(bundles.lines().next().unwrap().as_bytes(), &back);
        assert_eq!(one.status.code(), Some(2), "{name}");
        assert!(err(&one).contains("expected 2 Bundles"), "{name}: {}", err(&one));
    }
    let alone = written(folder.path(), "one.hl7", format!("\x0b{REFERRAL}\x1c\r").as_bytes());
    let got = silta(&["translate", "--to", "fhir", text(&alone)]);
    assert!(got.status.success() && out(&got).lines().count() > 10, "{}", err(&got));
    let half = written(folder.path(), "half.hl7", batch.replace("REF^I12^REF_I12|M2", "XXX^Y99|M2").as_bytes());
    let got = silta(&["translate", "--to", "fhir", text(&half)]);
    assert_eq!((got.status.code(), out(&got).lines().count()), (Some(1), 1), "{}", err(&got));
    assert!(err(&got).starts_with("message 2: "), "{}", err(&got));
}

#[test]
fn what_is_wrong_in_a_map_is_told_where_a_document_finds_none() {
    let folder = own(&MAP.replace("order.authoredOn", "order.authored"), SCHEMA);
    let got = silta_with(ORDER.as_bytes(), &["translate", "--to", "fhir", "--maps", text(folder.path()), "-"]);
    assert_eq!(got.status.code(), Some(2), "{}", err(&got));
    assert!(err(&got).contains("no map reads this document"), "{}", err(&got));
    assert!(err(&got).contains("acme.map:") && err(&got).contains("right: `authoredOn`"), "{}", err(&got));
}

#[test]
fn cells_of_a_row_that_is_refused_are_leaves_that_are_not_carried() {
    let folder = tempfile::tempdir().unwrap();
    let map = "map rows delimited sep \";\" columns { hetu nimi alku } required { hetu nimi } <=> fhir R4 Bundle\n\
               \x20 each row\n    entry plan: CarePlan key nimi\n    const plan.status = \"active\" plan.intent = \"plan\"\n\
               \x20   entry patient: Patient key hetu\n    link plan.subject = patient\n    nimi <=> plan.title\n\
               \x20   hetu <=> patient.identifier[0].value\n    alku residue\n";
    written(folder.path(), "rows.map", map.as_bytes());
    let checked = silta(&["map", "check", text(folder.path())]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", out(&checked), err(&checked));
    let table = "hetu;nimi;alku\n010190-900R;S1\n   \n010190-900R;S2;1.1.2026\n";
    let arguments = ["translate", "--to", "fhir", "--report=json", "--maps", text(folder.path()), "-"];
    let got = silta_with(table.as_bytes(), &arguments);
    assert_eq!(got.status.code(), Some(1), "{}", err(&got));
    let report: Value = serde_json::from_str(err(&got).lines().next().unwrap()).unwrap();
    assert_eq!((&report["leaves"], &report["errors"]), (&Value::from(5), &Value::from(2)), "{report}");
    assert_eq!(report["items"][3]["path"], "row 2/#1");
}

#[test]
fn a_new_json_document_has_numbers_and_booleans_where_its_schema_says_so() {
    let schema = SCHEMA.replace(
        "\"urgency\": {",
        "\"count\": { \"type\": \"integer\" }, \"final\": { \"type\": \"boolean\" }, \"urgency\": {",
    );
    let map = MAP.replace(
        "  $.ordered",
        "  $.final <=> order.doNotPerform boolean \"false\" \"true\"\n  $.count <=> order.quantityQuantity.value\n  $.ordered",
    );
    let folder = own(&map, &schema);
    let maps = text(folder.path());
    let order = ORDER.replace("\"number\"", "\"final\": true, \"count\": 3, \"number\"");
    let got = silta_with(order.as_bytes(), &["translate", "--to", "fhir", "--maps", maps, "-"]);
    assert_eq!(got.status.code(), Some(0), "{}", err(&got));
    let new = ["translate", "--to", "native", "--map", "acme-order", "--maps", maps, "-"];
    let new = silta_with(out(&got).as_bytes(), &new);
    let new: Value = serde_json::from_str(&out(&new)).unwrap_or_else(|_| panic!("{}", err(&new)));
    assert_eq!((&new["final"], &new["count"]), (&Value::from(true), &Value::from(3)), "{new}");
}

#[test]
fn references_to_the_wrong_type_and_text_where_codes_are_wanted_are_told() {
    for (from, to, told) in [
        ("link order.subject = patient", "link order.requester = order", "does not refer to a ServiceRequest"),
        ("  $.ordered <=> order.authoredOn iso", "  $.ordered <=> patient.gender", "takes no text but the codes male"),
    ] {
        let folder = own(&MAP.replace(from, to), SCHEMA);
        let checked = silta(&["map", "check", text(folder.path())]);
        assert_eq!(checked.status.code(), Some(1), "{to}");
        assert!(out(&checked).contains(told), "{to}: {}", out(&checked));
    }
}
