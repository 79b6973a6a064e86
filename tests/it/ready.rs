//! Answers to reads that are given again without a look: only while a look would give the same.

use std::time::Duration;

use serde_json::{Value, json};
use silta::access::caller::Mode;
use silta::gateway::respond::Response;
use silta::gateway::service::Interactions as _;
use silta::store::{Commit, Deletion, Ref, ResourceKey, Write};
use silta_engine::fault::Fault;

use crate::support::world::{AINO, Behaviour, HETU, Plan, World, caller, refused};

fn plan(id: &str, version: u64) -> Value {
    json!({"resourceType": "CarePlan", "id": id, "status": "active", "intent": "plan", "meta": {"versionId": version.to_string()},
           "subject": {"reference": "Patient/hospital.7"}})
}

fn patient(id: &str, hetu: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "identifier": [{"system": HETU, "value": hetu}]})
}

fn ready(world: &World, reference: &str) -> Option<Response> {
    world.interactions.ready(&world.read_of(reference))
}

#[tokio::test]
async fn what_is_kept_is_ready_until_it_changes() {
    let world = Plan::new().make();
    world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO), plan("hospital.P", 1)]).await;
    assert_eq!(ready(&world, "CarePlan/hospital.P"), None, "nobody has asked yet");
    let read = world.read("CarePlan/hospital.P").await.unwrap();
    assert_eq!(ready(&world, "CarePlan/hospital.P"), Some(read.clone()));
    assert_eq!((read.version.as_deref(), read.persons.len(), read.age), (Some("1"), 1, None));

    world.keep(Some("hospital"), AINO, &[plan("hospital.P", 2)]).await;
    assert_eq!(ready(&world, "CarePlan/hospital.P"), None);
    assert_eq!(world.read("CarePlan/hospital.P").await.unwrap().version.as_deref(), Some("2"));
    assert_eq!(ready(&world, "CarePlan/hospital.P").unwrap().version.as_deref(), Some("2"));

    let (key, updated) = (ResourceKey::new("CarePlan", "hospital.P"), world.clock.now());
    let mut commit = Commit::new();
    commit.write(Write::Delete(Deletion { key, version: 3, updated }));
    world.store.commit(commit).await.unwrap();
    assert_eq!(ready(&world, "CarePlan/hospital.P"), None);
    assert_eq!(refused(world.read("CarePlan/hospital.P").await).0, Fault::Deleted);
    assert_eq!(ready(&world, "CarePlan/hospital.P"), None, "a refusal is not kept");
}

#[tokio::test]
async fn two_persons_who_become_one_are_audited_as_one() {
    let world = Plan::new().make();
    let one = world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO)]).await;
    let other = world.keep(Some("ry"), "020202A9999", &[plan("ry.P", 1)]).await;
    assert_eq!(world.read("CarePlan/ry.P").await.unwrap().persons, [other]);
    assert_eq!(ready(&world, "CarePlan/ry.P").unwrap().persons, [other]);
    let mut commit = Commit::new();
    commit.write(Write::Merge { one: Ref::Known(one), other: Ref::Known(other) });
    world.store.commit(commit).await.unwrap();
    assert_eq!(ready(&world, "CarePlan/ry.P"), None);
    assert_eq!(world.read("CarePlan/ry.P").await.unwrap().persons, [one]);
}

#[tokio::test]
async fn a_providers_answer_is_ready_until_it_is_old_or_an_event_comes() {
    let world = Plan::new().live("county", "CarePlan Patient").make();
    let person = world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO)]).await;
    world.has("county", AINO, &[plan("P1", 1)]);
    world.read("CarePlan/county.P1").await.unwrap();
    assert_eq!(ready(&world, "CarePlan/county.P1"), None, "whose it was was not known before it was asked for");
    world.search("CarePlan", &[("patient.identifier", &format!("{HETU}|{AINO}"))]).await;

    let live = world.read("CarePlan/county.P1").await.unwrap();
    world.clock.advance(Duration::from_secs(20));
    let again = ready(&world, "CarePlan/county.P1").unwrap();
    assert_eq!(
        (&again.body, &again.version, again.persons.as_slice()),
        (&live.body, &live.version, [person].as_slice())
    );
    assert_eq!(
        (again.age, again.providers.as_slice()),
        (Some(Duration::from_secs(20)), ["county".to_owned()].as_slice())
    );
    assert!(world.metrics.text().is_ok_and(|text| {
        String::from_utf8_lossy(&text).contains("silta_provider_answers_total{how=\"cached\",provider=\"county\"} 1")
    }));
    world.clock.advance(Duration::from_secs(11));
    assert_eq!(ready(&world, "CarePlan/county.P1"), None, "it is older than answers may be");

    world.read("CarePlan/county.P1").await.unwrap();
    assert!(ready(&world, "CarePlan/county.P1").is_some());
    world.event("county", person);
    assert_eq!(ready(&world, "CarePlan/county.P1"), None, "an event came");

    world.read("CarePlan/county.P1").await.unwrap();
    assert!(ready(&world, "CarePlan/county.P1").is_some());
    world.reconfigure(2);
    assert_eq!(ready(&world, "CarePlan/county.P1"), None, "the configuration is another");

    world.read("CarePlan/county.P1").await.unwrap();
    world.keep(Some("county"), AINO, &[plan("county.P1", 1)]).await;
    assert_eq!(ready(&world, "CarePlan/county.P1"), None, "it is kept here now, and what is kept comes first");
}

#[tokio::test]
async fn an_old_answer_in_place_of_a_failure_is_not_ready_to_be_given_again() {
    let stale = Some(Duration::from_secs(600));
    let world = Plan::new().live_as("county", "CarePlan Patient", silta::provider::Mode::Test, stale).make();
    world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO)]).await;
    world.has("county", AINO, &[plan("P1", 1)]);
    world.search("CarePlan", &[("patient.identifier", &format!("{HETU}|{AINO}"))]).await;
    world.read("CarePlan/county.P1").await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    world.behaves("county", Behaviour::Fails);
    let old = world.read("CarePlan/county.P1").await.unwrap();
    assert_eq!(old.age, Some(Duration::from_secs(60)));
    assert_eq!(ready(&world, "CarePlan/county.P1"), None);
}

#[tokio::test]
async fn what_is_ready_for_one_mode_is_not_for_the_other() {
    let world = Plan::new().make();
    let mut labelled = plan("own.1", 1);
    let code = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"});
    labelled["meta"]["security"] = json!([code]);
    world.keep(None, AINO, &[labelled]).await;
    world.read("CarePlan/own.1").await.unwrap();
    assert!(ready(&world, "CarePlan/own.1").is_some());
    let mut request = world.read_of("CarePlan/own.1");
    request.caller = caller("real", Mode::Production);
    assert_eq!(world.interactions.ready(&request), None);
    assert_eq!(refused(world.handle(&request).await).0, Fault::NotFound);
    assert_eq!(world.interactions.ready(&request), None);
}
