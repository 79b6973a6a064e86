//! What the lines of version blocks say: which elements are the same under other names, and which codes.

use rustc_hash::FxHashMap;

use super::super::plan::LineId;

/// A side of a line: an element, and the one part of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) element: String,
    pub(crate) part: Option<String>,
}

/// A line of a version block.
#[derive(Debug)]
pub(crate) struct VersionLine {
    pub(crate) line: LineId,
    pub(crate) native: Side,
    pub(crate) r4: Side,
    pub(crate) codes: Option<Codes>,
    /// A concept of R4 that a code also says.
    pub(crate) also: Option<Also>,
}

/// A concept that goes without saying: its element, and system and code by native code.
#[derive(Debug)]
pub(crate) struct Also {
    pub(crate) element: String,
    pub(crate) codes: FxHashMap<String, (String, String)>,
}

/// Codes that are not the same in both versions: what each is written as, and whether it only stands in.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    pub(crate) inward: FxHashMap<String, (String, bool)>,
    pub(crate) outward: FxHashMap<String, (String, bool)>,
}

impl Codes {
    pub(crate) fn way(&self, inward: bool) -> &FxHashMap<String, (String, bool)> {
        if inward { &self.inward } else { &self.outward }
    }
}

/// A version block: one native type, one of R4.
#[derive(Debug)]
pub(crate) struct VersionBlock {
    pub(crate) native: String,
    pub(crate) r4: String,
    pub(crate) lines: Vec<VersionLine>,
}

/// All blocks of a version.
#[derive(Debug, Default)]
pub(crate) struct VersionBlocks {
    pub(crate) blocks: Vec<VersionBlock>,
}

impl VersionBlocks {
    /// The lines between two types.
    pub(crate) fn lines(&self, native: &str, r4: &str) -> &[VersionLine] {
        let found = self.blocks.iter().find(|b| b.native == native && b.r4 == r4);
        found.map_or(&[], |b| b.lines.as_slice())
    }

    /// How many lines there are.
    pub(crate) fn count(&self) -> usize {
        self.blocks.iter().map(|b| b.lines.len()).sum()
    }

    /// Whether there is a block between two types.
    pub(crate) fn relate(&self, native: &str, r4: &str) -> bool {
        self.blocks.iter().any(|b| b.native == native && b.r4 == r4)
    }

    /// What a native type is in R4, where it has another name there.
    pub(crate) fn r4_of<'b>(&'b self, native: &'b str) -> &'b str {
        self.blocks.iter().find(|b| b.native == native).map_or(native, |b| b.r4.as_str())
    }

    /// The native types that a type of R4 can be.
    pub(crate) fn natives_of<'b>(&'b self, r4: &'b str) -> impl Iterator<Item = &'b str> {
        self.blocks.iter().filter(move |b| b.r4 == r4 && !b.native.contains('.')).map(|b| b.native.as_str())
    }
}
