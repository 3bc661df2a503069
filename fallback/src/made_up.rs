//! Content that the system makes up when it is read, of files of which it says that they have no bytes (`/proc`).
//! It must not decide which files may be read.

use std::fs::File;
use std::io;

use crate::sys;

/// All that there is to read. Where nothing is, that costs one call.
///
/// # Errors
/// Those of reading; `Unsupported` where there is more than is kept in memory.
pub(crate) fn read(file: &File) -> io::Result<Vec<u8>> {
    let (mut content, mut piece) = (Vec::new(), [0; STEP_BYTES]);
    loop {
        match sys::read_at(file, &mut piece, content.len() as u64) {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if content.len() > CONTENT_BYTES_MAX {
            let why = "it has no size, and more content than is kept in memory";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
    }
}

/// Bytes that are read at once: the kernel makes up about so much at a time.
const STEP_BYTES: usize = 4 << 10;
/// What the kernel tells of itself is a few megabytes at most.
const CONTENT_BYTES_MAX: usize = 64 << 20;
