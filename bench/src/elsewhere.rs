//! The names of `unix.rs` where there is no Unix: each says that the harness does not run here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::snapshot::{Mtime, Stat};

/// Processor time and peak memory of all children that were waited for.
pub(crate) struct ChildrenUsage {
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    pub(crate) peak_bytes: u64,
}

/// Whether the harness can run on this system at all.
pub(crate) fn is_supported() -> bool {
    false
}

pub(crate) fn is_root() -> bool {
    false
}

pub(crate) fn name_from_bytes(_: &[u8]) -> io::Result<OsString> {
    Err(unsupported())
}

pub(crate) fn starts_with(_: &OsStr, _: &[u8]) -> bool {
    false
}

pub(crate) fn stat(_: &Path) -> io::Result<Stat> {
    Err(unsupported())
}

pub(crate) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn set_owner(_: &Path, _: u32, _: u32) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn set_mtime(_: &Path, _: Mtime) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn set_xattr(_: &Path, _: &OsStr, _: &[u8]) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn xattrs(_: &Path) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    Err(unsupported())
}

pub(crate) fn free_bytes(_: &Path) -> io::Result<u64> {
    Err(unsupported())
}

pub(crate) fn sync(_: &Path) {}

pub(crate) fn children_usage() -> io::Result<ChildrenUsage> {
    Err(unsupported())
}

pub(crate) fn own_cpu_seconds() -> io::Result<f64> {
    Err(unsupported())
}

pub(crate) fn create_in(_: &File, _: &str) -> io::Result<File> {
    Err(unsupported())
}

pub(crate) fn unlink_in(_: &File, _: &str) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn signal(_: ExitStatus) -> Option<i32> {
    None
}

pub(crate) fn lead_group(_: &mut Command) {}

pub(crate) fn kill_group(_: u32) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn terminate(_: u32) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn on_interrupt(_: impl Fn() + Send + 'static) -> io::Result<()> {
    Err(unsupported())
}

pub(crate) fn accept_signals() -> io::Result<()> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the harness needs a Unix system")
}
