//! What is wrong in a map file, and where.

use std::fmt;
use std::sync::Arc;

/// Where something stands in a map file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Span {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// One thing that is wrong in a map file: where, what, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file's name as given to the parser.
    pub file: Arc<str>,
    /// Where.
    pub span: Span,
    /// How grave it is.
    pub level: Level,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// How grave a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth a look; the map works.
    Warning,
    /// The map cannot be used.
    Error,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{}:{}:{}: {level}: {}", self.file, self.span.line, self.span.column, self.what)?;
        if self.right.is_empty() { Ok(()) } else { write!(f, " ({})", self.right) }
    }
}
