//! HL7 v2 over MLLP (Minimal Lower Layer Protocol, release 1 framing with HL7's own acknowledgements).
//!
//! [`framing`] turns a stream of bytes into messages and is used by both ends: by this module's client and by the
//! listener in `exchange`.

pub mod framing;
