//! Looking for a segment's place in a structure.

use super::{NodeIndex, NodeKind, Structure};

/// The search for a segment of one name.
pub(super) struct Search<'s> {
    structure: &'s Structure,
    name: &'s str,
    /// Whether the structure names the segment: if so, a place for any segment is not for it.
    named: bool,
}

/// The nodes from where the search began down to the segment's, and how many required ones are left out before it.
pub(super) type Found = (u32, Vec<NodeIndex>);

/// What lies ahead in a group.
pub(super) struct Ahead {
    /// The place with the fewest left out, the first of several.
    pub(super) found: Option<Found>,
    /// How many required nodes are left out if the rest of the group is.
    pub(super) left_out: u32,
}

impl<'s> Search<'s> {
    pub(super) fn new(structure: &'s Structure, name: &'s str) -> Self {
        Self { structure, name, named: structure.names(name) }
    }

    /// Whether a node is a place for the segment.
    pub(super) fn is(&self, at: NodeIndex) -> bool {
        let Some(node) = self.structure.node(at) else {
            return false;
        };
        match node.kind {
            NodeKind::Segment => node.name == self.name,
            NodeKind::AnySegment => {
                let among_others = node
                    .parent
                    .and_then(|parent| self.structure.node(parent))
                    .is_some_and(|parent| parent.kind == NodeKind::Choice);
                // "OBR or another order detail segment" means HL7's own; a place of its own takes a site's too.
                !(self.named || among_others && self.name.starts_with('Z'))
            }
            NodeKind::Group | NodeKind::Choice => false,
        }
    }

    /// Looks in a node: the segment itself, or in a group from its start. Strict, nothing required may come before it.
    pub(super) fn enter(&self, at: NodeIndex, lenient: bool) -> Option<Found> {
        if self.is(at) {
            return Some((0, vec![at]));
        }
        if !self.structure.node(at)?.is_group() {
            return None;
        }
        let (cost, mut path) = self.at_start(at, lenient)?;
        path.insert(0, at);
        Some((cost, path))
    }

    /// Looks in a group from its start; the path does not have the group itself.
    pub(super) fn at_start(&self, group: NodeIndex, lenient: bool) -> Option<Found> {
        self.ahead(group, None, lenient, &|_| false).found
    }

    /// Looks in a group after a node of it, or from its start. `barrier` says which nodes nothing may pass.
    pub(super) fn ahead(
        &self,
        group: NodeIndex,
        after: Option<NodeIndex>,
        lenient: bool,
        barrier: &dyn Fn(NodeIndex) -> bool,
    ) -> Ahead {
        let mut ahead = Ahead { found: None, left_out: 0 };
        let choice = self.structure.node(group).is_some_and(|node| node.kind == NodeKind::Choice);
        if choice && after.is_some() {
            return ahead;
        }
        let children = self.structure.children(group).skip_while(|child| after.is_some_and(|after| *child <= after));
        for child in children {
            if !choice && !lenient && ahead.left_out > 0 {
                // The rest cannot be reached; what is left out before it is known to be something.
                return ahead;
            }
            if let Some((cost, path)) = self.enter(child, lenient) {
                let cost = cost + if choice { 0 } else { ahead.left_out };
                if ahead.found.as_ref().is_none_or(|(least, _)| cost < *least) {
                    ahead.found = Some((cost, path));
                }
                if !lenient {
                    return ahead;
                }
            }
            if barrier(child) {
                return ahead;
            }
            let needed = self.structure.node(child).is_some_and(|node| node.required() && !node.nullable);
            ahead.left_out += u32::from(needed && !choice);
        }
        if choice {
            ahead.left_out = 1;
        }
        ahead
    }

    /// How many required nodes stand in a group after a node of it.
    pub(super) fn rest(&self, group: NodeIndex, after: Option<NodeIndex>) -> u32 {
        let needed = self
            .structure
            .children(group)
            .filter(|child| after.is_none_or(|after| *child > after))
            .filter(|child| self.structure.node(*child).is_some_and(|node| node.required() && !node.nullable))
            .count();
        let choice = self.structure.node(group).is_some_and(|node| node.kind == NodeKind::Choice);
        if choice { u32::from(after.is_none()) } else { u32::try_from(needed).unwrap_or(u32::MAX) }
    }
}
