//! Grouping: which group of its structure each segment of a message belongs to.
//!
//! Real messages miss segments, swap them and add their own. Grouping never refuses: it is greedy, looks at each
//! segment once, gives every segment a place, and says which ones the structure does not expect and what it misses.

mod early;
mod insertion;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

pub use insertion::{Insertion, NoPlace};

use super::search::{Manner, Presence, Search, Wanted};
use super::{NodeIndex, NodeKind, Structure};

/// The segments of a message, grouped.
#[derive(Debug, Clone)]
pub struct GroupTree<'s> {
    structure: &'s Structure,
    groups: Vec<Group>,
    places: Vec<Place>,
}

/// The number of a group occurrence in its [`GroupTree`]; 0 is the message.
pub type GroupId = usize;

/// One occurrence of a group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Which group of the structure.
    pub node: NodeIndex,
    /// The occurrence that holds it; none for the message.
    pub parent: Option<GroupId>,
    /// Which occurrence in its parent, from 1.
    pub occurrence: u32,
    /// Its segments, those of the groups in it among them: they follow each other, but for what came late of a group further
    /// out while this went on.
    pub segments: Range<usize>,
    /// What it holds directly, in order.
    pub children: Vec<Child>,
}

/// Something directly in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// A group occurrence.
    Group(GroupId),
    /// A segment, by its index in the message.
    Segment(usize),
}

/// Where a segment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The group occurrence that holds it.
    pub group: GroupId,
    /// Which node of the structure it is; none if the structure does not expect it there.
    pub node: Option<NodeIndex>,
    /// Whether it comes after what the structure has behind it.
    pub late: bool,
    /// Whether it follows an unexpected segment that it belongs to; its group is where both stand.
    pub astray: bool,
}

impl Place {
    /// Whether the structure does not expect it where it stands.
    #[must_use]
    pub const fn is_unexpected(&self) -> bool {
        self.node.is_none() || self.late
    }
}

/// A required segment or group that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Which node of the structure.
    pub node: NodeIndex,
    /// The group occurrence that misses it.
    pub group: GroupId,
    /// The segment before which it would stand; the number of segments at the end.
    pub before: usize,
}

/// Groups the segments of a message, given their names in order.
///
/// A segment goes to the first of these that takes it:
/// 1. the place of the segment before it, if that repeats;
/// 2. a new occurrence of the innermost group that began with a segment of its name, if nothing required is left out;
/// 3. the nearest later place that needs nothing required to be left out, or the beginning of a new occurrence,
///    from the innermost group outwards;
/// 4. the place of those that leaves out the fewest required segments. None goes past the place of a required segment
///    that is still to come for the first time, and no group begins without its required segments where others have
///    them, unless with something else that it requires;
/// 5. a new occurrence of a group that has such a part already and has room for one only, though it does not begin with
///    it: a second observation request (OBR) behind one order segment (ORC) is an order of its own;
/// 6. a place that the message has gone past and that has room, from the innermost group outwards: it comes late, and
///    ends no group that what follows it goes on in. A note (NTE) comments on what it stands behind, and has no such place
///    further out;
/// 7. where it stands, as unexpected, which ends no group; what the structure has further on, and where there is room for it, has come early
///    and is of its own place all the same.
///
/// What belongs to an unexpected segment (the notes behind a patient for whom there is no place) is unexpected with it:
/// it is of nothing that stands before.
#[must_use]
pub fn group<'s, N: AsRef<str>>(structure: &'s Structure, names: &[N]) -> GroupTree<'s> {
    group_by(structure, names, &|_| None)
}

/// Groups the segments of a message, given their names and, by its place, the order control code (ORC-1) of an order
/// segment. Where a structure has results of earlier orders, names alone cannot tell these from the next order: PR says
/// that it is one of them, what asks something of a filler (NW, CA, …) that it is none; and a patient who comes before
/// an order that is none is not the patient of earlier results.
#[must_use]
pub fn group_by<'s, 'c, N: AsRef<str>>(
    structure: &'s Structure,
    names: &[N],
    control: &dyn Fn(usize) -> Option<Cow<'c, str>>,
) -> GroupTree<'s> {
    let earlier = early::earlier(structure, names, control);
    let mut first = HashMap::with_capacity(16);
    for (index, name) in names.iter().enumerate() {
        first.entry(name.as_ref()).or_insert(index);
    }
    let mut grouper = Grouper {
        tree: GroupTree {
            structure,
            groups: vec![Group { node: 0, parent: None, occurrence: 1, segments: 0..0, children: Vec::new() }],
            places: Vec::with_capacity(names.len()),
        },
        open: vec![Open::new(0, "")],
        unplaced: None,
    };
    for (index, name) in names.iter().enumerate() {
        let name = name.as_ref();
        let presence = |other: &str| match first.get(other) {
            None => Presence::Absent,
            Some(at) if *at > index => Presence::Awaited,
            Some(_) => Presence::Seen,
        };
        let next = names.get(index + 1..).unwrap_or_default().iter().map(AsRef::as_ref);
        let next = next.take(AHEAD).find(|other| *other != name && structure.names(other));
        let wanted = Wanted { name, earlier: earlier.get(index).copied().flatten() };
        grouper.place(index, wanted, next, &presence);
    }
    let mut tree = grouper.tree;
    tree.come_early(names, &earlier);
    tree
}

/// Comments on what it stands behind (chapter 2, "NTE - notes and comments segment").
const NOTE: &str = "NTE";

/// How far is looked for what follows a segment and those like it.
const AHEAD: usize = 8;

/// A group occurrence that is being filled.
struct Open<'n> {
    group: GroupId,
    /// The node directly in it that was filled last; none yet.
    at: Option<NodeIndex>,
    /// How often that node was filled in a row.
    times: u16,
    /// The segment with which this occurrence began.
    began: &'n str,
    /// How often each node directly in it was filled.
    filled: Vec<(NodeIndex, u16)>,
}

impl<'n> Open<'n> {
    fn new(group: GroupId, began: &'n str) -> Self {
        Self { group, at: None, times: 0, began, filled: Vec::new() }
    }
}

/// Where a segment is to go: the open groups kept, whether the innermost of them begins anew, and the nodes from
/// there down to the segment's own.
struct Target {
    keep: usize,
    anew: bool,
    path: Vec<NodeIndex>,
}

struct Grouper<'s, 'n> {
    tree: GroupTree<'s>,
    /// The open groups, the message first.
    open: Vec<Open<'n>>,
    /// The unexpected segment that what follows may belong to.
    unplaced: Option<&'n str>,
}

impl<'n> Grouper<'_, 'n> {
    fn place(&mut self, index: usize, wanted: Wanted<'n>, next: Option<&str>, presence: &dyn Fn(&str) -> Presence) {
        let astray = self.unplaced.is_some_and(|leader| self.tree.structure.belongs_behind(leader, wanted.name));
        let target = if astray {
            None
        } else {
            self.same_again(wanted).or_else(|| self.find(wanted, presence)).or_else(|| self.one_more(wanted))
        };
        let late = if target.is_none() && !astray { self.late(wanted) } else { None };
        let is_late = late.is_some();
        let aside = late.as_ref().is_some_and(|late| next.is_some_and(|next| self.goes_on(late.keep, next)));
        let node = match late {
            Some(late) if aside => return self.set_aside(&late, index),
            Some(late) => self.come_late(late, wanted.name, index),
            None => target.and_then(|target| self.move_to(target, wanted.name, index)),
        };
        let Some(innermost) = self.open.last().map(|open| open.group) else {
            return;
        };
        if let Some(group) = self.tree.groups.get_mut(innermost) {
            group.children.push(Child::Segment(index));
        }
        for open in &self.open {
            if let Some(group) = self.tree.groups.get_mut(open.group) {
                group.segments.end = index + 1;
            }
        }
        self.tree.places.push(Place { group: innermost, node, late: is_late && node.is_some(), astray });
        if node.is_some() {
            self.unplaced = None;
        } else if !astray && self.tree.structure.names(wanted.name) {
            self.unplaced = Some(wanted.name);
        }
    }

    fn same_again(&self, wanted: Wanted<'_>) -> Option<Target> {
        let open = self.open.last()?;
        let at = open.at?;
        let node = self.tree.structure.node(at)?;
        let again = Search::new(self.tree.structure, wanted).is(at) && node.max.is_none_or(|max| open.times < max);
        again.then(|| Target { keep: self.open.len(), anew: false, path: vec![at] })
    }

    /// A new occurrence of a group that began with this segment, the innermost such group; and how many required
    /// nodes of the occurrences that this ends are left out.
    fn begun_again(&self, wanted: Wanted<'_>) -> Option<(u32, Target)> {
        let search = Search::new(self.tree.structure, wanted);
        let mut left_out = 0;
        for (level, open) in self.open.iter().enumerate().skip(1).rev() {
            let node = self.tree.groups.get(open.group)?.node;
            left_out += search.rest(node, open.at);
            if open.began == wanted.name
                && (wanted.earlier != Some(true) || search.is_earlier(node))
                && self.may_begin_anew(level)
                && let Some((_, path)) = search.anew(node, Manner::Lenient(&|_| Presence::Absent))
            {
                let target = Target { keep: level + 1, anew: true, path };
                return Some((left_out, target));
            }
        }
        None
    }

    /// One more of the innermost group that holds such a part, has room for one only, and may be repeated: without
    /// what it begins with.
    fn one_more(&self, wanted: Wanted<'_>) -> Option<Target> {
        let search = Search::new(self.tree.structure, wanted);
        self.open.iter().enumerate().skip(1).rev().find_map(|(level, open)| {
            let group = self.tree.groups.get(open.group)?.node;
            let parts = self.tree.structure.children(group).filter(|part| open.times_of(*part) > 0);
            let path = parts.filter_map(|part| search.lead(part)).next()?;
            self.may_begin_anew(level).then_some(Target { keep: level + 1, anew: true, path })
        })
    }

    /// Whether the group at this level may have one more occurrence.
    fn may_begin_anew(&self, level: usize) -> bool {
        let group = self.open.get(level).and_then(|open| self.tree.groups.get(open.group));
        let outer = level.checked_sub(1).and_then(|level| self.open.get(level));
        let (Some(group), Some(outer)) = (group, outer) else {
            return false;
        };
        self.tree.structure.node(group.node).is_some_and(|node| node.max.is_none_or(|max| outer.times < max))
    }

    fn find(&self, wanted: Wanted<'_>, presence: &dyn Fn(&str) -> Presence) -> Option<Target> {
        let again = self.begun_again(wanted);
        if let Some((0, target)) = again {
            return Some(target);
        }
        self.search(wanted, Manner::Strict, None).or_else(|| self.search(wanted, Manner::Lenient(presence), again))
    }

    /// Moves to a place that was gone past; what follows in the group goes on from where it was.
    fn come_late(&mut self, target: Target, name: &'n str, index: usize) -> Option<NodeIndex> {
        let level = target.keep.checked_sub(1)?;
        let was = self.open.get(level).map(|open| (open.at, open.times));
        let node = self.move_to(target, name, index);
        if let (Some(open), Some((at, times))) = (self.open.get_mut(level), was) {
            (open.at, open.times) = (at, times);
        }
        node
    }

    /// Whether a group further in than those kept is gone on in by a segment of this name.
    fn goes_on(&self, keep: usize, name: &str) -> bool {
        let search = Search::new(self.tree.structure, Wanted { name, earlier: None });
        self.open.iter().skip(keep).any(|open| {
            let node = self.tree.groups.get(open.group).map_or(0, |group| group.node);
            let again = open
                .at
                .is_some_and(|at| search.is(at) && self.tree.structure.node(at).is_some_and(|node| node.repeats()));
            again || search.ahead(node, open.at, Manner::Strict).found.is_some()
        })
    }

    /// Puts a late segment into the place that it has further out, though it stands among what is further in.
    fn set_aside(&mut self, late: &Target, index: usize) {
        let Some((segment, groups)) = late.path.split_last() else { return };
        let Some(outer) = late.keep.checked_sub(1).and_then(|level| self.open.get_mut(level)) else { return };
        let first = late.path.first().copied().unwrap_or(*segment);
        outer.fill(first);
        let mut times = outer.times_of(first);
        let mut group = outer.group;
        for node in groups {
            let id = self.tree.groups.len();
            let of = Group {
                node: *node,
                parent: Some(group),
                occurrence: u32::from(std::mem::replace(&mut times, 1)),
                segments: index..index + 1,
                children: Vec::new(),
            };
            self.tree.groups.push(of);
            if let Some(parent) = self.tree.groups.get_mut(group) {
                parent.children.push(Child::Group(id));
            }
            group = id;
        }
        if let Some(of) = self.tree.groups.get_mut(group) {
            of.children.push(Child::Segment(index));
        }
        for open in self.open.iter().take(late.keep) {
            if let Some(group) = self.tree.groups.get_mut(open.group) {
                group.segments.end = index + 1;
            }
        }
        self.tree.places.push(Place { group, node: Some(*segment), late: true, astray: false });
        self.unplaced = None;
    }

    /// A place that was gone past, in the innermost group that has one with room and needs nothing before it.
    fn late(&self, wanted: Wanted<'_>) -> Option<Target> {
        let search = Search::new(self.tree.structure, wanted);
        let levels = if wanted.name == NOTE { 1 } else { self.open.len() };
        self.open.iter().enumerate().rev().take(levels).find_map(|(level, open)| {
            let group = self.tree.groups.get(open.group)?;
            let at = open.at?;
            let has_room = |first: NodeIndex| {
                let max = self.tree.structure.node(first).and_then(|node| node.max);
                max.is_none_or(|max| open.times_of(first) < max)
            };
            self.tree
                .structure
                .children(group.node)
                .take_while(|child| *child <= at)
                .filter(|child| has_room(*child))
                .find_map(|child| search.enter(child, Manner::Strict))
                .map(|(_, path)| Target { keep: level + 1, anew: false, path })
        })
    }

    /// Looks for a place from the innermost group outwards; the one that leaves out the fewest required nodes.
    fn search(&self, wanted: Wanted<'_>, manner: Manner<'_>, mut best: Option<(u32, Target)>) -> Option<Target> {
        let search = Search::new(self.tree.structure, wanted);
        let strict = matches!(manner, Manner::Strict);
        let mut left_out = 0;
        for (level, open) in self.open.iter().enumerate().rev() {
            let node = self.tree.groups.get(open.group)?.node;
            let ahead = search.ahead(node, open.at, manner);
            if let Some((cost, path)) = ahead.found {
                let target = Target { keep: level + 1, anew: false, path };
                keep_least(&mut best, left_out + cost, target);
            }
            if ahead.blocked || strict && best.is_some() {
                break;
            }
            left_out += ahead.left_out;
            if self.may_begin_anew(level)
                && let Some((cost, path)) = search.anew(node, manner)
            {
                let target = Target { keep: level + 1, anew: true, path };
                keep_least(&mut best, left_out + cost, target);
            }
            if strict && best.is_some() {
                break;
            }
        }
        best.map(|(_, target)| target)
    }

    /// Closes and opens groups so that the segment's group is the innermost; gives the segment's node.
    fn move_to(&mut self, target: Target, name: &'n str, index: usize) -> Option<NodeIndex> {
        self.open.truncate(target.keep);
        if target.anew {
            let closed = self.open.pop()?;
            let node = self.tree.groups.get(closed.group)?.node;
            self.open_group(node, name, index)?;
        }
        let (segment, groups) = target.path.split_last()?;
        for node in groups {
            self.open_group(*node, name, index)?;
        }
        let innermost = self.open.last_mut()?;
        innermost.advance(*segment);
        Some(*segment)
    }

    fn open_group(&mut self, node: NodeIndex, name: &'n str, index: usize) -> Option<()> {
        let id = self.tree.groups.len();
        let outer = self.open.last()?;
        let is_back = outer.at.is_some_and(|at| at > node);
        let outer = self.open.last_mut()?;
        outer.advance(node);
        if is_back {
            outer.times = outer.times_of(node);
        }
        self.tree.groups.push(Group {
            node,
            parent: Some(outer.group),
            occurrence: u32::from(outer.times),
            segments: index..index,
            children: Vec::new(),
        });
        let parent = outer.group;
        self.tree.groups.get_mut(parent)?.children.push(Child::Group(id));
        self.open.push(Open::new(id, name));
        Some(())
    }
}

impl Open<'_> {
    fn advance(&mut self, node: NodeIndex) {
        self.times = if self.at == Some(node) { self.times.saturating_add(1) } else { 1 };
        self.at = Some(node);
        self.fill(node);
    }

    fn fill(&mut self, node: NodeIndex) {
        match self.filled.iter_mut().find(|(of, _)| *of == node) {
            Some((_, times)) => *times = times.saturating_add(1),
            None => self.filled.push((node, 1)),
        }
    }

    fn times_of(&self, node: NodeIndex) -> u16 {
        self.filled.iter().find(|(of, _)| *of == node).map_or(0, |(_, times)| *times)
    }
}

/// Keeps the cheaper of two targets, the earlier found where they cost the same.
fn keep_least(best: &mut Option<(u32, Target)>, cost: u32, target: Target) {
    if best.as_ref().is_none_or(|(least, _)| cost < *least) {
        *best = Some((cost, target));
    }
}

impl<'s> GroupTree<'s> {
    /// The structure by which it was grouped.
    #[must_use]
    pub const fn structure(&self) -> &'s Structure {
        self.structure
    }

    /// All group occurrences; the first is the message, each stands before those in it.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// One group occurrence.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// The occurrences of the groups with this name, in order.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups
            .iter()
            .enumerate()
            .filter(move |(_, group)| self.structure.node(group.node).is_some_and(|node| node.name == name))
    }

    /// Where each segment stands, in the order of the message.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The innermost occurrence of a group with this name around a segment.
    #[must_use]
    pub fn around(&self, segment: usize, name: &str) -> Option<GroupId> {
        let mut at = Some(self.places.get(segment)?.group);
        while let Some(id) = at {
            let group = self.groups.get(id)?;
            if self.structure.node(group.node).is_some_and(|node| node.name == name) {
                return Some(id);
            }
            at = group.parent;
        }
        None
    }

    /// The segments that the structure does not expect where they stand, in order; those that come late among them.
    pub fn unexpected(&self) -> impl Iterator<Item = usize> {
        self.places.iter().enumerate().filter_map(|(index, place)| place.is_unexpected().then_some(index))
    }

    /// The required segments and groups that are not there, by the group that misses them. What a missing group
    /// would hold is not listed.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        for (id, group) in self.groups.iter().enumerate() {
            let choice = self.structure.node(group.node).is_none_or(|node| node.kind == NodeKind::Choice);
            if choice {
                continue;
            }
            for node in self.structure.children(group.node) {
                let required = self.structure.node(node).is_some_and(|node| node.required() && !node.nullable);
                if required && !group.children.iter().any(|child| self.node_of(*child) == Some(node)) {
                    let before = self.end_before(group, node);
                    missing.push(Missing { node, group: id, before });
                }
            }
        }
        missing
    }

    /// One past the last segment of what stands in a group up to and with a node of it; unexpected segments that
    /// follow belong to it.
    fn end_before(&self, group: &Group, node: NodeIndex) -> usize {
        let mut end = group.segments.start;
        let mut counts = false;
        for child in &group.children {
            if let Some(of) = self.node_of(*child) {
                counts = of <= node;
            }
            if counts {
                // What came late among others stands before their end.
                end = end.max(match *child {
                    Child::Segment(index) => index + 1,
                    Child::Group(id) => self.groups.get(id).map_or(end, |group| group.segments.end),
                });
            }
        }
        end
    }

    /// How often a group holds a node directly.
    fn count(&self, group: GroupId, node: NodeIndex) -> usize {
        let children = self.groups.get(group).map(|group| group.children.as_slice()).unwrap_or_default();
        children.iter().filter(|child| self.node_of(**child) == Some(node)).count()
    }

    fn node_of(&self, child: Child) -> Option<NodeIndex> {
        match child {
            Child::Segment(index) => self.places.get(index)?.node,
            Child::Group(id) => self.groups.get(id).map(|group| group.node),
        }
    }
}
