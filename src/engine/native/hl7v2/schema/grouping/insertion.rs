//! Where a new segment goes in a message that is grouped.

use super::super::NodeIndex;
use super::super::search::{Manner, Presence, Search, Wanted};
use super::{Child, GroupId, GroupTree};

/// Where a new segment goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insertion {
    /// The segment after which it goes; none before the first.
    pub after: Option<usize>,
    /// Its node in the structure.
    pub node: NodeIndex,
    /// The groups that begin with it, outermost first.
    pub opens: Vec<NodeIndex>,
}

/// Why a new segment has no place in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The structure has no such segment directly in this group, or at the beginning of a group in it.
    #[error("the structure has no place for this segment in this group")]
    NotInStructure,
    /// It is there and may not be repeated.
    #[error("the segment is there and may not be repeated")]
    Full,
    /// No group occurrence has this number.
    #[error("there is no such group")]
    NoSuchGroup,
}

impl GroupTree<'_> {
    /// Where a new segment of this name goes in a group occurrence, by the order of the structure: after the last of
    /// its kind, else after what comes before it. It may be a segment of the group itself or one that begins a group
    /// in it.
    pub fn insertion_point(&self, group: GroupId, name: &str) -> Result<Insertion, NoPlace> {
        self.insertion(group, name, Manner::Strict)
    }

    /// Where a new segment of this name goes although what a group requires before it is not there.
    ///
    /// # Errors
    /// As [`GroupTree::insertion_point`].
    pub fn insertion_point_without(&self, group: GroupId, name: &str) -> Result<Insertion, NoPlace> {
        self.insertion(group, name, Manner::Lenient(&|_| Presence::Absent))
    }

    fn insertion(&self, id: GroupId, name: &str, manner: Manner<'_>) -> Result<Insertion, NoPlace> {
        let search = Search::new(self.structure, Wanted { name, earlier: None });
        let group = self.groups.get(id).ok_or(NoPlace::NoSuchGroup)?;
        let all: Vec<Vec<NodeIndex>> = self
            .structure
            .children(group.node)
            .filter_map(|child| search.enter(child, manner).map(|(_, path)| path))
            .collect();
        // A segment of the group itself comes before one that begins a group in it, and that before one that would
        // begin a group by leaving out what is optional before it.
        let rank = |path: &Vec<NodeIndex>| match path.as_slice() {
            [_] => 0,
            [first, .., last] if usize::from(last - first) + 1 == path.len() => 1,
            _ => 2,
        };
        let best = all.iter().map(rank).min();
        let candidates: Vec<&Vec<NodeIndex>> = all.iter().filter(|path| Some(rank(path)) == best).collect();
        let count = |node: NodeIndex| self.count(id, node);
        let has_room = |node: NodeIndex| {
            self.structure.node(node).is_some_and(|of| of.max.is_none_or(|max| count(node) < usize::from(max)))
        };
        let first = |path: &Vec<NodeIndex>| path.first().copied().unwrap_or_default();
        let chosen = candidates
            .iter()
            .rev()
            .find(|path| count(first(path)) > 0 && has_room(first(path)))
            .or_else(|| candidates.iter().find(|path| has_room(first(path))))
            .copied();
        let Some(path) = chosen else {
            return Err(if candidates.is_empty() { NoPlace::NotInStructure } else { NoPlace::Full });
        };
        let (node, opens) = path.split_last().ok_or(NoPlace::NotInStructure)?;
        Ok(Insertion { after: self.end_before(group, first(path)).checked_sub(1), node: *node, opens: opens.to_vec() })
    }

    /// The segment after which a new occurrence of a group of this name begins, within a group occurrence.
    #[must_use]
    pub fn insertion_of_group(&self, group: GroupId, name: &str) -> Option<usize> {
        let mut group = self.groups.get(group)?;
        let end = self.structure.node(group.node)?.end;
        let is = |node: &NodeIndex| self.structure.node(*node).is_some_and(|of| of.is_group() && of.name == name);
        let target = (group.node + 1..end).find(is)?;
        loop {
            // The group on the way to it; where that is not there, it comes with it.
            let on = self.structure.children(group.node).find(|child| {
                *child <= target && self.structure.node(*child).is_some_and(|of| target < of.end.max(*child + 1))
            })?;
            let there = group.children.iter().rev().find_map(|child| match child {
                Child::Group(id) => self.groups.get(*id).filter(|of| on != target && of.node == on),
                Child::Segment(_) => None,
            });
            match there {
                Some(inner) => group = inner,
                None => return self.end_before(group, on).checked_sub(1),
            }
        }
    }
}
