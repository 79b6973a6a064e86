//! A gateway's interface on a port of its own, with scripted interactions behind it, and callers to call it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silta::access::audit::{Audit, AuditFailed, Entry};
use silta::access::callers::Callers;
use silta::access::interaction::{Action, ResourceType};
use silta::access::secret::{SecretHash, secret};
use silta::access::tls::Tls;
use silta::clock::Clock;
use silta::gateway::listener::{PROTOCOLS, Stopped};
use silta::gateway::outcome::Refusal;
use silta::gateway::request::Request;
use silta::gateway::respond::Response;
use silta::gateway::service::{BoxFuture, Interactions, ListOnly, Offer, Offers, SearchParameter};
use silta::gateway::settings::Settings;
use silta::gateway::{Control, Gateway, Parts};
use silta::telemetry::metrics::Metrics;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::time::soon;

/// What the scripted interactions answer.
pub(crate) type Script = Box<dyn Fn(Request) -> BoxFuture<'static, Result<Response, Refusal>> + Send + Sync>;

/// A gateway to be started.
pub(crate) struct Plan {
    pub(crate) server: silta::gateway::config::Config,
    pub(crate) tls: silta::access::tls::Config,
    pub(crate) access: silta::access::config::Config,
    pub(crate) offers: Offers,
    pub(crate) script: Script,
    pub(crate) audit_works: bool,
    pub(crate) clock: Clock,
}

/// A gateway that runs, until it is dropped.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) control: Control,
    pub(crate) metrics: Metrics,
    pub(crate) audit: Arc<Recorded>,
    clock: Clock,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Stopped>,
}

/// The audit entries made.
pub(crate) struct Recorded {
    works: bool,
    entries: Mutex<Vec<Entry>>,
}

struct Scripted {
    offers: Offers,
    script: Script,
}

/// The secret of the caller `county`.
pub(crate) fn county_secret() -> String {
    secret([7; 32])
}

/// The secret of the caller `reader`.
pub(crate) fn reader_secret() -> String {
    secret([8; 32])
}

/// The callers of most tests: `county` may do everything by its secret, `reader` may read care plans by its, `hospital`
/// may do everything by the development certificate `client`.
pub(crate) fn usual_callers() -> silta::access::config::Config {
    let hash = |secret: String| SecretHash::of(&secret).unwrap().text();
    toml::from_str(&format!(
        r#"
        [caller.county]
        secret_hash = ["{}"]
        interactions = ["*"]
        [caller.reader]
        secret_hash = ["{}"]
        interactions = ["CarePlan.read"]
        [caller.hospital]
        certificate_name = ["client"]
        interactions = ["*"]
        "#,
        hash(county_secret()),
        hash(reader_secret())
    ))
    .unwrap()
}

/// Everything on CarePlan, reading alone on Binary.
pub(crate) fn usual_offers() -> Offers {
    let care_plan = Offer {
        actions: vec![Action::Read, Action::VersionRead, Action::Search, Action::Create, Action::Update],
        profiles: vec!["https://example.org/StructureDefinition/plan".to_owned()],
        parameters: vec![SearchParameter {
            name: "status",
            kind: "token",
            definition: Some("http://hl7.org/fhir/SearchParameter/CarePlan-status"),
        }],
        includes: vec!["CarePlan:activity-reference".to_owned()],
        reverse_includes: vec!["Task:focus".to_owned()],
        conditional_create: false,
        version_aware: true,
        operations: Vec::new(),
    };
    let binary = Offer { actions: vec![Action::Read], ..Offer::default() };
    let kind = |name| ResourceType::named(name).unwrap();
    Offers { types: [(kind("CarePlan"), care_plan), (kind("Binary"), binary)].into(), ..Offers::default() }
}

/// A care plan, version 3, with a decimal that must keep its form.
pub(crate) const CARE_PLAN: &str = r#"{"resourceType":"CarePlan","id":"1","meta":{"versionId":"3"},"status":"active","intent":"plan","subject":{"reference":"Patient/1"}}"#;

/// The answer of most scripts: the care plan.
pub(crate) fn care_plan() -> Response {
    let mut response = Response::new(hyper::StatusCode::OK, CARE_PLAN);
    response.version = Some("3".to_owned());
    response.last_modified = Some("2026-02-01T10:00:00.5Z".parse().unwrap());
    response
}

impl Plan {
    /// The usual offers and callers, and this script.
    pub(crate) fn new<F>(script: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response, Refusal>> + Send + 'static,
    {
        Self {
            server: silta::gateway::config::Config {
                listen: "127.0.0.1:0".parse().unwrap(),
                ..silta::gateway::config::Config::default()
            },
            tls: silta::access::tls::Config::default(),
            access: usual_callers(),
            offers: usual_offers(),
            script: Box::new(move |request| Box::pin(script(request))),
            audit_works: true,
            clock: Clock::system(),
        }
    }

    /// Answers every request with the care plan.
    pub(crate) fn usual() -> Self {
        Self::new(|_| async { Ok(care_plan()) })
    }

    /// Changes limits.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut silta::gateway::config::Config)) -> Self {
        change(&mut self.server);
        self
    }

    /// Starts it.
    pub(crate) async fn start(self) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::new(&self.tls, folder.path(), folder.path(), &PROTOCOLS, &self.clock).unwrap();
        let callers = Callers::new(&self.access).unwrap();
        let settings = Settings::new(self.server, callers, tls, self.clock.now()).unwrap();
        let metrics = Metrics::new().unwrap();
        let audit = Arc::new(Recorded { works: self.audit_works, entries: Mutex::default() });
        let gateway = Gateway::bind(Parts {
            settings,
            interactions: Arc::new(Scripted { offers: self.offers, script: self.script }),
            policy: Arc::new(ListOnly),
            hooks: None,
            audit: Arc::clone(&audit) as Arc<dyn Audit>,
            metrics: metrics.clone(),
            clock: self.clock.clone(),
            random: [1; 6],
        })
        .await
        .unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let (address, control) = (gateway.address().unwrap(), gateway.control());
        let serving = tokio::spawn(gateway.run(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        Site { address, folder, control, metrics, audit, clock: self.clock, stop, serving }
    }
}

impl Site {
    /// Tells it to stop.
    pub(crate) fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) -> Stopped {
        self.begin_stop();
        soon(self.serving).await.unwrap()
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// Settings like those it started with, after a change.
    pub(crate) fn replace(&self, access: &silta::access::config::Config, tls: &silta::access::tls::Config) {
        let server =
            silta::gateway::config::Config { listen: self.address, ..silta::gateway::config::Config::default() };
        let tls = Tls::new(tls, self.folder.path(), self.folder.path(), &PROTOCOLS, &self.clock).unwrap();
        let settings = Settings::new(server, Callers::new(access).unwrap(), tls, self.clock.now()).unwrap();
        self.control.replace(settings);
    }

    /// A caller that trusts its authority; the change may add what it shows and how it speaks.
    pub(crate) fn caller(
        &self,
        change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> reqwest::Client {
        provide_crypto();
        let authority = std::fs::read(self.folder.path().join("ca.pem")).unwrap();
        let builder = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        change(builder).build().unwrap()
    }

    /// The development certificate that callers may show, as reqwest takes it.
    pub(crate) fn certificate(&self, name: &str) -> reqwest::Identity {
        let mut pem = std::fs::read(self.folder.path().join(format!("{name}.pem"))).unwrap();
        pem.extend(std::fs::read(self.folder.path().join(format!("{name}.key"))).unwrap());
        reqwest::Identity::from_pem(&pem).unwrap()
    }

    /// A caller that is `county`.
    pub(crate) fn county(&self) -> reqwest::Client {
        self.bearing(&county_secret())
    }

    /// A caller with this secret.
    pub(crate) fn bearing(&self, secret: &str) -> reqwest::Client {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {secret}").parse().unwrap());
        self.caller(|builder| builder.default_headers(headers))
    }

    /// A secured connection on which anything may be written.
    pub(crate) async fn raw(&self, protocol: &str) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
        use rustls::pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(rustls::pki_types::CertificateDer::from_pem_file(self.folder.path().join("ca.pem")).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Writes a text on a connection of its own and gives everything that comes until it is closed.
    pub(crate) async fn exchange(&self, text: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = self.raw("http/1.1").await;
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is cut without a farewell has still said what it said.
        let _ = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8(answer).unwrap()
    }
}

/// Lets reqwest use the one crypto library.
pub(crate) fn provide_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl Interactions for Scripted {
    fn offers(&self) -> &Offers {
        &self.offers
    }

    fn handle<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Response, Refusal>> {
        (self.script)(request.clone())
    }
}

impl Recorded {
    /// The entries so far.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }
}

impl Audit for Recorded {
    fn record(&self, entry: Entry) -> BoxFuture<'_, Result<(), AuditFailed>> {
        self.entries.lock().unwrap().push(entry);
        Box::pin(std::future::ready(if self.works { Ok(()) } else { Err(AuditFailed) }))
    }
}

/// An answer with its body read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// Sends the request and reads the answer.
    pub(crate) async fn to(request: reqwest::RequestBuilder) -> Self {
        let response = soon(request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: soon(response.text()).await.unwrap() }
    }

    /// A header as text; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Status, severity and code of the first issue of an outcome.
    pub(crate) fn issue(&self) -> (u16, String, String) {
        let json = self.json();
        assert_eq!(json["resourceType"], "OperationOutcome", "{}", self.text);
        let issue = &json["issue"][0];
        let text = |name: &str| issue[name].as_str().unwrap().to_owned();
        assert!(!issue["details"]["text"].as_str().unwrap().is_empty());
        (self.status, text("severity"), text("code"))
    }
}

/// A short time, for limits that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(150);
