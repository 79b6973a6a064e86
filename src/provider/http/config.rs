//! `[providers.NAME.http]`.
//!
//! Templates are texts with placeholders in braces: `{identifier}` (the patient's), `{id}` (the document's), `{since}`
//! (RFC 3339), `{message_id}` (stable), `{version}`. In a path or a query they are percent-encoded. In a body each text
//! of the JSON is a template; one whose only content is a placeholder that has no value is left out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::provider::web::Credentials;
use crate::provider::{SetupError, tls};

/// A JSON REST service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The service's base address: `"https://api.county.example/v1/"`; paths are under it.
    pub base: String,
    /// TLS towards it; a client certificate is given here.
    pub tls: Option<tls::Config>,
    /// Speak http to a host that is not this machine.
    #[serde(default)]
    pub plaintext: bool,
    /// How the service knows us, if not by a client certificate.
    pub credentials: Option<Credentials>,
    /// The identifier systems that the service knows patients by, the preferred one first; the first that a patient has
    /// is sent as `{identifier}`. A patient with none of them is not asked for.
    #[serde(default)]
    pub patient_identifiers: Vec<String>,
    /// Headers of every request, as templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The kinds of document: `[providers.NAME.http.documents.KIND]`.
    pub documents: BTreeMap<String, Document>,
    /// How many pages of one list are fetched at most; what is left is said to be missing.
    #[serde(default = "twenty")]
    pub pages: usize,
    /// The largest answer, in bytes.
    #[serde(default = "limit")]
    pub answer_limit: usize,
}

impl Config {
    /// What works and is not wise: the key (relative to this table) and why.
    #[must_use]
    pub fn warnings(&self) -> Vec<SetupError> {
        let mut warnings = Vec::new();
        for (name, document) in &self.documents {
            let Some(list) = &document.list else { continue };
            let exposed = |text: &String| text.contains("{identifier}");
            let query = list.query.iter().filter(|(_, text)| exposed(text)).map(|(name, _)| format!("query.{name}"));
            let path = exposed(&list.path).then(|| "path".to_owned());
            for key in path.into_iter().chain(query) {
                warnings.push(SetupError::new(
                    format!("documents.{name}.list.{key}"),
                    "puts the patient's identifier into addresses, which servers and proxies write to their logs: where the \
                     service allows it, use POST and the body",
                ));
            }
        }
        warnings
    }
}

/// One kind of document.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The FHIR resource types that come of it.
    pub types: Vec<String>,
    /// Its JSON Schema.
    pub schema: Option<SchemaRef>,
    /// JSON pointer to its id, inside the document: `"/tunnus"`.
    pub id: Option<String>,
    /// JSON pointer to its version, inside the document; else the entity tag of a single answer.
    pub version: Option<String>,
    /// A patient's documents.
    pub list: Option<List>,
    /// One document.
    pub get: Option<Get>,
    /// A new document.
    pub create: Option<Create>,
    /// A changed document.
    pub update: Option<Update>,
}

/// Where a JSON Schema is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaRef {
    /// A file; a relative path starts at the configuration's folder.
    File(PathBuf),
    /// One that comes with the maps, by its name in the tree of profiles.
    Name(String),
}

/// How a patient's documents are asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The method; `POST` keeps the patient's identifier out of addresses and their logs.
    #[serde(default = "post")]
    pub method: String,
    /// The path under the base, a template.
    pub path: String,
    /// The query, of templates; one without a value is left out.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// The JSON body, whose texts are templates.
    pub body: Option<Value>,
    /// JSON pointer to the array of documents; empty: the answer is the array.
    #[serde(default)]
    pub items: String,
    /// JSON pointer to the address of the next page, which is fetched with GET; absent or null: the last page.
    pub next: Option<String>,
    /// Statuses that mean "no documents for this patient", beside an empty list.
    #[serde(default)]
    pub empty: Vec<u16>,
}

/// How one document is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// The path under the base, a template with `{id}`.
    pub path: String,
    /// JSON pointer to the document; empty: the answer is the document.
    #[serde(default)]
    pub document: String,
}

/// How a new document is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// The path under the base, a template.
    pub path: String,
    /// Headers of this request, as templates. A create with `{message_id}` in its path or a header is repeated after an
    /// unknown outcome, since the service knows it again.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON pointer to the new id in the answer; else the document's own `id` pointer, else the last step of `Location`.
    pub id: Option<String>,
    /// JSON pointer to the document in the answer, where the service returns it; empty: the answer is the document.
    pub document: Option<String>,
}

/// How a changed document is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The method. `PUT` replaces the whole and may be repeated.
    #[serde(default = "put")]
    pub method: String,
    /// The path under the base, a template with `{id}`.
    pub path: String,
    /// Headers of this request, as templates: `If-Match = "\"{version}\""`; one without a value is left out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// JSON pointer to the document in the answer, where the service returns it; empty: the answer is the document.
    pub document: Option<String>,
}

fn post() -> String {
    "POST".to_owned()
}
fn get() -> String {
    "GET".to_owned()
}
fn put() -> String {
    "PUT".to_owned()
}
const fn twenty() -> usize {
    20
}
const fn limit() -> usize {
    8 << 20
}
