//! Files dropped into a folder that the provider collects.
//!
//! A file appears under its name only when it is whole and on disk: it is written and synced under a hidden name and
//! then renamed. Each has the next number of a sequence; which message has which number is noted on disk before the
//! rename, so that a message sent again after a crash becomes the same file or none, never a second one.

mod adapter;
mod config;
mod ledger;
pub mod pattern;

pub use adapter::Files;
pub use config::Config;
