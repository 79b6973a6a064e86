//! The searchset (<http://hl7.org/fhir/R4/bundle.html#searchset>), written around the resources' own text.
//!
//! Each entry says where its resource comes from by an extension [`SOURCE`] with these parts: `provider` (string; absent
//! for the gateway's own), `origin` (code: `stored`, `live`, `cached` or `stale`), `asOf` (instant at which it was
//! received or fetched), `age` (unsignedInt, seconds). An entry whose resource bears an identifier of another one names it
//! by the extension [`SAME_AS`] (uri, `Type/id`).

use std::collections::BTreeSet;

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::search::{Query, Total, is_subset, subset};

use super::include::Included;
use super::outcome;
use super::page::{Links, Page};
use super::pool::Pool;
use crate::gateway::federation::part::{How, Part, Report};
use crate::gateway::respond::Response;
use crate::store::ResourceKey;

/// The extension that says where a part comes from and how old it is.
pub(super) const SOURCE: &str = "urn:silta:extension:source";

/// The extension that names another resource of the same identifier.
const SAME_AS: &str = "urn:silta:extension:same-as";

/// What is written.
pub(super) struct Bundle<'a> {
    pub(super) base: &'a str,
    pub(super) query: &'a Query,
    pub(super) pool: &'a Pool,
    pub(super) page: &'a Page<'a>,
    pub(super) included: &'a Included,
    pub(super) links: &'a Links,
    pub(super) since: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl Bundle<'_> {
    /// The answer to the search.
    pub(super) fn response(&self) -> Response {
        let given: Vec<(&Part, &str)> = self.entries().collect();
        let has_gap = self.pool.reports.iter().any(Report::is_gap);
        // The number of matches is told only where everybody was heard.
        let total = (!has_gap && self.query.total != Total::None).then_some(self.page.total);
        let issues = outcome::issues(self.query, self.pool, self.page, self.included, self.links, self.since, self.now);
        let mut response = Response::new(StatusCode::OK, self.write(&given, total, issues));
        response.version = Some(self.digest(&given, total));
        response.last_modified = given.iter().filter_map(|(part, _)| part.updated).max();
        let kept = given.iter().filter(|(part, _)| matches!(part.origin.how, How::Kept | How::Stale));
        let oldest = kept.map(|(part, _)| part.origin.as_of).min();
        response.age = oldest.and_then(|oldest| self.now.duration_since(oldest).try_into().ok());
        let persons: BTreeSet<_> = given.iter().filter_map(|(part, _)| part.person).collect();
        response.persons = persons.into_iter().collect();
        let asked =
            self.pool.reports.iter().filter(|report| report.was_asked()).map(|report| report.provider.to_string());
        let held = given.iter().filter_map(|(part, _)| part.origin.provider.as_deref().map(str::to_owned));
        let providers: BTreeSet<String> = asked.chain(held).collect();
        response.providers = providers.into_iter().collect();
        response
    }

    /// Parts and their modes: matches, then what is included.
    fn entries(&self) -> impl Iterator<Item = (&Part, &'static str)> {
        let matches = self.page.keys.iter().map(|key| (key.as_ref(), "match"));
        let included = self.included.keys.iter().map(|key| (key, "include"));
        matches.chain(included).filter_map(|(key, mode): (&ResourceKey, _)| Some((self.pool.parts.get(key)?, mode)))
    }

    fn write(&self, given: &[(&Part, &str)], total: Option<usize>, issues: Vec<Value>) -> String {
        let size = given
            .iter()
            .fold(2048_usize, |sum, (part, _)| sum.saturating_add(part.content.text().len()).saturating_add(512));
        let mut out = String::with_capacity(size);
        out.push_str(r#"{"resourceType":"Bundle","type":"searchset""#);
        if let Some(total) = total {
            out.push_str(&format!(r#","total":{total}"#));
        }
        let links: Vec<Value> = [("self", &self.links.own), ("next", &self.links.next)]
            .into_iter()
            .filter_map(|(relation, url)| Some(json!({ "relation": relation, "url": url.as_deref()? })))
            .collect();
        if !links.is_empty() {
            out.push_str(r#","link":"#);
            out.push_str(&Value::Array(links).to_string());
        }
        out.push_str(r#","entry":["#);
        for (part, mode) in given {
            self.entry(part, mode, &mut out);
            out.push(',');
        }
        let outcome = json!({ "resourceType": "OperationOutcome", "issue": issues });
        out.push_str(&format!(r#"{{"resource":{outcome},"search":{{"mode":"outcome"}}}}]}}"#));
        out
    }

    fn entry(&self, part: &Part, mode: &str, out: &mut String) {
        let origin = &part.origin;
        let mut extensions = vec![source(origin.provider.as_deref(), origin.how, origin.as_of, self.now)];
        let same = self.pool.same_as(part);
        extensions.extend(same.map(|key| json!({ "url": SAME_AS, "valueUri": key.to_string() })));
        let full_url = json!(format!("{}/{}", self.base, part.key));
        out.push_str(&format!(r#"{{"extension":{},"fullUrl":{full_url},"resource":"#, Value::Array(extensions)));
        match self.part_of(part, mode) {
            Some(text) => out.push_str(&text),
            None => out.push_str(part.content.text()),
        }
        out.push_str(&format!(r#","search":{{"mode":"{mode}"}}}}"#));
    }

    /// The part of a match that the query asks for, where it does not ask for all.
    fn part_of(&self, part: &Part, mode: &str) -> Option<String> {
        if mode != "match" || !is_subset(self.query) {
            return None;
        }
        let text = part.content.text().as_bytes().to_vec();
        let document = Document::from_json(Model::r4(), text, &Limits::default()).ok()?;
        Some(subset(&document, self.query))
    }

    /// A name of what is found and of who is missing, which does not change as time goes by.
    fn digest(&self, given: &[(&Part, &str)], total: Option<usize>) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text);
        };
        for (part, mode) in given {
            add(mode);
            add(part.content.text());
        }
        for report in self.pool.reports.iter().filter(|report| report.is_gap()) {
            add(&report.provider);
        }
        add(&total.map(|total| total.to_string()).unwrap_or_default());
        add(&self.page.offset.to_string());
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The extension that says where a part comes from.
pub(super) fn source(provider: Option<&str>, how: How, as_of: Timestamp, now: Timestamp) -> Value {
    let mut parts = Vec::new();
    if let Some(provider) = provider {
        parts.push(json!({ "url": "provider", "valueString": provider }));
    }
    parts.push(json!({ "url": "origin", "valueCode": how.code() }));
    parts.push(json!({ "url": "asOf", "valueInstant": as_of.to_string() }));
    let seconds = now.duration_since(as_of).as_secs().clamp(0, i64::from(i32::MAX));
    parts.push(json!({ "url": "age", "valueUnsignedInt": seconds }));
    json!({ "url": SOURCE, "extension": parts })
}

/// How long ago, for people.
pub(super) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
