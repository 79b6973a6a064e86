//! What is put among others in a list of the Bundle stands among them in the message.

use jiff::Timestamp;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::{Context, Maps};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{self, Syntax, Tree};

const MESSAGE: &str = "MSH|^~\\&|HIS|A|B|C|20260302091500||REF^I12^REF_I12|7|P|2.5.1\r\
    RF1|P|A|||||20260302||||\r\
    PRD|RP|Lind^Maija|||||MD77\r\
    PID|1||111^^^HOSP^MR||Alpha^Anna^Beata^^^^L~Beta^Anna^^^^^M||19700101|F|||Katu 1^^Kylä^^00100^^H~Tie 2^^Kaupunki^^00200^^BA||^PRN^PH^^^^111~^PRN^PH^^^^222\r\
    NTE|1||first\r\
    NTE|2||second\r\
    DG1|1||I10^Hypertension^I10|||A\r";

fn parse(bytes: Vec<u8>) -> Tree {
    let options = Options { charset: native::Charset::Utf8 };
    Syntax::Hl7V2(options).parse(bytes, &native::Limits::default()).unwrap()
}

/// The list at a place of the Bundle.
fn list<'b>(bundle: &'b mut Value, kind: &str, place: &str) -> &'b mut Vec<Value> {
    let entries = bundle["entry"].as_array_mut().unwrap().iter_mut().map(|entry| &mut entry["resource"]);
    let resource = entries.into_iter().find(|resource| resource["resourceType"] == kind).unwrap();
    resource.pointer_mut(place).unwrap().as_array_mut().unwrap()
}

#[test]
fn a_repetition_put_anywhere_in_a_list_is_written_there() {
    let (maps, tree) = (Maps::embedded(Model::r4()), parse(MESSAGE.as_bytes().to_vec()));
    let cx = Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret");
    let map = maps.find(&tree).unwrap();
    let read = |tree: &Tree| -> Value { serde_json::from_str(map.get(tree, &cx).unwrap().document().json()).unwrap() };
    let cases = [
        ("Patient", "/name", json!({"family": "New", "given": ["X"]})),
        ("Patient", "/name/0/given", json!("New")),
        ("Patient", "/address", json!({"city": "New"})),
        ("Patient", "/telecom", json!({"system": "phone", "value": "333"})),
        ("ServiceRequest", "/note", json!({"text": "new"})),
    ];
    for (kind, place, new) in cases {
        let count = list(&mut read(&tree), kind, place).len();
        assert!(count > 1, "{kind}{place} has {count}");
        for at in 0..=count {
            let mut wanted = read(&tree);
            list(&mut wanted, kind, place).insert(at, new.clone());
            let document =
                Document::from_json(Model::r4(), wanted.to_string().into_bytes(), &Limits::default()).unwrap();
            let written = map.put(&document, &tree, &cx).unwrap_or_else(|why| panic!("{kind}{place} {at}: {why}"));
            let mut again = read(&parse(written.bytes));
            let texts = |all: &[Value]| all.iter().map(|one| one.pointer("/text").cloned()).collect::<Vec<_>>();
            let (got, wanted) = (list(&mut again, kind, place), list(&mut wanted, kind, place));
            assert_eq!(texts(got), texts(wanted), "{kind}{place} {at}");
            let families = |all: &[Value]| -> Vec<Value> {
                all.iter()
                    .map(|one| [&one["family"], &one["city"], &one["value"]].into_iter().cloned().collect())
                    .collect()
            };
            assert_eq!(families(got), families(wanted), "{kind}{place} {at}");
            if new.is_string() {
                assert_eq!(got, wanted, "{kind}{place} {at}");
            }
        }
    }
}
