//! How the entries of a tree are made, one by one; it does not know who copies them.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{DEEP_FILES_PER_LEVEL, DEEP_LEVELS, LINKED_NAMES, Recipe, SPARSE_FILE_BYTES};
use crate::error::{OnPath, Result};
use crate::interrupt::Interrupt;
use crate::random::Random;
use crate::system;

/// Makes the entries of one tree.
pub(super) struct Grower<'a> {
    seed: u64,
    interrupt: &'a Interrupt,
    buffer: Vec<u8>,
    /// Their times are set when nothing more is made in them.
    directories: Vec<PathBuf>,
    notes: Vec<String>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(seed: u64, interrupt: &'a Interrupt) -> Self {
        Self {
            seed,
            interrupt,
            buffer: vec![0; BUFFER_BYTES],
            directories: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Makes all of the tree; says what this file system cannot hold.
    pub(super) fn grow(mut self, recipe: Recipe, root: &Path) -> Result<Vec<String>> {
        self.directory(root.to_path_buf())?;
        match recipe {
            Recipe::Small { files, file_size } => self.small(root, files, file_size)?,
            Recipe::Big { size } => self.file(&root.join("big"), 0, size, 0o644)?,
            Recipe::Mixed { files } => self.mixed(root, files)?,
            Recipe::Deep { files, file_size } => self.deep(root, files, file_size)?,
            Recipe::Wide { files, file_size } => self.wide(root, files, file_size)?,
            Recipe::Sparse { files } => self.sparse(root, files)?,
            Recipe::Linked { files, file_size } => self.linked(root, files, file_size)?,
        }
        self.finish_directories()?;
        Ok(self.notes)
    }

    fn small(&mut self, root: &Path, files: u64, file_size: u64) -> Result<()> {
        let per_directory = files.div_ceil(SMALL_DIRECTORIES).max(1);
        let mut directory = root.to_path_buf();
        for index in 0..files {
            if index % per_directory == 0 {
                directory = root.join(format!("d{:03}", index / per_directory));
                self.directory(directory.clone())?;
            }
            self.file(&directory.join(format!("f{index:07}")), index, file_size, 0o644)?;
        }
        Ok(())
    }

    /// Chains of directories, each in the one before it, with a few files in each.
    fn deep(&mut self, root: &Path, files: u64, file_size: u64) -> Result<()> {
        let mut directory = root.to_path_buf();
        for index in 0..files {
            let level = index / DEEP_FILES_PER_LEVEL;
            if index % DEEP_FILES_PER_LEVEL == 0 {
                directory = match level % DEEP_LEVELS {
                    0 => root.join(format!("chain-{:05}", level / DEEP_LEVELS)),
                    depth => directory.join(format!("{depth:02}")),
                };
                self.directory(directory.clone())?;
            }
            self.file(&directory.join(format!("f{index:07}")), index, file_size, 0o644)?;
        }
        Ok(())
    }

    /// All in one directory.
    fn wide(&mut self, root: &Path, files: u64, file_size: u64) -> Result<()> {
        (0..files).try_for_each(|index| {
            self.file(&root.join(format!("f{index:07}")), index, file_size, 0o644)
        })
    }

    fn sparse(&mut self, root: &Path, files: u64) -> Result<()> {
        (0..files).try_for_each(|index| {
            self.sparse_file(&root.join(format!("f{index:07}")), index, SPARSE_FILE_BYTES)
        })
    }

    /// Each file under several names, which lie in different directories.
    fn linked(&mut self, root: &Path, files: u64, file_size: u64) -> Result<()> {
        let places: Vec<PathBuf> =
            (0..LINKED_NAMES).map(|number| root.join(format!("names-{number}"))).collect();
        places.iter().try_for_each(|place| self.directory(place.clone()))?;
        let mut first = PathBuf::new();
        for index in 0..files {
            let number = usize::try_from(index % LINKED_NAMES).expect("a few");
            let path = places[number].join(format!("f{:07}", index / LINKED_NAMES));
            if number == 0 {
                self.file(&path, index, file_size, 0o644)?;
                first = path;
            } else {
                fs::hard_link(&first, &path).on("link", &path)?;
            }
        }
        Ok(())
    }

    fn mixed(&mut self, root: &Path, files: u64) -> Result<()> {
        let directories = self.mixed_directories(root, files / MIXED_FILES_PER_DIRECTORY + 8)?;
        self.odd_files(&directories[0])?;
        let mut last_file: Option<PathBuf> = None;
        for index in 0..files {
            let mut random = Random::new(self.seed, index ^ PLACE_STREAM);
            let path = random.pick(&directories).join(format!("file-{index:06}"));
            match (Item::of(self.seed, index), &last_file) {
                (Item::HardLink, Some(first)) => {
                    fs::hard_link(first, &path).on("link", &path)?;
                }
                (Item::Symlink, _) => self.symlink(&path, index)?,
                (Item::Sparse { size }, _) => {
                    self.sparse_file(&path, index, size)?;
                    self.dress(&path, index)?;
                }
                (item, _) => {
                    self.file(&path, index, item.size(), *random.pick(&FILE_MODES))?;
                    self.dress(&path, index)?;
                    last_file = Some(path);
                }
            }
        }
        Ok(())
    }

    /// A heap-shaped hierarchy, four sub-directories each, with an empty one here and there.
    fn mixed_directories(&mut self, root: &Path, count: u64) -> Result<Vec<PathBuf>> {
        let mut made = vec![root.to_path_buf()];
        for number in 1..count {
            let parent = made[made.len().saturating_sub(1) / 4].clone();
            let path = match ODD_DIRECTORIES.get(made.len() - 1) {
                Some(odd) => parent.join(odd),
                None => parent.join(format!("dir-{number:05}")),
            };
            self.directory(path.clone())?;
            if number % 10 == 1 {
                self.directory(path.join("empty"))?;
            }
            made.push(path);
        }
        Ok(made)
    }

    fn odd_files(&mut self, directory: &Path) -> Result<()> {
        let longest = [b'x'; 255];
        for (index, bytes) in (0u64..).zip(ODD_FILES.iter().copied().chain([&longest[..]])) {
            let name = system::name_from_bytes(bytes).on("name", directory)?;
            let path = directory.join(name);
            match File::create_new(&path) {
                Ok(_) => self.file(&path, index ^ ODD_STREAM, 100 + index, 0o644)?,
                Err(refused) => self.notes.push(format!(
                    "left out: a file named {:?}: {refused}",
                    String::from_utf8_lossy(bytes)
                )),
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: PathBuf) -> Result<()> {
        self.interrupt.check()?;
        fs::create_dir(&path).on("create directory", &path)?;
        system::set_mode(&path, 0o755).on("set mode", &path)?;
        self.directories.push(path);
        Ok(())
    }

    fn file(&mut self, path: &Path, index: u64, size: u64, mode: u32) -> Result<()> {
        let mut random = Random::new(self.seed, index);
        let mut file = File::create(path).on("create", path)?;
        self.write(&mut file, &mut random, size).on("write", path)?;
        self.interrupt.check()?;
        drop(file);
        system::set_mode(path, mode).on("set mode", path)?;
        system::set_mtime(path, random.mtime()).on("set times", path)
    }

    /// Holes around one to four islands of data.
    fn sparse_file(&mut self, path: &Path, index: u64, size: u64) -> Result<()> {
        let mut random = Random::new(self.seed, index);
        let mut file = File::create(path).on("create", path)?;
        for _ in 0..=random.below(4) {
            let offset = random.below(size / ISLAND_ALIGNMENT) * ISLAND_ALIGNMENT;
            let len = (random.below(16) + 1) * 4096;
            file.seek(SeekFrom::Start(offset)).on("seek", path)?;
            self.write(&mut file, &mut random, len.min(size - offset)).on("write", path)?;
        }
        file.set_len(size).on("truncate", path)?;
        drop(file);
        system::set_mode(path, 0o644).on("set mode", path)?;
        system::set_mtime(path, random.mtime()).on("set times", path)
    }

    fn write(&mut self, file: &mut File, random: &mut Random, len: u64) -> std::io::Result<()> {
        let mut left = len;
        while left > 0 && self.interrupt.check().is_ok() {
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            random.fill(&mut self.buffer[..step]);
            file.write_all(&self.buffer[..step])?;
            left -= step as u64;
        }
        Ok(())
    }

    /// To a file, to a directory, or to nothing.
    fn symlink(&mut self, path: &Path, index: u64) -> Result<()> {
        let mut random = Random::new(self.seed, index);
        let target = match random.below(3) {
            0 => PathBuf::from(format!("file-{:06}", random.below(index + 1))),
            1 => PathBuf::from(".."),
            _ => PathBuf::from(format!("/nowhere/at all/{index}")),
        };
        system::symlink(&target, path).on("symlink", path)?;
        system::set_mtime(path, random.mtime()).on("set times", path)
    }

    /// Gives some files another owner, extended attributes, an ACL or set-id bits.
    fn dress(&mut self, path: &Path, index: u64) -> Result<()> {
        let mut random = Random::new(self.seed, index ^ DRESS_STREAM);
        let roll = random.below(100);
        if roll < 10 && system::is_root() {
            let owner = 1000 + u32::try_from(random.below(5)).expect("below five");
            system::set_owner(path, owner, owner).on("set owner", path)?;
        }
        if roll == 0 {
            system::set_mode(path, 0o4755).on("set mode", path)?;
        }
        if (10..16).contains(&roll) {
            // Without root only a writable file takes attributes.
            system::set_mode(path, 0o644).on("set mode", path)?;
        }
        if (10..15).contains(&roll) {
            let mut value = vec![0; usize::try_from(random.below(64)).expect("below 64")];
            random.fill(&mut value);
            self.xattr(path, "user.blit.bench", &value);
        }
        if roll == 15 {
            self.xattr(path, "system.posix_acl_access", &acl());
        }
        system::set_mtime(path, random.mtime()).on("set times", path)
    }

    fn xattr(&mut self, path: &Path, name: &str, value: &[u8]) {
        if let Err(refused) = system::set_xattr(path, name.as_ref(), value) {
            let note = format!("left out: attribute {name}: {refused}");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    fn finish_directories(&mut self) -> Result<()> {
        for (index, path) in (0u64..).zip(&self.directories) {
            let mut random = Random::new(self.seed, index ^ DIRECTORY_STREAM);
            system::set_mtime(path, random.mtime()).on("set times", path)?;
        }
        Ok(())
    }
}

/// What the entry number `index` of a mixed tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Plain { size: u64 },
    Sparse { size: u64 },
    HardLink,
    Symlink,
}

impl Item {
    pub(super) fn of(seed: u64, index: u64) -> Self {
        let mut random = Random::new(seed, index ^ ITEM_STREAM);
        match random.below(1000) {
            0..30 => Self::Symlink,
            30..60 => Self::HardLink,
            60..80 => Self::Sparse { size: (random.below(4) + 1) << 20 },
            80..100 => Self::Plain { size: 0 },
            _ => Self::Plain { size: random.size() },
        }
    }

    pub(super) fn size(self) -> u64 {
        match self {
            Self::Plain { size } | Self::Sparse { size } => size,
            Self::HardLink | Self::Symlink => 0,
        }
    }
}

/// An access ACL as Linux stores it: version 2, then tag, permissions and id of each entry.
fn acl() -> Vec<u8> {
    const NO_ID: u32 = u32::MAX;
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1u16, 6u16, NO_ID), (2, 4, 1234), (4, 4, NO_ID), (0x10, 4, NO_ID), (0x20, 4, NO_ID)]
    {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// As in the published comparisons of the peers: a thousand files each at the default count.
pub(super) const SMALL_DIRECTORIES: u64 = 100;
const MIXED_FILES_PER_DIRECTORY: u64 = 50;
/// Large writes, so that growing a tree is as fast as the disk.
const BUFFER_BYTES: usize = 1 << 20;
/// The largest block of common file systems, so that what lies between islands are holes.
const ISLAND_ALIGNMENT: u64 = 64 << 10;
const FILE_MODES: [u32; 5] = [0o644, 0o600, 0o755, 0o640, 0o444];

/// Set bits above any index, so that the streams of one seed do not meet.
const ITEM_STREAM: u64 = 1 << 56;
const PLACE_STREAM: u64 = 2 << 56;
const DRESS_STREAM: u64 = 3 << 56;
const DIRECTORY_STREAM: u64 = 4 << 56;
const ODD_STREAM: u64 = 5 << 56;

const ODD_DIRECTORIES: [&str; 4] = [" blanks ", "-dash", "line\nbreak", "ünïcödé 🦀"];
const ODD_FILES: [&[u8]; 17] = [
    b" leading and trailing ",
    b"-rf",
    b"--",
    b"new\nline",
    b"tab\there",
    b"\x1b[31mescape",
    b"quotes \"'`$(id)",
    b"back\\slash",
    b"*?[a]",
    b"\xc3\xa9 composed",
    b"e\xcc\x81 decomposed",
    b"\xf0\x9f\xa6\x80",
    b"\xff\xfe not utf-8",
    b".hidden",
    b"...",
    b"trailing.",
    b"CON:",
];
