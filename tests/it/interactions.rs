//! Read, version read, search, create and update, as a caller has them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use silta::access::interaction::Action;
use silta::clock::Clock;
use silta::gateway::request::{Content, Id, Interaction, Tag};
use silta::gateway::respond::Body;
use silta::gateway::service::Interactions as _;
use silta::store::{Commit, Deletion, IdentifierQuery, ResourceKey, Write};
use silta_engine::fault::Fault;

use crate::support::gateway::{self, Answer};
use crate::support::world::{AINO, Found, HETU, Plan, World, body, kind, payload, refused};

mod pages;

const BY_HETU: (&str, &str) = ("patient.identifier", "urn:oid:1.2.246.21|010150-900A");

/// The case of a hip fracture, as the gateway keeps it.
async fn case() -> World {
    let world = Plan::new().make();
    put_case(&world).await;
    world
}

async fn put_case(world: &World) {
    let about = json!({"reference": "Patient/hospital.7"});
    let patient = json!({"resourceType": "Patient", "id": "hospital.7", "identifier": [{"system": HETU, "value": AINO}],
        "name": [{"family": "Virtanen"}]});
    let plan = |id: &str, status: &str| json!({"resourceType": "CarePlan", "id": id, "status": status, "intent": "plan", "subject": about});
    let mut p1 = plan("county.P1", "active");
    p1["activity"] = json!([{"reference": {"reference": "ServiceRequest/hospital.S1"}},
                            {"reference": {"reference": "ServiceRequest/county.S2"}}]);
    p1["careTeam"] = json!([{"reference": "CareTeam/team.1"}]);
    let mut p2 = plan("ry.P2", "completed");
    p2["partOf"] = json!([{"reference": "CarePlan/county.P1"}]);
    let order = |id: &str| {
        json!({"resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order", "subject": about,
               "identifier": [{"system": "urn:orders", "value": id}],
               "requester": {"reference": "Organization/hospital.org"}})
    };
    let task = |id: &str, focus: &str, part_of: Option<&str>| {
        let mut task = json!({"resourceType": "Task", "id": id, "status": "requested", "intent": "order",
            "for": about, "focus": {"reference": focus}, "owner": {"reference": "Organization/county.unit"},
            "requester": {"reference": "Organization/hospital.org"}});
        if let Some(whole) = part_of {
            task["partOf"] = json!([{"reference": whole}]);
        }
        task
    };
    world.keep(Some("hospital"), AINO, &[patient, order("hospital.S1")]).await;
    world.keep(Some("county"), AINO, &[p1, order("county.S2")]).await;
    world.keep(Some("ry"), AINO, &[p2]).await;
    let own = [
        task("T1", "ServiceRequest/hospital.S1", None),
        task("T2", "ServiceRequest/county.S2", Some("Task/T1")),
        json!({"resourceType": "CareTeam", "id": "team.1", "status": "active", "subject": about}),
        json!({"resourceType": "Goal", "id": "county.G1", "lifecycleStatus": "active", "subject": about,
               "description": {"text": "walks"}}),
    ];
    world.keep(None, AINO, &own).await;
    world
        .keep(
            None,
            "020250-9022",
            &[json!({"resourceType": "CarePlan", "id": "x.other", "status": "active",
        "intent": "plan", "subject": {"display": "somebody else"}})],
        )
        .await;
    let organisation = json!({"resourceType": "Organization", "id": "hospital.org", "name": "Hospital"});
    world.keep_impersonal(Some("hospital"), &[organisation]).await;
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

#[tokio::test]
async fn the_case_is_found_by_one_search() {
    let world = case().await;
    let found = world
        .search(
            "CarePlan",
            &[BY_HETU, ("_include", "CarePlan:activity-reference"), ("_revinclude:iterate", "Task:focus")],
        )
        .await;
    assert_eq!(sorted(found.matches()), ["CarePlan/county.P1", "CarePlan/ry.P2"]);
    assert_eq!(
        sorted(found.included()),
        ["ServiceRequest/county.S2", "ServiceRequest/hospital.S1", "Task/T1", "Task/T2"]
    );
    assert_eq!(found.bundle["total"], 2, "what is included is not counted");
    assert_eq!(found.source("Task/T1").0, None, "the gateway's own");
    assert!(!found.bundle.to_string().contains("x.other"));
    assert_eq!(found.response.persons.len(), 1);
}

#[tokio::test]
async fn includes_go_on_only_where_they_are_told_to() {
    let world = case().await;
    let search = async |include| {
        world.search("CarePlan", &[BY_HETU, ("_include", "CarePlan:activity-reference"), include]).await
    };
    let once = search(("_revinclude", "Task:focus")).await;
    assert_eq!(sorted(once.included()), ["ServiceRequest/county.S2", "ServiceRequest/hospital.S1"]);
    let plan =
        world.search("Task", &[("_id", "T2"), ("_include", "Task:part-of"), ("_include:iterate", "Task:focus")]).await;
    assert_eq!(sorted(plan.included()), ["ServiceRequest/county.S2", "ServiceRequest/hospital.S1", "Task/T1"]);
    let back = world
        .search(
            "ServiceRequest",
            &[("identifier", "urn:orders|hospital.S1"), ("_revinclude", "CarePlan:activity-reference")],
        )
        .await;
    assert_eq!((back.matches().len(), back.included()), (1, vec!["CarePlan/county.P1".to_owned()]));
    let people = world.search("CarePlan", &[("_id", "county.P1"), ("_include", "CarePlan:subject:Patient")]).await;
    assert_eq!(people.included(), ["Patient/hospital.7"]);
    let others = world.search("CarePlan", &[("_id", "county.P1"), ("_include", "CarePlan:subject:Group")]).await;
    assert_eq!(others.included(), [""; 0]);
}

#[tokio::test]
async fn what_is_about_nobody_is_included_too() {
    let world = case().await;
    let found = world.search("ServiceRequest", &[BY_HETU, ("_include", "ServiceRequest:requester")]).await;
    assert_eq!(found.included(), ["Organization/hospital.org"]);
    let missing = world.search("Task", &[BY_HETU, ("_include", "Task:owner")]).await;
    assert!(missing.issues().iter().any(|issue| issue.1 == "incomplete" && issue.3.contains("could not be had")));
}

#[tokio::test]
async fn searches_choose_by_every_parameter_that_is_needed() {
    let world = case().await;
    for (name, parameters, expected) in [
        ("CarePlan", &[BY_HETU, ("status", "active")][..], &["CarePlan/county.P1"][..]),
        ("CarePlan", &[BY_HETU, ("status", "active,completed")], &["CarePlan/county.P1", "CarePlan/ry.P2"]),
        ("CarePlan", &[BY_HETU, ("part-of", "CarePlan/county.P1")], &["CarePlan/ry.P2"]),
        ("CarePlan", &[("part-of", "county.P1")], &["CarePlan/ry.P2"]),
        (
            "CarePlan",
            &[("subject.identifier", &format!("{HETU}|{AINO}")), ("care-team", "team.1")],
            &["CarePlan/county.P1"],
        ),
        ("CarePlan", &[("_id", "county.P1,ry.P2,nothing")], &["CarePlan/county.P1", "CarePlan/ry.P2"]),
        ("CarePlan", &[BY_HETU, ("_lastUpdated", "lt2026")], &[]),
        ("CarePlan", &[BY_HETU, ("_lastUpdated", "2026-02-03")], &["CarePlan/county.P1", "CarePlan/ry.P2"]),
        ("CarePlan", &[BY_HETU, ("patient.family", "virt")], &["CarePlan/county.P1", "CarePlan/ry.P2"]),
        ("CarePlan", &[BY_HETU, ("patient.family", "korh")], &[]),
        ("CarePlan", &[BY_HETU, ("patient.identifier", "urn:oid:1.2.246.21|020250-9022")], &[]),
        ("Patient", &[("identifier", &format!("{HETU}|{AINO}"))], &["Patient/hospital.7"]),
        ("Patient", &[("identifier", AINO)], &["Patient/hospital.7"]),
        ("Patient", &[("_id", "hospital.7")], &["Patient/hospital.7"]),
        (
            "ServiceRequest",
            &[("patient", "Patient/hospital.7")],
            &["ServiceRequest/county.S2", "ServiceRequest/hospital.S1"],
        ),
        ("ServiceRequest", &[("identifier", "urn:orders|county.S2")], &["ServiceRequest/county.S2"]),
        ("Task", &[("owner", "Organization/county.unit")], &["Task/T1", "Task/T2"]),
        ("Task", &[("requester", "hospital.org"), ("status", "requested")], &["Task/T1", "Task/T2"]),
        ("Task", &[("owner", "Organization/county.unit"), ("status", "accepted")], &[]),
        ("Task", &[("focus", "ServiceRequest/hospital.S1")], &["Task/T1"]),
        ("Task", &[BY_HETU, ("part-of:missing", "true")], &["Task/T1"]),
        ("CareTeam", &[("patient", "hospital.7"), ("status", "active")], &["CareTeam/team.1"]),
        ("Goal", &[("patient", "hospital.7"), ("lifecycle-status", "active")], &["Goal/county.G1"]),
        ("Goal", &[("patient", "hospital.7"), ("lifecycle-status:not", "active")], &[]),
    ] {
        let found = world.search(name, parameters).await;
        assert_eq!(sorted(found.matches()), expected, "{name} {parameters:?}");
        assert_eq!(found.bundle["total"], expected.len());
    }
}

#[tokio::test]
async fn an_unknown_patient_is_an_empty_answer() {
    let world = case().await;
    for parameter in [
        ("patient.identifier", "urn:oid:1.2.246.21|030350-903X"),
        ("patient", "Patient/nobody"),
        ("patient.identifier", "unknown"),
    ] {
        let found = world.search("CarePlan", &[parameter]).await;
        assert_eq!((found.matches().len(), &found.bundle["total"]), (0, &json!(0)));
    }
}

#[tokio::test]
async fn a_search_about_nothing_in_particular_is_refused() {
    let world = case().await;
    for (name, parameters) in [
        ("CarePlan", &[][..]),
        ("CarePlan", &[("status", "active")]),
        ("Patient", &[("family", "virtanen")]),
        ("Task", &[("status", "requested")]),
        ("CarePlan", &[("patient.family", "virtanen")]),
        ("CarePlan", &[("patient:missing", "true")]),
        ("CarePlan", &[("patient.identifier", "urn:oid:1.2.246.21|")]),
    ] {
        let answer = world.handle(&world.search_for(name, parameters)).await;
        assert_eq!(refused(answer).0, Fault::RequiredMissing, "{name} {parameters:?}");
    }
}

#[tokio::test]
async fn excess_is_refused_at_once() {
    let world = case().await;
    let many = vec!["a"; 10_000].join(",");
    let patients = (0..21).map(|n| format!("urn:x|{n}")).collect::<Vec<_>>().join(",");
    let chain = format!("patient.{}identifier", "link.".repeat(20));
    for parameter in [
        ("patient.identifier", many.as_str()),
        ("patient.identifier", patients.as_str()),
        ("_count", "2147483648"),
        ("_include:iterate", "*"),
        (chain.as_str(), "x"),
    ] {
        let answer = world.handle(&world.search_for("CarePlan", &[parameter])).await;
        assert_eq!(refused(answer).0, Fault::BadValue, "{}", parameter.0);
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_supported_is_said_or_refused() {
    let world = case().await;
    let mut request = world.search_for("CarePlan", &[BY_HETU, ("colour", "red")]);
    let found = Found::of(world.handle(&request).await.unwrap());
    assert_eq!(found.matches().len(), 2);
    assert!(found.issues().iter().any(|issue| issue.1 == "not-supported" && issue.3.contains("colour")));
    request.prefer.strict = true;
    assert_eq!(refused(world.handle(&request).await).0, Fault::BadValue);
}

async fn many_plans(count: usize) -> World {
    let world = Plan::new().make();
    for number in 0..count {
        let plan = json!({"resourceType": "CarePlan", "id": format!("x.{number:03}"), "status": "active",
            "intent": "plan", "period": {"start": format!("2026-01-{:02}", number % 28 + 1)}});
        world.keep(None, AINO, &[plan]).await;
    }
    world
}

#[tokio::test]
async fn results_come_in_the_order_asked() {
    let world = many_plans(5).await;
    let ids = |found: &Found| found.matches().iter().map(|key| key[key.len() - 1..].to_owned()).collect::<String>();
    assert_eq!(ids(&world.search("CarePlan", &[BY_HETU, ("_sort", "date")]).await), "01234");
    assert_eq!(ids(&world.search("CarePlan", &[BY_HETU, ("_sort", "-date")]).await), "43210");
    assert_eq!(ids(&world.search("CarePlan", &[BY_HETU, ("_sort", "status,-_id")]).await), "43210");
}

#[tokio::test]
async fn the_number_alone_can_be_asked_for() {
    let world = many_plans(5).await;
    for parameter in [("_summary", "count"), ("_count", "0")] {
        let found = world.search("CarePlan", &[BY_HETU, parameter]).await;
        assert_eq!((found.matches().len(), &found.bundle["total"]), (0, &json!(5)));
        assert_eq!(found.link("next"), None);
    }
    let found = world.search("CarePlan", &[BY_HETU, ("_total", "none")]).await;
    assert_eq!((found.matches().len(), &found.bundle["total"]), (5, &Value::Null));
}

#[tokio::test]
async fn parts_of_resources_are_given_and_labelled() {
    let world = many_plans(1).await;
    let found = world.search("CarePlan", &[BY_HETU, ("_elements", "status")]).await;
    let resource = &found.entries("match")[0]["resource"];
    assert_eq!((&resource["status"], &resource["period"]), (&json!("active"), &Value::Null));
    assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED");
}

#[tokio::test]
async fn the_digest_of_a_search_changes_with_what_is_found_and_not_with_time() {
    let world = many_plans(2).await;
    let digest = async || world.search("CarePlan", &[BY_HETU]).await.response.version.unwrap();
    let first = digest().await;
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(digest().await, first);
    world
        .keep(None, AINO, &[json!({"resourceType": "CarePlan", "id": "x.new", "status": "active", "intent": "plan"})])
        .await;
    assert_ne!(digest().await, first);
}

#[tokio::test]
async fn a_kept_resource_is_read_with_its_version_and_time() {
    let world = case().await;
    let response = world.read("Task/T1").await.unwrap();
    assert_eq!(body(&response)["status"], "requested");
    assert_eq!(response.version.as_deref(), Some("1"));
    assert_eq!(response.last_modified, Some(world.clock.now()));
    assert_eq!(response.persons.len(), 1);
    assert_eq!(
        refused(world.read("Task/none").await),
        (Fault::NotFound, "no Task of this id is known here".to_owned())
    );
    assert_eq!(body(&world.read("Organization/hospital.org").await.unwrap())["name"], "Hospital");
}

#[tokio::test]
async fn versions_stay_readable_and_a_deleted_resource_is_gone() {
    let world = case().await;
    let task = |status: &str| json!({"resourceType": "Task", "id": "T1", "meta": {"versionId": "2"}, "status": status, "intent": "order"});
    world.keep(None, AINO, &[task("accepted")]).await;
    let version = |version: &str| {
        let id = |text| Id::new(text).unwrap();
        world.request(Interaction::VersionRead(kind("Task"), id("T1"), id(version)))
    };
    let read = async |number| world.handle(&version(number)).await;
    assert_eq!(body(&read("1").await.unwrap())["status"], "requested");
    assert_eq!(body(&read("2").await.unwrap())["status"], "accepted");
    for unknown in ["3", "x", "18446744073709551616"] {
        assert_eq!(refused(read(unknown).await).0, Fault::NotFound);
    }
    let mut commit = Commit::new();
    commit.write(Write::Delete(Deletion {
        key: ResourceKey::new("Task", "T1"),
        version: 3,
        updated: world.clock.now(),
    }));
    world.store.commit(commit).await.unwrap();
    assert_eq!(refused(world.read("Task/T1").await).0, Fault::Deleted);
    assert_eq!(refused(read("3").await).0, Fault::Deleted);
    assert!(read("2").await.is_ok());
}

#[tokio::test]
async fn a_binary_is_given_in_its_own_media_type_to_whom_accepts_it() {
    let world = case().await;
    let binary = json!({"resourceType": "Binary", "id": "hospital.b", "contentType": "text/plain", "data": "aGVpCg=="});
    world.keep(Some("hospital"), AINO, &[binary]).await;
    let mut request = world.read_of("Binary/hospital.b");
    request.accept = Some("application/pdf, text/plain;q=0.5".to_owned());
    let response = world.handle(&request).await.unwrap();
    assert_eq!(response.body, Body::Raw { media_type: "text/plain".to_owned(), bytes: "hei\n".into() });
    for accept in [None, Some("application/fhir+json"), Some("*/*")] {
        request.accept = accept.map(str::to_owned);
        assert_eq!(body(&world.handle(&request).await.unwrap())["resourceType"], "Binary");
    }
}

fn order() -> Value {
    json!({"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/hospital.7"}})
}

#[tokio::test]
async fn a_new_order_goes_to_the_workflow() {
    let world = case().await;
    let mut request = world.request(Interaction::Create(kind("ServiceRequest")));
    request.body = payload(&order());
    let response = world.handle(&request).await.unwrap();
    assert_eq!(response.status, 201);
    assert_eq!(response.location.as_deref(), Some("ServiceRequest/made.1/_history/1"));
    assert!(response.audited);
    request.prefer.content = Content::Minimal;
    assert_eq!(world.handle(&request).await.unwrap().body, Body::Empty);
    request.prefer.content = Content::Outcome;
    assert_eq!(body(&world.handle(&request).await.unwrap())["resourceType"], "OperationOutcome");
    assert_eq!(world.asked.created.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_not_the_resource_of_the_url_is_refused() {
    let world = case().await;
    let mut request = world.request(Interaction::Create(kind("ServiceRequest")));
    assert_eq!(refused(world.handle(&request).await).0, Fault::RequiredMissing);
    for (text, fault) in [
        ("{", Fault::CannotParse),
        (r#"{"resourceType":"Task"}"#, Fault::BadValue),
        (r#"{"id":"x"}"#, Fault::BadValue),
        (r#"{"resourceType":"ServiceRequest","id":"a","id":"b"}"#, Fault::CannotParse),
    ] {
        request.body = payload(&json!(null));
        request.body.as_mut().unwrap().bytes = text.into();
        assert_eq!(refused(world.handle(&request).await).0, fault, "{text}");
    }
    assert!(world.asked.created.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_conditional_create_makes_nothing_where_the_identifier_is_taken() {
    let world = case().await;
    let mut request = world.request(Interaction::Create(kind("ServiceRequest")));
    request.body = payload(&order());
    let condition = |name: &str, value: &str| Some(vec![(name.to_owned(), value.to_owned())]);
    request.conditions.if_none_exist = condition("identifier", "urn:orders|hospital.S1");
    let response = world.handle(&request).await.unwrap();
    assert_eq!((response.status.as_u16(), body(&response)["id"].as_str()), (200, Some("hospital.S1")));
    assert!(world.asked.created.lock().unwrap().is_empty());

    request.conditions.if_none_exist = condition("identifier", "urn:orders|free");
    assert_eq!(world.handle(&request).await.unwrap().status, 201);
    let taken = IdentifierQuery { system: Some(Some("urn:orders".to_owned())), value: "free".to_owned() };
    assert_eq!(world.asked.created.lock().unwrap()[0].1, Some(taken));

    for (name, value) in [("status", "active"), ("identifier", "a,b"), ("colour", "red")] {
        request.conditions.if_none_exist = condition(name, value);
        assert_eq!(refused(world.handle(&request).await).0, Fault::BadValue, "{name}");
    }
}

#[tokio::test]
async fn a_task_is_changed_only_on_a_named_version() {
    let world = case().await;
    let mut request = world.request(Interaction::Update(kind("Task"), Id::new("T1")));
    request.body = payload(&json!({"resourceType": "Task", "id": "T1", "status": "accepted", "intent": "order"}));
    assert_eq!(refused(world.handle(&request).await).0, Fault::VersionMissing);
    for (version, fault) in [("6", Fault::VersionStale), ("x", Fault::VersionStale)] {
        request.conditions.if_match = vec![Tag::Is(version.to_owned())];
        assert_eq!(refused(world.handle(&request).await).0, fault);
    }
    request.conditions.if_match = vec![Tag::Is("7".to_owned())];
    let response = world.handle(&request).await.unwrap();
    assert_eq!((response.status.as_u16(), response.version.as_deref()), (200, Some("8")));
    assert_eq!(response.location.as_deref(), Some("Task/T1/_history/8"));
    assert_eq!(*world.asked.updated.lock().unwrap(), [("T1".to_owned(), 6), ("T1".to_owned(), 7)]);
    let tags = |tags: &[&str]| -> Vec<Tag> {
        tags.iter().map(|tag| if *tag == "*" { Tag::Any } else { Tag::Is((*tag).to_owned()) }).collect()
    };
    // Several versions, or what must not be there, are judged by what is kept: version 1.
    for (of_match, none_match, handed_on) in [
        (tags(&["5", "6"]), tags(&[]), None),
        (tags(&["1", "7"]), tags(&[]), Some(1)),
        (tags(&["1"]), tags(&["*"]), None),
        (tags(&["1"]), tags(&["1"]), None),
        (tags(&["1"]), tags(&["6"]), Some(1)),
    ] {
        world.asked.updated.lock().unwrap().clear();
        (request.conditions.if_match, request.conditions.if_none_match) = (of_match.clone(), none_match.clone());
        assert_eq!(refused(world.handle(&request).await).0, Fault::VersionStale, "{of_match:?} {none_match:?}");
        let handed: Vec<u64> = world.asked.updated.lock().unwrap().iter().map(|(_, version)| *version).collect();
        assert_eq!(handed, Vec::from_iter(handed_on), "{of_match:?} {none_match:?}");
    }
    (request.conditions.if_match, request.conditions.if_none_match) = (tags(&["*"]), tags(&[]));
    assert_eq!(refused(world.handle(&request).await).0, Fault::VersionMissing);
    (request.conditions.if_match, request.conditions.if_none_match) = (tags(&["7"]), tags(&[]));
    world.asked.updated.lock().unwrap().clear();
    for (id, fault) in [(json!("T9"), Fault::BadValue), (Value::Null, Fault::RequiredMissing)] {
        let mut task = json!({"resourceType": "Task", "status": "accepted", "intent": "order"});
        if !id.is_null() {
            task["id"] = id;
        }
        request.body = payload(&task);
        assert_eq!(refused(world.handle(&request).await).0, fault);
    }
}

#[tokio::test]
async fn what_is_offered_is_what_is_done() {
    let world = case().await;
    let offers = world.interactions.offers();
    for name in ["CarePlan", "ServiceRequest", "Task", "Patient", "CareTeam", "Goal"] {
        let offer = offers.on(kind(name)).unwrap();
        assert!(offer.actions.contains(&Action::Search) && offer.actions.contains(&Action::Read), "{name}");
        for needed in ["_id", "_lastUpdated", "_count", "identifier"] {
            assert!(offer.parameters.iter().any(|parameter| parameter.name == needed), "{name} {needed}");
        }
        for include in &offer.includes {
            let parameters = [("_id", "x"), ("_include", include.as_str())];
            assert!(world.handle(&world.search_for(name, &parameters)).await.is_ok(), "{include}");
        }
        for include in &offer.reverse_includes {
            let parameters = [("_id", "x"), ("_revinclude:iterate", include.as_str())];
            assert!(world.handle(&world.search_for(name, &parameters)).await.is_ok(), "{include}");
        }
    }
    for name in
        "Organization Practitioner PractitionerRole Encounter Appointment Condition DocumentReference Binary Provenance"
            .split(' ')
    {
        assert!(offers.on(kind(name)).unwrap().actions.contains(&Action::Read), "{name}");
    }
    assert!(offers.on(kind("Task")).unwrap().version_aware);
    assert!(offers.on(kind("CarePlan")).unwrap().includes.contains(&"CarePlan:activity-reference".to_owned()));
    assert!(offers.on(kind("ServiceRequest")).unwrap().reverse_includes.contains(&"Task:focus".to_owned()));
}

#[tokio::test]
async fn a_caller_searches_by_post_over_tls_in_json_and_xml() {
    let clock = Clock::system();
    let world = Plan::on(clock.clone()).live("ry", "CarePlan").make();
    put_case(&world).await;
    world.has("ry", AINO, &[json!({"resourceType": "CarePlan", "id": "P3", "status": "active", "intent": "plan"})]);
    let interactions = Arc::clone(&world.interactions);
    let mut plan = gateway::Plan::new(move |request| {
        let interactions = Arc::clone(&interactions);
        async move { interactions.handle(&request).await }
    });
    plan.offers = world.interactions.offers().clone();
    plan.clock = clock;
    let site = plan.start().await;
    let county = site.county();
    let form = format!("patient.identifier={HETU}%7C{AINO}&_include=CarePlan:activity-reference&_count=2");
    let post = |accept: &str| {
        county
            .post(site.url("/CarePlan/_search"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", accept)
            .body(form.clone())
    };
    let answer = Answer::to(post("application/fhir+json")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    assert_eq!(json["total"], 3);
    let next = json["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let second = Answer::to(county.get(next["url"].as_str().unwrap())).await;
    assert_eq!((second.status, &second.json()["total"]), (200, &json!(3)));
    let xml = Answer::to(post("application/fhir+xml")).await;
    assert!(xml.text.contains("<Bundle") && xml.text.contains("urn:silta:extension:source"), "{}", xml.text);

    let read = Answer::to(county.get(site.url("/CarePlan/ry.P3"))).await;
    assert_eq!((read.status, read.json()["id"].as_str()), (200, Some("ry.P3")));
    let tag = read.header("etag").to_owned();
    let unchanged = Answer::to(county.get(site.url("/CarePlan/ry.P3")).header("if-none-match", tag)).await;
    assert_eq!(unchanged.status, 304);
    let in_url = Answer::to(county.get(site.url(&format!("/CarePlan?{form}")))).await;
    assert_eq!(in_url.status, 400, "an identity code stands in no URL");
    let entries = site.audit.entries();
    assert_eq!(entries[0].providers, ["county", "hospital", "ry"]);
    assert_eq!(entries[0].persons.len(), 1);
}
