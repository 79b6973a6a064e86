//! What an update may change in a Task, and what of it stays the gateway's.

use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Node};
use silta_engine::fhir::edit::Edit;

use super::super::error::{ExchangeError, Problem};
use super::super::workflow::state::{self, Actor};
use super::super::workflow::task;

/// What an update of a Task must leave alone, and whether its move is allowed.
pub(super) fn check_task(before: &Document, after: &Document, actor: Actor) -> Result<(), ExchangeError> {
    let (old, new) = (before.root(), after.root());
    for name in ["focus", "for", "requester", "owner", "authoredOn", "intent", "basedOn", "partOf"] {
        let text =
            |root: Node<'_>| root.children().filter(|child| child.name() == name).map(comparable).collect::<Vec<_>>();
        if text(old) != text(new) {
            let problem = Problem::new(Fault::BusinessRule, "this does not change once a Task is made");
            return Err(ExchangeError::Refused(vec![problem.expression(format!("Task.{name}"))]));
        }
    }
    let (Some(from), Some(to)) = (task::status_of(old), task::status_of(new)) else {
        return Err(ExchangeError::Internal("a Task without a known status was let in"));
    };
    if from.is_final() && from == to {
        let problem = Problem::new(Fault::BusinessRule, format!("a Task that is {from} does not change"));
        return Err(ExchangeError::Refused(vec![problem.expression("Task.status")]));
    }
    state::advance(from, to, actor, new.first("statusReason").is_some())?;
    Ok(())
}

/// A node's content with references, codes and texts, whatever the white space.
fn comparable(node: Node<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if let Some(text) = node.text() {
            found.push((node.path().to_string(), text.to_owned()));
        }
        open.extend(node.children());
    }
    found.sort();
    found
}

/// Security labels and the source of a Task are the gateway's: an update does not take them off.
pub(super) fn keep_labels<'d>(before: &Document, after: &'d Document, edit: &mut Edit<'d>) {
    let Some(old) = before.root().first("meta") else { return };
    let Some(new) = after.root().first("meta") else {
        edit.put(after.root(), "meta", old.raw());
        return;
    };
    for label in old.named("security") {
        let held = new.named("security").any(|one| {
            one.text_at("system") == label.text_at("system") && one.text_at("code") == label.text_at("code")
        });
        if !held {
            edit.insert(new, "security", label.raw());
        }
    }
}

/// Where a resource comes from is the gateway's to say (`meta.source`): what a caller claims does not stand.
pub(super) fn put_source<'d>(edit: &mut Edit<'d>, resource: Node<'d>, source: Option<Node<'_>>) {
    let Some(meta) = resource.first("meta") else { return };
    match source {
        Some(source) => edit.put(meta, "source", source.raw()),
        None => edit.drop_member(meta, "source"),
    }
}
