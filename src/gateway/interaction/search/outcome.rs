//! Who was asked, who answered and how fresh that is, and who did not: the `outcome` entry of a searchset.

use jiff::Timestamp;
use serde_json::{Value, json};
use silta_engine::fault::Fault;
use silta_engine::search::Query;

use super::bundle::{age, source};
use super::include::Included;
use super::page::{Links, Page};
use super::pool::Pool;
use crate::gateway::federation::part::{How, Report, State};

/// Codes of what is said of a provider.
const SYSTEM: &str = "urn:silta:provider-answer";

/// What is told of the search.
pub(super) fn issues(
    query: &Query,
    pool: &Pool,
    page: &Page<'_>,
    included: &Included,
    links: &Links,
    since: Option<&str>,
    now: Timestamp,
) -> Vec<Value> {
    let mut issues: Vec<Value> = Vec::new();
    let kept = pool.parts.values().filter(|part| part.origin.how == How::Stored);
    let (count, newest) = kept
        .fold((0_usize, None), |(count, newest), part| (count.saturating_add(1), newest.max(Some(part.origin.as_of))));
    let text = match newest {
        Some(newest) => format!("kept here: {}, the last received {}", resources(count), age(newest, now)),
        None => "kept here: nothing".to_owned(),
    };
    issues.push(issue("information", "informational", &text, "stored", &[]));
    for report in &pool.reports {
        told(report, now, &mut issues);
    }
    for ignored in &query.ignored {
        let text = format!("the parameter {} was left out: {}", ignored.name, ignored.why);
        issues.push(issue("warning", "not-supported", &text, "", &[]));
    }
    if since.is_some_and(|found| found != page.found) {
        let text = "what is found has changed since the first page; entries may be missing or repeated";
        issues.push(issue("warning", "incomplete", text, "", &[]));
    }
    if included.cut {
        issues.push(issue("warning", "incomplete", "more would be included than is given at once", "", &[]));
    }
    if included.missing > 0 {
        let text = format!("{} resources that are referred to could not be had for inclusion", included.missing);
        issues.push(issue("warning", "incomplete", &text, "", &[]));
    }
    if links.cut {
        let text = "the search is too long for a link: ask for more on a page with _count, or for less";
        issues.push(issue("warning", "incomplete", text, "", &[]));
    }
    issues
}

fn told(report: &Report, now: Timestamp, issues: &mut Vec<Value>) {
    let name = report.provider.as_ref();
    match &report.state {
        State::Answered { how, as_of, resources: count, complete, not_searched, warnings } => {
            let count = resources(*count);
            let text = match how {
                How::Live => format!("{name} was asked and answered with {count}"),
                _ => format!("{name} was asked {} and answered with {count}", age(*as_of, now)),
            };
            let facts = source(Some(name), *how, *as_of, now);
            issues.push(issue("information", "informational", &text, how.code(), &[facts]));
            if !complete {
                let text = format!("not all of what {name} has is here");
                issues.push(issue("warning", "incomplete", &text, "partial", &[]));
            }
            if !not_searched.is_empty() {
                let text = format!("{name} cannot be asked for {}", not_searched.join(", "));
                issues.push(issue("information", "informational", &text, "not-asked", &[]));
            }
            issues.extend(warnings.iter().map(|warning| {
                let text = format!("{name}: {}", warning.text);
                issue(warning.severity.unwrap_or("warning"), warning.fault.issue_code(), &text, "", &[named(name)])
            }));
        }
        State::Stale { failure, as_of, resources: count } => {
            let (when, count) = (age(*as_of, now), resources(*count));
            let text = format!("{name} did not answer ({}); its answer of {when} is given, {count}", failure.text);
            let facts = source(Some(name), How::Stale, *as_of, now);
            issues.push(issue("warning", failure.fault.issue_code(), &text, "stale", &[facts]));
        }
        State::Silent(failure) => {
            let code = match failure.fault {
                Fault::NotFound | Fault::Deleted => Fault::Incomplete.issue_code(),
                fault => fault.issue_code(),
            };
            let text = format!("{name} did not answer: {}; what it has is missing here", failure.text);
            issues.push(issue("warning", code, &text, "silent", &[named(name)]));
        }
        State::NotAsked(why) => {
            let text = format!("{name} was not asked: {why}");
            issues.push(issue("information", "informational", &text, "not-asked", &[named(name)]));
        }
    }
}

fn resources(count: usize) -> String {
    format!("{count} resource{}", if count == 1 { "" } else { "s" })
}

fn named(name: &str) -> Value {
    json!({ "url": super::bundle::SOURCE, "extension": [{ "url": "provider", "valueString": name }] })
}

fn issue(severity: &str, code: &str, text: &str, state: &str, extensions: &[Value]) -> Value {
    let mut details = json!({ "text": text });
    if !state.is_empty()
        && let Some(members) = details.as_object_mut()
    {
        members.insert("coding".to_owned(), json!([{ "system": SYSTEM, "code": state }]));
    }
    let mut issue = json!({ "severity": severity, "code": code, "details": details });
    if !extensions.is_empty()
        && let Some(members) = issue.as_object_mut()
    {
        members.insert("extension".to_owned(), json!(extensions));
    }
    issue
}
