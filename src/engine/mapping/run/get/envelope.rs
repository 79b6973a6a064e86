//! What a Bundle of another version of FHIR says for itself, forward.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::fhir::draft::At;

use super::super::super::trace::{Disposition, Record};
use super::super::super::versions::{Convert, Facts, Place, envelope, part};
use super::Get;

impl Get<'_> {
    /// Puts what a Bundle and its entries say for themselves beside the resources.
    pub(super) fn envelope(&mut self) {
        let Some((version, line)) = self.plan.envelope else { return };
        let (tree, from) = (self.source.tree, version.facts());
        let blocks = &self.plan.versions;
        let convert = Convert { from, to: Facts::r4(), blocks, inward: true, prefers: &[], stale: RefCell::default() };
        let root = self.draft.root();
        let read = envelope::read(tree, self.source.root().node, from, Place::Bundle);
        let own = envelope::converted(&convert, &read, Place::Bundle, None);
        if let Some(before) = self.draft.existing_child(root, "type") {
            self.draft.remove(before);
        }
        self.tell(root, &own, line);
        let kind = own.iter().find(|p| p.name == "type").and_then(|p| p.text.clone());
        let holders: FxHashMap<At, At> = self
            .draft
            .children(root)
            .filter_map(|entry| Some((self.draft.existing_child(entry, "resource")?, entry)))
            .collect();
        let entries: Vec<_> = self.entry_places.iter().map(|e| (e.frame, e.at)).collect();
        for (frame, at) in entries {
            let Some(holder) = holders.get(&at) else { continue };
            let read = envelope::read(tree, self.of(frame).base().node, from, Place::Entry);
            let own = envelope::converted(&convert, &read, Place::Entry, Some(kind.as_deref().unwrap_or_default()));
            self.tell(*holder, &own, line);
        }
    }

    fn tell(&mut self, at: At, parts: &[part::Part], line: u32) {
        let records = &mut self.records;
        let mut told = |leaf: u32, node, part: &part::Part| {
            let line = part.line.unwrap_or(line);
            let disposition = if part.approximated { Disposition::Approximated } else { Disposition::Mapped };
            records.push(Record::new(leaf, node, line, disposition));
        };
        part::draw(&mut self.draft, at, parts, &mut told);
    }
}
