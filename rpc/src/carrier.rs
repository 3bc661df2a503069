//! A data stream that the control connection carries: bounded queues between the engine's threads and the executor.
//! It must not know why there is no connection of its own.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use blit_core::stream::{Closer, Stream};
use blit_schema::session_capnp::carrier;
use capnp::capability::Rc;
use futures::future::{Either, select};
use tokio::sync::{mpsc, oneshot, watch};

/// A stream for the engine, what arrives for it, and what it sends.
pub(crate) fn carrier(is_sealed: bool) -> (Carried, Arriving, Leaving) {
    let pipe = Arc::new(Pipe::default());
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let stream = Carried {
        pipe: Arc::clone(&pipe),
        sender: Some(sender),
        stop: Arc::clone(&stop),
        is_sealed,
    };
    let leaving = Leaving { chunks, stopped, pipe: Arc::clone(&pipe) };
    (stream, Arriving { pipe }, leaving)
}

/// The engine's end.
pub(crate) struct Carried {
    pipe: Arc<Pipe>,
    sender: Option<mpsc::Sender<Vec<u8>>>,
    stop: Arc<watch::Sender<bool>>,
    is_sealed: bool,
}

impl Stream for Carried {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sender = self.sender.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        for chunk in bytes.chunks(CHUNK_BYTES_MAX) {
            sender.blocking_send(chunk.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(())
    }

    fn receive(&mut self, space: &mut [u8]) -> io::Result<usize> {
        Ok(self.pipe.take(space))
    }

    fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    fn closer(&self) -> Closer {
        let (pipe, stop) = (Arc::clone(&self.pipe), Arc::clone(&self.stop));
        Box::new(move || {
            pipe.end();
            stop.send_replace(true);
        })
    }
}

/// What the peer sends.
#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    ended: bool,
}

/// Bytes that are taken one by one; dropped, it tells the peer that there is room.
struct Chunk {
    bytes: Vec<u8>,
    taken: usize,
    _room: oneshot::Sender<()>,
}

impl Pipe {
    /// Waits for bytes; none when no more come.
    fn take(&self, space: &mut [u8]) -> usize {
        let mut state = self.lock();
        loop {
            if let Some(chunk) = state.chunks.front_mut() {
                let rest = &chunk.bytes[chunk.taken..];
                let len = rest.len().min(space.len());
                space[..len].copy_from_slice(&rest[..len]);
                chunk.taken += len;
                if chunk.taken == chunk.bytes.len() {
                    state.chunks.pop_front();
                }
                state.bytes -= len;
                return len;
            }
            if state.ended {
                return 0;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Queues what has come. What is given answers when it was taken. `None` where there may be no more.
    fn put(&self, bytes: &[u8]) -> Option<oneshot::Receiver<()>> {
        let mut state = self.lock();
        if state.ended || state.bytes + bytes.len() > QUEUED_BYTES_MAX {
            return None;
        }
        let (room, told) = oneshot::channel();
        if !bytes.is_empty() {
            state.bytes += bytes.len();
            state.chunks.push_back(Chunk { bytes: bytes.to_vec(), taken: 0, _room: room });
            self.changed.notify_all();
        }
        Some(told)
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the peer sends. Gone with the connection, it ends the stream.
pub(crate) struct Arriving {
    pipe: Arc<Pipe>,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.pipe.end();
    }
}

impl carrier::Server for Arriving {
    fn bytes(
        self: Rc<Self>,
        params: carrier::BytesParams,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let put = params.get().and_then(|params| Ok(self.pipe.put(params.get_bytes()?)));
        async move {
            let ended = || capnp::Error::disconnected("the stream has ended".to_owned());
            let told = put?.ok_or_else(ended)?;
            // The sender is dropped when the bytes were taken, or when nobody takes them any more.
            told.await.unwrap_or_default();
            Ok(())
        }
    }
}

/// What the engine sends.
pub(crate) struct Leaving {
    chunks: mpsc::Receiver<Vec<u8>>,
    stopped: watch::Receiver<bool>,
    pipe: Arc<Pipe>,
}

impl Leaving {
    /// Sends all of it, as fast as the peer takes it. When the stream ends here, the peer learns that by losing `to`.
    pub(crate) async fn run(self, to: carrier::Client) {
        let Self { mut chunks, mut stopped, pipe } = self;
        while let Some(Some(chunk)) = unless(&mut stopped, chunks.recv()).await {
            let mut request = to.bytes_request();
            request.get().set_bytes(&chunk);
            if !matches!(unless(&mut stopped, request.send()).await, Some(Ok(()))) {
                break;
            }
        }
        // Where nothing can be answered, nothing needs to come.
        pipe.end();
    }
}

/// What `work` gives, unless the stream is ended before.
async fn unless<T>(
    stopped: &mut watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let stop = pin!(stopped.wait_for(|stopped| *stopped));
    match select(pin!(work), stop).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// Bytes of one message.
const CHUNK_BYTES_MAX: usize = 256 << 10;
/// Chunks that wait to be sent.
const CHUNKS_MAX: usize = 4;
/// Bytes that wait to be taken: the window of the control connection and a chunk, with room to spare.
const QUEUED_BYTES_MAX: usize = 4 << 20;
