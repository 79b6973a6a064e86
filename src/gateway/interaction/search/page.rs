//! Pages: where one begins, and the links between them.
//!
//! A link must not tell whom a search is about, so the parameters stand in it sealed: encrypted and authenticated, bound to
//! the caller, and good for an hour. Nothing is kept between pages; the search is made again, mostly from the cache.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use silta_engine::definitions::SearchType;
use silta_engine::fault::Fault;
use silta_engine::search::{Criterion, Query, Test, Value};

use super::Keys;
use crate::access::interaction::ResourceType;
use crate::gateway::interaction::read::digest;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::Request;
use crate::store::ResourceKey;

/// The parameter that holds a sealed page.
const PARAMETER: &str = "_page";

/// How long a link is good.
const LIFE: Duration = Duration::from_secs(3600);

/// The longest link, in bytes: more than this servers and proxies refuse.
const LONGEST: usize = 6000;

/// Seals and opens links.
pub struct Pages {
    key: RandomizedNonceKey,
}

/// There is no key of these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key for links between pages can be made")]
pub struct NoKey;

/// What is asked: the parameters of the search and where its page begins.
pub(super) struct Asked {
    pub(super) parameters: Vec<(String, String)>,
    pub(super) offset: usize,
    /// What the first page was chosen from.
    pub(super) found: Option<String>,
}

/// What a link holds.
#[derive(Serialize, Deserialize)]
struct Sealed {
    kind: String,
    parameters: Vec<(String, String)>,
    offset: usize,
    found: String,
    until: i64,
}

/// One page of the matches.
pub(super) struct Page<'m> {
    pub(super) keys: &'m [Arc<ResourceKey>],
    pub(super) offset: usize,
    pub(super) total: usize,
    count: usize,
    /// What it was chosen from.
    pub(super) found: String,
}

/// The links of a page.
pub(super) struct Links {
    pub(super) own: Option<String>,
    pub(super) next: Option<String>,
    /// A link is left out, since it would be too long.
    pub(super) cut: bool,
}

impl<'m> Page<'m> {
    pub(super) fn of(matches: &'m Keys, offset: usize, count: u32) -> Self {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let start = offset.min(matches.len());
        let end = start.saturating_add(count).min(matches.len());
        let ids = matches.iter().flat_map(|key| [key.resource_type.as_str(), key.id.as_str()]);
        Self {
            keys: matches.get(start..end).unwrap_or_default(),
            offset: start,
            total: matches.len(),
            count,
            found: digest(ids),
        }
    }
}

impl Pages {
    /// Links sealed by this key: the same key after a restart opens them still.
    ///
    /// # Errors
    /// Never for a key of this length.
    pub fn new(key: [u8; 32]) -> Result<Self, NoKey> {
        RandomizedNonceKey::new(&AES_256_GCM, &key).map(|key| Self { key }).map_err(|_| NoKey)
    }

    /// What a request asks: its parameters, or those that a link holds.
    ///
    /// # Errors
    /// A link that is not one of this caller, or is too old.
    pub(super) fn asked(&self, request: &Request, kind: ResourceType) -> Result<Asked, Refusal> {
        let mut links = request.parameters.iter().filter(|(name, _)| name == PARAMETER);
        let Some((_, token)) = links.next() else {
            return Ok(Asked { parameters: request.parameters.clone(), offset: 0, found: None });
        };
        let refused = |text: &str| Refusal::new(Fault::BadValue, format!("{PARAMETER}: {text}"));
        if request.parameters.len() > 1 {
            return Err(refused("a link to a page stands alone"));
        }
        let sealed = self
            .open(token, &request.caller.name)
            .filter(|sealed| sealed.kind == kind.name())
            .ok_or_else(|| refused("not a link to a page that this caller was given"))?;
        if sealed.until < request.received.as_second() {
            return Err(refused("the link is too old; search again"));
        }
        Ok(Asked { parameters: sealed.parameters, offset: sealed.offset, found: Some(sealed.found) })
    }

    /// The links of a page.
    pub(super) fn links(
        &self,
        request: &Request,
        kind: ResourceType,
        query: &Query,
        asked: &Asked,
        page: &Page<'_>,
    ) -> Links {
        let used: Vec<(String, String)> = asked
            .parameters
            .iter()
            .filter(|(name, _)| !query.ignored.iter().any(|ignored| ignored.name == *name))
            .cloned()
            .collect();
        let until = request.received.checked_add(LIFE).unwrap_or(Timestamp::MAX).as_second();
        let sealed = |offset: usize| {
            let sealed = Sealed {
                kind: kind.name().to_owned(),
                parameters: used.clone(),
                offset,
                found: page.found.clone(),
                until,
            };
            let token = self.seal(&sealed, &request.caller.name)?;
            let link = format!("{}/{kind}?{PARAMETER}={token}", request.base);
            (link.len() <= LONGEST).then_some(link)
        };
        let tells_nobody = asked.offset == 0 && query.criteria.iter().all(tells_nobody);
        let own = if tells_nobody { Some(clear(&request.base, kind, &used)) } else { sealed(page.offset) };
        let after = page.offset.saturating_add(page.keys.len());
        let has_more = page.count > 0 && after < page.total;
        let next = if has_more { sealed(after) } else { None };
        Links { cut: own.is_none() || (has_more && next.is_none()), own, next }
    }

    fn seal(&self, sealed: &Sealed, caller: &str) -> Option<String> {
        let mut text = serde_json::to_vec(sealed).ok()?;
        let nonce = self.key.seal_in_place_append_tag(Aad::from(caller.as_bytes()), &mut text).ok()?;
        let mut token = nonce.as_ref().to_vec();
        token.append(&mut text);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    fn open(&self, token: &str, caller: &str) -> Option<Sealed> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, text) = token.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(caller.as_bytes()), &mut text).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

/// Whether what a criterion compares with says nothing about who is searched for.
fn tells_nobody(criterion: &Criterion) -> bool {
    const CODES: [&str; 12] = [
        "_id",
        "_security",
        "_tag",
        "achievement-status",
        "business-status",
        "category",
        "code",
        "intent",
        "lifecycle-status",
        "performer",
        "priority",
        "status",
    ];
    let values_tell = |test: &Test| match test {
        Test::Missing(_) => false,
        Test::Any(values) | Test::NoneOf(values) => values.iter().any(|value| matches!(value, Value::Token { .. })),
    };
    let code = criterion.parameter.code();
    criterion.chain.is_none()
        && match criterion.parameter.kind() {
            SearchType::Token => CODES.contains(&code),
            SearchType::Reference => !values_tell(&criterion.test),
            SearchType::Date => !matches!(code, "birthdate" | "death-date"),
            _ => false,
        }
}

fn clear(base: &str, kind: ResourceType, parameters: &[(String, String)]) -> String {
    let mut link = format!("{base}/{kind}");
    for (place, (name, value)) in parameters.iter().enumerate() {
        link.push(if place == 0 { '?' } else { '&' });
        escape(name, &mut link);
        link.push('=');
        escape(value, &mut link);
    }
    link
}

fn escape(text: &str, link: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b',' => {
                link.push(char::from(byte));
            }
            _ => link.push_str(&format!("%{byte:02X}")),
        }
    }
}
