//! The county's service guidance (asiakasohjaus): its own JSON REST interface with Finnish names and an API key, and a
//! webhook by which it tells us what changes.
//!
//! A referral that is handed over gets a number and is received at once; people decide the rest. When a service that it
//! ordered makes progress, its system writes that into the client plan by itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use hyper::header::{ETAG, LOCATION};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::events::{Broken, Log, lock};
use super::web::{Asked, Reply, Site};
use crate::clock::Clock;
use crate::provider::{BoxFuture, SetupError, tls};

pub(super) const OID: &str = "1.2.246.10.99999002.10.0";
pub(super) const NUMBERS: &str = "1.2.246.10.99999002.30.1";
pub(super) const SERVICES: &str = "urn:oid:1.2.246.10.99999002.40.1";
pub(super) const NAME: &str = "Esimerkin hyvinvointialue, asiakasohjaus";

/// The county's system.
pub(super) struct County {
    clock: Clock,
    /// What this run's numbers end with.
    run: String,
    key: String,
    secret: String,
    state: Mutex<State>,
    /// What it was handed, and what it sent and was told.
    pub(super) events: Log<Event>,
    hooks: mpsc::UnboundedSender<Value>,
    client: reqwest::Client,
    gateway: OnceLock<String>,
}

#[derive(Default)]
struct State {
    documents: BTreeMap<String, Value>,
    /// Documents by the Idempotency-Key that they came with.
    handed: BTreeMap<String, String>,
    numbers: u32,
    messages: u32,
}

/// Something that happened there.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A document as it was handed over, before the county added its own.
    Handed(Value),
    /// A changed document as it was handed over.
    Changed(Value),
    /// A webhook and the status of its answer, with the answer where it was refused.
    Hooked(Value, u16, String),
}

impl County {
    pub(super) fn new(
        folder: &Path,
        clock: Clock,
        run: String,
        key: String,
        secret: String,
    ) -> Result<Arc<Self>, SetupError> {
        let (hooks, queue) = mpsc::unbounded_channel();
        let county = Arc::new(Self {
            clock,
            run,
            key,
            secret,
            state: Mutex::default(),
            events: Log::default(),
            hooks,
            client: client(folder)?,
            gateway: OnceLock::new(),
        });
        tokio::spawn(call(Arc::downgrade(&county), queue));
        Ok(county)
    }

    /// Where the gateway takes what providers post.
    pub(super) fn connect_to(&self, gateway: &str) {
        let _ = self.gateway.set(format!("{gateway}/hooks/county"));
    }

    /// A document as it is there.
    pub(super) fn document(&self, number: &str) -> Value {
        lock(&self.state).documents.get(number).cloned().unwrap_or(Value::Null)
    }

    /// A person at the county writes something new; the system tells the gateway. Gives its number.
    pub(super) fn write(&self, prefix: &str, mut document: Value) -> String {
        let number = {
            let mut state = lock(&self.state);
            let number = self.number(&mut state, prefix);
            put(&mut document, "tunnus", json!(number));
            put(&mut document, "versio", json!(1));
            if document.get("asiakirja").and_then(Value::as_str) == Some("palvelutilaus") {
                let own = json!([{"avaruus": NUMBERS, "arvo": number, "laji": "tilaaja"}]);
                put(&mut document, "tunnisteet", own);
            }
            state.documents.insert(number.clone(), document.clone());
            number
        };
        let _ = self.hooks.send(document);
        number
    }

    /// A person at the county changes something; the system tells the gateway.
    pub(super) fn change(&self, number: &str, change: impl FnOnce(&mut Value)) {
        let changed = {
            let mut state = lock(&self.state);
            let Some(document) = state.documents.get_mut(number) else { return };
            change(document);
            count(document);
            document.clone()
        };
        let _ = self.hooks.send(changed);
    }

    /// Waits for the webhook of which something can be made; one that was refused is an error.
    pub(super) async fn hooked(&self, from: usize, fits: impl Fn(&Value) -> bool) -> Result<Value, Broken> {
        self.events
            .find(from, |event| match event {
                Event::Hooked(document, 200..=299, _) if fits(document) => Some(Ok(document.clone())),
                Event::Hooked(document, status, text) if fits(document) => {
                    Some(Err(Broken::new(format!("the gateway answered the county's webhook with {status}: {text}"))))
                }
                _ => None,
            })
            .await
    }

    /// Webhooks that the gateway refused, with status and answer: for the reader of a step that failed.
    pub(super) fn refused(&self) -> Vec<(Value, u16, String)> {
        self.events.all(|event| match event {
            Event::Hooked(document, status, answer) if !(200..300).contains(status) => {
                Some((document.clone(), *status, answer.clone()))
            }
            _ => None,
        })
    }

    fn number(&self, state: &mut State, prefix: &str) -> String {
        state.numbers += 1;
        format!("{prefix}-{}-{:03}", self.run, state.numbers)
    }

    fn respond(&self, asked: &Asked) -> Reply {
        if asked.header("x-api-key") != Some(self.key.as_str()) {
            return problem(StatusCode::UNAUTHORIZED, "API-avain puuttuu tai on väärä");
        }
        let steps: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        let ["v1", collection @ ("palvelupyynnot" | "asiakassuunnitelmat"), rest @ ..] = steps.as_slice() else {
            return problem(StatusCode::NOT_FOUND, "tuntematon osoite");
        };
        let body = || serde_json::from_slice::<Value>(&asked.body).ok().filter(Value::is_object);
        match (&asked.method, rest) {
            (&Method::POST, ["haku"]) => match body() {
                Some(body) => self.search(collection, &body),
                None => problem(StatusCode::BAD_REQUEST, "odotettiin JSON-oliota"),
            },
            (&Method::GET, [number]) => match self.document(number) {
                Value::Null => problem(StatusCode::NOT_FOUND, "ei löydy"),
                document => found(StatusCode::OK, &document),
            },
            (&Method::POST, []) => match body() {
                Some(document) => self.take(document, asked.header("idempotency-key")),
                None => problem(StatusCode::BAD_REQUEST, "odotettiin JSON-oliota"),
            },
            (&Method::PUT, [number]) => match body() {
                Some(document) => self.replace(number, document),
                None => problem(StatusCode::BAD_REQUEST, "odotettiin JSON-oliota"),
            },
            _ => problem(StatusCode::METHOD_NOT_ALLOWED, "menetelmää ei tueta"),
        }
    }

    /// The documents of a person: the identity code stands in the body, not in an address.
    fn search(&self, collection: &str, body: &Value) -> Reply {
        let wanted = body.get("hetu").and_then(Value::as_str);
        let is_plan = collection == "asiakassuunnitelmat";
        let state = lock(&self.state);
        let documents: Vec<&Value> = state
            .documents
            .values()
            .filter(|one| (one.get("asiakirja") == Some(&json!("asiakassuunnitelma"))) == is_plan)
            .filter(|one| wanted.is_some() && one.pointer("/asiakas/hetu").and_then(Value::as_str) == wanted)
            .collect();
        found(StatusCode::OK, &json!({"tulokset": documents, "seuraava": null}))
    }

    /// A referral comes in: it gets a number, and is received.
    fn take(&self, document: Value, key: Option<&str>) -> Reply {
        let mut state = lock(&self.state);
        let before = key.and_then(|key| state.handed.get(key)).and_then(|number| state.documents.get(number));
        if let Some(before) = before {
            return found(StatusCode::OK, before);
        }
        self.events.add(Event::Handed(document.clone()));
        let number = self.number(&mut state, "LAH");
        let mut taken = document;
        put(&mut taken, "tunnus", json!(number));
        put(&mut taken, "versio", json!(1));
        put(&mut taken, "tila", json!("vastaanotettu"));
        put(&mut taken, "jono", json!("kuntoutus"));
        let own = json!({"avaruus": NUMBERS, "arvo": number, "laji": "vastaanottaja"});
        match taken.get_mut("tunnisteet").and_then(Value::as_array_mut) {
            Some(numbers) => numbers.push(own),
            None => put(&mut taken, "tunnisteet", json!([own])),
        }
        state.documents.insert(number.clone(), taken.clone());
        if let Some(key) = key {
            state.handed.insert(key.to_owned(), number.clone());
        }
        drop(state);
        let mut reply = found(StatusCode::CREATED, &taken);
        reply.headers.push((LOCATION, format!("/v1/palvelupyynnot/{number}")));
        let _ = self.hooks.send(taken);
        reply
    }

    /// Somebody else's change of a document that is here. The county's own members stay as they are.
    fn replace(&self, number: &str, mut document: Value) -> Reply {
        let (document, plan) = {
            let mut state = lock(&self.state);
            let Some(before) = state.documents.get(number).cloned() else {
                return problem(StatusCode::NOT_FOUND, "ei löydy");
            };
            for own in ["tunnus", "versio", "kasittelija", "jono"] {
                if let Some(value) = before.get(own) {
                    put(&mut document, own, value.clone());
                }
            }
            count(&mut document);
            state.documents.insert(number.to_owned(), document.clone());
            let plan = self.note_progress(&mut state, number, &before, &document);
            (document, plan)
        };
        self.events.add(Event::Changed(document.clone()));
        if let Some(plan) = plan {
            let _ = self.hooks.send(plan);
        }
        found(StatusCode::OK, &document)
    }

    /// What is new in a service that was ordered is written into the plan that it carries out.
    fn note_progress(&self, state: &mut State, number: &str, before: &Value, after: &Value) -> Option<Value> {
        let plan = after.get("asiakassuunnitelma")?.as_str()?;
        let visits = after.get("toteumat").cloned();
        let ended = after.get("tila") == Some(&json!("valmis")) && before.get("tila") != after.get("tila");
        let is_new = visits.is_some() && visits.as_ref() != before.get("toteumat");
        let text = match (ended, is_new) {
            (true, _) => "Palvelu on päättynyt.",
            (false, true) => "Käynti tehty.",
            (false, false) => return None,
        };
        let now = self.clock.now().to_string();
        let plan = state.documents.get_mut(plan)?;
        let services = plan.get_mut("palvelut")?.as_array_mut()?;
        let service = services.iter_mut().find(|one| one.get("palvelupyynto") == Some(&json!(number)))?;
        if let Some(visits) = visits {
            put(service, "toteumat", visits);
        }
        let noted = json!({"aika": now, "teksti": text});
        match service.get_mut("seuranta").and_then(Value::as_array_mut) {
            Some(notes) => notes.push(noted),
            None => put(service, "seuranta", json!([noted])),
        }
        count(plan);
        Some(plan.clone())
    }

    async fn tell(&self, document: Value) {
        let Some(url) = self.gateway.get() else { return };
        let id = {
            let mut state = lock(&self.state);
            state.messages += 1;
            format!("{}-{}", self.run, state.messages)
        };
        let sent = self
            .client
            .post(url)
            .bearer_auth(&self.secret)
            .header("X-Message-Id", id)
            .header("Content-Type", "application/json")
            .body(document.to_string())
            .send()
            .await;
        let (status, text) = match sent {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(error) => (0, error.to_string()),
        };
        self.events.add(Event::Hooked(document, status, text));
    }
}

impl Site for County {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Reply> {
        let reply = self.respond(&asked);
        Box::pin(std::future::ready(reply))
    }
}

/// Webhooks go out one after the other, as the changes were made.
async fn call(county: std::sync::Weak<County>, mut queue: mpsc::UnboundedReceiver<Value>) {
    while let Some(document) = queue.recv().await {
        let Some(county) = county.upgrade() else { return };
        county.tell(document).await;
    }
}

/// A client that trusts the development authority.
pub(super) fn client(folder: &Path) -> Result<reqwest::Client, SetupError> {
    let tls = tls::Config { ca: Some("ca.pem".into()), ..tls::Config::default() }.client(folder)?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .https_only(true)
        .build()
        .map_err(|error| SetupError::new("client", error.to_string()))
}

pub(super) fn put(document: &mut Value, name: &str, value: Value) {
    if let Some(members) = document.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// Counts a change.
fn count(document: &mut Value) {
    let version = document.get("versio").and_then(Value::as_u64).unwrap_or(0) + 1;
    put(document, "versio", json!(version));
}

fn found(status: StatusCode, document: &Value) -> Reply {
    let version = document.get("versio").and_then(Value::as_u64);
    let headers = version.map(|version| (ETAG, format!("\"{version}\""))).into_iter().collect();
    Reply { status, media: "application/json", headers, body: document.to_string().into_bytes() }
}

fn problem(status: StatusCode, text: &str) -> Reply {
    let body = json!({"virhe": text}).to_string().into_bytes();
    Reply { status, media: "application/json", headers: Vec::new(), body }
}
