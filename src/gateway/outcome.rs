//! What the caller is told when it does not get what it asked for.
//!
//! <http://hl7.org/fhir/R4/operationoutcome.html>

use std::time::Duration;

use serde_json::{Map, Value, json};
use silta_engine::fault::Fault;

use crate::access::interaction::ResourceType;

/// A request not fulfilled: at least one issue, of which the first decides the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    first: Issue,
    others: Vec<Issue>,
    /// When trying again may help; put into `Retry-After`. Throttled and unavailable answers have one without it too.
    pub retry_after: Option<Duration>,
    /// The methods that the address does take, for 405.
    pub allow: Vec<&'static str>,
}

/// One issue of an OperationOutcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Which answer it is: issue code, severity, status.
    pub fault: Fault,
    /// Another severity than the fault's own.
    pub severity: Option<&'static str>,
    /// What is wrong and what was expected, for people: never the patient's data, never internals.
    pub text: String,
    /// The rule that was broken: system and code.
    pub rule: Option<(String, String)>,
    /// Where in the text sent: `line:column`, a native path, a map's line.
    pub diagnostics: Option<String>,
    /// Where in the resource: FHIRPath with indexes.
    pub expression: Vec<String>,
}

impl Issue {
    /// An issue with only its text.
    #[must_use]
    pub fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self { fault, severity: None, text: text.into(), rule: None, diagnostics: None, expression: Vec::new() }
    }

    /// Says where in the resource, as FHIRPath.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression.push(expression.into());
        self
    }

    /// Says where in the text: `line:column`, or a native path.
    #[must_use]
    pub fn located(mut self, diagnostics: impl Into<String>) -> Self {
        self.diagnostics = Some(diagnostics.into());
        self
    }

    /// Says which rule was broken.
    #[must_use]
    pub fn rule(mut self, system: impl Into<String>, code: impl Into<String>) -> Self {
        self.rule = Some((system.into(), code.into()));
        self
    }

    /// Gives another severity than the fault's: `fatal`, `error`, `warning` or `information`.
    #[must_use]
    pub fn severity(mut self, severity: &'static str) -> Self {
        self.severity = Some(severity);
        self
    }

    /// The issue as an element of `OperationOutcome.issue`.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut details = Map::new();
        if let Some((system, code)) = &self.rule {
            details.insert("coding".to_owned(), json!([{ "system": system, "code": code }]));
        }
        details.insert("text".to_owned(), json!(self.text));
        let mut issue = Map::new();
        issue.insert("severity".to_owned(), json!(self.severity.unwrap_or(self.fault.severity())));
        issue.insert("code".to_owned(), json!(self.fault.issue_code()));
        issue.insert("details".to_owned(), Value::Object(details));
        if let Some(diagnostics) = &self.diagnostics {
            issue.insert("diagnostics".to_owned(), json!(diagnostics));
        }
        if !self.expression.is_empty() {
            issue.insert("expression".to_owned(), json!(self.expression));
        }
        Value::Object(issue)
    }
}

impl Refusal {
    /// A refusal for one reason.
    #[must_use]
    pub fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self::of(Issue::new(fault, text))
    }

    /// A refusal by this issue.
    #[must_use]
    pub const fn of(first: Issue) -> Self {
        Self { first, others: Vec::new(), retry_after: None, allow: Vec::new() }
    }

    /// A refusal by all of these, the first deciding the status; none when there is none.
    #[must_use]
    pub fn all(issues: impl IntoIterator<Item = Issue>) -> Option<Self> {
        let mut issues = issues.into_iter();
        let mut refusal = Self::of(issues.next()?);
        refusal.others.extend(issues);
        Some(refusal)
    }

    /// Nothing is there: the one text for it, so that what is withheld silently cannot be told from what is not there.
    #[must_use]
    pub fn not_found(kind: ResourceType) -> Self {
        Self::new(Fault::NotFound, format!("no {kind} of this id is known here"))
    }

    /// The answer to a resource that is there and must not be known to be there.
    #[must_use]
    pub fn withheld_silently(kind: ResourceType) -> Self {
        let mut refusal = Self::not_found(kind);
        refusal.first.fault = Fault::WithheldSilently;
        refusal
    }

    /// Adds another issue, which does not change the status.
    #[must_use]
    pub fn and(mut self, issue: Issue) -> Self {
        self.others.push(issue);
        self
    }

    /// Says where in the resource, as FHIRPath.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.first = self.first.at(expression);
        self
    }

    /// Says where in the text: `line:column`, or a native path.
    #[must_use]
    pub fn located(mut self, diagnostics: impl Into<String>) -> Self {
        self.first = self.first.located(diagnostics);
        self
    }

    /// Says when trying again may help.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What decides the status.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.first.fault
    }

    /// The issues, the deciding one first.
    pub fn issues(&self) -> impl Iterator<Item = &Issue> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The OperationOutcome.
    #[must_use]
    pub fn json(&self) -> Value {
        outcome(self.issues())
    }
}

/// An OperationOutcome of these issues.
pub fn outcome<'a>(issues: impl IntoIterator<Item = &'a Issue>) -> Value {
    let issues: Vec<Value> = issues.into_iter().map(Issue::json).collect();
    json!({ "resourceType": "OperationOutcome", "issue": issues })
}
