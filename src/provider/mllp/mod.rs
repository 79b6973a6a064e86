//! HL7 v2 over MLLP (Minimal Lower Layer Protocol, release 1 framing with HL7's own acknowledgements).
//!
//! [`framing`] turns a stream of bytes into messages and is used by both ends: by this module's client and by the
//! listener in `exchange`. [`header`] reads the few fields of a message that the transport itself lives by. The adapter
//! keeps connections open, has one message under way on each, and takes an acknowledgement only for the message it sent.

mod adapter;
mod config;
mod connection;
pub mod framing;
pub mod header;

pub use adapter::Mllp;
pub use config::{ApplicationAnswer, Config};

/// The media type of an HL7 v2 message in its vertical-bar encoding.
pub const MEDIA_TYPE: &str = "x-application/hl7-v2+er7";
