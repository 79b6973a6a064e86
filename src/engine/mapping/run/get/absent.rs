//! What FHIR requires and the document does not say: an element with the reason why it has no value.

use crate::definitions::{Kind, Symbol};
use crate::fhir::draft::At;

use super::super::ABSENT;
use super::Get;

impl Get<'_> {
    /// Required elements that no line has made are there without a value (data-absent-reason: unknown), never with one
    /// that nobody said.
    pub(super) fn absences(&mut self) {
        let mut open: Vec<At> = self.entry_places.iter().map(|entry| entry.at).collect();
        while let Some(at) = open.pop() {
            let Some(of) = self.draft.type_of(at) else { continue };
            if matches!(self.model.kind(of), Kind::Primitive) {
                continue;
            }
            open.extend(self.draft.children(at));
            let model = self.model;
            let missing: Vec<Symbol> = model
                .required(of)
                .filter(|element| {
                    let is_it = |child: At| {
                        model.child(of, self.draft.symbol(child)).is_some_and(|found| found.element == element.id())
                    };
                    !self.draft.children(at).any(is_it)
                })
                .filter(|element| !element.is_choice() && !element.is_attribute())
                .filter(|element| {
                    // A part with parts of its own cannot be said to be unknown without naming these.
                    element
                        .types()
                        .next()
                        .is_some_and(|choice| matches!(model.kind(choice.type_id()), Kind::Primitive | Kind::Complex))
                })
                .map(|element| element.symbol())
                .collect();
            let missing = missing.into_iter().chain(self.lacking(at));
            for symbol in missing {
                let element = self.draft.push_of(at, symbol);
                let extension = self.draft.push(element, "extension");
                self.draft.set_path(extension, "url", ABSENT);
                self.draft.set_path(extension, "valueCode", "unknown");
            }
        }
    }

    /// What a constraint of FHIR demands that no cardinality does: org-1, att-1.
    fn lacking(&self, at: At) -> Option<Symbol> {
        let has = |name: &str| self.draft.existing_child(at, name).is_some();
        let name = match self.draft.type_name(at) {
            "Organization" if !has("identifier") && !has("name") => "name",
            "Attachment" if has("data") && !has("contentType") => "contentType",
            _ => return None,
        };
        Some(self.model.symbol(name))
    }
}
