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
        let file = ahead
            .open(turn, |index| dir::open_source((&task.dir, &dir), &task.names[index], false));
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
    let mut digester = Digester { file, at, control, state: Xxh3::new() };
    let mut offset = 0;
    // Holes are not read: what they would give is known.
    while meta.may_have_holes() && offset < meta.size {
        let extent = sys::next_extent(file, offset, meta.size).map_err(at.failed("read"))?;
        let extent = extent.unwrap_or(meta.size..meta.size);
        digester.zeros(extent.start.min(meta.size) - offset)?;
        offset = digester.content(extent.start.min(meta.size)..extent.end.min(meta.size))?;
    }
    digester.content(offset..u64::MAX)?;
    Ok(digester.state.digest128())
}

/// A digest in work.
struct Digester<'a> {
    file: &'a File,
    at: At<'a>,
    control: &'a Control,
    state: Xxh3,
}

impl Digester<'_> {
    /// Digests a range of the file, or what there is of it, and says where it ended. The end of the range is reached also
    /// where the file ends before, for it has become shorter then, and ends there in the digest too.
    fn content(&mut self, range: std::ops::Range<u64>) -> Result<u64, Error> {
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(BUFFER_BYTES, 0);
            let mut offset = range.start;
            while offset < range.end {
                self.look()?;
                let want = usize::try_from(range.end - offset).unwrap_or(BUFFER_BYTES);
                let space = &mut buffer[..want.min(BUFFER_BYTES)];
                match sys::read_at(self.file, space, offset) {
                    Ok(0) => return Ok(range.end),
                    Ok(count) => {
                        self.state.update(&space[..count]);
                        offset += count as u64;
                        if count == BUFFER_BYTES {
                            // Nothing is settled before the end, which is far in a large file.
                            self.control.stir();
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(self.at.failed("read")(error)),
                }
            }
            Ok(offset)
        })
    }

    /// Digests so many zeros.
    fn zeros(&mut self, mut count: u64) -> Result<(), Error> {
        static ZEROS: [u8; BUFFER_BYTES] = [0; BUFFER_BYTES];
        while count > 0 {
            self.look()?;
            let part = usize::try_from(count).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
            self.state.update(&ZEROS[..part]);
            count -= part as u64;
        }
        Ok(())
    }

    fn look(&self) -> Result<(), Error> {
        if self.control.is_cancelled() {
            return Err(self.at.refused(ErrorKind::Interrupted, "read"));
        }
        Ok(())
    }
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
    fn a_hole_has_the_digest_of_the_zeros_that_it_shows() {
        let sandbox = Sandbox::new();
        let size = 3 << 20;
        let mut content = vec![0; size];
        content[1_000_000..1_000_005].copy_from_slice(b"where");
        sandbox.file("zeros", &content);
        for (name, kept) in [("middle", Some(1_000_000)), ("nothing", None)] {
            sandbox.file(name, b"");
            let file = File::options().write(true).open(sandbox.path(name)).expect("own file");
            if let Some(at) = kept {
                sys::write_at(&file, b"where", at).expect("written");
            }
            file.set_len(size as u64).expect("grown");
        }
        let names = ["zeros", "middle", "nothing"].map(name).to_vec();
        let task = Task::Hash(Hash { dir: sandbox.dir(""), names });
        let Ok(Output::Hashed(Hashed { digests })) = sandbox.run(task) else {
            panic!("not hashed");
        };
        let digests: Vec<u128> = digests.into_iter().map(|digest| digest.expect("one")).collect();
        let expected = [&content, &content, &vec![0; size]];
        assert_eq!(digests, expected.map(|content| xxhash_rust::xxh3::xxh3_128(content)));
    }

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
