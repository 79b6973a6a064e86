//! What may not be left out, however lossy: elements that change what the rest of a resource means (R4, 2.4: who does not
//! understand a modifier must not process the resource).

use crate::definitions::Kind as TypeKind;
use crate::fhir::document::Node;

use super::verify::Kind;

/// Codes by which an element says that something is not, or is not to be done.
const NEGATING: [&str; 16] = [
    "entered-in-error",
    "refuted",
    "cancelled",
    "revoked",
    "abandoned",
    "rejected",
    "declined",
    "failed",
    "aborted",
    "stopped",
    "not-done",
    "not-taken",
    "no-show",
    "noshow",
    "on-hold",
    "suspended",
];

/// Whether what differs at a node turns round, or takes back, what the rest says.
pub(crate) fn turns(node: Node<'_>, kind: Kind) -> bool {
    let mut at = Some(node);
    while let Some(here) = at.filter(|here| !here.is_resource()) {
        if here.name() == "modifierExtension" {
            return true;
        }
        let modifies = here.element_id().is_some_and(|id| here.document().model().element(id).is_modifier());
        if modifies && (kind == Kind::Other || is_news(here)) {
            return true;
        }
        at = here.parent();
    }
    false
}

/// Whether a modifier says something else than what is taken for granted without it.
fn is_news(modifier: Node<'_>) -> bool {
    match (modifier.element_name(), modifier.type_name(), modifier.text()) {
        ("active", "boolean", Some(text)) => text == "false",
        (_, "boolean", Some(text)) => text == "true",
        (_, "code", Some(text)) => NEGATING.contains(&text),
        (_, "CodeableConcept" | "Coding", _) => negates(modifier),
        (_, _, text) => {
            let is_primitive =
                modifier.type_id().is_some_and(|of| modifier.document().model().kind(of) == TypeKind::Primitive);
            // The rules that a resource was made under, and the language, change nothing here.
            is_primitive && text.is_some() && !matches!(modifier.element_name(), "implicitRules" | "language")
        }
    }
}

fn negates(node: Node<'_>) -> bool {
    node.children().any(|child| match child.element_name() {
        "code" => child.text().is_some_and(|text| NEGATING.contains(&text)),
        "coding" => negates(child),
        _ => false,
    })
}
