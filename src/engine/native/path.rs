//! Addresses in native documents: steps for plans, and the written forms of reports.
//!
//! Written forms: HL7 v2 `PRD[2]-7[1].1.1` (segment occurrence, field, repetition, component, subcomponent), XML
//! `/a[1]/b[2]/@c` and `/a[1]/b[2]/text()[1]` (names as written, position among siblings of that name), JSON
//! `$.a[0].b` and `$['a b']`, delimited `row 3/hetu` (the header is row 1; a column without a name by its number).

use std::fmt;
use std::str::FromStr;

use super::tree::{Kind, NodeId, Tree};
use super::{Format, delimited, xml};

/// A segment's name: three capital letters or digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName([u8; 3]);

impl SegmentName {
    /// The name in these bytes, if they are one: a capital letter, then two capital letters or digits.
    #[must_use]
    pub const fn new(bytes: [u8; 3]) -> Option<Self> {
        let [first, second, third] = bytes;
        if first.is_ascii_uppercase()
            && (second.is_ascii_uppercase() || second.is_ascii_digit())
            && (third.is_ascii_uppercase() || third.is_ascii_digit())
        {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) const fn bytes(&self) -> &[u8; 3] {
        &self.0
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a segment name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a segment name is a capital letter and two capital letters or digits")]
pub struct SegmentNameError;

impl FromStr for SegmentName {
    type Err = SegmentNameError;

    fn from_str(text: &str) -> Result<Self, SegmentNameError> {
        <[u8; 3]>::try_from(text.as_bytes()).ok().and_then(Self::new).ok_or(SegmentNameError)
    }
}

/// An expanded XML name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The namespace's URI; none for a name in no namespace (as an attribute without prefix).
    pub namespace: Option<Box<str>>,
    /// The local part.
    pub local: Box<str>,
}

impl Name {
    /// A name in a namespace.
    #[must_use]
    pub fn new(namespace: &str, local: &str) -> Self {
        Self { namespace: Some(namespace.into()), local: local.into() }
    }

    /// A name in no namespace.
    #[must_use]
    pub fn local(local: &str) -> Self {
        Self { namespace: None, local: local.into() }
    }
}

/// One step down from a node. A plan holds `&[Step]` and walks it without allocating.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// HL7 v2, from the document: the n-th segment of the name, from 1.
    Segment(SegmentName, u32),
    /// HL7 v2, from a segment: field n, from 1.
    Field(u16),
    /// HL7 v2, from a field: repetition n, from 1.
    Repetition(u16),
    /// HL7 v2, from a field or repetition: component n, from 1.
    Component(u16),
    /// HL7 v2, from a field, repetition or component: subcomponent n, from 1.
    Subcomponent(u16),
    /// XML: the n-th child element of the name, from 1.
    Element(Name, u32),
    /// XML: an attribute.
    Attribute(Name),
    /// XML: the n-th run of text, from 1.
    Text(u32),
    /// JSON: a member.
    Member(Box<str>),
    /// JSON: item n, from 0.
    Item(u32),
    /// Delimited, from the document: row n; the header, where there is one, is row 1.
    Row(u32),
    /// Delimited, from a row: the cell in the column of this name.
    Cell(Box<str>),
    /// Delimited, from a row: the cell in column n, from 1.
    Column(u16),
}

impl Step {
    /// The steps of a written path of HL7 v2, JSON or delimited documents, from the root. XML paths depend on the
    /// document's prefixes: see [`Tree::locate`].
    #[must_use]
    pub fn parse(format: Format, path: &str) -> Option<Vec<Self>> {
        match format {
            Format::Hl7V2 => parse_hl7v2(path),
            Format::Json => parse_json(path),
            Format::Delimited => parse_delimited(path),
            Format::Xml => None,
        }
    }
}

impl Tree {
    /// One step down. In HL7 v2 an empty place is absent, and levels that are not written out are their parent.
    #[must_use]
    pub fn step(&self, from: NodeId, step: &Step) -> Option<NodeId> {
        match step {
            Step::Segment(name, nth) => self.segments_named(*name).nth(nth.checked_sub(1)? as usize),
            Step::Field(n) => self.field(from, *n),
            Step::Repetition(n) => self.repetition(from, *n),
            Step::Component(n) => self.component(from, *n),
            Step::Subcomponent(n) => self.subcomponent(from, *n),
            Step::Element(name, nth) => {
                let name = self.xml_name(name)?;
                self.children(from).filter(|c| self.is_named(*c, Kind::Element, name)).nth(nth.checked_sub(1)? as usize)
            }
            Step::Attribute(name) => {
                let name = self.xml_name(name)?;
                self.children(from)
                    .take_while(|c| self.kind(*c) == Kind::Attribute)
                    .find(|c| self.is_named(*c, Kind::Attribute, name))
            }
            Step::Text(nth) => {
                self.children(from).filter(|c| self.kind(*c) == Kind::Text).nth(nth.checked_sub(1)? as usize)
            }
            Step::Member(name) => self.member(from, name),
            Step::Item(nth) => self.item(from, *nth),
            Step::Row(nth) => self.row(*nth),
            Step::Cell(name) => self.cell(from, name),
            Step::Column(nth) => self.cell_at(from, *nth),
        }
    }

    /// Several steps down.
    #[must_use]
    pub fn find(&self, from: NodeId, steps: &[Step]) -> Option<NodeId> {
        steps.iter().try_fold(from, |node, step| self.step(node, step))
    }

    /// Everything that the last step could choose among: all repetitions, all elements of the name, all items, all
    /// segments of the name, all rows. The number in the step does not matter; other steps give what there is, at most one.
    #[must_use]
    pub fn each<'a>(&'a self, from: NodeId, step: &'a Step) -> Each<'a> {
        let inner = match step {
            Step::Repetition(_) => Choice::Repetitions(self.repetitions(from)),
            Step::Segment(..) | Step::Element(..) | Step::Text(_) | Step::Item(_) | Step::Row(_) => {
                let name = match step {
                    Step::Element(name, _) => self.xml_name(name),
                    _ => None,
                };
                Choice::Children(self.children(from), name)
            }
            _ => Choice::One(self.step(from, step)),
        };
        Each { tree: self, step, inner }
    }

    /// The path of a leaf, written out in full.
    #[must_use]
    pub fn leaf_path(&self, leaf: u32) -> Path<'_> {
        Path { tree: self, node: self.leaf_node(leaf).unwrap_or(NodeId::ROOT) }
    }

    /// The path of a node.
    #[must_use]
    pub fn path(&self, node: NodeId) -> Path<'_> {
        Path { tree: self, node }
    }

    /// The node at a written path. For a path of [`leaf_path`](Self::leaf_path) it is that leaf.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<NodeId> {
        if self.format() == Format::Xml {
            return xml::locate(self, path);
        }
        self.find(NodeId::ROOT, &Step::parse(self.format(), path)?)
    }
}

#[derive(Debug, Clone)]
enum Choice<'t> {
    One(Option<NodeId>),
    Repetitions(super::hl7v2::Repetitions<'t>),
    Children(super::tree::Children<'t>, Option<xml::Known<'t>>),
}

/// The nodes that a step can choose among.
#[derive(Debug, Clone)]
pub struct Each<'t> {
    tree: &'t Tree,
    step: &'t Step,
    inner: Choice<'t>,
}

impl Iterator for Each<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        let tree = self.tree;
        let step = self.step;
        match &mut self.inner {
            Choice::One(node) => node.take(),
            Choice::Repetitions(repetitions) => repetitions.next(),
            Choice::Children(children, name) => children.find(|child| match step {
                Step::Segment(segment, _) => tree.segment_name(*child) == Some(*segment),
                Step::Element(..) => name.is_some_and(|name| tree.is_named(*child, Kind::Element, name)),
                Step::Text(_) => tree.kind(*child) == Kind::Text,
                Step::Row(_) => tree.kind(*child) == Kind::Row,
                _ => tree.record(*child).flags & super::tree::ITEM != 0,
            }),
        }
    }
}

/// A path, written when displayed.
#[derive(Debug, Clone, Copy)]
pub struct Path<'t> {
    tree: &'t Tree,
    node: NodeId,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tree.format() {
            Format::Hl7V2 => write_hl7v2(self.tree, self.node, f),
            Format::Json => write_json(self.tree, self.node, f),
            Format::Xml => xml::write_path(self.tree, self.node, f),
            Format::Delimited => delimited::write_path(self.tree, self.node, f),
        }
    }
}

fn write_hl7v2(tree: &Tree, node: NodeId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut numbers = [0_u32; 4];
    let mut deepest = 0;
    let mut at = node;
    loop {
        let record = tree.record(at);
        let level = match record.kind {
            Kind::Field => 0,
            Kind::Repetition => 1,
            Kind::Component => 2,
            Kind::Subcomponent => 3,
            Kind::Segment => break,
            _ => return f.write_str("message"),
        };
        if let Some(number) = numbers.get_mut(level) {
            *number = record.number;
        }
        deepest = deepest.max(level + 1);
        let Some(parent) = tree.parent(at) else { break };
        at = parent;
    }
    if tree.leaf(node).is_some() {
        deepest = 4;
    }
    let name = tree.segment_name(at);
    write!(f, "{}[{}]", name.as_ref().map_or("", SegmentName::as_str), tree.record(at).number)?;
    let [field, repetition, component, subcomponent] = numbers.map(|n| n.max(1));
    match deepest {
        0 => Ok(()),
        1 => write!(f, "-{field}"),
        2 => write!(f, "-{field}[{repetition}]"),
        3 => write!(f, "-{field}[{repetition}].{component}"),
        _ => write!(f, "-{field}[{repetition}].{component}.{subcomponent}"),
    }
}

fn write_json(tree: &Tree, node: NodeId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut line = vec![node];
    let mut at = node;
    while let Some(parent) = tree.parent(at) {
        line.push(parent);
        at = parent;
    }
    f.write_str("$")?;
    for node in line.into_iter().rev().skip(1) {
        match tree.name(node) {
            Some(name) => write_member(&name, f)?,
            None => write!(f, "[{}]", tree.record(node).number)?,
        }
    }
    Ok(())
}

/// Writes `.name`, or `['name']` where the name is no plain word.
pub(crate) fn write_member(name: &str, f: &mut impl fmt::Write) -> fmt::Result {
    let plain = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain {
        return write!(f, ".{name}");
    }
    f.write_str("['")?;
    for c in name.chars() {
        if matches!(c, '\'' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_str("']")
}

fn parse_hl7v2(path: &str) -> Option<Vec<Step>> {
    let (segment, rest) = match path.split_once('-') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    };
    let (name, occurrence) = numbered(segment)?;
    let mut steps = vec![Step::Segment(name.parse().ok()?, occurrence.unwrap_or(1))];
    let Some(rest) = rest else { return Some(steps) };
    let mut parts = rest.split('.');
    let (field, repetition) = numbered(parts.next()?)?;
    steps.push(Step::Field(field.parse().ok()?));
    let component = parts.next();
    if repetition.is_some() || component.is_some() {
        steps.push(Step::Repetition(u16::try_from(repetition.unwrap_or(1)).ok()?));
    }
    if let Some(component) = component {
        steps.push(Step::Component(component.parse().ok()?));
    }
    if let Some(subcomponent) = parts.next() {
        steps.push(Step::Subcomponent(subcomponent.parse().ok()?));
    }
    parts.next().is_none().then_some(steps)
}

/// `name[3]` → name and 3; `name` → name and none.
pub(crate) fn numbered(text: &str) -> Option<(&str, Option<u32>)> {
    match text.split_once('[') {
        None => Some((text, None)),
        Some((name, rest)) => Some((name, Some(rest.strip_suffix(']')?.parse().ok()?))),
    }
}

fn parse_json(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let mut name = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next()? {
                    (_, '\\') => name.push(chars.next()?.1),
                    (at, '\'') => break at,
                    (_, c) => name.push(c),
                }
            };
            steps.push(Step::Member(name.into()));
            rest = quoted.get(end..)?.strip_prefix("']")?;
        } else if let Some(index) = rest.strip_prefix('[') {
            let (number, after) = index.split_once(']')?;
            steps.push(Step::Item(number.parse().ok()?));
            rest = after;
        } else {
            let name = rest.strip_prefix('.')?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at_checked(end)?;
            steps.push(Step::Member(name.into()));
            rest = after;
        }
    }
    Some(steps)
}

fn parse_delimited(path: &str) -> Option<Vec<Step>> {
    let (row, cell) = match path.split_once('/') {
        Some((row, cell)) => (row, Some(cell)),
        None => (path, None),
    };
    let mut steps = vec![Step::Row(row.strip_prefix("row ")?.parse().ok()?)];
    if let Some(cell) = cell {
        steps.push(match cell.strip_prefix('#').and_then(|n| n.parse().ok()) {
            Some(column) => Step::Column(column),
            None => Step::Cell(cell.into()),
        });
    }
    Some(steps)
}
