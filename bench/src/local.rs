//! `blit-bench local`: who copies which tree when, and where; the measuring is done elsewhere.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::args::{Fresh, LocalArgs, TreeChoice};
use crate::error::{Error, OnPath, Result};
use crate::filesystem::{self, Image, Mount, Workspace};
use crate::interrupt::Interrupt;
use crate::machine::{self, Machine};
use crate::measure::{Meter, Run};
use crate::peers::{Arm, Missing, Search};
use crate::report::{Conditions, Report, RunRecord, TreeReport};
use crate::snapshot::Snapshot;
use crate::system;
use crate::trees::{self, Need, Origin, Recipe, Tree};
use crate::verify;

/// Runs the whole session. What the copiers do wrong is in the report, not an error.
pub(crate) fn run(args: &LocalArgs) -> Result<Report> {
    if args.fresh == Fresh::Loop && !system::is_root() {
        return Err(Error::Usage("--fresh loop mounts images and needs root".to_owned()));
    }
    let runner = env::current_exe().on("find", Path::new("blit-bench"))?;
    let (arms, missing) = find_arms(args, &runner)?;
    let trees = choose_trees(args)?;
    // Until here there is nothing to clean up, and an interrupt simply ends us.
    let interrupt = Interrupt::default();
    let raised = interrupt.clone();
    system::on_interrupt(move || raised.raise()).on("watch", Path::new("signals"))?;
    let work = args.work.clone().unwrap_or_else(env::temp_dir);
    let workspace = Workspace::open(&work, args.keep)?;
    let meter = Meter {
        runner,
        limit: Duration::from_secs(args.timeout),
        complaints: workspace.path().join("complaints"),
        interrupt,
    };
    let session = Session { args, arms, workspace, meter };
    let needs = trees.iter().map(Tree::need).collect::<Result<Vec<_>>>()?;
    session.check_space(&needs)?;
    let mut report = Report {
        format: 1,
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::look(),
        conditions: session.conditions(),
        arms: session.arms.clone(),
        missing,
        floor: session.meter.run(&["true".into()])?,
        trees: Vec::new(),
    };
    for (tree, need) in trees.iter().zip(needs) {
        report.trees.push(session.tree(tree, need)?);
    }
    if args.keep {
        say(&format!("kept: {}", session.workspace.path().display()));
    }
    Ok(report)
}

struct Session<'a> {
    args: &'a LocalArgs,
    arms: Vec<Arm>,
    workspace: Workspace,
    meter: Meter,
}

/// One source, and room for targets beside it.
struct Stage {
    source: PathBuf,
    targets: PathBuf,
    snapshot: Snapshot,
    notes: Vec<String>,
    /// Unmounted last, when nothing above is used any more.
    image: Option<Image>,
}

impl Session<'_> {
    fn tree(&self, tree: &Tree, need: Need) -> Result<TreeReport> {
        say(&format!("{}: making the source", tree.name));
        let mut stage = self.stage(tree, need)?;
        let mut report = TreeReport {
            name: tree.name.clone(),
            census: stage.snapshot.census(),
            source_mount: Mount::of(&stage.source),
            target_mount: Mount::of(&stage.targets),
            can_reflink: can_reflink(&stage.targets)?,
            notes: stage.notes.clone(),
            rows: Vec::new(),
            runs: Vec::new(),
        };
        for round in 1..=self.args.rounds {
            if round > 1 && self.args.fresh == Fresh::Loop {
                // The old image goes before the new one comes: there is one mount point.
                drop(stage);
                stage = self.stage(tree, need)?;
            }
            self.round(tree, &stage, round, &mut report)?;
        }
        report.summarize(&self.arms);
        Ok(report)
    }

    fn round(&self, tree: &Tree, stage: &Stage, round: u32, to: &mut TreeReport) -> Result<()> {
        let mut order: Vec<&Arm> = self.arms.iter().collect();
        let first = usize::try_from(round - 1).unwrap_or(0) % order.len();
        order.rotate_left(first);
        for (position, arm) in order.into_iter().enumerate() {
            let record = self.arm(stage, arm, round, position)?;
            let verdict = if record.is_verified { "verified" } else { "FAILED" };
            let wall = record.run.wall_seconds;
            say(&format!(
                "{}: round {round} of {}: {} {wall:.3} s, {verdict}",
                tree.name, self.args.rounds, arm.name
            ));
            to.runs.push(record);
        }
        let source = verify::unchanged(&stage.source, &stage.snapshot)?;
        if !source.is_equal() {
            let example = source.examples.first().cloned().unwrap_or_default();
            to.notes.push(format!("ATTENTION, in round {round}: {example}"));
        }
        Ok(())
    }

    fn arm(&self, stage: &Stage, arm: &Arm, round: u32, position: usize) -> Result<RunRecord> {
        let folder = stage.targets.join(format!("{round}-{}", arm.name));
        fs::create_dir(&folder).on("create directory", &folder)?;
        let target = folder.join("copy");
        // One arm's write-back must not be paid by the next.
        system::sync();
        let busy_before = machine::busy_seconds();
        let run = self.meter.run(&arm.command(&stage.source, &target))?;
        let busy = machine::busy_seconds().zip(busy_before).map(|(after, before)| after - before);
        let synced = Instant::now();
        system::sync();
        let sync_seconds = synced.elapsed().as_secs_f64();
        let interrupt = &self.meter.interrupt;
        let verdict =
            verify::compare(&stage.source, &stage.snapshot, &target, arm.fidelity, interrupt)?;
        if !is_kept(stage.snapshot.entries.len() as u64) {
            fs::remove_dir_all(&folder).on("remove", &folder)?;
            system::sync();
            if let Some(image) = &stage.image {
                image.trim();
            }
        }
        Ok(RunRecord {
            arm: arm.name.clone(),
            round,
            position,
            is_verified: run.is_success() && verdict.is_equal(),
            // Ticks are coarser than what a process is charged.
            others_cpu_seconds: busy.map(|busy| (busy - run.cpu_seconds()).max(0.0)),
            run,
            sync_seconds,
            differences: verdict.differences,
            examples: verdict.examples,
        })
    }

    /// Makes the source, or takes the user's own where it lies, and reads all of it once.
    fn stage(&self, tree: &Tree, need: Need) -> Result<Stage> {
        let interrupt = &self.meter.interrupt;
        let mut image = None;
        let root = match self.args.fresh {
            Fresh::Dir => self.workspace.path().join(&tree.name),
            Fresh::Loop => {
                let copies = self.copies(need);
                let room = Need { entries: need.entries * copies, bytes: need.bytes * copies };
                let (folder, format) = (self.workspace.path(), self.args.fs);
                image
                    .insert(Image::mount(folder, format, room, self.args.keep)?)
                    .path()
                    .join("tree")
            }
        };
        let (mut source, targets) = (root.join("source"), root.join("targets"));
        fs::create_dir_all(&targets).on("create directory", &targets)?;
        let mut notes = Vec::new();
        match &tree.origin {
            Origin::Grown { recipe, seed } => {
                notes = trees::grow(*recipe, *seed, &source, interrupt)?;
            }
            Origin::Found(path) if self.is_own(path) && self.args.fresh == Fresh::Dir => {
                source.clone_from(path);
            }
            Origin::Found(path) => {
                self.import(path, &source)?;
                notes.push(format!("a copy, made with cp -a, of {}", path.display()));
            }
        }
        system::sync();
        let snapshot = Snapshot::take(&source)?;
        verify::warm(&source, &snapshot, interrupt)?;
        Ok(Stage { source, targets, snapshot, notes, image })
    }

    fn import(&self, from: &Path, to: &Path) -> Result<()> {
        let command: [OsString; 4] = ["cp".into(), "-a".into(), from.into(), to.into()];
        let run: Run = self.meter.run(&command)?;
        if run.is_success() {
            return Ok(());
        }
        let command = format!("cp -a {} {}", from.display(), to.display());
        Err(Error::Tool { command, message: format!("{:?}: {}", run.end, run.complaint) })
    }

    fn is_own(&self, path: &Path) -> bool {
        self.args
            .tree
            .as_deref()
            .is_some_and(|own| fs::canonicalize(own).is_ok_and(|own| own == path))
    }

    /// How many copies of a tree exist at the same time, the source included.
    fn copies(&self, need: Need) -> u64 {
        let arms = self.arms.len() as u64;
        match self.args.fresh {
            _ if !is_kept(need.entries) => 2,
            Fresh::Loop => arms + 1,
            Fresh::Dir => arms * u64::from(self.args.rounds) + 1,
        }
    }

    fn check_space(&self, needs: &[Need]) -> Result<()> {
        let each =
            needs.iter().map(|need| self.copies(*need) * (need.bytes + need.entries * ENTRY_BYTES));
        let needed = match self.args.fresh {
            Fresh::Dir => each.sum(),
            Fresh::Loop => each.max().unwrap_or(0),
        };
        filesystem::check_space(self.workspace.path(), needed)
    }

    fn conditions(&self) -> Conditions {
        Conditions {
            rounds: self.args.rounds,
            seed: self.args.seed,
            cache: "warm",
            fresh: match self.args.fresh {
                Fresh::Dir => "a new directory a run".to_owned(),
                Fresh::Loop => format!("a new {} image a round", self.args.fs.name()),
            },
        }
    }
}

fn find_arms(args: &LocalArgs, runner: &Path) -> Result<(Vec<Arm>, Vec<Missing>)> {
    let beside = runner.with_file_name("blit");
    let search =
        Search { blit: args.blit.as_deref().unwrap_or(&beside), peer_paths: &args.peer_paths };
    let (mut arms, mut missing) = (Vec::new(), Vec::new());
    for found in args.arms.iter().flat_map(|peer| peer.find(&args.engines, &search)) {
        match found {
            Ok(arm) => arms.push(arm),
            Err(absent) => {
                say(&format!("missing: {}: no {}", absent.name, absent.looked_for));
                missing.push(absent);
            }
        }
    }
    if arms.is_empty() {
        return Err(Error::Usage("none of the chosen copiers was found".to_owned()));
    }
    Ok((arms, missing))
}

fn choose_trees(args: &LocalArgs) -> Result<Vec<Tree>> {
    let all = [TreeChoice::Small, TreeChoice::Big, TreeChoice::Mixed, TreeChoice::Real];
    let choices = match (&args.tree, args.trees.as_slice()) {
        (None, []) => &all[..],
        (_, chosen) => chosen,
    };
    let mut trees = Vec::new();
    for choice in choices {
        let grown = |name: &str, recipe| {
            let origin = Origin::Grown { recipe, seed: args.seed };
            Tree { name: name.to_owned(), origin }
        };
        trees.push(match choice {
            TreeChoice::Small => {
                let files = args.files.unwrap_or(SMALL_FILES);
                grown("small", Recipe::Small { files, file_size: args.file_size.0 })
            }
            TreeChoice::Big => grown("big", Recipe::Big { size: args.big_size.0 }),
            TreeChoice::Mixed => {
                grown("mixed", Recipe::Mixed { files: args.files.unwrap_or(MIXED_FILES) })
            }
            TreeChoice::Real => {
                Tree { name: "real".to_owned(), origin: Origin::Found(real_tree()?) }
            }
        });
    }
    if let Some(path) = &args.tree {
        let path = fs::canonicalize(path).on("resolve", path)?;
        if !path.is_dir() {
            return Err(Error::Usage(format!("--tree {}: not a directory", path.display())));
        }
        trees.push(Tree { name: "own".to_owned(), origin: Origin::Found(path) });
    }
    Ok(trees)
}

/// Tens of thousands of real files that most machines of our users have.
fn real_tree() -> Result<PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).stdin(Stdio::null()).output();
    let documentation = sysroot.ok().map(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&sysroot).join("share/doc")
    });
    let found = documentation
        .into_iter()
        .chain([PathBuf::from("/usr/share/doc")])
        .find(|path| path.is_absolute() && path.is_dir());
    found.ok_or_else(|| {
        let text = "no Rust documentation and no /usr/share/doc here: use --trees without real";
        Error::Usage(text.to_owned())
    })
}

/// Whether targets of a tree with so many entries stay until the end: see `filesystem`. Those of
/// few entries have no inodes worth mentioning, and their bytes would fill the disk.
fn is_kept(entries: u64) -> bool {
    entries >= KEPT_ENTRIES_MIN
}

fn can_reflink(folder: &Path) -> Result<bool> {
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
fn say(text: &str) {
    // A closed standard error is no reason to stop measuring.
    drop(writeln!(io::stderr(), "{text}"));
}

const SMALL_FILES: u64 = 100_000;
const MIXED_FILES: u64 = 2_000;
/// An inode, a name and a share of a directory.
const ENTRY_BYTES: u64 = 512;
/// Deleting fewer entries than this costs the next run nothing that can be measured.
const KEPT_ENTRIES_MIN: u64 = 1_000;
