//! The narrative of a resource (<http://hl7.org/fhir/R4/narrative.html>): its XHTML, where its links lead, its languages.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::fhir::document::Node;

use super::finding::{Detail, IssueType, Rule};
use super::narrative::{self, Anchors, Fault, Scheme};
use super::walk::Walk;

impl<'d> Walk<'_, 'd> {
    /// The narrative keeps to the XHTML of FHIR, and its links lead somewhere.
    pub(super) fn narrative(&mut self, node: Node<'d>) {
        let Some(div) = node.child(self.validator.names.div).next() else { return };
        let Some(text) = div.text() else { return };
        let mut anchors = Anchors::default();
        let faults = narrative::read(text, &mut anchors);
        // What the rules of the narrative say, and what is wrong by them.
        if faults.iter().any(|fault| matches!(fault, Fault::Element(_) | Fault::Attribute(_) | Fault::Malformed)) {
            let says = Detail::Says("the narrative has only what XHTML of FHIR allows");
            self.error(IssueType::Invariant, Rule::Constraint("txt-1".into()), div.id(), says);
        }
        for fault in faults {
            let detail = match fault {
                Fault::Malformed => Detail::Says("the narrative is not well-formed XHTML"),
                Fault::Root => Detail::Says("the narrative is a div in the namespace http://www.w3.org/1999/xhtml"),
                Fault::Element(name) => told(format!("the element \"{name}\" is not allowed in a narrative")),
                Fault::Attribute(name) => told(format!("the attribute \"{name}\" is not allowed in a narrative")),
                Fault::Block(name) => told(format!("the element \"{name}\" is not allowed within a paragraph")),
                Fault::Empty => Detail::Says("the narrative has no content"),
                Fault::Place(name, of) => told(format!("the element \"{name}\" cannot stand in a {of}")),
                Fault::Text(of) => told(format!("no text can stand in a {of}")),
                Fault::Instruction => Detail::Says("a narrative has no processing instructions"),
                Fault::Entity => Detail::Says("the narrative has an entity that XHTML does not define"),
                Fault::Link(number, Scheme::Empty) => told(format!("link {number} of the narrative has no address")),
                Fault::Link(number, Scheme::Active) => {
                    told(format!("link {number} of the narrative runs when it is followed"))
                }
                Fault::Link(number, Scheme::Name) => {
                    told(format!("link {number} of the narrative is a name, which cannot be followed"))
                }
            };
            self.error(IssueType::Invariant, Rule::Constraint("txt-1".into()), div.id(), detail);
        }
        anchors.wanted.retain(|wanted| !anchors.there.contains(wanted));
        if anchors.wanted.is_empty() {
            return;
        }
        anchors.wanted.sort();
        anchors.wanted.dedup();
        // What is not in the narrative itself may be an id of the resource, or of what is around it.
        collect(node.resource(), &mut |id| anchors.wanted.retain(|wanted| wanted != id));
        if anchors.wanted.is_empty() {
            return;
        }
        if self.anchors.is_none() {
            let mut all = FxHashSet::default();
            collect(node.document().root(), &mut |id| {
                all.insert(Box::from(id));
            });
            self.anchors = Some(all);
        }
        let all = self.anchors.as_ref();
        let missing = anchors.wanted.iter().filter(|one| all.is_none_or(|all| !all.contains(one.as_str()))).count();
        for _ in 0..missing {
            let detail = Detail::Says("a link of the narrative leads to an id that is not there");
            self.error(IssueType::Invariant, Rule::Format("narrative-link"), div.id(), detail);
        }
    }

    /// Whether a narrative has sections in the languages that a profile asks for.
    pub(super) fn sections(&mut self, node: Node<'d>, wanted: &[Arc<str>], rule: &Rule) {
        let Some(text) = node.text_at("div") else { return };
        let mut anchors = Anchors::default();
        narrative::read(text, &mut anchors);
        let there = anchors.languages;
        let language = node.resource().text_at("language");
        for one in wanted {
            let says = match one.trim_start_matches(['_', '#']) {
                "no" if one.len() == 3 => {
                    if there.is_empty() {
                        continue;
                    }
                    told("the narrative has sections by language, where the profile allows none".to_owned())
                }
                "yes" if one.len() == 4 => {
                    if !there.is_empty() {
                        continue;
                    }
                    told("the narrative has no sections by language, which the profile asks for".to_owned())
                }
                "resource" => {
                    let Some(language) = language.filter(|_| !there.is_empty()) else { continue };
                    if there.iter().any(|held| held == language) {
                        continue;
                    }
                    told("the narrative has no section in the language of the resource".to_owned())
                }
                language => {
                    if there.is_empty() || there.iter().any(|held| held == language) {
                        continue;
                    }
                    told(format!("the narrative has no section in the language {language}"))
                }
            };
            self.error(IssueType::BusinessRule, rule.clone(), node.id(), says);
        }
    }
}

fn told(text: String) -> Detail {
    Detail::Told(text.into())
}

/// The ids of the elements of a resource, and of its narrative, each with how many have it.
pub(super) fn ids(resource: Node<'_>) -> FxHashMap<Box<str>, usize> {
    let mut counts: FxHashMap<Box<str>, usize> = FxHashMap::default();
    collect(resource, &mut |id| *counts.entry(Box::from(id)).or_default() += 1);
    counts
}

/// Tells every id below a node: of elements, and of their narratives.
fn collect(holder: Node<'_>, tell: &mut dyn FnMut(&str)) {
    let mut open = vec![holder];
    while let Some(node) = open.pop() {
        if node.element_name() == "id" {
            node.text().into_iter().for_each(&mut *tell);
        } else if node.type_name() == "xhtml" {
            let mut anchors = Anchors::default();
            narrative::read(node.text().unwrap_or(""), &mut anchors);
            anchors.there.iter().for_each(|id| tell(id));
        }
        open.extend(node.children());
    }
}
