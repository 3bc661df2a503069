//! Linux: which place of which file system a directory is, whatever it is mounted as.
//! It must not know what places are compared for.
#![expect(unsafe_code, reason = "statx has no wrapper")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use super::{OpenDir, proc_path};

/// The device of the file system that `dir` is on and its path within that, the same through every mount of it. `None`
/// where the system does not tell.
pub fn canonical_place(dir: &OpenDir) -> Option<(u64, Vec<u8>)> {
    let mount = mount_id(dir).ok()??;
    let table = std::fs::read("/proc/thread-self/mountinfo").ok()?;
    let fd = proc_path(dir.as_fd());
    let path = std::fs::read_link(fd.trim_end_matches('\0')).ok()?;
    place_in(&table, mount, path.as_os_str().as_bytes())
}

fn mount_id(dir: &OpenDir) -> io::Result<Option<u64>> {
    let mut facts = MaybeUninit::<libc::statx>::uninit();
    let (fd, path) = (dir.as_fd().as_raw_fd(), c"".as_ptr());
    // SAFETY: the path ends with NUL, and `facts` has the size and layout that the call writes.
    let result = unsafe {
        libc::statx(fd, path, libc::AT_EMPTY_PATH, libc::STATX_MNT_ID, facts.as_mut_ptr())
    };
    Errno::result(result)?;
    // SAFETY: the call succeeded and has filled the structure.
    let facts = unsafe { facts.assume_init() };
    Ok((facts.stx_mask & libc::STATX_MNT_ID != 0).then_some(facts.stx_mnt_id))
}

/// Looks `mount` up in the text of `mountinfo` and places `path`, which is below where it is mounted.
fn place_in(table: &[u8], mount: u64, path: &[u8]) -> Option<(u64, Vec<u8>)> {
    table.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = fields.next()?;
        if number(id)? != mount {
            return None;
        }
        let (device, root, mounted) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let colon = device.iter().position(|byte| *byte == b':')?;
        let [major, minor] = [&device[..colon], &device[colon + 1..]].map(number);
        let device = libc::makedev(u32::try_from(major?).ok()?, u32::try_from(minor?).ok()?);
        let mounted = unescaped(mounted);
        let below = match &mounted[..] {
            b"/" => path,
            mounted => path.strip_prefix(mounted)?,
        };
        if !below.is_empty() && !below.starts_with(b"/") {
            return None;
        }
        let mut place = unescaped(root);
        if place == b"/" {
            place.clear();
        }
        place.extend_from_slice(below);
        while place.last() == Some(&b'/') {
            place.pop();
        }
        Some((device, place))
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Blanks, line ends and backslashes stand in the table as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..3).filter(|_| *first == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[3..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Sandbox;
    use crate::sys::{Access, open_dir, open_root};

    const TABLE: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        40 22 8:1 /srv/a\\040b /mnt/x\\134y rw - ext4 /dev/sda1 rw\n\
        41 22 0:30 / /tmp rw - tmpfs tmpfs rw\n";

    #[test]
    fn one_place_has_one_name_through_every_mount() {
        let place = |mount, path: &[u8]| place_in(TABLE, mount, path);
        let direct = place(22, b"/srv/a b/c");
        assert_eq!(direct, place(40, b"/mnt/x\\y/c"));
        assert_eq!(direct, Some((libc::makedev(8, 1), b"/srv/a b/c".to_vec())));
        assert_eq!(place(22, b"/"), Some((libc::makedev(8, 1), Vec::new())));
        assert_eq!(place(41, b"/tmp/t"), Some((libc::makedev(0, 30), b"/t".to_vec())));
        assert_eq!(place(41, b"/tmpfile"), None);
        assert_eq!(place(99, b"/"), None);
    }

    #[test]
    fn a_directory_below_another_is_placed_below_it() {
        let sandbox = Sandbox::new();
        sandbox.mkdir("a/b");
        let root = open_root(&sandbox.path("")).expect("open");
        let below = open_dir(&root, b"a/b", Access::Search).expect("open");
        let (Some(above), Some(below)) = (canonical_place(&root), canonical_place(&below)) else {
            println!("SKIPPED, the system does not tell");
            return;
        };
        assert_eq!(above.0, below.0);
        assert_eq!([above.1, b"/a/b".to_vec()].concat(), below.1);
    }
}
