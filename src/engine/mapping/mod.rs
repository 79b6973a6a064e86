//! The correspondence language: one description per format, both directions.

pub mod syntax;
