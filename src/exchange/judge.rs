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
    let node = document.node(resource);
    // Within a translated Bundle, whose places its sender does not know, the path begins at the resource.
    let within = (node.id() != document.root().id()).then(|| node.path().to_string());
    validator
        .validate_part(&part, profiles)
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| {
            let path = finding.path(document);
            let problem = Problem::new(finding.fault(), finding.text(document)).rule(finding.rule_code(document));
            match &within {
                Some(start) => {
                    let rest = path.strip_prefix(start.as_str()).unwrap_or(&path);
                    problem.expression(format!("{}{rest}", node.type_name()))
                }
                None => problem.expression(path).at(document.node(finding.at).position().to_string()),
            }
        })
        .collect()
}
