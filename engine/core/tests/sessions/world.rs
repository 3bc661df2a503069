//! Random trees on the simulated disk, and transfers between them, both decided by a seed.

use std::sync::Arc;
use std::sync::mpsc::channel;

use blit_core::codec::{Decoder, Encoder};
use blit_core::drive::Drive;
use blit_core::engine::Engine;
use blit_core::entry::{Kind, Meta, Time, Xattr};
use blit_core::event::{Control, Event, Port, Seat};
use blit_core::frame::Frame;
use blit_core::link::{Link, LocalLink, pair};
use blit_core::path::{Name, RelPath};
use blit_core::session::Session;
use blit_core::sim::{Attributes, Disk, SimEngine, SimOptions, Snapshot, User};
use blit_core::spec::{SourceItem, Target, TransferSpec, Verb};
use blit_core::stream::Plane;
use blit_core::summary::{Change, Notice, Summary};
use blit_core::task::{Dir, Output, Root, Space, SpaceFacts, Subject, Task, TaskId};
use blit_core::{Error, ErrorKind};

/// A small generator of numbers (splitmix64, Steele, Lea and Flood 2014).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[usize::try_from(self.below(among.len() as u64)).expect("an index")]
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A transfer with all options as they are without being asked for, that tells each change.
pub(crate) fn spec(verb: Verb) -> TransferSpec {
    TransferSpec { itemise: true, ..TransferSpec::new(verb) }
}

/// A disk with a random `/src` and, unless `fresh`, a `/dst` that is an older version of it.
pub(crate) fn world(dice: &mut Dice, fresh: bool) -> Disk {
    let disk = Disk::new(User { uid: 0, groups: vec![0], privileged: true });
    disk.dir("/src");
    if !fresh {
        disk.dir("/dst/src");
        disk.set("/dst", Attributes { mtime: Some(time(dice)), ..Attributes::default() });
    }
    let mut maker = Maker { dice, disk: &disk, files: Vec::new(), fresh };
    maker.fill(b"", 0);
    disk
}

/// Makes the two trees.
struct Maker<'a> {
    dice: &'a mut Dice,
    disk: &'a Disk,
    /// Source files that can get another name.
    files: Vec<Vec<u8>>,
    fresh: bool,
}

impl Maker<'_> {
    fn fill(&mut self, dir: &[u8], depth: u32) {
        for number in 0..self.dice.below(7) {
            let mut path = dir.to_vec();
            path.extend_from_slice(format!("/n{number}").as_bytes());
            if self.dice.chance(5) {
                path.extend_from_slice(b"\xff\n");
            }
            self.entry(&path);
            if !self.fresh {
                self.older(&path);
            }
            let seen = self.disk.see(at("/src", &path));
            if seen.is_some_and(|seen| seen.kind == Kind::Dir) && depth < 4 {
                self.fill(&path, depth + 1);
            }
            self.decorate(&at("/src", &path));
        }
    }

    fn entry(&mut self, path: &[u8]) {
        let source = at("/src", path);
        let (dice, disk) = (&mut *self.dice, self.disk);
        match dice.below(12) {
            0..=3 => disk.dir(&source),
            4 => disk.symlink(&source, format!("../t{}", dice.below(9))),
            5 => disk.node(&source, Kind::Fifo, 0),
            6 if dice.chance(50) => disk.node(&source, Kind::CharDevice, dice.below(300)),
            7 | 8 if !self.files.is_empty() => disk.link(&source, dice.pick(&self.files)),
            _ => {
                disk.file(&source, content(dice));
                self.files.push(source);
            }
        }
    }

    /// What an earlier run, or something else, may have left at the destination for an entry.
    fn older(&mut self, path: &[u8]) {
        let (source, target) = (at("/src", path), at("/dst/src", path));
        let Some(seen) = self.disk.see(&source) else { return };
        if self.disk.see(at("/dst/src", parent(path))).is_none() {
            return;
        }
        if seen.kind == Kind::Dir {
            if self.dice.chance(70) {
                self.disk.dir(&target);
                self.decorate(&target);
            }
            return;
        }
        match self.dice.below(6) {
            0 => return,
            1 => self.disk.symlink(&target, "old"),
            2 => self.disk.dir(&target),
            3 if seen.kind == Kind::File => {
                // Equal in content, so that at most metadata are to be repaired.
                self.disk.file(&target, seen.content.as_deref().unwrap_or_default());
                let mtime = Some(seen.mtime);
                return self.disk.set(&target, Attributes { mtime, ..Attributes::default() });
            }
            _ => self.disk.file(&target, content(self.dice)),
        }
        self.decorate(&target);
    }

    fn decorate(&mut self, path: &[u8]) {
        let (dice, disk) = (&mut *self.dice, self.disk);
        let kind = disk.see(path).map(|seen| seen.kind);
        let mode = *dice.pick(&[0o644, 0o755, 0o4711, 0o400]);
        let value = *dice.pick(&[&b""[..], b"v", b"vv"]);
        let xattr = Xattr { name: b"user.x".as_slice().into(), value: value.into() };
        let named = !matches!(kind, Some(Kind::Symlink | Kind::Fifo | Kind::CharDevice));
        let attributes = Attributes {
            mode: (kind != Some(Kind::Symlink)).then_some(mode),
            owner: Some((*dice.pick(&[0, 1]), *dice.pick(&[0, 1]))),
            mtime: Some(time(dice)),
            xattrs: (named && dice.chance(20)).then(|| vec![xattr]),
        };
        disk.set(path, attributes);
    }
}

fn content(dice: &mut Dice) -> Vec<u8> {
    let len = *dice.pick(&[0, 1, 9, 40]);
    let tag = dice.below(1 << 40).to_string().into_bytes();
    tag.into_iter().cycle().take(len).collect()
}

fn time(dice: &mut Dice) -> Time {
    let secs = 1_000_000 + i64::try_from(dice.below(1000)).expect("below 1000");
    Time { secs, nanos: u32::try_from(dice.below(1_000_000_000)).expect("below 10^9") }
}

pub(crate) fn at(top: &str, path: &[u8]) -> Vec<u8> {
    [top.as_bytes(), path].concat()
}

fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)]
}

/// How a simulated run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) summary: Summary,
    pub(crate) error: Option<Error>,
    pub(crate) changes: Vec<Change>,
    pub(crate) crashed: bool,
}

/// Copies `/src` into `/dst`, which is made where it does not exist. The seed decides the order of everything.
pub(crate) fn copy(disk: &Disk, seed: u64, options: SimOptions, spec: TransferSpec) -> Ended {
    let engine = SimEngine::new(disk, seed, options);
    copy_with(disk, seed, &engine, spec)
}

pub(crate) fn copy_with(
    disk: &Disk,
    seed: u64,
    engine: &Arc<SimEngine>,
    spec: TransferSpec,
) -> Ended {
    let absent = disk.see("/dst").is_none();
    let base = if absent { "/" } else { "/dst" };
    let (root, facts) = facts(disk, base);
    let path = if absent { RelPath::root().join(&name("dst")) } else { RelPath::root() };
    let control = Arc::new(Control::default());
    let mut drive = Drive::new(&**engine, &control);
    let (at_source, at_target) = pair(&drive.port(Seat(0)), &drive.port(Seat(1)));
    let mut spec = spec;
    let mut top = Root::new("/");
    if let Some(follow) = &mut spec.follow {
        top = Root::following("/");
        follow.dir = facts.dir.id;
        follow.name = absent.then(|| name("dst"));
    }
    if let Some(backup) = &mut spec.backup {
        backup.base = path.clone();
        backup.id = facts_of(disk, "/kept").id;
    }
    if let Some(reference) = &mut spec.reference {
        reference.base = path.clone();
    }
    let parent = Dir::new(&top, RelPath::root());
    let item = SourceItem::Entry { parent, name: name("src"), target_name: name("src") };
    let limits = engine.limits();
    let target = Target { root, path, absent };
    let source = Session::source(vec![item], spec.clone(), limits);
    let destination = Session::destination(target, &facts, spec, limits);
    // Half of the runs are between machines: nothing of a frame but its bytes gets across, and contents travel on streams.
    if seed.is_multiple_of(2) {
        drive.add(source, Box::new(at_source));
        drive.add(destination, Box::new(at_target));
    } else {
        let plane = Plane::new();
        drive.add(source.over(&plane), Box::new(Wire(at_source)));
        drive.add(destination.over(&plane), Box::new(at_target));
    }
    let mut changes = Vec::new();
    let mut observe = |notice| {
        if let Notice::Change(change) = notice {
            changes.push(change);
        }
    };
    drive.start(&mut observe);
    let mut dice = Dice::new(seed ^ 0xabcd);
    while !drive.is_ended() && !engine.has_crashed() {
        let drive_first = dice.chance(50) && drive.step(&mut observe);
        let moved = drive_first || engine.step() || drive.step(&mut observe);
        assert!(
            moved || drive.is_ended() || engine.has_crashed(),
            "seed {seed}: nothing moves, {:?}",
            oldest(&drive)
        );
    }
    let sessions = [Seat(1), Seat(0)].map(|seat| drive.session(seat));
    let cause = sessions.iter().filter_map(|session| session.error());
    let error = cause.min_by_key(|error| error.kind == ErrorKind::Interrupted).cloned();
    let mut summary = sessions[0].summary().clone();
    summary.add(sessions[1].summary());
    Ended { summary, error, changes, crashed: engine.has_crashed() }
}

/// Takes from a listing what only one machine can use, and puts the rest through its bytes.
struct Wire(LocalLink);

impl Link for Wire {
    fn send(&mut self, mut frame: Frame) {
        if let Frame::Listing(listing) = &mut frame {
            let mut bytes = Vec::new();
            Encoder(&mut bytes).entries(&listing.page);
            let entries = Decoder(&bytes).entries(listing.page.len());
            listing.page = entries.expect("what was encoded").into();
            listing.from = None;
        }
        self.0.send(frame);
    }
}

fn oldest(drive: &Drive<'_>) -> Vec<Option<(&'static str, Vec<u8>)>> {
    let shown = |subject: &Subject| (subject.op, subject.shown());
    [Seat(0), Seat(1)].map(|seat| drive.session(seat).oldest_task().map(shown)).into()
}

fn facts_of(disk: &Disk, path: &str) -> Meta {
    facts(disk, path).1.dir
}

fn facts(disk: &Disk, path: &str) -> (Arc<Root>, SpaceFacts) {
    let root = Root::new(path);
    let engine = SimEngine::new(disk, 0, SimOptions::default());
    let (sender, inbox) = channel();
    let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
    let dir = Dir::new(&root, RelPath::root());
    engine.submit(vec![(TaskId(0), Task::Space(Space { dir, probe_times: true }))], &port);
    engine.pump();
    let answer = inbox.try_recv();
    let Ok((_, Event::Done(_, Ok(Output::Space(facts))))) = answer else {
        unreachable!("facts of {path}: {answer:?}")
    };
    (Root::new(path), facts)
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a valid name")
}

/// What of `/dst/src` has a counterpart in `/src`: a copy does not touch the rest. Links to foreign names do not count.
pub(crate) fn counterpart(disk: &Disk) -> (Snapshot, Snapshot) {
    let source = disk.snapshot("/src");
    let mut target = disk.snapshot("/dst/src");
    target.retain(|path, _| source.contains_key(path));
    (source, target)
}
