//! Findings as an OperationOutcome (<http://hl7.org/fhir/R4/operationoutcome.html>).

use serde_json::{Value, json};

use crate::fhir::document::{Document, Node, SyntaxError};
use crate::fhir::slips::Slip;

use super::finding::{Finding, RULE_SYSTEM};

/// The outcome of a validation. A document without findings has one issue that says so.
#[must_use]
pub fn outcome(document: &Document, findings: &[Finding]) -> Value {
    let issues: Vec<Value> = if findings.is_empty() {
        vec![json!({
            "severity": "information",
            "code": "informational",
            "details": {"text": "nothing wrong was found"},
        })]
    } else {
        findings.iter().map(|finding| issue(document, finding)).collect()
    };
    json!({"resourceType": "OperationOutcome", "issue": issues})
}

/// One finding as an issue.
#[must_use]
pub fn issue(document: &Document, finding: &Finding) -> Value {
    let node = document.node(finding.at);
    json!({
        "severity": finding.severity.code(),
        "code": finding.issue.code(),
        "details": {
            "coding": [{"system": RULE_SYSTEM, "code": finding.rule_code(document)}],
            "text": finding.text(document),
        },
        "diagnostics": node.position().to_string(),
        "expression": [finding.path(document)],
    })
}

/// The slips of a JSON text as issues, each told at the object or array that has it; `document` is the text without them.
#[must_use]
pub fn slip_issues(document: &Document, slips: &[Slip]) -> Vec<Value> {
    let text = document.json();
    let issue = |slip: &Slip| {
        let path = around(document, slip.first_item.unwrap_or(slip.at)).path().to_string();
        // In an array there is no item to speak of.
        let path = match slip.first_item {
            Some(_) => path.strip_suffix("[0]").unwrap_or(&path).to_owned(),
            None => path,
        };
        let before = text.get(..slip.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        json!({
            "severity": "error",
            "code": "structure",
            "details": {"coding": [{"system": RULE_SYSTEM, "code": "syntax"}], "text": slip.says},
            "diagnostics": format!("{line}:{column}"),
            "expression": [path],
        })
    };
    slips.iter().map(issue).collect()
}

/// The innermost node around a place in the text.
fn around(document: &Document, at: usize) -> Node<'_> {
    let start = document.json().as_ptr() as usize;
    let holds = |node: &Node<'_>| {
        let from = (node.raw().as_ptr() as usize).wrapping_sub(start);
        (from..from.saturating_add(node.raw().len())).contains(&at)
    };
    let mut found = document.root();
    while let Some(inner) = found.children().find(holds) {
        found = inner;
    }
    found
}

/// The outcome for a text that is no document.
#[must_use]
pub fn syntax_outcome(error: &SyntaxError) -> Value {
    json!({"resourceType": "OperationOutcome", "issue": [{
        "severity": "fatal",
        "code": error.fault().issue_code(),
        "details": {"coding": [{"system": RULE_SYSTEM, "code": "syntax"}], "text": error.fault.to_string()},
        "diagnostics": format!("{}:{}", error.line, error.column),
    }]})
}
