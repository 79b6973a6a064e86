//! A native document as a plan reads it: bases, selections and conditions.

mod values;

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::native::hl7v2::schema::{
    GroupId, GroupTree, NodeIndex, NodeKind, Schema, StructureNode, Version as V2, group_by,
};
use crate::native::xml::schema::xsi_type;
use crate::native::{Format, Kind, Name, NodeId, Place, SegmentName, Tree};

use super::super::plan::{Leaf, Level, NativeName, NativePath, NativeSelect, NativeStep, Stmt};
use super::super::schema::version;
use super::super::syntax::Version;

/// The attribute that names the type of an element.
static XSI_TYPE: LazyLock<Name> = LazyLock::new(xsi_type);

/// Where a scope stands in a document: a node, and in HL7 v2 the group that it heads or is in. A group itself is the root
/// with that group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) node: NodeId,
    pub(crate) group: GroupId,
}

/// What stands in a part, by number.
#[derive(Debug)]
pub(crate) struct Present {
    node: NodeId,
    fields: u64,
    components: u64,
    subcomponents: u64,
    names: u64,
    /// The nodes of its fields, components or subcomponents: those that are its own parts.
    nodes: [Option<NodeId>; 64],
}

impl Present {
    /// Whether a line can find what it cannot do without.
    pub(crate) const fn has(&self, stmt: &Stmt) -> bool {
        match stmt.level {
            Level::Anywhere => true,
            Level::Field => self.fields & stmt.needs != 0,
            Level::Component => self.components & stmt.needs != 0,
            Level::Subcomponent => self.subcomponents & stmt.needs != 0,
            Level::Name => self.names & stmt.needs != 0,
        }
    }

    fn holds(&self, number: usize) -> Option<NodeId> {
        self.nodes.get(number).copied().flatten()
    }
}

/// A document with what is known of its structure.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    pub(crate) tree: &'t Tree,
    /// The document, or its element where that has a name.
    top: NodeId,
    v2: Option<Segments>,
    pub(crate) version: Version,
    /// MSH-9.2.
    pub(crate) event: Option<String>,
}

/// How many groups lie between a group and the nearest place of a segment in it, and which group has this place.
type Nearest = (u8, Option<NodeIndex>);

#[derive(Debug)]
struct Segments {
    nodes: Vec<NodeId>,
    names: Vec<Option<SegmentName>>,
    groups: GroupTree<'static>,
    /// The expected segment that each unexpected one stands behind.
    expected: Vec<Option<usize>>,
    /// The places of the segments of a name, and the groups of a name, in order.
    by_name: FxHashMap<SegmentName, Vec<usize>>,
    groups_by_name: FxHashMap<&'static str, Vec<GroupId>>,
    /// Which of its name each segment is in the group that it stands in, once asked for.
    numbers: OnceCell<FxHashMap<NodeId, usize>>,
    /// How deep segments stand below groups, as far as it was asked.
    depths: RefCell<FxHashMap<(NodeIndex, SegmentName), Option<Nearest>>>,
}

impl Segments {
    fn new(nodes: Vec<NodeId>, names: Vec<Option<SegmentName>>, groups: GroupTree<'static>) -> Self {
        let mut by_name: FxHashMap<SegmentName, Vec<usize>> = FxHashMap::default();
        for (index, name) in names.iter().enumerate() {
            if let Some(name) = name {
                by_name.entry(*name).or_default().push(index);
            }
        }
        let structure = groups.structure();
        let mut groups_by_name: FxHashMap<&'static str, Vec<GroupId>> = FxHashMap::default();
        for (id, group) in groups.groups().iter().enumerate() {
            if let Some(node) = structure.node(group.node) {
                groups_by_name.entry(node.name).or_default().push(id);
            }
        }
        let mut last = None;
        let expected = groups.places().iter().enumerate().map(|(index, place)| {
            let behind = last;
            last = if place.node.is_some() { Some(index) } else { last };
            behind
        });
        let expected = expected.collect();
        Self {
            nodes,
            names,
            groups,
            expected,
            by_name,
            groups_by_name,
            numbers: OnceCell::new(),
            depths: RefCell::default(),
        }
    }

    /// Whether an unexpected segment is a scope's: it belongs to the segment that it stands behind, and to the group of
    /// that where there is but one of its like.
    /// Segments are counted by their name in the group that they stand in; those that begin a group, in what holds that.
    fn numbers(&self) -> FxHashMap<NodeId, usize> {
        let mut counted: FxHashMap<(GroupId, SegmentName), usize> = FxHashMap::default();
        let mut numbers = FxHashMap::default();
        for (index, ((node, name), place)) in self.nodes.iter().zip(&self.names).zip(self.groups.places()).enumerate() {
            let Some(name) = name else { continue };
            let own = self.groups.group(place.group);
            let begins = own.filter(|group| place.group != 0 && group.segments.start == index);
            let group = begins.and_then(|group| group.parent).unwrap_or(place.group);
            let count = counted.entry((group, *name)).or_insert(0);
            *count += 1;
            numbers.insert(*node, *count);
        }
        numbers
    }

    /// Whether a segment stands behind the one that a scope is.
    fn is_behind(&self, index: usize, base: Base) -> bool {
        let behind = self.expected.get(index).copied().flatten();
        behind.and_then(|behind| self.nodes.get(behind)) == Some(&base.node)
    }

    /// Whether a scope is a group, or the segment that begins one.
    fn heads(&self, base: Base) -> bool {
        let begins = || self.groups.group(base.group).and_then(|group| self.nodes.get(group.segments.start));
        base.node == NodeId::ROOT || (base.group != 0 && begins() == Some(&base.node))
    }

    /// Whether a group is a part of another that is there once, as all between them.
    fn is_part(&self, group: GroupId, of: GroupId) -> bool {
        let mut at = group;
        while at != of {
            let Some(here) = self.groups.group(at) else { return false };
            let repeats = self.groups.structure().node(here.node).is_none_or(|node| node.repeats());
            let Some(parent) = here.parent.filter(|_| !repeats) else { return false };
            at = parent;
        }
        true
    }

    fn belongs(&self, index: usize, base: Base) -> bool {
        let Some(behind) = self.expected.get(index).copied().flatten() else { return base.group == 0 };
        if self.nodes.get(behind) == Some(&base.node) {
            return true;
        }
        let of = |group: GroupId| self.groups.group(group);
        let heads = base.node == NodeId::ROOT
            || of(base.group).and_then(|group| self.nodes.get(group.segments.start)) == Some(&base.node);
        let place = self.groups.places().get(behind);
        let node = place.and_then(|place| self.groups.structure().node(place.node?));
        heads && node.is_none_or(|node| !node.repeats())
    }

    /// The places of the segments of a name in a range.
    fn named(&self, name: SegmentName, range: &std::ops::Range<usize>) -> &[usize] {
        let all = self.by_name.get(&name).map(Vec::as_slice).unwrap_or_default();
        let from = all.partition_point(|index| *index < range.start);
        let to = all.partition_point(|index| *index < range.end);
        all.get(from..to).unwrap_or_default()
    }
}

impl<'t> Source<'t> {
    /// Groups the segments of a message by the structure that the map reads.
    pub(crate) fn new(tree: &'t Tree, structure: Option<&str>) -> Self {
        let (Format::Hl7V2, Some(structure)) = (tree.format(), structure) else {
            let top = tree.document_element().filter(|_| tree.format() == Format::Xml).unwrap_or(NodeId::ROOT);
            return Self { tree, top, v2: None, version: (0, 0, 0), event: None };
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
        let segments = structure.map(|structure| group_by(structure, &texts, &|at| order_control(tree, &nodes, at)));
        let v2_segments = segments.map(|groups| Segments::new(nodes, names, groups));
        Self { tree, top: NodeId::ROOT, v2: v2_segments, version: version(v2), event }
    }

    /// The document itself.
    pub(crate) const fn root(&self) -> Base {
        Base { node: self.top, group: 0 }
    }

    /// How the segments are grouped.
    pub(crate) fn groups(&self) -> Option<&GroupTree<'static>> {
        self.v2.as_ref().map(|v2| &v2.groups)
    }

    /// Which of its name a segment is in the group that it stands in.
    pub(crate) fn number_in_group(&self, segment: NodeId) -> Option<usize> {
        let v2 = self.v2.as_ref()?;
        v2.numbers.get_or_init(|| v2.numbers()).get(&segment).copied()
    }

    /// The place of a segment among the segments.
    pub(crate) fn segment_index(&self, node: NodeId) -> Option<usize> {
        self.v2.as_ref()?.nodes.binary_search(&node).ok()
    }

    /// Whether a segment stands among others of which a group has one.
    pub(crate) fn is_alternative(&self, segment: SegmentName) -> bool {
        let Some(structure) = self.groups().map(GroupTree::structure) else { return false };
        let is_choice = |at| structure.node(at).is_some_and(|node| node.kind == NodeKind::Choice);
        structure.nodes().iter().any(|node| node.name == segment.as_str() && node.parent.is_some_and(is_choice))
    }

    /// Whether the structure has a segment in its place.
    pub(crate) fn expects(&self, node: NodeId) -> bool {
        let place = self.segment_index(node).and_then(|index| self.groups()?.places().get(index));
        place.is_some_and(|place| place.node.is_some())
    }

    /// Whether the one patient whom the structure demands is not there.
    pub(crate) fn lacks_patient(&self) -> bool {
        let Some(v2) = &self.v2 else { return false };
        if v2.names.iter().flatten().any(|name| name.as_str() == "PID") {
            return false;
        }
        let structure = v2.groups.structure();
        let mut all = structure.nodes().iter().filter(|node| node.name == "PID");
        all.any(|node| {
            let above = std::iter::successors(Some(node), |node| node.parent.and_then(|at| structure.node(at)));
            above.take_while(|node| node.parent.is_some()).all(StructureNode::required)
        })
    }

    /// The patients for whom the structure has no place, unless they are those that have one.
    pub(crate) fn strangers(&self) -> Vec<NodeId> {
        let Some(v2) = &self.v2 else { return Vec::new() };
        let patients = v2.names.iter().zip(&v2.nodes).zip(v2.groups.places());
        let patients = patients.filter(|((name, _), _)| name.is_some_and(|name| name.as_str() == "PID"));
        let (placed, not): (Vec<_>, Vec<_>) = patients.partition(|(_, place)| place.node.is_some());
        if placed.is_empty() {
            return Vec::new();
        }
        let who =
            |node: NodeId| self.tree.field(node, 3).map(|field| self.tree.raw(field)).filter(|raw| !raw.is_empty());
        let known: FxHashSet<&[u8]> = placed.iter().filter_map(|((_, node), _)| who(**node)).collect();
        let nodes = not.into_iter().map(|((_, node), _)| *node);
        nodes.filter(|node| who(*node).is_none_or(|who| !known.contains(who))).collect()
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
        self.select_into(base, path, &mut found);
        found
    }

    /// Adds all places that a path leads to.
    pub(crate) fn select_into(&self, base: Base, path: &NativePath, found: &mut Vec<Base>) {
        let start = if path.from_document { self.root() } else { base };
        self.walk(start, &path.steps, &mut |base| {
            found.push(base);
            true
        });
    }

    /// The first place that a path leads to, with its group.
    pub(crate) fn first_base(&self, base: Base, path: &NativePath) -> Option<Base> {
        let start = if path.from_document { self.root() } else { base };
        let mut found = None;
        self.walk(start, &path.steps, &mut |base| {
            found = Some(base);
            false
        });
        found
    }

    /// The first place that a path leads to.
    pub(crate) fn first(&self, base: Base, path: &NativePath) -> Option<NodeId> {
        let start = if path.from_document { self.root() } else { base };
        let mut node = start.node;
        for (at, step) in path.steps.iter().enumerate() {
            node = match (&step.name, &step.select) {
                (NativeName::Field(n), NativeSelect::First) => {
                    self.tree.repetitions(self.tree.field(node, *n)?).next()?
                }
                (NativeName::Component(n), _) => self.tree.component(node, *n)?,
                (NativeName::Subcomponent(n), _) => self.tree.subcomponent(node, *n)?,
                _ => {
                    let mut found = None;
                    let rest = path.steps.get(at..).unwrap_or_default();
                    self.walk(Base { node, ..start }, rest, &mut |base| {
                        found = Some(base.node);
                        false
                    });
                    return found;
                }
            };
        }
        Some(node)
    }

    /// What stands in a part: in HL7 v2 by number, in XML and JSON by name.
    pub(crate) fn present(&self, node: NodeId) -> Present {
        let tree = self.tree;
        let all = u64::MAX;
        let mut present =
            Present { node, fields: all, components: all, subcomponents: all, names: all, nodes: [None; 64] };
        match tree.format() {
            Format::Hl7V2 => {}
            Format::Xml => {
                present.names = tree.children(node).fold(0, |names, child| match tree.kind(child) {
                    Kind::Element | Kind::Attribute => names | Level::name_bit(tree.local_bytes(child)),
                    _ => names,
                });
                return present;
            }
            Format::Json | Format::Delimited => return present,
        }
        (present.fields, present.components, present.subcomponents) = (0, 0, 0);
        let nodes = &mut present.nodes;
        match tree.kind(node) {
            Kind::Segment => present.fields = tree.numbered_children(node, nodes),
            Kind::Field | Kind::Repetition => {
                present.components = tree.components(node, nodes);
                present.subcomponents =
                    nodes.get(1).copied().flatten().map_or(0, |first| tree.subcomponent_numbers(first));
            }
            Kind::Component | Kind::Subcomponent => present.subcomponents = tree.subcomponents(node, nodes),
            _ => {}
        }
        present
    }

    /// The leaf of a part whose contents are known.
    pub(crate) fn leaf(&self, present: &Present, level: Level, leaf: Leaf) -> Option<NodeId> {
        let number = leaf.number.get();
        let mut node = match level {
            // A field of one component is that component, and what is held of it are its components.
            Level::Subcomponent => self.tree.subcomponent(present.node, u16::from(number))?,
            _ => present.holds(usize::from(number))?,
        };
        if level == Level::Field {
            node = self.tree.repetitions(node).next()?;
        }
        if leaf.component != 0 {
            node = self.tree.component(node, u16::from(leaf.component))?;
        }
        if leaf.subcomponent != 0 {
            node = self.tree.subcomponent(node, u16::from(leaf.subcomponent))?;
        }
        Some(node)
    }

    /// Visits places in order until the visitor has enough; gives whether it wants more.
    fn walk(&self, base: Base, steps: &[NativeStep], visit: &mut dyn FnMut(Base) -> bool) -> bool {
        let Some((step, rest)) = steps.split_first() else { return visit(base) };
        let mut on = |next: Base| self.walk(next, rest, visit);
        match &step.name {
            NativeName::Segment(name) => self.segments(base, *name, &step.select, &mut on),
            NativeName::Group(name) => self.groups_in(base, name, &step.select, &mut on),
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
            NativeName::Element(name) => {
                let all = self.tree.elements(base.node, &name.name).map(|node| Base { node, ..base });
                self.choose(all, &step.select, &mut on)
            }
            NativeName::Attribute(name) => self.one(base, self.tree.attribute(base.node, &name.name), &mut on),
            NativeName::Parent => self.one(base, self.tree.parent(base.node), &mut on),
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
            NativeSelect::All | NativeSelect::From(_) => {
                let before = if let NativeSelect::From(n) = select { usize::from(n.saturating_sub(1)) } else { 0 };
                for one in all.skip(before) {
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
        // A segment that the structure does not know there heads no group: what else stands around it is not its own.
        let alone = v2.nodes.binary_search(&base.node).ok().and_then(|at| v2.groups.places().get(at));
        if alone.is_some_and(|place| place.node.is_none()) {
            // But for what follows it and belongs to it.
            let from = v2.nodes.binary_search(&base.node).map_or(v2.nodes.len(), |at| at + 1);
            let astray = v2.groups.places().iter().skip(from).take_while(|place| place.astray).count();
            let all = v2.named(name, &(from..from + astray)).iter().filter_map(|index| v2.nodes.get(*index));
            return self.choose(all.map(|node| Base { node: *node, ..base }), select, on);
        }
        let near = self.depth(v2, within.node, name);
        let all = v2.named(name, &within.segments).iter().filter_map(|index| {
            let index = *index;
            let place = v2.groups.places().get(index)?;
            let right = match (place.node, near) {
                // What the structure does not expect belongs to what it stands behind; a segment of the sender's own to the
                // group that it stands in as well, and to those further out.
                (None, _) if name.as_str().starts_with('Z') => v2.is_behind(index, base) || v2.heads(base),
                (None, near) => {
                    (place.group == base.group || (near.is_none() && v2.is_part(place.group, base.group)))
                        && v2.belongs(index, base)
                }
                (Some(_), None) => false,
                (Some(_), Some((depth, group))) => {
                    self.levels(v2, place.group, base.group) == Some(depth)
                        && group.is_none_or(|group| v2.groups.group(place.group).is_some_and(|of| of.node == group))
                }
            };
            let node = v2.nodes.get(index).copied()?;
            right.then_some(Base { node, group: place.group })
        });
        self.choose(all, select, on)
    }

    /// The groups of a name within the one that a scope stands in.
    fn groups_in(&self, base: Base, name: &str, select: &NativeSelect, on: &mut dyn FnMut(Base) -> bool) -> bool {
        let Some(v2) = &self.v2 else { return true };
        let all = v2.groups_by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let begins = |group: &GroupId| v2.groups.group(*group).map_or(0, |g| g.segments.start);
        let range = v2.groups.group(base.group).map_or(0..0, |g| g.segments.clone());
        let from = all.partition_point(|group| begins(group) < range.start);
        let here = all.get(from..).unwrap_or_default().iter().copied().take_while(|group| begins(group) < range.end);
        let within = here.filter(|group| *group != base.group && self.levels(v2, *group, base.group).is_some());
        self.choose(within.map(|group| Base { node: NodeId::ROOT, group }), select, on)
    }

    /// The nodes that are a scope's part: of a group its segments.
    pub(crate) fn parts(&self, base: Base) -> Vec<NodeId> {
        let group = self.v2.as_ref().filter(|_| base.node == NodeId::ROOT && base.group != 0);
        match group.and_then(|v2| Some((v2, v2.groups.group(base.group)?))) {
            Some((v2, group)) => group.segments.clone().filter_map(|index| v2.nodes.get(index).copied()).collect(),
            None => vec![base.node],
        }
    }

    /// How many groups lie between a group and the nearest place of a segment in it, by the structure, and the group that
    /// has this place: the first of those that are as near.
    fn depth(&self, v2: &Segments, within: NodeIndex, name: SegmentName) -> Option<Nearest> {
        if let Some(known) = v2.depths.borrow().get(&(within, name)) {
            return *known;
        }
        let depth = self.nearest(v2, within, name);
        v2.depths.borrow_mut().insert((within, name), depth);
        depth
    }

    fn nearest(&self, v2: &Segments, within: NodeIndex, name: SegmentName) -> Option<Nearest> {
        let structure = v2.groups.structure();
        let end = structure.node(within)?.end;
        let mut best: Option<Nearest> = None;
        for index in within + 1..end {
            let Some(node) = structure.node(index) else { continue };
            if node.name != name.as_str() || node.is_group() {
                continue;
            }
            let mut levels = 0_u8;
            let holder = node.parent.filter(|parent| *parent != within);
            let mut at = node.parent;
            while let Some(parent) = at.filter(|p| *p != within) {
                levels = levels.saturating_add(1);
                at = structure.node(parent).and_then(|n| n.parent);
            }
            if best.is_none_or(|(least, _)| levels < least) {
                best = Some((levels, holder));
            }
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
}

/// The order control code, ORC-1, of a segment.
pub(crate) fn order_control<'t>(tree: &'t Tree, nodes: &[NodeId], at: usize) -> Option<Cow<'t, str>> {
    tree.text(tree.component(tree.field(*nodes.get(at)?, 1)?, 1))
}
