//! What this machine does at best: plain loops that send, write and create, without any copier.
//!
//! A ceiling is the best of several tries, not their median: what the machine reached once, it can.

mod disk;
mod iperf;
mod sealed;
mod socket;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::thread;

use serde::Serialize;

use crate::error::{OnPath, Result};
use crate::interrupt::Interrupt;
use crate::peers::Operation;
use crate::snapshot::Census;
use crate::system;
use crate::trees::Need;

pub(crate) use sealed::Sealed;

/// How much the loops do.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Extent {
    pub(crate) bytes: u64,
    /// In all tries together, for each number of threads.
    pub(crate) files: u64,
    pub(crate) file_bytes: u64,
}

/// The figures, with what was done for them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ceilings {
    pub(crate) extent: Extent,
    /// Both ends of loopback connections in one process.
    pub(crate) socket: Vec<Sent>,
    /// One thread that writes one file, not synced.
    pub(crate) write_bytes_per_second: f64,
    /// Create, write once, close: nothing else.
    pub(crate) create: Vec<Created>,
    /// A file that the kernel sends by itself.
    pub(crate) send_file: Sent,
    /// A file that the kernel receives by itself.
    pub(crate) receive_file: Sent,
    pub(crate) sealed: Vec<Sealed>,
    /// Where iperf3 is installed.
    pub(crate) iperf: Vec<Sent>,
    pub(crate) cores: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sent {
    pub(crate) streams: u64,
    pub(crate) bytes_per_second: f64,
    /// Of both ends together.
    pub(crate) cpu_seconds_per_gib: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Created {
    pub(crate) threads: u64,
    pub(crate) files_per_second: f64,
    pub(crate) unlinked_per_second: f64,
}

/// The time that no transfer of a tree can be expected to beat, and what takes it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Bound {
    pub(crate) seconds: f64,
    pub(crate) by: &'static str,
}

impl Extent {
    /// What all loops together leave on the disk.
    pub(crate) fn need(self) -> Need {
        let counts = thread_counts().len() as u64;
        let directories = self.files / FILES_PER_DIRECTORY + MANY_THREADS * u64::from(TRIES);
        let bytes = self.bytes + counts * self.files * self.file_bytes;
        Need { entries: counts * (self.files + directories), bytes }
    }
}

impl Ceilings {
    /// Of what an operation does, the one that takes longest; `is_sealed` if what is sent is
    /// encrypted.
    pub(crate) fn bound(
        &self,
        census: &Census,
        operation: Operation,
        is_sealed: bool,
    ) -> Option<Bound> {
        let best = |paces: &mut dyn Iterator<Item = f64>| paces.fold(0.0, f64::max);
        let created = |pace: fn(&Created) -> f64| best(&mut self.create.iter().map(pace));
        let (bytes, files) = (float(census.bytes), float(census.files));
        let mut bounds = Vec::new();
        if operation == Operation::Delete {
            let seconds = files / created(|made| made.unlinked_per_second);
            bounds.push(Bound { seconds, by: "unlinking" });
        } else {
            let seconds = files / created(|made| made.files_per_second);
            bounds.push(Bound { seconds: bytes / self.write_bytes_per_second, by: "writing" });
            bounds.push(Bound { seconds, by: "creating" });
        }
        if matches!(operation, Operation::Push | Operation::Pull) {
            let pace = best(&mut self.socket.iter().map(|sent| sent.bytes_per_second));
            bounds.push(Bound { seconds: bytes / pace, by: "sending" });
            if is_sealed {
                // Every core can seal or open, and each byte needs both.
                let core = |sealed: &Sealed| {
                    1.0 / (1.0 / sealed.seal_bytes_per_second + 1.0 / sealed.open_bytes_per_second)
                };
                let pace = best(&mut self.sealed.iter().map(core)) * float(self.cores);
                bounds.push(Bound { seconds: bytes / pace, by: "encrypting" });
            }
        }
        bounds.retain(|bound| bound.seconds.is_finite() && bound.seconds > 0.0);
        bounds.into_iter().max_by(|one, other| one.seconds.total_cmp(&other.seconds))
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.socket.iter().try_for_each(|sent| sent.print("loopback", out))?;
        self.iperf.iter().try_for_each(|sent| sent.print("iperf3", out))?;
        self.send_file.print("file to socket (sendfile)", out)?;
        self.receive_file.print("socket to file (splice)", out)?;
        for sealed in &self.sealed {
            writeln!(
                out,
                "ceiling     {}: one core seals {:.0} and opens {:.0} MB/s; a stream of rustls: {:.0} MB/s, {:.2} CPU s/GiB",
                sealed.cipher,
                sealed.seal_bytes_per_second / 1e6,
                sealed.open_bytes_per_second / 1e6,
                sealed.rustls_bytes_per_second / 1e6,
                sealed.rustls_cpu_seconds_per_gib
            )?;
        }
        let write = self.write_bytes_per_second / 1e6;
        writeln!(out, "ceiling     writing one file: {write:.0} MB/s")?;
        for made in &self.create {
            writeln!(
                out,
                "ceiling     {} threads on files of {} bytes: {:.0} created and {:.0} unlinked a second",
                made.threads,
                self.extent.file_bytes,
                made.files_per_second,
                made.unlinked_per_second
            )?;
        }
        Ok(())
    }
}

/// Runs all loops; what they write lies below `folder` and stays there, see `filesystem`.
pub(crate) fn measure(folder: &Path, extent: Extent, interrupt: &Interrupt) -> Result<Ceilings> {
    fs::create_dir_all(folder).on("create directory", folder)?;
    let loopback = Path::new("loopback");
    let socket = (1..=STREAMS_MAX)
        .map(|streams| {
            best_sent(interrupt, || socket::send(streams, extent.bytes).on("send over", loopback))
        })
        .collect::<Result<Vec<_>>>()?;
    let file = folder.join("written");
    let mut write_bytes_per_second: f64 = 0.0;
    for _ in 0..TRIES {
        interrupt.check()?;
        system::sync(folder);
        let pace = disk::write(&file, extent.bytes).on("write", &file)?;
        write_bytes_per_second = write_bytes_per_second.max(pace);
    }
    let send_file = best_sent(interrupt, || socket::send_file(&file).on("send", &file))?;
    let receive = || socket::receive_file(&file, extent.bytes).on("receive", &file);
    let receive_file = best_sent(interrupt, receive)?;
    fs::remove_file(&file).on("remove", &file)?;
    let mut create = Vec::new();
    for threads in thread_counts() {
        let parent = folder.join(format!("created-by-{threads}"));
        let mut files_per_second: f64 = 0.0;
        for attempt in 0..TRIES {
            interrupt.check()?;
            system::sync(folder);
            let made = parent.join(attempt.to_string());
            let pace = disk::create_files(&made, threads, extent)?;
            files_per_second = files_per_second.max(pace);
        }
        create.push(Created { threads, files_per_second, unlinked_per_second: 0.0 });
    }
    // After all creating, which would suffer from it.
    for made in &mut create {
        let parent = folder.join(format!("created-by-{}", made.threads));
        system::sync(folder);
        for attempt in 0..TRIES {
            interrupt.check()?;
            let pace = disk::unlink_files(&parent.join(attempt.to_string()), made.threads, extent)?;
            made.unlinked_per_second = made.unlinked_per_second.max(pace);
        }
    }
    system::sync(folder);
    let sealed = sealed::measure(extent.bytes).on("send over", loopback)?;
    let iperf = [1, STREAMS_MAX]
        .into_iter()
        .filter_map(|streams| iperf::measure(streams, extent.bytes))
        .collect();
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    Ok(Ceilings {
        extent,
        socket,
        write_bytes_per_second,
        create,
        send_file,
        receive_file,
        sealed,
        iperf,
        cores,
    })
}

/// The fastest of several tries.
fn best_sent(interrupt: &Interrupt, send: impl Fn() -> Result<Sent>) -> Result<Sent> {
    let mut best = send()?;
    for _ in 1..TRIES {
        interrupt.check()?;
        let sent = send()?;
        if best.bytes_per_second < sent.bytes_per_second {
            best = sent;
        }
    }
    Ok(best)
}

impl Sent {
    fn print(&self, what: &str, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "ceiling     {what}, {} streams: {:.0} MB/s, {:.2} CPU s/GiB",
            self.streams,
            self.bytes_per_second / 1e6,
            self.cpu_seconds_per_gib
        )
    }
}

/// 1, 2, 4 and so on, until there are more threads than cores.
fn thread_counts() -> Vec<u64> {
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    let doubled = std::iter::successors(Some(1), |count| Some(count * 2));
    doubled.take_while(|count| *count <= (cores * 2).min(MANY_THREADS)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "for paces, 53 bits are plenty")]
fn float(number: u64) -> f64 {
    number as f64
}

/// As the copiers use at most on one path.
const STREAMS_MAX: u64 = 4;
const TRIES: u32 = 3;
/// As in the tree of small files.
const FILES_PER_DIRECTORY: u64 = 1000;
const MANY_THREADS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    fn ceilings() -> Ceilings {
        Ceilings {
            extent: Extent { bytes: 1, files: 1, file_bytes: 1 },
            socket: [(1, 100.0), (2, 200.0)]
                .map(|(streams, bytes_per_second)| Sent {
                    streams,
                    bytes_per_second,
                    cpu_seconds_per_gib: 1.0,
                })
                .to_vec(),
            write_bytes_per_second: 400.0,
            create: vec![Created { threads: 1, files_per_second: 10.0, unlinked_per_second: 20.0 }],
            send_file: Sent { streams: 1, bytes_per_second: 1.0, cpu_seconds_per_gib: 1.0 },
            receive_file: Sent { streams: 1, bytes_per_second: 1.0, cpu_seconds_per_gib: 1.0 },
            sealed: vec![Sealed {
                cipher: "any",
                seal_bytes_per_second: 100.0,
                open_bytes_per_second: 100.0,
                rustls_bytes_per_second: 1.0,
                rustls_cpu_seconds_per_gib: 1.0,
            }],
            iperf: Vec::new(),
            cores: 2,
        }
    }

    #[test]
    fn the_bound_is_what_takes_longest_at_its_best_pace() {
        let census = |files, bytes| Census { files, bytes, ..Census::default() };
        let bound = |census: Census, operation, is_sealed| {
            ceilings().bound(&census, operation, is_sealed).expect("a bound")
        };
        let found = |seconds, by| Bound { seconds, by };
        assert_eq!(bound(census(1, 4000), Operation::Push, false), found(20.0, "sending"));
        assert_eq!(bound(census(1, 4000), Operation::Push, true), found(40.0, "encrypting"));
        assert_eq!(bound(census(1, 4000), Operation::Copy, true), found(10.0, "writing"));
        assert_eq!(bound(census(300, 4000), Operation::Pull, false), found(30.0, "creating"));
        assert_eq!(bound(census(300, 4000), Operation::Delete, false), found(15.0, "unlinking"));
        assert_eq!(ceilings().bound(&Census::default(), Operation::Copy, false), None);
    }

    #[test]
    fn every_loop_moves_what_it_says() {
        if !system::is_supported() {
            return;
        }
        let sandbox = tempfile::tempdir().expect("a temporary directory");
        let folder = sandbox.path().join("loops");
        let extent = Extent { bytes: 1 << 20, files: 50, file_bytes: 10 };
        let found = measure(&folder, extent, &Interrupt::default()).expect("ceilings");
        assert_eq!(found.socket.len(), 4);
        assert!(found.socket.iter().all(|sent| sent.bytes_per_second > 0.0));
        assert!(found.write_bytes_per_second > 0.0);
        assert_eq!(found.create.len(), thread_counts().len());
        assert_eq!(found.sealed.len(), 3);
        for made in &found.create {
            assert!(made.files_per_second > 0.0 && made.unlinked_per_second > 0.0, "{made:?}");
            let parent = folder.join(format!("created-by-{}", made.threads));
            let census = Snapshot::take(&parent).expect("a tree").census();
            assert!(census.directories > 1, "nothing was made by {}", made.threads);
            assert_eq!(census.files, 0, "what was created is unlinked again");
        }
    }
}
