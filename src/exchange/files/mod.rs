//! Collecting files that providers leave in a folder.
//!
//! Only complete files are taken, in order, one at a time a folder; each is handed to a [`Handler`] and then moved to
//! `done` or `set-aside`. After a crash between the two a file is handed over again: the handler knows it by its bytes.

mod collector;
mod config;
mod folder;
mod handler;
mod metrics;

pub use collector::{Collector, Cut, Running};
pub use config::{Complete, Config};
pub use handler::{CollectedFile, Handler, UnreadFile, Verdict};
pub use metrics::Metrics;
