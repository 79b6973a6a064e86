//! A resource or a part of it as its elements and values, whichever version it is of and however it is written.

use crate::fhir::document::{Node, NodeId as FhirId};
use crate::fhir::draft::{At, Draft};
use crate::native::{Kind, NodeId, Tree};

use super::facts::{Facts, TypeFacts};

/// An element: one repetition of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name as written: `valueQuantity`.
    pub(crate) name: String,
    /// The value of a primitive.
    pub(crate) text: Option<String>,
    /// The type of a resource, and the leaf that says it.
    pub(crate) resource: Option<(String, Option<u32>)>,
    /// What is in it; of a primitive its id and extensions.
    pub(crate) parts: Vec<Part>,
    /// The native leaf that its value is.
    pub(crate) leaf: Option<u32>,
    /// Leaves that only keep a place in a list.
    pub(crate) places: Vec<u32>,
    /// Where it stands in a resource of R4.
    pub(crate) node: Option<FhirId>,
    /// The line of a map that carried it, where that is a line of its own.
    pub(crate) line: Option<u32>,
    /// Whether its value stands in for another.
    pub(crate) approximated: bool,
}

impl Part {
    pub(crate) fn value(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: Some(text.into()), ..Self::default() }
    }

    pub(crate) fn of(name: impl Into<String>, parts: Vec<Part>) -> Self {
        Self { name: name.into(), parts, ..Self::default() }
    }

    /// The text of the first child of a name.
    pub(crate) fn text_at(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|p| p.name == name)?.text.as_deref()
    }

    /// Says of all that has no line of its own by which it was carried.
    pub(crate) fn by(&mut self, line: u32) {
        self.line.get_or_insert(line);
        for part in &mut self.parts {
            part.by(line);
        }
    }
}

/// Reads a JSON object of a type. What the version does not know, or writes otherwise, is left out.
pub(crate) fn read(tree: &Tree, node: NodeId, facts: &Facts, of: &TypeFacts) -> Vec<Part> {
    read_those(tree, node, facts, of, &|_| true)
}

/// [`read`] of the members that are asked for.
pub(crate) fn read_those(
    tree: &Tree,
    node: NodeId,
    facts: &Facts,
    of: &TypeFacts,
    is_asked: &dyn Fn(&str) -> bool,
) -> Vec<Part> {
    let mut members: Vec<(String, Option<NodeId>, Option<NodeId>)> = Vec::new();
    for child in tree.children(node) {
        let Some(name) = tree.name(child).filter(|name| is_asked(name)) else { continue };
        let (base, twin) = match name.strip_prefix('_') {
            Some(base) => (base, true),
            None => (name.as_ref(), false),
        };
        let at = members.iter().position(|(known, ..)| known == base).unwrap_or_else(|| {
            members.push((base.to_owned(), None, None));
            members.len() - 1
        });
        if let Some((_, value, other)) = members.get_mut(at) {
            // A name that comes twice means what came first.
            (if twin { other } else { value }).get_or_insert(child);
        }
    }
    let mut parts = Vec::new();
    for (name, value, twin) in members {
        let Some((element, type_name)) = of.element(&name) else { continue };
        let shaped = |n: &NodeId| (tree.kind(*n) == Kind::Array) == element.is_list;
        if !value.iter().chain(&twin).all(shaped) {
            continue;
        }
        let items = |of: Option<NodeId>| -> Vec<NodeId> {
            match of {
                Some(node) if element.is_list => tree.children(node).collect(),
                other => other.into_iter().collect(),
            }
        };
        let (values, twins) = (items(value), items(twin));
        for at in 0..values.len().max(twins.len()) {
            let (value, twin) = (values.get(at).copied(), twins.get(at).copied());
            parts.extend(one(tree, facts, &name, type_name, value, twin));
        }
    }
    parts
}

fn one(
    tree: &Tree,
    facts: &Facts,
    name: &str,
    type_name: &str,
    value: Option<NodeId>,
    twin: Option<NodeId>,
) -> Option<Part> {
    if is_primitive(type_name) {
        let empty = |n: &NodeId| tree.kind(*n) == Kind::Null;
        let places = value.iter().chain(&twin).filter(|n| empty(n)).filter_map(|n| tree.leaf(*n)).collect();
        let value = value.filter(|n| matches!(tree.kind(*n), Kind::String | Kind::Number | Kind::Boolean));
        let text = value.and_then(|n| tree.text(n)).map(std::borrow::Cow::into_owned);
        let parts = match twin.filter(|n| tree.kind(*n) == Kind::Object) {
            Some(node) => read(tree, node, facts, facts.of("Element")?.as_ref()),
            None => Vec::new(),
        };
        if text.is_none() && parts.is_empty() {
            return None;
        }
        let leaf = value.and_then(|n| tree.leaf(n));
        return Some(Part { name: name.to_owned(), text, parts, leaf, places, ..Part::default() });
    }
    let node = value.filter(|n| tree.kind(*n) == Kind::Object)?;
    if type_name != "Resource" {
        let parts = read(tree, node, facts, facts.of(type_name)?.as_ref());
        return (!parts.is_empty()).then(|| Part::of(name, parts));
    }
    let (resource, leaf) = resource_type(tree, node)?;
    let of = facts.of(&resource).filter(|t| t.is_resource)?;
    let parts = read(tree, node, facts, &of);
    Some(Part { resource: Some((resource, leaf)), ..Part::of(name, parts) })
}

/// The type that a JSON resource says it is of, and the leaf that says it.
pub(crate) fn resource_type(tree: &Tree, node: NodeId) -> Option<(String, Option<u32>)> {
    let said = tree.children(node).find(|c| tree.name(*c).as_deref() == Some("resourceType"))?;
    Some((tree.text(said)?.into_owned(), tree.leaf(said)))
}

/// Whether a type is a primitive one.
pub(crate) fn is_primitive(type_name: &str) -> bool {
    type_name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// What a node of a resource holds.
pub(crate) fn of_node(node: Node<'_>) -> Vec<Part> {
    node.children().filter(|c| c.element_id().is_some()).map(one_of_node).collect()
}

fn one_of_node(node: Node<'_>) -> Part {
    Part {
        name: node.name().to_owned(),
        text: node.text().map(str::to_owned),
        resource: node.is_resource().then(|| (node.type_name().to_owned(), None)),
        parts: of_node(node),
        node: Some(node.id()),
        ..Part::default()
    }
}

/// Puts parts into a resource that is being made. What came from a leaf is told by it, with the part.
pub(crate) fn draw(draft: &mut Draft, at: At, parts: &[Part], told: &mut dyn FnMut(u32, At, &Part)) {
    for part in parts {
        let place = match &part.resource {
            Some((resource, leaf)) => {
                let place = draft.resource_in(at, &part.name, resource);
                if let Some(leaf) = leaf {
                    told(*leaf, place, part);
                }
                place
            }
            None => draft.push(at, &part.name),
        };
        if let Some(text) = &part.text {
            draft.set(place, text);
        }
        for leaf in part.leaf.iter().chain(&part.places) {
            told(*leaf, place, part);
        }
        draw(draft, place, &part.parts, told);
    }
}
