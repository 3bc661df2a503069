//! Files of the operator that others must not read or change: keys and settings.
//! It must not know what is in them. They are opened by the path that the operator gave, following links.
//!
//! Windows has neither modes nor numeric owners here: what lies in the profile of a user inherits who may read it, and
//! only the type of the file is checked.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the new file `path` for writing, readable by nobody but its owner.
///
/// # Errors
/// Those of `open(2)`, `AlreadyExists` among them.
pub fn create_private(path: &Path) -> io::Result<File> {
    mine::create(path)
}

/// Makes the directory `path`, and those above it that are missing, with access for nobody but the owner. One that
/// exists is left as it is.
///
/// # Errors
/// Those of `mkdir(2)`.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    mine::create_dir(path)
}

/// Opens `path` for reading if it is a regular file of root or the effective user that neither group nor others may touch. A pipe in its place delays nothing.
///
/// # Errors
/// Those of `open(2)`, and `PermissionDenied` with the reason when the file is not well kept.
pub fn open_private(path: &Path) -> io::Result<File> {
    let file = mine::open(path)?;
    check_private(&file)?;
    Ok(file)
}

/// Opens `path` for reading if it is a regular file of root or the effective user that neither group nor others may write to.
///
/// # Errors
/// Those of `open(2)`, and `PermissionDenied` with the reason when others may change the file.
pub fn open_owned(path: &Path) -> io::Result<File> {
    let file = mine::open(path)?;
    check_owned(&file)?;
    Ok(file)
}

/// Whether `file` is a regular file of root or the effective user that neither group nor others may touch.
///
/// # Errors
/// `PermissionDenied` with the reason.
fn check_private(file: &File) -> io::Result<()> {
    mine::check(file, 0o077, "group or others may access it; `chmod 600` it")
}

/// Whether `file` is a regular file of root or the effective user that neither group nor others may write to.
///
/// # Errors
/// `PermissionDenied` with the reason.
fn check_owned(file: &File) -> io::Result<()> {
    mine::check(file, 0o022, "others than its owner may write it (chmod go-w changes that)")
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned())
}

#[cfg(unix)]
mod mine {
    //! Unix: owner and mode.

    use std::fs::{DirBuilder, File, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    use super::refused;

    pub(super) fn create(path: &Path) -> io::Result<File> {
        let flags = libc::O_NOFOLLOW;
        OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)
    }

    pub(super) fn create_dir(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    pub(super) fn open(path: &Path) -> io::Result<File> {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    }

    pub(super) fn check(file: &File, forbidden: u32, why: &str) -> io::Result<()> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(refused("it is not a regular file"));
        }
        if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(refused("it belongs to another user"));
        }
        if meta.mode() & forbidden != 0 {
            return Err(refused(why));
        }
        Ok(())
    }
}

#[cfg(windows)]
mod mine {
    //! Windows: what the directory bequeaths.

    use std::fs::{File, OpenOptions};
    use std::io;
    use std::path::Path;

    use super::refused;

    pub(super) fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub(super) fn create_dir(path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    pub(super) fn open(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(super) fn check(file: &File, _forbidden: u32, _why: &str) -> io::Result<()> {
        match file.metadata()?.is_file() {
            true => Ok(()),
            false => Err(refused("it is not a regular file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};

    use super::*;

    #[test]
    fn what_was_made_private_opens_and_is_made_only_once() {
        let dir = tempfile::tempdir().expect("a directory of its own");
        let inner = dir.path().join("a/b");
        create_private_dir(&inner).expect("made with what is above it");
        create_private_dir(&inner).expect("left as it is");
        let path = inner.join("key");
        create_private(&path).expect("new").write_all(b"secret").expect("written");
        assert_eq!(create_private(&path).expect_err("it exists").kind(), ErrorKind::AlreadyExists);
        let mut text = String::new();
        open_private(&path).expect("well kept").read_to_string(&mut text).expect("read");
        assert_eq!(text, "secret");
        assert!(open_owned(&inner).is_err(), "a directory holds no secret");
    }

    #[cfg(unix)]
    #[test]
    fn modes_that_let_others_in_are_refused_with_the_way_out() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().expect("a directory of its own");
        let path = dir.path().join("key");
        drop(create_private(&path).expect("new"));
        let mode_of = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode_of(&path), 0o600);
        for (mode, is_private, is_owned) in
            [(0o600, true, true), (0o640, false, true), (0o604, false, true), (0o620, false, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(open_private(&path).is_ok(), is_private, "{mode:o}");
            assert_eq!(open_owned(&path).is_ok(), is_owned, "{mode:o}");
        }
        let text = open_private(&path).expect_err("too open").to_string();
        assert!(text.contains("chmod 600"), "{text}");
        let inner = dir.path().join("kept");
        create_private_dir(&inner).expect("made");
        assert_eq!(mode_of(&inner), 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_place_of_a_key_is_refused_at_once() {
        let dir = tempfile::tempdir().expect("a directory of its own");
        let path = dir.path().join("key");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let text = open_private(&path).expect_err("no file").to_string();
        assert!(text.contains("not a regular file"), "{text}");
    }
}
