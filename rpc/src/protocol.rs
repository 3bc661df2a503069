//! The versions and capabilities of the protocol that this build speaks. What they mean is in `schema/PROTOCOL.md`.
//! It must not decide what is done with them.

/// The oldest version that is spoken.
pub(crate) const VERSION_MIN: u16 = 1;
/// The newest.
pub(crate) const VERSION_MAX: u16 = 1;
/// Bodies of frames on data streams may be compressed.
pub(crate) const COMPRESSION: u64 = 1 << 1;
/// What this build can do.
pub(crate) const CAPABILITIES: u64 = COMPRESSION;
