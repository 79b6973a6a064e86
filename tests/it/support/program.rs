//! The program as it is started from a shell, in a folder of its own, with its log.

use std::process::{Child, Command, Stdio};

use super::gateway::provide_crypto;
use super::time::{soon, until};

/// The program, running; killed when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) const HASH: &str = "sha256:fc2383995e0fe2ef4091b964f8f4a0e9a2d000a43a615ffedacd5213235c0ab5";
pub(crate) const SECRET: &str = "silta_34f0Le09ZA4Wl_6uLZjefuI4DS3AbRX66veWyxqTvDM";

impl Program {
    pub(crate) fn start(extra: &str) -> Self {
        Self::configured(&configuration(extra))
    }

    pub(crate) fn configured(text: &str) -> Self {
        Self::configured_in(tempfile::tempdir().unwrap(), text)
    }

    pub(crate) fn configured_in(folder: tempfile::TempDir, text: &str) -> Self {
        std::fs::write(folder.path().join("silta.toml"), text).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_silta"))
            .args(["serve", "--config"])
            .arg(folder.path().join("silta.toml"))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// Puts a configuration in place of the one that is there, whole at one moment, as editors and orchestrators do.
    pub(crate) fn configure(&self, text: &str) {
        self.put("silta.toml", text);
    }

    /// Puts a file in place, whole at one moment.
    pub(crate) fn put(&self, name: &str, content: &str) {
        let file = self.folder.path().join(name);
        let beside = file.with_extension("new");
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(&beside, &file).unwrap();
    }

    /// Waits until the log has said something so many times.
    pub(crate) async fn has_said(&self, text: &str, times: usize) {
        until(&format!("the log says {text:?} {times} times"), || self.log().matches(text).count() >= times).await;
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) async fn says(&mut self, text: &str) {
        until(&format!("the log says {text:?}"), || {
            assert!(self.child.try_wait().unwrap().is_none() || self.log().contains(text), "ended: {}", self.log());
            self.log().contains(text)
        })
        .await;
    }

    /// The base URL of its interface, once it is ready.
    pub(crate) async fn url(&mut self) -> String {
        self.says("\"ready\"").await;
        let line = self.log().lines().find(|line| line.contains("\"ready\"")).unwrap().to_owned();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let port = line["address"].as_str().unwrap().rsplit(':').next().unwrap();
        format!("https://localhost:{port}")
    }

    /// A page of its administrators' port.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let line = self.log().lines().find(|line| line.contains("\"ready\"")).unwrap().to_owned();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = format!("http://{}{path}", line["admin"].as_str().unwrap());
        soon(soon(reqwest::Client::builder().no_proxy().build().unwrap().get(url).send()).await.unwrap().text())
            .await
            .unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub(crate) fn caller(&self) -> reqwest::Client {
        provide_crypto();
        let authority = std::fs::read(self.folder.path().join("state/ca.pem")).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .no_proxy()
            .build()
            .unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn configuration(extra: &str) -> String {
    format!(
        "[server]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n[log]\nformat = 'json'\n\
         [access.caller.one]\nsecret_hash = ['{HASH}']\ninteractions = ['*']\n{extra}"
    )
}
