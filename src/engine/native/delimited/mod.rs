//! Delimited and fixed-width tables, dialect and encoding kept.
