//! Which XML a JSON document is written as: of FHIR by its own rules (<http://hl7.org/fhir/R4/xml.html>), of a JSON Schema
//! by the `xml` of its root, as OpenAPI has it: the name and namespace of the document element.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::native::{Kind, Limits, Syntax, Tree};

use super::super::schema::referred;
use super::super::versions::{Facts, TypeFacts};

const FHIR: &str = "http://hl7.org/fhir";

/// The XML of a sort of JSON documents.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'m> {
    /// Resources of a version of FHIR.
    Fhir(&'m Facts),
    /// Documents of a JSON Schema.
    Schema { root: &'m Json, name: &'m str, namespace: &'m str },
}

/// What stands at a place.
#[derive(Debug, Clone)]
pub(super) enum Type<'m> {
    /// The elements of a type of FHIR.
    Of(Arc<TypeFacts>),
    /// An element of its own in which a resource stands.
    Resource,
    /// A value, in the attribute `value`.
    Value { kind: Scalar, is_extended: bool },
    /// Text with markup: XHTML.
    Markup,
    /// The members of an object of a JSON Schema.
    Members(&'m Json),
}

/// How JSON writes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Text,
    Number,
    Boolean,
}

/// A child of something by its name.
pub(super) struct Child<'m> {
    /// Its place among its siblings.
    pub(super) place: usize,
    pub(super) is_list: bool,
    /// Whether it is an attribute in XML.
    pub(super) is_attribute: bool,
    pub(super) of: Type<'m>,
}

impl<'m> Form<'m> {
    /// The form of the documents of a JSON Schema, where it says one.
    pub(crate) fn of_schema(root: &'m Json) -> Option<Self> {
        let xml = root.get("xml")?;
        let name = xml.get("name")?.as_str()?;
        let namespace = xml.get("namespace").and_then(Json::as_str).unwrap_or_default();
        Some(Self::Schema { root, name, namespace })
    }

    pub(crate) const fn namespace(&self) -> &'m str {
        match self {
            Self::Fhir(_) => FHIR,
            Self::Schema { namespace, .. } => namespace,
        }
    }

    /// What a document element of a name holds.
    pub(super) fn document(&self, name: &str) -> Option<Type<'m>> {
        match self {
            Self::Fhir(_) => self.resource(name),
            Self::Schema { root, name: own, .. } => (name == *own).then_some(Type::Members(root)),
        }
    }

    /// The document element of a document in JSON.
    pub(super) fn name_of<'t>(&self, json: &'t Tree) -> Option<Cow<'t, str>>
    where
        'm: 't,
    {
        match self {
            Self::Fhir(_) => json.text(json.member(json.root(), "resourceType")),
            Self::Schema { name, .. } => Some(Cow::Borrowed(name)),
        }
    }

    pub(super) fn resource(&self, name: &str) -> Option<Type<'m>> {
        let Self::Fhir(facts) = self else { return None };
        facts.of(name).filter(|of| of.is_resource).map(Type::Of)
    }

    /// What a name means in something.
    pub(super) fn child(&self, of: &Type<'m>, name: &str) -> Option<Child<'m>> {
        match (self, of) {
            (Self::Fhir(facts), Type::Of(of)) => {
                let (element, type_name) = of.element(name)?;
                let place = of.elements.iter().position(|e| e.name == element.name)?;
                let is_attribute = match element.name.as_str() {
                    "id" => !of.is_resource,
                    "url" => of.name == "Extension",
                    _ => false,
                };
                let of = match type_name {
                    "Resource" => Type::Resource,
                    "xhtml" => Type::Markup,
                    "boolean" => Type::Value { kind: Scalar::Boolean, is_extended: true },
                    "integer" | "positiveInt" | "unsignedInt" | "decimal" => {
                        Type::Value { kind: Scalar::Number, is_extended: true }
                    }
                    primitive if primitive.starts_with(|c: char| c.is_ascii_lowercase()) => {
                        Type::Value { kind: Scalar::Text, is_extended: true }
                    }
                    complex => Type::Of(facts.of(complex)?),
                };
                Some(Child { place, is_list: element.is_list, is_attribute, of })
            }
            (Self::Fhir(facts), Type::Value { is_extended: true, .. }) => {
                let of = Type::Of(facts.of("Element")?);
                self.child(&of, name)
            }
            (Self::Schema { .. }, Type::Members(members)) => {
                let properties = members.get("properties")?.as_object()?;
                let order = members.get(ORDER).and_then(Json::as_array);
                let place = order.and_then(|order| order.iter().position(|known| known == name)).unwrap_or_default();
                let of = self.referred(properties.get(name)?);
                let (is_list, of) = match of.get("items").filter(|_| says(of, "array")) {
                    Some(items) => (true, self.referred(items)),
                    None => (false, of),
                };
                let of = if of.get("properties").is_some() || says(of, "object") {
                    Type::Members(of)
                } else {
                    let kind = match () {
                        () if says(of, "boolean") => Scalar::Boolean,
                        () if says(of, "integer") || says(of, "number") => Scalar::Number,
                        () => Scalar::Text,
                    };
                    Type::Value { kind, is_extended: false }
                };
                Some(Child { place, is_list, is_attribute: false, of })
            }
            _ => None,
        }
    }

    /// What a `$ref` refers to, within the schema.
    fn referred(&self, schema: &'m Json) -> &'m Json {
        match *self {
            Self::Schema { root, .. } => referred(root, schema),
            Self::Fhir(_) => schema,
        }
    }
}

fn says(schema: &Json, kind: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(one)) => one == kind,
        Some(Json::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

impl Scalar {
    /// What a JSON value is, where that is a scalar.
    pub(super) const fn is(kind: Kind) -> bool {
        matches!(kind, Kind::String | Kind::Number | Kind::Boolean)
    }
}

/// The members of an object in the order that its schema has them in, as its `properties` do not tell that.
const ORDER: &str = "x-order";

/// Puts beside the members of each object of a schema the order that its text has them in, where its documents can be XML.
pub(crate) fn keep_order(schema: &mut Json, text: &str) {
    if schema.get("xml").is_none() {
        return;
    }
    let Ok(tree) = Syntax::Json.parse(text.as_bytes().to_vec(), &Limits::default()) else { return };
    let mut open = vec![(schema, tree.root())];
    while let Some((here, node)) = open.pop() {
        match here {
            Json::Object(members) => {
                if let Some(properties) = tree.member(node, "properties") {
                    let order = tree.children(properties).filter_map(|member| tree.name(member)).map(Json::from);
                    members.insert(ORDER.to_owned(), order.collect());
                }
                open.extend(members.iter_mut().filter_map(|(name, of)| Some((of, tree.member(node, name)?))));
            }
            Json::Array(items) => open.extend(items.iter_mut().zip(tree.children(node))),
            _ => {}
        }
    }
}
