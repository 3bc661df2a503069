//! The file that --log-file names: one line for each change, error and end. It must not decide what is logged.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use blit_core::Error;
use blit_core::path::Escaped;
use jiff::Zoned;

/// A file that lines are appended to.
#[derive(Debug)]
pub(super) struct Log {
    out: BufWriter<File>,
    shown: Vec<u8>,
    broken: Option<io::Error>,
}

impl Log {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.as_os_str().as_encoded_bytes().to_vec();
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|error| Error::io("open log file", &shown, error))?;
        Ok(Self { out: BufWriter::new(file), shown, broken: None })
    }

    /// Appends a line that is text already.
    pub(super) fn line(&mut self, text: &str) {
        if self.broken.is_none() {
            let now = Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z");
            self.broken = writeln!(self.out, "{now} {text}").err();
        }
    }

    /// Appends what was done to a path.
    pub(super) fn entry(&mut self, word: &str, path: &[u8]) {
        self.line(&format!("{word} {}", Escaped(path)));
    }

    /// Writes everything out; tells what has been lost.
    pub(super) fn close(mut self) -> Option<Error> {
        let flushed = self.out.flush().err();
        let error = self.broken.or(flushed)?;
        Some(Error::io("write log file", &self.shown, error))
    }
}
