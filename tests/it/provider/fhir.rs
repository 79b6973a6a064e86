//! A provider's FHIR R4 server.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silta::clock::Clock;
use silta::provider::fhir::{Config, Fhir};
use silta::provider::{Action, Adapter, AdapterError, Answer, Delivery, Effect, Identifier, Outcome, Read, Search};
use silta_engine::fault::Fault;

use super::{HETU, delivery, in_a_minute, read, search, update};
use crate::support::time::{manual, soon, until};
use crate::support::web::{Server, respond, with};

const TYPES: &str = "
    types.CarePlan = { read = true, search = true, create = true, update = true, include = ['CarePlan:care-team'], revinclude = ['Task:focus'] }
    types.Task = { search = true }
    types.Patient = { search = true }
    count = 50
";

fn fhir(status: u16, body: impl Into<bytes::Bytes>) -> crate::support::web::Answer {
    respond(status, "application/fhir+json;charset=UTF-8", body)
}

fn config(server: &Server, rest: &str) -> Config {
    toml::from_str(&format!("base = '{}r4'\n{rest}{TYPES}", server.base())).unwrap()
}

fn adapter(server: &Server) -> Fhir {
    Fhir::new(config(server, ""), Path::new("."), Clock::system()).unwrap()
}

async fn find(adapter: &Fhir, types: &[&str]) -> Result<Answer, AdapterError> {
    soon(adapter.search(&search(types), in_a_minute(&Clock::system()))).await
}

fn bundle(entries: &str, next: Option<&str>) -> String {
    let link =
        next.map(|url| format!(r#","link":[{{"relation":"self","url":"x"}},{{"relation":"next","url":"{url}"}}]"#));
    format!(r#"{{"resourceType":"Bundle","type":"searchset"{},"entry":[{entries}]}}"#, link.unwrap_or_default())
}

#[tokio::test]
async fn a_search_goes_by_post_with_every_identifier_escaped_and_none_in_the_address() {
    let server = Server::plain(|_| fhir(200, bundle("", None))).await;
    let answer = find(&adapter(&server), &["CarePlan", "Goal"]).await.unwrap();
    assert!(answer.documents.is_empty() && answer.complete);
    assert_eq!(answer.not_searched, ["Goal"]);
    let [seen] = server.seen().try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/r4/CarePlan/_search"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("prefer"), Some("handling=strict"));
    assert_eq!(
        seen.text(),
        "patient.identifier=urn%3Alocal%7CP%5C%2C1%5C%7C%5C%24%2Curn%3Aoid%3A1.2.246.21%7C010190-900Z&_count=50\
         &_include=CarePlan%3Acare-team&_revinclude=Task%3Afocus"
    );
}

#[tokio::test]
async fn only_the_identifier_systems_that_the_server_knows_are_sent_to_it() {
    let server = Server::plain(|_| fhir(200, bundle("", None))).await;
    let chosen =
        Fhir::new(config(&server, "patient_identifiers = ['urn:oid:1.2.246.21']\n"), Path::new("."), Clock::system())
            .unwrap();
    find(&chosen, &["Patient"]).await.unwrap();
    assert!(server.seen()[0].text().starts_with("identifier=urn%3Aoid%3A1.2.246.21%7C010190-900Z&"));
    let mut unknown = search(&["Patient"]);
    unknown.patient.retain(|one| one.system != HETU);
    let answer = soon(chosen.search(&unknown, in_a_minute(&Clock::system()))).await.unwrap();
    assert_eq!(answer.not_searched, ["Patient"]);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_names_patients_by_id_is_asked_for_the_id_first_and_then_for_nothing_but_that_patient() {
    let known = Server::plain(|seen| {
        let entry = match seen.target.as_str() {
            "/r4/Patient/_search" => r#"{"resource":{"resourceType":"Patient","id":"77"}}"#,
            _ => r#"{"resource":{"resourceType":"CarePlan","id":"p1"}}"#,
        };
        fhir(200, bundle(entry, None))
    })
    .await;
    let by_id =
        |server: &Server| Fhir::new(config(server, "patient_by = 'id'\n"), Path::new("."), Clock::system()).unwrap();
    let asked = Search { since: Some("2026-02-01T00:00:00Z".parse().unwrap()), ..search(&["CarePlan", "Patient"]) };
    let answer = soon(by_id(&known).search(&asked, in_a_minute(&Clock::system()))).await.unwrap();
    let mut kinds: Vec<&str> = answer.documents.iter().filter_map(|one| one.kind.as_deref()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["CarePlan", "Patient"]);
    let [lookup, plans] = known.seen().try_into().unwrap();
    assert!(lookup.text().contains("010190-900Z") && !lookup.text().contains("_lastUpdated"));
    assert!(
        plans.text().starts_with("patient=Patient%2F77&_lastUpdated=ge2026-02-01T00%3A00%3A00Z&"),
        "{}",
        plans.text()
    );

    let unknown = Server::plain(|_| fhir(200, bundle("", None))).await;
    let answer = find(&by_id(&unknown), &["CarePlan"]).await.unwrap();
    assert!(answer.documents.is_empty() && answer.complete);
    assert_eq!(unknown.seen().len(), 1, "without a patient nothing else is asked for");
}

#[tokio::test]
async fn pages_are_followed_and_resources_come_as_the_very_bytes() {
    let plan = r#"{ "resourceType" : "CarePlan", "id":"p1","meta":{"versionId":"3","lastUpdated":"2026-02-01T10:00:00+02:00"}, "x": 1.10 }"#;
    let server = Server::plain(move |seen| match seen.target.as_str() {
        "/r4/CarePlan/_search" => {
            let entry = format!(
                r#"{{"fullUrl":"https://a.example/r4/CarePlan/p1","resource":{plan},"search":{{"mode":"match"}}}}"#
            );
            fhir(200, bundle(&entry, Some("/r4?page=2")))
        }
        "/r4?page=2" => fhir(200, bundle(r#"{"resource":{"resourceType":"Task","id":"t1"}}"#, None)),
        _ => fhir(500, ""),
    })
    .await;
    let answer = find(&adapter(&server), &["CarePlan"]).await.unwrap();
    let [first, second] = answer.documents.as_slice() else { panic!("{answer:?}") };
    assert_eq!(first.bytes.as_ref(), plan.as_bytes());
    assert_eq!((first.kind.as_deref(), first.native_id.as_deref()), (Some("CarePlan"), Some("p1")));
    assert_eq!((first.version.as_deref(), first.url.as_deref()), (Some("3"), Some("https://a.example/r4/CarePlan/p1")));
    assert_eq!(first.last_modified, Some("2026-02-01T08:00:00Z".parse().unwrap()));
    assert_eq!(second.url.as_deref(), Some(format!("{}r4/Task/t1", server.base()).as_str()));
    assert_eq!(server.seen()[1].method, "GET");
}

#[tokio::test]
async fn what_several_searches_bring_comes_once() {
    let server = Server::plain(|seen| {
        let own = if seen.target.contains("CarePlan") {
            r#"{"resource":{"resourceType":"CarePlan","id":"p1"}},"#
        } else {
            ""
        };
        fhir(200, bundle(&format!(r#"{own}{{"resource":{{"resourceType":"Task","id":"t1"}}}}"#), None))
    })
    .await;
    let answer = find(&adapter(&server), &["CarePlan", "Task"]).await.unwrap();
    assert_eq!(answer.documents.len(), 2);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_next_page_elsewhere_is_refused_and_pages_end_at_the_limit() {
    let other = Server::plain(|_| fhir(200, bundle("", None))).await;
    let there = format!("http://localhost:{}/r4?page=2", other.port());
    let server = Server::plain(move |_| fhir(200, bundle("", Some(&there)))).await;
    let error = find(&adapter(&server), &["CarePlan"]).await.unwrap_err();
    assert!(matches!(&error, AdapterError::AnswerUnusable { what, .. } if what.contains("another host")), "{error:?}");
    assert!(other.seen().is_empty());

    let endless = Server::plain(|seen| fhir(200, bundle("", Some(&format!("/r4?p={}", seen.target.len()))))).await;
    let limited = Fhir::new(Config { pages: 2, ..config(&endless, "") }, Path::new("."), Clock::system()).unwrap();
    assert!(!find(&limited, &["CarePlan"]).await.unwrap().complete);
    assert_eq!(endless.seen().len(), 2);
}

#[tokio::test]
async fn what_the_pages_before_a_failure_gave_stands() {
    let first = |next: &str| bundle(r#"{"resource":{"resourceType":"CarePlan","id":"p1"}}"#, Some(next));
    for (status, second, expected) in [
        (500, "", "failed"),
        (404, "", "not_found"),
        (200, "{", "answer_unusable"),
        (200, r#"{"resourceType":"CarePlan"}"#, "answer_unusable"),
    ] {
        let body = first("/r4?page=2");
        let server = Server::plain(move |seen| match seen.target.as_str() {
            "/r4/CarePlan/_search" => fhir(200, body.clone()),
            _ => fhir(status, second),
        })
        .await;
        let answer = find(&adapter(&server), &["CarePlan"]).await.unwrap();
        assert_eq!((answer.documents.len(), answer.complete), (1, false), "{status}");
        let [error] = answer.unusable.as_slice() else { panic!("{answer:?}") };
        assert_eq!(error.label(), expected);
    }
    let silent = Server::silent().await;
    let there = format!("http://localhost:{}/r4?page=2", silent.port());
    let server = Server::plain(move |_| fhir(200, first(&there))).await;
    let answer = find(&adapter(&server), &["CarePlan"]).await.unwrap();
    assert_eq!((answer.documents.len(), answer.unusable.len()), (1, 1), "a link elsewhere is not followed");
    assert!(silent.seen().is_empty());
}

#[tokio::test]
async fn a_page_that_fails_once_is_asked_for_again() {
    let failed = AtomicBool::new(false);
    let server = Server::plain(move |seen| match seen.target.as_str() {
        "/r4/CarePlan/_search" => {
            fhir(200, bundle(r#"{"resource":{"resourceType":"CarePlan","id":"p1"}}"#, Some("/r4?page=2")))
        }
        _ if !failed.swap(true, Ordering::SeqCst) => fhir(503, ""),
        _ => fhir(200, bundle(r#"{"resource":{"resourceType":"CarePlan","id":"p2"}}"#, None)),
    })
    .await;
    let answer = find(&adapter(&server), &["CarePlan"]).await.unwrap();
    assert_eq!((answer.documents.len(), answer.complete, answer.unusable.len()), (2, true, 0));
}

#[tokio::test]
async fn a_type_that_cannot_be_had_does_not_take_the_others_with_it() {
    let server = Server::plain(|seen| match seen.target.as_str() {
        "/r4/CarePlan/_search" => fhir(200, bundle(r#"{"resource":{"resourceType":"CarePlan","id":"p1"}}"#, None)),
        _ => fhir(500, ""),
    })
    .await;
    let answer = find(&adapter(&server), &["CarePlan", "Task"]).await.unwrap();
    assert_eq!((answer.documents.len(), answer.complete, answer.unusable.len()), (1, false, 1));
    let nothing = Server::plain(|_| fhir(500, "")).await;
    assert_eq!(find(&adapter(&nothing), &["CarePlan", "Task"]).await.unwrap_err().label(), "failed");
}

#[tokio::test]
async fn an_error_that_the_server_reports_beside_its_answer_is_not_lost() {
    let outcome = |severity: &str| {
        bundle(
            &format!(
                r#"{{"resource":{{"resourceType":"OperationOutcome","issue":[{{"severity":"{severity}","code":"timeout"}}]}},"search":{{"mode":"outcome"}}}}"#
            ),
            None,
        )
    };
    for (severity, reported) in [("error", 1), ("information", 0)] {
        let body = outcome(severity);
        let server = Server::plain(move |_| fhir(200, body.clone())).await;
        let answer = find(&adapter(&server), &["CarePlan"]).await.unwrap();
        assert_eq!((answer.documents.len(), answer.unusable.len()), (0, reported));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_bundle_cannot_be_used() {
    for (media_type, body) in [
        ("application/fhir+json", r#"{"resourceType":"CarePlan"}"#),
        ("application/fhir+json", "{"),
        ("application/fhir+json", r#"{"resourceType":"Bundle","entry":[{"resource":{"id":"x"}}]}"#),
        ("application/fhir+xml", "<Bundle/>"),
        ("application/fhir+json", "\u{feff}{}"),
    ] {
        let server = Server::plain(move |_| respond(200, media_type, body)).await;
        let error = find(&adapter(&server), &["CarePlan"]).await.unwrap_err();
        assert_eq!(error.fault(), Fault::ProviderAnswerUnusable, "{body}");
        assert!(error.answer().is_some());
    }
}

#[tokio::test]
async fn a_resource_is_read_by_its_id_and_must_be_that_one() {
    let server = Server::plain(|seen| match seen.target.as_str() {
        "/r4/CarePlan/p1" if seen.header("if-none-match") == Some("W/\"4\"") => fhir(304, ""),
        "/r4/CarePlan/p1" => with(fhir(200, r#"{"resourceType":"CarePlan","id":"p1"}"#), "etag", "W/\"4\""),
        "/r4/CarePlan/p2" => fhir(200, r#"{"resourceType":"CarePlan","id":"p1"}"#),
        "/r4/CarePlan/p3" => fhir(410, ""),
        _ => fhir(404, ""),
    })
    .await;
    let (adapter, deadline) = (adapter(&server), in_a_minute(&Clock::system()));
    let found = soon(adapter.read(&read("CarePlan", "p1"), deadline)).await.unwrap();
    assert_eq!((found.version.as_deref(), found.media_type.as_str()), (Some("4"), "application/fhir+json"));
    let known = Read { if_none_match: Some("4".to_owned()), ..read("CarePlan", "p1") };
    assert!(matches!(soon(adapter.read(&known, deadline)).await, Err(AdapterError::NotModified)));
    for (id, fault) in [("p2", Fault::ProviderAnswerUnusable), ("p3", Fault::Deleted), ("p4", Fault::NotFound)] {
        assert_eq!(soon(adapter.read(&read("CarePlan", id), deadline)).await.unwrap_err().fault(), fault);
    }
    let asked = server.seen().len();
    for id in ["..", "a/b", "a?b", "", "p1%2f", "010190/900Z"] {
        assert_eq!(soon(adapter.read(&read("CarePlan", id), deadline)).await.unwrap_err().fault(), Fault::NotFound);
    }
    assert!(matches!(soon(adapter.read(&read("Task", "t1"), deadline)).await, Err(AdapterError::NotSupported { .. })));
    assert_eq!(server.seen().len(), asked);
}

#[tokio::test]
async fn a_resource_is_created_and_its_id_found_in_the_location() {
    let server = Server::plain(|_| {
        with(with(fhir(201, ""), "location", "http://x/r4/CarePlan/new-1/_history/1"), "etag", "W/\"1\"")
    })
    .await;
    let new = delivery("CarePlan", Action::Create, r#"{"resourceType":"CarePlan"}"#);
    let adapter = adapter(&server);
    let receipt = soon(adapter.submit(&new, in_a_minute(&Clock::system()))).await.unwrap();
    assert_eq!((receipt.native_id.as_deref(), receipt.version.as_deref()), (Some("new-1"), Some("1")));
    assert_eq!(receipt.effect, Effect::Applied);
    let seen = &server.seen()[0];
    assert_eq!((seen.target.as_str(), seen.header("content-type")), ("/r4/CarePlan", Some("application/fhir+json")));
    assert_eq!(seen.header("if-none-exist"), None);
    assert!(!adapter.repeatable(&new));
}

#[tokio::test]
async fn a_conditional_create_names_the_identifier_and_may_be_repeated() {
    let server = Server::plain(|seen| {
        fhir(
            if seen.text().contains("many") { 412 } else { 200 },
            r#"{"resourceType":"CarePlan","id":"old-1","meta":{"versionId":"7"}}"#,
        )
    })
    .await;
    let adapter = Fhir::new(config(&server, "conditional_create = true\n"), Path::new("."), Clock::system()).unwrap();
    let identifier = Some(Identifier { system: "urn:plans".to_owned(), value: "A 1".to_owned() });
    let new = Delivery { identifier, ..delivery("CarePlan", Action::Create, "{}") };
    assert!(adapter.repeatable(&new));
    let receipt = soon(adapter.submit(&new, in_a_minute(&Clock::system()))).await.unwrap();
    assert_eq!((receipt.native_id.as_deref(), receipt.version.as_deref()), (Some("old-1"), Some("7")));
    assert_eq!(server.seen()[0].header("if-none-exist"), Some("identifier=urn%3Aplans%7CA%201"));
    let many = Delivery { bytes: "many".to_owned().into(), ..new };
    assert_eq!(
        soon(adapter.submit(&many, in_a_minute(&Clock::system()))).await.unwrap_err().fault(),
        Fault::MultipleMatches
    );
}

#[tokio::test]
async fn a_change_names_its_version_and_a_stale_one_is_refused() {
    let server = Server::plain(|seen| match seen.header("if-match") {
        Some("W/\"2\"") => fhir(200, r#"{"resourceType":"CarePlan","id":"p1","meta":{"versionId":"3"}}"#),
        Some(_) => fhir(412, ""),
        None => fhir(428, ""),
    })
    .await;
    let (adapter, deadline) = (adapter(&server), in_a_minute(&Clock::system()));
    let change = |version| delivery("CarePlan", update("p1", version), "{}");
    let receipt = soon(adapter.submit(&change(Some("2")), deadline)).await.unwrap();
    assert_eq!((receipt.native_id.as_deref(), receipt.version.as_deref()), (Some("p1"), Some("3")));
    assert_eq!((server.seen()[0].method.as_str(), server.seen()[0].target.as_str()), ("PUT", "/r4/CarePlan/p1"));
    for (version, fault) in [(Some("1"), Fault::VersionStale), (None, Fault::VersionMissing)] {
        assert_eq!(soon(adapter.submit(&change(version), deadline)).await.unwrap_err().fault(), fault);
    }
    assert!(adapter.repeatable(&change(Some("2"))), "what was done before is found, not done again");
    assert!(adapter.repeatable(&change(None)));
    let other = delivery("Task", Action::Create, "{}");
    assert!(matches!(soon(adapter.submit(&other, deadline)).await, Err(AdapterError::NotSupported { .. })));
}

/// A server with one CarePlan, which fails to answer its first change: having made it, or not. It counts changes made.
async fn forgetful(makes: bool) -> (Server, Arc<Mutex<(u32, String)>>) {
    let state = Arc::new(Mutex::new((2_u32, r#""title":"before""#.to_owned())));
    let (held, failed) = (Arc::clone(&state), AtomicBool::new(false));
    let server = Server::plain(move |seen| {
        let mut held = held.lock().unwrap();
        let whole = |held: &(u32, String)| {
            format!(
                r#"{{"resourceType":"CarePlan","id":"p1","meta":{{"versionId":"{}"}},"text":{{"status":"generated"}},{}}}"#,
                held.0, held.1
            )
        };
        if seen.method.as_str() == "GET" {
            return fhir(200, whole(&held));
        }
        let first = !failed.swap(true, Ordering::SeqCst);
        if !first && seen.header("if-match") != Some(&format!("W/\"{}\"", held.0)) {
            return fhir(412, "");
        }
        if !first || makes {
            *held = (held.0 + 1, r#""title":"after""#.to_owned());
        }
        if first { fhir(500, "") } else { fhir(200, whole(&held)) }
    })
    .await;
    (server, state)
}

const AFTER: &str = r#"{"resourceType":"CarePlan","id":"p1","title":"after"}"#;

#[tokio::test]
async fn a_change_whose_outcome_is_unknown_is_looked_for_before_it_is_sent_again() {
    for (makes, puts) in [(true, 1), (false, 2)] {
        let (server, state) = forgetful(makes).await;
        let (adapter, deadline) = (adapter(&server), in_a_minute(&Clock::system()));
        let change = delivery("CarePlan", update("p1", Some("2")), AFTER);
        let error = soon(adapter.submit(&change, deadline)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        let receipt = soon(adapter.submit(&change, deadline)).await.unwrap();
        assert_eq!((receipt.native_id.as_deref(), receipt.version.as_deref()), (Some("p1"), Some("3")));
        assert_eq!(state.lock().unwrap().0, 3, "made once");
        let methods: Vec<_> = server.seen().iter().map(|seen| seen.method.to_string()).collect();
        assert_eq!(methods.iter().filter(|method| *method == "PUT").count(), puts, "{methods:?}");
        assert_eq!(methods[1], "GET");
    }
}

#[tokio::test]
async fn a_change_that_another_process_had_made_is_found_when_its_version_is_stale() {
    let (server, state) = forgetful(true).await;
    let deadline = in_a_minute(&Clock::system());
    let change = delivery("CarePlan", update("p1", Some("2")), AFTER);
    soon(adapter(&server).submit(&change, deadline)).await.unwrap_err();
    // Nothing is remembered any more.
    let receipt = soon(adapter(&server).submit(&change, deadline)).await.unwrap();
    assert_eq!((receipt.version.as_deref(), state.lock().unwrap().0), (Some("3"), 3));
    // What somebody else made of it meanwhile is not ours.
    let other = delivery("CarePlan", update("p1", Some("2")), &AFTER.replace("after", "otherwise"));
    let error = soon(adapter(&server).submit(&other, deadline)).await.unwrap_err();
    assert!(matches!(error, AdapterError::VersionStale), "{error:?}");
}

#[tokio::test]
async fn a_refusal_carries_the_servers_outcome_unshown() {
    let outcome = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invariant","diagnostics":"salaisuus"}]}"#;
    let server = Server::plain(move |_| fhir(422, outcome)).await;
    let new = delivery("CarePlan", Action::Create, "{}");
    let error = soon(adapter(&server).submit(&new, in_a_minute(&Clock::system()))).await.unwrap_err();
    assert_eq!((error.fault(), error.answer().unwrap().bytes.as_ref()), (Fault::BusinessRule, outcome.as_bytes()));
    assert!(!format!("{error} {error:?}").contains("salaisuus"));
}

#[tokio::test]
async fn a_bearer_secret_is_sent_and_not_shown() {
    let server = Server::plain(|seen| {
        fhir(if seen.header("authorization") == Some("Bearer t0ken") { 200 } else { 401 }, bundle("", None))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "t0ken\n").unwrap();
    let known =
        Fhir::new(config(&server, "credentials.bearer.file = 'token'\n"), folder.path(), Clock::system()).unwrap();
    find(&known, &["Task"]).await.unwrap();
    assert_eq!(find(&adapter(&server), &["Task"]).await.unwrap_err().label(), "credentials");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_at_the_deadline() {
    let (server, clock) = (Server::silent().await, manual());
    let adapter = Fhir::new(config(&server, ""), Path::new("."), clock.clone()).unwrap();
    let deadline = in_a_minute(&clock);
    let asking = tokio::spawn(async move { adapter.read(&read("CarePlan", "p1"), deadline).await });
    until("the request is there", || server.seen().len() == 1 && clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(60));
    assert!(matches!(soon(asking).await.unwrap(), Err(AdapterError::TimedOut { sent: true })));
}
