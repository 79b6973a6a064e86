//! Where faults can be made: every value of a document with its element, type and FHIRPath. Worked out from the JSON and
//! the definitions, apart from the engine's own walk.

use serde_json::Value;
use silta_engine::definitions::{ElementId, Kind, Model, TypeId};

/// A value of an element: one repetition of it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// JSON pointer to the value.
    pub(crate) pointer: String,
    /// JSON pointer to the member that has it: the array, where the element repeats.
    pub(crate) member: String,
    /// JSON pointer to the object that has the member.
    pub(crate) holder: String,
    /// The name of the member.
    pub(crate) name: String,
    /// FHIRPath of the value.
    pub(crate) path: String,
    /// FHIRPath of the member, without an index.
    pub(crate) member_path: String,
    /// FHIRPath of the object that has it.
    pub(crate) holder_path: String,
    pub(crate) element: ElementId,
    pub(crate) type_id: TypeId,
    /// How many repetitions the member has; none: it is no array.
    pub(crate) repetitions: Option<usize>,
}

impl Place {
    pub(crate) fn type_name(&self) -> &'static str {
        Model::r4().type_name(self.type_id)
    }

    pub(crate) fn is_primitive(&self) -> bool {
        Model::r4().kind(self.type_id) == Kind::Primitive
    }

    pub(crate) fn is_resource(&self) -> bool {
        Model::r4().kind(self.type_id) == Kind::Resource
    }
}

/// An object: pointer, path and type.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) pointer: String,
    pub(crate) path: String,
    pub(crate) type_id: TypeId,
}

/// All values and all objects of a resource.
pub(crate) fn of(resource: &Value) -> (Vec<Place>, Vec<Object>) {
    let (mut places, mut objects) = (Vec::new(), Vec::new());
    let name = resource["resourceType"].as_str().unwrap();
    let root = Object { pointer: String::new(), path: name.to_owned(), type_id: Model::r4().type_named(name).unwrap() };
    within(resource, root, &mut places, &mut objects);
    (places, objects)
}

fn within(value: &Value, object: Object, places: &mut Vec<Place>, objects: &mut Vec<Object>) {
    let model = Model::r4();
    for (name, member) in value.as_object().unwrap() {
        let Some(resolved) = model.child(object.type_id, model.symbol(name)) else { continue };
        let element = model.element(resolved.element);
        let mut member_path = format!("{}.{}", object.path, element.name());
        if element.is_choice() {
            member_path = format!("{member_path}.ofType({})", model.type_name(resolved.type_id));
        }
        let member_pointer = format!("{}/{name}", object.pointer);
        let items: Vec<(String, String, &Value)> = match member.as_array() {
            Some(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| (format!("{member_pointer}/{at}"), format!("{member_path}[{at}]"), item))
                .collect(),
            None => vec![(member_pointer.clone(), member_path.clone(), member)],
        };
        for (pointer, path, item) in items {
            if item.is_null() {
                continue;
            }
            let own = item["resourceType"].as_str().and_then(|name| model.type_named(name));
            let type_id = own.unwrap_or(resolved.type_id);
            places.push(Place {
                pointer: pointer.clone(),
                member: member_pointer.clone(),
                holder: object.pointer.clone(),
                name: name.clone(),
                path: path.clone(),
                member_path: member_path.clone(),
                holder_path: object.path.clone(),
                element: resolved.element,
                type_id,
                repetitions: member.as_array().map(Vec::len),
            });
            if item.is_object() {
                within(item, Object { pointer, path, type_id }, places, objects);
            }
        }
    }
    objects.push(object);
}
