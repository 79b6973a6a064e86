//! HTTP towards providers, shared by the adapters that speak it: one origin, no redirects, no proxy, bounded answers.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;

use super::address::is_loopback;
use super::secret::SecretRef;
use super::{AdapterError, NativeDocument, Payload, Refusal, SetupError, tls};
use crate::clock::{Clock, Instant};

/// How a provider knows us, beside a client certificate (`tls.certificate`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credentials {
    /// `Authorization: Bearer SECRET`.
    Bearer(SecretRef),
    /// A header of the provider's own: `{ header = "X-API-Key", secret = { file = "county.key" } }`.
    ApiKey {
        /// The header's name.
        header: String,
        /// Where its value is kept.
        secret: SecretRef,
    },
}

impl Credentials {
    /// The file that holds the secret, where one does.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        let (Self::Bearer(secret) | Self::ApiKey { secret, .. }) = self;
        match secret {
            SecretRef::File(path) => Some(path),
            SecretRef::Env(_) => None,
        }
    }
}

/// Where and how a server is reached: the part that is alike in the configuration of every adapter over HTTP.
pub(super) struct Site<'a> {
    pub(super) base: &'a str,
    pub(super) tls: &'a Option<tls::Config>,
    pub(super) plaintext: bool,
    pub(super) credentials: &'a Option<Credentials>,
    pub(super) answer_limit: usize,
}

/// One server.
pub(super) struct Web {
    client: Client,
    base: Url,
    answer_limit: usize,
    clock: Clock,
}

/// One request.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// A whole answer, whatever its status.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) fetched_at: Timestamp,
}

impl Web {
    pub(super) fn new(site: &Site<'_>, folder: &Path, clock: Clock) -> Result<Self, SetupError> {
        let base = base(site.base).map_err(|what| SetupError::new("base", what))?;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if base.scheme() == "http" && !site.plaintext && !is_loopback(host) {
            return Err(SetupError::new("base", "the host is not this machine: use https, or plaintext = true"));
        }
        let tls_config = site.tls.clone().unwrap_or_default();
        if tls_config.server_name.is_some() {
            return Err(SetupError::new("tls.server_name", "over HTTP the name is the host of `base`"));
        }
        let mut headers = HeaderMap::new();
        if let Some(credentials) = site.credentials {
            let (name, value) = authorization(credentials, folder).map_err(|error| error.under("credentials"))?;
            headers.insert(name, value);
        }
        let builder = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .default_headers(headers)
            .user_agent(concat!("silta/", env!("CARGO_PKG_VERSION")));
        let secure = base.scheme() == "https";
        let tls = if secure { tls_config.client(folder) } else { tls::untrusting() };
        let mut tls = tls.map_err(|error| error.under("tls"))?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let builder = builder.tls_backend_preconfigured(tls).https_only(secure);
        let client = builder.build().map_err(|error| SetupError::new("base", chain(&error)))?;
        Ok(Self { client, base, answer_limit: site.answer_limit, clock })
    }

    /// An address under the base; `path` is encoded already.
    pub(super) fn under(&self, path: &str) -> Result<Url, AdapterError> {
        let url = self.base.join(path.trim_start_matches('/')).ok();
        url.filter(|url| self.same_origin(url) && url.path().starts_with(self.base.path()))
            .ok_or_else(|| AdapterError::Unsendable { what: "the path leaves the provider's base address".to_owned() })
    }

    /// An address that the provider gave, which must be on the same origin.
    pub(super) fn link(&self, text: &str) -> Result<Url, &'static str> {
        let url = self.base.join(text).map_err(|_| "a link of the answer is not an address")?;
        if !self.same_origin(&url) || !url.username().is_empty() || url.password().is_some() {
            return Err("a link of the answer leads to another host");
        }
        Ok(url)
    }

    fn same_origin(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Gives up at the deadline whatever `work` is at.
    pub(super) async fn by<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, AdapterError>>,
    ) -> Result<T, AdapterError> {
        self.clock.deadline(deadline, work).await.unwrap_or(Err(AdapterError::TimedOut { sent: true }))
    }

    /// A moment before a deadline: what must be given up in time for something else to be handed on.
    pub(super) fn before(&self, deadline: Instant) -> Instant {
        let now = self.clock.instant();
        now.after(deadline.since(now).saturating_mul(9) / 10)
    }

    /// Sends one request and reads the whole answer, up to the limit. The caller bounds the time.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, AdapterError> {
        let Request { method, url, headers, body } = request;
        let mut building = self.client.request(method, url).headers(headers);
        if let Some(body) = body {
            building = building.body(body);
        }
        let mut answer = building.send().await.map_err(broken)?;
        let too_large = || AdapterError::AnswerTooLarge { limit: self.answer_limit };
        let announced = answer.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |length| length > self.answer_limit) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(interrupted)? {
            if body.len() + chunk.len() > self.answer_limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        Ok(Reply { status, headers, body: body.freeze(), fetched_at: self.clock.now() })
    }
}

impl Request {
    pub(super) fn new(method: Method, url: Url, accept: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Self { method, url, headers, body: None }
    }

    pub(super) fn body(mut self, bytes: Bytes, media_type: &'static str) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        self.body = Some(bytes);
        self
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, AdapterError> {
        let value = HeaderValue::from_str(value).map_err(|_| AdapterError::Unsendable {
            what: format!("the value of header {name} has control characters"),
        })?;
        self.headers.insert(name, value);
        Ok(self)
    }
}

impl Reply {
    /// The media type, without parameters, in lower case.
    pub(super) fn media_type(&self) -> Option<String> {
        let text = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    pub(super) fn is_json(&self) -> bool {
        self.media_type().is_some_and(|media| media == "application/json" || media.ends_with("+json"))
    }

    /// The entity tag, without quotes and weakness.
    pub(super) fn version(&self) -> Option<String> {
        let tag = self.headers.get(ETAG)?.to_str().ok()?.trim();
        Some(tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned()).filter(|tag| !tag.is_empty())
    }

    pub(super) fn last_modified(&self) -> Option<Timestamp> {
        http_date(self.headers.get(LAST_MODIFIED)?.to_str().ok()?)
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// The body as text.
    pub(super) fn text(&self) -> Result<&str, AdapterError> {
        std::str::from_utf8(&self.body).map_err(|_| self.unusable("the answer is not UTF-8", false))
    }

    /// The bytes that `text`, a part of [`Reply::text`], covers, without copying.
    pub(super) fn slice(&self, text: &str) -> Payload {
        Payload(self.body.slice_ref(text.as_bytes()))
    }

    /// The whole answer as a document, for the journal.
    pub(super) fn document(&self) -> NativeDocument {
        NativeDocument {
            bytes: self.body.clone().into(),
            media_type: self.media_type().unwrap_or_else(|| "application/octet-stream".to_owned()),
            kind: None,
            native_id: None,
            url: None,
            version: self.version(),
            last_modified: self.last_modified(),
            fetched_at: self.fetched_at,
        }
    }

    /// An answer that arrived and is of no use; `acted`: the provider may have done something.
    pub(super) fn unusable(&self, what: impl Into<String>, acted: bool) -> AdapterError {
        AdapterError::AnswerUnusable { what: what.into(), acted, answer: Some(Box::new(self.document())) }
    }

    /// The answer itself where its status is a success, else the error that its status means.
    pub(super) fn success(self) -> Result<Self, AdapterError> {
        if self.status.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    fn failure(&self) -> AdapterError {
        let status = self.status.as_u16().to_string();
        let answer = (!self.body.is_empty()).then(|| Box::new(self.document()));
        let refused =
            |refusal| AdapterError::Refused { status: status.clone(), code: None, refusal, answer: answer.clone() };
        match self.status.as_u16() {
            304 => AdapterError::NotModified,
            300..=399 => self.unusable(format!("a redirect ({status}), which is not followed"), false),
            401 | 403 | 407 => AdapterError::CredentialsRefused { status },
            404 => AdapterError::NotFound,
            410 => AdapterError::Deleted,
            409 => AdapterError::Conflict,
            412 => AdapterError::VersionStale,
            428 => AdapterError::VersionMissing,
            413 => refused(Refusal::TooLarge),
            405 | 406 | 415 | 501 => refused(Refusal::NotSupported),
            400 => refused(Refusal::Value),
            422 => refused(Refusal::Rule),
            429 | 503 => AdapterError::Overloaded { status, retry_after: self.retry_after(), answer },
            500..=599 => AdapterError::Failed { status, answer },
            _ if self.status.is_client_error() => refused(Refusal::Rule),
            _ => self.unusable(format!("status {status}"), true),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        Duration::try_from(http_date(text)?.duration_since(self.fetched_at)).ok()
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3): fit for a path segment or a form.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An id as a path segment; none for what would change the path.
pub(super) fn segment(id: &str) -> Option<String> {
    (!id.is_empty() && id != "." && id != "..").then(|| encode(id))
}

fn base(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("expected an address such as \"https://fhir.example/r4/\"".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong in the address: use `credentials`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the address has no query or fragment".to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn authorization(credentials: &Credentials, folder: &Path) -> Result<(HeaderName, HeaderValue), SetupError> {
    let (name, value, key) = match credentials {
        Credentials::Bearer(secret) => {
            let secret = secret.resolve(folder).map_err(|error| error.under("bearer"))?;
            (AUTHORIZATION, format!("Bearer {}", secret.expose()), "bearer")
        }
        Credentials::ApiKey { header, secret } => {
            let name = HeaderName::from_bytes(header.as_bytes())
                .map_err(|_| SetupError::new("api_key.header", "not a header name"))?;
            let secret = secret.resolve(folder).map_err(|error| error.under("api_key.secret"))?;
            (name, secret.expose().to_owned(), "api_key.secret")
        }
    };
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| SetupError::new(key, "the secret does not fit in a header"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// What a failed send means. The text never holds the address, which may hold an id.
fn broken(error: reqwest::Error) -> AdapterError {
    let connecting = error.is_connect();
    let building = error.is_builder();
    let what = chain(&error.without_url());
    if connecting {
        AdapterError::Unreachable { what }
    } else if building {
        AdapterError::Unsendable { what }
    } else {
        AdapterError::Interrupted { what }
    }
}

fn interrupted(error: reqwest::Error) -> AdapterError {
    AdapterError::Interrupted { what: chain(&error.without_url()) }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
