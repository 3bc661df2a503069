//! The operating system as this crate sees it: one function a call, the same names on every platform.
//! It must not know tasks or policy: what is tried first, what counts as a failure and what is kept is decided above.
//!
//! Every platform module defines exactly what is re-exported here. Errors are plain `io::Error`s of the system; where
//! callers must tell causes apart that std does not name, [`is_unsupported`] and [`is_not_permitted`] do.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as platform;
mod memory;
mod private;

pub use memory::Memory;
pub use private::{create_private, create_private_dir, open_owned, open_private};

#[cfg(unix)]
mod host;
#[cfg(unix)]
pub use host::{
    Signals, account, group_id, group_name, group_number, inherited_listeners, notify,
    notify_reloading, user_name, user_number,
};
#[cfg(windows)]
pub use windows::host::{
    Signals, account, group_id, group_name, group_number, inherited_listeners, notify,
    notify_reloading, user_name, user_number,
};

pub use platform::{
    Names, OPEN_DIRS_CAN_MOVE, Object, OpenDir, OpenEntry, acl_is_inherited, canonical_place,
    clone_file, confine, copy_range, create_new, create_unnamed, exchange, file_system, follow_dir,
    follow_entry, follow_file, identity, is_bad_handle, is_cached, is_cross_device, is_loop,
    is_not_permitted, is_out_of_files, is_out_of_range, is_unsupported, link, link_unnamed,
    make_device, make_dir, make_fifo, make_private_dir, make_socket, make_symlink,
    makes_contents_up, move_new, move_over, next_extent, open_child, open_dir, open_entry,
    open_file, open_parent, open_root, open_to_update, open_to_write, raise_open_files, read_at,
    read_link, remove_dir, remove_file, remove_xattr, rename_new, rename_over, set_mode, set_owner,
    set_times, set_xattr, stat, stat_at, sync, time_step_ns, try_lock, umask, will_need, write_at,
    xattrs_at, xattrs_of,
};

#[cfg(target_os = "linux")]
pub use platform::{STATX_WANTED, meta_of};

/// What an opened directory is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Names in it are reached; it need not be readable.
    Search,
    /// Its names are read, it is locked or made durable.
    Read,
}

/// Who the process is, as far as ownership goes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The number new files get as their owner.
    pub uid: u32,
    /// Whether files can be given away.
    pub may_chown: bool,
    /// The groups files can be given to otherwise.
    pub groups: std::sync::Arc<[u32]>,
}

/// A user of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub uid: u32,
    /// The number of its own group, where the system knows the user.
    pub gid: Option<u32>,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end.
    Stop,
    /// To read the configuration again.
    Reload,
}

/// Whom a confined thread acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner of what it makes.
    pub uid: u32,
    /// The only group it is in.
    pub gid: u32,
}

/// What a confined thread may do below its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Read.
    Read,
    /// Read, write, make and remove.
    Write,
}

/// What the system holds a confined thread to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforced {
    /// The version of the interface by which the kernel keeps the thread in its root; `None` where it cannot, so that
    /// only the way paths are opened does.
    pub landlock_abi: Option<u32>,
}

/// What a file system holds.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Bytes free for this user.
    pub available: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The name of the POSIX ACL that decides access.
pub const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
/// The name of the POSIX ACL that new entries of a directory inherit.
pub const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";
