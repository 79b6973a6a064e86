//! Resources of another version of FHIR forward.

use std::cell::RefCell;

use super::super::super::plan::Whole;
use super::super::super::trace::{Disposition, Record};
use super::super::super::versions::{Convert, Facts, part};
use super::super::State;
use super::Get;

impl<'r> Get<'r> {
    /// The leaf that says of which type a document of another version is.
    pub(super) fn whole_document(&self) -> Option<u32> {
        let root = self.source.root().node;
        if self.plan.wholes.is_empty() { None } else { part::resource_type(self.source.tree, root)?.1 }
    }

    /// A resource of another version, with all that is in it.
    pub(super) fn whole(&mut self, frame: usize, whole: &'r Whole) -> State {
        let tree = self.source.tree;
        let Some(node) = self.source.first(self.of(frame).base(), &whole.native) else { return State::Empty };
        let Some((resource, leaf)) = part::resource_type(tree, node) else { return State::Empty };
        let from = whole.version.facts();
        let Some(of) = from.of(&resource).filter(|_| resource == whole.native_type) else { return State::Empty };
        let read = part::read(tree, node, from, &of);
        let blocks = &self.plan.versions;
        let convert = Convert { from, to: Facts::r4(), blocks, inward: true, prefers: &[], stale: RefCell::default() };
        let parts = convert.object(&whole.native_type, &whole.r4_type, &read);
        let at = self.ensure(frame, whole.slot);
        let records = &mut self.records;
        let mut told = |leaf: u32, node, part: &part::Part| {
            let line = part.line.unwrap_or(whole.line);
            let disposition = if part.approximated { Disposition::Approximated } else { Disposition::Mapped };
            records.push(Record::new(leaf, node, line, disposition));
        };
        if let Some(leaf) = leaf {
            told(leaf, at, &part::Part::default());
        }
        part::draw(&mut self.draft, at, &parts, &mut told);
        State::Valued
    }
}
