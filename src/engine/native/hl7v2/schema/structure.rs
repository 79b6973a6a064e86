//! Message structures: which segments stand where, in groups that are optional or repeat (chapter 2, "HL7 abstract
//! message syntax").

use super::Version;

/// A message structure, as a flat tree: node 0 is the message itself and each node stands before what it holds.
#[derive(Debug, Clone)]
pub struct Structure {
    name: &'static str,
    version: Version,
    nodes: Vec<StructureNode>,
}

/// A segment or group at its place in a structure.
#[derive(Debug, Clone)]
pub struct StructureNode {
    /// `PRD`, or the group's name without the structure's (`PROVIDER_CONTACT`); the structure's own name for node 0.
    pub name: &'static str,
    /// Segment, group or choice.
    pub kind: NodeKind,
    /// How often it must occur in each occurrence of its group.
    pub min: u16,
    /// How often it may occur; none is without limit.
    pub max: Option<u16>,
    /// The group that holds it; none for node 0.
    pub parent: Option<NodeIndex>,
    /// One past the last node that it holds.
    pub end: NodeIndex,
    /// Whether it can be absent although it is required: a group all of whose parts are optional.
    pub nullable: bool,
}

/// The place of a node in [`Structure::nodes`].
pub type NodeIndex = u16;

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A segment of this name.
    Segment,
    /// Any segment that the structure does not name elsewhere (`*`).
    AnySegment,
    /// Its parts, in order.
    Group,
    /// One of its parts.
    Choice,
}

impl StructureNode {
    /// Whether it must be there whenever its group is.
    #[must_use]
    pub const fn required(&self) -> bool {
        self.min > 0
    }

    /// Whether there may be more than one.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.max.is_none_or(|max| max > 1)
    }

    /// Whether it holds other nodes.
    #[must_use]
    pub const fn is_group(&self) -> bool {
        matches!(self.kind, NodeKind::Group | NodeKind::Choice)
    }
}

impl Structure {
    /// `REF_I12`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The version whose tables it was taken from: another than the message's where that has no such structure.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// All nodes; the first is the message, each stands before what it holds.
    #[must_use]
    pub fn nodes(&self) -> &[StructureNode] {
        &self.nodes
    }

    /// One node.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> Option<&StructureNode> {
        self.nodes.get(usize::from(index))
    }

    /// The nodes directly in a group, in order.
    pub fn children(&self, group: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let end = self.node(group).map_or(0, |node| node.end);
        let mut next = group.saturating_add(1);
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let child = next;
            next = self.node(child).map_or(end, |node| node.end);
            Some(child)
        })
    }

    /// Whether a segment of this name has a place of its own anywhere (not only where any segment may stand).
    #[must_use]
    pub fn names(&self, segment: &str) -> bool {
        self.nodes.iter().any(|node| node.kind == NodeKind::Segment && node.name == segment)
    }

    /// Whether a segment stands behind another that leads a group (or one that a group begins with), in that group.
    pub(super) fn belongs_behind(&self, leader: &str, segment: &str) -> bool {
        let led = |index: NodeIndex, node: &StructureNode| {
            node.kind == NodeKind::Segment
                && node.name == leader
                && self.outermost_led(index).and_then(|group| self.node(group)).is_some_and(|group| {
                    let behind = self.nodes.get(usize::from(index) + 1..usize::from(group.end)).unwrap_or_default();
                    behind.iter().any(|part| part.kind == NodeKind::Segment && part.name == segment)
                })
        };
        segment != leader && (0..).zip(&self.nodes).any(|(index, node)| led(index, node))
    }

    /// The outermost group, not the message, that begins with a segment.
    fn outermost_led(&self, index: NodeIndex) -> Option<NodeIndex> {
        let mut at = index;
        let mut found = None;
        while let Some(parent) = self.node(at).and_then(|node| node.parent).filter(|parent| *parent != 0) {
            let of = self.node(parent)?;
            if of.kind == NodeKind::Group && parent + 1 != at {
                break;
            }
            found = Some(parent);
            at = parent;
        }
        found
    }

    /// The first group with this name (`ORDER_OBSERVATION`).
    #[must_use]
    pub fn group(&self, name: &str) -> Option<NodeIndex> {
        let at = self.nodes.iter().position(|node| node.is_group() && node.name == name)?;
        NodeIndex::try_from(at).ok()
    }

    /// The groups that lead to a node, outermost first, the message itself left out.
    #[must_use]
    pub fn groups_above(&self, index: NodeIndex) -> Vec<&'static str> {
        let mut names = Vec::new();
        let mut at = self.node(index).and_then(|node| node.parent);
        while let Some(node) = at.and_then(|at| self.node(at)) {
            if node.parent.is_some() {
                names.push(node.name);
            }
            at = node.parent;
        }
        names.reverse();
        names
    }

    /// The first segment that a node requires: its own, or that of the group.
    #[must_use]
    pub fn leading_segment(&self, node: NodeIndex) -> Option<&'static str> {
        let of = self.node(node)?;
        if of.kind == NodeKind::Segment {
            return Some(of.name);
        }
        let choice = of.kind == NodeKind::Choice;
        let required = |child: &NodeIndex| self.node(*child).is_some_and(|child| child.required() && !child.nullable);
        let child = self.children(node).find(|child| choice || required(child))?;
        self.leading_segment(child)
    }

    /// Reads a line of structures.tsv. None if it is not well formed.
    pub(super) fn parse(
        name: &'static str,
        version: Version,
        expression: &'static str,
        renamed: &dyn Fn(&'static str) -> &'static str,
    ) -> Option<Self> {
        let mut reader = Reader { rest: expression, nodes: Vec::with_capacity(expression.len() / 6), renamed };
        reader.push(name, NodeKind::Group, 1, Some(1), None);
        while !reader.rest.is_empty() {
            reader.item(0)?;
            reader.skip(' ');
        }
        reader.close(0);
        Some(Self { name, version, nodes: reader.nodes })
    }
}

struct Reader<'r> {
    rest: &'static str,
    nodes: Vec<StructureNode>,
    renamed: &'r dyn Fn(&'static str) -> &'static str,
}

impl Reader<'_> {
    /// `[X]`, `{X}`, `{[X]}`, `{X}3`, `NAME(X Y)`, `NAME(<X|Y>)`, `X`, `*`.
    fn item(&mut self, parent: NodeIndex) -> Option<()> {
        let repeats = self.skip('{');
        let optional = self.skip('[');
        let first = NodeIndex::try_from(self.nodes.len()).ok()?;
        let word = self.word()?;
        if self.skip('(') {
            let name = (self.renamed)(word);
            let choice = self.skip('<');
            let kind = if choice { NodeKind::Choice } else { NodeKind::Group };
            self.push(name, kind, 1, Some(1), Some(parent));
            loop {
                if choice && self.skip('>') {
                    self.skip(')').then_some(())?;
                    break;
                }
                if !choice && self.skip(')') {
                    break;
                }
                self.item(first)?;
                self.skip(if choice { '|' } else { ' ' });
            }
            self.close(first);
        } else {
            let kind = if word == "*" { NodeKind::AnySegment } else { NodeKind::Segment };
            self.push(word, kind, 1, Some(1), Some(parent));
        }
        if optional {
            self.skip(']').then_some(())?;
        }
        let mut max = Some(1);
        if repeats {
            self.skip('}').then_some(())?;
            let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.rest.split_at_checked(digits)?;
            self.rest = rest;
            max = if number.is_empty() { None } else { Some(number.parse().ok()?) };
        }
        let node = self.nodes.get_mut(usize::from(first))?;
        node.min = u16::from(!optional);
        node.max = max;
        Some(())
    }

    fn push(&mut self, name: &'static str, kind: NodeKind, min: u16, max: Option<u16>, parent: Option<NodeIndex>) {
        let end = NodeIndex::try_from(self.nodes.len() + 1).unwrap_or(NodeIndex::MAX);
        self.nodes.push(StructureNode { name, kind, min, max, parent, end, nullable: false });
    }

    /// Sets where a group ends and whether it can be empty, once its parts are read.
    fn close(&mut self, group: NodeIndex) {
        let end = NodeIndex::try_from(self.nodes.len()).unwrap_or(NodeIndex::MAX);
        let parts = self.nodes.iter().skip(usize::from(group) + 1).filter(|node| node.parent == Some(group));
        let can_be_absent = |node: &StructureNode| !node.required() || node.nullable;
        let choice = self.nodes.get(usize::from(group)).is_some_and(|node| node.kind == NodeKind::Choice);
        let nullable = if choice { parts.clone().any(can_be_absent) } else { parts.clone().all(can_be_absent) };
        if let Some(node) = self.nodes.get_mut(usize::from(group)) {
            node.end = end;
            node.nullable = nullable;
        }
    }

    fn skip(&mut self, c: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(c) else {
            return false;
        };
        self.rest = rest;
        true
    }

    fn word(&mut self) -> Option<&'static str> {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '*')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}
