//! Digests the contents of regular files with XXH3-128.
//! It must not know what a digest is compared with.

use std::cell::RefCell;
use std::fs::File;
use std::io;

use blit_core::entry::Kind;
use blit_core::event::Control;
use blit_core::task::{Hash, Hashed};
use blit_core::{Error, ErrorKind};
use xxhash_rust::xxh3::Xxh3;

use crate::ahead::{Ahead, Turn};
use crate::dir::{self, At};
use crate::sys::{self, Access};

/// Digests the files of `task`, in its order.
///
/// # Errors
/// Those of opening the directory. What one file suffers stands in its place.
pub fn hash(task: &Hash, control: &Control) -> Result<Hashed, Error> {
    let dir = dir::open(&task.dir, Access::Search)?;
    let mut ahead = Ahead::default();
    let mut digests = Vec::with_capacity(task.names.len());
    for (index, name) in task.names.iter().enumerate() {
        let turn = Turn { index, count: task.names.len(), is_read: true };
        let file = ahead.open(turn, |index| sys::open_file(&dir, &task.names[index], false));
        let at = At::entry(&task.dir, name);
        digests.push(file.map_err(at.failed("open")).and_then(|file| digest(&file, at, control)));
    }
    Ok(Hashed { digests })
}

fn digest(file: &File, at: At<'_>, control: &Control) -> Result<u128, Error> {
    let meta = sys::stat(file.into()).map_err(at.failed("examine"))?;
    if meta.kind != Kind::File {
        let why = format!("it is a {}", meta.kind.word());
        return Err(at.because(ErrorKind::TypeClash, "read", &why));
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(BUFFER_BYTES, 0);
        let mut state = Xxh3::new();
        let mut offset = 0;
        loop {
            if control.is_cancelled() {
                return Err(at.refused(ErrorKind::Interrupted, "read"));
            }
            match sys::read_at(file, buffer, offset) {
                Ok(0) => return Ok(state.digest128()),
                Ok(count) => {
                    state.update(&buffer[..count]);
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at.failed("read")(error)),
            }
        }
    })
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of one read; more gains nothing on cached data.
const BUFFER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use blit_core::task::{Output, Task};

    use super::*;
    use crate::sandbox::{Capability, Sandbox, name};

    #[test]
    fn only_regular_files_have_a_digest() {
        let sandbox = Sandbox::new();
        let content = vec![3; 700_000];
        sandbox.file("f", &content);
        sandbox.mkdir("dir");
        let root = sys::open_root(&sandbox.path("")).expect("open");
        if sandbox.can(Capability::Specials) {
            sys::make_fifo(&root, &name("pipe"), 0o600).expect("mkfifo");
        } else {
            sandbox.mkdir("pipe");
        }
        let names = ["f", "dir", "pipe", "none"].map(name).to_vec();
        let task = Task::Hash(Hash { dir: sandbox.dir(""), names });
        let Ok(Output::Hashed(Hashed { digests })) = sandbox.run(task) else {
            panic!("not hashed");
        };
        let expected = xxhash_rust::xxh3::xxh3_128(&content);
        assert_eq!(*digests[0].as_ref().expect("a digest"), expected);
        let kinds: Vec<ErrorKind> =
            digests[1..].iter().map(|digest| digest.as_ref().expect_err("none").kind).collect();
        assert_eq!(kinds, [ErrorKind::TypeClash, ErrorKind::TypeClash, ErrorKind::NotFound]);
    }
}
