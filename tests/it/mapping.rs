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
