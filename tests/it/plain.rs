//! Organisations whose system is a FHIR server and nothing else: what is ordered from them stands there, once, as they call
//! it; and what they do to it is known here.

#[path = "plain/versions.rs"]
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::mllp::Line;
use crate::support::program::{HASH, SECRET};
use crate::support::station::Station;
use crate::support::time::until;
use crate::support::web::{Answer, Seen, Server, respond, with};

/// What a FHIR server holds: each resource with its version.
#[derive(Default)]
struct Held {
    resources: BTreeMap<String, (u64, Value)>,
    made: u64,
    /// The next create of these types is done, and its answer lost.
    mute: Vec<String>,
    /// Creates of these types are refused.
    refuses: Vec<String>,
    /// Whatever identifier is asked for, everything of the type is the answer.
    ignores_conditions: bool,
    creates: Vec<String>,
    updates: Vec<(String, Option<String>)>,
}

type Shared = Arc<Mutex<Held>>;

impl Held {
    fn of(&self, kind: &str) -> Vec<Value> {
        let prefix = format!("{kind}/");
        self.resources.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, (_, one))| one.clone()).collect()
    }

    fn only(&self, kind: &str) -> Value {
        let [one] = self.of(kind).try_into().unwrap_or_else(|all| panic!("one {kind}: {all:?}"));
        one
    }

    fn put(&mut self, key: &str, mut resource: Value) -> (u64, Value) {
        let version = self.resources.get(key).map_or(1, |(version, _)| version + 1);
        resource["id"] = json!(key.split('/').nth(1).unwrap());
        resource["meta"]["versionId"] = json!(version.to_string());
        resource["meta"]["lastUpdated"] = json!(format!("2026-03-02T10:00:{version:02}Z"));
        self.resources.insert(key.to_owned(), (version, resource.clone()));
        (version, resource)
    }

    fn identified(&self, kind: &str, token: &str) -> Vec<Value> {
        let (system, value) = token.split_once('|').unwrap();
        let bears = |one: &Value| {
            self.ignores_conditions
                || one["identifier"].as_array().is_some_and(|all| {
                    all.iter().any(|identifier| identifier["system"] == system && identifier["value"] == value)
                })
        };
        self.of(kind).into_iter().filter(bears).collect()
    }

    /// What is about the patient of an identifier.
    fn about(&self, kind: &str, token: &str) -> Vec<Value> {
        let tokens = token.split(',');
        let patients: Vec<String> = tokens
            .flat_map(|token| self.identified("Patient", token))
            .map(|patient| format!("Patient/{}", patient["id"].as_str().unwrap()))
            .collect();
        let is_about = |one: &Value| {
            let about = one["for"]["reference"].as_str().or(one["subject"]["reference"].as_str());
            about.is_some_and(|about| patients.iter().any(|patient| patient == about))
        };
        self.of(kind).into_iter().filter(is_about).collect()
    }

    fn answer(&mut self, seen: &Seen) -> Answer {
        let path = seen.target.trim_start_matches('/').to_owned();
        let steps: Vec<&str> = path.split('/').collect();
        match (seen.method.as_str(), steps.as_slice()) {
            ("POST", [kind, "_search"]) => {
                let form = form(seen.text());
                let value = |wanted: &str| form.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
                let found = match (value("identifier"), value("patient.identifier")) {
                    (Some(token), _) => self.identified(kind, token),
                    (None, Some(token)) => self.about(kind, token),
                    (None, None) => panic!("asked by {form:?}"),
                };
                let entries: Vec<Value> = found.into_iter().map(|one| json!({"resource": one})).collect();
                fhir(200, &json!({"resourceType": "Bundle", "type": "searchset", "entry": entries}))
            }
            ("POST", [kind]) => self.create(kind, seen),
            ("GET", [_, _]) => match self.resources.get(&path) {
                Some((version, one)) if seen.header("if-none-match") == Some(&format!("W/\"{version}\"")) => {
                    let _ = one;
                    respond(304, "application/fhir+json", "")
                }
                Some((version, one)) => tagged(fhir(200, one), *version),
                None => respond(404, "application/fhir+json", ""),
            },
            ("PUT", [_, _]) => {
                let current = self.resources.get(&path).map(|(version, _)| format!("W/\"{version}\""));
                let named = seen.header("if-match").map(str::to_owned);
                self.updates.push((path.clone(), named.clone()));
                if named.is_some() && named != current {
                    return respond(412, "application/fhir+json", "");
                }
                let (version, one) = self.put(&path, serde_json::from_slice(&seen.body).unwrap());
                tagged(fhir(200, &one), version)
            }
            other => panic!("asked {other:?}"),
        }
    }

    fn create(&mut self, kind: &str, seen: &Seen) -> Answer {
        let resource: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(resource["resourceType"], kind);
        assert!(resource.get("id").is_none(), "the server gives the id: {resource}");
        if self.refuses.iter().any(|one| one == kind) {
            let outcome =
                json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "business-rule"}]});
            return fhir(422, &outcome);
        }
        if let Some(condition) = seen.header("if-none-exist") {
            let form = form(condition);
            if let [one] = self.identified(kind, &form[0].1).as_slice() {
                return fhir(200, one);
            }
        }
        self.made += 1;
        self.creates.push(kind.to_owned());
        let key = format!("{kind}/{}", self.made);
        let (version, one) = self.put(&key, resource);
        if let Some(place) = self.mute.iter().position(|one| one == kind) {
            self.mute.remove(place);
            return respond(502, "text/plain", "");
        }
        let answer = tagged(fhir(201, &one), version);
        with(answer, "location", &format!("http://localhost/{key}/_history/{version}"))
    }
}

/// The pairs of a form.
fn form(text: &str) -> Vec<(String, String)> {
    reqwest::Url::parse(&format!("http://localhost/?{text}")).unwrap().query_pairs().into_owned().collect()
}

fn fhir(status: u16, resource: &Value) -> Answer {
    respond(status, "application/fhir+json", resource.to_string())
}

fn tagged(answer: Answer, version: u64) -> Answer {
    with(answer, "etag", &format!("W/\"{version}\""))
}

const ALL: &str = "{ read = true, search = true, create = true, update = true }";

struct Site {
    station: Station,
    held: Shared,
    line: Line,
    _server: Server,
}

impl Site {
    /// A hospital over MLLP, and a rehabilitation association that is a FHIR server.
    async fn start(of_server: &str) -> Self {
        let held: Shared = Arc::default();
        let behind = Arc::clone(&held);
        let server = Server::plain(move |seen| behind.lock().unwrap().answer(seen)).await;
        let types = ["Patient", "ServiceRequest", "Task", "CarePlan"].map(|kind| format!("{kind} = {ALL}")).join(", ");
        let station = Station::start(&format!(
            "mode = 'test'\n\
             [exchange.outbox]\nfirst_wait_seconds = 1\n\
             [providers.hospital]\nmode = 'test'\norganisations = ['urn:test|hospital']\n\
             [providers.hospital.map]\nidentifier_types = {{ NNFIN = 'urn:oid:1.2.246.21' }}\n\
             facilities = {{ KUNTOUTUS = 'urn:test|ry' }}\n\
             [access.caller.ry]\nmode = 'test'\nsecret_hash = ['{HASH}']\norganisation = ['urn:test|ry']\n\
             interactions = ['*.$inbound']\n\
             [providers.ry]\nmode = 'test'\norganisations = ['urn:test|ry']\n\
             [providers.ry.fhir]\nbase = '{}'\ntypes = {{ {types} }}\n{of_server}\n\
             [providers.ry.health]\nattempts = 1\nfailures = 100\n\
             [[mllp]]\nprovider = 'hospital'\nlisten = '127.0.0.1:0'\n",
            server.base()
        ))
        .await;
        let line = station.line().await;
        Self { station, held, line, _server: server }
    }

    /// The hospital refers its patient.
    async fn refer(&mut self, control: &str) {
        let message = format!(
            "MSH|^~\\&|EPR|SAIRAALA|SILTA|KUNTOUTUS|20260302091400+0200||REF^I12^REF_I12|{control}|T|2.5.1\r\
             RF1|P^Pending^HL70283|A^ASAP^HL70280|Hom^Home Care^HL70281|||REF-{control}^EPR^1.2.246.10.99999001.30.1^ISO|20260302||20260302091400+0200\r\
             PRD|RP|Lääkäri^Liisa||^^^Keskussairaala|||\r\
             PID|1||140347-9120^^^VRK&1.2.246.21&ISO^NNFIN~4711^^^EPR&1.2.246.10.99999001.20.1&ISO^PI||Koivisto-Näyte^Aino||19470314|F\r\
             DG1|1||S72.0^Reisiluun kaulan murtuma^ICD10||20260227|A\r\
             OBR|1|||18842-5^Discharge summary^LN|||20260302\r\
             OBX|1|ED|18842-5^Discharge summary^LN||^application^pdf^Base64^JVBERi0xLjQK||||||F\r"
        );
        self.line.send(&message).await;
        let reply = self.line.receive().await.unwrap();
        assert!(reply.contains(&format!("MSA|AA|{control}")), "{reply}");
    }

    /// What the association's server tells by itself.
    async fn hook(&self, method: &str, path: &str, body: String) -> crate::support::gateway::Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.station.caller.request(method, self.station.url(path)).bearer_auth(SECRET);
        let request = request.header("content-type", "application/fhir+json; charset=utf-8").body(body);
        crate::support::gateway::Answer::to(request).await
    }

    async fn stands(&self, what: &str, holds: impl Fn(&Held) -> bool) {
        until(what, || holds(&self.held.lock().unwrap())).await;
    }

    /// Waits until the Task says that it did not come to its owner.
    async fn says_undelivered(&self) {
        let mut told = Value::Null;
        for _ in 0..2000 {
            told = self.task_in("requested").await["statusReason"]["text"].clone();
            if !told.is_null() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(told, "could not be delivered to the owner's system");
    }

    /// The gateway's Task, once it is in a status.
    async fn task_in(&self, status: &str) -> Value {
        for _ in 0..2000 {
            let found = self.station.search("Task", &[("patient.identifier", "urn:oid:1.2.246.21|140347-9120")]).await;
            let all = found["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone());
            let tasks: Vec<Value> = all.filter(|one| one["resourceType"] == "Task").collect();
            assert!(tasks.len() <= 1, "the server's copy is no other Task: {tasks:?}");
            if let Some(task) = tasks.into_iter().find(|one| one["status"] == status) {
                return task;
            }
            tokio::task::yield_now().await;
        }
        panic!("no Task came into {status}");
    }

    /// The association does something to its Task.
    fn do_to_task(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut held = self.held.lock().unwrap();
        let mut task = held.only("Task");
        change(&mut task);
        let key = format!("Task/{}", task["id"].as_str().unwrap());
        held.put(&key, task).1
    }

    async fn change(&self, task: &Value) -> u16 {
        let id = task["id"].as_str().unwrap();
        let version = format!("W/\"{}\"", task["meta"]["versionId"].as_str().unwrap());
        self.station.put(&format!("/Task/{id}"), &version, task.to_string()).await.status
    }
}

#[tokio::test]
async fn an_order_stands_at_a_fhir_server_with_its_task_and_patient_as_the_server_calls_them() {
    let mut site = Site::start("").await;
    site.refer("R1").await;
    site.stands("the Task is there", |held| held.of("Task").len() == 1).await;
    let (patient, order, task) = {
        let held = site.held.lock().unwrap();
        assert_eq!(held.creates, ["Patient", "ServiceRequest", "Task"], "what is referred to comes first");
        (held.only("Patient"), held.only("ServiceRequest"), held.only("Task"))
    };
    let named = |resource: &Value| {
        format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
    };
    assert_eq!(order["subject"]["reference"], named(&patient));
    assert_eq!(task["focus"]["reference"], named(&order));
    assert_eq!(task["for"]["reference"], named(&patient));
    assert_eq!(task["status"], "requested");
    assert_eq!(order["identifier"][0]["value"], "REF-R1");
    assert_eq!(patient["identifier"][0]["value"], "140347-9120");
    assert_eq!(task["identifier"][0]["system"], "urn:silta:task");
    // What the server takes no resources for goes inside: the diagnosis, the letter with its content.
    let inside = order["contained"].as_array().unwrap();
    let of =
        |kind: &str| inside.iter().find(|one| one["resourceType"] == kind).unwrap_or_else(|| panic!("{kind}: {order}"));
    assert_eq!(of("Condition")["code"]["coding"][0]["code"], "S72.0");
    assert_eq!(of("Condition")["subject"]["reference"], named(&patient));
    assert_eq!(of("DocumentReference")["content"][0]["attachment"]["data"], "JVBERi0xLjQK");
    for reference in ["/reasonReference/0/reference", "/supportingInfo/0/reference"] {
        let text = order.pointer(reference).and_then(Value::as_str).unwrap();
        assert!(inside.iter().any(|one| text == format!("#{}", one["id"].as_str().unwrap())), "{text}");
    }
    let validator = silta_engine::validation::Validator::built_in();
    for resource in [&patient, &order, &task] {
        let model = silta_engine::definitions::Model::r4();
        let limits = silta_engine::fhir::document::Limits::default();
        let document =
            silta_engine::fhir::document::Document::from_json(model, resource.to_string().into_bytes(), &limits)
                .unwrap();
        let whole = silta_engine::fhir::document::Part::whole(&document);
        let errors: Vec<String> = validator
            .validate_part(&whole, &[])
            .iter()
            .filter(|finding| finding.severity == silta_engine::validation::Severity::Error)
            .map(|finding| format!("{} {}", finding.path(&document), finding.text(&document)))
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {resource}");
    }
    site.refer("R2").await;
    site.stands("both Tasks are there", |held| held.of("Task").len() == 2).await;
    assert_eq!(site.held.lock().unwrap().of("Patient").len(), 1, "the patient is known there");
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_makes_nothing_twice() {
    for conditional in ["", "conditional_create = true"] {
        let mut site = Site::start(conditional).await;
        site.held.lock().unwrap().mute = ["Patient", "ServiceRequest", "Task"].map(str::to_owned).to_vec();
        site.refer("R1").await;
        site.stands("the Task is there", |held| held.of("Task").len() == 1 && held.mute.is_empty()).await;
        // The next change goes to the Task that was made.
        let task = site.task_in("requested").await;
        let mut cancelled = task.clone();
        cancelled["status"] = json!("cancelled");
        cancelled["statusReason"] = json!({"text": "not needed any more"});
        assert_eq!(site.change(&cancelled).await, 200);
        site.stands("it is cancelled there", |held| held.only("Task")["status"] == "cancelled").await;
        let held = site.held.lock().unwrap();
        assert_eq!(held.creates, ["Patient", "ServiceRequest", "Task"], "{conditional}");
    }
}

#[tokio::test]
async fn what_the_server_posts_moves_the_task_and_a_change_here_keeps_what_the_server_added() {
    let mut site = Site::start("").await;
    site.refer("R1").await;
    site.stands("the Task is there", |held| held.of("Task").len() == 1).await;
    let theirs = site.do_to_task(|task| {
        task["status"] = json!("accepted");
        task["extension"] = json!([{"url": "urn:their:own", "valueDecimal": 1.5}]);
    });
    let answer = site.hook("POST", "/hooks/ry", theirs.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let task = site.task_in("accepted").await;
    let again = site.hook("POST", "/hooks/ry", theirs.to_string()).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(site.task_in("accepted").await["meta"]["versionId"], task["meta"]["versionId"], "said twice, done once");
    assert!(site.held.lock().unwrap().updates.is_empty(), "who did it is not told of it");

    let mut held_up = task.clone();
    held_up["note"] = json!([{"text": "Ring first."}]);
    assert_eq!(site.change(&held_up).await, 200);
    site.stands("the note is there", |held| held.only("Task")["note"][0]["text"] == "Ring first.").await;
    let held = site.held.lock().unwrap();
    let there = held.only("Task");
    assert_eq!(there["extension"][0]["url"], "urn:their:own");
    assert_eq!(there["status"], "accepted");
    let key = format!("Task/{}", there["id"].as_str().unwrap());
    assert_eq!(held.updates, [(key, Some("W/\"2\"".to_owned()))], "on the version that was read");
}

#[tokio::test]
async fn a_rest_hook_may_put_the_resource_or_only_ring() {
    let mut site = Site::start("").await;
    site.refer("R1").await;
    site.stands("the Task is there", |held| held.of("Task").len() == 1).await;
    let theirs = site.do_to_task(|task| task["status"] = json!("received"));
    let path = format!("/hooks/ry/Task/{}", theirs["id"].as_str().unwrap());
    let elsewhere = site.hook("PUT", "/hooks/ry/Task/other", theirs.to_string()).await;
    assert_eq!(elsewhere.status, 400, "{}", elsewhere.text);
    assert_eq!(site.hook("PUT", &path, theirs.to_string()).await.status, 200);
    site.task_in("received").await;
    site.do_to_task(|task| task["status"] = json!("accepted"));
    assert_eq!(site.hook("POST", "/hooks/ry", String::new()).await.status, 200);
    site.task_in("accepted").await;
}

#[tokio::test]
async fn what_is_posted_and_cannot_be_is_refused_and_changes_nothing() {
    let mut site = Site::start("").await;
    site.refer("R1").await;
    site.stands("the Task is there", |held| held.of("Task").len() == 1).await;
    let before = site.task_in("requested").await;
    let theirs = site.held.lock().unwrap().only("Task");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut task = theirs.clone();
        change(&mut task);
        task.to_string()
    };
    for (body, expected) in [
        ("{".to_owned(), 400),
        ("[]".to_owned(), 400),
        (json!({"resourceType": "Bundle", "type": "history"}).to_string(), 400),
        (json!({"resourceType": "OperationOutcome", "issue": []}).to_string(), 400),
        (with(&|task| task["status"] = json!("no-such")), 422),
        (with(&|task| drop(task.as_object_mut().unwrap().remove("id"))), 400),
    ] {
        let answer = site.hook("POST", "/hooks/ry", body.clone()).await;
        assert_eq!(answer.status, expected, "{body}: {}", answer.text);
        assert!(answer.text.contains("OperationOutcome"), "{}", answer.text);
    }
    for path in ["/hooks/nobody", "/hooks/hospital", "/hooks/"] {
        let answer = site.hook("POST", path, theirs.to_string()).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
    }
    assert_eq!(site.hook("GET", "/hooks/ry", String::new()).await.status, 405);
    let after = site.task_in("requested").await;
    assert_eq!(after["meta"]["versionId"], before["meta"]["versionId"]);
}

#[tokio::test]
async fn what_a_silent_server_does_is_found_by_looking() {
    let mut site = Site::start("poll = '20ms'").await;
    site.refer("R1").await;
    site.stands("the Task is there", |held| held.of("Task").len() == 1).await;
    site.do_to_task(|task| task["status"] = json!("accepted"));
    site.task_in("accepted").await;
    site.do_to_task(|task| {
        task["status"] = json!("rejected");
        task["statusReason"] = json!({"text": "no room"});
    });
    // A taken referral cannot be rejected any more: it is kept as refused, and an operator told.
    until("nothing more is to be found", || site.held.lock().unwrap().only("Task")["status"] == "rejected").await;
    site.do_to_task(|task| {
        task["status"] = json!("in-progress");
        task.as_object_mut().unwrap().remove("statusReason");
    });
    site.task_in("in-progress").await;
}

#[tokio::test]
async fn of_two_changes_at_one_time_the_legal_one_stands_on_both_sides() {
    let mut site = Site::start("").await;
    site.refer("R1").await;
    site.stands("the Task is there", |held| held.of("Task").len() == 1).await;
    let mut cancelled = site.task_in("requested").await;
    // The server has accepted it, which nobody knows here yet.
    site.do_to_task(|task| task["status"] = json!("accepted"));
    cancelled["status"] = json!("cancelled");
    cancelled["statusReason"] = json!({"text": "not needed any more"});
    assert_eq!(site.change(&cancelled).await, 200);
    site.stands("it is cancelled there", |held| held.only("Task")["status"] == "cancelled").await;
    let kept = site.station.stop().await;
    assert!(kept.kinds().await.contains(&"refused".to_owned()), "an operator sees what was overruled");
}

#[tokio::test]
async fn what_the_server_refuses_is_told_to_an_operator_and_on_the_task() {
    let mut site = Site::start("").await;
    site.held.lock().unwrap().refuses = vec!["ServiceRequest".to_owned()];
    site.refer("R1").await;
    site.says_undelivered().await;
    assert!(site.held.lock().unwrap().of("Task").is_empty());
    let kept = site.station.stop().await;
    assert_eq!(kept.kinds().await, ["undelivered"]);
}

#[tokio::test]
async fn an_order_never_comes_to_a_patient_that_the_server_gives_for_another() {
    for conditional in ["", "conditional_create = true"] {
        let mut site = Site::start(conditional).await;
        {
            let mut held = site.held.lock().unwrap();
            let other = json!({"resourceType": "Patient", "identifier": [{"system": "urn:oid:1.2.246.21", "value": "010190-900X"}]});
            held.put("Patient/other", other);
            held.ignores_conditions = true;
        }
        site.refer("R1").await;
        if conditional.is_empty() {
            site.stands("the Task is there", |held| held.of("Task").len() == 1).await;
            let held = site.held.lock().unwrap();
            assert_ne!(held.only("Task")["for"]["reference"], "Patient/other");
            assert_eq!(held.of("Patient").len(), 2);
            continue;
        }
        site.says_undelivered().await;
        assert!(site.held.lock().unwrap().of("ServiceRequest").is_empty());
    }
}

#[tokio::test]
async fn a_server_at_which_a_repeated_create_would_make_a_second_one_is_refused() {
    let text = "mode = 'test'\n[providers.ry.fhir]\nbase = 'http://localhost/'\n\
        types = { Task = { read = true, create = true, update = true } }";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("silta.toml");
    let whole = format!("[access]\nopen = true\n[providers.ry]\n{text}\n");
    std::fs::write(&file, whole).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_silta"))
        .args(["serve", "--check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("providers.ry.fhir.types.Task: what is made there must be found again"), "{told}");
}
