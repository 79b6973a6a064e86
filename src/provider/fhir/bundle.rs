//! The envelope of an answer: a Bundle's entries and links, a resource's type, id and version. The resources themselves
//! stay the bytes that they are.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A searchset Bundle.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bundle<'a> {
    #[serde(borrow)]
    pub(super) resource_type: Cow<'a, str>,
    #[serde(borrow, default)]
    link: Vec<Link<'a>>,
    #[serde(borrow, default)]
    pub(super) entry: Vec<Entry<'a>>,
}

#[derive(Debug, Deserialize)]
struct Link<'a> {
    #[serde(borrow)]
    relation: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) full_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) resource: Option<&'a RawValue>,
    #[serde(borrow)]
    search: Option<SearchMode<'a>>,
}

#[derive(Debug, Deserialize)]
struct SearchMode<'a> {
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
}

/// The beginning of any resource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub(super) resource_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) meta: Option<Meta<'a>>,
    /// Of an OperationOutcome.
    #[serde(borrow, default)]
    issue: Vec<Issue<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta<'a> {
    #[serde(borrow)]
    pub(super) version_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) last_updated: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct Issue<'a> {
    #[serde(borrow)]
    severity: Option<Cow<'a, str>>,
}

impl Bundle<'_> {
    /// The address of the next page.
    pub(super) fn next(&self) -> Option<&str> {
        self.link.iter().find(|link| link.relation == "next").map(|link| &*link.url)
    }
}

impl Entry<'_> {
    pub(super) fn is_outcome(&self) -> bool {
        self.search.as_ref().and_then(|search| search.mode.as_deref()) == Some("outcome")
    }
}

impl<'a> Head<'a> {
    pub(super) fn of(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Whether an OperationOutcome says that something went wrong.
    pub(super) fn complains(&self) -> bool {
        self.issue.iter().any(|issue| matches!(issue.severity.as_deref(), Some("error" | "fatal")))
    }
}
