//! Bundles of other versions: what they say for themselves.

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::Maps;

use super::{context, parsed, tree};

fn transaction() -> Value {
    json!({
        "resourceType": "Bundle", "id": "b1", "meta": {"lastUpdated": "2026-01-05T09:00:00Z"},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:7d1f2a36-5a4f-4c39-9d4e-3c8a4c1f2b11"},
        "type": "transaction", "timestamp": "2026-01-05T09:00:00Z",
        "entry": [
            {"fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111",
             "resource": {"resourceType": "Patient", "name": [{"family": "Virtanen"}]},
             "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=x|1"}},
            {"fullUrl": "urn:uuid:22222222-2222-4222-8222-222222222222",
             "resource": {"resourceType": "CarePlan", "status": "active", "intent": "plan",
                 "subject": {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"},
                 "activity": [{"plannedActivityReference": {"reference": "ServiceRequest/1"}}]},
             "request": {"method": "POST", "url": "CarePlan"}},
            {"fullUrl": "urn:uuid:33333333-3333-4333-8333-333333333333",
             "resource": {"resourceType": "Flag", "status": "active", "code": {"text": "x"},
                 "subject": {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}},
             "request": {"method": "POST", "url": "Flag"}},
        ],
    })
}

fn document(value: &Value) -> std::sync::Arc<Document> {
    Document::from_json(Model::r4(), value.to_string().into_bytes(), &Limits::default()).unwrap()
}

#[test]
fn a_bundle_keeps_its_type_and_what_it_says_for_itself_and_of_its_entries() {
    let maps = Maps::embedded(Model::r4());
    let (bytes, cx) = (transaction().to_string().into_bytes(), context());
    for bytes in [super::xml::of(&bytes).into_bytes(), bytes] {
        let native = tree(&bytes);
        let map = maps.find(&native).unwrap();
        assert_eq!(map.name(), "r5-bundle");
        let got = map.get(&native, &cx).unwrap();
        let bundle = parsed(got.document());
        for name in ["type", "timestamp", "identifier", "id", "meta"] {
            assert_eq!(bundle[name], transaction()[name], "{name}");
        }
        assert_eq!(bundle["entry"][0]["request"], transaction()["entry"][0]["request"]);
        let left = |path: &str| {
            let item = got.report(&native).items.into_iter().find(|i| i.path.ends_with(path)).unwrap();
            item.disposition == silta_engine::mapping::Disposition::Residue
        };
        let is_xml = bytes.starts_with(b"<");
        assert!(left(if is_xml { "Flag[1]/status[1]/@value" } else { "$.entry[2].resource.status" }));
        assert!(!left(if is_xml { "/Bundle[1]/timestamp[1]/@value" } else { "$.timestamp" }));

        let mut edited = bundle.clone();
        edited["timestamp"] = json!("2026-01-06T09:00:00Z");
        edited["entry"][1]["request"]["method"] = json!("PUT");
        edited["entry"][1]["request"]["url"] = json!("CarePlan/7");
        let written = map.put(&document(&edited), &native, &cx).unwrap();
        let text = String::from_utf8(written.bytes.clone()).unwrap();
        let mut wanted = String::from_utf8(bytes.clone()).unwrap();
        let changes = if is_xml {
            let method =
                |method: &str, url: &str| format!("<method value=\"{method}\"/>\n      <url value=\"{url}\"/>");
            [
                ("<timestamp value=\"2026-01-05".to_owned(), "<timestamp value=\"2026-01-06".to_owned()),
                (method("POST", "CarePlan"), method("PUT", "CarePlan/7")),
            ]
        } else {
            let method = |method: &str, url: &str| format!("\"method\":\"{method}\",\"url\":\"{url}\"");
            [
                ("\"timestamp\":\"2026-01-05".to_owned(), "\"timestamp\":\"2026-01-06".to_owned()),
                (method("POST", "CarePlan"), method("PUT", "CarePlan/7")),
            ]
        };
        for (before, after) in changes {
            assert!(wanted.contains(&before), "{wanted}");
            wanted = wanted.replacen(&before, &after, 1);
        }
        assert_eq!(text, wanted);
        assert_eq!(parsed(map.get(&tree(&written.bytes), &cx).unwrap().document()), edited);
    }
}

#[test]
fn a_searchset_made_anew_has_its_total_its_links_and_why_each_entry_is_there() {
    let maps = Maps::embedded(Model::r4());
    let wanted = json!({
        "resourceType": "Bundle", "type": "searchset", "total": 1,
        "link": [{"relation": "self", "url": "https://example.org/Goal?patient=1"}],
        "entry": [{"fullUrl": "https://example.org/Goal/1", "search": {"mode": "match", "score": 0.5},
            "resource": {"resourceType": "Goal", "id": "1", "lifecycleStatus": "active",
                "description": {"text": "x"}, "subject": {"reference": "Patient/1"}}}],
    });
    for (name, xml) in [("r5-bundle", false), ("r5-bundle", true), ("stu3-bundle", false), ("stu3-bundle", true)] {
        let (map, mut cx) = (maps.named(name).unwrap(), context());
        cx.xml = xml;
        let written = map.create(&document(&wanted), &cx).unwrap();
        assert_eq!(written.bytes.starts_with(b"<"), xml);
        let again = map.get(&tree(&written.bytes), &cx).unwrap();
        assert_eq!(parsed(again.document()), wanted, "{name}");
    }
}

#[test]
fn a_type_that_the_carried_entries_do_not_allow_stands_beside_the_one_that_they_do() {
    let maps = Maps::embedded(Model::r4());
    let message = json!({"resourceType": "Bundle", "type": "message", "entry": [
        {"fullUrl": "https://example.org/MessageHeader/1", "resource": {"resourceType": "MessageHeader", "id": "1"}},
        {"fullUrl": "https://example.org/Patient/1", "resource": {"resourceType": "Patient", "id": "1"}},
    ]});
    let map = maps.named("r5-bundle").unwrap();
    let (bytes, cx) = (message.to_string().into_bytes(), context());
    let got = map.get(&tree(&bytes), &cx).unwrap();
    let bundle = parsed(got.document());
    assert_eq!(bundle["type"], "collection");
    assert_eq!(bundle["_type"]["extension"][0]["valueCode"], "message");
    assert_eq!(map.put_through(got.document(), &tree(&bytes), &cx).unwrap().bytes, bytes);
}
