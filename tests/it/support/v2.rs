//! HL7 v2 messages of a test, and what is made of them.

use jiff::Timestamp;
use serde_json::Value;
use silta_engine::definitions::Model;
use silta_engine::mapping::{Context, Maps, Translation};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{self, Syntax, Tree};
use silta_engine::validation::{Severity, Validator};

pub(crate) const PATIENT: &str = "PID|1||111^^^HOSP^MR||Alpha^Anna||19700101|F";

pub(crate) fn context() -> Context {
    Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret")
}

/// A message of a kind, in a version, with these segments behind its header.
pub(crate) fn message(kind: &str, version: &str, segments: &[&str]) -> Tree {
    let header = format!("MSH|^~\\&|HIS|A|B|C|20260702091500+0300||{kind}|7|T|{version}\r");
    let body: String = segments.iter().map(|segment| format!("{segment}\r")).collect();
    Syntax::Hl7V2(Options::default()).parse((header + &body).into_bytes(), &native::Limits::default()).unwrap()
}

/// The Bundle of a message, which is valid and written back as it was.
pub(crate) fn sound(tree: &Tree, context: &Context) -> Translation {
    let maps = Maps::embedded(Model::r4());
    let map = maps.find(tree).unwrap();
    let got = map.get(tree, context).unwrap();
    assert_eq!(map.put_through(got.document(), tree, context).unwrap().bytes, tree.bytes());
    let findings = Validator::built_in().validate(got.document(), &[]);
    let errors: Vec<String> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}: {}", finding.path(got.document()), finding.text(got.document())))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{}", got.document().json());
    got
}

/// The resources of a Bundle.
pub(crate) fn resources(got: &Translation) -> Vec<Value> {
    let bundle: Value = serde_json::from_str(got.document().json()).unwrap();
    bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect()
}
