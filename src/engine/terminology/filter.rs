//! Filters of value sets: which concepts of a system they take
//! (<http://hl7.org/fhir/R4/valueset-filter-operator.html>).

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use crate::fhirpath::whole_pattern;

use super::compose::{Codes, Concept, System};

/// The codes of a system that a filter takes; nothing where that cannot be told by what is at hand.
pub(super) fn filtered(system: &System<'_>, property: &str, operation: &str, value: &str) -> Option<Codes> {
    let concepts = system.concepts();
    let on_code = matches!(property, "concept" | "code");
    let is_hierarchy = matches!(operation, "is-a" | "descendent-of" | "is-not-a" | "generalizes");
    if is_hierarchy {
        // By the hierarchy itself, however the property is called.
        let found = match operation {
            "generalizes" => above(&concepts, value)?,
            _ => below(&concepts, value, operation != "descendent-of")?,
        };
        let wanted = operation != "is-not-a";
        return Some(codes(&concepts, |place, _| found.contains(&place) == wanted));
    }
    let is_known = on_code || property == "display" || matches!(property, "parent" | "child") || {
        matches!(system, System::Package(_)) && system.has_property(property, &concepts)
    };
    if !is_known {
        return None;
    }
    let children = (property == "child").then(|| children(&concepts));
    let values = |place: usize, concept: &Concept<'_>| -> Vec<String> {
        match property {
            "concept" | "code" => vec![concept.code.to_owned()],
            "display" => Some(concept.display).filter(|held| !held.is_empty()).map(str::to_owned).into_iter().collect(),
            "parent" => {
                concept.parents.iter().filter_map(|at| concepts.get(*at)).map(|of| of.code.to_owned()).collect()
            }
            "child" => children.as_ref().and_then(|of| of.get(&place)).cloned().unwrap_or_default(),
            _ => concept.properties(property),
        }
    };
    let listed: FxHashSet<&str> = value.split(',').map(str::trim).collect();
    Some(match operation {
        "=" => codes(&concepts, |place, concept| values(place, concept).iter().any(|held| held == value)),
        "in" => codes(&concepts, |place, concept| values(place, concept).iter().any(|held| listed.contains(&**held))),
        "not-in" => {
            codes(&concepts, |place, concept| !values(place, concept).iter().any(|held| listed.contains(&**held)))
        }
        "exists" => codes(&concepts, |place, concept| values(place, concept).is_empty() == (value == "false")),
        "regex" => {
            let pattern = whole_pattern(value)?;
            let is_match = |held: &String| pattern.is_match(held).unwrap_or(false);
            codes(&concepts, |place, concept| values(place, concept).iter().any(is_match))
        }
        _ => return None,
    })
}

/// The codes below a code; nothing when the system does not have it.
pub(super) fn descendants(system: &System<'_>, ancestor: &str) -> Option<Codes> {
    let concepts = system.concepts();
    let found = below(&concepts, ancestor, true)?;
    Some(codes(&concepts, |place, _| found.contains(&place)))
}

fn codes(concepts: &[Concept<'_>], holds: impl Fn(usize, &Concept<'_>) -> bool) -> Codes {
    let taken = concepts.iter().enumerate().filter(|(place, concept)| holds(*place, concept));
    taken.map(|(_, concept)| Box::from(concept.code)).collect()
}

/// The places of a code and of what is below it, whichever of its parents leads there.
fn below(concepts: &[Concept<'_>], ancestor: &str, with_itself: bool) -> Option<BTreeSet<usize>> {
    let root = concepts.iter().position(|concept| concept.code == ancestor)?;
    let mut children: FxHashMap<usize, Vec<usize>> = FxHashMap::default();
    for (place, concept) in concepts.iter().enumerate() {
        for parent in &concept.parents {
            children.entry(*parent).or_default().push(place);
        }
    }
    let mut found = walk(root, |place| children.get(&place).cloned().unwrap_or_default());
    if !with_itself {
        found.remove(&root);
    }
    Some(found)
}

/// The places of a code and of what it is below.
fn above(concepts: &[Concept<'_>], descendant: &str) -> Option<BTreeSet<usize>> {
    let root = concepts.iter().position(|concept| concept.code == descendant)?;
    Some(walk(root, |place| concepts.get(place).map(|of| of.parents.clone()).unwrap_or_default()))
}

/// What is reached from a place; a hierarchy that leads back to itself is walked once.
fn walk(from: usize, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(place) = open.pop() {
        open.extend(next(place).into_iter().filter(|next| found.insert(*next)));
    }
    found
}

fn children(concepts: &[Concept<'_>]) -> FxHashMap<usize, Vec<String>> {
    let mut children: FxHashMap<usize, Vec<String>> = FxHashMap::default();
    for concept in concepts {
        for parent in &concept.parents {
            children.entry(*parent).or_default().push(concept.code.to_owned());
        }
    }
    children
}

/// The values of a property as filters write them: a Coding by its code.
pub(super) fn property_values(concept: &Value, property: &str) -> Vec<String> {
    let held = concept.get("property").and_then(Value::as_array).into_iter().flatten();
    held.filter(|one| one.get("code").and_then(Value::as_str) == Some(property))
        .filter_map(|one| one.as_object()?.iter().find(|(key, _)| key.starts_with("value")))
        .filter_map(|(_, value)| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(held) => Some(held.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::Object(coding) => coding.get("code").and_then(Value::as_str).map(str::to_owned),
            _ => None,
        })
        .collect()
}
