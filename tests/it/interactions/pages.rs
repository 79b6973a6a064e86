//! Pages of a search, and the links between them.

use std::time::Duration;

use serde_json::json;
use silta::access::caller::Mode;
use silta::gateway::request::Interaction;
use silta_engine::fault::Fault;

use crate::support::world::{AINO, Found, caller, kind, refused};

use super::{BY_HETU, case, many_plans};

/// The parameters of a link.
fn parameters_of(link: &str) -> Vec<(String, String)> {
    let (_, query) = link.split_once('?').unwrap();
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.replace("%7C", "|")))
        .collect()
}

#[tokio::test]
async fn pages_follow_each_other_without_telling_whom_they_are_about() {
    let world = many_plans(7).await;
    let mut request = world.search_for("CarePlan", &[BY_HETU, ("_count", "3"), ("_sort", "_id")]);
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let found = Found::of(world.handle(&request).await.unwrap());
        assert_eq!(found.bundle["total"], 7);
        seen.extend(found.matches());
        pages += 1;
        for relation in ["self", "next"] {
            let link = found.link(relation).unwrap_or_default();
            assert!(!link.contains("010150") && !link.contains("1.2.246"), "{link}");
        }
        let Some(next) = found.link("next") else { break };
        request.parameters = parameters_of(&next);
    }
    let expected: Vec<String> = (0..7).map(|number| format!("CarePlan/x.{number:03}")).collect();
    assert_eq!((seen, pages), (expected, 3));
}

#[tokio::test]
async fn a_page_is_good_only_for_its_caller_type_and_time_and_stands_alone() {
    let world = many_plans(2).await;
    let first = world.search("CarePlan", &[BY_HETU, ("_count", "1")]).await;
    let next = parameters_of(&first.link("next").unwrap());
    let with = |change: &dyn Fn(&mut silta::gateway::request::Request)| {
        let mut request = world.search_for("CarePlan", &[]);
        request.parameters = next.clone();
        change(&mut request);
        request
    };
    assert!(world.handle(&with(&|_| {})).await.is_ok());
    let refusals: [&dyn Fn(&mut silta::gateway::request::Request); 5] = [
        &|request| request.caller = caller("another", Mode::Test),
        &|request| request.interaction = Interaction::Search(Some(kind("Task"))),
        &|request| {
            let token = &mut request.parameters[0].1;
            let other = if token[30..31] == *"A" { "B" } else { "A" };
            token.replace_range(30..31, other);
        },
        &|request| request.parameters.push(("status".to_owned(), "active".to_owned())),
        &|request| request.received += Duration::from_secs(3601),
    ];
    for change in refusals {
        assert_eq!(refused(world.handle(&with(change)).await).0, Fault::BadValue);
    }
}

#[tokio::test]
async fn a_page_says_when_what_is_found_has_changed_since_the_first() {
    let world = many_plans(3).await;
    let first = world.search("CarePlan", &[BY_HETU, ("_count", "1")]).await;
    let mut request = world.search_for("CarePlan", &[]);
    request.parameters = parameters_of(&first.link("next").unwrap());
    let changed = |found: &Found| found.issues().iter().any(|issue| issue.3.contains("changed since the first page"));
    assert!(!changed(&Found::of(world.handle(&request).await.unwrap())));
    world
        .keep(None, AINO, &[json!({"resourceType": "CarePlan", "id": "x.new", "status": "active", "intent": "plan"})])
        .await;
    assert!(changed(&Found::of(world.handle(&request).await.unwrap())));
}

#[tokio::test]
async fn a_link_that_tells_nobody_is_readable() {
    let world = case().await;
    let parameters = [("patient", "Patient/hospital.7"), ("status", "active"), ("colour", "secret")];
    let found = world.search("CarePlan", &parameters).await;
    assert_eq!(
        found.link("self").unwrap(),
        "https://silta.example/r4/CarePlan?patient=Patient/hospital.7&status=active"
    );
    let found = world.search("Patient", &[("_id", "hospital.7"), ("family", "Virtanen")]).await;
    assert!(!found.link("self").unwrap().contains("Virtanen"));
}
