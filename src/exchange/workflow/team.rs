//! Care teams: the owners of taken Tasks belong to the team of every plan that holds the order.

use std::sync::Arc;

use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Node, SyntaxError};
use silta_engine::fhir::draft::{Draft, DraftError};
use silta_engine::fhir::edit::Edit;

/// The orders that a plan holds, as its activities refer to them.
pub(crate) fn orders(plan: Node<'_>) -> Vec<String> {
    plan.named("activity").filter_map(|activity| activity.text_at("reference.reference")).map(str::to_owned).collect()
}

/// The team of a plan, not yet with its members.
///
/// # Errors
/// When the draft is no document: a fault of this program.
pub(crate) fn for_plan(model: &Arc<Model>, plan: Node<'_>) -> Result<Arc<Document>, DraftError> {
    let mut draft = Draft::new(model, "CareTeam");
    let root = draft.root();
    draft.set_path(root, "status", "active");
    if let Some(title) = plan.text_at("title") {
        draft.set_path(root, "name", title);
    }
    if let Some(subject) = plan.first("subject") {
        let at = draft.child(root, "subject");
        draft.graft(at, subject);
    }
    draft.finish()
}

/// The team with these members too, each a Reference's JSON; the same document when they are all in it.
///
/// # Errors
/// When what was put in is not JSON.
pub(crate) fn with_members(team: &Arc<Document>, members: &[String]) -> Result<Arc<Document>, SyntaxError> {
    let root = team.root();
    let mut edit = Edit::new(team);
    let mut held: Vec<String> = root
        .named("participant")
        .filter_map(|participant| participant.first("member"))
        .filter_map(|member| serde_json::from_str(member.raw()).ok())
        .filter_map(|member| whom(&member))
        .collect();
    for member in members {
        let Ok(reference) = serde_json::from_str::<Value>(member) else { continue };
        let Some(target) = whom(&reference).filter(|target| !held.contains(target)) else { continue };
        held.push(target);
        edit.insert(root, "participant", &json!({"member": reference}).to_string());
    }
    if edit.is_empty() { Ok(Arc::clone(team)) } else { edit.finish() }
}

/// Whom a Reference names: by reference, else by identifier.
fn whom(reference: &Value) -> Option<String> {
    let text = |pointer| reference.pointer(pointer).and_then(Value::as_str);
    match text("/reference") {
        Some(target) => Some(target.to_owned()),
        None => Some(format!("{}|{}", text("/identifier/system").unwrap_or_default(), text("/identifier/value")?)),
    }
}
