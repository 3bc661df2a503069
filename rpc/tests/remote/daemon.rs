//! A daemon and a client in one process, over loopback, without the programs around them.

use std::any::Any;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use blit_core::Error;
use blit_core::endpoint::Endpoint;
use blit_core::engine::Engine;
use blit_core::event::Control;
use blit_core::spec::{TransferSpec, Verb};
use blit_core::stream::Packing;
use blit_core::summary::Notice;
use blit_core::task::Root;
use blit_engine::Choice;
use blit_rpc::connect::{Access, Trust};
use blit_rpc::owners::Names;
use blit_rpc::serve::{Caller, Happening, Host, ModuleInfo, Server, Settings, Workshop};
use blit_rpc::transfer::{Outcome, Request, run};

/// What happens to two modules: `m` may be written, `r` may not.
pub(crate) struct TestHost {
    top: PathBuf,
    pub(crate) sessions: Arc<AtomicUsize>,
    pub(crate) happenings: Arc<Mutex<Vec<String>>>,
}

impl TestHost {
    fn infos(&self) -> Vec<ModuleInfo> {
        let info = |name: &str, read_only| ModuleInfo {
            name: name.to_owned(),
            comment: format!("the module {name}"),
            read_only,
        };
        vec![info("m", false), info("r", true)]
    }
}

impl Host for TestHost {
    fn motd(&self) -> String {
        "welcome".to_owned()
    }

    fn modules(&self, _caller: &Caller) -> Vec<ModuleInfo> {
        self.infos()
    }

    fn module(&self, name: &str, _caller: &Caller) -> Option<ModuleInfo> {
        self.infos().into_iter().find(|info| info.name == name)
    }

    fn workshop(&self, module: &str, shown: &[u8], _: &Caller) -> Result<Workshop, Error> {
        self.sessions.fetch_add(1, Ordering::SeqCst);
        let guard = Counted(Arc::clone(&self.sessions));
        let root = Root::called(shown, self.top.join(module));
        Ok(Workshop { engine: engine(), root, numeric_ids: false, guard: Box::new(guard) })
    }

    fn allows_plaintext(&self, caller: &Caller) -> bool {
        caller.peer.ip().is_loopback()
    }

    fn diagnosis(&self, _caller: &Caller) -> Vec<String> {
        vec!["a test".to_owned()]
    }

    fn note(&self, happening: &Happening<'_>) {
        self.happenings.lock().expect("no test panics in it").push(format!("{happening:?}"));
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A daemon that serves `top/m` and `top/r`.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    pub(crate) sessions: Arc<AtomicUsize>,
    pub(crate) happenings: Arc<Mutex<Vec<String>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn start(top: &Path) -> Self {
        Self::with(top, |_| {})
    }

    pub(crate) fn with(top: &Path, change: impl FnOnce(&mut Settings)) -> Self {
        for module in ["m", "r"] {
            fs::create_dir_all(top.join(module)).expect("a directory");
        }
        let host =
            TestHost { top: top.to_owned(), sessions: Arc::default(), happenings: Arc::default() };
        let (sessions, happenings) = (Arc::clone(&host.sessions), Arc::clone(&host.happenings));
        let mut settings = Settings {
            tls: None,
            handshake_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(10),
            streams_max: 4,
            names: Names::NUMERIC,
        };
        change(&mut settings);
        let server = Arc::new(Server::start(Arc::new(host), settings).expect("it starts"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (ended, connections) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (end, count) = (Arc::clone(&ended), Arc::clone(&connections));
        let accepting = std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let server = Arc::clone(&server);
                std::thread::spawn(move || {
                    server.take(socket, Box::new(()) as Box<dyn Any + Send>)
                });
            }
        });
        Self { address, sessions, happenings, connections, ended, accepting: Some(accepting) }
    }

    /// An endpoint at this daemon.
    pub(crate) fn at(&self, path: &str) -> Endpoint {
        endpoint(&format!("127.0.0.1:{}:{path}", self.address.port()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(std::net::TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("it does not panic");
        }
    }
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(std::ffi::OsStr::new(text), |_| false).expect("an endpoint")
}

pub(crate) fn engine() -> Arc<dyn Engine> {
    blit_engine::start(Choice::Threads, Some(2)).expect("threads are to be had").engine
}

pub(crate) fn access() -> Access {
    Access {
        trust: Trust::Plaintext,
        plaintext_data: false,
        packing: Packing::Never,
        force_rpc_data: false,
        names: Names::NUMERIC,
    }
}

pub(crate) fn request(verb: Verb, source: Endpoint, destination: Endpoint) -> Request {
    Request {
        sources: vec![source],
        destination,
        spec: TransferSpec::new(verb),
        access: Some(access()),
        retries: 0,
    }
}

/// What became of a run, and what was told meanwhile.
pub(crate) fn transfer(request: &Request) -> (Outcome, Vec<Notice>) {
    transfer_within(10, request)
}

/// The same, where nothing may stand still for longer than so many seconds.
pub(crate) fn transfer_within(seconds: u32, request: &Request) -> (Outcome, Vec<Notice>) {
    let mut notices = Vec::new();
    let engine = engine();
    let control = Arc::new(Control::default().patient(Some(seconds)));
    let outcome = run(request, &*engine, &control, &mut |notice| notices.push(notice));
    (outcome, notices)
}

/// Asserts that a run has done all that it was asked for.
pub(crate) fn done(request: &Request) -> Outcome {
    let (outcome, notices) = transfer(request);
    assert!(outcome.error.is_none(), "{:?} {notices:?}", outcome.error);
    assert_eq!(outcome.summary.failed, 0, "{:?}", outcome.summary.failures);
    outcome
}

/// Files and directories below `top` with their contents.
pub(crate) fn tree(top: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut dirs = vec![top.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(top).expect("below").to_string_lossy().into_owned();
            if path.is_dir() {
                found.push((name, None));
                dirs.push(path);
            } else {
                found.push((name, Some(fs::read(&path).expect("a file"))));
            }
        }
    }
    found.sort();
    found
}

/// A few directories with small files, and a large file.
pub(crate) fn plant(top: &Path) {
    for dir in 0..5 {
        let dir_path = top.join(format!("d{dir}/e"));
        fs::create_dir_all(&dir_path).expect("a directory");
        for file in 0..40 {
            let content = format!("{dir} {file} ").repeat(file * 7);
            fs::write(dir_path.join(format!("f{file}")), content).expect("a file");
        }
    }
    fs::write(top.join("large"), noise(20 << 20)).expect("a file");
    fs::write(top.join("empty"), b"").expect("a file");
}

pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
