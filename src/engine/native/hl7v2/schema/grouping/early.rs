//! Results of earlier orders, told from orders by their control codes; and segments that come before what they belong
//! behind.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::search::{EARLIER, Manner, Search, Wanted};
use super::super::{NodeIndex, Structure};
use super::{Child, Group, GroupId, GroupTree, Place};

/// Order control codes (table 0119) by which a placer asks something of a filler: of no results.
const ASKED: [&str; 9] = ["NW", "CA", "DC", "HD", "RL", "RP", "XO", "RO", "SS"];

/// Whether segments are known to be, or not to be, of results of earlier orders.
pub(super) fn earlier<'c, N: AsRef<str>>(
    structure: &Structure,
    names: &[N],
    control: &dyn Fn(usize) -> Option<Cow<'c, str>>,
) -> Vec<Option<bool>> {
    if structure.group(EARLIER).is_none() {
        return Vec::new();
    }
    let mut known = vec![None; names.len()];
    without_order(names, control, &mut known);
    let first = names.iter().position(|name| matches!(name.as_ref(), "ORC" | "OBR"));
    let mut next = None;
    // Of which sort the next order is: behind the last one there is none that anything could be of.
    let mut ahead = Some(false);
    for (index, (name, known)) in names.iter().zip(&mut known).enumerate().rev() {
        match name.as_ref() {
            "ORC" => {
                next = match control(index).as_deref() {
                    // Before the first order there is none that it could be a result of.
                    Some("PR") if first == Some(index) => Some(false),
                    Some("PR") => Some(true),
                    Some(code) if ASKED.contains(&code) => Some(false),
                    _ => None,
                };
                *known = next;
                ahead = next;
            }
            // What stands between is of the patient before it, whatever the next order is.
            "OBR" => (next, ahead) = (None, None),
            "PID" => *known = next.take().filter(|earlier| !earlier),
            // A visit or an allergy with no earlier result behind it has come late, and is of the patient.
            "PD1" | "PV1" | "PV2" | "AL1" => *known = ahead.filter(|earlier| !earlier),
            _ => {}
        }
    }
    known
}

/// Of which sort observation requests are that have neither an order segment nor a patient of their own: of the same as
/// the one before.
fn without_order<'c, N: AsRef<str>>(
    names: &[N],
    control: &dyn Fn(usize) -> Option<Cow<'c, str>>,
    known: &mut [Option<bool>],
) {
    // Of which sort the last request was, and whether the next has a segment of its own before it.
    let (mut sort, mut headed) = (Some(false), false);
    let mut requests = 0_usize;
    for (index, (name, known)) in names.iter().zip(known).enumerate() {
        match name.as_ref() {
            "ORC" => {
                headed = true;
                sort = match control(index).as_deref() {
                    _ if requests == 0 => Some(false),
                    Some("PR") => Some(true),
                    Some(code) if ASKED.contains(&code) => Some(false),
                    _ => None,
                };
            }
            "PID" if requests > 0 => (sort, headed) = (None, true),
            "OBR" => {
                if !headed && requests > 0 {
                    *known = sort;
                }
                headed = false;
                requests += 1;
            }
            _ => {}
        }
    }
}

impl GroupTree<'_> {
    /// Gives those segments their place that stand in no group, before what they belong behind, and for which the
    /// structure has room further on. Those that follow each other are of one group.
    pub(super) fn come_early<N: AsRef<str>>(&mut self, names: &[N], earlier: &[Option<bool>]) {
        let is_stray = |place: &Place| place.node.is_none() && place.group == 0;
        if !self.places.iter().zip(names).any(|(place, name)| is_stray(place) && self.structure.names(name.as_ref())) {
            return;
        }
        let Some(children) = self.groups.first_mut().map(|message| std::mem::take(&mut message.children)) else {
            return;
        };
        let mut filled: HashMap<NodeIndex, usize> = HashMap::new();
        for node in children.iter().filter_map(|child| self.node_of(*child)) {
            *filled.entry(node).or_default() += 1;
        }
        let mut all = Vec::with_capacity(children.len());
        // The group that the segment before came early into, and its node there.
        let mut open: Option<(GroupId, NodeIndex)> = None;
        for child in children {
            let stray = match child {
                Child::Segment(index) if self.places.get(index).is_some_and(is_stray) => Some(index),
                Child::Segment(_) | Child::Group(_) => None,
            };
            let Some((index, name)) = stray.and_then(|index| Some((index, names.get(index)?.as_ref()))) else {
                open = None;
                all.push(child);
                continue;
            };
            let search = Search::new(self.structure, Wanted { name, earlier: earlier.get(index).copied().flatten() });
            let on = open.and_then(|(group, at)| {
                let node = self.groups.get(group)?.node;
                let (_, path) = search.ahead(node, Some(at), Manner::Strict).found?;
                Some((group, path))
            });
            if let Some((group, path)) = on {
                open = self.put_early(index, group, &path).map(|_| (group, path.first().copied().unwrap_or_default()));
                continue;
            }
            let has_room = |first: &NodeIndex| {
                let max = self.structure.node(*first).and_then(|node| node.max);
                max.is_none_or(|max| filled.get(first).copied().unwrap_or(0) < usize::from(max))
            };
            let astray = self.places.get(index).is_some_and(|place| place.astray);
            let mut parts = self.structure.children(0).filter(has_room).filter(|_| !astray);
            let found = parts.find_map(|child| search.enter(child, Manner::Strict));
            let Some((_, path)) = found else {
                open = None;
                all.push(child);
                continue;
            };
            let occurrence = path.first().map_or(1, |first| {
                let times = filled.entry(*first).or_default();
                *times += 1;
                *times
            });
            let first_group = self.groups.len();
            open = self.put_early(index, 0, &path).filter(|_| path.len() > 1);
            all.push(if path.len() > 1 { Child::Group(first_group) } else { child });
            if let Some(group) = self.groups.get_mut(first_group).filter(|_| path.len() > 1) {
                group.occurrence = u32::try_from(occurrence).unwrap_or(u32::MAX);
            }
        }
        if let Some(message) = self.groups.first_mut() {
            message.children = all;
        }
    }

    /// Puts a stray segment into a group, through new groups where the path has any; gives its group and node there.
    fn put_early(&mut self, index: usize, within: GroupId, path: &[NodeIndex]) -> Option<(GroupId, NodeIndex)> {
        let (segment, groups) = path.split_last()?;
        let mut group = within;
        for node in groups {
            let id = self.groups.len();
            let occurrence = u32::try_from(self.count(group, *node)).unwrap_or(u32::MAX).saturating_add(1);
            let parent = Some(group);
            self.groups.push(Group { node: *node, parent, occurrence, segments: index..index, children: Vec::new() });
            if group != 0 {
                self.groups.get_mut(group)?.children.push(Child::Group(id));
            }
            group = id;
        }
        if group != 0 {
            self.groups.get_mut(group)?.children.push(Child::Segment(index));
        }
        let mut around = group;
        while around != 0 {
            let of = self.groups.get_mut(around)?;
            of.segments.end = index + 1;
            around = of.parent?;
        }
        *self.places.get_mut(index)? = Place { group, node: Some(*segment), late: true, astray: false };
        Some((group, *segment))
    }
}
