//! A Swedish referral, a later version of it, and what answers it, each as its sender writes it.

use bytes::Bytes;
use serde_json::Value;
use silta::exchange::{Config, ExchangeError};
use silta::store::ResourceKey;

use super::Site;

const REQUEST: &str = include_str!("../../../profiles/se/samples/remiss.xml");
const CONFIRMATION: &str = include_str!("../../../profiles/se/samples/bekraftelse.xml");
const ANSWER: &str = include_str!("../../../profiles/se/samples/svar.xml");
const NUMBER: &str = "SE9999999999-0001#R-2026-0142";

/// A hospital that refers and a unit for rehabilitation that is referred to.
fn site() -> Site {
    let persons = vec!["urn:oid:1.2.752.129.2.1.3.1".to_owned()];
    let config = Config { person_systems: persons, ..Config::default() };
    Site::knowing(
        r#"
[sjukhus]
mode = "test"
organisations = ["urn:oid:1.2.752.129.2.1.4.1|SE9999999999-10A1"]
[sjukhus.map]
time_zone = "Europe/Stockholm"
[rehab]
mode = "test"
organisations = ["urn:oid:1.2.752.129.2.1.4.1|SE9999999998-20A1"]
[rehab.map]
time_zone = "Europe/Stockholm"
"#,
        config,
    )
}

async fn sent(site: &Site, provider: &str, document: &str) -> Result<(), ExchangeError> {
    let body = Bytes::from(document.to_owned());
    site.exchange.hook(provider, None, "application/xml", body, None, "one").await.map(drop)
}

async fn order(site: &Site) -> Value {
    serde_json::from_str(site.resource("ServiceRequest", NUMBER).await.json()).unwrap()
}

async fn task(site: &Site) -> Value {
    let key = ResourceKey::new("Task", order(site).await["id"].as_str().unwrap());
    let task = site.store.read(move |view| view.member(&key)).await.unwrap().unwrap();
    serde_json::from_slice(&task.resource.content).unwrap()
}

/// The next version of the referral, changed by who wrote it.
fn changed() -> String {
    REQUEST
        .replace("<core:code>NR<", "<core:code>AR<")
        .replace("<core:versionNumber>1<", "<core:versionNumber>2<")
        .replace("20260302091400", "20260304080000")
        .replace("Bortrest vecka 12.", "Hemma från vecka 12.")
}

#[tokio::test]
async fn a_referral_is_confirmed_held_and_answered_in_its_own_format() {
    let site = site();
    sent(&site, "sjukhus", REQUEST).await.unwrap();
    assert_eq!(task(&site).await["status"], "requested");
    let accepted = CONFIRMATION.replace(">KOM<", ">BEK<").replace("#B-77", "#B-76");
    sent(&site, "rehab", &accepted).await.unwrap();
    assert_eq!(task(&site).await["status"], "accepted");
    sent(&site, "rehab", &ANSWER.replace(">SSV<", ">DSV<").replace("#S-12", "#S-11")).await.unwrap();
    assert_eq!(task(&site).await["status"], "in-progress");
    sent(&site, "rehab", CONFIRMATION).await.unwrap();
    assert_eq!(task(&site).await["status"], "on-hold");
    assert_eq!(task(&site).await["statusReason"]["text"], "Vilken belastning är tillåten?");
    sent(&site, "rehab", ANSWER).await.unwrap();
    let task = task(&site).await;
    assert_eq!(task["status"], "completed");
    let outputs = task["output"].as_array().unwrap();
    assert!(outputs.iter().any(|one| one["type"]["coding"][0]["code"] == "DiagnosticReport"), "{task}");
    assert!(outputs.iter().filter(|one| one["type"]["coding"][0]["code"] == "Procedure").count() >= 2, "{task}");
}

#[tokio::test]
async fn a_later_version_changes_the_order_and_leaves_the_work_as_it_stands() {
    let site = site();
    sent(&site, "sjukhus", REQUEST).await.unwrap();
    sent(&site, "rehab", &CONFIRMATION.replace(">KOM<", ">BEK<")).await.unwrap();
    sent(&site, "sjukhus", &changed()).await.unwrap();
    assert_eq!(task(&site).await["status"], "accepted");
    let order = order(&site).await;
    let extension = |name: &str| {
        let all = order["extension"].as_array().unwrap();
        all.iter().find(|one| one["url"].as_str().unwrap().ends_with(name)).unwrap().clone()
    };
    assert_eq!(extension("versionNumber")["valuePositiveInt"], 2);
    assert_eq!(extension("reasonForVersion")["valueCode"], "AR");
    assert_eq!(extension("administrativeInformation")["valueString"], "Hemma från vecka 12.");
}
