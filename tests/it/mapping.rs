//! The correspondence language, from outside: maps are checked, translate, and write back.

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::mapping::{Context, Maps};
use silta_engine::native::{Limits, Syntax, Tree};

fn maps() -> Maps {
    Maps::embedded(Model::r4())
}

fn context() -> Context {
    Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret")
}

fn v2(text: &[u8]) -> Tree {
    Syntax::Hl7V2(silta_engine::native::hl7v2::Options::default()).parse(text.to_vec(), &Limits::default()).unwrap()
}

#[test]
fn every_map_of_the_tree_is_sound_and_speaks_of_every_leaf() {
    let maps = Maps::with(Model::r4(), &[]);
    let problems: Vec<String> = maps.problems().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    for map in maps.iter() {
        assert_eq!(map.coverage().unclaimed, Vec::<String>::new(), "{}", map.name());
    }
}

const REFERRAL: &str = "MSH|^~\\&|HIS|HOSP^1.2.246.10.1^ISO|SILTA|SILTA|20251113100000+0200||REF^I12^REF_I12|M1|T|2.5.1\r\
    RF1|P|A^ASAP^HL70280|Hom^Home care^HL70281|||R-77^HOSP||||O||\r\
    PRD|RP^Referring Provider^HL70286|Lind^Maija|||||MD77\r\
    PRD|RT^Referred to Provider^HL70286|||^^^GUIDANCE&1.2.246.10.2&ISO\r\
    PID|1||010190-900R^^^^NNFIN||Virtanen^Aino^Helena||19900101|F|||Koivukatu 1^^Tampere^^33100||+358401234567^PRN^PH\r\
    DG1|1||S72.0^Fracture of neck of femur^I10||20251101|F\r\
    NTE|1||Lives alone.\r";

#[test]
fn a_referral_becomes_a_request_a_task_and_a_patient_that_refer_to_each_other() {
    let maps = maps();
    let tree = v2(REFERRAL.as_bytes());
    let got = maps.find(&tree).unwrap().get(&tree, &context()).unwrap();
    let of = |name: &str| got.resource(got.entry_named(name).unwrap()).unwrap();
    assert_eq!(of("referral").text_at("priority"), Some("asap"));
    assert_eq!(of("referral").text_at("status"), Some("active"));
    assert_eq!(of("task").text_at("status"), Some("requested"));
    assert_eq!(of("patient").text_at("birthDate"), Some("1990-01-01"));
    let referral = got.entries().iter().find(|e| &*e.name == "referral").unwrap();
    assert_eq!(of("task").text_at("focus.reference"), Some(referral.full_url.as_str()));
    assert_eq!(referral.native_id, "R-77-HOSP");
    let patient = got.entries().iter().find(|e| &*e.name == "patient").unwrap();
    assert!(patient.personal && !patient.native_id.contains("010190"));
    assert_eq!(of("patient").text_at("identifier.system"), Some("urn:oid:1.2.246.21"));
}

#[test]
fn an_unchanged_bundle_writes_the_same_bytes() {
    let maps = maps();
    let tree = v2(REFERRAL.as_bytes());
    let map = maps.find(&tree).unwrap();
    let got = map.get(&tree, &context()).unwrap();
    let written = map.put_through(got.document(), &tree, &context()).unwrap();
    assert_eq!(written.bytes, REFERRAL.as_bytes());
}

/// What a map of one's own, whose line on a list holds only of some resources, makes of a patient.
const GUARDED: &str = "map acme-registration hl7v2 ADT_A01 2.3..2.8 events A04 <=> fhir R4 Bundle
  entry patient: Patient key personal PID-3[1]
  each PID <=> patient
    PID-3[1].1 <=> .identifier[0].value
    PID-8 <=> .gender coded gender else residue
    PID-5* <=> .name[] xpn where .gender = female
  other residue
";

#[test]
fn a_line_on_a_list_is_written_only_where_it_holds_of_the_resource() {
    let maps = Maps::with(Model::r4(), &[("acme.map".to_owned(), GUARDED.to_owned())]);
    let map = maps.named("acme-registration").unwrap_or_else(|_| panic!("{:?}", maps.problems()));
    let made = |gender: &str| {
        let patient = format!(
            r#"{{"resourceType":"Patient","identifier":[{{"value":"7"}}],"name":[{{"family":"Alpha"}}],"gender":"{gender}"}}"#
        );
        let bundle = format!(
            r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"fullUrl":"urn:uuid:0b7a0b53-6b0f-4f7e-8a55-0f9a6b9f5a01","resource":{patient}}}]}}"#
        );
        let limits = silta_engine::fhir::document::Limits::default();
        let document =
            silta_engine::fhir::document::Document::from_json(Model::r4(), bundle.into_bytes(), &limits).unwrap();
        map.create(&document, &context()).map(|written| String::from_utf8(written.bytes).unwrap())
    };
    assert!(made("female").unwrap().contains("|Alpha|"));
    assert_eq!(made("male").unwrap_err().location(), "Bundle.entry[0].resource.name[0]");
}
