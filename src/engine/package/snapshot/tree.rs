//! The elements of a definition as a tree: slices stand beside the element they slice, after it.

use rustc_hash::FxHashSet;
use serde_json::{Map, Value, json};

use crate::definitions::{Element, Kind, Model, Strength, TypeId};
use crate::package::place::Places;

/// An element or a slice of one.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The last step of its path: `value[x]`.
    pub(super) name: String,
    /// Empty: the element itself.
    pub(super) slice: String,
    /// What an ElementDefinition holds but `id` and `path`.
    pub(super) element: Map<String, Value>,
    /// Empty: as its type has them.
    pub(super) children: Vec<Self>,
    /// The slices among many children, by name and slice.
    known: FxHashSet<(String, String)>,
}

/// Children up to which they are looked through one by one.
const FEW: usize = 128;

const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";

impl Item {
    pub(super) fn new(name: &str, slice: &str, element: Map<String, Value>) -> Self {
        Self {
            name: name.to_owned(),
            slice: slice.to_owned(),
            element,
            children: Vec::new(),
            known: FxHashSet::default(),
        }
    }

    /// Makes known what slices there are, where there are many children.
    pub(super) fn index(&mut self) {
        if self.children.len() > FEW && self.known.is_empty() {
            self.known = self.children.iter().map(|one| (one.name.clone(), one.slice.clone())).collect();
        }
    }

    pub(super) fn clear(&mut self) {
        self.children.clear();
        self.known.clear();
    }

    /// The place of a child. Elements come mostly in the order of the tree: the last is looked at first.
    pub(super) fn place(&self, name: &str, slice: &str) -> Option<usize> {
        if !self.known.is_empty() && !self.known.contains(&(name.to_owned(), slice.to_owned())) {
            return None;
        }
        self.children.iter().rposition(|one| one.name == name && one.slice == slice)
    }

    pub(super) fn insert(&mut self, place: usize, child: Self) {
        if !self.known.is_empty() {
            self.known.insert((child.name.clone(), child.slice.clone()));
        }
        self.children.insert(place, child);
    }

    /// A tree from elements in their order; nothing when there are none.
    pub(super) fn from_elements(elements: &[Value]) -> Option<Self> {
        let mut places = Places::default();
        let mut root: Option<Self> = None;
        for element in elements {
            let steps = places.next_place(element);
            let mut held = element.as_object().cloned().unwrap_or_default();
            held.remove("id");
            held.remove("path");
            let last = steps.last()?;
            let item = Self::new(&last.name, &last.slice, held);
            let Some(root) = root.as_mut() else {
                root = Some(item);
                continue;
            };
            let inner = steps.get(1..steps.len().saturating_sub(1)).unwrap_or_default();
            let mut holder = root;
            for step in inner {
                let place = holder.place(&step.name, &step.slice)?;
                holder = holder.children.get_mut(place)?;
            }
            holder.children.push(item);
        }
        root
    }

    /// The elements in the order of a snapshot, with ids and paths.
    pub(super) fn elements(&self) -> Vec<Value> {
        let mut out = Vec::new();
        self.write("", "", &mut out);
        out
    }

    fn write(&self, id: &str, path: &str, out: &mut Vec<Value>) {
        let under =
            |before: &str, own: &str| if before.is_empty() { own.to_owned() } else { format!("{before}.{own}") };
        let path = under(path, &self.name);
        let id = if self.slice.is_empty() {
            under(id, &self.name)
        } else {
            under(id, &format!("{}:{}", self.name, self.slice))
        };
        let mut element = Map::new();
        element.insert("id".to_owned(), id.as_str().into());
        element.insert("path".to_owned(), path.as_str().into());
        element.extend(self.element.iter().map(|(key, value)| (key.clone(), value.clone())));
        out.push(Value::Object(element));
        for child in &self.children {
            child.write(&id, &path, out);
        }
    }

    /// The codes of its types.
    pub(super) fn type_codes(&self) -> impl Iterator<Item = &str> {
        self.types().iter().map(type_name)
    }

    /// Its types as they stand.
    pub(super) fn types(&self) -> &[Value] {
        self.element.get("type").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.element.get(key).and_then(Value::as_str).unwrap_or("")
    }
}

/// The FHIR type that an ElementDefinition.type stands for.
pub(super) fn type_name(one: &Value) -> &str {
    let code = one.get("code").and_then(Value::as_str).unwrap_or("");
    if !code.starts_with("http://hl7.org/fhirpath/") {
        return code;
    }
    one.get("extension")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|extension| extension.get("url").and_then(Value::as_str) == Some(FHIR_TYPE))
        .and_then(|extension| extension.get("valueUrl").or_else(|| extension.get("valueUri")))
        .and_then(Value::as_str)
        .unwrap_or("string")
}

/// A core type as a tree: nested elements have their own, the elements of other types none.
pub(super) fn of_type(model: &Model, id: TypeId) -> Item {
    let mut element = Map::new();
    element.insert("min".to_owned(), 0.into());
    element.insert("max".to_owned(), "*".into());
    element.insert("base".to_owned(), json!({"path": model.type_name(id), "min": 0, "max": "*"}));
    let rules = constraints(model.type_constraints(id));
    if !rules.is_empty() {
        element.insert("constraint".to_owned(), rules.into());
    }
    let mut root = Item::new(model.type_name(id), "", element);
    root.children = children_of(model, id);
    root
}

fn constraints<'m>(all: impl Iterator<Item = crate::definitions::Constraint<'m>>) -> Vec<Value> {
    all.map(|one| {
        let severity = if one.is_error { "error" } else { "warning" };
        json!({"key": one.key, "severity": severity, "expression": one.expression})
    })
    .collect()
}

/// The elements that a type has.
pub(super) fn children_of(model: &Model, id: TypeId) -> Vec<Item> {
    let mut children: Vec<Item> = model.elements(id).map(|element| of_element(model, element)).collect();
    if model.kind(id) == Kind::Primitive {
        children.push(value_of(model.type_name(id)));
    }
    children
}

/// A primitive's value: its text, which the model does not count among the children.
fn value_of(type_name: &str) -> Item {
    let system = match type_name {
        "boolean" => "Boolean",
        "integer" | "positiveInt" | "unsignedInt" => "Integer",
        "decimal" => "Decimal",
        "date" => "Date",
        "dateTime" | "instant" => "DateTime",
        "time" => "Time",
        _ => "String",
    };
    let mut element = Map::new();
    element.insert("representation".to_owned(), json!(["xmlAttr"]));
    element.insert("min".to_owned(), 0.into());
    element.insert("max".to_owned(), "1".into());
    element.insert("base".to_owned(), json!({"path": format!("{type_name}.value"), "min": 0, "max": "1"}));
    element.insert("type".to_owned(), json!([system_type(system, type_name)]));
    Item::new("value", "", element)
}

fn system_type(system: &str, type_name: &str) -> Value {
    json!({
        "extension": [{"url": FHIR_TYPE, "valueUrl": type_name}],
        "code": format!("http://hl7.org/fhirpath/System.{system}"),
    })
}

fn max_text(max: Option<u16>) -> String {
    max.map_or_else(|| "*".to_owned(), |max| max.to_string())
}

fn of_element(model: &Model, element: Element<'_>) -> Item {
    let name = if element.is_choice() { format!("{}[x]", element.name()) } else { element.name().to_owned() };
    let mut out = Map::new();
    let mut nested = None;
    let mut types: Vec<Value> = Vec::new();
    for choice in element.types() {
        let code = model.type_name(choice.type_id());
        if model.kind(choice.type_id()) == Kind::Nested {
            if code == element.path() {
                nested = Some(choice.type_id());
                let base = model.base(choice.type_id()).map_or("BackboneElement", |base| model.type_name(base));
                types.push(json!({"code": base}));
            } else {
                out.insert("contentReference".to_owned(), format!("#{code}").into());
            }
            continue;
        }
        let is_system = element.is_attribute()
            || (element.name() == "id" && element.path().matches('.').count() == 1 && code == "id");
        if is_system {
            types.push(system_type("String", code));
            continue;
        }
        let mut one = Map::new();
        one.insert("code".to_owned(), code.into());
        let profiles: Vec<&str> = choice.profiles().collect();
        if !profiles.is_empty() {
            one.insert("profile".to_owned(), profiles.into());
        }
        let targets: Vec<&str> = choice.targets().collect();
        if !targets.is_empty() {
            one.insert("targetProfile".to_owned(), targets.into());
        }
        types.push(Value::Object(one));
    }
    if element.is_attribute() {
        out.insert("representation".to_owned(), json!(["xmlAttr"]));
    }
    if matches!(element.name(), "extension" | "modifierExtension") {
        out.insert("slicing".to_owned(), json!({"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}));
    }
    out.insert("min".to_owned(), element.min().into());
    out.insert("max".to_owned(), max_text(element.max()).into());
    out.insert("base".to_owned(), base_of(model, element));
    if !types.is_empty() {
        out.insert("type".to_owned(), types.into());
    }
    let rules = constraints(element.constraints());
    if !rules.is_empty() {
        out.insert("constraint".to_owned(), rules.into());
    }
    if element.is_modifier() {
        out.insert("isModifier".to_owned(), true.into());
    }
    if element.is_summary() {
        out.insert("isSummary".to_owned(), true.into());
    }
    if let Some((strength, value_set)) = element.binding() {
        let strength = match strength {
            Strength::Required => "required",
            Strength::Extensible => "extensible",
            Strength::Preferred => "preferred",
            Strength::Example => "example",
        };
        out.insert("binding".to_owned(), json!({"strength": strength, "valueSet": value_set}));
    }
    let mut item = Item::new(&name, "", out);
    if let Some(id) = nested {
        item.children = children_of(model, id);
    }
    item
}

/// The element of the most general type that defines it.
fn base_of(model: &Model, element: Element<'_>) -> Value {
    let mut found = element;
    let mut at = model.base(element.owner());
    while let Some(held) = at {
        if let Some(inherited) = model.element_named(held, element.name()) {
            found = inherited;
        }
        at = model.base(held);
    }
    json!({"path": found.path(), "min": found.min(), "max": max_text(found.max())})
}
