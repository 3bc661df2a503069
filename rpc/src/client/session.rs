//! A session with a daemon: how it is opened, begun and fed. It must not know what it transfers.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::time::Duration;

use blit_core::Error;
use blit_core::endpoint::Remote;
use blit_core::entry::FileId;
use blit_core::event::{Control, Port};
use blit_core::path::{Name, RelPath};
use blit_core::spec::TransferSpec;
use blit_core::stream::{Packing, Plane, Slot};
use blit_core::summary::Summary;
use blit_schema::session_capnp as schema;
use futures::future::try_join;
use tokio::task::spawn_local;

use super::peer::PeerEnd;
use super::{CALL_TIMEOUT, Client, Conn};
use crate::carrier::{Arriving, Leaving};
use crate::connect::{Access, token};
use crate::convert::{self, narrow, protocol, unreadable};
use crate::data::Grant;
use crate::link::{Far, Mailbox, Unsaid, pump, watch};
use crate::owners::Names;
use crate::shown::{Shown, place};
use crate::streams::Streams;

/// What a daemon is asked to take part in.
pub(crate) enum Order {
    /// What is listed goes below `path`.
    Push {
        path: RelPath,
        /// A directory is meant.
        contents: bool,
        /// The only source is not a directory.
        one_file: bool,
        beside: Beside,
    },
    /// These are listed.
    Pull(Vec<(RelPath, bool)>),
    /// This is listed for a viewer.
    Look(RelPath, bool),
    /// These are removed.
    Remove(Vec<RelPath>),
}

/// Places of the module that a push needs beside its destination.
#[derive(Default)]
pub(crate) struct Beside {
    /// Where what is replaced or removed is kept.
    pub(crate) backup: Option<RelPath>,
    /// An earlier copy.
    pub(crate) reference: Option<RelPath>,
}

/// What a session is made of at this end.
pub(crate) struct Joint {
    pub(crate) port: Port,
    pub(crate) plane: Arc<Plane>,
    pub(crate) outbox: Unsaid<Infallible>,
    pub(crate) words: Sender<Word>,
    pub(crate) streams: Option<Arc<Streams>>,
    pub(crate) closing: Arc<AtomicBool>,
    /// How entries are shown, where someone looks at them.
    pub(crate) shown: Option<Shown>,
    /// The daemon's role has no other: when it has ended, so has what stands for the other here.
    pub(crate) lone: bool,
    /// The daemon is gone when it says nothing for so long.
    pub(crate) silence: Duration,
    /// Who waits for the token of the first data connection.
    pub(crate) grant: Option<Grant>,
    /// Nothing is decided here between the opening of the session and its begin.
    pub(crate) begins: bool,
}

/// What a daemon says of a session beside frames.
pub(crate) enum Word {
    /// Its role has ended.
    Ended { error: Option<Error>, summary: Box<Summary>, matched: Vec<u32> },
    /// It is gone. What its role had said last, if that was that all is done.
    Cut(Error, Option<Summary>),
}

/// What the daemon found out before the session began.
#[derive(Default)]
pub(crate) struct Opened {
    /// The name that the only source gets.
    pub(crate) new_name: Option<Name>,
    /// What stands at each source.
    pub(crate) found: Vec<Found>,
    /// Which directories the destination is in, itself first; only told on the same machine.
    pub(crate) ids: Vec<FileId>,
    /// The destination is still to be made.
    pub(crate) absent: bool,
}

/// What stands at a source.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) exists: bool,
    pub(crate) is_dir: bool,
    pub(crate) id: FileId,
    /// The directories above a directory.
    pub(crate) above: Vec<FileId>,
}

impl Client {
    /// Opens the only session of this connection. The daemon has looked at its side when this returns.
    ///
    /// # Errors
    /// Those of the daemon: `Refused` for modules that are not there or may not be changed, and what it found on its disks.
    pub(crate) fn open(
        &self,
        (remote, order): (&Remote, Order),
        (spec, access): (&TransferSpec, &Access),
        joint: Joint,
        control: &Control,
    ) -> Result<Opened, Error> {
        let module = remote.module.clone().unwrap_or_default();
        let (spec, names) = (spec.clone(), access.names);
        let shown = place(remote, b"").into_bytes();
        let packing = self.packing(access);
        let manner = Manner {
            plaintext_data: access.plaintext_data,
            numeric_ids: names.is_numeric,
            packing,
        };
        self.ask(("open session at", OPEN_TIMEOUT), control, move |conn| async move {
            // All calls go out at once. What is known of the daemon and the module is judged first.
            let (module, found) = conn.module(&module);
            let silence = joint.silence;
            let Joint {
                port, plane, outbox, words, streams, closing, shown: looking, lone, ..
            } = joint;
            let mailbox = Mailbox::new((port, &plane), conn.who.clone(), names, closing);
            let mailbox = mailbox.beside(&outbox);
            let mailbox = match looking {
                Some(looking) => mailbox.show(looking),
                None => mailbox,
            };
            let mailbox = Rc::new(mailbox);
            let (word, agreed) = (words.clone(), streams.clone());
            let end = PeerEnd { mailbox: Rc::clone(&mailbox), words, streams, lone };
            let peer: schema::peer::Client = capnp_rpc::new_client(end);
            let (grant, begins) = (RefCell::new(joint.grant), joint.begins);
            let ask =
                Ask { conn: &conn, module: &module, spec: &spec, manner, shown, grant, begins };
            let opening = try_join(found, ask.open(order, peer));
            let ((), (session, opened)) = conn.unless_silent(opening, silence).await?;
            if let Some(streams) = agreed {
                streams.agree(conn.greeted().await?.packing(packing));
            }
            *conn.session.borrow_mut() = Some(session.clone());
            let far = Far::Daemon(session);
            drop(spawn_local(attend(far, mailbox, (outbox, word), (names, silence))));
            Ok(opened)
        })
    }

    /// Lets the session start at the daemon. `new_name` is what the only source is called at the destination, if not as at the
    /// source. That takes no time at the daemon, which is gone when it does not answer for `silence`.
    pub(crate) fn begin(
        &self,
        new_name: Option<&Name>,
        silence: Duration,
        control: &Control,
    ) -> Result<(), Error> {
        let name = new_name.map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        self.ask(("begin session at", CALL_TIMEOUT.min(silence)), control, |conn| async move {
            let session = conn.session()?;
            begin(&conn, &session, &name).await
        })
    }

    /// Asks for what a data connection has to show, for whoever dials it.
    pub(crate) fn grant(&self, slot: Slot, grant: Grant) {
        self.tell(move |conn| match conn.session() {
            Ok(session) => give_token(&conn, &session, slot, grant),
            Err(error) => drop(grant.try_send(Err(error))),
        });
    }

    /// Lets the control connection carry a data stream.
    pub(crate) fn carry(
        &self,
        (arriving, leaving): (Arriving, Leaving),
        control: &Control,
    ) -> Result<(), Error> {
        self.ask(("send data to", CALL_TIMEOUT), control, |conn| async move {
            let mut request = conn.session()?.carry_request();
            request.get().set_carrier(capnp_rpc::new_client(arriving));
            let answer = request.send().promise.await.map_err(|error| conn.failed(&error))?;
            let answer = answer.get().map_err(unreadable)?;
            convert::read_error(answer.get_error().map_err(unreadable)?)?;
            let carrier = answer.get_carrier().map_err(unreadable)?;
            drop(spawn_local(leaving.run(carrier)));
            Ok(())
        })
    }

    /// Tells the daemon that a data stream has ended here.
    pub(crate) fn lost(&self, slot: Slot) {
        self.tell(move |conn| {
            let Ok(session) = conn.session() else { return };
            // Where the daemon does not answer, the connection is gone, which others notice.
            drop(spawn_local(async move { drop(Far::Daemon(session).lost(slot.0).await) }));
        });
    }
}

impl Conn {
    fn session(&self) -> Result<schema::session::Client, Error> {
        let session = self.session.borrow().clone();
        session.ok_or_else(|| Error::new(blit_core::ErrorKind::Internal, "find session", b""))
    }
}

/// Lets a session start.
fn begin(
    conn: &Rc<Conn>,
    session: &schema::session::Client,
    new_name: &[u8],
) -> impl Future<Output = Result<(), Error>> + use<> {
    let mut request = session.begin_request();
    request.get().set_new_name(new_name);
    let (called, conn) = (request.send(), Rc::clone(conn));
    async move {
        let answer = called.promise.await.map_err(|error| conn.failed(&error))?;
        let answer = answer.get().map_err(unreadable)?;
        convert::read_error(answer.get_error().map_err(unreadable)?)
    }
}

/// Asks for a token and passes it on when it comes.
fn give_token(conn: &Rc<Conn>, session: &schema::session::Client, slot: Slot, grant: Grant) {
    let mut request = session.token_request();
    request.get().set_slot(slot.0);
    let (called, conn) = (request.send(), Rc::clone(conn));
    let asked = async move {
        let answer = called.promise.await.map_err(|error| conn.failed(&error))?;
        let answer = answer.get().map_err(unreadable)?;
        convert::read_error(answer.get_error().map_err(unreadable)?)?;
        token(answer.get_token().map_err(unreadable)?)
    };
    // Whoever dialled may have given up.
    drop(spawn_local(async move { drop(grant.try_send(asked.await)) }));
}

/// Sends what the session says and watches whether the daemon is there, for as long as it is.
async fn attend(
    far: Far,
    mailbox: Rc<Mailbox>,
    (outbox, words): (Unsaid<Infallible>, Sender<Word>),
    (names, silence): (Names, Duration),
) {
    let watched = Rc::clone(&mailbox);
    let watcher = far.clone();
    let watching = spawn_local(async move {
        let error = watch(watcher, &watched, silence).await;
        // Whose role here has ended waits for this alone, and nothing else of a silent daemon ever comes.
        drop(words.send(Word::Cut(error.clone(), watched.finished())));
        watched.cut(error);
    });
    if let Err(error) = pump(outbox, far, names).await {
        mailbox.cut(mailbox.broken(&error));
    }
    watching.abort();
}

/// What the daemon must know of how this user reaches it.
#[derive(Clone, Copy)]
struct Manner {
    plaintext_data: bool,
    numeric_ids: bool,
    packing: Packing,
}

/// What every request that opens a session has.
struct Ask<'a> {
    conn: &'a Rc<Conn>,
    module: &'a blit_schema::control_capnp::module::Client,
    spec: &'a TransferSpec,
    manner: Manner,
    /// What the module is called in messages.
    shown: Vec<u8>,
    grant: RefCell<Option<Grant>>,
    begins: bool,
}

impl Ask<'_> {
    /// Lets those calls follow an order that need not wait for its answer, which is judged before theirs.
    fn follow(
        &self,
        session: &schema::session::Client,
    ) -> impl Future<Output = Result<(), Error>> + use<> {
        if let Some(grant) = self.grant.take() {
            give_token(self.conn, session, Slot(0), grant);
        }
        let begun = self.begins.then(|| begin(self.conn, session, b""));
        async move {
            match begun {
                Some(begun) => begun.await,
                None => Ok(()),
            }
        }
    }

    async fn open(
        &self,
        order: Order,
        peer: schema::peer::Client,
    ) -> Result<(schema::session::Client, Opened), Error> {
        match order {
            Order::Push { path, contents, one_file, beside } => {
                let mut request = self.module.push_request();
                let mut params = request.get();
                self.write_spec(params.reborrow().init_spec());
                params.set_peer(peer);
                let mut target = params.init_target();
                target.set_path(&path.to_bytes());
                target.set_contents(contents);
                target.set_one_file(one_file);
                write_beside(beside.backup.as_ref(), target.reborrow().init_backup());
                write_beside(beside.reference.as_ref(), target.init_reference());
                let called = request.send();
                let begun = self.follow(&called.pipeline.get_session());
                let answer = called.promise.await.map_err(|error| self.conn.failed(&error))?;
                let answer = answer.get().map_err(unreadable)?;
                convert::read_error(answer.get_error().map_err(unreadable)?)?;
                begun.await?;
                let name = answer.get_new_name().map_err(unreadable)?;
                let place = answer.get_place().map_err(unreadable)?;
                let ids = convert::read_ids(place.get_ids().map_err(unreadable)?);
                let mut opened = Opened { absent: place.get_absent(), ids, ..Opened::default() };
                if !name.is_empty() {
                    opened.new_name = Some(Name::new(name).map_err(|_| bad_name())?);
                }
                Ok((answer.get_session().map_err(unreadable)?, opened))
            }
            Order::Pull(sources) => self.pull(&sources, peer).await,
            Order::Look(path, contents) => {
                let mut request = self.module.look_request();
                let mut params = request.get();
                self.write_spec(params.reborrow().init_spec());
                params.set_peer(peer);
                let mut source = params.init_source();
                source.set_path(&path.to_bytes());
                source.set_contents(contents);
                let called = request.send();
                let begun = self.follow(&called.pipeline.get_session());
                let answer = called.promise.await.map_err(|error| self.conn.failed(&error))?;
                let answer = answer.get().map_err(unreadable)?;
                convert::read_error(answer.get_error().map_err(unreadable)?)?;
                begun.await?;
                Ok((answer.get_session().map_err(unreadable)?, Opened::default()))
            }
            Order::Remove(paths) => self.remove(&paths, peer).await,
        }
    }

    async fn pull(
        &self,
        paths: &[(RelPath, bool)],
        peer: schema::peer::Client,
    ) -> Result<(schema::session::Client, Opened), Error> {
        let mut request = self.module.pull_request();
        let mut params = request.get();
        self.write_spec(params.reborrow().init_spec());
        params.set_peer(peer);
        let mut sources = params.init_sources(narrow(paths.len()));
        for (index, (path, contents)) in (0..).zip(paths) {
            let mut source = sources.reborrow().get(index);
            source.set_path(&path.to_bytes());
            source.set_contents(*contents);
        }
        let called = request.send();
        let begun = self.follow(&called.pipeline.get_session());
        let answer = called.promise.await.map_err(|error| self.conn.failed(&error))?;
        let answer = answer.get().map_err(unreadable)?;
        convert::read_error(answer.get_error().map_err(unreadable)?)?;
        begun.await?;
        let mut opened = Opened::default();
        let found = answer.get_found().map_err(unreadable)?;
        if found.len() as usize != paths.len() {
            return Err(protocol("the daemon answered for other sources than were asked for"));
        }
        for found in found {
            opened.found.push(Found {
                exists: found.get_exists(),
                is_dir: found.get_is_dir(),
                id: convert::read_id(found.get_id().map_err(unreadable)?),
                above: convert::read_ids(found.get_above().map_err(unreadable)?),
            });
        }
        Ok((answer.get_session().map_err(unreadable)?, opened))
    }

    async fn remove(
        &self,
        paths: &[RelPath],
        peer: schema::peer::Client,
    ) -> Result<(schema::session::Client, Opened), Error> {
        let mut request = self.module.remove_request();
        let mut params = request.get();
        self.write_spec(params.reborrow().init_spec());
        params.set_peer(peer);
        let mut list = params.init_paths(narrow(paths.len()));
        for (index, path) in (0..).zip(paths) {
            list.set(index, &path.to_bytes());
        }
        let called = request.send();
        let begun = self.follow(&called.pipeline.get_session());
        let answer = called.promise.await.map_err(|error| self.conn.failed(&error))?;
        let answer = answer.get().map_err(unreadable)?;
        convert::read_error(answer.get_error().map_err(unreadable)?)?;
        begun.await?;
        Ok((answer.get_session().map_err(unreadable)?, Opened::default()))
    }

    fn write_spec(&self, mut to: schema::spec::Builder<'_>) {
        convert::spec::write(self.spec, to.reborrow());
        to.set_numeric_ids(self.manner.numeric_ids);
        to.set_plaintext_data(self.manner.plaintext_data);
        to.set_shown(&self.shown);
        convert::spec::write_packing(self.manner.packing, to);
    }
}

fn write_beside(path: Option<&RelPath>, mut to: schema::beside::Builder<'_>) {
    if let Some(path) = path {
        to.set_is_given(true);
        to.set_path(&path.to_bytes());
    }
}

fn bad_name() -> Error {
    protocol("the daemon gave a name that no file can have")
}

/// The daemon looks at its disks before it answers.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
