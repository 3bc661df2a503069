//! What this machine does at best: plain loops that send, write and create, without any copier.
//!
//! A ceiling is the best of several tries, not their median: what the machine reached once, it can.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde::Serialize;

use crate::error::{OnPath, Result};
use crate::interrupt::Interrupt;
use crate::snapshot::Census;
use crate::system;
use crate::trees::Need;

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
    /// Of sending (if the tree is sent), writing and creating, the one that takes longest.
    pub(crate) fn bound(&self, census: &Census, is_sent: bool) -> Option<Bound> {
        let best = |paces: &mut dyn Iterator<Item = f64>| paces.fold(0.0, f64::max);
        let (bytes, files) = (float(census.bytes), float(census.files));
        let mut bounds = vec![
            Bound { seconds: bytes / self.write_bytes_per_second, by: "writing" },
            Bound {
                seconds: files / best(&mut self.create.iter().map(|made| made.files_per_second)),
                by: "creating",
            },
        ];
        if is_sent {
            let pace = best(&mut self.socket.iter().map(|sent| sent.bytes_per_second));
            bounds.push(Bound { seconds: bytes / pace, by: "sending" });
        }
        bounds.retain(|bound| bound.seconds.is_finite() && bound.seconds > 0.0);
        bounds.into_iter().max_by(|one, other| one.seconds.total_cmp(&other.seconds))
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for sent in &self.socket {
            writeln!(
                out,
                "ceiling     {} loopback streams: {:.0} MB/s, {:.2} CPU s/GiB",
                sent.streams,
                sent.bytes_per_second / 1e6,
                sent.cpu_seconds_per_gib
            )?;
        }
        let write = self.write_bytes_per_second / 1e6;
        writeln!(out, "ceiling     writing one file: {write:.0} MB/s")?;
        for made in &self.create {
            writeln!(
                out,
                "ceiling     {} threads creating files of {} bytes: {:.0} files/s",
                made.threads, self.extent.file_bytes, made.files_per_second
            )?;
        }
        Ok(())
    }
}

/// Runs all loops; what they write lies below `folder` and stays there, see `filesystem`.
pub(crate) fn measure(folder: &Path, extent: Extent, interrupt: &Interrupt) -> Result<Ceilings> {
    fs::create_dir_all(folder).on("create directory", folder)?;
    let mut socket = Vec::new();
    for streams in 1..=STREAMS_MAX {
        let mut best: Option<Sent> = None;
        for _ in 0..TRIES {
            interrupt.check()?;
            let sent = send(streams, extent.bytes).on("send over", Path::new("loopback"))?;
            if best.is_none_or(|best| best.bytes_per_second < sent.bytes_per_second) {
                best = Some(sent);
            }
        }
        socket.extend(best);
    }
    let file = folder.join("written");
    let mut write_bytes_per_second: f64 = 0.0;
    for _ in 0..TRIES {
        interrupt.check()?;
        system::sync(folder);
        let pace = write(&file, extent.bytes).on("write", &file)?;
        write_bytes_per_second = write_bytes_per_second.max(pace);
    }
    fs::remove_file(&file).on("remove", &file)?;
    let mut create = Vec::new();
    for threads in thread_counts() {
        let parent = folder.join(format!("created-by-{threads}"));
        let mut files_per_second: f64 = 0.0;
        for attempt in 0..TRIES {
            interrupt.check()?;
            system::sync(folder);
            let pace = create_files(&parent.join(attempt.to_string()), threads, extent)?;
            files_per_second = files_per_second.max(pace);
        }
        create.push(Created { threads, files_per_second });
    }
    system::sync(folder);
    Ok(Ceilings { extent, socket, write_bytes_per_second, create })
}

/// From the moment that all connections stand until the last byte has arrived.
fn send(streams: u64, bytes: u64) -> io::Result<Sent> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut pairs = Vec::new();
    for _ in 0..streams {
        let near = TcpStream::connect(address)?;
        pairs.push((near, listener.accept()?.0));
    }
    let share = bytes.div_ceil(streams);
    let cpu_before = system::own_cpu_seconds()?;
    let started = Instant::now();
    thread::scope(|scope| {
        let mut ends = Vec::new();
        for (near, far) in pairs {
            ends.push(scope.spawn(move || pour(near, share)));
            ends.push(scope.spawn(move || drain(far)));
        }
        ends.into_iter().try_for_each(|end| end.join().expect("a loop does not panic"))
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let sent = float(share * streams);
    Ok(Sent {
        streams,
        bytes_per_second: sent / seconds,
        cpu_seconds_per_gib: (system::own_cpu_seconds()? - cpu_before) * float(1 << 30) / sent,
    })
}

fn pour(mut to: TcpStream, bytes: u64) -> io::Result<()> {
    let buffer = vec![0x5a; SOCKET_BUFFER_BYTES];
    let mut left = bytes;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        to.write_all(&buffer[..step])?;
        left -= step as u64;
    }
    Ok(())
}

fn drain(mut from: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; SOCKET_BUFFER_BYTES];
    while from.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Bytes a second into a file that did not exist.
fn write(path: &Path, bytes: u64) -> io::Result<f64> {
    drop(fs::remove_file(path));
    let buffer = vec![0x5a; FILE_BUFFER_BYTES];
    let started = Instant::now();
    let mut file = File::create_new(path)?;
    let mut left = bytes;
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        file.write_all(&buffer[..step])?;
        left -= step as u64;
    }
    drop(file);
    Ok(float(bytes) / started.elapsed().as_secs_f64())
}

/// Files a second, by threads that share no directory.
fn create_files(folder: &Path, threads: u64, extent: Extent) -> Result<f64> {
    let each = extent.files.div_ceil(u64::from(TRIES) * threads);
    let len = usize::try_from(extent.file_bytes).expect("a small file fits in memory");
    let content = vec![0x5a; len];
    let barrier = Barrier::new(usize::try_from(threads).expect("a few threads") + 1);
    fs::create_dir_all(folder).on("create directory", folder)?;
    let work = |thread: u64| -> Result<()> {
        barrier.wait();
        let mut directory: Option<File> = None;
        for index in 0..each {
            if index % FILES_PER_DIRECTORY == 0 {
                let path = folder.join(format!("{thread}-{index}"));
                fs::create_dir(&path).on("create directory", &path)?;
                directory = Some(File::open(&path).on("open", &path)?);
            }
            let directory = directory.as_ref().expect("the first round opens one");
            let name = format!("f{index:07}");
            system::create_in(directory, &name)
                .and_then(|mut file| file.write_all(&content))
                .on("create", &folder.join(&name))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        barrier.wait();
        let started = Instant::now();
        for worker in workers {
            worker.join().expect("a loop does not panic")?;
        }
        Ok(float(each * threads) / started.elapsed().as_secs_f64())
    })
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
const SOCKET_BUFFER_BYTES: usize = 256 << 10;
const FILE_BUFFER_BYTES: usize = 1 << 20;
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
            create: vec![Created { threads: 1, files_per_second: 10.0 }],
        }
    }

    #[test]
    fn the_bound_is_what_takes_longest_at_its_best_pace() {
        let census = |files, bytes| Census { files, bytes, ..Census::default() };
        let bound = |census: Census, is_sent| ceilings().bound(&census, is_sent).expect("a bound");
        assert_eq!(bound(census(1, 4000), true), Bound { seconds: 20.0, by: "sending" });
        assert_eq!(bound(census(1, 4000), false), Bound { seconds: 10.0, by: "writing" });
        assert_eq!(bound(census(300, 4000), true), Bound { seconds: 30.0, by: "creating" });
        assert_eq!(ceilings().bound(&Census::default(), true), None);
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
        for made in &found.create {
            let parent = folder.join(format!("created-by-{}", made.threads));
            let files = Snapshot::take(&parent).expect("a tree").census().files;
            assert!(files >= 50, "{files} by {}", made.threads);
        }
    }
}
