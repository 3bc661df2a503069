//! A connection as the control plane needs it: asynchronous, encrypted or not, carrying Cap'n Proto messages.
//! It must not know what the messages mean.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use capnp::message::ReaderOptions;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader, BufWriter, ReadHalf};
use rustls::{AlertDescription, Connection};
use tokio::net::TcpStream;

use crate::intake::{Allowance, Intake};

/// Messages over `socket`, of at most as many words as `words_max` allows when they begin.
pub(crate) fn network(
    socket: Socket,
    side: Side,
    words_max: Allowance,
) -> VatNetwork<Intake<BufReader<ReadHalf<Socket>>>> {
    let (reader, writer) = socket.split();
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(MESSAGE_WORDS_MAX)).nesting_limit(NESTING_MAX);
    let reader = Intake::new(BufReader::with_capacity(BUFFER_BYTES, reader), words_max);
    let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
    let mut network = VatNetwork::new(reader, writer, side, options);
    network.set_window_size(WINDOW_BYTES);
    network
}

/// A connected socket, and its encryption where it has one.
pub(crate) struct Socket {
    socket: TcpStream,
    /// After the handshake.
    seal: Option<Box<Connection>>,
    /// Nothing is read while nothing can be written: whoever does not take answers may not ask. Only one of the two
    /// ends may do this, or both wait for each other.
    waits_for_reader: bool,
    /// What was written last found no room.
    is_blocked: bool,
    /// Whoever wants to read when there is room again.
    reader: Option<Waker>,
    verdict: Verdict,
}

/// The alert by which the peer has ended an encrypted connection. Who gives the socket away keeps this.
pub(crate) type Verdict = Rc<Cell<Option<AlertDescription>>>;

impl Socket {
    /// Reads nothing while nothing can be written.
    pub(crate) fn strict(mut self) -> Self {
        self.waits_for_reader = true;
        self
    }

    /// Takes note of whether there was room for what is written.
    fn wrote<T>(&mut self, done: Poll<T>) -> Poll<T> {
        self.is_blocked = done.is_pending();
        if !self.is_blocked
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
        done
    }

    /// Takes over a socket. Must be called where the executor runs.
    pub(crate) fn new(
        socket: std::net::TcpStream,
        seal: Option<Box<Connection>>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let socket = TcpStream::from_std(socket)?;
        Ok(Self {
            socket,
            seal,
            waits_for_reader: false,
            is_blocked: false,
            reader: None,
            verdict: Verdict::default(),
        })
    }

    /// Whether it is encrypted.
    pub(crate) fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// What tells later whether the peer has ended the connection with an alert.
    pub(crate) fn verdict(&self) -> Verdict {
        Rc::clone(&self.verdict)
    }
}

/// Calls of the socket that do not block, for what wants to read and write by itself.
struct Ready<'a>(&'a TcpStream);

impl Read for Ready<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Ready<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.try_write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.waits_for_reader && self.is_blocked {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let Self { socket, seal, verdict, .. } = &mut *self;
        let Some(seal) = seal else {
            return poll_ready(|| socket.try_read(into), || socket.poll_read_ready(context));
        };
        loop {
            match seal.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that ends without a word may have been cut off; for messages that is an end all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(0));
                }
                read => return Poll::Ready(read),
            }
            let taken = poll_ready(
                || seal.read_tls(&mut Ready(socket)),
                || socket.poll_read_ready(context),
            );
            if ready!(taken)? > 0 || !seal.wants_read() {
                let processed = seal.process_new_packets();
                if let Err(rustls::Error::AlertReceived(alert)) = processed {
                    verdict.set(Some(alert));
                }
                processed.map_err(io::Error::other)?;
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, seal, .. } = &mut *self;
        if seal.is_none() {
            let done = poll_ready(|| socket.try_write(from), || socket.poll_write_ready(context));
            return self.wrote(done);
        }
        // What was sealed before goes first, so that no more than one buffer waits here.
        ready!(self.as_mut().poll_flush(context))?;
        let Some(seal) = &mut self.seal else { return Poll::Ready(Ok(0)) };
        let taken = seal.writer().write(from)?;
        if let Poll::Ready(Err(error)) = self.poll_flush(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, seal: Some(seal), .. } = &mut *self else { return Poll::Ready(Ok(())) };
        let mut done = Poll::Ready(Ok(0));
        while seal.wants_write() && matches!(done, Poll::Ready(Ok(_))) {
            done = poll_ready(
                || seal.write_tls(&mut Ready(socket)),
                || socket.poll_write_ready(context),
            );
        }
        self.wrote(done).map_ok(drop)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(seal) = &mut self.seal {
            seal.send_close_notify();
        }
        self.poll_flush(context)
    }
}

/// Tries until it succeeds or the socket is not ready.
fn poll_ready<T>(
    mut attempt: impl FnMut() -> io::Result<T>,
    mut ready: impl FnMut() -> Poll<io::Result<()>>,
) -> Poll<io::Result<T>> {
    loop {
        ready!(ready())?;
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return Poll::Ready(done),
        }
    }
}

/// Words of 8 bytes that one message may have, and that may be read of it: 64 MiB.
pub(crate) const MESSAGE_WORDS_MAX: usize = 8 << 20;
/// The same of a peer that was given no module: 64 KiB, of which a greeting takes a few hundred bytes.
pub(crate) const STRANGER_WORDS_MAX: usize = 8 << 10;
/// Pointers in pointers; the schema has 6.
const NESTING_MAX: i32 = 16;
/// Bytes of a stream that the peer has not answered for: pages of a listing in flight over a long way.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes that are read or written at once.
const BUFFER_BYTES: usize = 128 << 10;
