//! Documents that are lists of lines (segments, rows): a chain in which lines are changed, inserted and taken out.

use super::tree::{NodeId, Tree};

/// One line of the chain.
#[derive(Debug)]
struct Line<'t, C> {
    /// Its bytes as they were, without the line end; none for a new one.
    raw: &'t [u8],
    /// What ends it. Bytes between lines (blank ones, rows that cannot be read) are lines without an end.
    end: &'t [u8],
    /// Its content, once touched.
    content: Option<C>,
    removed: bool,
    next: u32,
    previous: u32,
}

const NONE: u32 = u32::MAX;

/// The chain of lines of a document.
#[derive(Debug)]
pub(crate) struct Lines<'t, C> {
    lines: Vec<Line<'t, C>>,
    /// The nodes that are lines, in order, each with its line.
    nodes: Vec<(NodeId, u32)>,
    /// What new lines end with where their neighbour does not say.
    end: &'t [u8],
    last: u32,
}

impl<'t, C> Lines<'t, C> {
    /// The lines of these nodes, which stand in order, and all bytes between them.
    pub(crate) fn new(tree: &'t Tree, nodes: impl Iterator<Item = NodeId>, end: &'t [u8]) -> Self {
        let mut chain = Self { lines: Vec::new(), nodes: Vec::new(), end, last: NONE };
        let mut at = 0;
        let bytes = |from: usize, to: usize| tree.bytes.get(from..to).unwrap_or_default();
        for node in nodes {
            let span = tree.span(node);
            if span.start > at {
                chain.push(bytes(at, span.start), b"");
            }
            let length = match (tree.bytes.get(span.end), tree.bytes.get(span.end + 1)) {
                (Some(b'\r'), Some(b'\n')) => 2,
                (Some(b'\r' | b'\n'), _) => 1,
                _ => 0,
            };
            at = span.end + length;
            chain.push(bytes(span.start, span.end), bytes(span.end, at));
            chain.nodes.push((node, chain.last));
        }
        if at < tree.bytes.len() {
            chain.push(bytes(at, tree.bytes.len()), b"");
        }
        chain
    }

    fn push(&mut self, raw: &'t [u8], end: &'t [u8]) {
        let index = u32::try_from(self.lines.len()).unwrap_or(NONE);
        self.lines.push(Line { raw, end, content: None, removed: false, next: NONE, previous: self.last });
        if let Some(previous) = self.lines.get_mut(self.last as usize) {
            previous.next = index;
        }
        self.last = index;
    }

    /// The line of a node, unless removed.
    pub(crate) fn of(&self, node: NodeId) -> Option<u32> {
        let found = self.nodes.binary_search_by_key(&node, |(node, _)| *node).ok()?;
        self.nodes.get(found).map(|(_, line)| *line).filter(|line| self.is_there(*line))
    }

    /// Whether the line has not been removed.
    pub(crate) fn is_there(&self, line: u32) -> bool {
        self.lines.get(line as usize).is_some_and(|line| !line.removed)
    }

    /// The content of a line, taken apart on first use.
    pub(crate) fn content(&mut self, line: u32, open: impl FnOnce(&'t [u8]) -> C) -> Option<&mut C> {
        let line = self.lines.get_mut(line as usize)?;
        let raw = line.raw;
        Some(line.content.get_or_insert_with(|| open(raw)))
    }

    pub(crate) fn remove(&mut self, line: u32) {
        if let Some(line) = self.lines.get_mut(line as usize) {
            line.removed = true;
        }
    }

    /// Inserts a line beside another; a removed one still marks its place.
    pub(crate) fn insert(&mut self, beside: u32, before: bool, content: C) -> u32 {
        let index = u32::try_from(self.lines.len()).unwrap_or(NONE);
        let (previous, next, end) = match self.lines.get(beside as usize) {
            Some(line) if before => (line.previous, beside, line.end),
            Some(line) => (beside, line.next, line.end),
            None => (NONE, NONE, self.end),
        };
        let end = if end.is_empty() { self.end } else { end };
        self.lines.push(Line { raw: b"", end, content: Some(content), removed: false, next, previous });
        if let Some(line) = self.lines.get_mut(previous as usize) {
            line.next = index;
        }
        match self.lines.get_mut(next as usize) {
            Some(line) => line.previous = index,
            None => self.last = index,
        }
        index
    }

    /// Inserts a line after the last one that is not blank.
    pub(crate) fn append(&mut self, content: C) -> u32 {
        let mut at = self.last;
        while let Some(line) = self.lines.get(at as usize) {
            let is_row = line.content.is_some() || line.raw.iter().any(|b| !matches!(b, b'\r' | b'\n'));
            if is_row {
                break;
            }
            at = line.previous;
        }
        let beside = if at == NONE { self.last } else { at };
        self.insert(beside, false, content)
    }

    /// Writes the chain; `write` writes a touched line.
    pub(crate) fn write(&self, out: &mut Vec<u8>, mut write: impl FnMut(&C, &mut Vec<u8>)) {
        let mut at = 0;
        // A line inserted before the first one is the new first.
        while let Some(line) = self.lines.get(at as usize).filter(|line| line.previous != NONE) {
            at = line.previous;
        }
        while let Some(line) = self.lines.get(at as usize) {
            at = line.next;
            if line.removed {
                continue;
            }
            let is_new = line.raw.is_empty() && line.content.is_some();
            if is_new && !out.is_empty() && !matches!(out.last(), Some(b'\r' | b'\n')) && *out != b"\xEF\xBB\xBF" {
                out.extend_from_slice(self.end);
            }
            match &line.content {
                Some(content) => write(content, out),
                None => out.extend_from_slice(line.raw),
            }
            out.extend_from_slice(line.end);
        }
    }
}
