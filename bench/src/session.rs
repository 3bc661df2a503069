//! One session of runs: who copies which tree when, and where; the measuring is done elsewhere.

mod calls;
mod timeline;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::args::{Fresh, SessionArgs};
use crate::ceilings::{self, Ceilings, Extent};
use crate::error::{Error, OnPath, Result};
use crate::filesystem::{Mount, Workspace};
use crate::interrupt::Interrupt;
use crate::machine::{self, Machine};
use crate::measure::{Meter, Run};
use crate::peers::{Arm, Missing, Operation, Places};
use crate::report::{Report, RunRecord, TreeReport};
use crate::snapshot::{Kind, Snapshot};
use crate::stage::{SOURCE, Stage, Staging, TARGETS, can_reflink, say};
use crate::system;
use crate::trees::{Need, Tree};
use crate::verify;

/// What is to be measured.
pub(crate) struct Plan {
    pub(crate) verb: &'static str,
    pub(crate) arms: Vec<Arm>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) trees: Vec<Tree>,
}

/// Runs the whole session. What the copiers do wrong is in the report, not an error.
pub(crate) fn run(args: &SessionArgs, plan: Plan, interrupt: &Interrupt) -> Result<Report> {
    if args.fresh == Fresh::Loop && !system::is_root() {
        return Err(Error::Usage("--fresh loop mounts images and needs root".to_owned()));
    }
    for absent in &plan.missing {
        say(&format!("missing: {}: no {}", absent.name, absent.looked_for));
    }
    if plan.arms.is_empty() {
        return Err(Error::Usage("none of the chosen copiers was found".to_owned()));
    }
    let runner = env::current_exe().on("find", Path::new("blit-bench"))?;
    let workspace = Workspace::open(&args.work.clone().unwrap_or_else(env::temp_dir), args.keep)?;
    let meter = Meter {
        runner,
        limit: Duration::from_secs(args.timeout),
        complaints: workspace.path().join("complaints"),
        environment: environment(workspace.path()),
        interrupt: interrupt.clone(),
    };
    let staging = Staging {
        args,
        meter,
        workspace,
        copies_a_round: (plan.arms.len() * plan.operations.len()) as u64,
        has_one_root: plan.arms.iter().any(|arm| arm.service.is_some()),
    };
    let needs = plan.trees.iter().map(Tree::need).collect::<Result<Vec<_>>>()?;
    staging.check_space(&needs)?;
    let session = Session { staging, plan };
    session.run(&needs)
}

/// Configurations of the copiers' own stay out of the user's home, and out of each other's way.
fn environment(workspace: &Path) -> Vec<(&'static str, OsString)> {
    let file = |name: &str| workspace.join(name).into_os_string();
    vec![("BLIT_CONFIG_DIR", file("blit-config")), ("RCLONE_CONFIG", file("rclone.conf"))]
}

struct Session<'a> {
    staging: Staging<'a>,
    plan: Plan,
}

/// One run of one arm that is due.
#[derive(Clone, Copy)]
struct Turn<'a> {
    arm: &'a Arm,
    operation: Operation,
    round: u32,
    position: usize,
}

/// What is put around a run that is not timed.
#[derive(Default)]
struct Dress {
    /// Words before those of the command and of the daemon.
    near: Vec<OsString>,
    far: Vec<OsString>,
    /// The last word of the command.
    option: Option<&'static str>,
}

/// What a run took, whatever came of it.
struct Launched {
    run: Run,
    service: Option<Run>,
    wire_bytes: Option<u64>,
    busy_seconds: Option<f64>,
}

impl Session<'_> {
    fn run(self, needs: &[Need]) -> Result<Report> {
        let args = self.staging.args;
        let mut report = Report {
            format: 2,
            version: env!("CARGO_PKG_VERSION"),
            verb: self.plan.verb,
            machine: Machine::look(),
            conditions: self.staging.conditions(),
            arms: self.plan.arms.clone(),
            missing: self.plan.missing.clone(),
            floor: self.staging.meter.run(&["true".into()])?,
            ceilings: None,
            trees: Vec::new(),
        };
        if !args.no_ceilings {
            report.ceilings = Some(self.ceilings(needs)?);
        }
        for (tree, need) in self.plan.trees.iter().zip(needs) {
            report.trees.extend(self.tree(tree, *need, report.ceilings.as_ref())?);
        }
        if args.keep {
            say(&format!("kept: {}", self.staging.workspace.path().display()));
        }
        Ok(report)
    }

    /// On the file system of the targets, and with no more than the trees themselves need.
    fn ceilings(&self, needs: &[Need]) -> Result<Ceilings> {
        say("measuring ceilings");
        let most = |part: fn(&Need) -> u64| needs.iter().map(part).max().unwrap_or(0);
        let extent = Extent {
            bytes: most(|need| need.bytes).clamp(CEILING_BYTES_MIN, CEILING_BYTES_MAX),
            files: most(|need| need.entries).clamp(CEILING_FILES_MIN, CEILING_FILES_MAX),
            file_bytes: self.staging.args.file_size.0.min(CEILING_FILE_BYTES_MAX),
        };
        // The image, if there is one, is unmounted when this returns.
        let (folder, _image) = self.staging.room("ceilings", extent.need())?;
        ceilings::measure(&folder, extent, &self.staging.meter.interrupt)
    }

    /// One report for each operation, and one more for the same with nothing to do.
    fn tree(
        &self,
        tree: &Tree,
        need: Need,
        ceilings: Option<&Ceilings>,
    ) -> Result<Vec<TreeReport>> {
        let staging = &self.staging;
        let mut stage = staging.stage(tree, need)?;
        let mut reports = Vec::new();
        for operation in &self.plan.operations {
            for is_noop in [false, true] {
                let mut report = TreeReport::new(&tree.name, *operation, is_noop);
                report.census = stage.snapshot.census();
                report.source_mount = Mount::of(&stage.source);
                report.target_mount = Mount::of(&stage.targets);
                report.can_reflink = can_reflink(&stage.targets)?;
                report.notes.clone_from(&stage.notes);
                report.bound = ceilings
                    .filter(|_| !is_noop)
                    .and_then(|all| all.bound(&report.census, *operation, false));
                report.sealed_bound = ceilings
                    .filter(|_| !is_noop)
                    .and_then(|all| all.bound(&report.census, *operation, true));
                reports.push(report);
            }
        }
        for round in 1..=staging.args.rounds {
            if round > 1 && staging.args.fresh == Fresh::Loop {
                // The old image goes before the new one comes: there is one mount point.
                drop(stage);
                stage = staging.stage(tree, need)?;
            }
            self.round(&stage, round, &mut reports)?;
        }
        if staging.args.syscalls {
            self.count_calls(&stage, &mut reports)?;
        }
        if staging.args.timeline {
            self.record_timelines(&stage, &mut reports)?;
        }
        reports.iter_mut().for_each(|report| report.summarize(&self.plan.arms));
        reports.retain(|report| !report.runs.is_empty());
        Ok(reports)
    }

    fn round(&self, stage: &Stage, round: u32, reports: &mut [TreeReport]) -> Result<()> {
        let (name, rounds) = (reports[0].name.clone(), self.staging.args.rounds);
        // Each operation has two reports, and its order goes on from that of the one before.
        for (shift, pair) in reports.chunks_mut(2).enumerate() {
            let operation = pair[0].transfer;
            let mut order: Vec<&Arm> =
                self.plan.arms.iter().filter(|arm| is_fit(arm, operation, stage)).collect();
            if order.is_empty() {
                continue;
            }
            let first = usize::try_from(round - 1).unwrap_or(0) + shift;
            let len = order.len();
            order.rotate_left(first % len);
            for (position, arm) in order.into_iter().enumerate() {
                let turn = Turn { arm, operation, round, position };
                let records = self.turn(stage, turn)?;
                for (record, report) in records.into_iter().zip(pair.iter_mut()) {
                    let verdict = if record.is_verified { "verified" } else { "FAILED" };
                    let (what, wall) = (report.operation.clone(), record.run.wall_seconds);
                    say(&format!(
                        "{name}: round {round} of {rounds}: {what}: {} {wall:.3} s, {verdict}",
                        arm.name
                    ));
                    report.runs.push(record);
                }
            }
        }
        let source = verify::unchanged(&stage.source, &stage.snapshot)?;
        if !source.is_equal() {
            let example = source.examples.first().cloned().unwrap_or_default();
            reports[0].notes.push(format!("ATTENTION, in round {round}, source: {example}"));
        }
        Ok(())
    }

    /// The transfer, and, if that went well and makes sense, the same again.
    fn turn(&self, stage: &Stage, turn: Turn<'_>) -> Result<Vec<RunRecord>> {
        let folder = folder_of(stage, turn)?;
        let target = folder.join(COPY);
        let interrupt = &self.staging.meter.interrupt;
        self.prepare(stage, turn, &folder)?;
        let mut records = vec![self.attempt(stage, turn, &folder)?];
        let class = turn.arm.fidelity;
        records[0].judge(&match turn.operation {
            Operation::Delete => verify::gone(&target),
            _ => verify::compare(&stage.source, &stage.snapshot, &target, class, interrupt)?,
        });
        if self.repeats(turn) && records[0].is_verified {
            let before = Snapshot::take(&target)?;
            let mut again = self.attempt(stage, turn, &folder)?;
            again.judge(&verify::unchanged(&target, &before)?);
            records.push(again);
        }
        self.staging.clear(stage, &folder)?;
        Ok(records)
    }

    /// Makes what an operation begins with.
    fn prepare(&self, stage: &Stage, turn: Turn<'_>, folder: &Path) -> Result<()> {
        match turn.operation {
            Operation::Delete => self.staging.import(&stage.source, &folder.join(COPY)),
            Operation::Copy | Operation::Push | Operation::Pull => Ok(()),
        }
    }

    /// Whether an arm finds that nothing is left to do, if it is asked again.
    fn repeats(&self, turn: Turn<'_>) -> bool {
        turn.arm.has_noop && !self.staging.args.no_noop && turn.operation != Operation::Delete
    }

    fn attempt(&self, stage: &Stage, turn: Turn<'_>, folder: &Path) -> Result<RunRecord> {
        // One arm's write-back must not be paid by the next.
        system::sync(&stage.targets);
        if let Some(probe) = &stage.probe {
            let service = turn.arm.service.as_ref().map(|service| service.program.as_path());
            let programs: Vec<&Path> =
                [turn.arm.program.as_path()].into_iter().chain(service).collect();
            probe.chill(&stage.targets, &programs)?;
        }
        let launched = self.launch(stage, turn, folder, &Dress::default())?;
        let synced = Instant::now();
        system::sync(&stage.targets);
        let mut record = RunRecord {
            arm: turn.arm.name.clone(),
            round: turn.round,
            position: turn.position,
            is_verified: launched.run.is_success(),
            others_cpu_seconds: None,
            wire_bytes: launched.wire_bytes.filter(|_| launched.service.is_some()),
            run: launched.run,
            service: launched.service,
            sync_seconds: synced.elapsed().as_secs_f64(),
            differences: 0,
            examples: Vec::new(),
        };
        // Ticks are coarser than what a process is charged.
        record.others_cpu_seconds =
            launched.busy_seconds.map(|busy| (busy - record.cpu_seconds()).max(0.0));
        Ok(record)
    }

    /// Starts what has to run at the far end, runs the command, and ends the far end again.
    fn launch(
        &self,
        stage: &Stage,
        turn: Turn<'_>,
        folder: &Path,
        dress: &Dress,
    ) -> Result<Launched> {
        let meter = &self.staging.meter;
        let running = match &turn.arm.service {
            Some(service) => {
                Some(service.start(meter, &stage.root, &self.service_folder(turn), &dress.far)?)
            }
            None => None,
        };
        let address = running.as_ref().map(|running| running.address.to_string());
        let target = folder.join(COPY);
        let places = Places {
            source: &stage.source,
            empty: &stage.empty,
            target: &target,
            address: address.as_deref().unwrap_or_default(),
            far: &far_end(turn),
        };
        let mut command = dress.near.clone();
        let own = turn.arm.command(turn.operation, &places).expect("the plan fits its arms");
        command.extend(own);
        command.extend(dress.option.map(OsString::from));
        let wire_before = machine::loopback_bytes();
        let busy_before = machine::busy_seconds();
        let run = meter.run(&command)?;
        let busy = machine::busy_seconds().zip(busy_before).map(|(after, before)| after - before);
        let wire = machine::loopback_bytes().zip(wire_before).map(|(after, before)| after - before);
        let service = running.map(|running| running.stop()).transpose()?;
        Ok(Launched { run, service, wire_bytes: wire, busy_seconds: busy })
    }

    fn service_folder(&self, turn: Turn<'_>) -> PathBuf {
        let name = format!("{}-{}", turn.operation.name(), turn.arm.name);
        self.staging.workspace.path().join("services").join(name)
    }
}

/// A new folder for the copy of one turn.
fn folder_of(stage: &Stage, turn: Turn<'_>) -> Result<PathBuf> {
    let folder = stage.targets.join(folder_name(turn));
    fs::create_dir(&folder).on("create directory", &folder)?;
    Ok(folder)
}

fn folder_name(turn: Turn<'_>) -> String {
    format!("{}-{}-{}", turn.round, turn.operation.name(), turn.arm.name)
}

/// What the daemon calls the end that lies with it.
fn far_end(turn: Turn<'_>) -> String {
    match turn.operation {
        Operation::Push => format!("{TARGETS}/{}/{COPY}", folder_name(turn)),
        Operation::Copy | Operation::Pull | Operation::Delete => SOURCE.to_owned(),
    }
}

/// Whether an arm takes part in this operation on this tree.
fn is_fit(arm: &Arm, operation: Operation, stage: &Stage) -> bool {
    let is_plain = |kind| matches!(kind, Kind::File | Kind::Dir);
    let entries = &stage.snapshot.entries;
    if !arm.knows(operation) {
        return false;
    }
    !arm.is_for_few_plain_files
        || (entries.len() <= FEW_ENTRIES && entries.values().all(|stat| is_plain(stat.kind())))
}

const COPY: &str = "copy";
/// Request and response for each file make more of them a matter of hours.
const FEW_ENTRIES: usize = 2_200;
/// Fewer would measure how threads start.
const CEILING_BYTES_MIN: u64 = 1 << 20;
const CEILING_FILES_MIN: u64 = 100;
/// More would take longer and show the same.
const CEILING_BYTES_MAX: u64 = 1 << 30;
const CEILING_FILES_MAX: u64 = 20_000;
const CEILING_FILE_BYTES_MAX: u64 = 64 << 10;
