//! Where a tree is copied: its source, the room for its targets, and the disk that this takes.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::{Cache, Fresh, SessionArgs};
use crate::cache::Probe;
use crate::error::{Error, OnPath, Result};
use crate::filesystem::{self, Image, Workspace};
use crate::measure::Meter;
use crate::report::Conditions;
use crate::snapshot::Snapshot;
use crate::system;
use crate::trees::{self, Need, Origin, Tree};
use crate::verify;

/// What every stage of a session is made with.
pub(crate) struct Staging<'a> {
    pub(crate) args: &'a SessionArgs,
    pub(crate) workspace: Workspace,
    pub(crate) meter: Meter,
    /// How many copies of a tree one round makes.
    pub(crate) copies_a_round: u64,
    /// Whether source and targets must lie below one directory, as what a daemon serves does.
    pub(crate) has_one_root: bool,
}

/// One source, and room for targets beside it.
pub(crate) struct Stage {
    /// Both of the following lie below it, if that was asked for.
    pub(crate) root: PathBuf,
    pub(crate) source: PathBuf,
    pub(crate) targets: PathBuf,
    /// A directory with nothing in it.
    pub(crate) empty: PathBuf,
    /// Where runs are cold.
    pub(crate) probe: Option<Probe>,
    pub(crate) snapshot: Snapshot,
    pub(crate) notes: Vec<String>,
    /// Unmounted last, when nothing above is used any more.
    image: Option<Image>,
}

impl Staging<'_> {
    /// Makes the source, or takes the user's own where it lies, and reads all of it once.
    pub(crate) fn stage(&self, tree: &Tree, need: Need) -> Result<Stage> {
        say(&format!("{}: making the source", tree.name));
        let interrupt = &self.meter.interrupt;
        let copies = self.copies(need);
        let room = Need { entries: need.entries * copies, bytes: need.bytes * copies };
        let (root, image) = self.room(&tree.name, room)?;
        let (mut source, targets) = (root.join(SOURCE), root.join(TARGETS));
        let empty = root.join("empty");
        fs::create_dir_all(&targets).on("create directory", &targets)?;
        fs::create_dir_all(&empty).on("create directory", &empty)?;
        let probe = match self.args.cache {
            Cache::Warm => None,
            Cache::Cold => Some(Probe::new(&root)?),
        };
        let mut notes = Vec::new();
        match &tree.origin {
            Origin::Grown { recipe, seed } => {
                notes = trees::grow(*recipe, *seed, &source, interrupt)?;
            }
            Origin::Found(path) if self.can_stay(path) => source.clone_from(path),
            Origin::Found(path) => {
                self.import(path, &source)?;
                notes.push(format!("a copy, made with cp -a, of {}", path.display()));
            }
        }
        system::sync(&targets);
        let snapshot = Snapshot::take(&source)?;
        verify::warm(&source, &snapshot, interrupt)?;
        Ok(Stage { root, source, targets, empty, probe, snapshot, notes, image })
    }

    /// A new directory for `need`, on an image of its own if that was asked for.
    pub(crate) fn room(&self, name: &str, need: Need) -> Result<(PathBuf, Option<Image>)> {
        if self.args.fresh == Fresh::Dir {
            return Ok((self.workspace.path().join(name), None));
        }
        let image = Image::mount(self.workspace.path(), self.args.fs, need, self.args.keep)?;
        Ok((image.path().join("tree"), Some(image)))
    }

    /// Makes room after a run: what has many entries stays, see `filesystem`.
    pub(crate) fn clear(&self, stage: &Stage, folder: &Path) -> Result<()> {
        if is_kept(stage.snapshot.entries.len() as u64) {
            return Ok(());
        }
        fs::remove_dir_all(folder).on("remove", folder)?;
        system::sync(&stage.targets);
        if let Some(image) = &stage.image {
            image.trim();
        }
        Ok(())
    }

    /// Copies a tree with all that belongs to it, without measuring that.
    pub(crate) fn import(&self, from: &Path, to: &Path) -> Result<()> {
        let run = self.meter.run(&["cp".into(), "-a".into(), from.into(), to.into()])?;
        if run.is_success() {
            return Ok(());
        }
        let command = format!("cp -a {} {}", from.display(), to.display());
        Err(Error::Tool { command, message: format!("{:?}: {}", run.end, run.complaint) })
    }

    fn can_stay(&self, path: &Path) -> bool {
        let own = self.args.tree.as_deref().and_then(|own| fs::canonicalize(own).ok());
        own.as_deref() == Some(path) && self.args.fresh == Fresh::Dir && !self.has_one_root
    }

    /// How many copies of a tree exist at the same time, the source included.
    fn copies(&self, need: Need) -> u64 {
        match self.args.fresh {
            _ if !is_kept(need.entries) => 2,
            Fresh::Loop => self.copies_a_round + 1,
            Fresh::Dir => {
                let extra = u64::from(self.args.syscalls) + u64::from(self.args.timeline);
                let rounds = u64::from(self.args.rounds) + extra;
                self.copies_a_round * rounds + 1
            }
        }
    }

    pub(crate) fn check_space(&self, needs: &[Need]) -> Result<()> {
        let each =
            needs.iter().map(|need| self.copies(*need) * (need.bytes + need.entries * ENTRY_BYTES));
        let needed = match self.args.fresh {
            Fresh::Dir => each.sum(),
            Fresh::Loop => each.max().unwrap_or(0),
        };
        filesystem::check_space(self.workspace.path(), needed)
    }

    pub(crate) fn conditions(&self) -> Conditions {
        Conditions {
            rounds: self.args.rounds,
            seed: self.args.seed,
            cache: match self.args.cache {
                Cache::Warm => "warm",
                Cache::Cold => "cold",
            },
            fresh: match self.args.fresh {
                Fresh::Dir => "a new directory a run".to_owned(),
                Fresh::Loop => format!("a new {} image a round", self.args.fs.name()),
            },
        }
    }
}

/// Whether targets of a tree with so many entries stay until the end: see `filesystem`. Those of
/// few entries have no inodes worth mentioning, and their bytes would fill the disk.
fn is_kept(entries: u64) -> bool {
    entries >= KEPT_ENTRIES_MIN
}

/// Whether a copy on the file system of `folder` may share its blocks with the source.
pub(crate) fn can_reflink(folder: &Path) -> Result<bool> {
    let probe = folder.join("probe");
    fs::create_dir(&probe).on("create directory", &probe)?;
    let original = probe.join("original");
    fs::write(&original, [1; 4096]).on("write", &original)?;
    let mut cp = Command::new("cp");
    let is_shared =
        filesystem::run(cp.arg("--reflink=always").arg(&original).arg(probe.join("copy")));
    fs::remove_dir_all(&probe).on("remove", &probe)?;
    Ok(is_shared.is_ok())
}

/// Tells a waiting person what goes on.
pub(crate) fn say(text: &str) {
    // A closed standard error is no reason to stop measuring.
    drop(writeln!(io::stderr(), "{text}"));
}

/// The names below the root of a stage.
pub(crate) const SOURCE: &str = "source";
/// See `SOURCE`.
pub(crate) const TARGETS: &str = "targets";
/// An inode, a name and a share of a directory.
const ENTRY_BYTES: u64 = 512;
/// Deleting fewer entries than this costs the next run nothing that can be measured.
const KEPT_ENTRIES_MIN: u64 = 1_000;
