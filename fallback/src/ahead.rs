//! Opens source files one after another, and those that a device must bring some files before their turn, so that it
//! always has many to bring.
//! It must not know what is done with the files.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sys;

/// Files of one task in their order, some of them open already.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    opened: VecDeque<io::Result<File>>,
    /// Files until the next look at the page cache.
    blind: usize,
    /// There were no more descriptors.
    is_out_of_files: bool,
}

/// One file in its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Which one it is.
    pub(crate) index: usize,
    /// How many there are.
    pub(crate) count: usize,
    /// Whether content of it will be read: others are not looked at, and tell nothing of those behind.
    pub(crate) is_read: bool,
}

impl Ahead {
    /// Opens the file whose turn it is, by `open`, if it is not open yet; perhaps also some of those behind it.
    ///
    /// # Errors
    /// Those of opening this file, now or before its turn.
    pub(crate) fn open(
        &mut self,
        turn: Turn,
        open: impl Fn(usize) -> io::Result<File>,
    ) -> io::Result<File> {
        let file = match self.opened.pop_front() {
            Some(file) => {
                OPEN_AHEAD.fetch_sub(1, Ordering::Relaxed);
                file
            }
            None => open(turn.index),
        };
        if turn.index + 1 < turn.count {
            self.go_ahead(turn, &file, open);
        }
        file
    }

    /// Opens files behind this one if they must be brought from a device.
    fn go_ahead(
        &mut self,
        turn: Turn,
        file: &io::Result<File>,
        open: impl Fn(usize) -> io::Result<File>,
    ) {
        let is_waiting = !self.opened.is_empty();
        if self.opened.len() > FILES_MIN || self.is_out_of_files {
            return;
        }
        if !is_waiting {
            let Ok(file) = file else { return };
            if !turn.is_read || !self.sees_cold(file) {
                return;
            }
            sys::will_need(file, BYTES_AHEAD_MAX);
        }
        let first = turn.index + 1 + self.opened.len();
        for index in first..turn.count.min(first + FILES_MAX - self.opened.len()) {
            if OPEN_AHEAD.load(Ordering::Relaxed) >= files_max() {
                return;
            }
            let next = open(index);
            if next.as_ref().is_err_and(sys::is_out_of_files) {
                self.is_out_of_files = true;
                return;
            }
            // Where the cold ones end, nothing is gained any more.
            let is_last = is_waiting && index == first;
            let is_last = is_last && next.as_ref().is_ok_and(|file| sys::is_cached(file, 0));
            if let Ok(file) = &next {
                sys::will_need(file, BYTES_AHEAD_MAX);
            }
            OPEN_AHEAD.fetch_add(1, Ordering::Relaxed);
            self.opened.push_back(next);
            if is_last {
                return;
            }
        }
    }

    /// Whether the content of `file` must be brought, if it is time to look.
    fn sees_cold(&mut self, file: &File) -> bool {
        if self.blind > 0 {
            self.blind -= 1;
            return false;
        }
        let is_cold = !sys::is_cached(file, 0);
        self.blind = if is_cold { 0 } else { FILES_PER_LOOK };
        is_cold
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        OPEN_AHEAD.fetch_sub(self.opened.len(), Ordering::Relaxed);
    }
}

/// How many files may be open ahead in the whole process: part of what it may have open at all, which is raised first.
pub(crate) fn files_max() -> usize {
    static FILES_MAX_HERE: OnceLock<usize> = OnceLock::new();
    *FILES_MAX_HERE.get_or_init(|| sys::raise_open_files() / SHARE_OF_FILES)
}

/// Files open ahead in all tasks.
static OPEN_AHEAD: AtomicUsize = AtomicUsize::new(0);
/// Files that one task has open ahead; twice as many gained nothing.
const FILES_MAX: usize = 64;
/// Down to so many before more are opened, so that the device has work meanwhile and gets many requests together.
const FILES_MIN: usize = FILES_MAX / 2;
/// Files that are opened in their turn after one was in the page cache, before the next look.
const FILES_PER_LOOK: usize = 16;
/// Bytes of each file that are brought ahead: all of a small one.
const BYTES_AHEAD_MAX: u64 = 1 << 20;
/// The part of the open files that may be open ahead: the rest is for directories, destinations and the caller.
const SHARE_OF_FILES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Sandbox, name};

    #[test]
    fn every_file_is_opened_once_and_comes_in_its_turn() {
        let sandbox = Sandbox::new();
        for index in (0..200).filter(|index| index % 7 != 0) {
            sandbox.file(&index.to_string(), index.to_string());
        }
        let root = sys::open_root(&sandbox.path("")).expect("open");
        let opened = std::cell::RefCell::new(Vec::new());
        let mut ahead = Ahead::default();
        for index in 0..200_usize {
            let turn = Turn { index, count: 200, is_read: index != 0 };
            let file = ahead.open(turn, |index| {
                opened.borrow_mut().push(index);
                sys::open_file(&root, &name(index.to_string()), false)
            });
            // As if this one had to be brought.
            if index % 50 == 10 && ahead.opened.is_empty() {
                for next in [index + 1, index + 2] {
                    opened.borrow_mut().push(next);
                    ahead.opened.push_back(sys::open_file(&root, &name(next.to_string()), false));
                    OPEN_AHEAD.fetch_add(1, Ordering::Relaxed);
                }
            }
            match file {
                Ok(file) => {
                    let mut bytes = [0; 8];
                    let count = sys::read_at(&file, &mut bytes, 0).expect("read");
                    assert_eq!(&bytes[..count], index.to_string().as_bytes());
                }
                Err(error) => {
                    assert_eq!((index % 7, error.kind()), (0, io::ErrorKind::NotFound));
                }
            }
        }
        assert_eq!(*opened.borrow(), (0..200).collect::<Vec<_>>());
    }
}
