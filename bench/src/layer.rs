//! `blit-bench session`: what the sessions and the layout of frames cost, without any file or socket.
//!
//! Two sessions run a whole transfer over an engine that does nothing, in one thread: what is left
//! is what a file costs before anything is done for it. Times are of this machine; instructions
//! (under callgrind) are nearly the same everywhere that the same compiler was used.

mod instructions;
mod null;

use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use blit_core::codec::{Decoder, Encoder};
use blit_core::drive::Drive;
use blit_core::engine::Engine;
use blit_core::entry::Entry;
use blit_core::event::{Control, Seat};
use blit_core::frame::{Frame, Listing};
use blit_core::header::{Header, Items, next_item};
use blit_core::link::{Link, LocalLink, pair};
use blit_core::path::{Name, RelPath};
use blit_core::session::Session;
use blit_core::session::schedule::PAGE_ENTRIES_MAX;
use blit_core::spec::{SourceItem, Target, TransferSpec, Verb};
use blit_core::stream::{Plane, Ticket};
use blit_core::task::{Dir, Root};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::args::LayerArgs;
use crate::error::{Error, OnPath, Result};
use crate::interrupt::Interrupt;
use crate::stage::say;

use null::NullEngine;

pub(crate) use instructions::{Counter, WORKER, worker};
pub(crate) use null::Shape;

/// What is done once for every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// Both sessions of a copy to a destination that does not exist
    Copy,
    /// The same where everything is there already
    NoOp,
    /// Both sessions with contents on data streams
    Streams,
    /// Entries of a listing, to bytes and back
    Entries,
    /// Frames of small files on a data stream, to bytes and back
    Frames,
}

/// What one work took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cost {
    pub(crate) work: Work,
    pub(crate) files: u64,
    pub(crate) per_directory: u64,
    /// The best of several tries.
    pub(crate) nanoseconds_per_file: f64,
    /// Engine tasks; none where no session took part.
    pub(crate) tasks: u64,
    pub(crate) instructions_per_file: Option<f64>,
}

/// Prints what each work costs in each shape.
pub(crate) fn run(args: &LayerArgs, interrupt: &Interrupt, out: &mut impl Write) -> Result<bool> {
    if cfg!(debug_assertions) {
        say("ATTENTION: built without optimisation, these figures mean nothing");
    }
    let counter = Counter::find(&args.peer_paths);
    if let Err(why) = &counter {
        say(&format!("no instructions: {why}"));
    }
    let mut costs = Vec::new();
    for per_directory in &args.per_directory {
        let shape = Shape { files: args.files, per_directory: *per_directory };
        for work in &args.works {
            interrupt.check()?;
            let mut cost = work.measure(shape)?;
            if let Ok(counter) = &counter {
                let shape = Shape { files: shape.files.min(COUNTED_FILES_MAX), ..shape };
                cost.instructions_per_file = Some(counter.per_file(*work, shape, interrupt)?);
            }
            costs.push(cost);
        }
    }
    print(&costs, out).on("write", Path::new("standard output"))?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&costs).map_err(io::Error::from);
        std::fs::write(path, text.on("understand", path)?).on("write", path)?;
    }
    Ok(true)
}

fn print(costs: &[Cost], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<10} {:>10} {:>8} {:>9} {:>10} {:>18}",
        "work", "files", "per dir", "ns/file", "tasks", "instructions/file"
    )?;
    for cost in costs {
        let count =
            cost.instructions_per_file.map_or("-".to_owned(), |count| format!("{count:.0}"));
        writeln!(
            out,
            "{:<10} {:>10} {:>8} {:>9.0} {:>10} {:>18}",
            cost.work.name(),
            cost.files,
            cost.per_directory,
            cost.nanoseconds_per_file,
            cost.tasks,
            count
        )?;
    }
    Ok(())
}

impl Work {
    pub(crate) const ALL: [Self; 5] =
        [Self::Copy, Self::NoOp, Self::Streams, Self::Entries, Self::Frames];

    /// As it is typed and written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::NoOp => "no-op",
            Self::Streams => "streams",
            Self::Entries => "entries",
            Self::Frames => "frames",
        }
    }

    fn measure(self, shape: Shape) -> Result<Cost> {
        let (mut best, mut tasks) = (f64::INFINITY, 0);
        for _ in 0..TRIES {
            let prepared = self.prepare(shape);
            let started = Instant::now();
            tasks = prepared.run()?;
            best = best.min(started.elapsed().as_secs_f64());
        }
        #[expect(clippy::cast_precision_loss, reason = "files that fit in memory are few")]
        let files = shape.files as f64;
        Ok(Cost {
            work: self,
            files: shape.files,
            per_directory: shape.per_directory,
            nanoseconds_per_file: best * 1e9 / files,
            tasks,
            instructions_per_file: None,
        })
    }

    /// Everything that is no part of the work.
    fn prepare(self, shape: Shape) -> Prepared {
        let roots: &[&str] = match self {
            Self::Copy | Self::Streams => &[SOURCE],
            Self::NoOp => &[SOURCE, DESTINATION],
            Self::Entries | Self::Frames => &[],
        };
        let page_len = usize::try_from(shape.per_directory.min(shape.files)).unwrap_or(usize::MAX);
        let page = (0..page_len.clamp(1, PAGE_ENTRIES_MAX))
            .map(|index| null::file(&format!("f{index:08}")))
            .collect();
        Prepared { work: self, shape, engine: NullEngine::new(shape, roots), page }
    }
}

/// A work with all that it needs.
struct Prepared {
    work: Work,
    shape: Shape,
    engine: NullEngine,
    /// What is written and read where no session takes part.
    page: Vec<Entry>,
}

impl Prepared {
    /// Does it, and says how many tasks that took.
    fn run(&self) -> Result<u64> {
        match self.work {
            Work::Copy | Work::NoOp | Work::Streams => self.transfer()?,
            Work::Entries => self.entries(),
            Work::Frames => self.frames(),
        }
        Ok(self.engine.tasks())
    }

    fn transfer(&self) -> Result<()> {
        let failed = |message: String| Error::Tool { command: "a session".to_owned(), message };
        let control = Arc::new(Control::default());
        let spec = TransferSpec::new(Verb::Copy);
        let limits = self.engine.limits();
        let contents = Dir::new(&Root::new(SOURCE), RelPath::root());
        let is_new = self.work != Work::NoOp;
        let target = if is_new {
            let name = Name::new(DESTINATION.as_bytes()).expect("a word is a name");
            Target { root: Root::new(ABOVE), path: RelPath::root().join(&name), absent: true }
        } else {
            Target { root: Root::new(DESTINATION), path: RelPath::root(), absent: false }
        };
        let items = vec![SourceItem::Contents(contents)];
        let mut source = Session::source(items, spec.clone(), limits);
        let mut destination = Session::destination(target, &null::facts(), spec, limits);
        if self.work == Work::Streams {
            (source, destination) = (source.over(&Plane::new()), destination.over(&Plane::new()));
        }
        let mut drive = Drive::new(&self.engine, &control);
        let (near, far) = pair(&drive.port(Seat(0)), &drive.port(Seat(1)));
        let near: Box<dyn Link> = match self.work {
            Work::Streams => Box::new(Far(near)),
            _ => Box::new(near),
        };
        drive.add(source, near);
        drive.add(destination, Box::new(far));
        drive.start(&mut drop);
        while drive.step(&mut drop) {}
        let summary = drive.session(Seat(1)).summary();
        let done = if is_new { summary.files } else { summary.same };
        if !drive.is_ended() || done < self.shape.files || summary.failed > 0 {
            let errors = [0, 1].map(|seat| drive.session(Seat(seat)).error().cloned());
            return Err(failed(format!(
                "{:?}: {done} of {} files are done; {errors:?}",
                self.work, self.shape.files
            )));
        }
        Ok(())
    }

    fn entries(&self) {
        let mut bytes = Vec::new();
        for _ in 0..self.rounds() {
            bytes.clear();
            Encoder(&mut bytes).entries(black_box(&self.page));
            let read = Decoder(black_box(&bytes)).entries(self.page.len());
            assert_eq!(black_box(read).map(|page| page.len()).ok(), Some(self.page.len()));
        }
    }

    fn frames(&self) {
        let (mut body, content) = (Vec::new(), [0x5a; CONTENT_BYTES]);
        for round in 0..self.rounds() {
            body.clear();
            for index in 0..self.page.len() {
                let index = u32::try_from(index).expect("a page is short");
                Items(&mut body).file(index, content.len());
                body.extend_from_slice(black_box(&content));
            }
            let len = u32::try_from(body.len()).expect("a page of small files is small");
            let ticket = Ticket(round);
            let header = Header { ticket, len, last: true, unpacked_len: None, digest: None };
            let read = Header::decode(black_box(&header.encode()));
            assert_eq!(read.ok(), Some(header));
            let (mut decoder, mut seen) = (Decoder(black_box(&body)), 0);
            while let Ok(Some(item)) = next_item(&mut decoder) {
                black_box(item);
                seen += 1;
            }
            assert_eq!(seen, self.page.len());
        }
    }

    fn rounds(&self) -> u64 {
        self.shape.files.div_ceil(self.page.len() as u64)
    }
}

/// As a link to another machine: a directory there means nothing here.
struct Far(LocalLink);

impl Link for Far {
    fn send(&mut self, frame: Frame) {
        self.0.send(match frame {
            Frame::Listing(listing) => Frame::Listing(Listing { from: None, ..listing }),
            other => other,
        });
    }
}

const TRIES: u32 = 3;
/// Counting is some fifty times slower than doing.
const COUNTED_FILES_MAX: u64 = 50_000;
const SOURCE: &str = "source";
const DESTINATION: &str = "destination";
const ABOVE: &str = "above";
/// Small, so that the layout is counted and not the copying of contents.
const CONTENT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_gets_all_files_done_in_every_shape() {
        for work in Work::ALL {
            for (files, per_directory) in [(1, 1), (5000, 3000), (3000, 10)] {
                let shape = Shape { files, per_directory };
                let tasks = work.prepare(shape).run().expect("all files are done");
                let has_sessions = !matches!(work, Work::Entries | Work::Frames);
                assert_eq!(tasks > 0, has_sessions, "{work:?} {shape:?}");
            }
        }
    }
}
