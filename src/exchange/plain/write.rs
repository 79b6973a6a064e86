//! A resource as it is written for a provider: without the gateway's ids, its references as the provider calls what they
//! name. What the provider does not have is named by its identifier, or goes inside.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Node};
use silta_engine::fhir::edit::Edit;

use crate::exchange::change::ORDER_NUMBERS;
use crate::exchange::compose::quoted;
use crate::exchange::known::IMPERSONAL;
use crate::exchange::localise::{Bases, Named, each_reference, named, references};
use crate::provider::Identifier;
use crate::store::ResourceKey;

use super::{RESOURCES, TASKS};

/// What goes inside of what refers to it, where it cannot be made by itself.
pub(super) const INSIDE: [&str; 13] = [
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Location",
    "RelatedPerson",
    "Encounter",
    "Condition",
    "Procedure",
    "AllergyIntolerance",
    "Observation",
    "DiagnosticReport",
    "DocumentReference",
    "Coverage",
];

type Held = (ResourceKey, Arc<Document>);

/// The places of those that are wanted, each after what it refers to; the first resource is where it begins.
pub(super) fn in_order(resources: &[Held], wanted: impl Fn(&ResourceKey) -> bool) -> Vec<usize> {
    let mut order = Vec::new();
    let mut seen = vec![false; resources.len()];
    // Each place is met twice: on the way down, and when all that it refers to is done.
    let mut open = vec![(0_usize, false)];
    while let Some((place, is_done)) = open.pop() {
        let Some((key, document)) = resources.get(place) else { continue };
        if is_done {
            if wanted(key) {
                order.push(place);
            }
            continue;
        }
        if seen.get(place).copied().unwrap_or(true) {
            continue;
        }
        if let Some(flag) = seen.get_mut(place) {
            *flag = true;
        }
        open.push((place, true));
        for target in references(document, &Bases::default()) {
            let Named::Native(kind, id) = target else { continue };
            let found = resources.iter().position(|(key, _)| key.resource_type == kind && key.id == id);
            open.extend(found.map(|found| (found, false)));
        }
    }
    order
}

/// The business identifier by which a resource is known again; none where its type has none.
pub(super) fn identifier(document: &Document, key: &ResourceKey, person_systems: &[String]) -> Option<Identifier> {
    let root = document.root();
    if key.resource_type == "Task" {
        return Some(Identifier { system: TASKS.to_owned(), value: key.id.clone() });
    }
    let own: Vec<Identifier> = root
        .named("identifier")
        .filter_map(|one| {
            Some(Identifier { system: one.text_at("system")?.to_owned(), value: one.text_at("value")?.to_owned() })
        })
        .collect();
    let official = own.iter().find(|one| person_systems.contains(&one.system));
    official.or(own.first()).cloned().or_else(|| given(key))
}

/// The identifier that a resource without one is given.
fn given(key: &ResourceKey) -> Option<Identifier> {
    let model = Model::r4();
    let kind = model.type_named(&key.resource_type)?;
    let element = model.child(kind, model.symbol("identifier"))?;
    let is_list = model.element(element.element).is_array();
    let system = if key.resource_type == "ServiceRequest" { ORDER_NUMBERS } else { RESOURCES };
    let value = if system == ORDER_NUMBERS { key.id.clone() } else { key.to_string() };
    is_list.then(|| Identifier { system: system.to_owned(), value })
}

/// The text of a resource for the provider. None where it is not among the resources.
pub(super) fn written(
    key: &ResourceKey,
    resources: &[Held],
    names: &HashMap<String, String>,
    gateway: Option<&str>,
) -> Option<String> {
    let mut writing = Writing { resources, names, gateway, inside: Vec::new(), done: 0 };
    let (_, document) = resources.iter().find(|(held, _)| held == key)?;
    let root = document.root();
    let mut edit = Edit::new(document);
    edit.drop_member(root, "id");
    if let Some(meta) = root.first("meta") {
        for name in ["versionId", "lastUpdated", "source"] {
            edit.drop_member(meta, name);
        }
        let left = meta.children().any(|child| !["versionId", "lastUpdated", "source"].contains(&child.name()));
        if !left {
            edit.drop_member(root, "meta");
        }
    }
    let has = |system: &str| root.named("identifier").any(|one| one.text_at("system") == Some(system));
    let added = match given_or_task(key) {
        Some(given) if key.resource_type == "Task" && !has(TASKS) => Some(given),
        Some(given) if root.first("identifier").is_none() => Some(given),
        _ => None,
    };
    if let Some(Identifier { system, value }) = added {
        edit.insert(root, "identifier", &json!({"system": system, "value": value}).to_string());
    }
    writing.references(&mut edit, root);
    // What goes inside may refer to more that does.
    while writing.done < writing.inside.len() {
        let place = writing.done;
        writing.done += 1;
        let inside = writing.inside.get(place).cloned().and_then(|target| writing.contained(&target, place))?;
        edit.insert(root, "contained", &inside);
    }
    Some(edit.write())
}

fn given_or_task(key: &ResourceKey) -> Option<Identifier> {
    match key.resource_type.as_str() {
        "Task" => Some(Identifier { system: TASKS.to_owned(), value: key.id.clone() }),
        _ => given(key),
    }
}

struct Writing<'r> {
    resources: &'r [Held],
    names: &'r HashMap<String, String>,
    gateway: Option<&'r str>,
    /// What goes inside, in the order in which it was met.
    inside: Vec<ResourceKey>,
    done: usize,
}

impl Writing<'_> {
    fn resource(&self, key: &ResourceKey) -> Option<&Arc<Document>> {
        self.resources.iter().find(|(held, _)| held == key).map(|(_, document)| document)
    }

    /// Rewrites every reference below a node.
    fn references<'d>(&mut self, edit: &mut Edit<'d>, from: Node<'d>) {
        each_reference(from, &mut |node| {
            let Some(Named::Native(kind, id)) = node.text().and_then(|text| named(text, &Bases::default())) else {
                return;
            };
            let (key, text) = (ResourceKey::new(kind, id), node.text().unwrap_or_default());
            if let Some(native) = self.names.get(&key.to_string()) {
                edit.set(node, &format!("{}/{native}", key.resource_type));
                return;
            }
            let Some(holder) = node.parent() else { return };
            if holder.type_name() == "Attachment" {
                self.attach(edit, node, holder, &key);
                return;
            }
            let target = self.resource(&key).cloned();
            let own = target.as_ref().and_then(|target| {
                let one = target
                    .root()
                    .named("identifier")
                    .find(|one| one.text_at("system").is_some() && one.text_at("value").is_some())?;
                Some(one.raw().to_owned())
            });
            let goes_inside = INSIDE.contains(&key.resource_type.as_str())
                && target.as_ref().is_some_and(|target| target.root().first("contained").is_none())
                && !(IMPERSONAL.contains(&key.resource_type.as_str()) && own.is_some());
            if goes_inside {
                let place = self.inside.iter().position(|held| *held == key).unwrap_or_else(|| {
                    self.inside.push(key.clone());
                    self.inside.len() - 1
                });
                edit.set(node, &format!("#r{}", place + 1));
                return;
            }
            match self.gateway {
                // What is kept here has an address here.
                Some(gateway) => edit.set(node, &format!("{gateway}/{text}")),
                None => edit.drop_member(holder, "reference"),
            }
            if holder.first("type").is_none() {
                edit.insert_text(holder, "type", &key.resource_type);
            }
            if let (Some(own), None) = (own, holder.first("identifier")) {
                edit.put(holder, "identifier", &own);
            }
            if holder.first("display").is_none()
                && let Some(name) = target.as_ref().and_then(|target| target.root().text_at("name"))
            {
                edit.insert_text(holder, "display", name);
            }
        });
    }

    /// The content of a Binary in place of its address.
    fn attach<'d>(&self, edit: &mut Edit<'d>, node: Node<'d>, holder: Node<'d>, key: &ResourceKey) {
        let binary = self.resource(key).filter(|_| key.resource_type == "Binary");
        if let Some(data) = binary.and_then(|binary| binary.root().text_at("data")) {
            edit.drop_member(holder, "url");
            edit.put(holder, "data", &quoted(data));
        } else if let Some(gateway) = self.gateway {
            edit.set(node, &format!("{gateway}/{key}"));
        }
    }

    /// A resource that goes inside another.
    fn contained(&mut self, key: &ResourceKey, place: usize) -> Option<String> {
        let document = Arc::clone(self.resource(key)?);
        let root = document.root();
        let mut edit = Edit::new(&document);
        // http://hl7.org/fhir/R4/domainresource.html, dom-4 and dom-5.
        edit.drop_member(root, "meta");
        edit.put(root, "id", &quoted(&format!("r{}", place + 1)));
        self.references(&mut edit, root);
        Some(edit.write())
    }
}
