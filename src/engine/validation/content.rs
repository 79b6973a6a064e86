//! Values against fixed values, patterns and bounds.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::fhir::document::Node;
use crate::fhirpath::{Decimal, Quantity, Temporal, Value, compare};

/// Whether a node has a value: all of it (`exact`), or at least what the value has.
pub(super) fn has(node: Node<'_>, expected: &Json, exact: bool) -> bool {
    match expected {
        Json::Object(members) => {
            let written = |name: &str| {
                let name = name.to_owned();
                node.children().filter(move |child| child.name() == name)
            };
            let all = members.iter().filter(|(name, _)| !name.starts_with('_')).all(|(name, value)| match value {
                Json::Array(items) => {
                    let children: Vec<Node<'_>> = written(name).collect();
                    if exact {
                        children.len() == items.len()
                            && children.iter().zip(items).all(|(child, item)| has(*child, item, true))
                    } else {
                        items.iter().all(|item| children.iter().any(|child| has(*child, item, false)))
                    }
                }
                _ => written(name).next().is_some_and(|child| has(child, value, exact)),
            });
            all && (!exact || node.children().all(|child| members.contains_key(child.name())))
        }
        Json::String(text) => node.text() == Some(text),
        Json::Bool(value) => node.text() == Some(if *value { "true" } else { "false" }),
        Json::Number(number) => match (node.text().and_then(Decimal::parse), Decimal::parse(&number.to_string())) {
            (Some(found), Some(expected)) => found == expected,
            _ => false,
        },
        Json::Array(_) | Json::Null => false,
    }
}

/// How a node compares with a bound, whose key (`minValueDate`) tells its type. Nothing when they cannot be compared.
pub(super) fn against(node: Node<'_>, key: &str, bound: &Json) -> Option<Ordering> {
    let kind = key.strip_prefix("minValue").or_else(|| key.strip_prefix("maxValue")).unwrap_or("");
    // A bound is of the type that it names: it says nothing of the other types of a choice.
    let is_meant = match (kind, node.type_name()) {
        ("Quantity", _) => true,
        ("Integer" | "PositiveInt" | "UnsignedInt", own) => matches!(own, "integer" | "positiveInt" | "unsignedInt"),
        (kind, own) => kind.eq_ignore_ascii_case(own),
    };
    if !is_meant {
        return None;
    }
    let text = match bound {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let bound = match kind {
        "Date" => Value::Temporal(Temporal::date(&text)?),
        "DateTime" | "Instant" => Value::Temporal(Temporal::date_time(&text)?),
        "Time" => Value::Temporal(Temporal::time(&text)?),
        "Quantity" => Value::Quantity(quantity(bound)?),
        _ => Value::Decimal(Decimal::parse(&text)?),
    };
    compare(&Value::Node(node).lifted()?, &bound).ok().flatten()
}

/// Whether a bound is a quantity of something that a node's has no measure in common with.
pub(super) fn is_beside(node: Node<'_>, key: &str, bound: &Json) -> bool {
    match (key.ends_with("Quantity").then(|| quantity(bound)).flatten(), Value::Node(node).lifted()) {
        (Some(bound), Some(Value::Quantity(found))) => found.is_of_another_dimension(&bound),
        _ => false,
    }
}

fn quantity(written: &Json) -> Option<Quantity> {
    let value = Decimal::parse(&written.get("value")?.to_string())?;
    let unit = written.get("code").or_else(|| written.get("unit")).and_then(Json::as_str).unwrap_or("1");
    Some(Quantity::ucum(value, unit))
}

/// The number of bytes that a base64 text stands for.
pub(super) fn decoded_size(data: &str) -> usize {
    data.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').count() * 3 / 4
}

/// The number of letters of base64 in a text, whatever else it has.
pub(super) fn base64_letters(text: &str) -> usize {
    text.bytes().filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')).count()
}
