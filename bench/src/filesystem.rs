//! Where sources and targets live: a directory that cleans up after itself, and images with a
//! file system of their own.
//!
//! ext4 does not hand out an inode again for minutes after its deletion, and the search for one
//! that it may hand out grows with the number of recent deletions: a run that follows the removal
//! of a large tree can be ten times slower than the same run on a fresh file system. So a target
//! with many entries is never deleted before the session ends, or it lives on an image that was
//! formatted for this round.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Error, OnPath, Result};
use crate::system;
use crate::trees::Need;

/// The session's own directory. Dropping it removes everything in it.
pub(crate) struct Workspace {
    path: PathBuf,
    /// Held while the session lives, so that another session can tell ours from a dead one's.
    _lock: File,
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Ext4,
    Xfs,
    Btrfs,
}

/// A file with a file system in it, mounted. Dropping it unmounts and removes it.
pub(crate) struct Image {
    file: PathBuf,
    mount_point: PathBuf,
    keep: bool,
}

/// What a path lies on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Mount {
    pub(crate) device: String,
    pub(crate) point: String,
    pub(crate) format: String,
    pub(crate) options: String,
}

impl Workspace {
    /// Makes a directory below `parent`, after removing what killed sessions left there.
    pub(crate) fn open(parent: &Path, keep: bool) -> Result<Self> {
        fs::create_dir_all(parent).on("create directory", parent)?;
        let parent = fs::canonicalize(parent).on("resolve", parent)?;
        remove_stale(&parent)?;
        // It gets the name that makes it subject to removal only once its lock is held.
        let unnamed = parent.join(format!(".{PREFIX}{}", std::process::id()));
        fs::create_dir(&unnamed).on("create directory", &unnamed)?;
        let lock_path = unnamed.join(LOCK);
        let lock = File::create_new(&lock_path).on("create", &lock_path)?;
        lock.lock().on("lock", &lock_path)?;
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::rename(&unnamed, &path).on("rename", &unnamed)?;
        Ok(Self { path, _lock: lock, keep })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.keep {
            // Without its lock file nobody takes it for a dead session's.
            drop(fs::remove_file(self.path.join(LOCK)));
        } else {
            // What cannot be removed now is removed by the next session.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// With everything written at once: ext4 would otherwise go on formatting in the background,
    /// while we measure.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
            Self::Xfs => &["-q", "-f"],
            Self::Btrfs => &["-q", "-f"],
        }
    }
}

impl Image {
    /// Formats and mounts a file in `folder` that has room for `need`.
    pub(crate) fn mount(folder: &Path, format: Format, need: Need, keep: bool) -> Result<Self> {
        let image = Self { file: folder.join(IMAGE), mount_point: folder.join(MOUNT_POINT), keep };
        fs::create_dir_all(&image.mount_point).on("create directory", &image.mount_point)?;
        let file = File::create(&image.file).on("create", &image.file)?;
        file.set_len(image_len(need)).on("truncate", &image.file)?;
        drop(file);
        let mut format_it = Command::new(format!("mkfs.{}", format.name()));
        run(format_it.args(format.options()).arg(&image.file))?;
        run(Command::new("mount")
            .args(["-t", format.name(), "-o", "loop"])
            .args([&image.file, &image.mount_point]))?;
        Ok(image)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Gives freed blocks back to the disk, so that a run after a deletion finds the image as
    /// empty as the run before it did.
    pub(crate) fn trim(&self) {
        // Not every file system below can do that; then the first arm of a round pays more.
        drop(run(Command::new("fstrim").arg(&self.mount_point)));
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if !self.keep {
            unmount(&self.mount_point);
            drop(fs::remove_file(&self.file));
        }
    }
}

impl Mount {
    /// The mount that holds `path`, where the system lists its mounts in /proc.
    pub(crate) fn of(path: &Path) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self::find(&table, &path).unwrap_or_else(|| Self {
            device: "unknown".to_owned(),
            point: path.display().to_string(),
            format: "unknown".to_owned(),
            options: String::new(),
        })
    }

    fn find(table: &str, path: &Path) -> Option<Self> {
        let mounts = table.lines().filter_map(|line| {
            let mut fields = line.split(' ').map(unescape);
            Some(Self {
                device: fields.next()?,
                point: fields.next()?,
                format: fields.next()?,
                options: fields.next()?,
            })
        });
        // The last of equally deep mounts is the one on top.
        mounts
            .filter(|mount| path.starts_with(&mount.point))
            .max_by_key(|mount| Path::new(&mount.point).components().count())
    }
}

/// Blanks in /proc/self/mounts are octal.
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// Room for the bytes and a quarter, and, at ext4's usual inode for each 16 KiB, for the entries.
/// Most of it stays a hole in the image.
fn image_len(need: Need) -> u64 {
    let bytes = need.bytes + need.entries * BLOCK_BYTES;
    let inodes = need.entries * BYTES_PER_INODE;
    let len = bytes.max(inodes);
    (len + len / 4 + IMAGE_BYTES_MIN).next_multiple_of(BLOCK_BYTES)
}

/// An error that says how much is missing, before anything is written.
pub(crate) fn check_space(path: &Path, needed: u64) -> Result<()> {
    let free = system::free_bytes(path).on("ask for free space", path)?;
    if free > needed {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} has {} GiB free, and this session would need about {} GiB: choose fewer or smaller \
         trees, fewer rounds or arms, --fresh loop (which keeps one round at a time), or another \
         --work directory",
        path.display(),
        free >> 30,
        needed.div_ceil(1 << 30)
    )))
}

fn remove_stale(parent: &Path) -> Result<()> {
    for item in fs::read_dir(parent).on("list", parent)? {
        let item = item.on("list", parent)?;
        if !item.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = item.path();
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            unmount(&path.join(MOUNT_POINT));
            // It may be another user's; then it is theirs to remove.
            drop(fs::remove_dir_all(&path));
        }
    }
    Ok(())
}

/// Unmounts if something is mounted there; in the end even if a process still sits in it.
fn unmount(point: &Path) {
    let is_mounted = || Path::new(&Mount::of(point).point) == point;
    for lazily in [&[][..], &["--lazy"]] {
        if is_mounted() {
            drop(run(Command::new("umount").args(lazily).arg(point)));
        }
    }
}

/// Runs a tool of the system to its end, quietly.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let message = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "not installed".to_owned(),
        Err(error) => error.to_string(),
    };
    let command = format!("{:?}", command);
    Err(Error::Tool { command, message })
}

const PREFIX: &str = "blit-bench-";
const LOCK: &str = "lock";
const IMAGE: &str = "image";
const MOUNT_POINT: &str = "mount";
const BLOCK_BYTES: u64 = 4096;
const BYTES_PER_INODE: u64 = 16 << 10;
/// btrfs and XFS refuse much less; journals and tables have room in it.
const IMAGE_BYTES_MIN: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_of_a_path_is_found() {
        let table = "/dev/a / ext4 rw,relatime 0 0\n\
                     /dev/b /with\\040blank xfs rw 0 0\n\
                     tmpfs /with\\040blank tmpfs rw 0 0\n";
        let find = |path: &str| Mount::find(table, Path::new(path)).expect("a mount");
        assert_eq!(find("/home").device, "/dev/a");
        assert_eq!(find("/with blank/x").format, "tmpfs");
        assert_eq!(find("/with").options, "rw,relatime");
    }

    #[test]
    fn an_image_has_room_for_bytes_and_for_inodes() {
        assert!(image_len(Need { entries: 1, bytes: 4 << 30 }) > 5 << 30);
        assert!(image_len(Need { entries: 600_000, bytes: 0 }) > 600_000 * BYTES_PER_INODE);
    }

    #[test]
    fn a_workspace_removes_itself_and_what_a_dead_session_left() {
        if !system::is_supported() {
            return;
        }
        let sandbox = tempfile::tempdir().expect("a temporary directory");
        let dead = sandbox.path().join("blit-bench-dead");
        fs::create_dir_all(dead.join("targets")).expect("a directory");
        fs::write(dead.join(LOCK), "").expect("a lock that nobody holds");
        let kept = sandbox.path().join("blit-bench-kept");
        fs::create_dir(&kept).expect("a directory");
        let workspace = Workspace::open(sandbox.path(), false).expect("a workspace");
        assert!(!dead.exists());
        assert!(kept.exists());
        // Its own is in use, also as seen by the next session.
        remove_stale(sandbox.path()).expect("a clean-up");
        assert!(workspace.path().exists());
        let path = workspace.path().to_path_buf();
        drop(workspace);
        assert!(!path.exists());
    }

    #[test]
    fn a_kept_workspace_outlives_the_next_session() {
        if !system::is_supported() {
            return;
        }
        let sandbox = tempfile::tempdir().expect("a temporary directory");
        let workspace = Workspace::open(sandbox.path(), true).expect("a workspace");
        let path = workspace.path().to_path_buf();
        drop(workspace);
        remove_stale(sandbox.path()).expect("a clean-up");
        assert!(path.exists());
    }

    #[test]
    fn too_little_space_is_a_usage_error() {
        if !system::is_supported() {
            return;
        }
        let error = check_space(Path::new("."), u64::MAX).expect_err("no disk is that large");
        assert!(matches!(error, Error::Usage(_)));
    }
}
