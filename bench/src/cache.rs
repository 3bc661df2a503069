//! Runs with nothing in memory: drops what the system has cached, and proves that it did.
//!
//! A file that is read for the proof must come from the storage, as the system counts it for this
//! process. On a file system in memory it never does, and there are no cold runs there. What lies
//! below a virtual machine has caches of its own that nobody here can drop.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, OnPath, Result};
use crate::filesystem::Mount;
use crate::system;

/// What is read for the proof.
pub(crate) struct Probe {
    file: PathBuf,
}

impl Probe {
    /// A new file in `folder`, which lies on the file system that is measured.
    ///
    /// # Errors
    /// Why there can be no cold runs here.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        if IN_MEMORY.contains(&Mount::of(folder).format.as_str()) {
            return Err(impossible("the file system is in memory; see --work"));
        }
        let file = folder.join("probe");
        fs::write(&file, vec![0x5a; PROBE_BYTES]).on("write", &file)?;
        let probe = Self { file };
        probe.chill(folder, &[])?;
        Ok(probe)
    }

    /// Writes back what belongs to `folder`, then drops all that is cached. The programs are
    /// started once afterwards, so that reading them is no part of a run.
    pub(crate) fn chill(&self, folder: &Path, programs: &[&Path]) -> Result<()> {
        system::sync(folder);
        let switch = Path::new("/proc/sys/vm/drop_caches");
        fs::write(switch, "3")
            .map_err(|refused| impossible(&format!("{refused}, as root only")))?;
        let before = fetched().ok_or_else(|| impossible("the system does not count reads"))?;
        let len = fs::read(&self.file).on("read", &self.file)?.len() as u64;
        let after = fetched().unwrap_or(before);
        if after - before < len {
            return Err(impossible("a file that was cached still is"));
        }
        for program in programs {
            let version = Command::new(program)
                .arg("--version")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            version.on("start", program)?;
        }
        Ok(())
    }
}

fn impossible(why: &str) -> Error {
    Error::Usage(format!("--cache cold: the caches could not be dropped: {why}"))
}

/// Bytes that this process has had fetched from storage so far; None where the system does not
/// tell.
fn fetched() -> Option<u64> {
    fetched_in(&fs::read_to_string("/proc/self/io").ok()?)
}

fn fetched_in(counters: &str) -> Option<u64> {
    counters.lines().find_map(|line| line.strip_prefix("read_bytes:")?.trim().parse().ok())
}

/// What is there has no other place to be.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// More than what comes along by chance.
const PROBE_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_storage_is_told_from_what_was_read() {
        let counters = "rchar: 900\nread_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(fetched_in(counters), Some(4096));
        assert_eq!(fetched_in("rchar: 900\n"), None);
    }

    #[test]
    fn memory_cannot_be_made_cold() {
        let memory = Path::new("/dev/shm");
        if Mount::of(memory).format != "tmpfs" {
            return;
        }
        let sandbox = tempfile::tempdir_in(memory).expect("a temporary directory");
        let error = Probe::new(sandbox.path()).err().expect("a refusal");
        assert!(matches!(&error, Error::Usage(why) if why.contains("in memory")), "{error}");
    }
}
