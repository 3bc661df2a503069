//! A client that speaks the protocol by hand, and not always well.

use std::cell::{Cell, RefCell};
use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use blit_schema::control_capnp::{daemon, hello, jobs, module};
use blit_schema::session_capnp::{Verb, peer, session, spec};
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

/// Runs `work` where calls can be made.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("an executor"), work)
}

/// A socket as the network of messages wants it.
pub(crate) struct Wire(pub(crate) TcpStream);

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        let read = tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), context, &mut buffer);
        read.map_ok(|()| buffer.filled().len())
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.0), context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.0), context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.0), context)
    }
}

/// The first capability of a daemon.
pub(crate) async fn dial(address: SocketAddr) -> hello::Client {
    let mut wire = Wire(TcpStream::connect(address).await.expect("it listens"));
    wire.write_all(b"BLITCTL1").await.expect("it reads");
    let (reader, writer) = wire.split();
    let mut network = VatNetwork::new(reader, writer, Side::Client, Default::default());
    // Whoever floods does not wait for answers.
    network.set_window_size(1 << 30);
    let mut system = RpcSystem::new(Box::new(network), None);
    let hello = system.bootstrap(Side::Server);
    drop(spawn_local(async move { drop(system.await) }));
    hello
}

pub(crate) async fn greet(address: SocketAddr) -> daemon::Client {
    let mut request = dial(address).await.hello_request();
    let mut greeting = request.get().init_greeting();
    greeting.set_version_min(1);
    greeting.set_version_max(1);
    greeting.set_name("a stranger");
    let answer = request.send().promise.await.expect("it answers");
    let answer = answer.get().expect("an answer").get_welcome().expect("a welcome");
    answer.get_daemon().expect("a daemon")
}

pub(crate) async fn room(address: SocketAddr, name: &str) -> module::Client {
    let mut request = greet(address).await.module_request();
    request.get().set_name(name);
    let answer = request.send().promise.await.expect("it answers");
    answer.get().expect("an answer").get_module().expect("a module")
}

/// What a stranger offers to the daemon.
#[derive(Clone, Default)]
pub(crate) struct Ear {
    /// How the daemon's role ended: nothing, or the kind of its error.
    pub(crate) ended: Rc<Cell<Option<Option<u8>>>>,
    pub(crate) frames: Rc<RefCell<Vec<u16>>>,
}

impl Ear {
    pub(crate) fn client(&self) -> peer::Client {
        capnp_rpc::new_client(self.clone())
    }
}

impl peer::Server for Ear {
    fn frames(
        self: Rc<Self>,
        params: peer::FramesParams,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let batch = params.get().and_then(|params| params.get_batch());
        let count = batch.map(|batch| u16::try_from(batch.len()).unwrap_or(u16::MAX));
        self.frames.borrow_mut().push(count.unwrap_or(0));
        ready(Ok(()))
    }

    fn ping(
        self: Rc<Self>,
        _: peer::PingParams,
        _: peer::PingResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        ready(Ok(()))
    }

    fn ended(
        self: Rc<Self>,
        params: peer::EndedParams,
        _: peer::EndedResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let error = params.get().and_then(|params| params.get_outcome()?.get_error());
        self.ended.set(error.ok().map(|error| error.first().copied()));
        ready(Ok(()))
    }
}

/// Fills in what makes a transfer do something.
pub(crate) fn order(mut spec: spec::Builder<'_>, verb: Verb) {
    spec.set_verb(verb);
    spec.set_recursive(true);
}

pub(crate) async fn push(
    room: &module::Client,
    path: &[u8],
    ear: &Ear,
) -> Result<session::Client, u8> {
    let mut request = room.push_request();
    let mut params = request.get();
    order(params.reborrow().init_spec(), Verb::Copy);
    params.set_peer(ear.client());
    let mut target = params.init_target();
    target.set_path(path);
    target.set_contents(true);
    let answer = request.send().promise.await.expect("it answers");
    let answer = answer.get().expect("an answer");
    kind(answer.get_error())?;
    Ok(answer.get_session().expect("a session"))
}

pub(crate) async fn pull(
    room: &module::Client,
    path: &[u8],
    verb: Verb,
    ear: &Ear,
) -> Result<session::Client, u8> {
    let mut request = room.pull_request();
    let mut params = request.get();
    order(params.reborrow().init_spec(), verb);
    params.set_peer(ear.client());
    params.init_sources(1).get(0).set_path(path);
    let answer = request.send().promise.await.expect("it answers");
    let answer = answer.get().expect("an answer");
    kind(answer.get_error())?;
    Ok(answer.get_session().expect("a session"))
}

pub(crate) async fn look(
    room: &module::Client,
    path: &[u8],
    verb: Verb,
    ear: &Ear,
) -> Result<session::Client, u8> {
    let mut request = room.look_request();
    let mut params = request.get();
    order(params.reborrow().init_spec(), verb);
    params.set_peer(ear.client());
    let mut source = params.init_source();
    source.set_path(path);
    source.set_contents(true);
    let answer = request.send().promise.await.expect("it answers");
    let answer = answer.get().expect("an answer");
    kind(answer.get_error())?;
    Ok(answer.get_session().expect("a session"))
}

pub(crate) async fn remove(room: &module::Client, path: &[u8], ear: &Ear) -> Result<(), u8> {
    let mut request = room.remove_request();
    let mut params = request.get();
    order(params.reborrow().init_spec(), Verb::Copy);
    params.set_peer(ear.client());
    params.init_paths(1).set(0, path);
    let answer = request.send().promise.await.expect("it answers");
    kind(answer.get().expect("an answer").get_error())
}

/// Asks what stands at `count` times the same path.
pub(crate) async fn stat(room: &module::Client, path: &[u8], count: u32) -> Result<Vec<u8>, u8> {
    let mut request = room.stat_request();
    let mut paths = request.get().init_paths(count);
    for index in 0..count {
        paths.set(index, path);
    }
    let answer = request.send().promise.await.expect("it answers");
    let answer = answer.get().expect("an answer");
    kind(answer.get_error())?;
    let found = answer.get_found().expect("a list");
    assert_eq!(found.len(), count);
    kind(found.get(0).get_error())?;
    Ok(found.get(0).get_metadata().expect("metadata").to_vec())
}

pub(crate) async fn jobs(daemon: &daemon::Client) -> jobs::Client {
    let answer = daemon.jobs_request().send().promise.await.expect("it answers");
    answer.get().expect("an answer").get_jobs().expect("jobs")
}

pub(crate) async fn space(room: &module::Client, path: &[u8]) -> Result<(), u8> {
    let mut request = room.space_request();
    request.get().set_path(path);
    let answer = request.send().promise.await.expect("it answers");
    kind(answer.get().expect("an answer").get_error())
}

pub(crate) async fn begin(session: &session::Client, new_name: &[u8]) -> Result<(), u8> {
    let mut request = session.begin_request();
    request.get().set_new_name(new_name);
    let answer = request.send().promise.await.expect("it answers");
    kind(answer.get().expect("an answer").get_error())
}

pub(crate) async fn token(session: &session::Client, slot: u16) -> Result<Vec<u8>, u8> {
    let mut request = session.token_request();
    request.get().set_slot(slot);
    let answer = request.send().promise.await.expect("it answers");
    let answer = answer.get().expect("an answer");
    kind(answer.get_error())?;
    Ok(answer.get_token().expect("a token").to_vec())
}

/// The kind of an error, by its number in the protocol.
pub(crate) fn kind(error: capnp::Result<&[u8]>) -> Result<(), u8> {
    match error.expect("it can be read").first() {
        None => Ok(()),
        Some(kind) => Err(*kind),
    }
}

/// One entry as it travels: a file, a directory or a link.
pub(crate) fn entry(kind: u8, name: &[u8], target: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(name.len()).expect("a short name")];
    bytes.extend_from_slice(name);
    // Mode 0755; size, seconds and nanoseconds are 0.
    bytes.extend_from_slice(&[kind | 0x80, 0xed, 0x03, 0, 0, 0]);
    if kind == 2 {
        bytes.push(u8::try_from(target.len()).expect("a short target"));
        bytes.extend_from_slice(target);
    }
    bytes
}

/// A page of entries.
pub(crate) async fn list(
    session: &session::Client,
    (dir, number, first_child): (u64, u64, u64),
    entries: &[Vec<u8>],
) -> Result<(), capnp::Error> {
    let mut request = session.frames_request();
    let mut listing = request.get().init_batch(1).get(0).init_listing();
    listing.set_dir(dir);
    listing.set_number(number);
    listing.set_first_child(first_child);
    let mut bytes = vec![u8::try_from(entries.len()).expect("a few")];
    entries.iter().for_each(|entry| bytes.extend_from_slice(entry));
    listing.set_entries(&bytes);
    listing.set_last(true);
    listing.set_complete(true);
    request.send().await
}
