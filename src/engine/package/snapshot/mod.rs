//! Snapshots generated from differentials (<http://hl7.org/fhir/R4/profiling.html#snapshot>).
//!
//! A profile's differential is laid over the snapshot of its base: slices and their slices are opened, an element is
//! entered through its type, its type's profile or its content reference, constraints add up. Core types come from the
//! [`Model`], which holds facts only: a snapshot holds no words but those of the definitions that were loaded.

mod merge;
mod tree;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::definitions::{Kind, Model};
use crate::fault::Fault;
use crate::package::library::{Canonical, Library};

use tree::Item;

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The definition, or one that it derives from, is not at hand.
    #[error("{0} is not at hand")]
    NotFound(String),
    /// It derives from itself.
    #[error("{0} derives from itself")]
    Cyclic(String),
    /// It has neither differential nor snapshot.
    #[error("{0} has no elements")]
    Empty(String),
}

impl SnapshotError {
    /// Which answer of the product it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::ProfileRule
    }
}

/// Something in a differential that cannot stand as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The element's id.
    pub element: String,
    /// What is wrong with it.
    pub says: String,
}

/// A definition in full.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its elements, each an ElementDefinition.
    pub elements: Vec<Value>,
    /// What of the differential could not be laid over the base, or widens it.
    pub notes: Vec<Note>,
}

/// Generates snapshots, keeping those that others derive from.
#[derive(Debug)]
pub struct Generator<'l> {
    model: &'l Model,
    library: &'l Library,
    made: FxHashMap<String, Arc<Item>>,
    open: Vec<String>,
}

/// A definition deeper than this is taken to enter itself.
const DEEPEST: usize = 40;

impl<'l> Generator<'l> {
    /// Over the core and these packages.
    #[must_use]
    pub fn new(model: &'l Model, library: &'l Library) -> Self {
        Self { model, library, made: FxHashMap::default(), open: Vec::new() }
    }

    /// The snapshot of the definition of a canonical.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn snapshot(&mut self, canonical: &str) -> Result<Snapshot, SnapshotError> {
        let mut notes = Vec::new();
        let tree = match self.found(canonical) {
            Some(found) => {
                self.open.push(canonical.to_owned());
                let made = self.generate(&found, &mut notes);
                self.open.pop();
                made?
            }
            None => self.tree(canonical)?,
        };
        Ok(Snapshot { elements: tree.elements(), notes })
    }

    fn found(&self, canonical: &str) -> Option<Arc<Canonical>> {
        if let Some(found) = self.library.find("StructureDefinition", canonical) {
            return Some(Arc::clone(found));
        }
        let url = canonical.split(['|', '#']).next().unwrap_or(canonical);
        let content: Value = serde_json::from_str(self.model.structure(url)?).ok()?;
        Some(Arc::new(Canonical { url: url.to_owned(), version: self.model.fhir_version().to_owned(), content }))
    }

    /// The elements of a definition, generated once.
    fn tree(&mut self, canonical: &str) -> Result<Arc<Item>, SnapshotError> {
        if let Some(held) = self.made.get(canonical) {
            return Ok(Arc::clone(held));
        }
        if self.open.iter().any(|one| one == canonical) || self.open.len() > DEEPEST {
            return Err(SnapshotError::Cyclic(canonical.to_owned()));
        }
        let made = match self.found(canonical) {
            Some(found) => {
                self.open.push(canonical.to_owned());
                let made = self.generate(&found, &mut Vec::new());
                self.open.pop();
                made?
            }
            None => Arc::new(self.core(canonical).ok_or_else(|| SnapshotError::NotFound(canonical.to_owned()))?),
        };
        self.made.insert(canonical.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    fn core(&self, canonical: &str) -> Option<Item> {
        let plain = canonical.split('|').next().unwrap_or(canonical);
        let name = plain.strip_prefix("http://hl7.org/fhir/StructureDefinition/")?;
        let id = self.model.type_named(name).filter(|id| self.model.kind(*id) != Kind::Nested)?;
        Some(tree::of_type(self.model, id))
    }

    fn generate(&mut self, found: &Canonical, notes: &mut Vec<Note>) -> Result<Arc<Item>, SnapshotError> {
        let content = &found.content;
        let elements =
            |view: &str| content.pointer(view).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (differential, own) = (elements("/differential/element"), elements("/snapshot/element"));
        let base = content.get("baseDefinition").and_then(Value::as_str).unwrap_or("");
        let name = || found.url.clone();
        let of_snapshot = || Item::from_elements(own).map(Arc::new).ok_or_else(|| SnapshotError::Empty(name()));
        let is_constraint = content.get("derivation").and_then(Value::as_str) == Some("constraint");
        if base.is_empty() || (!is_constraint && !own.is_empty()) {
            return of_snapshot();
        }
        let base = match self.tree(base) {
            Ok(base) => base,
            // What its own snapshot says of an absent base is all that is known of it.
            Err(SnapshotError::NotFound(_)) if !own.is_empty() => return of_snapshot(),
            Err(error) => return Err(error),
        };
        if differential.is_empty() && own.is_empty() {
            return Err(SnapshotError::Empty(name()));
        }
        if differential.is_empty() && !own.is_empty() {
            return of_snapshot();
        }
        let mut root = Item::clone(&base);
        if !is_constraint && let Some(type_name) = content.get("type").and_then(Value::as_str) {
            type_name.rsplit('/').next().unwrap_or(type_name).clone_into(&mut root.name);
        }
        self.overlay(&mut root, differential, is_constraint, notes);
        Ok(Arc::new(root))
    }
}
