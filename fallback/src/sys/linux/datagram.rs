//! Linux: a message to a socket that has a path, or a name that is no path.
//! It must not know what is said.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `text` to `place`, which is a name that is no path if it begins with `@`.
///
/// # Errors
/// Those of `sendto(2)`.
pub(in crate::sys) fn send_datagram(
    socket: &UnixDatagram,
    place: &OsStr,
    text: &[u8],
) -> io::Result<()> {
    match place.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.send_to_addr(text, &SocketAddr::from_abstract_name(name)?)?,
        None => socket.send_to(text, place)?,
    };
    Ok(())
}
