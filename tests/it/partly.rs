//! What a provider gave before it failed is given, and said to be not all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::station::Station;
use crate::support::web::{Server, respond};

fn page(id: &str, next: Option<&str>) -> String {
    let plan = json!({
        "resourceType": "CarePlan", "id": id, "status": "active", "intent": "plan",
        "subject": {"identifier": {"system": "urn:oid:1.2.246.21", "value": "140347-9120"}}
    });
    let link: Vec<Value> = next.iter().map(|url| json!({"relation": "next", "url": url})).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "link": link, "entry": [{"resource": plan}]}).to_string()
}

#[tokio::test]
async fn the_pages_before_a_failure_are_given_and_the_next_question_asks_for_all_again() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let server = Server::plain(move |seen| match (seen.target.contains("page=2"), failing.load(Ordering::SeqCst)) {
        (false, _) => respond(200, "application/fhir+json", page("p1", Some("/?page=2"))),
        (true, true) => respond(500, "application/fhir+json", ""),
        (true, false) => respond(200, "application/fhir+json", page("p2", None)),
    })
    .await;
    let station = Station::start(&format!(
        "mode = 'test'\n[providers.ry]\nmode = 'test'\norganisations = ['urn:o|ry']\n[providers.ry.fhir]\nbase = '{}'\n\
         types = {{ CarePlan = {{ search = true }} }}\n",
        server.base()
    ))
    .await;
    let search = async || {
        let found = station.search("CarePlan", &[("patient.identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
        let entries = found["entry"].as_array().unwrap().clone();
        let of_mode = |mode: &str| -> Vec<Value> {
            entries.iter().filter(|entry| entry["search"]["mode"] == mode).map(|one| one["resource"].clone()).collect()
        };
        (of_mode("match"), of_mode("outcome")[0]["issue"].as_array().unwrap().clone())
    };
    let (plans, issues) = search().await;
    assert_eq!(plans.iter().map(|plan| plan["id"].as_str().unwrap()).collect::<Vec<_>>(), ["ry.p1"]);
    let told: Vec<(&str, &str)> = issues
        .iter()
        .map(|issue| (issue["code"].as_str().unwrap(), issue["details"]["text"].as_str().unwrap()))
        .collect();
    assert!(told.contains(&("incomplete", "not all of what ry has is here")), "{told:?}");
    assert!(told.contains(&("transient", "ry: it failed")), "{told:?}");

    fails.store(false, Ordering::SeqCst);
    let (plans, issues) = search().await;
    assert_eq!(plans.len(), 2, "what failed was not kept as the answer");
    assert!(issues.iter().all(|issue| issue["code"] == "informational"), "{issues:?}");
}
