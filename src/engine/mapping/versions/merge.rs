//! A JSON document changed from what it said to what it is to say: what stays the same stays as it is written.

use crate::native::{Anchor, Edit, EditError, Insert, Kind, NodeId, Place, Scalar, Step, Tree};

use super::facts::{Facts, TypeFacts};
use super::part::{Part, is_primitive};

/// A JSON value.
#[derive(Debug, Clone)]
pub(crate) enum Json {
    Null,
    Text(String),
    Number(String),
    Boolean(bool),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl PartialEq for Json {
    /// The order of members says nothing.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(a), Self::Text(b)) | (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, value)| member(b, name) == Some(value))
            }
            _ => false,
        }
    }
}

fn member<'j>(object: &'j [(String, Json)], name: &str) -> Option<&'j Json> {
    object.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// Parts of a type as JSON writes them, in the order of the type.
pub(crate) fn json(facts: &Facts, of: &TypeFacts, parts: &[Part]) -> Json {
    let mut members: Vec<(String, Json)> = Vec::new();
    for element in &of.elements {
        let mut names: Vec<&str> = Vec::new();
        for part in parts.iter().filter(|p| of.element(&p.name).is_some_and(|(e, _)| e.name == element.name)) {
            if !names.contains(&part.name.as_str()) {
                names.push(&part.name);
            }
        }
        for name in names {
            let Some((_, type_name)) = of.element(name) else { continue };
            let items: Vec<&Part> = parts.iter().filter(|p| p.name == name).collect();
            if is_primitive(type_name) {
                primitives(facts, name, type_name, element.is_list, &items, &mut members);
                continue;
            }
            let values: Vec<Json> = items.into_iter().filter_map(|part| object(facts, type_name, part)).collect();
            members.extend(listed(element.is_list, values).map(|value| (name.to_owned(), value)));
        }
    }
    Json::Object(members)
}

fn object(facts: &Facts, type_name: &str, part: &Part) -> Option<Json> {
    let Some((resource, _)) = &part.resource else {
        return Some(json(facts, facts.of(type_name)?.as_ref(), &part.parts));
    };
    let Json::Object(mut members) = json(facts, facts.of(resource)?.as_ref(), &part.parts) else { return None };
    members.insert(0, ("resourceType".to_owned(), Json::Text(resource.clone())));
    Some(Json::Object(members))
}

fn listed(is_list: bool, mut values: Vec<Json>) -> Option<Json> {
    if values.is_empty() {
        return None;
    }
    Some(if is_list { Json::Array(values) } else { values.swap_remove(0) })
}

fn primitives(
    facts: &Facts,
    name: &str,
    type_name: &str,
    is_list: bool,
    items: &[&Part],
    members: &mut Vec<(String, Json)>,
) {
    let of = facts.of("Element");
    let scalar = |part: &Part| match &part.text {
        None => Json::Null,
        Some(text) => match type_name {
            "boolean" => Json::Boolean(text == "true"),
            "integer" | "positiveInt" | "unsignedInt" | "decimal" => Json::Number(text.clone()),
            _ => Json::Text(text.clone()),
        },
    };
    let twin = |part: &Part| match &of {
        Some(of) if !part.parts.is_empty() => json(facts, of, &part.parts),
        _ => Json::Null,
    };
    for (name, values) in [
        (name.to_owned(), items.iter().map(|p| scalar(p)).collect::<Vec<_>>()),
        (format!("_{name}"), items.iter().map(|p| twin(p)).collect::<Vec<_>>()),
    ] {
        if values.iter().any(|v| !matches!(v, Json::Null)) {
            members.extend(listed(is_list, values).map(|value| (name, value)));
        }
    }
}

/// What a node of a document holds.
fn held(tree: &Tree, node: NodeId) -> Json {
    let text = || tree.text(node).map(std::borrow::Cow::into_owned).unwrap_or_default();
    match tree.kind(node) {
        Kind::Object => {
            let member = |c| Some((tree.name(c)?.into_owned(), held(tree, c)));
            Json::Object(tree.children(node).filter_map(member).collect())
        }
        Kind::Array => Json::Array(tree.children(node).map(|c| held(tree, c)).collect()),
        Kind::String => Json::Text(text()),
        Kind::Number => Json::Number(text()),
        Kind::Boolean => Json::Boolean(text() == "true"),
        _ => Json::Null,
    }
}

/// Writes a value at the steps below a place where nothing stands.
pub(crate) fn write(edit: &mut Edit<'_>, place: Place, steps: &[Step], value: &Json) -> Result<(), EditError> {
    match value {
        Json::Null => edit.null(place, steps),
        Json::Text(text) => edit.set(place, steps, Scalar::Text(text)),
        Json::Number(text) => edit.set(place, steps, Scalar::Number(text)),
        Json::Boolean(is) => edit.set(place, steps, Scalar::Boolean(*is)),
        Json::Object(members) => {
            for (name, value) in members {
                let mut steps = steps.to_vec();
                steps.push(Step::Member(name.as_str().into()));
                write(edit, place, &steps, value)?;
            }
            Ok(())
        }
        Json::Array(items) => {
            for item in items {
                let at = edit.insert(Anchor::Last(place, steps), Insert::Item)?;
                if !matches!(item, Json::Null) {
                    write(edit, at, &[], item)?;
                }
            }
            Ok(())
        }
    }
}

fn rewrite(edit: &mut Edit<'_>, node: NodeId, value: &Json) -> Result<(), EditError> {
    if matches!(value, Json::Object(_) | Json::Array(_)) {
        edit.null(node, &[])?;
    }
    write(edit, Place::Node(node), &[], value)
}

/// Changes a node from what it said to what it is to say.
pub(crate) fn merge(edit: &mut Edit<'_>, node: NodeId, old: &Json, new: &Json) -> Result<(), EditError> {
    if old == new {
        return Ok(());
    }
    let tree = edit.tree();
    match (tree.kind(node), old, new) {
        (Kind::Object, Json::Object(old), Json::Object(new)) => members(edit, node, old, new),
        (Kind::Array, Json::Array(old), Json::Array(new)) => items(edit, node, old, new),
        _ => rewrite(edit, node, new),
    }
}

fn members(edit: &mut Edit<'_>, node: NodeId, old: &[(String, Json)], new: &[(String, Json)]) -> Result<(), EditError> {
    let tree = edit.tree();
    let step = |name: &str| [Step::Member(name.into())];
    let base = |name: &str| name.strip_prefix('_').unwrap_or(name).to_owned();
    // A list of primitives and the list beside it are written as one.
    let twins: Vec<String> = old
        .iter()
        .chain(new)
        .filter(|(name, value)| name.starts_with('_') && matches!(value, Json::Array(_)))
        .map(|(name, _)| base(name))
        .filter(|name| [name.clone(), format!("_{name}")].iter().any(|n| member(old, n) != member(new, n)))
        .collect();
    for (name, value) in old {
        let twin = twins.contains(&base(name));
        if twin || member(new, name).is_none() {
            edit.clear(node, &step(name))?;
        } else if let Some(wanted) = member(new, name).filter(|wanted| *wanted != value) {
            match tree.children(node).find(|c| tree.name(*c).as_deref() == Some(name)) {
                Some(child) => merge(edit, child, value, wanted)?,
                None => write(edit, Place::Node(node), &step(name), wanted)?,
            }
        }
    }
    for (name, value) in new {
        if member(old, name).is_none() || twins.contains(&base(name)) {
            // What the version does not know by that shape gives way.
            edit.clear(node, &step(name))?;
            write(edit, Place::Node(node), &step(name), value)?;
        }
    }
    Ok(())
}

fn items(edit: &mut Edit<'_>, node: NodeId, old: &[Json], new: &[Json]) -> Result<(), EditError> {
    let tree = edit.tree();
    let nodes: Vec<NodeId> = tree.children(node).collect();
    let there: Vec<Json> = nodes.iter().map(|n| held(tree, *n)).collect();
    let Some(places) = pairs(old, &there) else { return rewrite(edit, node, &Json::Array(new.to_vec())) };
    let from = alignment(old, new, likeness);
    // What is gone is taken out; what was moved is taken out and put in again as it was.
    let mut last = None;
    let mut stays: Vec<Option<usize>> = Vec::new();
    for at in &from {
        let stay = at.filter(|at| last.is_none_or(|last| *at > last));
        last = stay.or(last);
        stays.push(stay);
    }
    let mut before: Option<Place> = None;
    for ((value, stay), from) in new.iter().zip(&stays).zip(&from) {
        if let Some((at, node)) = stay.and_then(|at| Some((at, *nodes.get(*places.get(at)?)?))) {
            if let Some(was) = old.get(at) {
                merge(edit, node, was, value)?;
            }
            before = Some(Place::Node(node));
            continue;
        }
        let anchor = match (before, nodes.first()) {
            (Some(place), _) => Anchor::After(place),
            (None, Some(first)) => Anchor::Before(Place::Node(*first)),
            (None, None) => Anchor::Last(Place::Node(node), &[]),
        };
        let place = edit.insert(anchor, Insert::Item)?;
        let moved = from.filter(|at| old.get(*at) == Some(value)).and_then(|at| there.get(*places.get(at)?));
        let value = moved.unwrap_or(value);
        if !matches!(value, Json::Null) {
            write(edit, place, &[], value)?;
        }
        before = Some(place);
    }
    for (at, place) in places.iter().enumerate() {
        if !stays.contains(&Some(at))
            && let Some(node) = nodes.get(*place)
        {
            edit.remove(*node)?;
        }
    }
    Ok(())
}

/// Which item of a document each is that was read from it.
fn pairs(old: &[Json], there: &[Json]) -> Option<Vec<usize>> {
    let mut taken = vec![false; there.len()];
    let mut found: Vec<Option<usize>> = Vec::new();
    for (at, item) in old.iter().enumerate() {
        let free = |n: usize| taken.get(n) == Some(&false) && there.get(n) == Some(item);
        let place = Some(at).filter(|n| free(*n)).or_else(|| (0..there.len()).find(|n| free(*n)));
        if let Some(slot) = place.and_then(|n| taken.get_mut(n)) {
            *slot = true;
        }
        found.push(place);
    }
    let mut left = (0..there.len()).filter(|n| taken.get(*n) == Some(&false)).collect::<Vec<_>>().into_iter();
    found.into_iter().map(|place| place.or_else(|| left.next())).collect()
}

/// Which old item each new one is: the same, else the one most like it.
pub(crate) fn alignment<T: PartialEq>(old: &[T], new: &[T], likeness: impl Fn(&T, &T) -> usize) -> Vec<Option<usize>> {
    let mut taken = vec![false; old.len()];
    let mut from: Vec<Option<usize>> = vec![None; new.len()];
    for (at, (item, slot)) in new.iter().zip(&mut from).enumerate() {
        let free = |n: usize| taken.get(n) == Some(&false) && old.get(n) == Some(item);
        *slot = Some(at).filter(|n| free(*n)).or_else(|| (0..old.len()).find(|n| free(*n)));
        if let Some(taken) = slot.and_then(|n| taken.get_mut(n)) {
            *taken = true;
        }
    }
    for (item, slot) in new.iter().zip(&mut from) {
        if slot.is_some() {
            continue;
        }
        let free = (0..old.len()).filter(|n| taken.get(*n) == Some(&false));
        let like = |n: usize| old.get(n).map_or(0, |o| likeness(o, item));
        let best = free.map(|n| (like(n), n)).filter(|(like, _)| *like > 0 || old.len() == new.len());
        *slot = best.max_by_key(|(like, n)| (*like, usize::MAX - *n)).map(|(_, n)| n);
        if let Some(taken) = slot.and_then(|n| taken.get_mut(n)) {
            *taken = true;
        }
    }
    from
}

/// How much two values have in common.
fn likeness(a: &Json, b: &Json) -> usize {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            a.iter().filter_map(|(name, value)| Some(likeness(value, member(b, name)?))).sum()
        }
        (Json::Array(a), Json::Array(b)) => a.iter().zip(b).map(|(a, b)| likeness(a, b)).sum(),
        _ => usize::from(a == b),
    }
}
