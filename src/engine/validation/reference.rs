//! References, contained resources, and the entries of a Bundle.

use rustc_hash::FxHashSet;

use crate::definitions::{Kind, Symbol, TypeId};
use crate::fhir::datatypes::is_id;
use crate::fhir::document::Node;
use crate::fhirpath::root_of;

use super::finding::{Detail, IssueType, Rule};
use super::plan::ElementPlan;
use super::walk::Walk;

/// What a reference says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Literal<'d> {
    /// `Type/id`, without base and version.
    pub(super) relative: &'d str,
    pub(super) type_name: &'d str,
    pub(super) is_absolute: bool,
}

/// What stands before `/_history/`. Hardly a reference has an underscore: one is looked for first.
fn without_version(reference: &str) -> &str {
    if memchr::memchr(b'_', reference.as_bytes()).is_none() {
        return reference;
    }
    reference.split_once("/_history/").map_or(reference, |(before, _)| before)
}

/// `[base/]Type/id[/_history/version]`.
pub(super) fn literal(reference: &str) -> Option<Literal<'_>> {
    let plain = reference.split(['#', '?']).next().unwrap_or(reference);
    let plain = without_version(plain);
    let is_absolute =
        plain.find(':').is_some_and(|colon| plain.get(colon..).is_some_and(|rest| rest.starts_with("://")));
    let id_at = plain.rfind('/')? + 1;
    let (before, id) = plain.split_at_checked(id_at)?;
    let before = before.strip_suffix('/')?;
    let type_at = before.rfind('/').map_or(0, |slash| slash + 1);
    if !is_absolute && type_at != 0 {
        return None;
    }
    let type_name = before.get(type_at..)?;
    let is_type = type_name.starts_with(|first: char| first.is_ascii_uppercase())
        && type_name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_type || !is_id(id) {
        return None;
    }
    Some(Literal { relative: plain.get(type_at..)?, type_name, is_absolute })
}

/// The resource of the same document that a reference is to: contained, or an entry of the Bundle.
pub(super) fn resolve<'d>(reference: &str, from: Node<'d>) -> Option<Node<'d>> {
    if let Some(id) = reference.strip_prefix('#') {
        let container = root_of(from.resource());
        if id.is_empty() {
            return Some(container);
        }
        return container.document().contained(container, id);
    }
    let document = from.document();
    if document.root().type_name() != "Bundle" {
        return None;
    }
    let plain = without_version(reference);
    if let Some(found) = document.bundle().by_url(plain) {
        return Some(document.node(found));
    }
    let literal = literal(plain).filter(|literal| !literal.is_absolute)?;
    // A relative reference is relative to the base of its entry's fullUrl, where that has one.
    let entry = root_of(from.resource()).parent().filter(|parent| parent.element_name() == "entry");
    if let Some(url) = entry.and_then(|entry| entry.text_at("fullUrl")) {
        // Where that has none, as a `urn:uuid:`, a relative reference leads to nothing in the Bundle.
        let own = self::literal(url).filter(|literal| literal.is_absolute)?;
        let base = url.strip_suffix(own.relative)?;
        return document.bundle().by_url(&format!("{base}{plain}")).map(|found| document.node(found));
    }
    document.bundle().by_id(literal.relative).map(|found| document.node(found))
}

impl<'d> Walk<'_, 'd> {
    pub(super) fn reference(&mut self, node: Node<'d>, holder: Option<&ElementPlan>) {
        let names = &self.validator.names;
        let reference = node.child(names.reference).next();
        let said = node.child(names.kind).next().and_then(Node::text);
        let Some(text) = reference.and_then(Node::text) else {
            if let (Some(holder), Some(said)) = (holder, said) {
                self.target_type(node, said, holder);
            }
            return;
        };
        let found = if let Some(id) = text.strip_prefix('#') {
            let Some(container) = self.resources.first().copied() else { return };
            // In a Bundle, the container is the entry's resource.
            let container = self.container().unwrap_or(container);
            if id.is_empty() {
                Some(container.type_name())
            } else {
                let target = self.contained_in(container, id);
                let Some(target) = target else {
                    // It leads nowhere, and a reference of this form is to be one to a contained resource.
                    self.error(
                        IssueType::NotFound,
                        Rule::Format("reference"),
                        node.id(),
                        Detail::Dangling { within: "contained" },
                    );
                    self.error(
                        IssueType::Invariant,
                        Rule::Constraint("ref-1".into()),
                        node.id(),
                        Detail::Says("a reference that begins with # is to a resource that is contained"),
                    );
                    return;
                };
                Some(target.type_name())
            }
        } else if let Some(entry) = resolve(text, node) {
            Some(entry.type_name())
        } else {
            self.address(node, text);
            literal(text).map(|literal| literal.type_name)
        };
        if let (Some(holder), Some(found)) = (holder, found.or(said).filter(|found| !found.is_empty())) {
            self.target_type(node, found, holder);
        }
        if let (Some(said), Some(found)) = (said, found)
            && !said.contains(':')
            && said != found
            && !found.is_empty()
        {
            self.error(
                IssueType::Value,
                Rule::Format("reference-type"),
                node.id(),
                Detail::Told(format!("type says {said}, the reference is to {found}").into()),
            );
        }
    }

    /// What a reference that leads to nothing in the document is made of: it is a URI; in an entry of a Bundle one that is
    /// relative has a type and an id, or in a transaction is a search.
    fn address(&mut self, node: Node<'d>, text: &str) {
        if text.bytes().any(|byte| byte <= b' ') {
            let says = Detail::Says("a reference is a URI, which has no white space");
            self.error(IssueType::Value, Rule::Format("reference"), node.id(), says);
            return;
        }
        if text.contains(':') || matches!(text.bytes().filter(|byte| *byte == b'/').count(), 1 | 3) {
            return;
        }
        let root = node.document().root();
        let entry = root_of(node.resource()).parent().filter(|parent| parent.element_name() == "entry");
        let Some(_) = entry.filter(|entry| root.type_name() == "Bundle" && entry.text_at("fullUrl").is_some()) else {
            return;
        };
        let may_search = matches!(root.text_at("type"), Some("transaction" | "batch"));
        if !(may_search && text.contains('?')) {
            let says =
                Detail::Says("a relative reference in a Bundle has a type and an id; only a transaction may search");
            self.error(IssueType::Value, Rule::Format("reference"), node.id(), says);
        }
    }

    /// The contained resource of this id. They are looked through once for a container.
    pub(super) fn contained_in(&mut self, container: Node<'d>, id: &str) -> Option<Node<'d>> {
        let names = &self.validator.names;
        if self.contained.as_ref().is_none_or(|(of, _)| *of != container.id()) {
            let by_id = container
                .child(names.contained)
                .filter_map(|one| Some((one.child(names.id).next().and_then(Node::text)?, one)))
                .collect();
            self.contained = Some((container.id(), by_id));
        }
        self.contained.as_ref().and_then(|(_, by_id)| by_id.get(id).copied())
    }

    /// The resource whose contained resources are meant by `#id`: the outermost that is not a Bundle or its like.
    pub(super) fn container(&self) -> Option<Node<'d>> {
        self.resources
            .iter()
            .rev()
            .find(|resource| resource.parent().is_none_or(|_| !resource.element_name().eq("contained")))
            .copied()
    }

    fn target_type(&mut self, node: Node<'d>, found: &str, holder: &ElementPlan) {
        if holder.targets.is_empty() {
            return;
        }
        let Some(target) = self.model.type_named(found).filter(|id| self.model.kind(*id) == Kind::Resource) else {
            if !found.starts_with(|first: char| first.is_ascii_uppercase()) {
                return;
            }
            let allowed = self.allowed(&holder.targets);
            let detail = Detail::TargetType { found: Box::from(found), allowed };
            self.error(IssueType::Value, Rule::Element(holder.id), node.id(), detail);
            return;
        };
        if holder.targets.iter().any(|allowed| self.model.is_a(target, *allowed)) {
            return;
        }
        let detail = Detail::TargetType { found: Box::from(found), allowed: self.allowed(&holder.targets) };
        self.error(IssueType::Value, Rule::Element(holder.id), node.id(), detail);
    }

    fn allowed(&self, targets: &[TypeId]) -> Box<str> {
        let names: Vec<&str> = targets.iter().map(|id| self.model.type_name(*id)).collect();
        names.join(" or ").into_boxed_str()
    }

    /// What holds for contained resources: each has an id, and the ids differ.
    pub(super) fn contained(&mut self, resource: Node<'d>) {
        let names = &self.validator.names;
        let (contained, id) = (names.contained, names.id);
        if contained == Symbol::UNKNOWN {
            return;
        }
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        for one in resource.child(contained) {
            match one.child(id).next().and_then(Node::text) {
                None => self.error(
                    IssueType::Required,
                    Rule::Format("contained-id"),
                    one.id(),
                    Detail::Says("a contained resource needs an id to be referred to by"),
                ),
                Some(held) if !seen.insert(held) => self.error(
                    IssueType::Structure,
                    Rule::Format("contained-id"),
                    one.id(),
                    Detail::Says("another contained resource has the same id"),
                ),
                Some(_) => {}
            }
        }
    }
}
