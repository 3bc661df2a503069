//! Files of the operator that others must not read or change, for those who may not call the system themselves.
//! It must not know what is in them.

pub use blit_fallback::sys::{create_private, create_private_dir, open_owned, open_private};
