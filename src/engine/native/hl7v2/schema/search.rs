//! Looking for a segment's place in a structure.

use super::{NodeIndex, NodeKind, Structure};

/// The group of results of earlier orders.
pub(super) const EARLIER: &str = "PRIOR_RESULT";

/// A segment that a place is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'n> {
    pub(super) name: &'n str,
    /// Whether it is, or is not, of results of earlier orders, where that is known.
    pub(super) earlier: Option<bool>,
}

/// The search for a segment of one name.
pub(super) struct Search<'s> {
    structure: &'s Structure,
    wanted: Wanted<'s>,
    /// Whether the structure names the segment: if so, a place for any segment is not for it.
    named: bool,
}

/// The nodes from where the search began down to the segment's, and how many required ones are left out before it.
pub(super) type Found = (u32, Vec<NodeIndex>);

/// Whether required nodes may be left out before the segment.
#[derive(Clone, Copy)]
pub(super) enum Manner<'a> {
    /// None may.
    Strict,
    /// Those whose segment does not come, or not here: see [`Presence`].
    Lenient(&'a dyn Fn(&str) -> Presence),
}

/// Where else in the message the segments of a name are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nowhere: the sender leaves it out.
    Absent,
    /// There were some: a group without it begins here only with something that the group requires too.
    Seen,
    /// None yet, but they come: nothing goes past their place.
    Awaited,
}

/// What lies ahead in a group.
pub(super) struct Ahead {
    /// The place with the fewest left out, the first of several.
    pub(super) found: Option<Found>,
    /// How many required nodes are left out if the rest of the group is.
    pub(super) left_out: u32,
    /// Whether the rest of the group cannot be left out.
    pub(super) blocked: bool,
}

impl<'s> Search<'s> {
    pub(super) fn new(structure: &'s Structure, wanted: Wanted<'s>) -> Self {
        Self { structure, wanted, named: structure.names(wanted.name) }
    }

    /// Whether a node is in the group of results of earlier orders.
    pub(super) fn is_earlier(&self, at: NodeIndex) -> bool {
        std::iter::successors(Some(at), |at| self.structure.node(*at)?.parent)
            .any(|at| self.structure.node(at).is_some_and(|node| node.is_group() && node.name == EARLIER))
    }

    /// Whether a node is a place for the segment.
    pub(super) fn is(&self, at: NodeIndex) -> bool {
        let Some(node) = self.structure.node(at) else {
            return false;
        };
        match node.kind {
            NodeKind::Segment => {
                node.name == self.wanted.name
                    && self.wanted.earlier.is_none_or(|earlier| self.is_earlier(at) == earlier)
            }
            NodeKind::AnySegment => {
                // "OBR or another order detail segment" means HL7's own; a place of its own takes a site's too.
                let among_others = node.parent.is_some_and(|parent| self.is_choice(parent));
                !(self.named || among_others && self.wanted.name.starts_with('Z'))
            }
            NodeKind::Group | NodeKind::Choice => false,
        }
    }

    /// Looks in a node: the segment itself, or in a new occurrence of a group.
    pub(super) fn enter(&self, at: NodeIndex, manner: Manner<'_>) -> Option<Found> {
        if self.is(at) {
            return Some((0, vec![at]));
        }
        if !self.structure.node(at)?.is_group() {
            return None;
        }
        let (cost, mut path) = self.anew(at, manner)?;
        path.insert(0, at);
        Some((cost, path))
    }

    /// The way to the segment where it is the first of a group, or of a group that a group begins with.
    pub(super) fn lead(&self, group: NodeIndex) -> Option<Vec<NodeIndex>> {
        let mut path = vec![group];
        loop {
            let at = *path.last()?;
            if !self.structure.node(at)?.is_group() {
                return (path.len() > 1 && self.is(at)).then_some(path);
            }
            let mut parts = self.structure.children(at);
            let first = if self.is_choice(at) { parts.find(|part| self.is(*part)) } else { parts.next() };
            path.push(first?);
        }
    }

    /// Looks in a new occurrence of a group; the path does not have the group itself.
    pub(super) fn anew(&self, group: NodeIndex, manner: Manner<'_>) -> Option<Found> {
        self.walk(group, None, manner, true).found
    }

    /// Looks in a group that has begun, after a node of it or from its start.
    pub(super) fn ahead(&self, group: NodeIndex, after: Option<NodeIndex>, manner: Manner<'_>) -> Ahead {
        self.walk(group, after, manner, false)
    }

    /// How many required nodes stand in a group after a node of it.
    pub(super) fn rest(&self, group: NodeIndex, after: Option<NodeIndex>) -> u32 {
        if self.is_choice(group) {
            return u32::from(after.is_none());
        }
        let rest = self.structure.children(group).filter(|child| after.is_none_or(|after| *child > after));
        u32::try_from(rest.filter(|child| self.is_needed(*child)).count()).unwrap_or(u32::MAX)
    }

    fn walk(&self, group: NodeIndex, after: Option<NodeIndex>, manner: Manner<'_>, new: bool) -> Ahead {
        let mut ahead = Ahead { found: None, left_out: 0, blocked: false };
        let choice = self.is_choice(group);
        if choice && after.is_some() {
            return ahead;
        }
        let mut only_required = false;
        let children = self.structure.children(group).skip_while(|child| after.is_some_and(|after| *child <= after));
        for child in children {
            let needed = self.is_needed(child);
            if (needed || !only_required)
                && let Some((cost, path)) = self.enter(child, manner)
            {
                let cost = cost + ahead.left_out;
                if ahead.found.as_ref().is_none_or(|(least, _)| cost < *least) {
                    ahead.found = Some((cost, path));
                }
                if matches!(manner, Manner::Strict) {
                    return ahead;
                }
            }
            if choice || !needed {
                continue;
            }
            match manner {
                Manner::Strict => ahead.blocked = true,
                Manner::Lenient(presence) => match self.structure.leading_segment(child).map(presence) {
                    Some(Presence::Awaited) => ahead.blocked = true,
                    Some(Presence::Seen) => only_required |= new,
                    Some(Presence::Absent) | None => {}
                },
            }
            ahead.left_out += 1;
            if ahead.blocked {
                return ahead;
            }
        }
        if choice {
            ahead.left_out = 1;
            ahead.blocked = matches!(manner, Manner::Strict);
        }
        ahead
    }

    fn is_choice(&self, at: NodeIndex) -> bool {
        self.structure.node(at).is_some_and(|node| node.kind == NodeKind::Choice)
    }

    fn is_needed(&self, at: NodeIndex) -> bool {
        self.structure.node(at).is_some_and(|node| node.required() && !node.nullable)
    }
}
