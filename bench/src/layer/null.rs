//! An engine that does nothing and says that all went well; its directories exist only as pages
//! that were made beforehand, so that what is measured is what the sessions do, not what it does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use blit_core::engine::{Engine, Limits};
use blit_core::entry::{Entry, FileId, Kind, Meta, Time};
use blit_core::event::Port;
use blit_core::path::Name;
use blit_core::session::schedule::PAGE_ENTRIES_MAX;
use blit_core::stream::{Attachment, Slot};
use blit_core::task::{
    Copied, Hashed, Held, Listed, Output, Placed, Removed, Sent, SpaceFacts, Step, Task, TaskId,
    What,
};

/// The directories of one tree: `files` files, at most `per_directory` in one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) files: u64,
    pub(crate) per_directory: u64,
}

/// The pages that are still to be listed, by the path that a task names.
type Pages = HashMap<Vec<u8>, Vec<Vec<Entry>>>;

/// See the module.
pub(crate) struct NullEngine {
    pages: Mutex<Pages>,
    tasks: AtomicU64,
}

impl NullEngine {
    /// With everything to list made: below `source`, and once more below each of `others`.
    pub(crate) fn new(shape: Shape, roots: &[&str]) -> Self {
        let mut pages = Pages::new();
        for root in roots {
            let mut names = Vec::new();
            for (number, first) in (0u64..).zip(starts(shape)) {
                let name = format!("d{number:06}");
                let files = shape.per_directory.min(shape.files - first);
                let made: Vec<Entry> =
                    (first..first + files).map(|index| file(&format!("f{index:08}"))).collect();
                pages.insert(format!("{root}/{name}").into_bytes(), cut(made));
                names.push(entry(&name, Kind::Dir, 0));
            }
            pages.insert(root.as_bytes().to_vec(), cut(names));
        }
        Self { pages: Mutex::new(pages), tasks: AtomicU64::new(0) }
    }

    /// How many tasks it was given.
    pub(crate) fn tasks(&self) -> u64 {
        self.tasks.load(Ordering::Relaxed)
    }

    fn run(&self, task: &Task) -> Output {
        match task {
            Task::List(list) => Output::Listed(self.list(&list.dir.shown(None), &list.what)),
            Task::Copy(copy) => Output::Copied(copied(copy.entries().map(|(_, entry)| entry))),
            Task::Receive(receive) => {
                let picked = receive.picks.iter().filter_map(|pick| receive.page.get(pick.index));
                Output::Received(copied(picked))
            }
            Task::Send(_) => Output::Sent(Sent { slot: Some(Slot(0)), ..Sent::default() }),
            Task::Place(place) => {
                let stages = |step: &Step| matches!(step, Step::Stage | Step::Draft { .. });
                let staged = place.steps.iter().any(stages).then(|| Held(Arc::new(())));
                Output::Placed(Placed { staged, ..Placed::default() })
            }
            Task::Remove(remove) => {
                Output::Removed(Removed { files: remove.names.len() as u64, ..Removed::default() })
            }
            Task::Hash(hash) => {
                Output::Hashed(Hashed { digests: hash.names.iter().map(|_| Ok(0)).collect() })
            }
            Task::Blocks(_) => Output::Blocks(Arc::new([])),
            Task::Space(_) => Output::Space(facts()),
        }
    }

    fn list(&self, path: &[u8], what: &What) -> Listed {
        let dir = Some(meta(Kind::Dir, 0));
        match what {
            // What is named is what was listed, and it is there too.
            What::Next { .. } | What::Named(_) => {
                let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(left) = pages.get_mut(path) else {
                    return Listed { dir, ..Listed::default() };
                };
                let entries = left.pop().unwrap_or_default();
                let next = (!left.is_empty()).then(|| Held(Arc::new(())));
                Listed { dir, entries, next, ..Listed::default() }
            }
            What::Names(_) | What::Itself => Listed { dir, ..Listed::default() },
        }
    }
}

impl Engine for NullEngine {
    fn submit(&self, tasks: Vec<(TaskId, Task)>, port: &Port) {
        self.tasks.fetch_add(tasks.len() as u64, Ordering::Relaxed);
        for (id, task) in tasks {
            port.done(id, Ok(self.run(&task)));
        }
    }

    fn attach(&self, attachment: Attachment) {
        drop(attachment);
    }

    fn limits(&self) -> Limits {
        Limits { workers: WORKERS }
    }

    fn describe(&self) -> String {
        "null".to_owned()
    }
}

/// The first file of each directory.
fn starts(shape: Shape) -> impl Iterator<Item = u64> {
    let step = usize::try_from(shape.per_directory.max(1)).unwrap_or(usize::MAX);
    (0..shape.files).step_by(step)
}

/// In pages, the first one last, since they are taken from the end.
fn cut(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut pages = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        pages.push(entries.by_ref().take(PAGE_ENTRIES_MAX).collect());
    }
    pages.reverse();
    pages
}

fn copied<'a>(entries: impl Iterator<Item = &'a Entry>) -> Copied {
    let mut copied = Copied::default();
    for entry in entries {
        copied.files += 1;
        copied.bytes += entry.meta.size;
    }
    copied
}

/// A file of a few kilobytes.
pub(crate) fn file(name: &str) -> Entry {
    entry(name, Kind::File, FILE_BYTES)
}

fn entry(name: &str, kind: Kind, size: u64) -> Entry {
    let name = Name::new(name.as_bytes()).expect("digits after a letter are a name");
    Entry { name, meta: meta(kind, size) }
}

/// Without extended attributes, as most files are.
pub(crate) fn meta(kind: Kind, size: u64) -> Meta {
    Meta {
        kind,
        size,
        allocated: size,
        mtime: Time { secs: 1_700_000_000, nanos: 123_456_789 },
        ctime: Time { secs: 1_700_000_000, nanos: 123_456_789 },
        mode: if kind == Kind::Dir { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        nlink: 1,
        id: FileId { dev: 1, ino: 1 },
        rdev: 0,
        xattrs: None,
        target: None,
        mounted: false,
    }
}

/// Of a file system that can hold everything.
pub(crate) fn facts() -> SpaceFacts {
    SpaceFacts {
        dir: meta(Kind::Dir, 0),
        ancestors: Vec::new(),
        available: u64::MAX,
        total: u64::MAX,
        granularity_ns: 1,
        holds_xattrs: true,
        canonical: None,
        may_chown: true,
        own_uid: 0,
        groups: vec![0],
    }
}

const FILE_BYTES: u64 = 4096;
/// As on a small machine; the number bounds how many tasks a session has out at once.
const WORKERS: usize = 4;
