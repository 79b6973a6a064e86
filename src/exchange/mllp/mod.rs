//! The MLLP listener: HL7 v2 messages from providers, each answered on the connection that it came on.
//!
//! A connection is one ordered lane: its messages are handled one after the other, and the next is read only when the
//! last is answered, so that a slow gateway slows its senders instead of storing their messages unacknowledged. A
//! sender may still write several before it reads. Framing is [`crate::provider::mllp::framing`]; what a message means
//! is the [`Handler`]'s matter.

mod config;
mod connection;
mod handler;
mod listener;
mod metrics;

pub use config::{Config, TlsConfig};
pub use handler::{BrokenFrame, Handler, Peer, Reply};
pub use listener::{Certificates, Cut, Listener, Reload, Running};
pub use metrics::Metrics;
