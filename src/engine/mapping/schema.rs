//! What a native document can hold, as far as a map must know it: the places that paths lead to, and all leaves.

use std::sync::Arc;

use serde_json::Value;

use crate::native::SegmentName;
use crate::native::hl7v2::schema::{FieldDef, NodeKind, Schema, Shape, StructureNode, Version as V2};
use crate::native::xml::XmlSchema;
use crate::native::xml::schema::{Content, MemberKind, Simple, Type, TypeIndex, xsi_type};

use super::plan::{Condition, NativeName};
use super::syntax::{FhirVersion, NativeType, SegmentItem, Test, Version};

/// The facts about a native document type.
#[derive(Debug, Clone)]
pub(crate) enum NativeSchema {
    /// Message structure, with the versions of the map, newest first, and the segments that it has beside the structure.
    Hl7v2 { structure: String, versions: Vec<V2>, others: Vec<SegmentItem> },
    /// JSON Schema.
    Json(Arc<Value>),
    /// An XML schema.
    Xml(Arc<XmlSchema>),
    /// A resource type of another version of FHIR.
    Fhir { version: FhirVersion, resource: String },
    /// Column names.
    Delimited(Vec<String>),
    /// Nothing is known beyond what the paths say.
    Open,
}

/// A place in a native document type.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Document,
    /// A group of the message structure.
    Group(Box<str>),
    Segment(SegmentName),
    /// A field, component or subcomponent of this data type.
    Typed {
        datatype: &'static str,
        /// The table of its codes, in maps of HL7 v2.
        table: Option<&'static str>,
    },
    /// A place of a JSON document, by its schema.
    Json(Arc<Value>),
    /// An element or attribute of XML, by its schema; whether the element may be there several times.
    Xml {
        of: Content,
        many: bool,
    },
    /// A place of a resource of another version of FHIR: its type.
    Fhir(String),
    Row,
    Cell,
    /// A place of which nothing is known.
    Open,
}

/// Why a step leads nowhere: what is wrong, and what would be right.
pub(crate) type NoStep = (String, String);

/// A data type of HL7 v2 by its name.
pub(crate) fn datatype(name: &str) -> Option<&'static str> {
    const PRIMITIVE: [&str; 12] = ["ST", "TX", "FT", "ID", "IS", "NM", "SI", "DT", "TM", "DTM", "TS", "SNM"];
    let composite = V2::ALL.into_iter().rev().find_map(|v| Some(Schema::version(v).datatype(name)?.name));
    composite.or_else(|| PRIMITIVE.into_iter().find(|known| *known == name))
}

/// A version of HL7 v2 as the maps write it.
pub(crate) fn version(v2: V2) -> Version {
    let mut parts = v2.text().split('.').map(|p| p.parse().unwrap_or(0));
    (parts.next().unwrap_or(2), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

impl NativeSchema {
    /// The facts about a map's native side; schemas come by their names.
    pub(crate) fn of(
        native: &NativeType,
        file: impl Fn(&str) -> Option<Value>,
        xml: impl Fn(&str) -> Option<Arc<XmlSchema>>,
        segments: &[SegmentItem],
    ) -> Result<Self, NoStep> {
        match native {
            NativeType::Hl7v2 { structure, versions: (first, last), .. } => {
                let within = |v: &V2| {
                    let v = version(*v);
                    v >= *first && (v <= *last || (v.0, v.1) == (last.0, last.1))
                };
                let versions: Vec<V2> = V2::ALL.into_iter().rev().filter(within).collect();
                if versions.is_empty() {
                    return Err(("no version of HL7 v2 is in this range".to_owned(), "2.1..2.8".to_owned()));
                }
                if !versions.iter().any(|v| Schema::version(*v).structure(structure).is_some()) {
                    return Err((
                        format!("{structure} is no message structure of these versions"),
                        "a structure such as REF_I12 or ADT_A01".to_owned(),
                    ));
                }
                let here = |one: &&SegmentItem| one.structures.is_empty() || one.structures.contains(structure);
                let others = segments.iter().filter(here).cloned().collect();
                Ok(Self::Hl7v2 { structure: structure.clone(), versions, others })
            }
            NativeType::Json { schema, .. } => match file(schema) {
                Some(value) => Ok(Self::Json(Arc::new(value))),
                None => Err((
                    format!("the JSON Schema \"{schema}\" is not in the tree, or is no JSON"),
                    "the path of a schema file below profiles/, as `fi/schemas/x.schema.json`".to_owned(),
                )),
            },
            NativeType::Fhir { version, resource } if version.facts().has_resource(resource) => {
                Ok(Self::Fhir { version: *version, resource: resource.clone() })
            }
            NativeType::Fhir { version, resource } => Err((
                format!("{resource} is no resource type of FHIR {}", version.text()),
                "a resource type of that version".to_owned(),
            )),
            NativeType::Delimited { columns, .. } => Ok(Self::Delimited(columns.clone())),
            NativeType::Xml { schema, .. } => match xml(schema) {
                Some(schema) => Ok(Self::Xml(schema)),
                None => Err((
                    format!("the XML schema \"{schema}\" is not in the tree, or cannot be read"),
                    "the path of a schema file below profiles/, as `hl7/cda/cda.xmlschema`".to_owned(),
                )),
            },
        }
    }

    /// The place that the document itself is.
    pub(crate) fn document(&self) -> Place {
        match self {
            Self::Json(schema) => Place::Json(Arc::clone(schema)),
            Self::Xml(schema) => Place::Xml { of: Content::Complex(schema.root_type()), many: false },
            Self::Fhir { resource, .. } => Place::Fhir(resource.clone()),
            _ => Place::Document,
        }
    }

    fn field(&self, segment: SegmentName, number: u16) -> Option<FieldDef> {
        let Self::Hl7v2 { others, .. } = self else { return None };
        if let Some(own) = others.iter().find(|one| one.name == segment.as_str() && !one.fields.is_empty()) {
            let (number, name, repeats) = own.fields.iter().find(|(known, ..)| *known == number)?;
            let max = if *repeats { None } else { Some(1) };
            return Some(FieldDef { number: *number, name: "", datatype: datatype(name)?, min: 0, max, table: None });
        }
        // Segments and data types are those of all versions: a message may use what came later than its structure.
        let known = V2::ALL
            .into_iter()
            .rev()
            .filter_map(|v| Schema::version(v).segment(segment.as_str())?.field(number).copied());
        let typed = |f: &FieldDef| !f.datatype.is_empty() && f.datatype != "WD";
        // A withdrawn field is what it was.
        let mut in_use = known.clone().filter(|f| typed(f) && f.max != Some(0));
        in_use.next().or_else(|| known.clone().find(typed)).or_else(|| known.clone().next())
    }

    fn component(&self, datatype: &str, number: u16) -> Option<FieldDef> {
        let Self::Hl7v2 { .. } = self else { return None };
        let known =
            V2::ALL.into_iter().rev().filter_map(|v| Schema::version(v).datatype(datatype)?.component(number).copied());
        known.clone().find(|f| !f.datatype.is_empty() && f.datatype != "WD").or_else(|| known.clone().next())
    }

    /// Whether the data type has components in some version.
    pub(crate) fn composite(&self, datatype: &str) -> bool {
        let Self::Hl7v2 { versions, .. } = self else { return false };
        versions.iter().any(|v| matches!(Schema::version(*v).shape(datatype), Shape::Composite(_) | Shape::Varies))
    }

    /// One step from a place.
    pub(crate) fn step(&self, from: &Place, step: &NativeName) -> Result<Place, NoStep> {
        let nowhere = |what: String, right: &str| Err((what, right.to_owned()));
        match (from, step) {
            (Place::Open, _) => Ok(Place::Open),
            (Place::Document | Place::Segment(_), NativeName::Segment(segment)) => self.segment(*segment),
            (Place::Group(group), NativeName::Segment(segment)) => {
                let place = self.segment(*segment)?;
                if self.in_group(group, |node| node.kind == NodeKind::Segment && node.name == segment.as_str())
                    || self.is_beside(*segment)
                {
                    return Ok(place);
                }
                nowhere(format!("the group {group} has no segment {segment}"), "a segment of the group")
            }
            (Place::Document | Place::Segment(_), NativeName::Group(name)) => self.group(name, |_| true),
            (Place::Group(outer), NativeName::Group(name)) => {
                self.group(name, |name| self.in_group(outer, |node| node.is_group() && node.name == name))
            }
            (Place::Segment(segment), NativeName::Field(number)) => match self.field(*segment, *number) {
                Some(field) => Ok(Place::Typed { datatype: field.datatype, table: field.table }),
                None => nowhere(
                    format!("{segment} has no field {number} in the versions of this map"),
                    "a field of the segment, or a wider range of versions",
                ),
            },
            (Place::Typed { datatype, .. }, NativeName::Component(number) | NativeName::Subcomponent(number)) => {
                if let Some(component) = self.component(datatype, *number) {
                    return Ok(Place::Typed { datatype: component.datatype, table: component.table });
                }
                // A data type of old is the beginning of the later one, and the other way round.
                let kin = match *datatype {
                    "CE" => Some("CWE"),
                    "EIP" => Some("EI"),
                    _ => None,
                };
                if let Some(component) = kin.and_then(|kin| self.component(kin, *number)) {
                    return Ok(Place::Typed { datatype: component.datatype, table: component.table });
                }
                let open = *datatype == "varies" || datatype.is_empty() || *datatype == "WD";
                if open || *number == 1 {
                    return Ok(Place::Typed { datatype: if open { "varies" } else { datatype }, table: None });
                }
                nowhere(
                    format!("{datatype} has no component {number} in the versions of this map"),
                    "a component of the data type",
                )
            }
            (Place::Json(schema), NativeName::Member(name)) => self.json_step(schema, name),
            (Place::Fhir(of), NativeName::Member(name)) => self.fhir_step(of, name),
            (Place::Document, NativeName::Row) => Ok(Place::Row),
            (Place::Row, NativeName::Column(name)) => match self {
                Self::Delimited(columns) if columns.iter().any(|c| c == name.as_ref()) => Ok(Place::Cell),
                Self::Delimited(columns) => {
                    nowhere(format!("there is no column {name}"), &format!("one of {}", columns.join(", ")))
                }
                _ => Ok(Place::Open),
            },
            (
                Place::Xml { of: Content::Complex(index), .. },
                NativeName::Element(name) | NativeName::Attribute(name),
            ) => {
                let attribute = matches!(step, NativeName::Attribute(_));
                let member = self.xml_type(*index).and_then(|of| of.member(attribute, &name.name));
                member.map_or_else(
                    || nowhere(format!("there is no {name} here"), "a member of the schema"),
                    |member| Ok(Place::Xml { of: member.of, many: member.many }),
                )
            }
            _ => nowhere(
                "this step does not lead on from here".to_owned(),
                "a path that starts where the scope stands (a segment's own name, `.n` in a data type, `$` in JSON, a column in a row)",
            ),
        }
    }

    fn xml_type(&self, index: TypeIndex) -> Option<&Type> {
        match self {
            Self::Xml(schema) => schema.of(index),
            _ => None,
        }
    }

    /// The element or attribute of an XML place that a path names so.
    pub(crate) fn xml_name(&self, from: &Place, attribute: bool, written: &str) -> Result<NativeName, NoStep> {
        let Place::Xml { of: Content::Complex(index), .. } = from else {
            return Err((format!("nothing stands below this place, so no {written}"), "a shorter path".to_owned()));
        };
        let of = self.xml_type(*index);
        if let Some(member) = of.and_then(|of| of.written(attribute, written)) {
            let name = Arc::new(member.name.clone());
            return Ok(if attribute { NativeName::Attribute(name) } else { NativeName::Element(name) });
        }
        let kind = if attribute { MemberKind::Attribute } else { MemberKind::Element };
        let known: Vec<&str> =
            of.into_iter().flat_map(|of| &of.members).filter(|m| m.kind == kind).map(|m| &*m.name.shown).collect();
        let what = if attribute { "attribute" } else { "element" };
        let place = of.map_or("", |of| &of.name);
        Err((format!("{place} has no {what} {written}"), format!("one of {}", known.join(", "))))
    }

    /// A choice of types as the one that conditions on its `xsi:type` leave.
    pub(crate) fn narrowed(&self, place: &Place, conditions: &[Condition]) -> Option<Place> {
        let (Self::Xml(schema), Place::Xml { of: Content::Complex(index), many }) = (self, place) else { return None };
        let own = |condition: &Condition| match condition.path.steps.as_slice() {
            [only] => matches!(&only.name, NativeName::Attribute(name) if name.name == xsi_type()),
            _ => false,
        };
        let named = conditions.iter().find_map(|condition| match &condition.test {
            Test::In(values) if own(condition) => values.first().map(String::as_str),
            // What is none of the others is what need not be named.
            Test::NotIn(values) if own(condition) => {
                schema.unnamed(*index).map(|of| &*of.name).filter(|name| !values.iter().any(|value| value == name))
            }
            _ => None,
        })?;
        Some(Place::Xml { of: Content::Complex(schema.variant(*index, named)?), many: *many })
    }

    /// The names of the type of an XML place, the nearest first.
    pub(crate) fn type_names(&self, place: &Place) -> Vec<String> {
        match (self, place) {
            (Self::Xml(schema), Place::Xml { of: Content::Complex(index), .. }) => {
                schema.names(*index).map(str::to_owned).collect()
            }
            (_, Place::Typed { datatype, .. }) => vec![(*datatype).to_owned()],
            _ => Vec::new(),
        }
    }

    /// The kind of text of an XML place.
    pub(crate) fn simple(&self, place: &Place) -> Option<Simple> {
        let Place::Xml { of, .. } = place else { return None };
        let of = match of {
            Content::Simple(simple) => return Some(*simple),
            Content::Complex(index) => self.xml_type(*index)?.text()?.of,
        };
        match of {
            Content::Simple(simple) => Some(simple),
            Content::Complex(_) => None,
        }
    }

    fn segment(&self, segment: SegmentName) -> Result<Place, NoStep> {
        let Self::Hl7v2 { structure, versions, .. } = self else {
            return Err(("segments are of HL7 v2".to_owned(), String::new()));
        };
        let named = versions
            .iter()
            .any(|v| Schema::version(*v).structure(structure).is_some_and(|s| s.names(segment.as_str())));
        let defined = versions.iter().any(|v| Schema::version(*v).segment(segment.as_str()).is_some());
        if (named && defined) || self.is_beside(segment) {
            return Ok(Place::Segment(segment));
        }
        Err((
            format!("{structure} has no segment {segment} in the versions of this map"),
            match segment.as_str() {
                own if own.starts_with('Z') => {
                    format!("`segment {own} {{ 1 ST  2 CX* }}` with its fields and their data types")
                }
                other => format!("a segment of the message structure, or `segment {other} in {structure}`"),
            },
        ))
    }

    /// Whether it is a segment that the map has beside the structure.
    fn is_beside(&self, segment: SegmentName) -> bool {
        matches!(self, Self::Hl7v2 { others, .. } if others.iter().any(|one| one.name == segment.as_str()))
    }

    fn fhir_step(&self, of: &str, name: &str) -> Result<Place, NoStep> {
        let Self::Fhir { version, .. } = self else { return Ok(Place::Open) };
        let facts = version.facts().of(of);
        let element = facts.as_ref().and_then(|t| t.element(name.strip_prefix('_').unwrap_or(name)));
        match element {
            Some(_) if name.starts_with('_') => Ok(Place::Fhir("Element".to_owned())),
            Some((_, type_name)) => Ok(Place::Fhir(type_name.to_owned())),
            None if name == "resourceType" || name.is_empty() => {
                Ok(Place::Fhir(if name.is_empty() { of } else { "code" }.to_owned()))
            }
            None => {
                let known: Vec<String> = facts.iter().flat_map(|t| &t.elements).map(|e| e.name.clone()).collect();
                let what = format!("{of} of FHIR {} has no element \"{name}\"", version.text());
                Err((what, format!("one of {}", known.join(", "))))
            }
        }
    }

    /// The elements of a type, and those of its parts.
    fn fhir_leaves(version: FhirVersion, of: &str, path: &mut Vec<NativeName>, leaves: &mut Vec<Vec<NativeName>>) {
        let Some(facts) = version.facts().of(of).filter(|_| path.len() < 8) else { return };
        for element in &facts.elements {
            for type_name in &element.types {
                path.push(NativeName::Member(element.written(type_name).into()));
                if type_name.contains('.') {
                    Self::fhir_leaves(version, type_name, path, leaves);
                } else {
                    leaves.push(path.clone());
                }
                path.pop();
            }
        }
    }

    /// A group of the structure.
    fn group(&self, name: &str, there: impl Fn(&str) -> bool) -> Result<Place, NoStep> {
        let Self::Hl7v2 { structure, versions, .. } = self else {
            return Err(("groups are of HL7 v2".to_owned(), String::new()));
        };
        let structures = || versions.iter().filter_map(|v| Schema::version(*v).structure(structure));
        if structures().any(|of| of.group(name).is_some()) && there(name) {
            return Ok(Place::Group(name.into()));
        }
        let mut known: Vec<&str> = structures()
            .flat_map(|of| of.nodes().iter().skip(1).filter(|node| node.is_group()).map(|node| node.name))
            .filter(|name| there(name))
            .collect();
        known.sort_unstable();
        known.dedup();
        Err((
            format!("there is no group {name} here in the versions of this map"),
            format!("one of {}", known.join(", ")),
        ))
    }

    /// Whether a group has something in it in some version, at any depth.
    fn in_group(&self, name: &str, is: impl Fn(&StructureNode) -> bool) -> bool {
        let Self::Hl7v2 { structure, versions, .. } = self else { return false };
        versions.iter().filter_map(|v| Schema::version(*v).structure(structure)).any(|of| {
            let Some((at, end)) = of.group(name).and_then(|at| Some((at, of.node(at)?.end))) else { return false };
            of.nodes().get(usize::from(at) + 1..usize::from(end)).is_some_and(|nodes| nodes.iter().any(&is))
        })
    }

    fn json_step(&self, schema: &Arc<Value>, name: &str) -> Result<Place, NoStep> {
        let object = self.dereference(schema);
        if name.is_empty() {
            return Ok(Place::Json(Arc::new(self.item(&object))));
        }
        if self.is_array(&object) {
            return Err((
                format!("a list stands here, so no \"{name}\""),
                "`[]` after the list's name, in an `each` around this line".to_owned(),
            ));
        }
        let Some(properties) = object.get("properties").and_then(Value::as_object) else {
            return Err((
                format!("the schema knows no members here, so no \"{name}\""),
                "a member of the schema".to_owned(),
            ));
        };
        match properties.get(name) {
            Some(value) => Ok(Place::Json(Arc::new(value.clone()))),
            None => {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                Err((format!("the schema has no member \"{name}\" here"), format!("one of {}", known.join(", "))))
            }
        }
    }

    /// What `$ref` refers to, within the schema.
    pub(crate) fn dereference(&self, schema: &Value) -> Value {
        match self {
            Self::Json(root) => referred(root, schema).clone(),
            _ => schema.clone(),
        }
    }

    /// The schema of an array's items.
    pub(crate) fn item(&self, schema: &Value) -> Value {
        let array = self.dereference(schema);
        array.get("items").map_or(Value::Bool(true), |items| self.dereference(items))
    }

    /// Whether a JSON place is an array.
    pub(crate) fn is_array(&self, schema: &Value) -> bool {
        self.dereference(schema).get("type").and_then(Value::as_str) == Some("array")
    }

    /// Whether a JSON place is an object of which members are known.
    pub(crate) fn has_members(&self, schema: &Value) -> bool {
        self.dereference(schema).get("properties").and_then(Value::as_object).is_some_and(|all| !all.is_empty())
    }

    /// All places that can hold a text, with whether they are only there in old versions.
    pub(crate) fn leaves(&self) -> Vec<Vec<NativeName>> {
        let mut leaves = Vec::new();
        match self {
            Self::Hl7v2 { structure, versions, .. } => self.v2_leaves(structure, versions, &mut leaves),
            Self::Json(schema) => self.json_leaves(schema, &mut Vec::new(), &mut leaves),
            Self::Fhir { version, resource } => {
                leaves.push(vec![NativeName::Member("resourceType".into())]);
                Self::fhir_leaves(*version, resource, &mut Vec::new(), &mut leaves);
            }
            Self::Delimited(columns) => {
                for column in columns {
                    leaves.push(vec![NativeName::Row, NativeName::Column(column.as_str().into())]);
                }
            }
            Self::Xml(schema) => super::leaves::of(schema, &mut leaves),
            Self::Open => {}
        }
        leaves
    }

    /// Fields only: a lens or block on a composite says what becomes of its components.
    fn v2_leaves(&self, structure: &str, versions: &[V2], leaves: &mut Vec<Vec<NativeName>>) {
        for version in versions {
            let schema = Schema::version(*version);
            let Some(structure) = schema.structure(structure) else { continue };
            for node in structure.nodes().iter().filter(|n| n.kind == NodeKind::Segment) {
                let Ok(name) = node.name.parse::<SegmentName>() else { continue };
                let Some(segment) = schema.segment(node.name) else { continue };
                for field in segment.fields() {
                    let leaf = vec![NativeName::Segment(name), NativeName::Field(field.number)];
                    if !leaves.contains(&leaf) {
                        leaves.push(leaf);
                    }
                }
            }
        }
    }

    fn json_leaves(&self, schema: &Value, path: &mut Vec<NativeName>, leaves: &mut Vec<Vec<NativeName>>) {
        if path.len() > 12 {
            return;
        }
        let here = self.dereference(schema);
        if self.is_array(&here) {
            self.json_leaves(&self.item(&here), path, leaves);
            return;
        }
        match here.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                for (name, value) in properties {
                    path.push(NativeName::Member(name.as_str().into()));
                    self.json_leaves(value, path, leaves);
                    path.pop();
                }
            }
            None => leaves.push(path.clone()),
        }
    }

    /// Whether a JSON place takes a number or a boolean, and no string.
    pub(crate) fn is_bare(&self, place: &Place) -> bool {
        let Place::Json(schema) = place else { return false };
        let here = self.dereference(schema);
        let kinds: Vec<&str> = match here.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let bare = |kind: &&str| matches!(*kind, "boolean" | "integer" | "number" | "null");
        !kinds.is_empty() && kinds.iter().all(bare)
    }

    /// The codes that a JSON place allows, where it lists them.
    pub(crate) fn codes(&self, place: &Place) -> Option<Vec<String>> {
        let Place::Json(schema) = place else { return None };
        let here = self.dereference(schema);
        let listed = here.get("enum")?.as_array()?;
        Some(listed.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

/// What `$ref` refers to, within a JSON Schema.
pub(crate) fn referred<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let mut here = schema;
    for _ in 0..16 {
        let to = here.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        match to.and_then(|pointer| root.pointer(pointer)) {
            Some(value) => here = value,
            None => break,
        }
    }
    here
}
