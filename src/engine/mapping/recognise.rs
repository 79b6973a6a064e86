//! Which format and map a document is of, by the document alone.

use std::sync::Arc;

use crate::fault::Fault;
use crate::native::delimited::Dialect;
use crate::native::hl7v2::Options;
use crate::native::{Charset, Format, Limits, Syntax, SyntaxError, Tree};

use super::library::{Maps, NoMap};
use super::map::Map;
use super::syntax::NativeType;

/// Why a document is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognised {
    /// It is not of the format that it begins as, or that its map reads.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// No map reads it.
    #[error(transparent)]
    NoMap(#[from] NoMap),
}

impl Unrecognised {
    /// The answer that it leads to.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Syntax(error) => error.fault(),
            Self::NoMap(error) => error.fault(),
        }
    }

    /// Line and column of what cannot be read.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Syntax(error) => Some(error.location()),
            Self::NoMap(_) => None,
        }
    }
}

impl Map {
    /// How the documents that it reads are read. `charset` is that of those that declare none.
    #[must_use]
    pub fn syntax(&self, charset: Charset) -> Syntax {
        match self.native() {
            NativeType::Hl7v2 { .. } => Syntax::Hl7V2(Options { charset }),
            NativeType::Json { .. } | NativeType::Fhir { .. } => Syntax::Json,
            NativeType::Xml { .. } => Syntax::Xml,
            NativeType::Delimited { separator, .. } => {
                Syntax::Delimited(Dialect { separator: *separator, charset, ..Dialect::default() })
            }
        }
    }
}

impl Map {
    /// How a document that it reads is read: as XML, where it is written so and that says the same.
    #[must_use]
    pub fn syntax_of(&self, bytes: &[u8], charset: Charset) -> Syntax {
        let is_xml = begins(bytes).first() == Some(&b'<');
        if is_xml && self.takes(Format::Xml) { Syntax::Xml } else { self.syntax(charset) }
    }
}

/// A document without what may stand before it.
fn begins(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start()
}

impl Maps {
    /// Reads a document of which nothing is said, and finds its map. HL7 v2 begins with a header segment, XML with `<`,
    /// JSON with `{` or `[`; anything else is a table, as one of the maps for tables separates its cells.
    ///
    /// # Errors
    /// [`Unrecognised`].
    pub fn recognise(
        &self,
        bytes: Vec<u8>,
        charset: Charset,
        limits: &Limits,
    ) -> Result<(Arc<Map>, Tree), Unrecognised> {
        let begins = begins(&bytes);
        let syntax = match begins.first() {
            Some(b'<') => Syntax::Xml,
            Some(b'{' | b'[') => Syntax::Json,
            _ if [b"MSH", b"FHS", b"BHS"].iter().any(|name| begins.starts_with(*name)) => {
                Syntax::Hl7V2(Options { charset })
            }
            _ => return self.table(&bytes, charset, limits),
        };
        let tree = syntax.parse(bytes, limits)?;
        let map = Arc::clone(self.find(&tree)?);
        Ok((map, tree))
    }

    /// A table, its cells separated in each way that a map knows.
    fn table(&self, bytes: &[u8], charset: Charset, limits: &Limits) -> Result<(Arc<Map>, Tree), Unrecognised> {
        let mut why = None;
        let mut tried: Vec<Syntax> = Vec::new();
        for map in self.iter().filter(|map| matches!(map.native(), NativeType::Delimited { .. })) {
            let syntax = map.syntax(charset);
            if tried.contains(&syntax) {
                continue;
            }
            let found = syntax.parse(bytes.to_vec(), limits).map_err(Unrecognised::from);
            tried.push(syntax);
            let found = found.and_then(|tree| Ok((Arc::clone(self.find(&tree)?), tree)));
            match found {
                Ok(found) => return Ok(found),
                // Where the cells are separated as they should be, it is known what is lacking.
                Err(error) => {
                    let near = |why: &Unrecognised| matches!(why, Unrecognised::NoMap(NoMap::Unknown { near, .. }) if !near.is_empty());
                    if why.as_ref().is_none_or(|known| near(&error) && !near(known)) {
                        why = Some(error);
                    }
                }
            }
        }
        let known = self.iter().map(|map| map.reads_what()).collect::<Vec<_>>().join(", ");
        Err(why.unwrap_or(Unrecognised::NoMap(NoMap::Unknown { known, near: String::new() })))
    }
}
