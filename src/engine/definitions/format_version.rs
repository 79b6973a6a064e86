// Read by the build script as well as by `format`: the version of the container written by `silta package compile`.
/// The version of the container that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;
