//! A part of a resource: `_summary` and `_elements` (<http://hl7.org/fhir/R4/search.html#summary>).

use crate::fhir::document::{Document, Node};
use crate::fhir::edit::Edit;

use super::query::{Query, Summary};

/// Whether a query asks for parts of resources.
#[must_use]
pub fn is_subset(query: &Query) -> bool {
    !query.elements.is_empty() || matches!(query.summary, Summary::True | Summary::Text | Summary::Data)
}

/// The JSON text of the part that a query asks for, labelled as incomplete. What must be there stays.
#[must_use]
pub fn subset(document: &Document, query: &Query) -> String {
    let root = document.root();
    let mut edit = Edit::new(document);
    for child in root.children() {
        if !stays(child, query) {
            edit.remove(child);
        }
    }
    const TAG: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;
    match root.first("meta") {
        Some(meta) => edit.insert(meta, "tag", TAG),
        None => edit.insert(root, "meta", &format!(r#"{{"tag":[{TAG}]}}"#)),
    }
    edit.write()
}

fn stays(child: Node<'_>, query: &Query) -> bool {
    let name = child.element_name();
    let element = child.element();
    let needed = matches!(name, "id" | "meta" | "implicitRules")
        || element.is_some_and(|element| element.min() > 0 || element.is_modifier());
    if needed {
        return true;
    }
    let by_summary = match query.summary {
        Summary::True => element.is_some_and(|element| element.is_summary()),
        Summary::Text => name == "text",
        Summary::Data => name != "text",
        Summary::False | Summary::Count => query.elements.is_empty(),
    };
    by_summary || query.elements.iter().any(|wanted| wanted == name)
}
