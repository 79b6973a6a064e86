//! A Danish referral and the decision on it, each as its sender writes it.

use bytes::Bytes;
use serde_json::{Value, json};
use silta::exchange::ExchangeError;
use silta::store::ResourceKey;

use super::Site;

const REFERRAL: &str = include_str!("../../../profiles/dk/samples/henvisning.json");
const DECISION: &str = include_str!("../../../profiles/dk/samples/visitationsafgoerelse.json");

/// A practice that refers and a municipality that is referred to.
fn site() -> Site {
    Site::with(
        r#"
[praksis]
mode = "test"
organisations = ["urn:oid:1.2.208.176.1.1|999990000016001"]
[praksis.map]
time_zone = "Europe/Copenhagen"
[kommune]
mode = "test"
organisations = ["urn:oid:1.2.208.176.1.1|999990000016002"]
[kommune.map]
time_zone = "Europe/Copenhagen"
"#,
    )
}

/// The sample of a document with some of its members changed.
fn changed(sample: &str, change: impl Fn(&mut Value)) -> Bytes {
    let mut document: Value = serde_json::from_str(sample).unwrap();
    change(&mut document);
    Bytes::from(document.to_string())
}

async fn sent(site: &Site, provider: &str, document: Bytes) -> Result<(), ExchangeError> {
    site.exchange.hook(provider, None, "application/json", document, None, "one").await.map(drop)
}

#[tokio::test]
async fn a_decision_moves_the_task_of_the_referral_that_it_names_whatever_characters_the_number_has() {
    let site = site();
    for number in ["HEN-2026-004711", "HEN 2026/17#2", "A|1&b+c%20"] {
        let referral = changed(REFERRAL, |document| {
            document["henvisningsId"]["value"] = number.into();
            document["booking"] = Value::Null;
            document["dokumentation"] = json!([]);
        });
        sent(&site, "praksis", referral).await.unwrap();
        let order = site.resource("ServiceRequest", number).await;
        let decision = changed(DECISION, |document| {
            document["afgoerelseId"]["value"] = format!("VIS of {number}").into();
            document["vedroererHenvisning"]["identifier"]["value"] = number.into();
        });
        sent(&site, "kommune", decision).await.unwrap();
        let key = ResourceKey::new("Task", order.root().text_at("id").unwrap());
        let task = site.store.read(move |view| view.member(&key)).await.unwrap().unwrap();
        let task: Value = serde_json::from_slice(&task.resource.content).unwrap();
        assert_eq!(task["status"], "rejected", "{number}");
        assert_eq!(task["statusReason"]["coding"][0]["code"], "kapacitet");
        assert_eq!(task["businessStatus"]["coding"][0]["code"], "afvisning");
    }
}

#[tokio::test]
async fn a_referral_with_a_cpr_number_of_too_few_digits_is_refused_naming_the_place() {
    let site = site();
    let referral = changed(REFERRAL, |document| document["patient"]["cpr"]["value"] = "140347999".into());
    let error = sent(&site, "praksis", referral).await.unwrap_err();
    assert!(error.to_string().contains("10 digits"), "{error}");
}
