//! A store, scripted providers that are asked, and the interactions over both; requests are handed in directly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use silta::access::caller::{Caller, Mode};
use silta::access::interaction::{Grants, ResourceType};
use silta::clock::Clock;
use silta::gateway::cache;
use silta::gateway::federation::{Config, Federation, Source, Sources, Translation};
use silta::gateway::interaction::{Exchanged, Pages, Workflow};
use silta::gateway::outcome::Refusal;
use silta::gateway::request::{Conditions, Format, Id, Interaction, Payload, Prefer, Request, RequestId};
use silta::gateway::respond::{Body, Response};
use silta::gateway::service::Interactions as _;
use silta::provider::{self, Adapter, Capabilities, Liveness};
use silta::store::{
    self, Commit, Evidence, NewDocument, NewMember, NoFaults, Outcome, PersonId, Ref, ResourceKey, Store, Write,
};
use silta::telemetry::metrics::Metrics;
use silta_engine::definitions::Model;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::search::facets;
use silta_engine::validation::Validator;
use tokio::sync::Notify;

use super::time::{manual, soon};

pub(crate) use super::scripted::{Asked, Behaviour, Plain, Scripted};

/// The identifier system of persons.
pub(crate) const HETU: &str = "urn:oid:1.2.246.21";

/// The person of most tests.
pub(crate) const AINO: &str = "010150-900A";

/// The base URL of requests that are handed in.
pub(crate) const BASE: &str = "https://silta.example/r4";

/// Everything behind the interface.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) federation: Arc<Federation>,
    pub(crate) interactions: Arc<Exchanged>,
    pub(crate) providers: BTreeMap<&'static str, Arc<Scripted>>,
    pub(crate) plain: Arc<Plain>,
    pub(crate) asked: Arc<Asked>,
    pub(crate) metrics: Metrics,
    sources: Vec<Source>,
    requests: AtomicU64,
    _folder: tempfile::TempDir,
}

/// A world to be made.
pub(crate) struct Plan {
    clock: Clock,
    config: Config,
    cache: cache::Config,
    sources: Vec<Source>,
    providers: BTreeMap<&'static str, Arc<Scripted>>,
}

impl Plan {
    pub(crate) fn new() -> Self {
        Self::on(manual())
    }

    pub(crate) fn on(clock: Clock) -> Self {
        let config = Config::default();
        Self { clock, config, cache: cache::Config::default(), sources: Vec::new(), providers: BTreeMap::new() }
    }

    /// A live provider that can be searched and read for these types (`-Type`: searched only).
    pub(crate) fn live(self, name: &'static str, types: &str) -> Self {
        self.live_as(name, types, provider::Mode::Test, None)
    }

    pub(crate) fn live_as(
        mut self,
        name: &'static str,
        types: &str,
        mode: provider::Mode,
        stale_if_error: Option<Duration>,
    ) -> Self {
        let types = types
            .split(' ')
            .map(|name| match name.strip_prefix('-') {
                Some(name) => (name, false),
                None => (name, true),
            })
            .map(|(name, read)| {
                let can = provider::Interactions { read, search: true, ..provider::Interactions::default() };
                (name.to_owned(), can)
            })
            .collect();
        let scripted = Arc::new(Scripted {
            capabilities: Capabilities { liveness: Liveness::Live, types },
            documents: Mutex::default(),
            behaviour: Mutex::new(Behaviour::Answers),
            searches: Mutex::default(),
            reads: AtomicUsize::new(0),
            go_on: Notify::new(),
            clock: self.clock.clone(),
        });
        let adapter: Arc<dyn Adapter> = Arc::clone(&scripted) as _;
        self.sources.push(Source { name: name.into(), mode, adapter, organisation: None, stale_if_error });
        self.providers.insert(name, scripted);
        self
    }

    pub(crate) fn federation(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn make(self) -> World {
        let folder = tempfile::tempdir().unwrap();
        let config = store::Config {
            folder: folder.path().join("store"),
            audit_reserve_bytes: 64 << 10,
            readers: 2,
            ..store::Config::default()
        };
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let store = Store::open(config, self.clock.clone(), &random, Arc::new(NoFaults)).unwrap();
        let plain = Arc::new(Plain { generations: Mutex::default() });
        let metrics = Metrics::new().unwrap();
        let federation = Federation::new(
            Sources::new(self.sources.clone(), 1),
            store.clone(),
            Arc::clone(&plain) as Arc<dyn Translation>,
            self.config,
            &self.cache,
            self.clock.clone(),
        );
        let federation = Arc::new(federation.measured(&metrics).unwrap());
        let asked = Arc::new(Asked::default());
        let workflow = Arc::clone(&asked) as Arc<dyn Workflow>;
        let interactions = interactions(&federation, workflow);
        World {
            clock: self.clock,
            store,
            federation,
            interactions,
            providers: self.providers,
            plain,
            asked,
            metrics,
            sources: self.sources,
            requests: AtomicU64::new(0),
            _folder: folder,
        }
    }
}

/// An answer to a request that was handed in.
pub(crate) type Handled = Result<Response, Refusal>;

impl World {
    /// The interactions as they are after a restart: with the store as it is, and nothing remembered.
    pub(crate) fn restarted(&self) -> Arc<Exchanged> {
        let federation = Federation::new(
            Sources::new(self.sources.clone(), 1),
            self.store.clone(),
            Arc::clone(&self.plain) as Arc<dyn Translation>,
            Config::default(),
            &silta::gateway::cache::Config::default(),
            self.clock.clone(),
        );
        let workflow = Arc::clone(&self.asked) as Arc<dyn Workflow>;
        interactions(&Arc::new(federation), workflow)
    }

    /// Keeps resources of a provider (none: the gateway's own) about the person with this identity code.
    pub(crate) async fn keep(&self, provider: Option<&str>, hetu: &str, resources: &[Value]) -> PersonId {
        let mut commit = Commit::new();
        let mut evidence = vec![Evidence::Identifier { system: HETU.to_owned(), value: hetu.to_owned() }];
        for patient in resources.iter().filter(|resource| resource["resourceType"] == "Patient") {
            let id = patient["id"].as_str().unwrap();
            let native = id.split_once('.').map_or(id, |(_, native)| native).to_owned();
            evidence.push(Evidence::Patient { provider: provider.unwrap_or("none").to_owned(), native });
        }
        let person = commit.person(evidence);
        for resource in resources {
            write(&mut commit, provider, Some(person), resource, self.clock.now());
        }
        self.made(commit).await
    }

    /// Keeps resources that are about nobody.
    pub(crate) async fn keep_impersonal(&self, provider: Option<&str>, resources: &[Value]) {
        let mut commit = Commit::new();
        for resource in resources {
            write(&mut commit, provider, None, resource, self.clock.now());
        }
        assert!(matches!(self.store.commit(commit).await, Ok(Outcome::Committed(_))));
    }

    async fn made(&self, commit: Commit) -> PersonId {
        match self.store.commit(commit).await {
            Ok(Outcome::Committed(receipt)) => receipt.persons[0],
            other => panic!("the commit should have been made, but: {other:?}"),
        }
    }

    /// What a provider has, by the identity code that it finds it by.
    pub(crate) fn has(&self, provider: &str, hetu: &str, resources: &[Value]) {
        let mut documents = self.providers[provider].documents.lock().unwrap();
        documents.extend(resources.iter().map(|resource| (hetu.to_owned(), resource.clone())));
    }

    pub(crate) fn forgets(&self, provider: &str) {
        self.providers[provider].documents.lock().unwrap().clear();
    }

    pub(crate) fn behaves(&self, provider: &str, behaviour: Behaviour) {
        *self.providers[provider].behaviour.lock().unwrap() = behaviour;
        self.providers[provider].go_on.notify_waiters();
    }

    /// How often a provider was searched.
    pub(crate) fn searches(&self, provider: &str) -> usize {
        self.providers[provider].searches.lock().unwrap().len()
    }

    /// An event came from a provider about a person.
    pub(crate) fn event(&self, provider: &str, person: PersonId) {
        *self.plain.generations.lock().unwrap().entry((provider.to_owned(), person)).or_default() += 1;
    }

    /// Another version of the configuration, with the same providers.
    pub(crate) fn reconfigure(&self, version: u64) {
        let translation = Arc::clone(&self.plain) as Arc<dyn Translation>;
        self.federation.replace(Sources::new(self.sources.clone(), version), translation, Config::default());
    }

    pub(crate) fn request(&self, interaction: Interaction) -> Request {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        Request {
            id: RequestId::new(&format!("r{number}")).unwrap(),
            interaction,
            caller: caller("county", Mode::Test),
            parameters: Vec::new(),
            conditions: Conditions::default(),
            prefer: Prefer::default(),
            body: None,
            answer: Format::Json,
            accept: None,
            base: BASE.into(),
            received: self.clock.now(),
            deadline: self.clock.instant().after(Duration::from_secs(30)),
        }
    }

    pub(crate) fn read_of(&self, reference: &str) -> Request {
        let (name, id) = reference.split_once('/').unwrap();
        self.request(Interaction::Read(kind(name), Id::new(id).unwrap()))
    }

    pub(crate) fn search_for(&self, name: &str, parameters: &[(&str, &str)]) -> Request {
        let mut request = self.request(Interaction::Search(Some(kind(name))));
        request.parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        request
    }

    pub(crate) async fn handle(&self, request: &Request) -> Handled {
        soon(self.interactions.handle(request)).await
    }

    pub(crate) async fn read(&self, reference: &str) -> Handled {
        self.handle(&self.read_of(reference)).await
    }

    pub(crate) async fn search(&self, name: &str, parameters: &[(&str, &str)]) -> Found {
        Found::of(self.handle(&self.search_for(name, parameters)).await.unwrap())
    }
}

fn interactions(federation: &Arc<Federation>, workflow: Arc<dyn Workflow>) -> Arc<Exchanged> {
    let (pages, validator) = (Pages::new([5; 32]).unwrap(), Arc::new(Validator::built_in()));
    Arc::new(Exchanged::new(Arc::clone(federation), workflow, pages, validator))
}

pub(crate) fn kind(name: &str) -> ResourceType {
    ResourceType::named(name).unwrap()
}

pub(crate) fn caller(name: &str, mode: Mode) -> Arc<Caller> {
    Arc::new(Caller { name: name.to_owned(), grants: Grants::everything(), mode, organisations: Vec::new() })
}

/// The JSON of an answer's body.
pub(crate) fn body(response: &Response) -> Value {
    match &response.body {
        Body::Json(bytes) => serde_json::from_slice(bytes).unwrap(),
        other => panic!("expected JSON, not {other:?}"),
    }
}

/// Fault and text of a refusal.
pub(crate) fn refused(answer: Handled) -> (Fault, String) {
    let refusal = answer.expect_err("this should have been refused");
    (refusal.fault(), refusal.issues().next().unwrap().text.clone())
}

pub(crate) fn payload(resource: &Value) -> Option<Payload> {
    Some(Payload { format: Format::Json, bytes: resource.to_string().into() })
}

/// A searchset.
pub(crate) struct Found {
    pub(crate) response: Response,
    pub(crate) bundle: Value,
}

impl Found {
    pub(crate) fn of(response: Response) -> Self {
        let bundle = body(&response);
        assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("searchset")));
        let read = Document::from_json(Model::r4(), bundle.to_string().into_bytes(), &Limits::default()).unwrap();
        assert!(read.to_xml().is_ok());
        Self { response, bundle }
    }

    pub(crate) fn entries(&self, mode: &str) -> Vec<&Value> {
        let entries = self.bundle["entry"].as_array().unwrap();
        entries.iter().filter(|entry| entry["search"]["mode"] == mode).collect()
    }

    fn keys(&self, mode: &str) -> Vec<String> {
        let key = |entry: &&Value| {
            let resource = &entry["resource"];
            let key = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
            assert_eq!(entry["fullUrl"].as_str().unwrap(), format!("{BASE}/{key}"));
            key
        };
        self.entries(mode).iter().map(key).collect()
    }

    pub(crate) fn matches(&self) -> Vec<String> {
        self.keys("match")
    }

    pub(crate) fn included(&self) -> Vec<String> {
        self.keys("include")
    }

    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let links = self.bundle["link"].as_array()?;
        links.iter().find(|link| link["relation"] == relation).map(|link| link["url"].as_str().unwrap().to_owned())
    }

    /// Severity, code, state and text of each issue of the outcome.
    pub(crate) fn issues(&self) -> Vec<(String, String, String, String)> {
        let outcomes = self.entries("outcome");
        assert_eq!(outcomes.len(), 1);
        let issues = outcomes[0]["resource"]["issue"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        issues
            .iter()
            .map(|issue| {
                let details = &issue["details"];
                let state = text(&details["coding"][0]["code"]);
                (text(&issue["severity"]), text(&issue["code"]), state, text(&details["text"]))
            })
            .collect()
    }

    /// The state told of a provider, and the issue's code.
    pub(crate) fn told(&self, provider: &str) -> Option<(String, String)> {
        let start = format!("{provider} ");
        self.issues().into_iter().find(|issue| issue.3.starts_with(&start)).map(|issue| (issue.2, issue.1))
    }

    /// The parts of the extension that says where an entry comes from: provider, origin, age.
    pub(crate) fn source(&self, key: &str) -> (Option<String>, String, i64) {
        let entries = self.bundle["entry"].as_array().unwrap();
        let url = format!("{BASE}/{key}");
        let entry = entries.iter().find(|entry| entry["fullUrl"] == url.as_str()).unwrap();
        let extension = &entry["extension"][0];
        assert_eq!(extension["url"], "urn:silta:extension:source");
        let part = |name: &str| extension["extension"].as_array().unwrap().iter().find(|part| part["url"] == name);
        (
            part("provider").map(|part| part["valueString"].as_str().unwrap().to_owned()),
            part("origin").unwrap()["valueCode"].as_str().unwrap().to_owned(),
            part("age").unwrap()["valueUnsignedInt"].as_i64().unwrap(),
        )
    }
}

fn write(
    commit: &mut Commit,
    provider: Option<&str>,
    person: Option<Ref<PersonId>>,
    resource: &Value,
    updated: jiff::Timestamp,
) {
    let mut resource = resource.clone();
    let meta = resource.as_object_mut().unwrap().entry("meta").or_insert_with(|| json!({}));
    meta["lastUpdated"] = json!(updated.to_string());
    meta["source"] = json!(format!("urn:source:{}", provider.unwrap_or("silta")));
    let text = resource.to_string();
    let document = Document::from_json(Model::r4(), text.clone().into_bytes(), &Limits::default()).unwrap();
    let version = resource["meta"]["versionId"].as_str().map_or(1, |version| version.parse().unwrap());
    commit.write(Write::Document(NewDocument {
        journal: None,
        members: vec![NewMember {
            key: ResourceKey::new(document.root().type_name(), resource["id"].as_str().unwrap()),
            person,
            span: (0, text.len()),
            version,
            updated,
            provider: provider.map(str::to_owned),
            facets: facets(&document).into_iter().map(store::Facet::from).collect(),
        }],
        body: text.into(),
    }));
}
