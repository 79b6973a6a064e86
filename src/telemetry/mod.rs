//! Logs, spans and metrics.
//!
//! [`logs`] go to standard error by a writer that never holds up a request; [`metrics`] are registered at start, so that
//! counting is one addition.

pub mod logs;
pub mod metrics;
