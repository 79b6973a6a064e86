//! Laying a differential over a tree of elements.

use serde_json::{Map, Value, json};

use crate::package::place::{Places, Step};

use super::tree::{self, Item, type_name};
use super::{Generator, Note};

impl Generator<'_> {
    /// Lays the elements of a differential over the tree of the base. A specialisation may add elements.
    pub(super) fn overlay(
        &mut self,
        root: &mut Item,
        differential: &[Value],
        is_constraint: bool,
        notes: &mut Vec<Note>,
    ) {
        let pristine = root.clone();
        let mut places = Places::default();
        for element in differential {
            let steps = places.next_place(element);
            let mut note = |says: String| {
                let id = steps
                    .iter()
                    .map(|step| {
                        if step.slice.is_empty() { step.name.clone() } else { format!("{}:{}", step.name, step.slice) }
                    })
                    .collect::<Vec<_>>()
                    .join(".");
                notes.push(Note { element: id, says });
            };
            let rest = steps.get(1..).unwrap_or_default();
            match self.descend(root, rest, is_constraint, &pristine) {
                Ok(at) => self.lay(at, element, &mut note),
                Err(name) => note(format!("the base has no element {name} here")),
            }
        }
        close_choices(root);
    }

    /// The item that steps lead to; the name of the step that leads nowhere.
    fn descend<'t>(
        &mut self,
        at: &'t mut Item,
        steps: &[Step],
        is_constraint: bool,
        pristine: &Item,
    ) -> Result<&'t mut Item, String> {
        let Some((step, rest)) = steps.split_first() else { return Ok(at) };
        self.enter(at, pristine);
        if !is_constraint && rest.is_empty() && !at.children.iter().any(|child| child.name == step.name) {
            at.insert(at.children.len(), Item::new(&step.name, &step.slice, Map::new()));
        }
        match self.step(at, step).and_then(|place| at.children.get_mut(place)) {
            Some(next) => self.descend(next, rest, is_constraint, pristine),
            None => Err(step.name.clone()),
        }
    }

    /// Gives an element the children of its type, where it has none yet.
    fn enter(&mut self, at: &mut Item, pristine: &Item) {
        if !at.children.is_empty() {
            return;
        }
        let reference = at.text("contentReference").to_owned();
        if let Some(path) = reference.rsplit('#').next().filter(|path| !path.is_empty()) {
            if let Some(target) = named(pristine, path) {
                at.children.clone_from(&target.children);
                at.element.remove("contentReference");
                if let Some(types) = target.element.get("type") {
                    at.element.insert("type".to_owned(), types.clone());
                }
            }
            return;
        }
        let profile = match at.types() {
            [one] => match one.get("profile").and_then(Value::as_array).map(Vec::as_slice) {
                Some([profile]) => profile.as_str().map(str::to_owned),
                _ => None,
            },
            _ => None,
        };
        if let Some(profile) = profile
            && let Ok(found) = self.tree(profile.as_str())
        {
            at.children.clone_from(&found.children);
            return;
        }
        let code = match at.types() {
            [one] => type_name(one).to_owned(),
            // What all the types of a choice have.
            _ => "Element".to_owned(),
        };
        let canonical = format!("http://hl7.org/fhir/StructureDefinition/{code}");
        if self.library.find("StructureDefinition", &canonical).is_some()
            && let Ok(found) = self.tree(&canonical)
        {
            at.children.clone_from(&found.children);
        } else if let Some(id) = self.model.type_named(&code) {
            at.children = tree::children_of(self.model, id);
        }
    }

    /// The place of a child, made where it is a slice that the base does not have.
    fn step(&mut self, at: &mut Item, step: &Step) -> Option<usize> {
        let plain = |name: &str, slice: &str| at.children.iter().position(|one| one.name == name && one.slice == slice);
        let (base, slice) = if let Some(base) = plain(&step.name, "") {
            (base, step.slice.clone())
        } else {
            let base = at.children.iter().position(|child| {
                child.slice.is_empty()
                    && child.name.strip_suffix("[x]").is_some_and(|start| {
                        step.name == start
                            || child.type_codes().any(|code| step.name == format!("{start}{}", capitalised(code)))
                    })
            })?;
            let start = at.children.get(base)?.name.strip_suffix("[x]")?;
            // `valueQuantity` is the slice of `value[x]` with that type.
            let is_short = step.slice.is_empty() && step.name != start;
            let slice = if is_short { step.name.clone() } else { step.slice.clone() };
            // Where nothing else slices it, the short name leaves the choice that type only.
            if is_short && let Some(whole) = at.children.get_mut(base) {
                whole.element.entry("slicing").or_insert_with(|| {
                    json!({"discriminator": [{"type": "type", "path": "$this"}], "ordered": false, "rules": "closed"})
                });
            }
            (base, slice)
        };
        if slice.is_empty() {
            return Some(base);
        }
        let name = at.children.get(base)?.name.clone();
        at.index();
        let mut of = base;
        let mut end = 0;
        loop {
            let next = slice.get(end..)?.find('/').map_or(slice.len(), |slash| end + slash);
            let part = slice.get(..next)?.to_owned();
            of = match at.place(&name, &part) {
                Some(found) => found,
                None => self.open_slice(at, of, &part)?,
            };
            if next == slice.len() {
                return Some(of);
            }
            end = next + 1;
        }
    }

    /// A new slice of an element or of a slice, after those that there are.
    fn open_slice(&self, at: &mut Item, of: usize, slice: &str) -> Option<usize> {
        let whole = at.children.get_mut(of)?;
        let start = whole.name.strip_suffix("[x]").map(str::to_owned);
        if !whole.element.contains_key("slicing") {
            let slicing = implicit(&whole.name);
            whole.element.insert("slicing".to_owned(), slicing);
        }
        let mut made = whole.clone();
        let reslices = !whole.slice.is_empty();
        made.slice = slice.to_owned();
        made.element.remove("slicing");
        made.element.insert("sliceName".to_owned(), slice.into());
        made.element.insert("min".to_owned(), 0.into());
        let of_type = start.as_deref().and_then(|start| slice.strip_prefix(start)).map(str::to_owned);
        if let Some(named) = of_type
            && let Some(one) = made.types().iter().find(|one| capitalised(type_name(one)) == named).cloned()
        {
            if !is_bindable(type_name(&one)) {
                made.element.remove("binding");
            }
            made.element.insert("type".to_owned(), json!([one]));
            made.element.insert("max".to_owned(), "1".into());
        }
        let name = made.name.clone();
        let within = format!("{}/", slice.rsplit_once('/').map_or("", |(outer, _)| outer));
        let last = at
            .children
            .iter()
            .rposition(|one| one.name == name && (!reslices || one.slice.starts_with(&within)))
            .unwrap_or(of)
            .max(of);
        at.insert(last + 1, made);
        Some(last + 1)
    }

    /// Lays what a differential says of an element over what its base says.
    fn lay(&mut self, at: &mut Item, element: &Value, note: &mut dyn FnMut(String)) {
        let own = element.as_object();
        self.type_profile(at, element);
        for (key, value) in own.into_iter().flatten() {
            match key.as_str() {
                "id" | "path" | "base" => {}
                "min" => {
                    let (held, wanted) = (at.element.get("min").and_then(Value::as_u64), value.as_u64());
                    if held > wanted && at.slice.is_empty() {
                        note(format!("at least {} is less than its base's", wanted.unwrap_or(0)));
                    }
                    at.element.insert(key.clone(), value.clone());
                }
                "max" => {
                    let number = |text: &str| if text == "*" { Some(u64::MAX) } else { text.parse().ok() };
                    let (held, wanted) = (number(at.text("max")), value.as_str().and_then(number));
                    if held.is_some() && held < wanted {
                        note(format!("at most {} is more than its base's", value.as_str().unwrap_or("")));
                    }
                    at.element.insert(key.clone(), value.clone());
                }
                "constraint" | "mapping" | "condition" | "alias" | "code" | "example" => add(at, key, value),
                "slicing" => slicing(at, value),
                _ => {
                    if is_exclusive(key) {
                        at.element.retain(|held, _| !(is_exclusive(held) && held.get(..5) == key.get(..5)));
                    }
                    at.element.insert(key.clone(), value.clone());
                }
            }
        }
    }

    /// What the profile of an element's type says of its root.
    fn type_profile(&mut self, at: &mut Item, element: &Value) {
        let types = element.get("type").and_then(Value::as_array).map(Vec::as_slice);
        let Some([one]) = types else { return };
        let Some([profile]) = one.get("profile").and_then(Value::as_array).map(Vec::as_slice) else { return };
        let Some(found) = profile.as_str().and_then(|profile| self.tree(profile).ok()) else { return };
        // What was entered by another type does not hold for this one.
        let is_same = at.types().first().is_some_and(|held| held.get("profile") == one.get("profile"));
        if !is_same {
            at.clear();
        }
        if let Some(constraints) = found.element.get("constraint") {
            add(at, "constraint", constraints);
        }
        for key in ["short", "definition", "isModifier"] {
            if let Some(value) = found.element.get(key) {
                at.element.insert(key.to_owned(), value.clone());
            }
        }
    }
}

fn is_exclusive(key: &str) -> bool {
    key.starts_with("fixed") || key.starts_with("pattern")
}

/// A choice whose slices are closed has their types; one that must have a type has no other.
fn close_choices(at: &mut Item) {
    let mut left: Vec<(String, Vec<Value>)> = Vec::new();
    for whole in at.children.iter().filter(|one| one.slice.is_empty() && one.name.ends_with("[x]")) {
        let slices = || at.children.iter().filter(|one| one.name == whole.name && !one.slice.is_empty());
        let must = |one: &Item| one.element.get("min").and_then(Value::as_u64).is_some_and(|min| min > 0);
        let is_closed = whole.element.get("slicing").and_then(|slicing| slicing.get("rules")) == Some(&"closed".into());
        let types: Vec<Value> =
            match slices().find(|one| must(one) && whole.text("max") == "1" && one.types().len() == 1) {
                Some(one) => one.types().to_vec(),
                None if is_closed => slices().flat_map(Item::types).cloned().collect(),
                None => continue,
            };
        if !types.is_empty() {
            left.push((whole.name.clone(), types));
        }
    }
    for child in &mut at.children {
        if child.slice.is_empty()
            && let Some((_, types)) = left.iter().find(|(name, _)| *name == child.name)
        {
            child.element.insert("type".to_owned(), types.clone().into());
            if let Some(slicing) = child.element.get_mut("slicing").and_then(Value::as_object_mut) {
                slicing.insert("rules".to_owned(), "closed".into());
            }
        }
        close_choices(child);
    }
}

/// Types whose values can be codes.
fn is_bindable(code: &str) -> bool {
    matches!(
        code,
        "code"
            | "Coding"
            | "CodeableConcept"
            | "Quantity"
            | "Duration"
            | "Age"
            | "string"
            | "uri"
            | "url"
            | "canonical"
    )
}

/// `valueString` of `string`.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// The item of a path below the root, slices left out.
fn named<'t>(root: &'t Item, path: &str) -> Option<&'t Item> {
    let mut steps = path.split('.');
    steps.next()?;
    steps.try_fold(root, |at, step| at.children.iter().find(|child| child.name == step && child.slice.is_empty()))
}

/// How slices are told apart where nothing says it.
fn implicit(name: &str) -> Value {
    if name.ends_with("[x]") {
        json!({"discriminator": [{"type": "type", "path": "$this"}], "ordered": false, "rules": "open"})
    } else if matches!(name, "extension" | "modifierExtension") {
        json!({"discriminator": [{"type": "value", "path": "url"}], "rules": "open"})
    } else {
        json!({"rules": "open"})
    }
}

/// Members of lists add up: constraints by key, others as they are.
fn add(at: &mut Item, key: &str, value: &Value) {
    let held = at.element.entry(key.to_owned()).or_insert_with(|| json!([]));
    let Some(held) = held.as_array_mut() else { return };
    for one in value.as_array().into_iter().flatten() {
        let same = |other: &Value| match key {
            "constraint" => other.get("key") == one.get("key"),
            "mapping" => other.get("identity") == one.get("identity") && other.get("map") == one.get("map"),
            _ => other == one,
        };
        if !held.iter().any(same) {
            held.push(one.clone());
        }
    }
}

/// A differential may add discriminators and close a slicing.
fn slicing(at: &mut Item, value: &Value) {
    let held = at.element.entry("slicing".to_owned()).or_insert_with(|| json!({}));
    let Some(held) = held.as_object_mut() else { return };
    for (key, value) in value.as_object().into_iter().flatten() {
        if key == "discriminator" {
            let list = held.entry(key.clone()).or_insert_with(|| json!([]));
            for one in value.as_array().into_iter().flatten() {
                if let Some(list) = list.as_array_mut()
                    && !list.contains(one)
                {
                    list.push(one.clone());
                }
            }
        } else {
            held.insert(key.clone(), value.clone());
        }
    }
}
