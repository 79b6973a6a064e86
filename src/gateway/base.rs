//! The base URL: configured, or as the caller reached us.

use std::sync::Arc;

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use silta_engine::fault::Fault;

use super::outcome::Refusal;

/// A configured base URL, or none.
#[derive(Debug, Clone, Default)]
pub(super) struct BaseUrl {
    url: Option<Arc<str>>,
    path: String,
}

impl BaseUrl {
    /// A URL that was checked: https, an authority, no query, no final `/`.
    pub(super) fn new(url: Option<&str>) -> Self {
        let path = url.and_then(|url| url.parse::<hyper::Uri>().ok()).map(|uri| uri.path().to_owned());
        Self { url: url.map(Into::into), path: path.filter(|path| path != "/").unwrap_or_default() }
    }

    /// Its path, without a final `/`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The URL for answering this request.
    pub(super) fn of(&self, parts: &Parts) -> Result<Arc<str>, Refusal> {
        if let Some(url) = &self.url {
            return Ok(Arc::clone(url));
        }
        let mut hosts = parts.headers.get_all(HOST).iter();
        let named = match (parts.uri.authority(), hosts.next(), hosts.next()) {
            (Some(authority), _, None) => Some(authority.clone()),
            (None, Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
            _ => None,
        };
        named
            .filter(|authority| !authority.as_str().contains('@'))
            .map(|authority| format!("https://{authority}").into())
            .ok_or_else(|| Refusal::new(Fault::CannotParse, "the request does not name one host"))
    }
}
