//! Findings as an OperationOutcome (<http://hl7.org/fhir/R4/operationoutcome.html>).

use serde_json::{Value, json};

use crate::fhir::document::{Document, SyntaxError};

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
