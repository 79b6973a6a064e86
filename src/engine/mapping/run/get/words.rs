//! What a sender calls a code otherwise than its code system does.

use crate::terminology::{Known, Terminology};

use super::super::super::plan::SlotAt;
use super::super::super::trace::{Disposition, Record};
use super::Get;

impl Get<'_> {
    /// A display is what the code system calls the code. Where the system is at hand and calls it otherwise, the
    /// sender's words are the concept's text, or stay in the original where that is taken.
    pub(super) fn own_words(&mut self) {
        for (frame, slot, record) in std::mem::take(&mut self.displays) {
            let above = |get: &Self, frame: usize, slot: u16| match get.slot_of(frame, slot).map(|of| &of.at) {
                Some(SlotAt::Child { parent, .. }) => Some((get.above(frame, parent.up), parent.slot)),
                _ => None,
            };
            let Some(display) = self.peek(frame, slot) else { continue };
            let Some((of, coding_slot)) = above(self, frame, slot) else { continue };
            let Some(coding) = self.peek(of, coding_slot) else { continue };
            if self.draft.type_name(coding) != "Coding" {
                continue;
            }
            let said = |name: &str| self.draft.existing_child(coding, name).and_then(|at| self.draft.text(at));
            let (Some(system), Some(code), Some(text)) = (said("system"), said("code"), said("display")) else {
                continue;
            };
            // Only HL7's own code systems come with the program.
            if !system.starts_with("http://terminology.hl7.org/") && !system.starts_with("http://hl7.org/fhir/") {
                continue;
            }
            let known = Terminology::built_in();
            let Known::Code { display: held } = known.code(system, code) else { continue };
            if held.is_empty()
                || crate::terminology::is_display(text, &held)
                || known.has_designation(system, code, text)
            {
                continue;
            }
            let text = text.to_owned();
            self.draft.remove(display);
            self.forget(frame, slot);
            let concept = above(self, of, coding_slot)
                .and_then(|(frame, slot)| self.peek(frame, slot))
                .filter(|at| self.draft.type_name(*at) == "CodeableConcept")
                .filter(|at| self.draft.existing_child(*at, "text").is_none());
            let root = self.draft.root();
            let moved = concept.map(|concept| self.draft.child(concept, "text"));
            if let Some(at) = moved {
                self.draft.set(at, &text);
            }
            if let Some(record) = self.records.get_mut(record) {
                record.node = moved.unwrap_or(root);
                if moved.is_none() {
                    *record = Record::new(record.leaf, record.node, record.line(), Disposition::Residue);
                    self.reasons.push((record.leaf, format!("expected the display of the code system, {held:?}")));
                }
            }
        }
    }
}
