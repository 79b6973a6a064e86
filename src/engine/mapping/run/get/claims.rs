//! Which leaves have said what they had to say, and by what.

use crate::fhir::draft::At;
use crate::native::{Kind, NodeId, Tree, Value};

use super::super::super::plan::{Condition, NativePath, NativeSelect};
use super::super::super::syntax::Test;
use super::super::super::trace::{Disposition, Record};
use super::super::State;
use super::super::source::Base;
use super::Get;

impl Get<'_> {
    /// Whether a part says something: a value, that there is none, or nothing.
    pub(super) fn says(&self, node: NodeId) -> State {
        let tree = self.source.tree;
        let (mut null, mut other) = (false, false);
        for leaf in tree.leaves(node) {
            match tree.value(tree.leaf_node(leaf)) {
                Value::Text(_) => return State::Valued,
                Value::Null => null = true,
                Value::Empty | Value::Absent => other = true,
            }
        }
        match (null, other) {
            (true, false) => State::Null,
            (true, true) => State::Valued,
            (false, _) => State::Empty,
        }
    }

    pub(super) fn claim_all(&mut self, node: NodeId, line: u32, disposition: Disposition) {
        let root = self.draft.root();
        for leaf in self.source.tree.leaves(node) {
            self.records.push(Record::new(leaf, root, line, disposition));
        }
    }

    /// The leaf that a node's value is.
    pub(super) fn leaf(&self, node: NodeId) -> Option<u32> {
        let tree = self.source.tree;
        if tree.kind(node) == Kind::Element {
            return own_text(tree, node).next();
        }
        tree.leaf(node).or_else(|| tree.leaves(node).next())
    }

    pub(super) fn record(&mut self, node: NodeId, at: At, line: u32, disposition: Disposition) {
        let tree = self.source.tree;
        if tree.kind(node) == Kind::Element {
            for leaf in own_text(tree, node) {
                self.records.push(Record::new(leaf, at, line, disposition));
            }
            return;
        }
        if let Some(leaf) = self.leaf(node) {
            self.records.push(Record::new(leaf, at, line, disposition));
        }
    }

    /// The leaves by which a selection was made have said what they had to say.
    pub(super) fn guard(&mut self, place: Base, path: &NativePath, line: u32) {
        for step in &path.steps {
            if let NativeSelect::Where(conditions, _) = &step.select {
                self.claim_conditions(place, conditions, line);
            }
        }
    }

    pub(super) fn claim_conditions(&mut self, place: Base, conditions: &[Condition], line: u32) {
        let root = self.draft.root();
        for condition in conditions {
            let values = match &condition.test {
                Test::In(values) => values.as_slice(),
                Test::Written(text) => std::slice::from_ref(text),
                _ => continue,
            };
            for found in self.source.select_any(place, condition) {
                let says = self.source.value(found.node).text().is_some_and(|t| values.iter().any(|v| *v == t));
                if says {
                    self.record(found.node, root, line, Disposition::Mapped);
                }
            }
        }
    }
}

/// The leaves that an element's own text is, comments and elements between them or not.
fn own_text(tree: &Tree, element: NodeId) -> impl Iterator<Item = u32> + '_ {
    tree.children(element).filter(|child| tree.kind(*child) == Kind::Text).filter_map(|child| tree.leaf(child))
}
