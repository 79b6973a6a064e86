//! The MLLP listener: HL7 v2 messages from providers, each answered on the connection that it came on.
//!
//! A connection is one ordered lane: its messages are handled one after the other, and the next is read only when the
//! last is answered, so that a slow gateway slows its senders instead of storing their messages unacknowledged.
//! Framing is [`crate::provider::mllp::framing`]; what a message means is the [`Handler`]'s matter.

mod handler;

pub use handler::{BrokenFrame, Handler, Peer, Reply};
