//! Visits: what was made on an order begins its Task and becomes one of its outputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use silta_engine::fhir::document::Document;
use silta_engine::fhir::edit::Edit;

use crate::store::ResourceKey;

use super::super::error::ExchangeError;
use super::super::known::Known;
use super::super::workflow::state::{Actor, Status};
use super::super::workflow::task;
use super::{Composed, Composer, parse, quoted, resources, sides, task_of};

impl Composer<'_> {
    /// A visit made on an order begins its Task, and is one of its results.
    pub(super) fn visits(
        &self,
        bundle: &Arc<Document>,
        known: &Known,
        composed: &mut Composed,
    ) -> Result<(), ExchangeError> {
        // Several visits of one order in one document make one new version.
        let mut by_task: BTreeMap<ResourceKey, Vec<String>> = BTreeMap::new();
        for resource in resources(bundle).filter(|resource| resource.type_name() == "Encounter") {
            let (Some(id), Some("in-progress" | "finished")) = (resource.text_at("id"), resource.text_at("status"))
            else {
                continue;
            };
            for order in resource.named("basedOn").filter_map(|order| order.text_at("reference")) {
                if let Some(task) = task_of(known, order) {
                    by_task.entry(task.resource.key.clone()).or_default().push(format!("Encounter/{id}"));
                }
            }
        }
        for (key, visits) in by_task {
            let Some(current) = known.tasks.iter().find(|task| task.resource.key == key) else { continue };
            let (owner, _) = sides(current);
            if owner.as_deref() != Some(self.partner.name()) {
                continue;
            }
            // What the same document said of the Task comes first.
            let told = composed.made.iter().position(|made| made.key == key).map(|place| composed.made.remove(place));
            composed.tasks.retain(|change| change.key != key);
            let document = parse(&current.resource.content, bundle)?;
            let before = match &told {
                Some(made) => Arc::clone(&made.document),
                None => Arc::clone(&document),
            };
            let after = with_visits(&before, &visits, self.now)?;
            let after = if told.is_some() && Arc::ptr_eq(&before, &after) { before } else { after };
            self.keep_task(current, &document, &after, "", composed)?;
        }
        Ok(())
    }
}

fn with_visits(task: &Arc<Document>, visits: &[String], now: Timestamp) -> Result<Arc<Document>, ExchangeError> {
    let root = task.root();
    let mut edit = Edit::new(task);
    for visit in visits {
        let known = root.named("output").any(|output| output.text_at("value.reference") == Some(visit));
        if !known {
            let output = serde_json::json!({
                "type": {"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Encounter"}]},
                "valueReference": {"reference": visit}
            });
            edit.insert(root, "output", &output.to_string());
        }
    }
    if let Some(from) = task::status_of(root)
        && from != Status::InProgress
        && from != Status::OnHold
        && !from.is_final()
    {
        task::allowed(from, Status::InProgress, Actor { owner: true, requester: false }, false)?;
        edit.put(root, "status", "\"in-progress\"");
    }
    if edit.is_empty() {
        return Ok(Arc::clone(task));
    }
    edit.put(root, "lastModified", &quoted(&now.to_string()));
    edit.finish().map_err(|_| ExchangeError::Internal("a changed Task cannot be read"))
}
