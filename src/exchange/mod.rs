//! Messages in and out: receive, workflow, outbox.

pub mod files;
pub mod mllp;
