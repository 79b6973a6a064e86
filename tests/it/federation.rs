//! One answer from many providers: who is asked, who is late, what is kept, what is given twice.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use silta::access::caller::Mode;
use silta::clock::Clock;
use silta::gateway::federation::Ask;
use silta::gateway::service::Interactions as _;
use silta::provider;
use silta::store::JournalSeq;
use silta_engine::fault::Fault;

use crate::support::time::{soon, until};
use crate::support::world::{AINO, Behaviour, Found, HETU, Plan, World, body, caller, refused};

const BY_HETU: (&str, &str) = ("patient.identifier", "urn:oid:1.2.246.21|010150-900A");

fn plan(id: &str) -> Value {
    json!({"resourceType": "CarePlan", "id": id, "status": "active", "intent": "plan",
           "subject": {"reference": "Patient/p"}})
}

fn patient(id: &str, hetu: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "identifier": [{"system": HETU, "value": hetu}]})
}

/// County and association are asked live; the hospital has only sent.
fn two() -> World {
    let world = Plan::new().live("county", "CarePlan Patient -CareTeam").live("ry", "CarePlan").make();
    world.has("county", AINO, &[plan("P1"), patient("p", AINO)]);
    world.has("ry", AINO, &[plan("P2")]);
    world
}

#[tokio::test]
async fn all_who_can_be_asked_are_asked_and_each_part_says_its_source_and_age() {
    let world = two();
    let person = world
        .keep(
            Some("hospital"),
            AINO,
            &[patient("hospital.7", AINO), {
                let mut own = plan("hospital.P0");
                own["subject"]["reference"] = json!("Patient/hospital.7");
                own
            }],
        )
        .await;
    world.clock.advance(Duration::from_secs(90));
    let found = world.search("CarePlan", &[BY_HETU]).await;
    let mut matches = found.matches();
    matches.sort();
    assert_eq!(matches, ["CarePlan/county.P1", "CarePlan/hospital.P0", "CarePlan/ry.P2"]);
    assert_eq!(found.bundle["total"], 3);
    assert_eq!(found.source("CarePlan/county.P1"), (Some("county".to_owned()), "live".to_owned(), 0));
    assert_eq!(found.source("CarePlan/hospital.P0"), (Some("hospital".to_owned()), "stored".to_owned(), 90));
    assert_eq!(
        found.entries("match")[0]["resource"]["meta"]["source"].as_str().unwrap().split(':').nth(1),
        Some("source")
    );
    assert_eq!(found.told("county"), Some(("live".to_owned(), "informational".to_owned())));
    assert_eq!(found.told("ry"), Some(("live".to_owned(), "informational".to_owned())));
    assert_eq!(found.response.persons, [person]);
    assert_eq!(found.response.providers, ["county", "hospital", "ry"]);
    assert_eq!(found.response.age, None);
}

#[tokio::test]
async fn a_silent_provider_is_named_and_the_others_answer_comes() {
    let world = two();
    world.behaves("ry", Behaviour::Silent);
    let request = world.search_for("CarePlan", &[BY_HETU]);
    let asking = world.handle(&request);
    let moving = async {
        until("the one that answers has been waited for", || world.clock.sleepers() >= 1 && world.searches("ry") == 1)
            .await;
        world.clock.advance(Duration::from_secs(8));
    };
    let (answer, ()) = tokio::join!(asking, moving);
    let found = Found::of(answer.unwrap());
    assert_eq!(found.matches(), ["CarePlan/county.P1"]);
    assert_eq!(found.told("ry"), Some(("silent".to_owned(), "timeout".to_owned())));
    assert_eq!(found.bundle["total"], Value::Null, "nobody knows how many there are");
    let severity = found.issues().into_iter().find(|issue| issue.3.starts_with("ry ")).unwrap().0;
    assert_eq!(severity, "warning");
}

#[tokio::test]
async fn a_provider_that_fails_is_named_with_the_kind_of_failure() {
    for (behaviour, code) in [(Behaviour::Fails, "transient"), (Behaviour::Babbles, "exception")] {
        let world = two();
        world.behaves("ry", behaviour);
        let found = world.search("CarePlan", &[BY_HETU]).await;
        assert_eq!(found.matches(), ["CarePlan/county.P1"]);
        assert_eq!(found.told("ry"), Some(("silent".to_owned(), code.to_owned())));
        assert!(!found.bundle.to_string().contains("html"), "nothing of what it said");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_journalled() {
    let world = two();
    world.behaves("ry", Behaviour::Babbles);
    world.search("CarePlan", &[BY_HETU]).await;
    let journal = world.store.read(|view| view.journal_after(JournalSeq::from_number(0), 10)).await.unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!((journal[0].provider.as_str(), &journal[0].body[..6]), ("ry", &b"\"<html"[..]));
}

#[tokio::test]
async fn a_document_that_cannot_be_translated_is_journalled_and_its_provider_named() {
    let world = Plan::new().live("county", "CarePlan Basic").make();
    world.has("county", AINO, &[json!({"resourceType": "CarePlan", "id": "x"})]);
    world.forgets("county");
    world.has("county", AINO, &[json!({"resourceType": "Basic", "id": "x"})]);
    let answer = world.read("Basic/county.x").await;
    assert_eq!(refused(answer).0, Fault::ProviderAnswerUnusable);
    let journal = world.store.read(|view| view.journal_after(JournalSeq::from_number(0), 10)).await.unwrap();
    assert_eq!(journal.len(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_know_the_patient_has_answered() {
    let world = two();
    world.behaves("ry", Behaviour::KnowsNothing);
    let found = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(found.matches(), ["CarePlan/county.P1"]);
    assert_eq!(found.told("ry"), Some(("live".to_owned(), "informational".to_owned())));
    assert_eq!(found.bundle["total"], 1);
}

#[tokio::test]
async fn only_known_holders_are_asked_where_so_configured() {
    let world = Plan::new()
        .live("county", "CarePlan")
        .live("ry", "CarePlan")
        .federation(|config| config.ask = Ask::Known)
        .make();
    world.has("county", AINO, &[plan("P1")]);
    world.has("ry", AINO, &[plan("P2")]);
    world.keep(Some("county"), AINO, &[patient("county.p", AINO)]).await;
    let found = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(found.matches(), ["CarePlan/county.P1"]);
    assert_eq!(found.told("ry"), Some(("not-asked".to_owned(), "informational".to_owned())));
    assert_eq!(world.searches("ry"), 0);
}

#[tokio::test]
async fn who_could_not_be_asked_without_a_patient_is_said() {
    let world = two();
    let found = world.search("CarePlan", &[("identifier", "urn:plans|77")]).await;
    for provider in ["county", "ry"] {
        assert_eq!(found.told(provider), Some(("not-asked".to_owned(), "informational".to_owned())));
    }
    assert_eq!((world.searches("county"), found.response.providers.len()), (0, 0));
}

#[tokio::test]
async fn a_person_is_found_at_all_providers_by_one_providers_patient() {
    let world = two();
    world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO)]).await;
    for parameter in [("patient", "Patient/hospital.7"), ("subject", "hospital.7"), ("patient", "county.p")] {
        let found = world.search("CarePlan", &[parameter]).await;
        let mut matches = found.matches();
        matches.sort();
        assert_eq!(matches, ["CarePlan/county.P1", "CarePlan/ry.P2"], "{parameter:?}");
    }
}

#[tokio::test]
async fn what_a_provider_says_of_somebody_else_is_taken_out_and_said() {
    let world = two();
    let mut other = plan("P9");
    other["subject"]["reference"] = json!("Patient/q");
    world.has("county", AINO, &[other, patient("q", "020250-9022")]);
    let found = world.search("CarePlan", &[BY_HETU, ("_include", "CarePlan:patient")]).await;
    assert!(!found.bundle.to_string().contains("county.P9"));
    assert!(found.matches().contains(&"CarePlan/county.P1".to_owned()));
    let warned = found.issues().into_iter().any(|issue| issue.0 == "warning" && issue.3.contains("of another patient"));
    assert!(warned, "{:?}", found.issues());
}

#[tokio::test]
async fn whose_a_resource_is_is_found_out_where_the_answer_does_not_say_it() {
    let world = two();
    let of = |id: &str, patient: &str| {
        let mut plan = plan(id);
        plan["subject"]["reference"] = json!(format!("Patient/{patient}"));
        plan
    };
    world.forgets("county");
    world.has("county", AINO, &[of("P1", "p"), of("P8", "q"), of("P9", "nobody")]);
    // These Patients are given when they are read, not when the plans are searched.
    world.has("county", "another search", &[patient("p", AINO), patient("q", "020250-9022")]);
    let found = world.search("CarePlan", &[BY_HETU]).await;
    let mut matches = found.matches();
    matches.sort();
    assert_eq!(matches, ["CarePlan/county.P1", "CarePlan/ry.P2"]);
    let warned = found.issues().into_iter().any(|issue| issue.0 == "warning" && issue.3.contains("2 resources"));
    assert!(warned, "{:?}", found.issues());
    assert!(!found.bundle.to_string().contains("020250"));
}

#[tokio::test]
async fn what_is_about_a_patient_whom_the_provider_did_not_give_as_the_one_asked_for_is_taken_out() {
    let world = two();
    let about = |id: &str, subject: Value| {
        let mut plan = plan(id);
        plan["subject"] = subject;
        plan
    };
    let own = about("P3", json!({"identifier": {"system": HETU, "value": AINO}}));
    world.has(
        "county",
        AINO,
        &[
            about("P7", json!({"reference": "Patient/nobody-heard-of"})),
            about("P8", json!({"identifier": {"system": HETU, "value": "020250-9022"}})),
            own,
        ],
    );
    let found = world.search("CarePlan", &[BY_HETU]).await;
    let mut matches = found.matches();
    matches.sort();
    assert_eq!(matches, ["CarePlan/county.P1", "CarePlan/county.P3", "CarePlan/ry.P2"]);
    let warned = found.issues().into_iter().any(|issue| issue.0 == "warning" && issue.3.starts_with("county: 2 res"));
    assert!(warned, "{:?}", found.issues());
    // Who gives no Patient says nothing of which it means.
    world.has("ry", AINO, &[about("P4", json!({"reference": "Patient/r"}))]);
    world.clock.advance(Duration::from_secs(90));
    assert!(world.search("CarePlan", &[BY_HETU]).await.matches().contains(&"CarePlan/ry.P4".to_owned()));
}

#[tokio::test]
async fn the_owners_answer_of_now_stands_before_what_is_kept_and_what_others_say() {
    let world = two();
    let titled = |id: &str, title: &str| {
        let mut plan = plan(id);
        plan["title"] = json!(title);
        plan
    };
    world.forgets("county");
    world.has("county", AINO, &[titled("P1", "the owner's of now"), patient("p", AINO)]);
    world.keep(Some("county"), AINO, &[titled("county.P1", "kept"), titled("hospital.H", "kept")]).await;
    world.has("ry", AINO, &[titled("county.P1", "hearsay"), titled("hospital.H", "hearsay")]);
    let found = world.search("CarePlan", &[BY_HETU]).await;
    let titles: Vec<_> = found
        .entries("match")
        .iter()
        .map(|entry| (entry["resource"]["id"].as_str().unwrap(), entry["resource"]["title"].as_str().unwrap_or("")))
        .collect();
    for expected in [("county.P1", "the owner's of now"), ("hospital.H", "kept"), ("ry.P2", "")] {
        assert!(titles.contains(&expected), "{titles:?}");
    }
    assert_eq!(titles.len(), 3);
}

#[tokio::test]
async fn what_bears_the_same_identifier_is_linked_and_never_dropped() {
    let world = two();
    world.forgets("county");
    world.forgets("ry");
    for (provider, id) in [("county", "P1"), ("ry", "P2")] {
        let mut plan = plan(id);
        plan["identifier"] = json!([{"system": "urn:plans", "value": "77"}]);
        world.has(provider, AINO, &[plan, patient("p", AINO)]);
    }
    let found = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(found.matches().len(), 2);
    let linked: Vec<_> = found.entries("match").iter().map(|entry| entry["extension"][1]["valueUri"].clone()).collect();
    assert!(linked.contains(&json!("CarePlan/county.P1")) && linked.contains(&json!("CarePlan/ry.P2")));
}

#[tokio::test]
async fn an_answer_is_kept_until_it_is_old_or_an_event_comes() {
    let world = two();
    let person = world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO)]).await;
    world.search("CarePlan", &[BY_HETU]).await;
    world.clock.advance(Duration::from_secs(20));
    let kept = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(world.searches("county"), 1);
    assert_eq!(kept.source("CarePlan/county.P1"), (Some("county".to_owned()), "cached".to_owned(), 20));
    assert_eq!(kept.told("county"), Some(("cached".to_owned(), "informational".to_owned())));
    assert_eq!(kept.response.age, Some(Duration::from_secs(20)));

    world.event("county", person);
    let fetched = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!((world.searches("county"), world.searches("ry")), (2, 1), "only the one that changed is asked");
    assert_eq!(fetched.source("CarePlan/county.P1").1, "live");

    world.clock.advance(Duration::from_secs(31));
    world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!((world.searches("county"), world.searches("ry")), (3, 2));
}

#[tokio::test]
async fn an_event_that_comes_while_a_question_is_asked_is_not_missed() {
    let world = two();
    let person = world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO)]).await;
    world.behaves("county", Behaviour::Waits);
    let request = world.search_for("CarePlan", &[BY_HETU]);
    let changing = async {
        until("the county is asked", || world.searches("county") == 1).await;
        world.event("county", person);
        world.behaves("county", Behaviour::Answers);
    };
    let (answer, ()) = tokio::join!(world.handle(&request), changing);
    answer.unwrap();
    world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(world.searches("county"), 2, "what was fetched before the event is not given after it");
}

#[tokio::test]
async fn another_configuration_finds_nothing_of_the_earlier_one() {
    let world = two();
    world.search("CarePlan", &[BY_HETU]).await;
    world.reconfigure(2);
    world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(world.searches("county"), 2);
}

#[tokio::test]
async fn questions_that_are_alike_are_asked_once() {
    let world = two();
    world.behaves("county", Behaviour::Waits);
    let requests: Vec<_> = (0..20).map(|_| world.search_for("CarePlan", &[BY_HETU])).collect();
    let answers = futures_util::future::join_all(requests.iter().map(|request| world.interactions.handle(request)));
    let releasing = async {
        until("the county is asked", || world.searches("county") > 0).await;
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        world.behaves("county", Behaviour::Answers);
    };
    let (answers, ()) = soon(async { tokio::join!(answers, releasing) }).await;
    for answer in answers {
        assert_eq!(Found::of(answer.unwrap()).matches().len(), 2);
    }
    assert_eq!((world.searches("county"), world.searches("ry")), (1, 1));
}

#[tokio::test]
async fn a_question_goes_on_when_the_one_who_asked_first_goes_away() {
    let world = two();
    world.behaves("county", Behaviour::Waits);
    let (first, second) = (world.search_for("CarePlan", &[BY_HETU]), world.search_for("CarePlan", &[BY_HETU]));
    let mut leaving = world.interactions.handle(&first);
    let staying = world.interactions.handle(&second);
    let script = async {
        tokio::select! {
            _ = &mut leaving => panic!("it waits"),
            () = until("the county is asked", || world.searches("county") == 1) => {}
        }
        drop(leaving);
        world.behaves("county", Behaviour::Answers);
    };
    let (answer, ()) = soon(async { tokio::join!(staying, script) }).await;
    assert_eq!(Found::of(answer.unwrap()).matches().len(), 2);
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let world = two();
    world.behaves("county", Behaviour::Fails);
    world.search("CarePlan", &[BY_HETU]).await;
    world.behaves("county", Behaviour::Answers);
    let found = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(found.matches().len(), 2);
}

#[tokio::test]
async fn a_stale_answer_is_given_only_where_configured_and_says_so() {
    let hour = Some(Duration::from_secs(3600));
    let world = Plan::new().live_as("county", "CarePlan", provider::Mode::Test, hour).live("ry", "CarePlan").make();
    world.has("county", AINO, &[plan("P1")]);
    world.has("ry", AINO, &[plan("P2")]);
    world.search("CarePlan", &[BY_HETU]).await;
    world.clock.advance(Duration::from_secs(600));
    world.behaves("county", Behaviour::Fails);
    world.behaves("ry", Behaviour::Fails);
    let found = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(found.matches(), ["CarePlan/county.P1"]);
    assert_eq!(found.source("CarePlan/county.P1"), (Some("county".to_owned()), "stale".to_owned(), 600));
    assert_eq!(found.told("county"), Some(("stale".to_owned(), "transient".to_owned())));
    assert_eq!(found.told("ry"), Some(("silent".to_owned(), "transient".to_owned())));
    assert_eq!(found.response.age, Some(Duration::from_secs(600)));
    assert_eq!(found.bundle["total"], Value::Null);

    world.clock.advance(Duration::from_secs(3601));
    let found = world.search("CarePlan", &[BY_HETU]).await;
    assert_eq!(found.matches(), [""; 0]);
    assert_eq!(found.told("county"), Some(("silent".to_owned(), "transient".to_owned())));
}

#[tokio::test]
async fn a_provider_that_now_knows_nothing_is_believed_over_its_old_answer() {
    let hour = Some(Duration::from_secs(3600));
    let world = Plan::new().live_as("county", "CarePlan", provider::Mode::Test, hour).make();
    world.has("county", AINO, &[plan("P1")]);
    world.search("CarePlan", &[BY_HETU]).await;
    world.clock.advance(Duration::from_secs(60));
    world.behaves("county", Behaviour::KnowsNothing);
    assert_eq!(world.search("CarePlan", &[BY_HETU]).await.matches(), [""; 0]);
}

#[tokio::test]
async fn test_data_and_real_data_never_meet() {
    let world = Plan::new()
        .live_as("county", "CarePlan Patient", provider::Mode::Production, None)
        .live("ry", "CarePlan")
        .make();
    world.has("county", AINO, &[plan("P1"), patient("p", AINO)]);
    world.has("ry", AINO, &[plan("P2")]);
    let mut labelled = plan("own.1");
    labelled["meta"] =
        json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]});
    world.keep(None, AINO, &[labelled, plan("own.2")]).await;
    world.keep(Some("county"), AINO, &[plan("county.P3")]).await;
    for (mode, expected, not_asked) in [
        (Mode::Test, ["CarePlan/own.1", "CarePlan/own.2", "CarePlan/ry.P2"].as_slice(), "county"),
        (Mode::Production, ["CarePlan/county.P1", "CarePlan/county.P3", "CarePlan/own.2"].as_slice(), "ry"),
    ] {
        let mut request = world.search_for("CarePlan", &[BY_HETU]);
        request.caller = caller("someone", mode);
        let found = Found::of(world.handle(&request).await.unwrap());
        let mut matches = found.matches();
        matches.sort();
        assert_eq!(matches, expected);
        assert_eq!(found.told(not_asked), Some(("not-asked".to_owned(), "informational".to_owned())));
    }
    assert_eq!(refused(world.read("CarePlan/county.P1").await).0, Fault::NotFound);
    assert_eq!(refused(world.read("CarePlan/county.P3").await).0, Fault::NotFound);
    assert_eq!(world.providers["county"].reads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_resource_that_is_not_kept_is_read_from_its_owner() {
    let world = two();
    let response = world.read("CarePlan/county.P1").await.unwrap();
    assert_eq!(body(&response)["id"], "county.P1");
    assert_eq!(response.providers, ["county"]);
    assert_eq!(refused(world.read("CarePlan/county.nothing").await).0, Fault::NotFound);
    assert_eq!(refused(world.read("CarePlan/nobody.P1").await).0, Fault::NotFound);
    assert_eq!(refused(world.read("CarePlan/plain").await).0, Fault::NotFound);
    for (behaviour, fault) in [
        (Behaviour::Fails, Fault::ProviderDown),
        (Behaviour::Babbles, Fault::ProviderAnswerUnusable),
        (Behaviour::KnowsNothing, Fault::NotFound),
    ] {
        world.behaves("county", behaviour);
        let (found, text) = refused(world.read("CarePlan/county.P1").await);
        assert_eq!(found, fault);
        assert!(fault == Fault::NotFound || text.starts_with("county: "), "{text}");
    }
}

#[tokio::test]
async fn a_slow_owner_is_a_timeout() {
    let world = two();
    world.behaves("county", Behaviour::Silent);
    let request = world.read_of("CarePlan/county.P1");
    let moving = async {
        until("somebody waits", || world.clock.sleepers() == 1).await;
        world.clock.advance(Duration::from_secs(8));
    };
    let (answer, ()) = tokio::join!(world.handle(&request), moving);
    assert_eq!(refused(answer).0, Fault::ProviderSlow);
}

#[tokio::test]
async fn a_part_of_another_document_is_read_by_the_search_that_gave_it() {
    let world = two();
    let mut team = json!({"resourceType": "CareTeam", "id": "T1", "subject": {"reference": "Patient/p"}});
    team["status"] = json!("active");
    let mut hashed = team.clone();
    hashed["id"] = json!("hashed77");
    world.has("county", AINO, &[team, hashed]);
    assert_eq!(refused(world.read("CareTeam/county.T1").await).0, Fault::NotFound);
    world.search("CareTeam", &[BY_HETU]).await;
    for id in ["CareTeam/county.T1", "CareTeam/hashed77"] {
        let response = world.read(id).await.unwrap();
        assert_eq!(body(&response)["status"], "active");
        assert_eq!(response.providers, ["county"]);
        // What was referred to does not dangle after a restart.
        let response = soon(world.restarted().handle(&world.read_of(id))).await.unwrap();
        assert_eq!(body(&response)["status"], "active");
    }
    let person = world.keep(Some("hospital"), AINO, &[patient("hospital.7", AINO)]).await;
    world.search("CareTeam", &[BY_HETU]).await;
    let response = soon(world.restarted().handle(&world.read_of("CareTeam/hashed77"))).await.unwrap();
    assert_eq!(response.persons, [person], "it is known whose it is");
    assert_eq!(refused(world.read("CareTeam/hashed78").await).0, Fault::NotFound);
}

#[tokio::test]
async fn one_document_that_cannot_be_used_does_not_take_the_others_with_it() {
    let world = Plan::new().live("county", "CarePlan Basic").make();
    world.has("county", AINO, &[plan("P1"), json!({"resourceType": "Basic", "id": "x"}), plan("P2")]);
    let found = world.search("CarePlan", &[BY_HETU, ("_revinclude", "Basic:subject")]).await;
    assert_eq!(found.matches(), ["CarePlan/county.P1", "CarePlan/county.P2"]);
    assert!(found.issues().iter().any(|issue| issue.0 == "warning" && issue.3.starts_with("county: a document")));
    assert_eq!(found.bundle["total"], Value::Null);
    let journal = world.store.read(|view| view.journal_after(JournalSeq::from_number(0), 10)).await.unwrap();
    assert_eq!(journal.len(), 1, "the one that cannot be used");
}

#[tokio::test]
async fn answers_are_counted_by_how_they_were_come_by() {
    let world = two();
    world.behaves("ry", Behaviour::Fails);
    world.search("CarePlan", &[BY_HETU]).await;
    world.clock.advance(Duration::from_secs(1));
    world.search("CarePlan", &[BY_HETU]).await;
    let text = String::from_utf8(world.metrics.text().unwrap()).unwrap();
    for line in [
        r#"{how="live",provider="county"} 1"#,
        r#"{how="cached",provider="county"} 1"#,
        r#"{how="failed",provider="ry"} 2"#,
    ] {
        assert!(text.contains(&format!("silta_provider_answers_total{line}")), "{text}");
    }
}

#[tokio::test]
async fn the_fan_out_takes_little_longer_than_the_slowest_provider() {
    let clock = Clock::system();
    let world = Plan::on(clock.clone()).live("county", "CarePlan").live("ry", "CarePlan").make();
    world.has("county", AINO, &[plan("P1")]);
    world.has("ry", AINO, &[plan("P2")]);
    let begun = clock.instant();
    for _ in 0..50 {
        world.reconfigure(u64::try_from(world.searches("ry")).unwrap() + 2);
        world.search("CarePlan", &[BY_HETU]).await;
    }
    let each = clock.instant().since(begun) / 50;
    println!("a fan-out to two providers that answer at once: {each:?}");
    assert_eq!((world.searches("county"), world.searches("ry")), (50, 50));
    assert!(each < Duration::from_millis(100), "{each:?}");
}
