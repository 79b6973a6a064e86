//! Where a node stands: its FHIRPath and its line and column, worked out only when asked for.

use std::fmt;

use super::document::Document;
use super::json::{Shape, offset};
use super::node::Node;

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    pub(super) fn of(node: Node<'_>) -> Self {
        let document = node.document();
        let at = document.slot(node.here()).map_or(0, |slot| slot.start);
        let (text, at) = match &document.xml {
            None => (document.text.as_str(), at),
            Some(xml) => {
                let found = xml.places.partition_point(|(json, _)| *json <= at);
                let place = found.checked_sub(1).and_then(|found| xml.places.get(found));
                (xml.text.as_str(), place.map_or(0, |(_, place)| *place))
            }
        };
        document.lines.get_or_init(|| Lines::of(text)).position(text, at)
    }
}

/// Where the lines of a text begin, and how many characters stand before every [`Lines::EVERY`] bytes: a document of
/// one line and many findings is counted once.
#[derive(Debug)]
pub(super) struct Lines {
    starts: Vec<u32>,
    characters: Vec<u32>,
}

impl Lines {
    const EVERY: usize = 1024;

    fn of(text: &str) -> Self {
        let newlines = text.bytes().zip(1_u32..).filter(|(byte, _)| *byte == b'\n').map(|(_, after)| after);
        let starts = std::iter::once(0).chain(newlines).collect();
        let mut characters = Vec::with_capacity(text.len() / Self::EVERY + 1);
        let mut before = 0;
        for part in text.as_bytes().chunks(Self::EVERY) {
            characters.push(offset(before));
            before += characters_in(part);
        }
        Self { starts, characters }
    }

    fn position(&self, text: &str, at: u32) -> Position {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or(0);
        let column = self.before(text, at).saturating_sub(self.before(text, start));
        Position { line: offset(line), column: column.saturating_add(1) }
    }

    /// How many characters stand before a place.
    fn before(&self, text: &str, at: u32) -> u32 {
        let at = (at as usize).min(text.len());
        let mark = at / Self::EVERY;
        let counted = self.characters.get(mark).copied().unwrap_or(0);
        let rest = text.as_bytes().get(mark * Self::EVERY..at).unwrap_or_default();
        counted.saturating_add(offset(characters_in(rest)))
    }
}

/// How many characters begin in a piece of UTF-8.
fn characters_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// A path that can be displayed: indexes from 0 on repeating elements only, choices as `value.ofType(Quantity)`.
#[derive(Debug, Clone)]
pub struct Path<'d> {
    /// From the node up to the root.
    steps: Vec<u32>,
    document: &'d Document,
}

impl<'d> Path<'d> {
    pub(super) fn of(node: Node<'d>) -> Self {
        let document = node.document();
        let mut steps = vec![node.here()];
        let mut at = node.here();
        while let Some(parent) = document.parent_of(at) {
            if document.slot(parent).is_some_and(|slot| slot.shape == Shape::Object) || parent == 0 {
                steps.push(parent);
            }
            at = parent;
        }
        Self { steps, document }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = self.steps.iter().rev();
        let Some(root) = steps.next() else { return Ok(()) };
        let root = Node::new(self.document, *root, Node::NOTHING);
        f.write_str(if root.type_name().is_empty() { "$this" } else { root.type_name() })?;
        for step in steps {
            let node = Node::new(self.document, *step, Node::NOTHING);
            let element = node.element();
            write!(f, ".{}", node.element_name())?;
            if let Some(element) = element {
                if element.is_choice() {
                    write!(f, ".ofType({})", node.type_name())?;
                }
                // An array itself, which only a rule on its shape points at, has no index.
                let is_array = self.document.slot(*step).is_some_and(|slot| slot.shape == Shape::Array);
                if element.is_array() && !is_array {
                    write!(f, "[{}]", node.index())?;
                }
            } else if self
                .document
                .parent_of(*step)
                .and_then(|parent| self.document.slot(parent))
                .map(|slot| slot.shape)
                == Some(Shape::Array)
            {
                write!(f, "[{}]", node.index())?;
            }
        }
        Ok(())
    }
}
