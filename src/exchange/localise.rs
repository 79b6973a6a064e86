//! From a provider's ids to the gateway's: every resource gets its id, every reference is rewritten.
//!
//! A translated Bundle names its entries by `urn:uuid:` and other documents of the provider by relative reference; a
//! plain FHIR server names both by its own ids and by its base URL. What leaves here refers only to the gateway's ids
//! (`{provider}.{native id}`), or to the outside world by absolute URL or identifier. One edit of the Bundle's text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use silta_engine::fhir::document::{Document, Node, NodeId, SyntaxError};
use silta_engine::fhir::edit::Edit;
use silta_engine::fhir::query;

use crate::store::ResourceKey;

/// What a reference names, as the provider wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Named {
    /// An entry of the same Bundle, by fullUrl.
    Entry(String),
    /// Another document of the provider: type and native id.
    Native(String, String),
    /// What the gateway itself gives out, by its own address: type and id.
    Here(String, String),
    /// A search that finds one resource: type, identifier system, value.
    Identified(String, String, String),
}

/// The addresses that references may begin with, each without a final `/`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bases {
    /// The provider's own, where its resources have addresses.
    pub(crate) provider: Option<String>,
    /// The gateway's.
    pub(crate) gateway: Arc<[String]>,
}

/// What a reference in a provider's document names; nothing when it is contained, absolute elsewhere, or a fragment.
pub(crate) fn named(reference: &str, bases: &Bases) -> Option<Named> {
    for base in bases.gateway.iter() {
        if let Some(rest) = reference.strip_prefix(base.as_str()).and_then(|rest| rest.strip_prefix('/')) {
            return relative(rest).map(|(kind, id)| Named::Here(kind, id));
        }
    }
    if reference.starts_with("urn:") {
        return Some(Named::Entry(reference.to_owned()));
    }
    if let Some((kind, search)) = reference.split_once("?identifier=") {
        let (system, value) = search.split_once('|').unwrap_or(("", search));
        let plain = |text: &str| query::decode(text).map_or_else(|| text.to_owned(), Cow::into_owned);
        return Some(Named::Identified(kind.to_owned(), plain(system), plain(value)));
    }
    let own = match &bases.provider {
        Some(base) => reference.strip_prefix(base.as_str()).map_or(reference, |rest| rest.trim_start_matches('/')),
        None => reference,
    };
    relative(own).map(|(kind, id)| Named::Native(kind, id))
}

/// `Type/id`, perhaps with a version.
fn relative(text: &str) -> Option<(String, String)> {
    if text.contains("://") || text.starts_with('#') {
        return None;
    }
    let mut parts = text.split('/');
    let (kind, id) = (parts.next()?, parts.next()?);
    let is_type = kind.starts_with(|first: char| first.is_ascii_uppercase());
    (is_type && !id.is_empty()).then(|| (kind.to_owned(), id.to_owned()))
}

/// Every reference of a document that names something of the provider's, once each.
pub(crate) fn references(document: &Document, bases: &Bases) -> Vec<Named> {
    let mut found = Vec::new();
    each_reference(document.root(), &mut |node| {
        if let Some(named) = node.text().and_then(|text| named(text, bases))
            && !found.contains(&named)
        {
            found.push(named);
        }
    });
    found
}

/// Calls for every primitive that holds a reference: `Reference.reference`, and `Attachment.url` where it is relative.
pub(crate) fn each_reference<'d>(from: Node<'d>, each: &mut impl FnMut(Node<'d>)) {
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        match node.type_name() {
            "Reference" => open.extend(node.first("identifier")),
            "Attachment" => {}
            _ => {
                open.extend(node.children().filter(|child| !child.is_primitive()));
                continue;
            }
        }
        let name = if node.type_name() == "Reference" { "reference" } else { "url" };
        if let Some(target) = node.first(name)
            && target.text().is_some()
        {
            each(target);
        }
    }
}

/// Where a resource came from, for its meta.
#[derive(Debug, Clone)]
pub(crate) struct Provenance {
    /// `meta.source`: the provider, as a URI.
    pub(crate) source: String,
    /// Whether it is about a made-up person: marked `v3-ActReason#HTEST`.
    pub(crate) test: bool,
}

/// The security label of data that is not about a real person.
pub(crate) const TEST_LABEL: (&str, &str) = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HTEST");

/// A resource to be given its id.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// The resource within the Bundle.
    pub(crate) node: NodeId,
    /// Its key in the gateway.
    pub(crate) key: ResourceKey,
    /// The version it becomes; none where the gateway does not keep it.
    pub(crate) version: Option<u64>,
    /// `meta.lastUpdated`.
    pub(crate) updated: Option<String>,
}

/// Rewrites a Bundle (or a single resource): ids, meta, references. Nodes named in `placed` must be of `document`.
///
/// # Errors
/// Never for a document that was parsed: the edits are JSON.
pub(crate) fn localise(
    document: &Arc<Document>,
    placed: &[Placed],
    resolved: &HashMap<Named, ResourceKey>,
    bases: &Bases,
    provenance: &Provenance,
) -> Result<Arc<Document>, SyntaxError> {
    let mut edit = Edit::new(document);
    for place in placed {
        let resource = document.node(place.node);
        match resource.first("id") {
            Some(id) => edit.set(id, &place.key.id),
            None => edit.insert_text(resource, "id", &place.key.id),
        }
        meta(&mut edit, resource, place, provenance);
    }
    each_reference(document.root(), &mut |node| {
        let Some(named) = node.text().and_then(|text| named(text, bases)) else { return };
        match (resolved.get(&named), &named) {
            (Some(key), _) => edit.set(node, &key.to_string()),
            // What cannot be found by its identifier stays a reference by identifier, which dangles nowhere.
            (None, Named::Identified(kind, system, value)) => {
                if let Some(holder) = node.parent() {
                    let mut content = json!({"type": kind, "identifier": {"system": system, "value": value}});
                    if let (Some(display), Some(members)) = (holder.text_at("display"), content.as_object_mut()) {
                        members.insert("display".to_owned(), json!(display));
                    }
                    edit.replace(holder, &content.to_string());
                }
            }
            (None, _) => {}
        }
    });
    edit.finish()
}

/// Marks a resource as being about a made-up person, unless it is.
pub(crate) fn mark_test<'d>(edit: &mut Edit<'d>, resource: Node<'d>) {
    let label = json!({"system": TEST_LABEL.0, "code": TEST_LABEL.1});
    match resource.first("meta") {
        None => edit.insert(resource, "meta", &json!({"security": [label]}).to_string()),
        Some(meta) if !is_test(resource) => edit.insert(meta, "security", &label.to_string()),
        Some(_) => {}
    }
}

/// Whether a resource is marked as being about a made-up person.
pub(crate) fn is_test(resource: Node<'_>) -> bool {
    resource.first("meta").is_some_and(|meta| {
        meta.named("security")
            .any(|label| label.text_at("system") == Some(TEST_LABEL.0) && label.text_at("code") == Some(TEST_LABEL.1))
    })
}

fn meta<'d>(edit: &mut Edit<'d>, resource: Node<'d>, place: &Placed, provenance: &Provenance) {
    let version = place.version.map(|version| version.to_string());
    let label = json!({"system": TEST_LABEL.0, "code": TEST_LABEL.1});
    let Some(meta) = resource.first("meta") else {
        let mut content = serde_json::Map::new();
        if let Some(version) = version {
            content.insert("versionId".to_owned(), json!(version));
        }
        if let Some(updated) = &place.updated {
            content.insert("lastUpdated".to_owned(), json!(updated));
        }
        content.insert("source".to_owned(), json!(provenance.source));
        if provenance.test {
            content.insert("security".to_owned(), json!([label]));
        }
        edit.insert(resource, "meta", &serde_json::Value::Object(content).to_string());
        return;
    };
    let facts = [
        ("versionId", version.as_deref()),
        ("lastUpdated", place.updated.as_deref()),
        ("source", Some(provenance.source.as_str())),
    ];
    for (name, value) in facts {
        match (meta.first(name), value) {
            (Some(node), Some(value)) => edit.set(node, value),
            (None, Some(value)) => edit.insert_text(meta, name, value),
            (_, None) => {}
        }
    }
    if provenance.test && !is_test(resource) {
        edit.insert(meta, "security", &label.to_string());
    }
}
