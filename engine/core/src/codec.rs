//! Bytes of entries and errors, compact and bounded, as they travel between machines. The format is in
//! `schema/PROTOCOL.md`. It must not know who sends, nor trust what it reads.

use crate::entry::{Entry, FileId, Kind, Meta, Time, Xattr};
use crate::error::{Error, ErrorKind};
use crate::path::{Escaped, Name};

/// Writes numbers and byte strings to the end of a buffer.
#[derive(Debug)]
pub struct Encoder<'a>(pub &'a mut Vec<u8>);

impl Encoder<'_> {
    /// One byte.
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// A number in groups of seven bits, the lowest first (LEB128).
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push((value & 0x7f) as u8);
    }

    /// A number that may be negative: its sign in the lowest bit (zigzag).
    pub fn signed(&mut self, value: i64) {
        self.number((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
    }

    /// A length and as many bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// Entries of one directory.
    pub fn entries(&mut self, entries: &[Entry]) {
        self.number(entries.len() as u64);
        let mut before = Before::default();
        for entry in entries {
            self.bytes(entry.name.as_bytes());
            self.meta_after(&entry.meta, &mut before);
        }
    }

    /// Everything but a name and a content.
    pub fn meta(&mut self, meta: &Meta) {
        self.meta_after(meta, &mut Before::default());
    }

    /// An error: its kind, operation, path and reason.
    pub fn error(&mut self, error: &Error) {
        self.byte(kind_code(error.kind));
        self.bytes(error.op.as_bytes());
        self.bytes(&error.path);
        self.bytes(error.reason().as_bytes());
    }

    fn meta_after(&mut self, meta: &Meta, before: &mut Before) {
        let holes = meta.kind == Kind::File && meta.allocated < meta.size;
        let linked = meta.kind != Kind::Dir && meta.nlink > 1;
        let owned = (meta.uid, meta.gid) != before.owner;
        let flags = [
            (holes, HOLES),
            (linked, LINKED),
            (owned, OWNED),
            (meta.xattrs.is_some(), XATTRS),
            (meta.mode != before.mode, MODE),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, bit)| all | bit);
        self.byte(entry_code(meta.kind) | flags);
        if meta.mode != before.mode {
            self.number(u64::from(meta.mode));
        }
        self.number(meta.size);
        if holes {
            self.number(meta.allocated);
        }
        self.signed(meta.mtime.secs.wrapping_sub(before.secs));
        self.number(u64::from(meta.mtime.nanos));
        if owned {
            self.number(u64::from(meta.uid));
            self.number(u64::from(meta.gid));
        }
        if linked {
            self.number(u64::from(meta.nlink));
            self.number(meta.id.dev);
            self.number(meta.id.ino);
        }
        if meta.kind.is_device() {
            self.number(meta.rdev);
        }
        if meta.kind == Kind::Symlink {
            self.bytes(meta.target.as_deref().unwrap_or_default());
        }
        if let Some(xattrs) = &meta.xattrs {
            self.number(xattrs.len() as u64);
            for Xattr { name, value } in xattrs.iter() {
                self.bytes(name);
                self.bytes(value);
            }
        }
        *before = Before { secs: meta.mtime.secs, owner: (meta.uid, meta.gid), mode: meta.mode };
    }
}

/// What an entry is told relative to: the one before it.
#[derive(Debug, Default)]
struct Before {
    secs: i64,
    owner: (u32, u32),
    mode: u32,
}

/// Reads what an [`Encoder`] wrote. Each method takes from the front.
///
/// # Errors
/// Each fails with [`Malformed`] where the bytes end too early or say what cannot be.
#[derive(Debug)]
pub struct Decoder<'a>(pub &'a [u8]);

/// Bytes that no peer of this protocol writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        let why = "the peer sent bytes that are not of this protocol";
        Self::because(ErrorKind::Protocol, "receive", b"", why)
    }
}

impl<'a> Decoder<'a> {
    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    ///
    /// # Errors
    /// As all methods here.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    /// A number.
    ///
    /// # Errors
    /// As all methods here.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Malformed);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A number that fits 32 bits.
    ///
    /// # Errors
    /// As all methods here.
    pub fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }

    /// A number that may be negative.
    ///
    /// # Errors
    /// As all methods here.
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Exactly `len` bytes.
    ///
    /// # Errors
    /// As all methods here.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A length and as many bytes.
    ///
    /// # Errors
    /// As all methods here.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        self.take(len)
    }

    /// Entries of one directory, at most `entries_max`.
    ///
    /// # Errors
    /// As all methods here.
    pub fn entries(&mut self, entries_max: usize) -> Result<Vec<Entry>, Malformed> {
        let count = self.count(entries_max)?;
        let mut before = Before::default();
        // An entry takes several bytes, so no more is allocated than was sent.
        let mut entries = Vec::with_capacity(count.min(self.0.len() / ENTRY_BYTES_MIN));
        for _ in 0..count {
            let name = Name::new(self.bytes()?).map_err(|_| Malformed)?;
            let meta = self.meta_after(&mut before)?;
            entries.push(Entry { name, meta });
        }
        Ok(entries)
    }

    /// Everything but a name and a content.
    ///
    /// # Errors
    /// As all methods here.
    pub fn meta(&mut self) -> Result<Meta, Malformed> {
        self.meta_after(&mut Before::default())
    }

    /// An error of the peer.
    ///
    /// # Errors
    /// As all methods here.
    pub fn error(&mut self) -> Result<Error, Malformed> {
        let kind = kind_of(self.byte()?);
        let op = String::from_utf8_lossy(self.bytes()?).into_owned();
        let path = self.bytes()?;
        let reason = String::from_utf8_lossy(self.bytes()?);
        let mut error = Error::because(kind, "", path, Escaped(reason.as_bytes()).to_string());
        error.op = Escaped(op.as_bytes()).to_string().into();
        Ok(error)
    }

    /// How many things follow, each of at least a byte.
    fn count(&mut self, max: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if count <= max && count <= self.0.len() { Ok(count) } else { Err(Malformed) }
    }

    fn meta_after(&mut self, before: &mut Before) -> Result<Meta, Malformed> {
        let first = self.byte()?;
        let kind = *KINDS.get(usize::from(first & KIND_MASK)).ok_or(Malformed)?;
        let has = |flag: u8| first & flag != 0;
        let mode = if has(MODE) { self.small()? } else { before.mode };
        let size = self.number()?;
        let allocated = if has(HOLES) { self.number()? } else { size };
        let secs = self.signed()?.wrapping_add(before.secs);
        let nanos = self.small()?;
        let (uid, gid) = if has(OWNED) { (self.small()?, self.small()?) } else { before.owner };
        let (nlink, dev, ino) = match has(LINKED) {
            true => (self.small()?, self.number()?, self.number()?),
            false => (1, 0, 0),
        };
        let rdev = if kind.is_device() { self.number()? } else { 0 };
        let target = match kind {
            Kind::Symlink => Some(self.target()?),
            _ => None,
        };
        let xattrs = if has(XATTRS) { Some(self.xattrs()?.into()) } else { None };
        let is_bounded = mode <= MODE_MAX && nanos <= NANOS_MAX && size <= SIZE_MAX;
        let has_holes = kind == Kind::File && allocated < size;
        let is_linked = kind != Kind::Dir && nlink > 1;
        if !is_bounded || has(HOLES) != has_holes || has(LINKED) != is_linked {
            return Err(Malformed);
        }
        *before = Before { secs, owner: (uid, gid), mode };
        let mtime = Time { secs, nanos };
        let ctime = Time::default();
        let id = FileId { dev, ino };
        let meta = Meta {
            kind,
            size,
            allocated,
            mtime,
            ctime,
            mode,
            uid,
            gid,
            nlink,
            id,
            mounted: false,
            rdev,
            xattrs,
            target,
        };
        Ok(meta)
    }

    fn target(&mut self) -> Result<Box<[u8]>, Malformed> {
        let target = self.bytes()?;
        if target.contains(&0) { Err(Malformed) } else { Ok(target.into()) }
    }

    fn xattrs(&mut self) -> Result<Vec<Xattr>, Malformed> {
        let count = self.count(XATTRS_MAX)?;
        let mut xattrs: Vec<Xattr> = Vec::new();
        for _ in 0..count {
            let (name, value) = (self.bytes()?, self.bytes()?);
            let is_new = xattrs.last().is_none_or(|last| *last.name < *name);
            if name.is_empty() || name.contains(&0) || !is_new {
                return Err(Malformed);
            }
            xattrs.push(Xattr { name: name.into(), value: value.into() });
        }
        Ok(xattrs)
    }
}

fn entry_code(kind: Kind) -> u8 {
    let at = KINDS.iter().position(|known| *known == kind).expect("every kind is listed");
    u8::try_from(at).expect("there are seven")
}

fn kind_code(kind: ErrorKind) -> u8 {
    let at = ErrorKind::ALL.iter().position(|known| *known == kind);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn kind_of(code: u8) -> ErrorKind {
    ErrorKind::ALL.get(usize::from(code)).copied().unwrap_or(ErrorKind::Other)
}

const KINDS: [Kind; 7] = [
    Kind::File,
    Kind::Dir,
    Kind::Symlink,
    Kind::Fifo,
    Kind::Socket,
    Kind::CharDevice,
    Kind::BlockDevice,
];
const KIND_MASK: u8 = 0x07;
const HOLES: u8 = 0x08;
const LINKED: u8 = 0x10;
const OWNED: u8 = 0x20;
const XATTRS: u8 = 0x40;
const MODE: u8 = 0x80;
/// Permission bits with set-id and sticky bits.
const MODE_MAX: u32 = 0o7777;
const NANOS_MAX: u32 = 999_999_999;
/// The largest offset that a system call takes.
const SIZE_MAX: u64 = i64::MAX as u64;
/// Linux lists at most 64 KiB of names.
const XATTRS_MAX: usize = 64 << 10;
/// A name of one byte with its length, the type, the size and the time.
const ENTRY_BYTES_MIN: usize = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(entries: &[Entry]) -> Vec<Entry> {
        let mut bytes = Vec::new();
        Encoder(&mut bytes).entries(entries);
        let mut decoder = Decoder(&bytes);
        let decoded = decoder.entries(entries.len()).expect("what was encoded");
        assert!(decoder.is_empty());
        decoded
    }

    prop_compose! {
        fn any_meta()(
            kind in 0..KINDS.len(),
            (size, allocated) in (0..=SIZE_MAX, any::<u64>()),
            (secs, nanos) in (any::<i64>(), 0..=NANOS_MAX),
            (mode, uid, gid) in (0..=MODE_MAX, any::<u32>(), any::<u32>()),
            nlink in 1..4_u32,
            (dev, ino, rdev) in any::<(u64, u64, u64)>(),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        ) -> Meta {
            let kind = KINDS[kind];
            let linked = kind != Kind::Dir && nlink > 1;
            let nlink = if linked { nlink } else { 1 };
            Meta {
                kind,
                size,
                allocated: if kind == Kind::File { allocated.min(size) } else { size },
                mtime: Time { secs, nanos },
                ctime: Time::default(),
                mode,
                uid,
                gid,
                nlink,
                id: if linked { FileId { dev, ino } } else { FileId::default() },
                mounted: false,
                rdev: if kind.is_device() { rdev } else { 0 },
                xattrs: value.map(|value| {
                    [Xattr { name: b"user.x"[..].into(), value: value.into() }].into()
                }),
                target: (kind == Kind::Symlink).then(|| b"../t"[..].into()),
            }
        }
    }

    prop_compose! {
        fn any_entry()(name in "[a-z\\xff]{1,20}", meta in any_meta()) -> Entry {
            Entry { name: Name::new(name.into_bytes()).expect("a name"), meta }
        }
    }

    proptest! {
        #[test]
        fn entries_arrive_as_they_were(entries in proptest::collection::vec(any_entry(), 0..20)) {
            prop_assert_eq!(round_trip(&entries), entries);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Decoder(&bytes).entries(1024));
            drop(Decoder(&bytes).error());
            drop(Decoder(&bytes).meta());
        }

        #[test]
        fn a_truncated_page_is_refused(entry in any_entry(), keep in 0..1000_usize) {
            let mut bytes = Vec::new();
            Encoder(&mut bytes).entries(&[entry]);
            bytes.truncate(keep.min(bytes.len() - 1));
            prop_assert_eq!(Decoder(&bytes).entries(1024), Err(Malformed));
        }

        #[test]
        fn numbers_arrive_as_they_were(number in any::<u64>(), signed in any::<i64>()) {
            let mut bytes = Vec::new();
            Encoder(&mut bytes).number(number);
            Encoder(&mut bytes).signed(signed);
            let mut decoder = Decoder(&bytes);
            prop_assert_eq!((decoder.number(), decoder.signed()), (Ok(number), Ok(signed)));
        }
    }

    #[test]
    fn names_that_could_leave_their_directory_are_refused() {
        for name in [&b".."[..], b"a/b", b"", b"a\0"] {
            let mut bytes = vec![1];
            Encoder(&mut bytes).bytes(name);
            bytes.extend_from_slice(&[0; 20]);
            assert_eq!(Decoder(&bytes).entries(1024), Err(Malformed), "{name:?}");
        }
    }

    #[test]
    fn an_error_arrives_with_its_words() {
        let error = Error::because(ErrorKind::NoSpace, "write", b"a/b", "no room");
        let mut bytes = Vec::new();
        Encoder(&mut bytes).error(&error);
        let decoded = Decoder(&bytes).error().expect("what was encoded");
        assert_eq!((decoded.kind, decoded.to_string()), (error.kind, error.to_string()));
    }

    #[test]
    fn an_entry_of_a_usual_tree_takes_less_than_half_of_64_bytes() {
        let meta = Meta {
            kind: Kind::File,
            size: 4096,
            allocated: 4096,
            mtime: Time { secs: 1_700_000_000, nanos: 123_456_789 },
            ctime: Time::default(),
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            nlink: 1,
            id: FileId::default(),
            mounted: false,
            rdev: 0,
            xattrs: None,
            target: None,
        };
        let name = |at: u32| Name::new(format!("name-{at:07}").into_bytes()).expect("a name");
        let entries: Vec<Entry> =
            (0..100).map(|at| Entry { name: name(at), meta: meta.clone() }).collect();
        let mut bytes = Vec::new();
        Encoder(&mut bytes).entries(&entries);
        assert!(bytes.len() < 100 * 32, "{} bytes", bytes.len());
    }
}
