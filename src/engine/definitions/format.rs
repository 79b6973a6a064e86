//! The container of compiled definitions: a header, then sections of fixed-width little-endian records.
//!
//! ```text
//! "SILTADEF"  format u32  sections u32  digest [u8; 32]   (of the source package's files)
//! { id u32, offset u32, length u32 } × sections
//! ```
//! Records are read in place; only the small tables of types and elements are decoded when a model is made. Equal
//! packages give equal bytes: everything is sorted and nothing carries a time.

use super::format_version::FORMAT_VERSION;

/// The first eight bytes of every file.
pub(crate) const MAGIC: &[u8; 8] = b"SILTADEF";

const HEADER: usize = 48;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Section {
    /// `count u32, offset u32 × (count + 1), bytes`: the sorted strings.
    Strings = 1,
    /// `string u32`: element names, sorted; a symbol is its place here plus one.
    Symbols = 2,
    /// Types: see [`super::model`].
    Types = 3,
    /// Elements.
    Elements = 4,
    /// The types an element may have.
    ElementTypes = 5,
    /// `string u32`: lists of canonicals.
    Canonicals = 6,
    /// `key u32, expression u32, severity u32`.
    Constraints = 7,
    /// `constraint u32`: lists of constraints.
    ConstraintUses = 8,
    /// Code systems.
    CodeSystems = 9,
    /// `code u32, display u32, parent u32`.
    Concepts = 10,
    /// Value sets.
    ValueSets = 11,
    /// Includes and excludes of value sets.
    Includes = 12,
    /// `code u32, display u32`: concepts listed by an include.
    IncludeConcepts = 13,
    /// `property u32, operation u32, value u32`.
    Filters = 14,
    /// Search parameters.
    SearchParameters = 15,
    /// Model-wide facts: `fhir version string u32`.
    Facts = 16,
    /// `string u32`: the value sets taken in by includes.
    IncludedSets = 17,
    /// `string u32`: the target types of search parameters.
    SearchTargets = 18,
    /// `url u32, offset u32, length u32`: profiles and extensions, sorted by url, in [`Section::Structures`].
    StructureIndex = 19,
    /// What profiles and extensions say, as compact JSON.
    Structures = 20,
}

/// Why bytes are not compiled definitions that this program can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not a definitions file at all.
    #[error("these are not compiled definitions")]
    Magic,
    /// Written for another version of the container.
    #[error("compiled definitions of format {found}, this program reads {FORMAT_VERSION}; run `silta package compile`")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// Cut short, or a record points outside.
    #[error("the compiled definitions are damaged")]
    Damaged,
}

/// The sections of one file, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'a> {
    bytes: &'a [u8],
}

impl<'a> Container<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(FormatError::Magic);
        }
        let found = u32_at(bytes, 8).ok_or(FormatError::Damaged)?;
        if found != FORMAT_VERSION {
            return Err(FormatError::Version { found });
        }
        Ok(Self { bytes })
    }

    pub(crate) fn digest(&self) -> &'a [u8] {
        self.bytes.get(16..48).unwrap_or_default()
    }

    /// The bytes of a section; empty when the file has none.
    pub(crate) fn section(&self, wanted: Section) -> Result<&'a [u8], FormatError> {
        let count = u32_at(self.bytes, 12).ok_or(FormatError::Damaged)?;
        for index in 0..count as usize {
            let at = HEADER + index * 12;
            if u32_at(self.bytes, at) == Some(wanted as u32) {
                let offset = u32_at(self.bytes, at + 4).ok_or(FormatError::Damaged)? as usize;
                let length = u32_at(self.bytes, at + 8).ok_or(FormatError::Damaged)? as usize;
                return self.bytes.get(offset..offset.saturating_add(length)).ok_or(FormatError::Damaged);
            }
        }
        Ok(&[])
    }
}

/// Puts sections into one file, in the order of their ids.
pub(crate) fn assemble(mut sections: Vec<(Section, Vec<u8>)>, digest: [u8; 32]) -> Vec<u8> {
    sections.sort_by_key(|(section, _)| *section);
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&count(sections.len()).to_le_bytes());
    out.extend_from_slice(&digest);
    let mut offset = HEADER + sections.len() * 12;
    for (section, bytes) in &sections {
        out.extend_from_slice(&(*section as u32).to_le_bytes());
        out.extend_from_slice(&count(offset).to_le_bytes());
        out.extend_from_slice(&count(bytes.len()).to_le_bytes());
        offset += bytes.len();
    }
    for (_, bytes) in sections {
        out.extend_from_slice(&bytes);
    }
    out
}

/// Sizes fit: a file over 4 GiB cannot be made from a package within its limits.
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(two.try_into().ok()?))
}
