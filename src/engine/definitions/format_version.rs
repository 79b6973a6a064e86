//! The version of the container that `silta package compile` writes; the build script reads it, too.

/// The version of the container that this program writes and reads.
pub const FORMAT_VERSION: u32 = 2;
