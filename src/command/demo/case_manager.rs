//! The case manager's system: a FHIR client of the gateway.

use std::path::Path;

use serde_json::Value;

use super::county::client;
use super::events::Broken;
use crate::provider::SetupError;

/// The person's identity code system.
pub(super) const HETU: &str = "urn:oid:1.2.246.21";
const FHIR: &str = "application/fhir+json";

/// The case manager's system.
pub(super) struct CaseManager {
    client: reqwest::Client,
    /// The gateway's address.
    pub(super) base: String,
    pub(super) secret: String,
}

/// What the gateway answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) body: Value,
}

impl CaseManager {
    pub(super) fn new(folder: &Path, base: String, secret: String) -> Result<Self, SetupError> {
        Ok(Self { client: client(folder)?, base, secret })
    }

    /// One request.
    pub(super) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer, Broken> {
        let mut building = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.secret)
            .header("Accept", FHIR);
        for (name, value) in headers {
            building = building.header(*name, *value);
        }
        if let Some(body) = body {
            building = building.body(body);
        }
        let unreachable = |error: reqwest::Error| Broken::new(format!("the gateway at {path}: {error}"));
        let answer = building.send().await.map_err(unreachable)?;
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let (status, etag) = (answer.status().as_u16(), header("etag"));
        let bytes = answer.bytes().await.map_err(unreachable)?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status, etag, body })
    }

    /// `GET [base]/{path}`: a resource.
    pub(super) async fn read(&self, path: &str) -> Result<Value, Broken> {
        let answer = self.ask(reqwest::Method::GET, &format!("/{path}"), &[], None).await?;
        answer.good(path)
    }

    /// `POST [base]/{kind}/_search`.
    pub(super) async fn search(&self, kind: &str, parameters: &[(&str, &str)]) -> Result<Value, Broken> {
        let form: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let path = format!("/{kind}/_search");
        let answer = self.ask(reqwest::Method::POST, &path, &headers, Some(form.join("&"))).await?;
        answer.good(&path)
    }

    /// Resources of a type about the person, those that match.
    pub(super) async fn of_person(&self, kind: &str, hetu: &str) -> Result<Vec<Value>, Broken> {
        let name = if kind == "Patient" { "identifier" } else { "patient.identifier" };
        let bundle = self.search(kind, &[(name, &format!("{HETU}|{hetu}"))]).await?;
        Ok(entries(&bundle, "match").into_iter().cloned().collect())
    }
}

impl Answer {
    /// The resource of an answer that fulfils the request.
    fn good(self, what: &str) -> Result<Value, Broken> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        Err(Broken::new(format!("{what} was answered {}: {}", self.status, issue(&self.body))))
    }
}

/// The first issue of an OperationOutcome, as a text.
pub(super) fn issue(outcome: &Value) -> String {
    let text = |path: &str| outcome.pointer(path).and_then(Value::as_str).unwrap_or_default();
    format!("{} {} {}", text("/issue/0/code"), text("/issue/0/details/text"), text("/issue/0/expression/0"))
}

/// The resources of a Bundle whose entries have a search mode.
pub(super) fn entries<'b>(bundle: &'b Value, mode: &str) -> Vec<&'b Value> {
    let all = bundle.get("entry").and_then(Value::as_array).into_iter().flatten();
    all.filter(|entry| entry.pointer("/search/mode").and_then(Value::as_str) == Some(mode))
        .filter_map(|entry| entry.get("resource"))
        .collect()
}

/// A text at a JSON pointer; empty where there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
