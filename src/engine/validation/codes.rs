//! CodeSystems and ValueSets as documents: codes that are there twice, totals that are not so, systems that are none.

use rustc_hash::FxHashSet;

use crate::fhir::document::Node;

use super::walk::Walk;

impl<'d> Walk<'_, 'd> {
    /// Judges a CodeSystem as a definition (<http://hl7.org/fhir/R4/codesystem.html>).
    pub(super) fn code_system(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let content = node.text_at("content");
        let mut seen: FxHashSet<&str> = FxHashSet::default();
        let mut open: Vec<Node<'d>> = node.named("concept").collect();
        open.reverse();
        let first = open.last().copied();
        let mut count: u64 = 0;
        while let Some(concept) = open.pop() {
            count += 1;
            if let Some(code) = concept.text_at("code")
                && !seen.insert(code)
            {
                self.misdefined(concept, format!("the code {code} is there already"));
            }
            let mut within: Vec<Node<'d>> = concept.named("concept").collect();
            within.reverse();
            open.extend(within);
        }
        if let (Some("complete"), Some(said)) = (content, node.first("count"))
            && said.text().and_then(|said| said.parse().ok()).is_some_and(|said: u64| said != count)
        {
            self.misdefined(said, format!("the code system is complete and has {count} concepts"));
        }
        if let (Some("not-present"), Some(first)) = (content, first) {
            self.misdefined(first, "the code system says that its concepts are not here");
        }
        if let Some(at) = node.first("content") {
            match (content == Some("supplement"), node.first("supplements").is_some()) {
                (true, false) => self.misdefined(at, "a supplement says which code system it is of"),
                (false, true) => self.misdefined(at, "what supplements a code system is a supplement"),
                _ => {}
            }
        }
    }

    /// Judges a ValueSet as a definition (<http://hl7.org/fhir/R4/valueset.html>).
    pub(super) fn value_set(&mut self, node: Node<'d>) {
        self.own_canonical(node);
        let Some(compose) = node.first("compose") else { return };
        for part in compose.named("include").chain(compose.named("exclude")) {
            let Some(system) = part.text_at("system") else { continue };
            if !system.contains(':') && !system.starts_with('#') {
                self.misdefined(part, "the code system is named by an absolute URI");
            } else if self.validator.terminology().code(system, "") == crate::terminology::Known::NoSystem
                && self.validator.terminology().value_set(system).is_some()
            {
                self.misdefined(part, format!("{system} is a value set, not a code system"));
            }
        }
    }
}
