//! From the command line to the last connection: starting, reloading, draining, ending.
//! It must not know what is served.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use blit_core::Error;
use blit_engine::host::{self, Signal, Signals};

use crate::args::{Args, Command, KeyCommand, Serve};
use crate::config::{Config, words};
use crate::escape::Plain;
use crate::listen::{Doors, Sockets};
use crate::logs;
use crate::manual;
use crate::metrics::responder;
use crate::options::{self, Options};
use crate::report::{self, Exit};
use crate::service::{Offer, Service};
use crate::state::State;

/// Does what was typed, with `offer` as what there is to serve.
pub fn run(args: &Args, offer: &Offer) -> Exit {
    let ended = match &args.command {
        None => serve(&args.serve, offer),
        Some(Command::CheckConfig { file }) => return check(file),
        Some(Command::Key { command: KeyCommand::Show { config } }) => {
            show_key(config.as_deref(), offer)
        }
        Some(Command::Man { dir }) => manual::write(dir).map(|()| Exit::Done),
    };
    ended.unwrap_or_else(|error| report::tell(&error))
}

/// Says what the file allows. Whatever is wrong with it, it cannot be used.
fn check(file: &Path) -> Exit {
    let checked = Config::read(file).and_then(|config| {
        let warnings = options::warnings(&config, false);
        let warnings: String = warnings.iter().map(|text| format!("warning: {text}\n")).collect();
        print(&(words::describe(&config) + &warnings))
    });
    match checked {
        Ok(()) => Exit::Done,
        Err(error) => {
            report::tell(&error);
            Exit::Usage
        }
    }
}

fn show_key(config: Option<&Path>, offer: &Offer) -> Result<Exit, Error> {
    let config = config.map_or_else(|| Ok(Config::empty()), Config::read)?;
    print(&format!("{}\n", (offer.show_key)(&config)?))?;
    Ok(Exit::Done)
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Error::io("write", b"standard output", error))
}

/// What the main thread waits for.
enum Event {
    Signal(Signal),
    /// No connection is left.
    Empty,
}

fn serve(typed: &Serve, offer: &Offer) -> Result<Exit, Error> {
    let mut options = Options::read(typed)?;
    logs::start(options.log_format, options.log_level);
    let (sender, events) = channel();
    listen_for_signals(sender.clone())?;
    let mut sockets = Sockets::open(&mut options)?;
    warn(&options.warnings());
    let state = State::new(options);
    let service = (offer.start)(&state)?;
    rehearse(&state.config());
    if let Some(bound) = sockets.metrics.take() {
        tracing::info!("telling counters on {}", bound.address);
        responder::start(bound, &state)?;
    }
    sockets.announce()?;
    let doors = Doors::open(sockets.service, &state, &service)?;
    notify("READY=1\nSTATUS=serving");
    reload_until_stopped(&events, &state);
    notify("STOPPING=1\nSTATUS=ending the sessions that run");
    doors.close();
    drain(&events, sender, &state, service.as_ref());
    tracing::info!("ended");
    Ok(Exit::Done)
}

fn listen_for_signals(sender: Sender<Event>) -> Result<(), Error> {
    let failed = |error| Error::io("listen for", b"signals", error);
    let mut signals = Signals::listen().map_err(failed)?;
    let forward = move || {
        while let Ok(signal) = signals.wait() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    };
    let started = Builder::new().name("blitd-signals".to_owned()).spawn(forward);
    started.map(drop).map_err(failed)
}

fn warn(texts: &[String]) {
    texts.iter().for_each(|text| tracing::warn!("{text}"));
}

/// Tells for each module what the system holds its sessions to, so that a module that cannot work is known before
/// anybody connects.
fn rehearse(config: &Config) {
    for module in &config.modules {
        let name = Plain(module.shown());
        match module.confinement().and_then(|confinement| confinement.rehearse()) {
            Ok(enforced) => match enforced.landlock_abi {
                Some(abi) => tracing::info!(
                    "module {name}: its sessions are held to its directory (Landlock {abi})"
                ),
                None => tracing::warn!(
                    "module {name}: this kernel has no Landlock to hold its sessions to its directory"
                ),
            },
            Err(error) => tracing::warn!("module {name}: {error}"),
        }
    }
}

fn reload_until_stopped(events: &Receiver<Event>, state: &State) {
    loop {
        match events.recv() {
            Ok(Event::Signal(Signal::Reload)) => reload(state),
            Ok(Event::Empty) => {}
            // Without a thread that listens for signals nobody could ever stop it.
            Ok(Event::Signal(Signal::Stop)) | Err(_) => return,
        }
    }
}

/// Reads the modules again. What is wrong leaves everything as it was.
fn reload(state: &State) {
    if let Err(error) = host::notify_reloading() {
        tracing::warn!("notify supervisor: {error}");
    }
    match state.options.reread() {
        Ok(reread) => {
            if reread.other_addresses {
                tracing::warn!("other addresses in the configuration are used after a restart");
            }
            if reread.other_certificates {
                tracing::warn!(
                    "other keys and certificates in the configuration are used after a restart"
                );
            }
            warn(&options::warnings(&reread.config, state.options.insecure_anonymous));
            rehearse(&reread.config);
            let modules = reread.config.modules.len();
            state.replace_config(reread.config);
            tracing::info!(modules, "configuration reloaded");
        }
        Err(error) => tracing::error!("configuration not reloaded, the old one stays: {error}"),
    }
    notify("READY=1\nSTATUS=serving");
}

/// Lets what runs come to its end, within a bound, unless a second signal asks for an end at once.
fn drain(
    events: &Receiver<Event>,
    sender: Sender<Event>,
    state: &Arc<State>,
    service: &dyn Service,
) {
    let limit = state.config().limits.drain_timeout;
    let count = state.admission.count();
    tracing::info!(connections = count, "ending: waiting for at most {} s", limit.as_secs());
    service.drain();
    let admission = Arc::clone(&state.admission);
    let wait = move || {
        if admission.wait_until_empty(limit) {
            // Nobody listens any more after an end at once.
            drop(sender.send(Event::Empty));
        }
    };
    if Builder::new().name("blitd-drain".to_owned()).spawn(wait).is_err() {
        return service.end();
    }
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Empty) => return,
            Ok(Event::Signal(Signal::Reload)) => {}
            Ok(Event::Signal(Signal::Stop)) => {
                tracing::warn!(connections = state.admission.count(), "ending at once");
                return service.end();
            }
            Err(_) => break,
        }
    }
    tracing::warn!(connections = state.admission.count(), "the time to end is over");
    service.end();
    state.admission.wait_until_empty(END_MAX);
}

fn notify(text: &str) {
    if let Err(error) = host::notify(text) {
        tracing::warn!("notify supervisor: {error}");
    }
}

/// For a service to close what it ends; the end of the process closes the rest.
const END_MAX: Duration = Duration::from_secs(2);
