//! What a map, or a FHIR server, made of a native document: a Bundle whose entries have no gateway ids yet.

use std::sync::Arc;

use silta_engine::fhir::document::{Document, Node, NodeId};
use silta_engine::mapping::Translation;

use crate::store::NativeKey;

/// A Bundle with what is known of each of its entries.
#[derive(Debug, Clone)]
pub(crate) struct Translated {
    /// The Bundle.
    pub(crate) bundle: Arc<Document>,
    /// Its entries that are resources, in order.
    pub(crate) entries: Vec<Entry>,
    /// The map's own result, where a map made it.
    pub(crate) translation: Option<Arc<Translation>>,
}

/// One entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its fullUrl.
    pub(crate) url: String,
    /// The resource.
    pub(crate) node: NodeId,
    /// Its type.
    pub(crate) resource_type: String,
    /// The provider's id of it.
    pub(crate) native: String,
    /// Whether that id may be shown.
    pub(crate) kind: NativeKey,
    /// Whether the document says which one it is.
    pub(crate) is_named: bool,
    /// Whether the provider deletes it.
    pub(crate) deleted: bool,
}

impl Translated {
    pub(crate) fn node(&self, entry: &Entry) -> Node<'_> {
        self.bundle.node(entry.node)
    }

    pub(crate) fn of_type<'t>(&'t self, kind: &'t str) -> impl Iterator<Item = &'t Entry> {
        self.entries.iter().filter(move |entry| entry.resource_type == kind)
    }
}
