//! What a new document begins as: a header, a document element, the columns of a table.

use crate::fault::Fault;
use crate::native::hl7v2::schema::{Schema, Version as V2};
use crate::native::xml::XmlSchema;
use crate::native::{Anchor, Edit, Insert, NodeId, Place, SegmentName, Step, Tree, delimited, hl7v2, json, xml};

use super::context::Context;
use super::library::msh;
use super::map::Map;
use super::plan::NativeName;
use super::run::Refusals;
use super::syntax::{self, NativeType, Test};
use super::write::{generous, unreadable, unwritable};

impl Map {
    /// The document that a new one begins as.
    pub(super) fn start(&self, cx: &Context, request: Option<&Tree>) -> Result<Tree, Refusals> {
        match self.native() {
            NativeType::Hl7v2 { structure, message, events, .. } => {
                self.message(structure, message, events, cx, request)
            }
            NativeType::Json { when, .. } => {
                let tree = json::create();
                let mut edit = Edit::new(&tree);
                for condition in when {
                    let steps: Vec<Step> = condition
                        .path
                        .steps
                        .iter()
                        .filter_map(|s| match &s.name {
                            syntax::StepName::Member(name) => Some(Step::Member(name.as_str().into())),
                            _ => None,
                        })
                        .collect();
                    if let Test::In(values) = &condition.test
                        && let Some(value) = values.first()
                    {
                        edit.set(NodeId::ROOT, &steps, value.as_str()).map_err(|e| unwritable(&e))?;
                    }
                }
                let bytes = edit.finish().bytes;
                tree.syntax().parse(bytes, &generous()).map_err(|e| unreadable(&e))
            }
            NativeType::Fhir { resource, .. } => {
                let tree = json::create();
                let mut edit = Edit::new(&tree);
                let steps = [Step::Member("resourceType".into())];
                edit.set(NodeId::ROOT, &steps, resource.as_str()).map_err(|e| unwritable(&e))?;
                if resource == "Bundle" {
                    let steps = [Step::Member("type".into())];
                    edit.set(NodeId::ROOT, &steps, "collection").map_err(|e| unwritable(&e))?;
                }
                tree.syntax().parse(edit.finish().bytes, &generous()).map_err(|e| unreadable(&e))
            }
            NativeType::Delimited { separator, columns, .. } => {
                let dialect =
                    delimited::Dialect { separator: *separator, charset: cx.charset, ..delimited::Dialect::default() };
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                delimited::create(&dialect, &columns).map_err(|e| unwritable(&e))
            }
            NativeType::Xml { .. } => {
                let Some(schema) = self.xml_schema() else {
                    return Err(Refusals::one(self.name(), "a map with a schema", Fault::Internal));
                };
                let tree = xml::create(&schema.root, &schema.prefixes).map_err(|e| unreadable(&e))?;
                self.recognisable(tree, schema)
            }
        }
    }

    /// A new document with what tells its type from others.
    fn recognisable(&self, tree: Tree, schema: &XmlSchema) -> Result<Tree, Refusals> {
        let Some(top) = tree.document_element() else { return Ok(tree) };
        let mut edit = Edit::new(&tree).by_schema(schema);
        for condition in self.plan().scope(0).map(|scope| scope.when.as_slice()).unwrap_or_default() {
            let steps = condition.path.steps.iter().filter_map(|step| match &step.name {
                NativeName::Element(name) => Some(Step::Element(name.name.clone(), 1)),
                NativeName::Attribute(name) => Some(Step::Attribute(name.name.clone())),
                _ => None,
            });
            let steps: Vec<Step> = steps.collect();
            if let Test::In(values) = &condition.test
                && let Some(value) = values.first()
            {
                edit.set(top, &steps, value.as_str()).map_err(|e| unwritable(&e))?;
            }
        }
        let bytes = edit.finish().bytes;
        tree.syntax().parse(bytes, &generous()).map_err(|e| unreadable(&e))
    }

    fn message(
        &self,
        structure: &str,
        message: &str,
        events: &[String],
        cx: &Context,
        request: Option<&Tree>,
    ) -> Result<Tree, Refusals> {
        let envelope = &cx.envelope;
        let separators = request.and_then(Tree::separators).unwrap_or_default();
        let version = request.map(|r| msh(r, 12, 1)).filter(|v| !v.is_empty());
        let version = version.unwrap_or_else(|| envelope.version.clone());
        if request.is_none() && V2::declared(&version).version().is_none() {
            return Err(Refusals::one("MSH-12", "a version of HL7 v2: 2.1 to 2.8.2", Fault::BadValue));
        }
        let declared = request.map(|r| !msh(r, 18, 1).is_empty());
        let charset = request.map_or(cx.charset, Tree::charset);
        let tree =
            hl7v2::create(separators, &version, charset, declared.unwrap_or(true)).map_err(|e| unreadable(&e))?;
        let event = match request {
            // The answer to a referral has the referral's event, that to an order its own.
            Some(request) if events.contains(&msh(request, 9, 2)) => msh(request, 9, 2),
            Some(_) => events.first().cloned().unwrap_or_default(),
            None if envelope.event.is_empty() => events.first().cloned().unwrap_or_default(),
            None if events.contains(&envelope.event) => envelope.event.clone(),
            None => {
                let expected = format!("an event of this map: {}", events.join(", "));
                return Err(Refusals::one("MSH-9.2", expected, Fault::BadValue));
            }
        };
        let Some(header) = tree.segments().next() else { return Ok(tree) };
        let mut edit = Edit::new(&tree);
        let mut set = |field: u16, component: u16, text: &str| -> Result<(), Refusals> {
            if text.is_empty() {
                return Ok(());
            }
            let steps = [Step::Field(field), Step::Component(component)];
            edit.set(header, &steps, text).map_err(|e| unwritable(&e))
        };
        let swapped = [(3_u16, 5_u16), (4, 6), (5, 3), (6, 4)];
        let own = [
            &envelope.sending_application,
            &envelope.sending_facility,
            &envelope.receiving_application,
            &envelope.receiving_facility,
        ];
        for ((to, from), own) in swapped.into_iter().zip(own) {
            for component in 1..=3 {
                let text = match request {
                    Some(request) => msh(request, from, component),
                    None => own.split('^').nth(usize::from(component - 1)).unwrap_or_default().to_owned(),
                };
                set(to, component, &text)?;
            }
        }
        let now = cx.now.to_zoned(cx.zone());
        set(7, 1, &now.strftime("%Y%m%d%H%M%S%z").to_string())?;
        set(9, 1, message)?;
        set(9, 2, &event)?;
        let known = V2::declared(&version).version().unwrap_or(V2::V2_5_1);
        if known >= V2::V2_3_1 {
            set(9, 3, Schema::structure_for(known, message, &event).map_or(structure, |of| of.name()))?;
        }
        set(10, 1, &envelope.control_id)?;
        set(
            11,
            1,
            &request.map(|r| msh(r, 11, 1)).filter(|p| !p.is_empty()).unwrap_or_else(|| envelope.processing.clone()),
        )?;
        if let Some(request) = request {
            let msa =
                edit.insert(Anchor::After(Place::Node(header)), Insert::Segment(MSA)).map_err(|e| unwritable(&e))?;
            edit.set(msa, &[Step::Field(1)], "AA").map_err(|e| unwritable(&e))?;
            let control = msh(request, 10, 1);
            edit.set(msa, &[Step::Field(2)], control.as_str()).map_err(|e| unwritable(&e))?;
        }
        // What every message of the structure begins with: when the event was recorded.
        if request.is_none() && begins_with_event(known, structure) {
            let evn =
                edit.insert(Anchor::After(Place::Node(header)), Insert::Segment(EVN)).map_err(|e| unwritable(&e))?;
            let recorded = now.strftime("%Y%m%d%H%M%S%z").to_string();
            edit.set(evn, &[Step::Field(2)], recorded.as_str()).map_err(|e| unwritable(&e))?;
            let names_event = Schema::version(known).segment("EVN").and_then(|evn| evn.field(1));
            if names_event.is_some_and(|field| field.min > 0) {
                edit.set(evn, &[Step::Field(1)], event.as_str()).map_err(|e| unwritable(&e))?;
            }
        }
        let bytes = edit.finish().bytes;
        tree.syntax().parse(bytes, &generous()).map_err(|e| unreadable(&e))
    }
}

const MSA: SegmentName = match SegmentName::new(*b"MSA") {
    Some(name) => name,
    None => panic!("MSA is a segment name"),
};
const EVN: SegmentName = match SegmentName::new(*b"EVN") {
    Some(name) => name,
    None => panic!("EVN is a segment name"),
};

/// Whether EVN must stand in a message of a structure.
fn begins_with_event(version: V2, structure: &str) -> bool {
    let structure = Schema::version(version).structure(structure);
    structure.is_some_and(|of| {
        let mut parts = of.children(0).filter_map(|part| of.node(part));
        parts.any(|part| part.name == "EVN" && part.required())
    })
}
