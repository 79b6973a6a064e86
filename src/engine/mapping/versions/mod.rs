//! FHIR of other versions as R4 and back: by the facts of both versions and what blocks of maps say beyond them.

mod apart;
mod convert;
mod crossing;
pub(crate) mod envelope;
mod facts;
pub(crate) mod lines;
pub(crate) mod merge;
pub(crate) mod part;

pub(crate) use convert::Convert;
pub use crossing::Crossing;
pub use facts::{ElementFacts, Facts, FhirVersion, TypeFacts};

use crate::native::{Kind, NodeId, Tree};

use super::counterpart::{Counterpart, Form};
use super::plan::{LineId, Plan, Whole};

/// A part of a Bundle that is no resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Bundle,
    Entry,
}

impl Place {
    pub(crate) const fn type_name(self) -> &'static str {
        match self {
            Self::Bundle => "Bundle",
            Self::Entry => "Bundle.entry",
        }
    }
}

/// Whether a document says that it is a resource of this type.
pub(crate) fn is_said(tree: &Tree, resource: &str) -> bool {
    part::resource_type(tree, NodeId::ROOT).is_some_and(|(name, _)| name == resource)
}

/// Whether a document is a resource of a version, and certainly of no other: all that it says is of that version, and
/// something in it is not of R4, nor of any other version.
pub(crate) fn is_of(tree: &Tree, version: FhirVersion, resource: &str) -> bool {
    if !is_said(tree, resource) || !fits(tree, NodeId::ROOT, version.facts(), resource) {
        return false;
    }
    let others = FhirVersion::ALL.into_iter().filter(|v| *v != version).map(FhirVersion::facts);
    !others.chain([Facts::r4()]).any(|facts| fits(tree, NodeId::ROOT, facts, resource))
}

/// Whether a document in XML says that it is a resource of this type.
pub(crate) fn is_said_in_xml(tree: &Tree, resource: &str) -> bool {
    let top = tree.document_element();
    top.is_some_and(|top| {
        tree.name(top).as_deref() == Some(resource) && tree.namespace(top) == Some("http://hl7.org/fhir")
    })
}

/// Whether a document in XML is a resource of a version, and certainly of no other.
pub(crate) fn is_of_xml(tree: &Tree, version: FhirVersion, resource: &str) -> bool {
    let fits = |facts| Counterpart::read(Form::Fhir(facts), tree).is_some_and(|read| !read.has_strays());
    if !is_said_in_xml(tree, resource) || !fits(version.facts()) {
        return false;
    }
    let others = FhirVersion::ALL.into_iter().filter(|v| *v != version).map(FhirVersion::facts);
    !others.chain([Facts::r4()]).any(fits)
}

/// Whether everything in an object has a name and a shape that a type of a version gives it.
fn fits(tree: &Tree, node: NodeId, facts: &Facts, type_name: &str) -> bool {
    let Some(of) = facts.of(type_name) else { return false };
    tree.children(node).all(|child| {
        let Some(name) = tree.name(child) else { return false };
        if name == "resourceType" {
            return of.is_resource;
        }
        let Some((element, inner)) = of.element(name.strip_prefix('_').unwrap_or(&name)) else { return false };
        if (tree.kind(child) == Kind::Array) != element.is_list {
            return false;
        }
        let items: Vec<NodeId> = if element.is_list { tree.children(child).collect() } else { vec![child] };
        items.into_iter().all(|item| match tree.kind(item) {
            Kind::Object if name.starts_with('_') => fits(tree, item, facts, "Element"),
            Kind::Object if inner == "Resource" => {
                part::resource_type(tree, item).is_some_and(|(name, _)| fits(tree, item, facts, &name))
            }
            Kind::Object => !part::is_primitive(inner) && fits(tree, item, facts, inner),
            Kind::Null => true,
            _ => part::is_primitive(inner) && !name.starts_with('_'),
        })
    })
}

/// An element of another version: its name, where it goes below the type of R4, by which line, and the two types where it
/// has elements of its own.
pub(crate) type Carried = (String, String, LineId, Option<(String, String)>);

/// Where the elements of a type go.
pub(crate) fn elements(plan: &Plan, whole: &Whole, from: &str, to: &str) -> Vec<Carried> {
    let (Some(native), Some(r4)) = (whole.version.facts().of(from), Facts::r4().of(to)) else { return Vec::new() };
    let lines = plan.versions.lines(from, to);
    let path = |side: &lines::Side| match &side.part {
        Some(part) => format!("{}.{part}", side.element),
        None => side.element.clone(),
    };
    let mut found = Vec::new();
    for line in lines {
        found.push((path(&line.native), path(&line.r4), line.line, None));
    }
    for element in &native.elements {
        if lines.iter().any(|l| l.native.part.is_none() && l.native.element == element.name) {
            continue;
        }
        match r4.named(&element.name) {
            Some(same) => {
                let inner = |e: &ElementFacts| e.types.first().filter(|t| t.contains('.')).cloned();
                let inner = inner(element).zip(inner(same)).filter(|(a, b)| (a.as_str(), b.as_str()) != (from, to));
                found.push((element.name.clone(), same.name.clone(), whole.line, inner));
            }
            None if lines.iter().all(|l| l.native.element != element.name) => {
                let place = if element.is_modifier { "modifierExtension" } else { "extension" };
                found.push((element.name.clone(), format!("{place}[…{}]", element.path), whole.line, None));
            }
            None => {}
        }
    }
    found
}
