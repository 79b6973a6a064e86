//! A native document as a plan reads it: bases, selections and conditions.

use std::borrow::Cow;
use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::native::hl7v2::schema::{GroupId, GroupTree, NodeIndex, Schema, Version as V2, group};
use crate::native::{Format, Kind, NodeId, Place, SegmentName, Tree, Value};

use super::super::plan::{Condition, NativeName, NativePath, NativeSelect};
use super::super::schema::version;
use super::super::syntax::{Test, Version};

/// Where a scope stands in a document: a node, and in HL7 v2 the group that it heads or is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) node: NodeId,
    pub(crate) group: GroupId,
}

/// A document with what is known of its structure.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    pub(crate) tree: &'t Tree,
    v2: Option<Segments>,
    pub(crate) version: Version,
    /// MSH-9.2.
    pub(crate) event: Option<String>,
}

#[derive(Debug)]
struct Segments {
    nodes: Vec<NodeId>,
    names: Vec<Option<SegmentName>>,
    groups: GroupTree<'static>,
    /// How deep segments stand below groups, as far as it was asked.
    depths: RefCell<FxHashMap<(NodeIndex, SegmentName), Option<u8>>>,
}

impl<'t> Source<'t> {
    /// Groups the segments of a message by the structure that the map reads.
    pub(crate) fn new(tree: &'t Tree, structure: Option<&str>) -> Self {
        let (Format::Hl7V2, Some(structure)) = (tree.format(), structure) else {
            return Self { tree, v2: None, version: (0, 0, 0), event: None };
        };
        let header = tree.segments().next();
        let text = |field: u16, component: u16| {
            let field = tree.field(header?, field)?;
            tree.text(tree.component(field, component))
        };
        let v2 = V2::declared(&text(12, 1).unwrap_or_default()).version().unwrap_or(V2::V2_5_1);
        let event = text(9, 2).map(Cow::into_owned);
        let structure = Schema::version(v2).structure(structure).or_else(|| {
            let message = structure.split('_').next().unwrap_or_default();
            Schema::structure_for(v2, message, event.as_deref().unwrap_or_default())
        });
        let nodes: Vec<NodeId> = tree.segments().collect();
        let names: Vec<Option<SegmentName>> = nodes.iter().map(|n| tree.segment_name(*n)).collect();
        let texts: Vec<&str> = names.iter().map(|n| n.as_ref().map_or("", SegmentName::as_str)).collect();
        let segments = structure.map(|structure| group(structure, &texts));
        let v2_segments = segments.map(|groups| Segments { nodes, names, groups, depths: RefCell::default() });
        Self { tree, v2: v2_segments, version: version(v2), event }
    }

    /// The document itself.
    pub(crate) const fn root(&self) -> Base {
        Base { node: NodeId::ROOT, group: 0 }
    }

    /// How the segments are grouped.
    pub(crate) fn groups(&self) -> Option<&GroupTree<'static>> {
        self.v2.as_ref().map(|v2| &v2.groups)
    }

    /// The place of a segment among the segments.
    pub(crate) fn segment_index(&self, node: NodeId) -> Option<usize> {
        self.v2.as_ref()?.nodes.binary_search(&node).ok()
    }

    /// The segment at a place among the segments.
    pub(crate) fn segment_at(&self, index: usize) -> Option<NodeId> {
        self.v2.as_ref()?.nodes.get(index).copied()
    }

    /// The segments in order.
    pub(crate) fn sequence(&self) -> Vec<(Place, SegmentName)> {
        let Some(v2) = &self.v2 else { return Vec::new() };
        v2.nodes.iter().zip(&v2.names).filter_map(|(node, name)| Some((Place::Node(*node), (*name)?))).collect()
    }

    /// All places that a path leads to.
    pub(crate) fn select(&self, base: Base, path: &NativePath) -> Vec<Base> {
        let mut found = Vec::new();
        let start = if path.from_document { self.root() } else { base };
        self.walk(start, path, 0, &mut |base| {
            found.push(base);
            true
        });
        found
    }

    /// The first place that a path leads to.
    pub(crate) fn first(&self, base: Base, path: &NativePath) -> Option<NodeId> {
        let mut found = None;
        let start = if path.from_document { self.root() } else { base };
        self.walk(start, path, 0, &mut |base| {
            found = Some(base.node);
            false
        });
        found
    }

    /// Visits places in order until the visitor has enough; gives whether it wants more.
    fn walk(&self, base: Base, path: &NativePath, at: usize, visit: &mut dyn FnMut(Base) -> bool) -> bool {
        let Some(step) = path.steps.get(at) else { return visit(base) };
        let mut on = |next: Base| self.walk(next, path, at + 1, visit);
        match &step.name {
            NativeName::Segment(name) => self.segments(base, *name, &step.select, &mut on),
            NativeName::Field(n) => match self.tree.field(base.node, *n) {
                Some(field) => {
                    self.choose(self.tree.repetitions(field).map(|node| Base { node, ..base }), &step.select, &mut on)
                }
                None => true,
            },
            NativeName::Component(n) => self.one(base, self.tree.component(base.node, *n), &mut on),
            NativeName::Subcomponent(n) => self.one(base, self.tree.subcomponent(base.node, *n), &mut on),
            NativeName::Member(name) => self.member(base, name, &step.select, &mut on),
            NativeName::Row => self.choose(self.tree.rows().map(|node| Base { node, ..base }), &step.select, &mut on),
            NativeName::Column(name) => self.one(base, self.tree.cell(base.node, name), &mut on),
            NativeName::Attribute(name) => {
                let found = self.tree.children(base.node).find(|c| {
                    self.tree.kind(*c) == Kind::Attribute && self.tree.name(*c).as_deref() == Some(name.as_ref())
                });
                self.one(base, found, &mut on)
            }
        }
    }

    fn one(&self, base: Base, node: Option<NodeId>, on: &mut dyn FnMut(Base) -> bool) -> bool {
        match node {
            Some(node) => on(Base { node, ..base }),
            None => true,
        }
    }

    fn choose(&self, all: impl Iterator<Item = Base>, select: &NativeSelect, on: &mut dyn FnMut(Base) -> bool) -> bool {
        let mut all = all;
        match select {
            NativeSelect::First => all.next().is_none_or(on),
            NativeSelect::Index(n) => all.nth(usize::from(n.saturating_sub(1))).is_none_or(on),
            NativeSelect::All => {
                for one in all {
                    if !on(one) {
                        return false;
                    }
                }
                true
            }
            NativeSelect::Where(conditions, many) => {
                for one in all.filter(|one| self.hold(*one, conditions)) {
                    if !on(one) {
                        return false;
                    }
                    if !many {
                        break;
                    }
                }
                true
            }
        }
    }

    fn member(&self, base: Base, name: &str, select: &NativeSelect, on: &mut dyn FnMut(Base) -> bool) -> bool {
        if self.tree.format() == Format::Xml {
            let all = self
                .tree
                .children(base.node)
                .filter(|c| self.tree.kind(*c) == Kind::Element && self.tree.name(*c).as_deref() == Some(name));
            return self.choose(all.map(|node| Base { node, ..base }), select, on);
        }
        let node = if name.is_empty() { Some(base.node) } else { self.tree.member(base.node, name) };
        let Some(node) = node else { return true };
        if self.tree.kind(node) == Kind::Array && !matches!(select, NativeSelect::First) {
            return self.choose(self.tree.items(node).map(|node| Base { node, ..base }), select, on);
        }
        self.choose(std::iter::once(Base { node, ..base }), select, on)
    }

    /// The segments of a name in the group that a scope stands in: those nearest below it by the structure.
    fn segments(&self, base: Base, name: SegmentName, select: &NativeSelect, on: &mut dyn FnMut(Base) -> bool) -> bool {
        let Some(v2) = &self.v2 else {
            let all = self.tree.segments_named(name).map(|node| Base { node, group: 0 });
            return self.choose(all, select, on);
        };
        let Some(within) = v2.groups.group(base.group) else { return true };
        let own = self.tree.segment_name(base.node) == Some(name);
        if own {
            return self.choose(std::iter::once(base), select, on);
        }
        let depth = self.depth(v2, within.node, name);
        let all = within.segments.clone().filter_map(|index| {
            if v2.names.get(index).copied().flatten() != Some(name) {
                return None;
            }
            let place = v2.groups.places().get(index)?;
            let right = match (place.node, depth) {
                // What the structure does not expect is taken where it stands.
                (None, _) => place.group == base.group,
                (Some(_), depth) => self.levels(v2, place.group, base.group) == depth,
            };
            let node = v2.nodes.get(index).copied()?;
            right.then_some(Base { node, group: place.group })
        });
        self.choose(all, select, on)
    }

    /// How many groups lie between a group and the nearest place of a segment in it, by the structure.
    fn depth(&self, v2: &Segments, within: NodeIndex, name: SegmentName) -> Option<u8> {
        if let Some(known) = v2.depths.borrow().get(&(within, name)) {
            return *known;
        }
        let depth = self.nearest(v2, within, name);
        v2.depths.borrow_mut().insert((within, name), depth);
        depth
    }

    fn nearest(&self, v2: &Segments, within: NodeIndex, name: SegmentName) -> Option<u8> {
        let structure = v2.groups.structure();
        let end = structure.node(within)?.end;
        let mut best: Option<u8> = None;
        for index in within + 1..end {
            let Some(node) = structure.node(index) else { continue };
            if node.name != name.as_str() || node.is_group() {
                continue;
            }
            let mut levels = 0_u8;
            let mut at = node.parent;
            while let Some(parent) = at.filter(|p| *p != within) {
                levels = levels.saturating_add(1);
                at = structure.node(parent).and_then(|n| n.parent);
            }
            best = Some(best.map_or(levels, |b| b.min(levels)));
        }
        best
    }

    fn levels(&self, v2: &Segments, from: GroupId, to: GroupId) -> Option<u8> {
        let mut at = from;
        let mut levels = 0_u8;
        while at != to {
            at = v2.groups.group(at)?.parent?;
            levels = levels.saturating_add(1);
        }
        Some(levels)
    }

    /// Whether all conditions hold.
    pub(crate) fn hold(&self, base: Base, conditions: &[Condition]) -> bool {
        conditions.iter().all(|condition| self.holds(base, condition))
    }

    fn holds(&self, base: Base, condition: &Condition) -> bool {
        let start = if condition.path.from_document { self.root() } else { base };
        let mut any = false;
        let mut valued = false;
        let mut check = |found: Base| {
            let value = self.tree.value(found.node);
            let here = match (&condition.test, &value) {
                (Test::In(values), Value::Text(text)) => values.iter().any(|v| v == text),
                (Test::NotIn(values), Value::Text(text)) => values.iter().any(|v| v == text),
                (Test::Inside(codes) | Test::Outside(codes), Value::Text(text)) => {
                    codes.iter().any(|code| code.eq_ignore_ascii_case(text.trim()))
                }
                (Test::Valued | Test::Absent, Value::Text(_)) => true,
                // A composite, object or array is there when something in it is.
                (Test::Valued | Test::Absent, _) => {
                    let leaves = self.tree.leaves(found.node);
                    leaves.clone().any(|leaf| matches!(self.tree.value(self.tree.leaf_node(leaf)), Value::Text(_)))
                }
                _ => false,
            };
            valued |= matches!(value, Value::Text(_));
            any |= here;
            !any && condition.any
        };
        if condition.any {
            self.walk_all(start, &condition.path, &mut check);
        } else {
            self.walk(start, &condition.path, 0, &mut check);
        }
        match condition.test {
            Test::In(_) | Test::Valued | Test::Inside(_) => any,
            Test::Absent | Test::NotIn(_) | Test::Outside(_) => !any,
        }
    }

    /// The places that a condition looks at.
    pub(crate) fn select_any(&self, base: Base, condition: &Condition) -> Vec<Base> {
        let mut found = Vec::new();
        let start = if condition.path.from_document { self.root() } else { base };
        let mut visit = |base: Base| {
            found.push(base);
            true
        };
        if condition.any {
            self.walk_all(start, &condition.path, &mut visit);
        } else {
            self.walk(start, &condition.path, 0, &mut visit);
        }
        found
    }

    /// Walks a path with every repetition of every field.
    fn walk_all(&self, base: Base, path: &NativePath, visit: &mut dyn FnMut(Base) -> bool) {
        let mut open = path.clone();
        for step in &mut open.steps {
            if matches!(step.name, NativeName::Field(_) | NativeName::Member(_)) {
                step.select = NativeSelect::All;
            }
        }
        self.walk(base, &open, 0, visit);
    }
}
