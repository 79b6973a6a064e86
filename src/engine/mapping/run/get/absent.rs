//! What FHIR requires and the document does not say: an element with the reason why it has no value.

use crate::definitions::{ElementId, Kind, Symbol, TypeId};
use crate::fhir::draft::At;

use super::super::ABSENT;
use super::Get;

impl Get<'_> {
    /// Required elements that no line has made are there without a value (data-absent-reason: unknown), never with one
    /// that nobody said.
    pub(super) fn absences(&mut self) {
        let model = self.model;
        for at in self.draft.made() {
            let Some(of) = self.draft.type_of(at) else { continue };
            let absent = |id: ElementId| !self.draft.children(at).any(|child| self.draft.element_of(child) == Some(id));
            let missing = model
                .required(of)
                .filter(|element| absent(element.id()))
                .filter(|element| !element.is_choice() && !element.is_attribute())
                .filter(|element| {
                    // A part with parts of its own cannot be said to be unknown without naming these.
                    element
                        .types()
                        .next()
                        .is_some_and(|choice| matches!(model.kind(choice.type_id()), Kind::Primitive | Kind::Complex))
                })
                .map(|element| element.symbol());
            let missing: Vec<Symbol> = missing.chain(self.lacking(at, of)).collect();
            for symbol in missing {
                let element = self.draft.push_of(at, symbol);
                let extension = self.draft.push(element, "extension");
                self.draft.set_path(extension, "url", ABSENT);
                self.draft.set_path(extension, "valueCode", "unknown");
            }
        }
    }

    /// What a constraint of FHIR demands that no cardinality does: org-1, att-1.
    fn lacking(&self, at: At, of: TypeId) -> Option<Symbol> {
        let has = |name: &str| self.draft.existing_child(at, name).is_some();
        let name = if of == self.names.organization {
            Some("name").filter(|_| !has("identifier") && !has("name"))
        } else if of == self.names.attachment {
            Some("contentType").filter(|name| has("data") && !has(name))
        } else {
            None
        };
        name.map(|name| self.model.symbol(name))
    }
}
