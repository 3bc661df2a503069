//! The trees to copy: what they hold, and how one grows from a seed; nothing here is measured.
//!
//! The same recipe and seed give the same names, bytes, modes and times on every machine, so that
//! two reports can be compared. Only integer arithmetic decides, no floating point.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{OnPath, Result};
use crate::interrupt::Interrupt;
use crate::snapshot::{Mtime, Snapshot};
use crate::system;

/// One tree of a session.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Grown { recipe: Recipe, seed: u64 },
    Found(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// Many equal files in `SMALL_DIRECTORIES` directories.
    Small { files: u64, file_size: u64 },
    /// One file.
    Big { size: u64 },
    /// Of every kind and size, with every sort of metadata.
    Mixed { files: u64 },
}

/// What a tree needs at least, known before it exists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Tree {
    pub(crate) fn need(&self) -> Result<Need> {
        match &self.origin {
            Origin::Grown { recipe, seed } => Ok(recipe.need(*seed)),
            Origin::Found(path) => {
                let snapshot = Snapshot::take(path)?;
                let census = snapshot.census();
                // Not every copier keeps holes, and small files take whole blocks.
                let bytes = census.bytes.max(census.allocated_bytes);
                Ok(Need { entries: snapshot.entries.len() as u64, bytes })
            }
        }
    }
}

impl Recipe {
    fn need(self, seed: u64) -> Need {
        match self {
            Self::Small { files, file_size } => {
                Need { entries: files + SMALL_DIRECTORIES, bytes: files * on_disk(file_size) }
            }
            Self::Big { size } => Need { entries: 1, bytes: size },
            Self::Mixed { files } => {
                let bytes = (0..files).map(|index| on_disk(Item::of(seed, index).size())).sum();
                Need { entries: files * 2, bytes }
            }
        }
    }
}

/// In whole blocks.
fn on_disk(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES)
}

/// Grows the tree at `root`, which must not exist; says what this file system cannot hold.
pub(crate) fn grow(
    recipe: Recipe,
    seed: u64,
    root: &Path,
    interrupt: &Interrupt,
) -> Result<Vec<String>> {
    let mut grower = Grower {
        seed,
        interrupt,
        buffer: vec![0; BUFFER_BYTES],
        directories: Vec::new(),
        notes: Vec::new(),
    };
    grower.directory(root.to_path_buf())?;
    match recipe {
        Recipe::Small { files, file_size } => grower.small(root, files, file_size)?,
        Recipe::Big { size } => grower.file(&root.join("big"), 0, size, 0o644)?,
        Recipe::Mixed { files } => grower.mixed(root, files)?,
    }
    grower.finish_directories()?;
    Ok(grower.notes)
}

struct Grower<'a> {
    seed: u64,
    interrupt: &'a Interrupt,
    buffer: Vec<u8>,
    /// Their times are set when nothing more is made in them.
    directories: Vec<PathBuf>,
    notes: Vec<String>,
}

impl Grower<'_> {
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
enum Item {
    Plain { size: u64 },
    Sparse { size: u64 },
    HardLink,
    Symlink,
}

impl Item {
    fn of(seed: u64, index: u64) -> Self {
        let mut random = Random::new(seed, index ^ ITEM_STREAM);
        match random.below(1000) {
            0..30 => Self::Symlink,
            30..60 => Self::HardLink,
            60..80 => Self::Sparse { size: (random.below(4) + 1) << 20 },
            80..100 => Self::Plain { size: 0 },
            _ => Self::Plain { size: random.size() },
        }
    }

    fn size(self) -> u64 {
        match self {
            Self::Plain { size } | Self::Sparse { size } => size,
            Self::HardLink | Self::Symlink => 0,
        }
    }
}

/// SplitMix64: small, seekable by its seed, and good enough to defeat compression.
pub(crate) struct Random(u64);

impl Random {
    /// The stream of one entry, so that no entry depends on those before it.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self(random.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let len = from.len() as u64;
        &from[usize::try_from(self.below(len)).expect("an index of a slice")]
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    /// The octave is twice a binomial of twelve coins and one more coin: like a log-normal with a
    /// median near 8 KiB, a mean near 130 KiB, and now and then a file of up to 64 MiB.
    fn size(&mut self) -> u64 {
        let coins = self.next();
        let octave = 2 * u64::from((coins & 0xfff).count_ones()) + (coins >> 12 & 1);
        (1 << octave) + self.below(1 << octave)
    }

    fn mtime(&mut self) -> Mtime {
        let seconds = i64::try_from(self.below(700_000_000)).expect("below a billion");
        let nanoseconds = i64::try_from(self.below(1_000_000_000)).expect("below a billion");
        Mtime { seconds: 1_000_000_000 + seconds, nanoseconds }
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
const SMALL_DIRECTORIES: u64 = 100;
/// Of all common file systems.
const BLOCK_BYTES: u64 = 4096;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(recipe: Recipe, seed: u64) -> (tempfile::TempDir, Vec<(PathBuf, Vec<u8>, Mtime)>) {
        let sandbox = tempfile::tempdir().expect("a temporary directory");
        let root = sandbox.path().join("tree");
        grow(recipe, seed, &root, &Interrupt::default()).expect("a tree");
        let snapshot = Snapshot::take(&root).expect("a snapshot");
        let all = snapshot.entries.iter().map(|(path, stat)| {
            let content = fs::read(root.join(path)).unwrap_or_default();
            (path.clone(), content, stat.mtime)
        });
        let all = all.collect();
        (sandbox, all)
    }

    #[test]
    fn the_same_seed_gives_the_same_names_bytes_and_times() {
        if !system::is_supported() {
            return;
        }
        for recipe in [
            Recipe::Small { files: 30, file_size: 100 },
            Recipe::Big { size: 100_000 },
            Recipe::Mixed { files: 300 },
        ] {
            let (_one, first) = grown(recipe, 7);
            let (_two, second) = grown(recipe, 7);
            assert!(first == second, "{recipe:?} differs from itself");
            let (_three, other) = grown(recipe, 8);
            assert!(first != other, "{recipe:?} ignores the seed");
        }
    }

    #[test]
    fn a_mixed_tree_holds_every_kind() {
        if !system::is_supported() {
            return;
        }
        let sandbox = tempfile::tempdir().expect("a temporary directory");
        let root = sandbox.path().join("tree");
        let recipe = Recipe::Mixed { files: 400 };
        grow(recipe, 1, &root, &Interrupt::default()).expect("a tree");
        let snapshot = Snapshot::take(&root).expect("a snapshot");
        let census = snapshot.census();
        assert!(census.symlinks > 0);
        assert!(!snapshot.link_groups().is_empty(), "no hard links");
        assert!(snapshot.entries.values().any(|stat| stat.allocated < stat.size), "no holes");
        assert!(snapshot.entries.values().all(|stat| stat.mtime.nanoseconds != 0));
        assert!(snapshot.entries.keys().any(|path| path.ends_with("empty")));
        let need = recipe.need(1);
        assert!(snapshot.entries.len() as u64 <= need.entries);
        assert!(census.bytes <= need.bytes + 10_000, "{} > {}", census.bytes, need.bytes);
    }

    #[test]
    fn sizes_spread_over_many_octaves() {
        let mut sizes: Vec<u64> = (0..20_000).map(|index| Item::of(3, index).size()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes[0], 0);
        let median = sizes[sizes.len() / 2];
        assert!((1 << 10..1 << 16).contains(&median), "median {median}");
        let largest = *sizes.last().expect("sizes");
        assert!((1 << 23..1 << 26).contains(&largest), "largest {largest}");
    }

    #[test]
    fn an_interrupt_ends_growing() {
        if !system::is_supported() {
            return;
        }
        let sandbox = tempfile::tempdir().expect("a temporary directory");
        let interrupt = Interrupt::default();
        interrupt.raise();
        let recipe = Recipe::Big { size: 1 << 40 };
        assert!(grow(recipe, 1, &sandbox.path().join("tree"), &interrupt).is_err());
    }
}
