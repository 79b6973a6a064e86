//! What the caller is told when it does not get what it asked for.
//!
//! <http://hl7.org/fhir/R4/operationoutcome.html>

use std::time::Duration;

use serde::Serialize;
use silta_engine::fault::Fault;

use crate::access::interaction::ResourceType;

/// A request not fulfilled: at least one issue, of which the first decides the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    first: Box<Issue>,
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

    /// The fault that the caller is told of: what is withheld silently looks like what is not there.
    const fn told(&self) -> Fault {
        match self.fault {
            Fault::WithheldSilently => Fault::NotFound,
            other => other,
        }
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
    pub fn of(first: Issue) -> Self {
        Self { first: Box::new(first), others: Vec::new(), retry_after: None, allow: Vec::new() }
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
        self.first.expression.push(expression.into());
        self
    }

    /// Says where in the text: `line:column`, or a native path.
    #[must_use]
    pub fn located(mut self, diagnostics: impl Into<String>) -> Self {
        self.first.diagnostics = Some(diagnostics.into());
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
    pub fn fault(&self) -> Fault {
        self.first.fault
    }

    /// The issues, the deciding one first.
    pub fn issues(&self) -> impl Iterator<Item = &Issue> {
        std::iter::once(&*self.first).chain(&self.others)
    }

    /// The OperationOutcome, as JSON text.
    #[must_use]
    pub fn json(&self) -> String {
        outcome(self.issues())
    }
}

/// An OperationOutcome of these issues, as JSON text with its elements in the order of the specification.
pub fn outcome<'a>(issues: impl IntoIterator<Item = &'a Issue>) -> String {
    let outcome = OutcomeJson { resource_type: "OperationOutcome", issue: issues.into_iter().map(issue).collect() };
    // Nothing in it can fail to be written; were it so, an outcome without content would still be right.
    serde_json::to_string(&outcome).unwrap_or_else(|_| NOTHING.to_owned())
}

const NOTHING: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception"}]}"#;

fn issue(issue: &Issue) -> IssueJson<'_> {
    IssueJson {
        severity: issue.severity.unwrap_or(issue.fault.severity()),
        code: issue.told().issue_code(),
        details: Details {
            coding: issue.rule.iter().map(|(system, code)| Coding { system, code }).collect(),
            text: &issue.text,
        },
        diagnostics: issue.diagnostics.as_deref(),
        expression: &issue.expression,
    }
}

#[derive(Serialize)]
struct OutcomeJson<'a> {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    issue: Vec<IssueJson<'a>>,
}

#[derive(Serialize)]
struct IssueJson<'a> {
    severity: &'a str,
    code: &'a str,
    details: Details<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    expression: &'a [String],
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    coding: Vec<Coding<'a>>,
    text: &'a str,
}

#[derive(Serialize)]
struct Coding<'a> {
    system: &'a str,
    code: &'a str,
}
