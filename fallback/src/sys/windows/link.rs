//! Windows: symbolic links, as the data that a file or directory holds in their place.
//! It must not know what a link leads to is for.
//!
//! Targets have slashes as bytes and backslashes in the system. A target that is absolute in the system begins with a
//! drive (`C:/a`) or with two slashes (`//server/share`).

use std::io;
use std::os::windows::io::{AsHandle, BorrowedHandle};

use blit_core::entry::Kind;
use blit_core::path::Name;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Win32::Storage::FileSystem as win;

use super::nt::{self, Request};
use super::{
    Access, OpenDir, QUESTION, SEPARATOR, is_not_permitted, is_unsupported, name, open_child,
    open_entry, open_parent, remove_file, stat_at,
};

/// Makes a symbolic link: to a directory if its target is one at the moment, otherwise to a file.
///
/// # Errors
/// Those of `FSCTL_SET_REPARSE_POINT` and `CreateSymbolicLinkW`; `InvalidInput` for a target that cannot be expressed.
pub fn make_symlink(dir: &OpenDir, name: &Name, target: &[u8]) -> io::Result<()> {
    let target = Target::new(target)?;
    let is_dir = target.is_relative && leads_to_dir(dir, &target.units);
    match make_by_handle(dir, name, &target, is_dir) {
        Err(error) if is_not_permitted(&error) || is_unsupported(&error) => {
            make_by_path(dir, name, &target, is_dir)
        }
        other => other,
    }
}

/// The target of the symbolic link `name`, however long.
///
/// # Errors
/// Those of `FSCTL_GET_REPARSE_POINT`; `Unsupported` for a link of another system.
pub fn read_link(dir: &OpenDir, name: &Name) -> io::Result<Box<[u8]>> {
    target_of(open_entry(dir, name)?.0.as_handle())
}

/// The target of an open link.
pub(super) fn target_of(handle: BorrowedHandle<'_>) -> io::Result<Box<[u8]>> {
    let data = nt::reparse_point(handle)?;
    target_in(&data).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// A target in the form of the system.
struct Target {
    units: Vec<u16>,
    is_relative: bool,
}

impl Target {
    fn new(bytes: &[u8]) -> io::Result<Self> {
        let refused = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        if bytes.is_empty() || bytes.iter().any(|byte| *byte < b' ' || *byte == b'\\') {
            return Err(refused("a target that Windows cannot express"));
        }
        let units = name::units_of(bytes).ok_or_else(|| refused("a target that is not UTF-8"))?;
        let units = units.into_iter().map(|unit| if unit == SLASH { SEPARATOR } else { unit });
        let is_drive = matches!(bytes, [letter, b':', ..] if letter.is_ascii_alphabetic());
        let is_relative = !is_drive && !bytes.starts_with(b"//");
        Ok(Self { units: units.collect(), is_relative })
    }

    /// The name that the system resolves.
    fn substitute(&self) -> Vec<u16> {
        if self.is_relative {
            return self.units.clone();
        }
        let native = |prefix: &str, rest: &[u16]| {
            prefix.encode_utf16().chain(rest.iter().copied()).collect()
        };
        match self.units.as_slice() {
            [SEPARATOR, SEPARATOR, QUESTION, SEPARATOR, rest @ ..] => native(NATIVE, rest),
            [SEPARATOR, SEPARATOR, rest @ ..] => native(NATIVE_UNC, rest),
            drive => native(NATIVE, drive),
        }
    }

    /// The data of a link with this target.
    fn data(&self) -> io::Result<Vec<u8>> {
        let (substitute, print) = (self.substitute(), &self.units);
        let (substitute_len, print_len) = (substitute.len() * 2, print.len() * 2);
        let body_len = SYMLINK_HEAD_LEN + substitute_len + print_len;
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidFilename);
        let head = [body_len, 0, 0, substitute_len, substitute_len, print_len];
        let mut data = TAG_SYMLINK.to_le_bytes().to_vec();
        for number in head {
            data.extend(u16::try_from(number).map_err(too_long)?.to_le_bytes());
        }
        data.extend(u32::from(self.is_relative).to_le_bytes());
        data.extend(substitute.iter().chain(print).flat_map(|unit| unit.to_le_bytes()));
        Ok(data)
    }
}

/// The target in the data of a link.
fn target_in(data: &[u8]) -> Option<Box<[u8]>> {
    let tag = u32::from_le_bytes(*data.first_chunk()?);
    let body = data.get(BODY_OFFSET..)?;
    if tag == TAG_LX_SYMLINK {
        // A version, and the bytes as Linux has them.
        return Some(body.get(4..)?.into());
    }
    let head_len = match tag {
        TAG_SYMLINK => SYMLINK_HEAD_LEN,
        TAG_MOUNT_POINT => MOUNT_POINT_HEAD_LEN,
        _ => return None,
    };
    let number = |at: usize| -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(*body.get(at..)?.first_chunk()?)))
    };
    let text = body.get(head_len..)?.get(number(0)?..)?.get(..number(2)?)?;
    let units: Vec<u16> =
        text.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    let (prefix, rest) = split_native(&units);
    let mut bytes = prefix.as_bytes().to_vec();
    let slashed = rest.iter().map(|unit| if *unit == SEPARATOR { SLASH } else { *unit });
    name::push_bytes(slashed, &mut bytes);
    Some(bytes.into())
}

/// What a target in the system's own form begins with for users, and the rest.
fn split_native(units: &[u16]) -> (&'static str, &[u16]) {
    let strip = |prefix: &str| {
        let prefix: Vec<u16> = prefix.encode_utf16().collect();
        units.strip_prefix(prefix.as_slice())
    };
    if let Some(rest) = strip(NATIVE_UNC) {
        return ("//", rest);
    }
    match strip(NATIVE) {
        Some(rest) if rest.get(1) == Some(&COLON) => ("", rest),
        Some(rest) => ("//?/", rest),
        None => ("", units),
    }
}

/// Whether a relative target is a directory now. Nothing is followed, so that no link has this look at another machine.
fn leads_to_dir(dir: &OpenDir, target: &[u16]) -> bool {
    let mut at: Option<OpenDir> = None;
    for part in target.split(|unit| *unit == SEPARATOR) {
        let from = at.as_ref().unwrap_or(dir);
        let mut bytes = Vec::new();
        name::push_bytes(part.iter().copied(), &mut bytes);
        let opened = match bytes.as_slice() {
            b"." => continue,
            b".." => open_parent(from, Access::Search),
            bytes => match Name::new(bytes) {
                Ok(name) => open_child(from, &name, Access::Search),
                Err(_) => return false,
            },
        };
        match opened {
            Ok(opened) => at = Some(opened),
            Err(_) => return false,
        }
    }
    true
}

fn make_by_handle(dir: &OpenDir, name: &Name, target: &Target, is_dir: bool) -> io::Result<()> {
    let data = target.data()?;
    let request = Request {
        create: true,
        options: if is_dir { wdk::FILE_DIRECTORY_FILE } else { wdk::FILE_NON_DIRECTORY_FILE },
        ..Request::existing(win::FILE_WRITE_ATTRIBUTES | win::DELETE)
    };
    let made = nt::open(Some(dir.handle()), &name::new(name.as_bytes())?, request)?;
    nt::set_reparse_point(made.as_handle(), &data).inspect_err(|_| {
        // If this fails too, an empty entry is left, which the next run compares and replaces.
        drop(nt::delete_on_close(made.as_handle()));
    })
}

fn make_by_path(dir: &OpenDir, name: &Name, target: &Target, is_dir: bool) -> io::Result<()> {
    let mut path = nt::path_of(dir.handle())?;
    if path.last() != Some(&SEPARATOR) {
        path.push(SEPARATOR);
    }
    path.extend(name::new(name.as_bytes())?);
    path.push(0);
    let units: Vec<u16> = target.units.iter().copied().chain([0]).collect();
    nt::link_by_path(&path, &units, is_dir)?;
    match stat_at(dir, name) {
        Ok(meta) if meta.kind == Kind::Symlink => Ok(()),
        // Some systems say that they made a link and make something else or nothing.
        Ok(_) => {
            drop(remove_file(dir, name));
            Err(io::ErrorKind::Unsupported.into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::ErrorKind::Unsupported.into())
        }
        Err(error) => Err(error),
    }
}

const SLASH: u16 = b'/' as u16;
const COLON: u16 = b':' as u16;
/// How the system itself begins absolute names.
const NATIVE: &str = r"\??\";
const NATIVE_UNC: &str = r"\??\UNC\";
const TAG_SYMLINK: u32 = 0xa000_000c;
const TAG_MOUNT_POINT: u32 = 0xa000_0003;
const TAG_LX_SYMLINK: u32 = 0xa000_001d;
/// After the tag, the length and a reserved number.
const BODY_OFFSET: usize = 8;
/// Offsets and lengths of both names, and flags.
const SYMLINK_HEAD_LEN: usize = 12;
/// The same without flags.
const MOUNT_POINT_HEAD_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_same_there_and_back() {
        for text in
            ["a", "../a/b", "/usr/lib", "C:/a b/ü", "//server/share/a", "//?/Volume{0}/a", "d/"]
        {
            let target = Target::new(text.as_bytes()).expect(text);
            let data = target.data().expect(text);
            let len = usize::from(u16::from_le_bytes([data[4], data[5]]));
            assert_eq!(len + BODY_OFFSET, data.len());
            assert_eq!(target_in(&data).as_deref(), Some(text.as_bytes()), "{text}");
        }
        for bad in [&b""[..], b"a\\b", b"\xff", b"a\nb"] {
            assert!(Target::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn data_that_lies_about_lengths_has_no_target() {
        let good = Target::new(b"target").and_then(|target| target.data()).expect("data");
        for cut in 0..good.len() - 12 {
            assert_eq!(target_in(&good[..cut]), None, "{cut}");
        }
        let mut bad = good;
        bad[10] = 0xff;
        assert_eq!(target_in(&bad), None);
    }
}
