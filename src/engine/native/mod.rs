//! Native documents: trees over their own bytes, and lossless writers.
//!
//! A [`Tree`] is one arena for all four formats: the document's bytes as they came, and its nodes as small records in
//! document order. Reading keeps every byte; values are decoded (character set, escapes, entities, quotes) when asked.
//!
//! # Reading
//! ```
//! use silta_engine::native::{Limits, NodeId, Step, Syntax, Value, hl7v2};
//!
//! let message = b"MSH|^~\\&|A||B||20260105||REF^I12|1|P|2.5.1\rPID|1||42^^^H&1.2.3&ISO||Aho^Eeva\r".to_vec();
//! let tree = Syntax::Hl7V2(hl7v2::Options::default()).parse(message, &Limits::default())?;
//! let pid = tree.segments_named("PID".parse()?).next().ok_or("no PID")?;
//! let name = tree.field(pid, 5).ok_or("no name")?;
//! assert_eq!(tree.text(tree.component(name, 2)).as_deref(), Some("Eeva"));
//! // Plans hold steps; what is empty is absent; a lone repetition or component is its field.
//! let plan = [Step::Field(3), Step::Component(4), Step::Subcomponent(2)];
//! assert_eq!(tree.text(tree.find(pid, &plan)).as_deref(), Some("1.2.3"));
//! assert_eq!(tree.value(tree.field(pid, 7)), Value::Absent);
//! // Leaves are numbered densely in document order, and have paths.
//! let leaf = tree.locate("PID[1]-5[1].2.1").and_then(|node| tree.leaf(node)).ok_or("no leaf")?;
//! assert_eq!(tree.leaf_path(leaf).to_string(), "PID[1]-5[1].2.1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! The other formats are read alike: [`Tree::member`] and [`Tree::items`] in JSON, [`Tree::elements`] and
//! [`Tree::attribute`] in XML (by namespace URI and local name), [`Tree::rows`] and [`Tree::cell`] in tables; and in all
//! of them [`Tree::find`] by steps, [`Tree::each`] for what repeats, [`Tree::value`], [`Tree::leaves`] of a subtree.
//!
//! Values have three states besides absence: [`Value::Text`], [`Value::Empty`] (no news) and [`Value::Null`] (the
//! format's delete: `""`, `null`, `xsi:nil`).
//!
//! # Changing
//! An [`Edit`] collects changes and writes them over the untouched bytes; without a change it gives the same bytes.
//! ```
//! use silta_engine::native::{Anchor, Edit, Insert, Limits, Scalar, Step, Syntax, hl7v2};
//!
//! let message = b"MSH|^~\\&|A\rPID|1||42~43\r".to_vec();
//! let tree = Syntax::Hl7V2(hl7v2::Options::default()).parse(message, &Limits::default())?;
//! let pid = tree.segments_named("PID".parse()?).next().ok_or("no PID")?;
//! let second = tree.find(pid, &[Step::Field(3), Step::Repetition(2)]).ok_or("no second id")?;
//! let mut edit = Edit::new(&tree);
//! edit.set(pid, &[Step::Field(5), Step::Component(2)], "Eeva")?; // what is missing on the way is made
//! edit.null(pid, &[Step::Field(13)])?;
//! edit.set(second, &[Step::Component(4), Step::Subcomponent(2)], "1.2.3")?; // a node stays the place that it was
//! let third = edit.insert(Anchor::After(second.into()), Insert::Repetition)?;
//! edit.set(third, &[], "44")?;
//! let note = edit.insert(Anchor::After(pid.into()), Insert::Segment("NTE".parse()?))?;
//! edit.set(note, &[Step::Field(3)], "a|b")?;
//! let bytes = edit.finish().bytes;
//! assert_eq!(bytes, b"MSH|^~\\&|A\rPID|1||42~43^^^&1.2.3~44||^Eeva||||||||\"\"\rNTE|||a\\F\\b\r");
//!
//! let tree = Syntax::Json.parse(br#"{"n": 1, "list": []}"#.to_vec(), &Limits::default())?;
//! let mut edit = Edit::new(&tree);
//! edit.set(tree.root(), &[Step::Member("n".into())], Scalar::AsBefore("2"))?;
//! let item = edit.insert(Anchor::Last(tree.root().into(), &[Step::Member("list".into())]), Insert::Item)?;
//! edit.set(item, &[Step::Member("id".into())], "x")?;
//! assert_eq!(edit.finish().bytes, br#"{"n": 2, "list": [{"id": "x"}]}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! [`hl7v2::create`], [`json::create`], [`xml::create`] and [`delimited::create`] give an empty document to edit.
//! A character that the document's set lacks is an [`EditError::Character`], or, with [`Edit::transliterating`], a
//! reported stand-in. XML writes it as a character reference.
//!
//! # Leaves
//! HL7 v2: each subcomponent that is not empty, `""` included, MSH-1 and MSH-2 one each. XML: each attribute that is no
//! namespace declaration, each text node that is not white space. JSON: each scalar. Delimited: each cell below the
//! header that is not empty.

mod bytes;
pub mod charset;
pub mod delimited;
pub mod edit;
pub mod error;
pub mod hl7v2;
pub mod json;
pub mod laws;
mod lines;
pub mod path;
mod transliterate;
pub mod tree;
pub mod xml;

use serde::{Deserialize, Serialize};

pub use charset::{CharacterClass, Charset};
pub use edit::{Anchor, Edit, Finished, Insert, NewId, Place, Scalar, Transliteration};
pub use error::{EditError, Position, Problem, RowFault, RowProblem, SyntaxError};
pub use path::{Each, Name, Path, SegmentName, Step};
pub use tree::{Children, Kind, NodeId, Tree, Value};

/// A kind of native document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// HL7 v2 in its delimited encoding (ER7).
    Hl7V2,
    /// XML 1.0 with namespaces.
    Xml,
    /// JSON (RFC 8259).
    Json,
    /// Delimited or fixed-width tables.
    Delimited,
}

/// What is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the document.
    pub bytes: usize,
    /// Levels of nesting (JSON, XML).
    pub depth: usize,
    /// Nodes of the tree.
    pub nodes: usize,
}

impl Default for Limits {
    /// 16 MiB, 64 levels, two million nodes.
    fn default() -> Self {
        Self { bytes: 16 << 20, depth: 64, nodes: 2_000_000 }
    }
}

impl Limits {
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), SyntaxError> {
        let limit = self.bytes.min(u32::MAX as usize - 1);
        if bytes.len() > limit {
            return Err(SyntaxError {
                problem: Problem::TooLarge { limit },
                position: Position { offset: limit, line: 1, column: 1 },
                segment: None,
            });
        }
        if is_wide(bytes) {
            return Err(SyntaxError::new(Problem::WideCharset, bytes, 0));
        }
        Ok(())
    }
}

/// Whether a document begins as text of two or four bytes a character does: by its byte order mark, or by the zero that
/// its first character has beside it.
fn is_wide(bytes: &[u8]) -> bool {
    matches!(bytes, [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, 0, 0xFE, 0xFF, ..])
        || matches!(bytes, [0, first, ..] | [first, 0, ..] if first.is_ascii_graphic())
        || matches!(bytes, [0, 0, 0, first, ..] if first.is_ascii_graphic())
}

/// How a document is to be read: the format and what its sender has declared about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Syntax {
    /// HL7 v2.
    Hl7V2(hl7v2::Options),
    /// XML.
    Xml,
    /// JSON.
    Json,
    /// A table.
    Delimited(delimited::Dialect),
}

impl Syntax {
    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self {
            Self::Hl7V2(_) => Format::Hl7V2,
            Self::Xml => Format::Xml,
            Self::Json => Format::Json,
            Self::Delimited(_) => Format::Delimited,
        }
    }

    /// Reads a document. The bytes are kept as they are.
    ///
    /// # Errors
    /// [`SyntaxError`] with the position; rows of a table that cannot be read are
    /// [`Tree::row_faults`] instead.
    pub fn parse(&self, bytes: Vec<u8>, limits: &Limits) -> Result<Tree, SyntaxError> {
        match self {
            Self::Hl7V2(options) => hl7v2::parse(bytes, options, limits),
            Self::Xml => xml::parse(bytes, limits),
            Self::Json => json::parse(bytes, limits),
            Self::Delimited(dialect) => delimited::parse(bytes, dialect, limits),
        }
    }
}
