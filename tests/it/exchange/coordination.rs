//! What the gateway coordinates for one person while much happens to that person at once.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use silta::exchange::{Changed, ExchangeError, Origin};
use silta::store::ResourceKey;
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits};

use super::{Site, referral};

const OWNERS: usize = 12;

/// The hospital, the county, and as many owners of work, each named by the facility `O0`, `O1`, … of a message.
fn site() -> Site {
    let facilities: Vec<String> = (0..OWNERS).map(|number| format!("O{number} = \"urn:oid:1.2.3|{number}\"")).collect();
    let mut providers = format!(
        r#"
[hospital]
mode = "test"
organisations = ["urn:oid:1.2.246.537.6.202|1.2.246.10.99999001.10.0"]
[hospital.map]
identifier_types = {{ NNFIN = "urn:oid:1.2.246.21" }}
facilities = {{ {} }}
[county]
mode = "test"
organisations = ["urn:oid:1.2.246.537.6.202|1.2.246.10.99999002.10.0"]
[county.map]
maps = ["fi-palvelupyynto", "fi-asiakassuunnitelma"]
"#,
        facilities.join(", ")
    );
    for number in 0..OWNERS {
        providers.push_str(&format!("[o{number}]\nmode = \"test\"\norganisations = [\"urn:oid:1.2.3|{number}\"]\n"));
    }
    Site::with(&providers)
}

/// A referral of a person, by number, to an owner.
fn referral_to(owner: usize, person: usize) -> String {
    let (hetu, number) = (hetu(person), format!("REF-{person}-{owner}"));
    referral(&format!("M{person}-{owner}"))
        .replace("ASIAKASOHJAUS", &format!("O{owner}"))
        .replace("140347-9120", &hetu)
        .replace("4711", &format!("P{person}"))
        .replace("REF-88231", &number)
}

/// A made-up person's identity code, with its check character.
fn hetu(person: usize) -> String {
    let number = 900 + person;
    let digits: usize = format!("140347{number}").parse().unwrap();
    let check = char::from(b"0123456789ABCDEFHJKLMNPRSTUVWXY"[digits % 31]);
    format!("140347-{number}{check}")
}

/// Refers a person to so many owners; the orders' ids, which are those of their Tasks.
async fn refer(site: &Site, person: usize, owners: usize) -> Vec<String> {
    let mut orders = Vec::new();
    for owner in 0..owners {
        let reply = site.hospital(&referral_to(owner, person)).await;
        assert!(reply[1].starts_with("MSA|CA|"), "{reply:?}");
        let order = site.resource("ServiceRequest", &format!("REF-{person}-{owner}")).await;
        orders.push(order.root().text_at("id").unwrap().to_owned());
    }
    orders
}

/// The county's plan of a person that holds these orders.
fn plan(person: usize, orders: &[String]) -> Bytes {
    let services: Vec<Value> = orders.iter().map(|order| json!({"palvelupyynto": order})).collect();
    let plan = json!({
        "asiakirja": "asiakassuunnitelma", "tunnus": format!("AS-{person}"), "versio": 1, "tila": "voimassa",
        "nimi": "Kotiin", "laadittu": "2026-03-03", "voimassa": {"alkaa": "2026-03-03"},
        "asiakas": {"hetu": hetu(person), "sukunimi": "Koivisto-Näyte", "etunimet": "Aino Maria"},
        "laatija": {"tunnus": "1.2.246.10.99999002.10.0", "nimi": "Asiakasohjaus"},
        "palvelut": services
    });
    Bytes::from(plan.to_string())
}

fn origin(site: &Site, request: String) -> Origin {
    Origin { caller: "test".to_owned(), organisations: Vec::new(), request, received: site.clock.now(), test: true }
}

/// The next version of a Task, on the one that is current.
async fn accept(site: &Site, id: &str) -> Result<Changed, ExchangeError> {
    let (document, version) = current(site, "Task", id).await;
    let mut task: Value = serde_json::from_str(document.json()).unwrap();
    task["status"] = json!("accepted");
    let document = Document::from_json(Model::r4(), task.to_string().into_bytes(), &Limits::default()).unwrap();
    site.exchange.update_task(id, version, document, &origin(site, format!("accept {id}"))).await
}

async fn current(site: &Site, kind: &str, id: &str) -> (Arc<Document>, u64) {
    let key = ResourceKey::new(kind, id);
    let member = site.store.read(move |view| view.member(&key)).await.unwrap().unwrap();
    let document = Document::from_json(Model::r4(), member.resource.content.to_vec(), &Limits::default()).unwrap();
    (document, member.resource.version)
}

/// The organisations in the care team of a person's plan, by number.
async fn team(site: &Site, person: usize) -> Vec<usize> {
    let (team, _) = current(site, "CareTeam", &format!("county.AS-{person}")).await;
    let mut members: Vec<usize> = team
        .root()
        .named("participant")
        .map(|participant| participant.text_at("member.identifier.value").unwrap().parse().unwrap())
        .collect();
    members.sort_unstable();
    members
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_owner_is_in_the_team_though_all_accept_while_the_plan_first_appears() {
    let site = Arc::new(site());
    for person in 0..4 {
        let orders = refer(&site, person, OWNERS).await;
        let plan = {
            let (site, orders) = (Arc::clone(&site), orders.clone());
            tokio::spawn(async move {
                let body = plan(person, &orders);
                site.exchange.hook("county", None, "application/json", body, None, "plan").await.map(drop)
            })
        };
        let mut running = vec![plan];
        for order in orders {
            let site = Arc::clone(&site);
            running.push(tokio::spawn(async move { accept(&site, &order).await.map(drop) }));
        }
        for one in running {
            one.await.unwrap().unwrap();
        }
        assert_eq!(team(&site, person).await, (0..OWNERS).collect::<Vec<_>>(), "person {person}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_accept_the_same_version_one_succeeds_and_the_others_are_told_that_it_is_stale() {
    let site = Arc::new(site());
    let orders = refer(&site, 0, 1).await;
    let body = plan(0, &orders);
    site.exchange.hook("county", None, "application/json", body, None, "plan").await.unwrap();
    let running: Vec<_> = (0..8)
        .map(|_| {
            let (site, order) = (Arc::clone(&site), orders[0].clone());
            tokio::spawn(async move {
                let (document, _) = current(&site, "Task", &order).await;
                let mut task: Value = serde_json::from_str(document.json()).unwrap();
                task["status"] = json!("accepted");
                let text = task.to_string().into_bytes();
                let document = Document::from_json(Model::r4(), text, &Limits::default()).unwrap();
                let origin = origin(&site, "accept".to_owned());
                site.exchange.update_task(&order, 1, document, &origin).await
            })
        })
        .collect();
    let mut taken = 0;
    for one in running {
        match one.await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => assert_eq!(error.fault(), Fault::VersionStale),
        }
    }
    assert_eq!(taken, 1);
    assert_eq!(team(&site, 0).await, [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plan_that_comes_piece_by_piece_from_many_sides_at_once_loses_nobody() {
    let site = Arc::new(site());
    let orders = refer(&site, 7, OWNERS).await;
    for order in &orders {
        accept(&site, order).await.unwrap();
    }
    // Every message names one order more; none of them is the last to be written.
    let running: Vec<_> = orders
        .into_iter()
        .map(|order| {
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                let body = plan(7, &[order]);
                site.exchange.hook("county", None, "application/json", body, None, "plan").await.map(drop)
            })
        })
        .collect();
    for one in running {
        one.await.unwrap().unwrap();
    }
    assert_eq!(team(&site, 7).await, (0..OWNERS).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_takes_an_order_that_says_it_is_based_on_a_plan_is_in_the_plans_team() {
    let site = site();
    let orders = refer(&site, 3, 1).await;
    let body = plan(3, &orders);
    site.exchange.hook("county", None, "application/json", body, None, "plan").await.unwrap();
    let (known, _) = current(&site, "ServiceRequest", &orders[0]).await;
    let order = json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "subject": {"reference": known.root().text_at("subject.reference").unwrap()},
        "basedOn": [{"reference": "CarePlan/county.AS-3"}],
        "performer": [{"identifier": {"system": "urn:oid:1.2.3", "value": "5"}}]
    });
    let document = Document::from_json(Model::r4(), order.to_string().into_bytes(), &Limits::default()).unwrap();
    let made = site.exchange.create_order(document, None, &origin(&site, "create".to_owned())).await.unwrap();
    assert_eq!(team(&site, 3).await, [0; 0], "nobody has taken anything yet");
    accept(&site, &made.key.id).await.unwrap();
    assert_eq!(team(&site, 3).await, [5]);
}
