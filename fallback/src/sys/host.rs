//! Unix: accounts, operator's files, signals, and what a supervisor hands over.
//! It must not know what the process serves.
#![expect(unsafe_code, reason = "adopting descriptors and handling signals are unsafe calls")]

use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Gid, Group, Uid, User};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Account, Signal};

/// The account of that name or number; `None` where there is no such name. A number needs no account.
///
/// # Errors
/// Those of the look-up: then nothing is known of the account.
pub fn account(name: &str) -> io::Result<Option<Account>> {
    if let Ok(uid) = name.parse::<u32>() {
        let user = User::from_uid(Uid::from_raw(uid))?;
        return Ok(Some(Account { uid, gid: user.map(|user| user.gid.as_raw()) }));
    }
    let user = User::from_name(name)?;
    Ok(user.map(|user| Account { uid: user.uid.as_raw(), gid: Some(user.gid.as_raw()) }))
}

/// The number of the group of that name or number; `None` where there is no such name.
///
/// # Errors
/// Those of the look-up.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    if let Ok(gid) = name.parse::<u32>() {
        return Ok(Some(gid));
    }
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// The name of a user, where the number has one and it can be looked up.
pub fn user_name(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// The name of a group, likewise.
pub fn group_name(gid: u32) -> Option<String> {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name)
}

/// The number of the user of that name, where there is one and it can be looked up.
pub fn user_number(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
}

/// The number of the group of that name, likewise.
pub fn group_number(name: &str) -> Option<u32> {
    Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

/// The listening sockets that whoever started this process opened for it, each with its name. They can be taken once.
///
/// # Errors
/// `InvalidInput` if what was handed over is something else.
pub fn inherited_listeners() -> io::Result<Vec<(String, TcpListener)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let variable = |name| std::env::var(name).unwrap_or_default();
    let is_for_us = variable("LISTEN_PID") == std::process::id().to_string();
    if !is_for_us || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
    let count: RawFd =
        variable("LISTEN_FDS").parse().map_err(|_| wrong("LISTEN_FDS is no number"))?;
    if !(0..=LISTENERS_MAX).contains(&count) {
        return Err(wrong("LISTEN_FDS is not a sensible number"));
    }
    let names = variable("LISTEN_FDNAMES");
    let mut names = names.split(':');
    let mut listeners = Vec::new();
    for fd in FIRST_INHERITED..FIRST_INHERITED + count {
        let name = names.next().unwrap_or_default().to_owned();
        listeners.push((name, TcpListener::from(adopt(fd)?)));
    }
    Ok(listeners)
}

fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: whoever started this process said that this descriptor is open, `fcntl` finds out whether that is true,
    // and it is borrowed for nothing but these questions.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let is_stream = getsockopt(&borrowed, sockopt::SockType)? == SockType::Stream;
    let is_listening = getsockopt(&borrowed, sockopt::AcceptConn)?;
    if !is_stream || !is_listening {
        let why = format!("descriptor {fd} is not a listening TCP socket");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let flags = OFlag::from_bits_retain(fcntl(borrowed, FcntlArg::F_GETFL)?);
    fcntl(borrowed, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    // SAFETY: it is open, it was handed over to this process, and it is adopted once.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let listener = TcpListener::from(owned);
    // It is a socket of the internet, or it has no such address.
    listener.local_addr()?;
    Ok(listener.into())
}

/// Tells the supervisor that started this process; `false` where there is none.
///
/// # Errors
/// Those of the socket.
pub fn notify(state: &str) -> io::Result<bool> {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
        return Ok(false);
    };
    super::platform::send_datagram(&UnixDatagram::unbound()?, &place, state.as_bytes())?;
    Ok(true)
}

/// As [`notify`], that the configuration is being read again.
///
/// # Errors
/// As [`notify`].
pub fn notify_reloading() -> io::Result<bool> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let micros = now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000;
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"))
}

/// What this process is told by signals.
#[derive(Debug)]
pub struct Signals(UnixStream);

impl Signals {
    /// Listens from now on. The signals end the process no more.
    ///
    /// # Errors
    /// Those of making a pair of sockets and registering handlers.
    pub fn listen() -> io::Result<Self> {
        let (receiver, sender) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        let fd = sender.as_raw_fd();
        for (signal, byte) in [(SIGTERM, b'S'), (SIGINT, b'S'), (SIGHUP, b'R')] {
            // The handlers stay for as long as the process, and so does what they write to.
            let handler = move || {
                let errno = Errno::last_raw();
                // SAFETY: `send` may be called by a handler; the descriptor is never closed. A full buffer has enough
                // signals waiting in it already.
                unsafe { libc::send(fd, (&raw const byte).cast(), 1, libc::MSG_DONTWAIT) };
                Errno::set_raw(errno);
            };
            // SAFETY: the handler does nothing but a system call that is safe there, and leaves `errno` as it was.
            unsafe { signal_hook::low_level::register(signal, handler) }?;
        }
        std::mem::forget(sender);
        Ok(Self(receiver))
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// Those of reading.
    pub fn wait(&mut self) -> io::Result<Signal> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        Ok(if byte == *b"R" { Signal::Reload } else { Signal::Stop })
    }
}

const FIRST_INHERITED: RawFd = 3;
/// More sockets than this nobody configures.
const LISTENERS_MAX: RawFd = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_number_and_an_unknown_name_is_nobody() {
        let root = Account { uid: 0, gid: Some(0) };
        assert_eq!(account("root").expect("look-up"), Some(root));
        assert_eq!(account("0").expect("look-up"), Some(root));
        assert_eq!(account("no such user").expect("look-up"), None);
        assert_eq!(account("").expect("look-up"), None);
        let unknown = account("4123456789").expect("look-up").expect("a number is enough");
        assert_eq!((unknown.uid, unknown.gid), (4_123_456_789, None));
        assert_eq!(group_id("no such group").expect("look-up"), None);
        assert_eq!(group_id("12").expect("look-up"), Some(12));
        assert_eq!(account("-1").expect("look-up"), None);
    }
}
