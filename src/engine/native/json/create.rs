//! A document to begin with.

use super::super::tree::{Builder, Dialect, Kind, NONE, Tree};
use super::super::{Limits, Syntax};

/// The empty object.
#[must_use]
pub fn create() -> Tree {
    let mut builder = Builder::new(&Limits::default(), 1);
    // A builder for one node takes one node.
    let _ = builder.push(Kind::Object, 0, 0, 2, NONE);
    builder.finish(b"{}".to_vec(), Syntax::Json, Dialect::Json)
}
