//! Plain loops over loopback connections, with both ends in this process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Instant;

use super::{Sent, float};
use crate::system;

/// From the moment that all connections stand until the last byte has arrived.
pub(super) fn send(streams: u64, bytes: u64) -> io::Result<Sent> {
    let pairs = pairs(streams)?;
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

/// As many connections, each with both its ends.
pub(super) fn pairs(count: u64) -> io::Result<Vec<(TcpStream, TcpStream)>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        let near = TcpStream::connect(address)?;
        near.set_nodelay(true)?;
        pairs.push((near, listener.accept()?.0));
    }
    Ok(pairs)
}

/// A file that the kernel hands to one connection, where the system has a call for that
/// (sendfile), and whose other end forgets what comes.
pub(super) fn send_file(path: &Path) -> io::Result<Sent> {
    let (near, far) = pairs(1)?.pop().ok_or_else(|| io::Error::other("no connection"))?;
    let mut file = File::open(path)?;
    let cpu_before = system::own_cpu_seconds()?;
    let started = Instant::now();
    let bytes = thread::scope(|scope| {
        let sink = scope.spawn(move || drain(far));
        let mut near = near;
        let bytes = io::copy(&mut file, &mut near)?;
        drop(near);
        sink.join().expect("a loop does not panic")?;
        io::Result::Ok(bytes)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Sent {
        streams: 1,
        bytes_per_second: float(bytes) / seconds,
        cpu_seconds_per_gib: (system::own_cpu_seconds()? - cpu_before) * float(1 << 30)
            / float(bytes),
    })
}

/// Bytes of one connection that the kernel puts into a file, through a pipe and where the system
/// has a call for that (splice).
pub(super) fn receive_file(path: &Path, bytes: u64) -> io::Result<Sent> {
    let (near, far) = pairs(1)?.pop().ok_or_else(|| io::Error::other("no connection"))?;
    let (mut outlet, mut inlet) = io::pipe()?;
    let mut file = File::create(path)?;
    let cpu_before = system::own_cpu_seconds()?;
    let started = Instant::now();
    thread::scope(|scope| {
        let source = scope.spawn(move || pour(near, bytes));
        let middle = scope.spawn(move || {
            let mut far = far;
            io::copy(&mut far, &mut inlet)
        });
        let came = io::copy(&mut outlet, &mut file)?;
        source.join().expect("a loop does not panic")?;
        middle.join().expect("a loop does not panic")?;
        if came == bytes { Ok(()) } else { Err(io::Error::other("bytes were lost")) }
    })?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Sent {
        streams: 1,
        bytes_per_second: float(bytes) / seconds,
        cpu_seconds_per_gib: (system::own_cpu_seconds()? - cpu_before) * float(1 << 30)
            / float(bytes),
    })
}

const SOCKET_BUFFER_BYTES: usize = 256 << 10;
