//! A daemon that speaks the protocol by hand, and not truthfully.

use std::future::{Future, pending, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::thread::JoinHandle;

use blit_schema::control_capnp::{daemon, hello, module};
use blit_schema::session_capnp::{peer, session};
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::stranger::{Wire, run};

/// What the daemon does that no daemon should.
#[derive(Clone, Debug)]
pub(crate) enum Lie {
    /// It speaks another version than it was asked for.
    Version(u16),
    /// What it lists has these entries.
    Entries(Vec<u8>),
    /// The page that it lists has these numbers: directory, page, first child.
    Numbers(u64, u64, u64),
    /// It says of so many sources that they are there.
    Found(u32),
    /// It calls the only source this.
    NewName(Vec<u8>),
    /// It ends the connection in this call.
    Leaves(&'static str),
    /// It answers nothing after the session has begun.
    IsSilent,
    /// It lists all that there is, which is nothing, and never says how that ended.
    IsSilentAtLast,
}

/// Serves one connection, and ends with it.
pub(crate) fn lie(lie: Lie) -> (SocketAddr, JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("it can");
    let serve = async move || {
        let listener = TcpListener::from_std(listener).expect("an executor");
        let (socket, _) = listener.accept().await.expect("a client");
        let mut wire = Wire(socket);
        wire.read_exact(&mut [0; 8]).await.expect("a control connection");
        wire.flush().await.expect("it reads");
        let (reader, writer) = wire.split();
        let network = VatNetwork::new(reader, writer, Side::Server, Default::default());
        let leaving = Rc::new(Notify::new());
        let liar = Liar { lie, leaving: Rc::clone(&leaving) };
        let hello: hello::Client = capnp_rpc::new_client(liar);
        let system = RpcSystem::new(Box::new(network), Some(hello.client));
        // Either way what is left of the connection is dropped.
        drop(futures::future::select(system, pin!(leaving.notified())).await);
    };
    (address, std::thread::spawn(move || run(serve())))
}

#[derive(Clone)]
struct Liar {
    lie: Lie,
    leaving: Rc<Notify>,
}

impl Liar {
    /// Ends the connection if this is the call to do so in; otherwise the call is answered.
    async fn stays(&self, call: &str) {
        if matches!(self.lie, Lie::Leaves(at) if at == call) {
            self.leaving.notify_one();
            pending::<()>().await;
        }
    }

    /// What is said once the session has begun.
    async fn tell(self, peer: peer::Client) {
        let (dir, number, first_child) = match self.lie {
            Lie::Numbers(dir, number, first_child) => (dir, number, first_child),
            _ => (0, 0, 1),
        };
        let mut request = peer.frames_request();
        let mut listing = request.get().init_batch(1).get(0).init_listing();
        listing.set_dir(dir);
        listing.set_number(number);
        listing.set_first_child(first_child);
        match &self.lie {
            Lie::Entries(bytes) => listing.set_entries(bytes),
            _ => listing.set_entries(&[0]),
        }
        listing.set_last(true);
        drop(request.send().await);
        if let Lie::IsSilentAtLast = self.lie {
            let mut request = peer.frames_request();
            request.get().init_batch(1).get(0).set_scanned(());
            drop(request.send().await);
        }
    }
}

impl hello::Server for Liar {
    async fn hello(
        self: Rc<Self>,
        _: hello::HelloParams,
        mut results: hello::HelloResults,
    ) -> Result<(), capnp::Error> {
        self.stays("hello").await;
        let mut welcome = results.get().init_welcome();
        welcome.set_version(if let Lie::Version(version) = self.lie { version } else { 1 });
        welcome.set_daemon(capnp_rpc::new_client((*self).clone()));
        Ok(())
    }
}

impl daemon::Server for Liar {
    async fn module(
        self: Rc<Self>,
        _: daemon::ModuleParams,
        mut results: daemon::ModuleResults,
    ) -> Result<(), capnp::Error> {
        self.stays("module").await;
        results.get().set_module(capnp_rpc::new_client((*self).clone()));
        Ok(())
    }
}

impl module::Server for Liar {
    fn pull(
        self: Rc<Self>,
        params: module::PullParams,
        mut results: module::PullResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let peer = params.get().and_then(|params| params.get_peer());
        async move {
            self.stays("pull").await;
            let count = if let Lie::Found(count) = self.lie { count } else { 1 };
            let mut found = results.get().init_found(count);
            if count == 1 {
                found.reborrow().get(0).set_exists(true);
                found.get(0).set_is_dir(true);
            }
            let told = Told { liar: (*self).clone(), peer: peer? };
            results.get().set_session(capnp_rpc::new_client(told));
            Ok(())
        }
    }

    fn push(
        self: Rc<Self>,
        params: module::PushParams,
        mut results: module::PushResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let peer = params.get().and_then(|params| params.get_peer());
        async move {
            self.stays("push").await;
            if let Lie::NewName(name) = &self.lie {
                results.get().set_new_name(name);
            }
            let told = Told { liar: (*self).clone(), peer: peer? };
            results.get().set_session(capnp_rpc::new_client(told));
            Ok(())
        }
    }
}

/// A session.
struct Told {
    liar: Liar,
    peer: peer::Client,
}

impl session::Server for Told {
    async fn begin(
        self: Rc<Self>,
        _: session::BeginParams,
        _: session::BeginResults,
    ) -> Result<(), capnp::Error> {
        self.liar.stays("begin").await;
        if !matches!(self.liar.lie, Lie::IsSilent | Lie::Leaves(_)) {
            drop(spawn_local(self.liar.clone().tell(self.peer.clone())));
        }
        Ok(())
    }

    async fn token(
        self: Rc<Self>,
        _: session::TokenParams,
        _: session::TokenResults,
    ) -> Result<(), capnp::Error> {
        self.liar.stays("token").await;
        match self.liar.lie {
            Lie::IsSilentAtLast => Err(capnp::Error::failed("there is none".to_owned())),
            _ => pending().await,
        }
    }

    fn frames(
        self: Rc<Self>,
        _: session::FramesParams,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        // Whatever the client says to what it was told, there is no more to hear.
        if !matches!(self.liar.lie, Lie::IsSilentAtLast) {
            self.liar.leaving.notify_one();
        }
        ready(Ok(()))
    }

    async fn ping(
        self: Rc<Self>,
        _: session::PingParams,
        _: session::PingResults,
    ) -> Result<(), capnp::Error> {
        if matches!(self.liar.lie, Lie::IsSilent | Lie::IsSilentAtLast) {
            pending::<()>().await;
        }
        Ok(())
    }
}
