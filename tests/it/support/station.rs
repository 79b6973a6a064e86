//! A whole gateway as `silta serve` starts it, from a configuration, in a folder of its own, on real ports.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use silta::access::secret::{SecretHash, secret};
use silta::clock::Clock;
use silta::command::serve::{Assembly, Running};
use silta::config::Loaded;
use silta::store::{self, NoFaults, Notice, NoticeId, Store, StoreError};

use super::gateway::{Answer, provide_crypto};
use super::mllp::Line;
use super::time::{soon, until};

/// A gateway that runs.
pub(crate) struct Station {
    pub(crate) running: Running,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) caller: reqwest::Client,
    pub(crate) secret: String,
}

/// What a gateway that was stopped has kept.
pub(crate) struct Kept {
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

impl Station {
    /// Starts a gateway whose configuration ends with this text. One caller may do everything; it calls for the
    /// organisations `urn:test|county` and `urn:test|hospital`.
    pub(crate) async fn start(providers: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), providers).await
    }

    /// One whose table `[server]` says this too.
    pub(crate) async fn start_with(server: &str, providers: &str) -> Self {
        Self::started(tempfile::tempdir().unwrap(), server, providers).await
    }

    pub(crate) async fn start_in(folder: tempfile::TempDir, providers: &str) -> Self {
        Self::started(folder, "", providers).await
    }

    async fn started(folder: tempfile::TempDir, server: &str, providers: &str) -> Self {
        provide_crypto();
        let secret = secret([9; 32]);
        let hash = SecretHash::of(&secret).unwrap().text();
        let text = format!(
            r#"
state = "state"
[server]
listen = "127.0.0.1:0"
body_bytes = 65536
{server}[admin]
listen = "127.0.0.1:0"
[access.caller.everybody]
secret_hash = ["{hash}"]
organisation = ["urn:test|county", "urn:test|hospital"]
interactions = ["*"]
{providers}
"#
        );
        let file = folder.path().join("silta.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = Loaded::read(&file).unwrap_or_else(|error| panic!("{error}"));
        let assembly = Assembly::new(loaded, Clock::system()).unwrap_or_else(|error| panic!("{error}"));
        let running = assembly.start().await.unwrap_or_else(|error| panic!("{error}"));
        let ca = std::fs::read(folder.path().join("state/ca.pem")).unwrap();
        let caller = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .build()
            .unwrap();
        Self { running, folder, caller, secret }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.running.address.port())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.caller.get(self.url(path)).bearer_auth(&self.secret)).await
    }

    /// Posts what has this media type.
    pub(crate) async fn post(&self, path: &str, media: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.caller.post(self.url(path)).bearer_auth(&self.secret);
        Answer::to(request.header("content-type", media).body(body)).await
    }

    /// Puts a resource in place of the version that an entity tag names.
    pub(crate) async fn put(&self, path: &str, version: &str, body: String) -> Answer {
        let request = self.caller.put(self.url(path)).bearer_auth(&self.secret);
        Answer::to(request.header("content-type", "application/fhir+json").header("if-match", version).body(body)).await
    }

    pub(crate) async fn search(&self, kind: &str, parameters: &[(&str, &str)]) -> Value {
        self.search_under("", kind, parameters).await
    }

    pub(crate) async fn search_under(&self, base: &str, kind: &str, parameters: &[(&str, &str)]) -> Value {
        let form: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let path = format!("{base}/{kind}/_search");
        self.post(&path, "application/x-www-form-urlencoded", form.join("&")).await.json()
    }

    /// An answer of the administrators' port.
    pub(crate) async fn admin(
        &self,
        request: impl FnOnce(reqwest::Client, String) -> reqwest::RequestBuilder,
    ) -> Answer {
        let plain = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("http://{}", self.running.admin.unwrap());
        Answer::to(request(plain, base)).await
    }

    /// A connection to the first listener for HL7 v2.
    pub(crate) async fn line(&self) -> Line {
        Line::to(self.running.mllp[0]).await
    }

    /// Stops it, and opens what it kept.
    pub(crate) async fn stop(self) -> Kept {
        let Self { running, folder, .. } = self;
        soon(running.stop()).await;
        // What was just answered may still hold the store for a moment.
        let mut opened = None;
        until("the store can be opened again", || {
            opened = open(folder.path());
            opened.is_some()
        })
        .await;
        Kept { store: opened.unwrap(), _folder: folder }
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The store of a gateway that was stopped; none while it is in use.
fn open(folder: &Path) -> Option<Store> {
    let config = store::Config { folder: folder.join("state/store"), ..store::Config::default() };
    let none = |bytes: &mut [u8]| {
        bytes.fill(0);
        Ok(())
    };
    match Store::open(config, Clock::system(), &none, Arc::new(NoFaults)) {
        Err(StoreError::InUse) => None,
        opened => Some(opened.unwrap()),
    }
}

impl Kept {
    /// The entries of the operators' queue.
    pub(crate) async fn notices(&self) -> Vec<Notice> {
        self.store.read(|view| view.open_notices(NoticeId::from_number(0), 1000)).await.unwrap()
    }

    /// Kinds of entries of the operators' queue, in order.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.notices().await.into_iter().map(|notice| notice.kind).collect()
    }

    /// Whether these bytes are in the journal.
    pub(crate) async fn journalled(&self, bytes: &[u8]) -> bool {
        let entries = self.store.read(|view| view.journal_after(store::JournalSeq::from_number(0), 10_000)).await;
        entries.unwrap().iter().any(|entry| entry.body == bytes)
    }
}
