//! Making and changing Tasks: one new version from the current one and what somebody says.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use silta_engine::fhir::document::{Document, Node, SyntaxError};
use silta_engine::fhir::draft::{Draft, DraftError};
use silta_engine::fhir::edit::Edit;

use super::super::plain::TASKS;
use super::state::{self, Actor, IllegalMove, Status};

/// What the owner says of its work.
const OF_OWNER: [&str; 5] = ["status", "statusReason", "businessStatus", "executionPeriod", "output"];
/// What the requester says of what it wants.
const OF_REQUESTER: [&str; 6] = ["priority", "description", "restriction", "input", "reasonCode", "reasonReference"];
/// What stands in a list that only grows.
const GROWING: [&str; 4] = ["identifier", "output", "note", "input"];

/// The state of a Task, with its explanation.
pub(crate) fn status_of(task: Node<'_>) -> Option<Status> {
    task.text_at("status").and_then(Status::of)
}

/// What somebody says of a Task that is there.
///
/// `said` is a Task as a native document gave it, its references already the gateway's. Only what the sender's side may say
/// is taken; lists that only grow are joined. Steps that the format left out are taken as made, if there is a legal way.
///
/// # Errors
/// The move that is not allowed.
pub(crate) fn revise(
    current: &Arc<Document>,
    said: Node<'_>,
    actor: Actor,
    now: Timestamp,
) -> Result<Arc<Document>, ReviseError> {
    let root = current.root();
    let mut edit = Edit::new(current);
    let (from, to) = (status_of(root), status_of(said));
    let mut takes: Vec<&str> = Vec::new();
    if actor.owner {
        takes.extend(OF_OWNER);
    }
    if actor.requester {
        takes.extend(OF_REQUESTER);
        takes.push("status");
    }
    // One that stands on neither side says nothing that counts.
    if actor.owner || actor.requester {
        takes.extend(["note", "identifier"]);
    }
    takes.sort_unstable();
    takes.dedup();
    if let (Some(from), Some(to)) = (from, to)
        && from != to
    {
        allowed(from, to, actor, said.first("statusReason").is_some())?;
        if !matches!(to, Status::Rejected | Status::Cancelled | Status::OnHold | Status::Failed) {
            edit.drop_member(root, "statusReason");
            takes.retain(|name| *name != "statusReason" || said.first("statusReason").is_some());
        }
        // Another's word for the state before says nothing of this one.
        if said.first("businessStatus").is_none() {
            edit.drop_member(root, "businessStatus");
        }
    }
    for name in takes {
        let given: Vec<Node<'_>> = said.named(name).collect();
        if given.is_empty() {
            continue;
        }
        if GROWING.contains(&name) {
            for node in given {
                // What the gateway calls the Task is its id, and is no news to it.
                let is_ours = name == "identifier" && node.text_at("system") == Some(TASKS);
                if !is_ours && !root.named(name).any(|held| same(held.raw(), node.raw())) {
                    edit.insert(root, name, node.raw());
                }
            }
        } else if let [one] = given.as_slice() {
            if root.first(name).is_none_or(|held| !same(held.raw(), one.raw())) {
                edit.put(root, one.name(), &whole(*one));
            }
        } else {
            let all: Vec<&str> = given.iter().map(|node| node.raw()).collect();
            edit.put(root, name, &format!("[{}]", all.join(",")));
        }
    }
    if edit.is_empty() {
        return Ok(Arc::clone(current));
    }
    edit.put(root, "lastModified", &json!(now.to_string()).to_string());
    Ok(edit.finish()?)
}

/// The JSON of a member's value: an array where the element repeats.
fn whole(node: Node<'_>) -> String {
    if node.element().is_some_and(|element| element.is_array()) {
        format!("[{}]", node.raw())
    } else {
        node.raw().to_owned()
    }
}

/// Whether two texts are the same JSON, whatever the white space and the order of members.
fn same(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    compact(one) == compact(other) || read(one).is_some_and(|one| Some(one) == read(other))
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for letter in json.chars() {
        if inside {
            out.push(letter);
            inside = letter != '"' || escaped;
            escaped = letter == '\\' && !escaped;
        } else if !matches!(letter, ' ' | '\n' | '\r' | '\t') {
            out.push(letter);
            inside = letter == '"';
        }
    }
    out
}

/// Whether a native event may move a Task, perhaps over steps that its format does not tell.
pub(crate) fn allowed(from: Status, to: Status, actor: Actor, has_reason: bool) -> Result<(), IllegalMove> {
    match state::advance(from, to, actor, has_reason) {
        Err(IllegalMove::Order { .. }) if actor.owner && state::way(from, to).is_some() => {
            state::advance(from_before(to), to, actor, has_reason)
        }
        other => other,
    }
}

/// A state from which the owner may go to another: for the check of reasons once a way is known.
fn from_before(to: Status) -> Status {
    let owner = Actor { requester: false, owner: true };
    Status::ALL.into_iter().find(|from| *from != to && state::advance(*from, to, owner, true).is_ok()).unwrap_or(to)
}

/// The Task of an order that came without one.
///
/// # Errors
/// When the draft is no document: a fault of this program.
pub(crate) fn for_order(
    order: Node<'_>,
    order_reference: &str,
    owner: Option<Node<'_>>,
    now: Timestamp,
) -> Result<Arc<Document>, DraftError> {
    let mut draft = Draft::new(order.document().model(), "Task");
    let root = draft.root();
    draft.set_path(root, "status", "requested");
    draft.set_path(root, "intent", "order");
    if let Some(priority) = order.text_at("priority") {
        draft.set_path(root, "priority", priority);
    }
    let coding = draft.path(root, "code.coding");
    draft.set_path(coding, "system", "http://hl7.org/fhir/CodeSystem/task-code");
    draft.set_path(coding, "code", "fulfill");
    draft.set_path(root, "focus.reference", order_reference);
    for (from, to) in [("subject", "for"), ("requester", "requester"), ("encounter", "encounter")] {
        if let Some(node) = order.first(from) {
            let at = draft.child(root, to);
            draft.graft(at, node);
        }
    }
    if let Some(node) = owner.or_else(|| order.first("performer")) {
        let at = draft.child(root, "owner");
        draft.graft(at, node);
    }
    draft.set_path(root, "authoredOn", &now.to_string());
    draft.set_path(root, "lastModified", &now.to_string());
    draft.finish()
}

/// Why no new version could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviseError {
    #[error(transparent)]
    Move(#[from] IllegalMove),
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
}
