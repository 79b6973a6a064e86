//! What the sender's schema requires of a document that was written: a document without it is none of its type.

use rustc_hash::FxHashSet;
use serde_json::Value;

use crate::native::{Kind, NodeId, Tree};

use super::schema::{NativeSchema, referred};

/// The places of a JSON document that its schema requires and that are not there, as paths. What holds nothing lacks
/// nothing; what stands below alternatives (`oneOf`, `if`) is not looked at.
pub(crate) fn missing(schema: &NativeSchema, tree: &Tree) -> FxHashSet<String> {
    let mut found = FxHashSet::default();
    let NativeSchema::Json(root) = schema else { return found };
    let mut open: Vec<(NodeId, &Value)> = vec![(tree.root(), root)];
    while let Some((node, schema)) = open.pop() {
        let schema = referred(root, schema);
        match tree.kind(node) {
            _ if tree.leaves(node).is_empty() && node != tree.root() => {}
            Kind::Object => {
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                let lacking = required.filter_map(Value::as_str).filter(|name| tree.member(node, name).is_none());
                found.extend(lacking.map(|name| format!("{}.{name}", tree.path(node))));
                let Some(properties) = schema.get("properties").and_then(Value::as_object) else { continue };
                let members = tree.children(node).filter_map(|child| {
                    let name = tree.name(child)?;
                    Some((child, properties.get(name.as_ref())?))
                });
                open.extend(members);
            }
            Kind::Array => {
                if let Some(items) = schema.get("items") {
                    open.extend(tree.children(node).map(|child| (child, items)));
                }
            }
            _ => {}
        }
    }
    found
}
