//! The versions and capabilities of the protocol that this build speaks. What they mean is in `schema/PROTOCOL.md`.
//! It must not decide what is done with them.

/// The oldest version that is spoken.
pub(crate) const VERSION_MIN: u16 = 1;
/// The newest.
pub(crate) const VERSION_MAX: u16 = 1;
/// What this build can do: none of the capabilities that are defined so far (bit 0: RDMA, bit 1: compression).
pub(crate) const CAPABILITIES: u64 = 0;
