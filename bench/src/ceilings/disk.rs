//! Plain loops that write, create and unlink files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::{Extent, FILES_PER_DIRECTORY, TRIES, float};
use crate::error::{OnPath, Result};
use crate::system;

/// Bytes a second into a file that did not exist.
pub(super) fn write(path: &Path, bytes: u64) -> io::Result<f64> {
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
pub(super) fn create_files(folder: &Path, threads: u64, extent: Extent) -> Result<f64> {
    let each = extent.files.div_ceil(u64::from(TRIES) * threads);
    let len = usize::try_from(extent.file_bytes).expect("a small file fits in memory");
    let content = vec![0x5a; len];
    fs::create_dir_all(folder).on("create directory", folder)?;
    let work = |thread: u64| -> Result<()> {
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
    let seconds = at_once(threads, work)?;
    Ok(float(each * threads) / seconds)
}

/// Unlinks a second, of what `create_files` has made; its directories stay.
pub(super) fn unlink_files(folder: &Path, threads: u64, extent: Extent) -> Result<f64> {
    let each = extent.files.div_ceil(u64::from(TRIES) * threads);
    let work = |thread: u64| -> Result<()> {
        let mut directory: Option<File> = None;
        for index in 0..each {
            if index % FILES_PER_DIRECTORY == 0 {
                let path = folder.join(format!("{thread}-{index}"));
                directory = Some(File::open(&path).on("open", &path)?);
            }
            let directory = directory.as_ref().expect("the first round opens one");
            let name = format!("f{index:07}");
            system::unlink_in(directory, &name).on("unlink", &folder.join(&name))?;
        }
        Ok(())
    };
    let seconds = at_once(threads, work)?;
    Ok(float(each * threads) / seconds)
}

/// Seconds until all threads are through with work that they began together.
fn at_once(threads: u64, work: impl Fn(u64) -> Result<()> + Sync) -> Result<f64> {
    let barrier = Barrier::new(usize::try_from(threads).expect("a few threads") + 1);
    let (barrier, work) = (&barrier, &work);
    thread::scope(|scope| {
        let begin = |thread: u64| {
            scope.spawn(move || {
                barrier.wait();
                work(thread)
            })
        };
        let workers: Vec<_> = (0..threads).map(begin).collect();
        barrier.wait();
        let started = Instant::now();
        for worker in workers {
            worker.join().expect("a loop does not panic")?;
        }
        Ok(started.elapsed().as_secs_f64())
    })
}

const FILE_BUFFER_BYTES: usize = 1 << 20;
