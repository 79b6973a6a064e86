//! The validator's findings as problems that a sender is told.

use std::sync::Arc;

use silta_engine::fhir::document::{Document, NodeId, Part};
use silta_engine::validation::{Severity, Validator};

use super::error::Problem;

/// What is wrong with a resource that is a part of a document; warnings are none of it.
pub(crate) fn problems(
    validator: &Validator,
    document: &Arc<Document>,
    resource: NodeId,
    profiles: &[&str],
) -> Vec<Problem> {
    let part = Part::new(document, resource);
    validator
        .validate_part(&part, profiles)
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| {
            Problem::new(finding.fault(), finding.text(document))
                .expression(finding.path(document))
                .at(document.node(finding.at).position().to_string())
                .rule(finding.rule_code(document))
        })
        .collect()
}
