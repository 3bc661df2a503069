//! The Unix calls that std has no portable name for; it decides nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::time::TimeValLike;
use nix::unistd::{Pid, geteuid};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, XattrFlags};

use crate::snapshot::{Mtime, Stat};

/// Processor time and peak memory of all children that were waited for.
pub(crate) struct ChildrenUsage {
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    pub(crate) peak_bytes: u64,
}

/// Whether the harness can run on this system at all.
pub(crate) fn is_supported() -> bool {
    true
}

pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

pub(crate) fn name_from_bytes(bytes: &[u8]) -> io::Result<OsString> {
    Ok(OsString::from_vec(bytes.to_vec()))
}

pub(crate) fn starts_with(name: &OsStr, prefix: &[u8]) -> bool {
    name.as_bytes().starts_with(prefix)
}

/// What lstat says.
pub(crate) fn stat(path: &Path) -> io::Result<Stat> {
    let meta = std::fs::symlink_metadata(path)?;
    Ok(Stat {
        type_and_mode: meta.mode(),
        special: meta.rdev(),
        owner: meta.uid(),
        group: meta.gid(),
        size: meta.size(),
        mtime: Mtime { seconds: meta.mtime(), nanoseconds: meta.mtime_nsec() },
        allocated: meta.blocks() * 512,
        device: meta.dev(),
        inode: meta.ino(),
        links: meta.nlink(),
    })
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Never follows a symlink.
pub(crate) fn set_owner(path: &Path, owner: u32, group: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(owner), Some(group))
}

/// Never follows a symlink; the access time becomes the same.
pub(crate) fn set_mtime(path: &Path, mtime: Mtime) -> io::Result<()> {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(crate) fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

pub(crate) fn set_xattr(path: &Path, name: &OsStr, value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())?)
}

/// Names and values, sorted by name; never follows a symlink.
pub(crate) fn xattrs(path: &Path) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let len = match rustix::fs::llistxattr_query(path) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(len) => len,
        Err(errno) => return Err(errno.into()),
    };
    let mut names = vec![0u8; len];
    let len = rustix::fs::llistxattr(path, names.as_mut_slice())?;
    names.truncate(len);
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = OsStr::from_bytes(name);
        let mut value = vec![0u8; rustix::fs::lgetxattr_query(path, name)?];
        let len = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
        value.truncate(len);
        found.push((name.to_os_string(), value));
    }
    found.sort();
    Ok(found)
}

pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(path)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Writes back what the file system of `path` holds, or every one where the system's `sync` does
/// not know how to choose: on a shared machine the others' data would take minutes.
pub(crate) fn sync(path: &Path) {
    let one = Command::new("sync").arg("-f").arg(path).stdin(Stdio::null()).output();
    if !one.is_ok_and(|output| output.status.success()) {
        rustix::fs::sync();
    }
}

pub(crate) fn children_usage() -> io::Result<ChildrenUsage> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let unit = if std::env::consts::OS == "macos" { 1 } else { 1024 };
    Ok(ChildrenUsage {
        user_seconds: seconds(usage.user_time().num_microseconds()),
        system_seconds: seconds(usage.system_time().num_microseconds()),
        peak_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * unit,
    })
}

/// What this process has taken itself, in user and system seconds together.
pub(crate) fn own_cpu_seconds() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let spent = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(seconds(spent))
}

/// Makes a new file below an open directory.
pub(crate) fn create_in(directory: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o644))?.into())
}

/// Takes a file away from an open directory.
pub(crate) fn unlink_in(directory: &File, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)
}

pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// Makes the child the leader of its own group, so that `kill_group` reaches its children too.
pub(crate) fn lead_group(command: &mut Command) {
    command.process_group(0);
}

pub(crate) fn kill_group(leader: u32) -> io::Result<()> {
    let leader = i32::try_from(leader).map_err(io::Error::other)?;
    Ok(killpg(Pid::from_raw(leader), Signal::SIGKILL)?)
}

/// Asks a child that was not waited for yet to end.
pub(crate) fn terminate(child: u32) -> io::Result<()> {
    let child = i32::try_from(child).map_err(io::Error::other)?;
    Ok(kill(Pid::from_raw(child), Signal::SIGTERM)?)
}

/// Calls `raise` on each interrupt, hang-up and termination signal from now on, instead of dying.
///
/// The signals are blocked here, before there is any other thread, and taken by one thread with
/// sigwait: no code runs in a signal handler. Children inherit the mask, see `accept_signals`.
pub(crate) fn on_interrupt(raise: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while signals.wait().is_ok() {
            raise();
        }
    })?;
    Ok(())
}

/// Lets signals end this process again, and the processes that it starts.
pub(crate) fn accept_signals() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53 are exact")]
fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}
