//! The trees to copy: what they hold, and how one grows from a seed; nothing here is measured.
//!
//! The same recipe and seed give the same names, bytes, modes and times on every machine, so that
//! two reports can be compared. Only integer arithmetic decides, no floating point.

mod grower;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::snapshot::Snapshot;

use grower::{Grower, Item, SMALL_DIRECTORIES};

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
    /// Equal files in chains of directories that are `DEEP_LEVELS` long.
    Deep { files: u64, file_size: u64 },
    /// Many equal files in one directory.
    Wide { files: u64, file_size: u64 },
    /// Large files that are mostly holes.
    Sparse { files: u64 },
    /// Files with `LINKED_NAMES` names each; `files` counts the names.
    Linked { files: u64, file_size: u64 },
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
    pub(crate) fn need(self, seed: u64) -> Need {
        match self {
            Self::Small { files, file_size } => {
                Need { entries: files + SMALL_DIRECTORIES, bytes: files * on_disk(file_size) }
            }
            Self::Big { size } => Need { entries: 1, bytes: size },
            Self::Mixed { files } => {
                let bytes = (0..files).map(|index| on_disk(Item::of(seed, index).size())).sum();
                Need { entries: files * 2, bytes }
            }
            Self::Deep { files, file_size } => {
                let directories = files.div_ceil(DEEP_FILES_PER_LEVEL) + 1;
                let bytes = files * on_disk(file_size) + directories * BLOCK_BYTES;
                Need { entries: files + directories, bytes }
            }
            Self::Wide { files, file_size } => {
                Need { entries: files + 1, bytes: files * on_disk(file_size) }
            }
            Self::Sparse { files } => Need { entries: files + 1, bytes: files * SPARSE_FILE_BYTES },
            // Not every copier keeps the links.
            Self::Linked { files, file_size } => {
                Need { entries: files + LINKED_NAMES + 1, bytes: files * on_disk(file_size) }
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
    Grower::new(seed, interrupt).grow(recipe, root)
}

/// Of all common file systems.
const BLOCK_BYTES: u64 = 4096;
/// Far below what a path may be long.
const DEEP_LEVELS: u64 = 64;
const DEEP_FILES_PER_LEVEL: u64 = 4;
/// Most of it holes: what a copier that does not see them writes.
const SPARSE_FILE_BYTES: u64 = 16 << 20;
/// The names of one inode.
const LINKED_NAMES: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Mtime;
    use crate::system;
    use std::fs;

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
            Recipe::Deep { files: 300, file_size: 10 },
            Recipe::Wide { files: 30, file_size: 10 },
            Recipe::Sparse { files: 2 },
            Recipe::Linked { files: 30, file_size: 10 },
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
    fn each_tree_is_what_its_name_says() {
        if !system::is_supported() {
            return;
        }
        let snapshot = |recipe: Recipe| {
            let sandbox = tempfile::tempdir().expect("a temporary directory");
            let root = sandbox.path().join("tree");
            grow(recipe, 1, &root, &Interrupt::default()).expect("a tree");
            let snapshot = Snapshot::take(&root).expect("a snapshot");
            assert!(snapshot.entries.len() as u64 <= recipe.need(1).entries + 1, "{recipe:?}");
            snapshot
        };
        let deep = snapshot(Recipe::Deep { files: 520, file_size: 10 });
        let depth = |path: &PathBuf| path.components().count() as u64;
        assert_eq!(deep.entries.keys().map(depth).max(), Some(DEEP_LEVELS + 1));
        assert_eq!(deep.census().files, 520);
        let wide = snapshot(Recipe::Wide { files: 50, file_size: 10 }).census();
        assert_eq!((wide.files, wide.directories), (50, 1));
        let sparse = snapshot(Recipe::Sparse { files: 2 }).census();
        assert_eq!(sparse.bytes, 2 * SPARSE_FILE_BYTES);
        assert!(sparse.allocated_bytes < sparse.bytes / 2, "{sparse:?}");
        let linked = snapshot(Recipe::Linked { files: 40, file_size: 10 });
        assert_eq!(linked.link_groups().len(), 40);
        assert_eq!(linked.census().bytes, 100);
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
