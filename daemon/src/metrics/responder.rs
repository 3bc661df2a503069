//! Answers HTTP requests for the counters: one at a time, each within a deadline.
//! It must not know what is counted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use blit_core::Error;

use crate::listen::Bound;
use crate::state::State;

/// Answers at `bound` for as long as the process lives.
///
/// # Errors
/// If no thread can be started.
pub fn start(bound: Bound, state: &Arc<State>) -> Result<(), Error> {
    let Bound { socket, address } = bound;
    let state = Arc::clone(state);
    let serve = move || {
        loop {
            match socket.accept() {
                // Who asks and does not get an answer asks again.
                Ok((stream, _)) => drop(answer(&stream, || state.metrics.text(&state.admission))),
                Err(_) => std::thread::sleep(FAILED_ACCEPT_WAIT),
            }
        }
    };
    let started = Builder::new().name("blitd-metrics".to_owned()).spawn(serve);
    let failed = |error| Error::io("tell metrics on", address.to_string().as_bytes(), error);
    started.map(drop).map_err(failed)
}

fn answer(stream: &TcpStream, text: impl FnOnce() -> String) -> io::Result<()> {
    let deadline = Instant::now() + REQUEST_MAX;
    let request = read_head(stream, deadline)?;
    let (status, body) = match request.as_deref() {
        None => ("400 Bad Request", "the request has no end\n".to_owned()),
        Some(head) if !head.starts_with(b"GET ") => {
            ("405 Method Not Allowed", "GET only\n".to_owned())
        }
        Some(head) if head.starts_with(b"GET /metrics ") => ("200 OK", text()),
        Some(_) => ("404 Not Found", "there is only /metrics\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.set_write_timeout(Some(REQUEST_MAX))?;
    let mut stream = stream;
    stream.write_all((head + &body).as_bytes())
}

/// The request up to the empty line; nothing if it has none within [`HEAD_BYTES_MAX`].
fn read_head(mut stream: &TcpStream, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut piece = [0; 512];
    while head.len() < HEAD_BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let len = stream.read(&mut piece)?;
        head.extend_from_slice(&piece[..len]);
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(head));
        }
        if len == 0 {
            break;
        }
    }
    Ok(None)
}

/// From the first to the last byte. Others wait meanwhile.
const REQUEST_MAX: Duration = Duration::from_secs(2);
/// More than any scraper sends.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// After a failed accept, so as not to spin.
const FAILED_ACCEPT_WAIT: Duration = Duration::from_millis(100);
