//! Providers' own JSON over HTTP, by templates.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json as value};
use silta::clock::Clock;
use silta::provider::http::{Config, Http};
use silta::provider::{Action, Adapter, AdapterError, Delivery, Effect, Liveness, Outcome, Search, SetupError};
use silta_engine::fault::Fault;

use super::{HETU, delivery, in_a_minute, read, search, update};
use crate::support::time::{manual, soon, until};
use crate::support::tls::Authority;
use crate::support::web::{Server, json, respond, with};

const SCHEMA: &str = r#"{"type":"object","required":["tunnus","tila"],"additionalProperties":false,"properties":{
    "tunnus":{"type":"string"},"tila":{"enum":["uusi","valmis"]},"versio":{"type":"integer"},"hetu":{"type":"string","pattern":"^[0-9]{6}"},
    "maara":{"type":"number"}}}"#;

const TEMPLATES: &str = r#"
    patient_identifiers = ["urn:unknown", "urn:oid:1.2.246.21"]
    headers.X-Message = "{message_id}"

    [documents.lahete]
    types = ["ServiceRequest", "Task"]
    schema.name = "lahete.schema.json"
    id = "/tunnus"
    version = "/versio"
    list = { path = "lahetteet/haku", body = { hetu = "{identifier}", muutettu = "{since}", tilat = ["uusi"], raja = 10 }, items = "/tulos/lahetteet", next = "/seuraava" }
    get = { path = "/lahetteet/{id}", document = "/lahete" }
    create = { path = "lahetteet", document = "" }
    update = { path = "lahetteet/{id}", headers = { If-Match = "\"{version}\"" } }
"#;

fn config(base: &str, rest: &str) -> Config {
    toml::from_str(&format!("base = '{base}'\n{rest}")).unwrap()
}

fn made(config: Config, folder: &Path) -> Result<Http, SetupError> {
    let named = |name: &str| (name == "lahete.schema.json").then(|| SCHEMA.as_bytes().to_vec());
    Http::new(config, folder, &named, Clock::system())
}

fn adapter(server: &Server) -> Http {
    made(config(&server.base(), TEMPLATES), Path::new(".")).unwrap()
}

async fn list(adapter: &Http) -> Result<silta::provider::Answer, AdapterError> {
    soon(adapter.search(&search(&["Task"]), in_a_minute(&Clock::system()))).await
}

#[tokio::test]
async fn what_can_be_done_follows_from_the_templates() {
    let adapter = made(config("http://localhost:1/", TEMPLATES), Path::new(".")).unwrap();
    let capabilities = adapter.capabilities();
    assert_eq!(capabilities.liveness, Liveness::Live);
    let task = capabilities.of("Task");
    assert!(task.read && task.search && task.create && task.update);
    assert!(!capabilities.of("CarePlan").read);
    let error = soon(adapter.search(&search(&["CarePlan"]), in_a_minute(&Clock::system()))).await.unwrap_err();
    assert_eq!(error.fault(), Fault::MethodNotSupported);
}

#[tokio::test]
async fn a_patients_documents_come_as_the_very_bytes_and_the_identifier_goes_in_the_body() {
    let first = r#"{ "tunnus":"L1",  "tila":"uusi", "maara": 1.10, "versio": 7 }"#;
    let second = r#"{"tunnus":"L2","tila":"valmis"}"#;
    let server = Server::plain(move |seen| match seen.target.as_str() {
        "/lahetteet/haku" => json(200, format!(r#"{{"tulos":{{"lahetteet":[ {first} ]}},"seuraava":"/sivu/2?t=x"}}"#)),
        "/sivu/2?t=x" => json(200, format!(r#"{{"tulos":{{"lahetteet":[{second}]}},"seuraava":null}}"#)),
        _ => json(500, ""),
    })
    .await;
    let since = Search { since: Some("2026-02-01T00:00:00Z".parse().unwrap()), ..search(&["Task", "CarePlan"]) };
    let answer = soon(adapter(&server).search(&since, in_a_minute(&Clock::system()))).await.unwrap();
    let bytes: Vec<&[u8]> = answer.documents.iter().map(|one| one.bytes.as_ref()).collect();
    assert_eq!(bytes, [first.as_bytes(), second.as_bytes()]);
    let document = &answer.documents[0];
    assert_eq!((document.native_id.as_deref(), document.version.as_deref()), (Some("L1"), Some("7")));
    assert_eq!((document.kind.as_deref(), document.media_type.as_str()), (Some("lahete"), "application/json"));
    assert!(answer.complete && answer.unusable.is_empty());
    assert_eq!(answer.not_searched, ["CarePlan"]);

    let seen = server.seen();
    assert_eq!(seen[0].method, "POST");
    let body: Value = serde_json::from_str(seen[0].text()).unwrap();
    let expected = value!({"hetu": "010190-900Z", "muutettu": "2026-02-01T00:00:00Z", "tilat": ["uusi"], "raja": 10});
    assert_eq!(body, expected);
    assert!(seen.iter().all(|one| !one.target.contains("010190")));
    assert_eq!(seen[1].method, "GET");
}

#[tokio::test]
async fn what_has_no_value_is_left_out_of_the_body() {
    let server = Server::plain(|_| json(200, r#"{"tulos":{"lahetteet":[]}}"#)).await;
    assert!(list(&adapter(&server)).await.unwrap().documents.is_empty());
    let body: Value = serde_json::from_str(server.seen()[0].text()).unwrap();
    assert_eq!(body, value!({"hetu": "010190-900Z", "tilat": ["uusi"], "raja": 10}));
    assert_eq!(server.seen()[0].header("x-message"), None);
}

#[tokio::test]
async fn a_patient_without_an_identifier_that_the_service_knows_is_not_asked_for() {
    let server = Server::plain(|_| json(500, "")).await;
    let mut unknown = search(&["Task"]);
    unknown.patient.retain(|one| one.system != HETU);
    let answer = soon(adapter(&server).search(&unknown, in_a_minute(&Clock::system()))).await.unwrap();
    assert_eq!((answer.documents.len(), answer.not_searched.as_slice()), (0, ["Task".to_owned()].as_slice()));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_document_that_breaks_the_schema_is_named_by_its_place_and_the_others_stand() {
    let server = Server::plain(|_| {
        json(200, r#"{"tulos":{"lahetteet":[{"tunnus":"L1","tila":"uusi"},{"tunnus":"L2","tila":"uusi","hetu":"salaisuus"}]}}"#)
    })
    .await;
    let answer = list(&adapter(&server)).await.unwrap();
    assert_eq!(answer.documents.len(), 1);
    let [error] = answer.unusable.as_slice() else { panic!("{answer:?}") };
    assert_eq!((error.fault(), error.location()), (Fault::ProviderAnswerUnusable, Some("$.tulos.lahetteet[1].hetu")));
    assert!(error.to_string().contains("^[0-9]{6}"), "{error}");
    assert!(!format!("{error} {error:?}").contains("salaisuus"));
    assert!(error.answer().unwrap().bytes.ends_with(b"}]}}"), "the answer is there for the journal");
}

#[tokio::test]
async fn the_rule_that_is_broken_is_told_without_the_value() {
    for (document, path, told) in [
        (r#"{"tila":"uusi"}"#, "$.lahete", "\"tunnus\""),
        (r#"{"tunnus":5,"tila":"uusi"}"#, "$.lahete.tunnus", "type"),
        (r#"{"tunnus":"T","tila":"salaisuus"}"#, "$.lahete.tila", "enum"),
        (r#"{"tunnus":"T","tila":"uusi","salaisuus":1}"#, "$.lahete", "additionalProperties"),
    ] {
        let server = Server::plain(move |_| json(200, format!(r#"{{"lahete":{document}}}"#))).await;
        let error = soon(adapter(&server).read(&read("Task", "T"), in_a_minute(&Clock::system()))).await.unwrap_err();
        assert_eq!(error.location(), Some(path));
        assert!(
            error.to_string().contains(told.trim_matches('"')) && !error.to_string().contains("salaisuus"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn one_document_is_got_by_its_id_and_must_be_that_one() {
    let server = Server::plain(|seen| match seen.target.as_str() {
        "/lahetteet/a%2Fb%20%C3%A4" => {
            with(json(200, r#"{"lahete":{"tunnus":"a/b ä","tila":"uusi"}}"#), "etag", "W/\"e1\"")
        }
        "/lahetteet/old" => json(410, ""),
        "/lahetteet/other" => json(200, r#"{"lahete":{"tunnus":"another","tila":"uusi"}}"#),
        _ => json(404, ""),
    })
    .await;
    let (adapter, deadline) = (adapter(&server), in_a_minute(&Clock::system()));
    let found = soon(adapter.read(&read("Task", "a/b ä"), deadline)).await.unwrap();
    assert_eq!(found.bytes.as_ref(), r#"{"tunnus":"a/b ä","tila":"uusi"}"#.as_bytes());
    assert_eq!(found.version.as_deref(), Some("e1"));
    for (id, fault) in [("old", Fault::Deleted), ("other", Fault::ProviderAnswerUnusable), ("gone", Fault::NotFound)] {
        assert_eq!(soon(adapter.read(&read("Task", id), deadline)).await.unwrap_err().fault(), fault, "{id}");
    }
    let asked = server.seen().len();
    for id in ["..", ".", ""] {
        assert_eq!(soon(adapter.read(&read("Task", id), deadline)).await.unwrap_err().fault(), Fault::NotFound);
    }
    assert_eq!(server.seen().len(), asked, "an id that would change the path is not asked for");
}

#[tokio::test]
async fn a_new_document_is_posted_with_its_stable_id_and_its_new_id_is_found() {
    let server = Server::plain(|_| json(201, r#"{"tunnus":"L9","tila":"uusi","versio":1}"#)).await;
    let adapter = adapter(&server);
    let new = delivery("Task", Action::Create, r#"{"tunnus":"-","tila":"uusi"}"#);
    let receipt = soon(adapter.submit(&new, in_a_minute(&Clock::system()))).await.unwrap();
    assert_eq!((receipt.effect, receipt.native_id.as_deref()), (Effect::Applied, Some("L9")));
    assert_eq!(receipt.version.as_deref(), Some("1"));
    assert_eq!(receipt.returned.unwrap().bytes.as_ref(), br#"{"tunnus":"L9","tila":"uusi","versio":1}"#);
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str(), seen.text()),
        ("POST", "/lahetteet", r#"{"tunnus":"-","tila":"uusi"}"#)
    );
    assert_eq!((seen.header("x-message"), seen.header("content-type")), (Some("M-1"), Some("application/json")));
    assert!(adapter.repeatable(&new), "the service is told the message's id");
}

#[tokio::test]
async fn without_a_returned_document_the_id_is_the_last_step_of_the_location() {
    let server = Server::plain(|_| with(json(202, ""), "location", "/api/lahetteet/L77?x=1")).await;
    let new = delivery("Task", Action::Create, r#"{"tunnus":"-","tila":"uusi"}"#);
    let receipt = soon(adapter(&server).submit(&new, in_a_minute(&Clock::system()))).await.unwrap();
    assert_eq!((receipt.effect, receipt.native_id.as_deref()), (Effect::Committed, Some("L77")));
}

#[tokio::test]
async fn a_returned_document_that_cannot_be_used_does_not_undo_what_was_done() {
    let server = Server::plain(|_| json(201, r#"{"tunnus":"L9","tila":"outo"}"#)).await;
    let new = delivery("Task", Action::Create, r#"{"tunnus":"-","tila":"uusi"}"#);
    let receipt = soon(adapter(&server).submit(&new, in_a_minute(&Clock::system()))).await.unwrap();
    assert!(receipt.returned.is_none() && receipt.answer.is_some());
}

#[tokio::test]
async fn a_change_is_put_on_the_version_that_was_changed() {
    let server = Server::plain(|seen| json(if seen.header("if-match") == Some("\"3\"") { 204 } else { 412 }, "")).await;
    let (adapter, deadline) = (adapter(&server), in_a_minute(&Clock::system()));
    let change = |version| delivery("Task", update("L1", version), r#"{"tunnus":"L1","tila":"valmis"}"#);
    let receipt = soon(adapter.submit(&change(Some("3")), deadline)).await.unwrap();
    assert_eq!(receipt.native_id.as_deref(), Some("L1"));
    let stale = soon(adapter.submit(&change(Some("2")), deadline)).await.unwrap_err();
    assert_eq!((stale.fault(), stale.retryable()), (Fault::VersionStale, false));
    soon(adapter.submit(&change(None), deadline)).await.unwrap_err();
    let seen = server.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("PUT", "/lahetteet/L1"));
    assert_eq!(seen[2].header("if-match"), None);
}

#[tokio::test]
async fn what_breaks_the_schema_is_not_sent() {
    let server = Server::plain(|_| json(201, "")).await;
    let (adapter, deadline) = (adapter(&server), in_a_minute(&Clock::system()));
    for (bytes, path) in [(r#"{"tunnus":"x","tila":"salaisuus"}"#, "$.tila"), ("{", "$")] {
        let error = soon(adapter.submit(&delivery("Task", Action::Create, bytes), deadline)).await.unwrap_err();
        assert_eq!(
            (error.fault(), error.location(), error.outcome()),
            (Fault::ProfileRule, Some(path), Outcome::NotDone)
        );
        assert!(!format!("{error} {error:?}").contains("salaisuus"));
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn statuses_say_whose_fault_it_is_and_whether_to_try_again() {
    for (status, fault, retryable, outcome) in [
        (400, Fault::BadValue, false, Outcome::NotDone),
        (401, Fault::ProviderAnswerUnusable, true, Outcome::NotDone),
        (404, Fault::NotFound, false, Outcome::NotDone),
        (409, Fault::VersionConflict, false, Outcome::NotDone),
        (413, Fault::TooLarge, false, Outcome::NotDone),
        (422, Fault::BusinessRule, false, Outcome::NotDone),
        (428, Fault::VersionMissing, false, Outcome::NotDone),
        (500, Fault::ProviderDown, true, Outcome::Unknown),
        (503, Fault::ProviderDown, true, Outcome::NotDone),
    ] {
        let server = Server::plain(move |_| with(json(status, "{}"), "retry-after", "7")).await;
        let new = delivery("Task", Action::Create, r#"{"tunnus":"-","tila":"uusi"}"#);
        let error = soon(adapter(&server).submit(&new, in_a_minute(&Clock::system()))).await.unwrap_err();
        assert_eq!((error.fault(), error.retryable(), error.outcome()), (fault, retryable, outcome), "{status}");
        assert_eq!(error.retry_after(), (status == 503).then_some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::plain(|_| json(200, r#"{"tulos":{"lahetteet":[]}}"#)).await;
    let there = format!("http://localhost:{}/", other.port());
    let server = Server::plain(move |_| with(json(307, ""), "location", &there)).await;
    let error = list(&adapter(&server)).await.unwrap_err();
    assert!(matches!(&error, AdapterError::AnswerUnusable { what, .. } if what.contains("redirect")), "{error:?}");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_asked_for() {
    let other = Server::plain(|_| json(200, "{}")).await;
    for link in [
        format!("http://localhost:{}/2", other.port()),
        "http://a:b@localhost/".to_owned(),
        "//evil.example/".to_owned(),
    ] {
        let server =
            Server::plain(move |_| json(200, format!(r#"{{"tulos":{{"lahetteet":[]}},"seuraava":"{link}"}}"#))).await;
        let error = list(&adapter(&server)).await.unwrap_err();
        assert!(matches!(error, AdapterError::AnswerUnusable { .. }), "{error:?}");
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn what_the_pages_before_a_failure_gave_stands() {
    for status in [500, 200] {
        let server = Server::plain(move |seen| match seen.target.contains("page=2") {
            false => json(200, r#"{"tulos":{"lahetteet":[{"tunnus":"x","tila":"uusi"}]},"seuraava":"/s?page=2"}"#),
            true => json(status, "{}"),
        })
        .await;
        let answer = list(&adapter(&server)).await.unwrap();
        assert_eq!((answer.documents.len(), answer.complete, answer.unusable.len()), (1, false, 1), "{status}");
    }
}

#[tokio::test]
async fn pages_end_at_the_limit_and_the_answer_says_that_there_is_more() {
    let server = Server::plain(|seen| {
        json(
            200,
            format!(
                r#"{{"tulos":{{"lahetteet":[{{"tunnus":"x","tila":"uusi"}}]}},"seuraava":"/s?{}"}}"#,
                seen.target.len()
            ),
        )
    })
    .await;
    let limited = Config { pages: 3, ..config(&server.base(), TEMPLATES) };
    let answer = list(&made(limited, Path::new(".")).unwrap()).await.unwrap();
    assert_eq!((answer.documents.len(), answer.complete), (3, false));
    let circle = Server::plain(|_| json(200, r#"{"tulos":{"lahetteet":[]},"seuraava":"/again"}"#)).await;
    assert!(matches!(list(&adapter(&circle)).await, Err(AdapterError::AnswerUnusable { .. })));
    assert_eq!(circle.seen().len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_described_cannot_be_used() {
    for (media_type, body) in [
        ("text/html", "<html>"),
        ("application/json", "{"),
        ("application/json", "{}"),
        ("application/json", r#"{"tulos":{"lahetteet":{}}}"#),
        ("application/json", r#"{"tulos":[]}"#),
    ] {
        let server = Server::plain(move |_| respond(200, media_type, body)).await;
        let error = list(&adapter(&server)).await.unwrap_err();
        assert_eq!(error.fault(), Fault::ProviderAnswerUnusable, "{body}");
        assert_eq!(error.answer().unwrap().bytes.as_ref(), body.as_bytes());
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read_to_its_end() {
    let server = Server::plain(|_| json(200, vec![b' '; 2000])).await;
    let limited = Config { answer_limit: 1999, ..config(&server.base(), TEMPLATES) };
    let error = list(&made(limited, Path::new(".")).unwrap()).await.unwrap_err();
    assert!(matches!(error, AdapterError::AnswerTooLarge { limit: 1999 }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_at_the_deadline() {
    let (server, clock) = (Server::silent().await, manual());
    let named = |_: &str| Some(SCHEMA.as_bytes().to_vec());
    let adapter = Http::new(config(&server.base(), TEMPLATES), Path::new("."), &named, clock.clone()).unwrap();
    let deadline = in_a_minute(&clock);
    let asking = tokio::spawn(async move { adapter.search(&search(&["Task"]), deadline).await.map(|_| ()) });
    until("the request is there", || server.seen().len() == 1 && clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(60));
    assert!(matches!(soon(asking).await.unwrap(), Err(AdapterError::TimedOut { sent: true })));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_its_address_is_not_told() {
    let server = Server::plain(|_| json(200, "")).await;
    let adapter = adapter(&server);
    drop(server);
    let error = soon(async {
        loop {
            // The socket closes when its task has ended.
            match adapter.read(&read("Task", "salaisuus"), in_a_minute(&Clock::system())).await {
                Err(error @ AdapterError::Unreachable { .. }) => return error,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!((error.fault(), error.outcome()), (Fault::ProviderDown, Outcome::NotDone));
    assert!(!format!("{error} {error:?}").contains("salaisuus"));
}

#[tokio::test]
async fn over_tls_both_sides_must_know_each_other_and_the_key_is_sent() {
    let authority = Authority::new();
    let issued = authority.issue("server");
    authority.issue("ours");
    std::fs::write(authority.folder().join("county.key.txt"), "s3cret\n").unwrap();
    let server = Server::tls(&authority, &issued, true, |seen| {
        json(if seen.header("x-api-key") == Some("s3cret") { 200 } else { 401 }, r#"{"tulos":{"lahetteet":[]}}"#)
    })
    .await;
    let base = format!("https://localhost:{}/", server.port());
    let keys = "credentials.api_key = { header = 'X-API-Key', secret = { file = 'county.key.txt' } }";
    let mutual = "tls = { ca = 'ca.pem', certificate = 'ours.pem', key = 'ours.key' }";
    let with_all = made(config(&base, &format!("{keys}\n{mutual}\n{TEMPLATES}")), authority.folder()).unwrap();
    list(&with_all).await.unwrap();
    assert_eq!(server.seen()[0].version, hyper::Version::HTTP_2, "spoken where it is offered");

    let keyless = made(config(&base, &format!("{mutual}\n{TEMPLATES}")), authority.folder()).unwrap();
    assert!(matches!(list(&keyless).await, Err(AdapterError::CredentialsRefused { .. })));
    let nameless = made(config(&base, &format!("{keys}\ntls.ca = 'ca.pem'\n{TEMPLATES}")), authority.folder()).unwrap();
    assert!(list(&nameless).await.is_err());
    let stranger = Authority::new();
    std::fs::write(stranger.folder().join("county.key.txt"), "s3cret").unwrap();
    let suspicious =
        made(config(&base, &format!("{keys}\ntls.ca = 'ca.pem'\n{TEMPLATES}")), stranger.folder()).unwrap();
    assert!(matches!(list(&suspicious).await, Err(AdapterError::Unreachable { .. })));
    assert_eq!(server.seen().len(), 2, "without trust nothing is sent");
}

#[test]
fn a_configuration_that_cannot_work_names_the_key() {
    let wrong = |rest: &str| made(config("http://localhost:1/", rest), Path::new(".")).map(|_| ()).unwrap_err().key;
    for (rest, key) in [
        ("documents.a.types = []", "documents.a.types"),
        ("[documents.a]\ntypes = ['Task']\nget.path = 'x'", "documents.a.get.path"),
        ("[documents.a]\ntypes = ['Task']\nget.path = 'x/{nimi}'", "documents.a.get.path"),
        ("[documents.a]\ntypes = ['Task']\nget.path = 'x/{identifier}/{id}'", "documents.a.get.path"),
        ("[documents.a]\ntypes = ['Task']\nget = { path = '{id}', document = 'x' }", "documents.a.get.document"),
        ("[documents.a]\ntypes = ['Task']\nlist = { path = 'x', method = 'DELETE' }", "documents.a.list.method"),
        ("[documents.a]\ntypes = ['Task']\nlist = { path = 'x', body = { a = '{' } }", "documents.a.list.body"),
        ("[documents.a]\ntypes = ['Task']\nschema.name = 'other'", "documents.a.schema.name"),
        ("[documents.a]\ntypes = ['Task']\nschema.file = 'missing.json'", "documents.a.schema.file"),
        ("[documents]\n[headers]\n'a b' = 'x'", "headers.a b"),
        ("documents = {}\ncredentials.bearer.env = 'SILTA_NO_SUCH_VARIABLE'", "credentials.bearer.env"),
    ] {
        assert_eq!(wrong(rest), key, "{rest}");
    }
    let tls = "documents = {}\ntls = { certificate = 'x.pem' }";
    let error = made(config("https://county.example/", tls), Path::new(".")).map(|_| ()).unwrap_err();
    assert!(error.key.starts_with("tls."), "{error}");
    let base = |base: &str| made(config(base, "documents = {}"), Path::new(".")).map(|_| ()).map_err(|error| error.key);
    for bad in
        ["county", "ftp://localhost/", "http://county.example/", "http://a:b@localhost/", "http://localhost/?a=b"]
    {
        assert_eq!(base(bad), Err("base".to_owned()), "{bad}");
    }
    assert_eq!(base("http://127.0.0.1:80/api"), Ok(()));
}

#[test]
fn a_template_that_puts_a_patients_identifier_into_an_address_is_warned_of() {
    let quiet = config("http://localhost:1/", TEMPLATES);
    assert_eq!(quiet.warnings(), []);
    let loud = config(
        "http://localhost:1/",
        "[documents.a]\ntypes = ['Task']\nlist = { method = 'GET', path = 'p/{identifier}', query = { hetu = '{identifier}', s = '{since}' } }",
    );
    let keys: Vec<String> = loud.warnings().into_iter().map(|warning| warning.key).collect();
    assert_eq!(keys, ["documents.a.list.path", "documents.a.list.query.hetu"]);
}

#[tokio::test]
async fn a_query_is_encoded_and_what_has_no_value_is_left_out() {
    let server = Server::plain(|_| json(200, "[]")).await;
    let rest = format!(
        "patient_identifiers = ['{HETU}']\n[documents.a]\ntypes = ['Task']\n[documents.a.list]\nmethod = 'GET'\npath = 'x/{{identifier}}'\nquery = {{ h = '{{identifier}}&', s = '{{since}}' }}"
    );
    list(&made(config(&server.base(), &rest), Path::new(".")).unwrap()).await.unwrap();
    assert_eq!(server.seen()[0].target, "/x/010190-900Z?h=010190-900Z%26");
}

#[tokio::test]
async fn a_kind_named_in_the_delivery_is_the_one_that_is_used() {
    let server = Server::plain(|_| json(204, "")).await;
    let rest = "[documents.a]\ntypes = ['Task']\ncreate.path = 'a'\n[documents.b]\ntypes = ['Task']\ncreate.path = 'b'";
    let adapter = made(config(&server.base(), rest), Path::new(".")).unwrap();
    let named = Delivery { kind: Some("b".to_owned()), ..delivery("Task", Action::Create, "{}") };
    soon(adapter.submit(&named, in_a_minute(&Clock::system()))).await.unwrap();
    assert_eq!(server.seen()[0].target, "/b");
    assert!(!adapter.repeatable(&named), "the service could not know it again");
    let unknown = Delivery { kind: Some("c".to_owned()), ..named };
    assert!(matches!(
        soon(adapter.submit(&unknown, in_a_minute(&Clock::system()))).await,
        Err(AdapterError::NotSupported { .. })
    ));
}
