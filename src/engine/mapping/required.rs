//! What the sender's schema requires of a document that was written: a document that does not hold to it is none of its type.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use crate::native::xml::XmlSchema;
use crate::native::{Kind, NodeId, Step, Tree};
use crate::native_rules::xml::{XmlFinding, XmlRule, check_written};

use super::run::put::Manner;
use super::run::{Refusal, Refusals};
use super::schema::{NativeSchema, referred};
use super::trace::{Disposition, Lost};

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

/// Whether a JSON document's schema requires what is at the steps of what holds it.
pub(crate) fn is_demanded(root: &Value, steps: &[Step]) -> bool {
    let mut at = Some(root);
    let mut demanded = false;
    for step in steps {
        let Some(schema) = at.map(|schema| referred(root, schema)) else { return false };
        match step {
            Step::Member(name) => {
                let required = schema.get("required").and_then(Value::as_array);
                demanded = required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
                at = schema.get("properties").and_then(|all| all.get(&**name));
            }
            _ => {
                demanded = false;
                at = schema.get("items");
            }
        }
    }
    demanded
}

/// What is written holds to the schema of its XML, but for what the original did not hold to already; what a new document
/// does not hold to is told.
pub(super) fn sound(
    schema: &XmlSchema,
    written: &Tree,
    original: &Tree,
    manner: Manner,
) -> Result<Vec<Lost>, Refusals> {
    if written.bytes() == original.bytes() {
        return Ok(Vec::new());
    }
    let mut found = check_written(written, schema);
    if manner == Manner::New {
        let lost = |one: XmlFinding| Lost {
            path: one.path,
            disposition: Disposition::Error,
            rule: None,
            reason: format!("the schema of the format expects {}", one.expected),
        };
        return Ok(found.into_iter().map(lost).collect());
    }
    if !found.is_empty() {
        let place = |one: &XmlFinding| {
            let numberless = one.path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest));
            (one.rule, numberless.collect::<String>(), one.expected.clone())
        };
        let mut before: FxHashMap<(XmlRule, String, String), usize> = FxHashMap::default();
        for one in check_written(original, schema) {
            *before.entry(place(&one)).or_default() += 1;
        }
        found.retain(|one| match before.get_mut(&place(one)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        });
    }
    let refused = |one: XmlFinding| Refusal {
        expected: format!("{}, by the schema of the format", one.expected),
        fault: one.rule.fault(),
        path: one.path,
        rule: None,
    };
    let items: Vec<Refusal> = found.into_iter().map(refused).collect();
    if items.is_empty() { Ok(Vec::new()) } else { Err(Refusals { items }) }
}
