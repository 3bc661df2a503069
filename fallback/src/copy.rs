//! Copies regular files: source, content, and the proof that the source did not change meanwhile.
//! It must not know how the destination publishes, nor how bytes are moved.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::sync::Arc;

use blit_core::entry::{Entry, Kind, Meta};
use blit_core::event::Control;
use blit_core::spec::Reflink;
use blit_core::task::{Copied, Copy, Pick};
use blit_core::{Error, ErrorKind};

use crate::ahead::{Ahead, Turn};
use crate::content::{Fault, Filled, Route, Transfer};
use crate::destination::{Destination, Draft, Written};
use crate::dir::{self, At, OpenedDir};
use crate::sys::{self, Access};

/// Copies the files of one task.
///
/// # Errors
/// Where nothing of the task counts: a directory cannot be opened or made, or the run was cancelled before a file was
/// published.
pub fn copy(task: &Copy, control: &Control) -> Result<Copied, Error> {
    let mut copier = Copier::new(task, control)?;
    let mut destination = Destination::open(&task.to, task.into, &task.manner)?;
    let files: Vec<(&Pick, &Entry)> = task.entries().collect();
    let mut end = None;
    for (at, (pick, entry)) in files.iter().enumerate() {
        if control.is_cancelled() {
            if destination.is_untouched() {
                return Err(interrupted(task, entry));
            }
            destination.record(pick.index, Err(interrupted(task, entry)));
            continue;
        }
        let result = match end {
            Some(kind) => Err(At::entry(&task.to, &entry.name).refused(kind, "copy")),
            None => copier.copy_one(&destination, (&files, at)),
        };
        copier.settle(entry, result.as_ref().ok());
        end = end.or(result.as_ref().err().map(|error| error.kind).filter(ends_task));
        destination.record(pick.index, result);
    }
    if control.is_cancelled() && destination.is_untouched() {
        return Err(At::dir(&task.to).refused(ErrorKind::Interrupted, "copy"));
    }
    copier.flush();
    destination.finish()
}

/// The source side of one copy task.
pub struct Copier<'a> {
    task: &'a Copy,
    from: OpenedDir,
    control: &'a Control,
    ahead: Ahead,
    route: Option<Arc<Route>>,
    /// What is not yet counted as progress.
    files: u64,
    bytes: u64,
    /// Bytes of the present file that are counted already.
    settled: u64,
}

impl<'a> Copier<'a> {
    /// Opens the source directory of `task`.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn new(task: &'a Copy, control: &'a Control) -> Result<Self, Error> {
        let from = dir::open(&task.from, Access::Search)?;
        let ahead = Ahead::default();
        Ok(Self { task, from, control, ahead, route: None, files: 0, bytes: 0, settled: 0 })
    }

    /// The source directory.
    pub fn dir(&self) -> &OpenedDir {
        &self.from
    }

    /// Copies the file at `at` of `files`; a source that changes meanwhile is copied again, and refused if it does not settle.
    ///
    /// # Errors
    /// Those of either side; `Vanished` and `Changed` of the source. Nothing is published then.
    pub fn copy_one(
        &mut self,
        destination: &Destination<'_>,
        (files, at): (&[(&Pick, &Entry)], usize),
    ) -> Result<Written, Error> {
        self.settled = 0;
        let (pick, entry) = files[at];
        let mut opened = Some(self.open_in_turn(destination, files, at));
        let mut entry = Cow::Borrowed(entry);
        let mut last = None;
        for _ in 0..ATTEMPTS_MAX {
            let file = opened.take().unwrap_or_else(|| self.open(&entry));
            let file = file.map_err(|error| self.not_opened(&entry, error))?;
            let draft = destination.create(&entry, pick.over)?;
            match self.fill(destination, &file, (&draft, &entry)) {
                Ok((now, filled)) if now.is_unchanged_since(&entry.meta) => {
                    if let Some(end) = filled.end {
                        entry.to_mut().meta.size = end;
                    }
                    destination.publish(draft, &entry, pick.over)?;
                    return Ok(Written { bytes: entry.meta.size, cloned: filled.cloned });
                }
                Ok((now, _)) => {
                    destination.discard(draft, &entry);
                    entry = Cow::Owned(self.renewed(&file, &entry, now)?);
                }
                Err(error) if error.kind == ErrorKind::Changed => {
                    destination.discard(draft, &entry);
                    let now =
                        sys::stat((&file).into()).map_err(self.at(&entry).failed("examine"))?;
                    entry = Cow::Owned(self.renewed(&file, &entry, now)?);
                    last = Some(error);
                }
                Err(error) => {
                    destination.discard(draft, &entry);
                    return Err(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| self.at(&entry).refused(ErrorKind::Changed, "copy")))
    }

    /// Counts a file as settled, published or not. What is counted shows after [`Copier::flush`].
    pub fn settle(&mut self, entry: &Entry, written: Option<&Written>) {
        self.files += 1;
        let size = written.map_or(entry.meta.size, |written| written.bytes);
        self.bytes += size.saturating_sub(self.settled);
        self.settled = 0;
    }

    /// Shows what was settled.
    pub fn flush(&mut self) {
        self.control.settle(std::mem::take(&mut self.files), std::mem::take(&mut self.bytes));
    }

    /// Opens a file that may be open already, and perhaps some behind it.
    fn open_in_turn(
        &mut self,
        destination: &Destination<'_>,
        files: &[(&Pick, &Entry)],
        at: usize,
    ) -> io::Result<File> {
        let is_read = files[at].1.meta.size > 0 && self.reads(destination, files[at].1);
        let turn = Turn { index: at, count: files.len(), is_read };
        let mut ahead = std::mem::take(&mut self.ahead);
        let opened = ahead.open(turn, |index| self.open(files[index].1));
        self.ahead = ahead;
        opened
    }

    /// Whether contents are read, as far as is known: what is shared needs nothing from the device.
    fn reads(&self, destination: &Destination<'_>, entry: &Entry) -> bool {
        if self.task.manner.reflink == Reflink::Never {
            return true;
        }
        match &self.route {
            Some(route) => route.reads(),
            None => destination
                .device()
                .is_some_and(|device| Route::between(entry.meta.id.dev, device).reads()),
        }
    }

    fn open(&self, entry: &Entry) -> io::Result<File> {
        let identity = sys::identity();
        let quiet = identity.uid == 0 || identity.uid == entry.meta.uid;
        let name = self.task.source_name.as_ref().unwrap_or(&entry.name);
        dir::open_source((&self.task.from, &self.from), name, quiet)
    }

    fn not_opened(&self, entry: &Entry, error: io::Error) -> Error {
        let at = self.at(entry);
        match error.kind() {
            io::ErrorKind::NotFound => at.refused(ErrorKind::Vanished, "copy"),
            _ if sys::is_loop(&error) => at.refused(ErrorKind::Changed, "copy"),
            _ => at.failed("open")(error),
        }
    }

    /// Copies the content and says what the source is afterwards, and what was copied how.
    fn fill(
        &mut self,
        destination: &Destination<'_>,
        source: &File,
        (draft, entry): (&Draft, &Entry),
    ) -> Result<(Meta, Filled), Error> {
        let route = match &mut self.route {
            Some(route) => route,
            none => none.insert(destination.route(entry.meta.id.dev, draft)?),
        };
        let transfer = Transfer {
            source,
            target: &draft.file,
            meta: &entry.meta,
            route,
            reflink: destination.manner().reflink,
            control: self.control,
            is_written: draft.is_written(),
        };
        let filled = transfer.run().map_err(|fault| self.fault(entry, fault))?;
        self.settled = self.settled.max(filled.settled);
        let now = sys::stat(source.into()).map_err(self.at(entry).failed("examine"))?;
        Ok((now, filled))
    }

    /// The entry as it is now, for another attempt.
    fn renewed(&self, file: &File, entry: &Entry, now: Meta) -> Result<Entry, Error> {
        if now.kind != Kind::File {
            return Err(self.at(entry).refused(ErrorKind::Changed, "copy"));
        }
        let mut meta = now;
        if self.task.manner.preserve.reads_xattrs() {
            let read = sys::xattrs_of(file.into());
            meta.xattrs = read.map_err(self.at(entry).failed("read attributes of"))?;
        }
        Ok(Entry { name: entry.name.clone(), meta })
    }

    fn fault(&self, entry: &Entry, fault: Fault) -> Error {
        let at =
            if fault.of_source { self.at(entry) } else { At::entry(&self.task.to, &entry.name) };
        if fault.of_source && fault.error.kind() == io::ErrorKind::UnexpectedEof {
            let why = "it has fewer bytes than its size says";
            return at.because(ErrorKind::Changed, fault.op, why);
        }
        at.failed(fault.op)(fault.error)
    }

    fn at<'b>(&'b self, entry: &'b Entry) -> At<'b> {
        let name = self.task.source_name.as_ref().unwrap_or(&entry.name);
        At::entry(&self.task.from, name)
    }
}

/// Whether each further file would fail alike.
fn ends_task(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::NoSpace | ErrorKind::Quota | ErrorKind::ReadOnly)
}

fn interrupted(task: &Copy, entry: &Entry) -> Error {
    At::entry(&task.to, &entry.name).refused(ErrorKind::Interrupted, "copy")
}

/// The first attempt and two more; a file that changes faster than it is copied is not worth more.
const ATTEMPTS_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use blit_core::task::{CopyInto, Over};

    use super::*;
    use crate::sandbox::{Capability, Sandbox, kinds, name};

    const EVERY_INTO: [CopyInto; 2] = [CopyInto::New(Over::Nothing), CopyInto::Existing];

    fn same_but_inode(source: &Meta, copy: &Meta) {
        let copy = Meta {
            id: source.id,
            ctime: source.ctime,
            allocated: source.allocated,
            ..copy.clone()
        };
        assert_eq!(*source, copy);
    }

    #[test]
    fn content_and_metadata_arrive_in_new_and_existing_directories() {
        for into in EVERY_INTO {
            let sandbox = Sandbox::new();
            for (at, size) in [0, 1, 4096, 300_000, 9 << 20].into_iter().enumerate() {
                sandbox.file(&format!("a/f{at}"), vec![u8::try_from(at).expect("small"); size]);
            }
            let modes = [0o600, 0o444, 0o4755, 0o2711, 0o666];
            for (at, mode) in modes.into_iter().enumerate() {
                sandbox.set_mode(&format!("a/f{at}"), mode);
            }
            if into == CopyInto::Existing {
                sandbox.mkdir("b");
            }
            let has_modes = sandbox.can(Capability::Modes);
            let task = sandbox.copy_task("a", "b", into, Over::Nothing);
            let copied = sandbox.run_copy(task).expect("copy");
            assert_eq!((copied.files, kinds(&copied.failures)), (5, vec![]));
            assert_eq!(sandbox.control.progress().files, 5);
            assert_eq!(sandbox.control.progress().bytes, copied.bytes);
            for (at, mode) in modes.into_iter().enumerate() {
                let (from, to) = (format!("a/f{at}"), format!("b/f{at}"));
                assert_eq!(sandbox.read(&from), sandbox.read(&to));
                assert!(!has_modes || sandbox.meta(&to).mode == mode);
                same_but_inode(&sandbox.meta(&from), &sandbox.meta(&to));
            }
            assert_eq!(sandbox.names("b").len(), 5, "no temporary name is left");
        }
    }

    #[test]
    fn content_is_read_and_written_where_nothing_may_be_shared() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", vec![7; 600_001]);
        let mut task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        task.manner.reflink = Reflink::Never;
        task.manner.fsync = true;
        assert_eq!(sandbox.run_copy(task).expect("copy").bytes, 600_001);
        assert_eq!(sandbox.read("a/f"), sandbox.read("b/f"));
    }

    #[test]
    fn holes_stay_holes() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", b"start");
        let file = File::options().write(true).open(sandbox.path("a/f")).expect("open");
        sys::write_at(&file, b"middle", 40 << 20).expect("write");
        file.set_len(90 << 20).expect("truncate");
        let task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        sandbox.run_copy(task).expect("copy");
        assert_eq!(sandbox.read("a/f"), sandbox.read("b/f"));
        let source = File::open(sandbox.path("a/f")).expect("open");
        let first = sys::next_extent(&source, 0, 90 << 20).expect("seek");
        if first.is_none_or(|extent| extent.end == 90 << 20) {
            println!("SKIPPED, no holes here");
            return;
        }
        let allocated = sandbox.meta("b/f").allocated;
        assert!(allocated < 1 << 20, "{allocated} bytes");
    }

    #[test]
    fn something_in_the_way_is_never_replaced_unasked() {
        for into in EVERY_INTO {
            let sandbox = Sandbox::new();
            sandbox.file("a/f", b"new");
            sandbox.file("b/f", b"old");
            let task = sandbox.copy_task("a", "b", into, Over::Nothing);
            match sandbox.run_copy(task) {
                Ok(copied) => {
                    assert_eq!(kinds(&copied.failures), [(0, ErrorKind::AlreadyExists)]);
                }
                Err(error) => assert_eq!(error.kind, ErrorKind::AlreadyExists),
            }
            assert_eq!(sandbox.read("b/f"), b"old");
            assert_eq!(sandbox.names("."), ["a", "b"]);
            assert_eq!(sandbox.names("b"), ["f"]);
        }
    }

    #[test]
    fn a_file_replaces_another_entry_or_an_empty_directory_and_nothing_else() {
        let sandbox = Sandbox::new();
        for file in ["a/dir", "a/file", "a/full", "a/link"] {
            sandbox.file(file, b"new");
        }
        sandbox.file("b/file", b"old");
        sandbox.mkdir("b/dir");
        sandbox.file("b/full/x", b"kept");
        if sandbox.can(Capability::Symlinks) {
            sandbox.symlink("/etc/passwd", "b/link");
        } else {
            sandbox.file("b/link", b"old");
        }
        let mut task = sandbox.copy_task("a", "b", CopyInto::Existing, Over::Entry);
        task.picks[0].over = Over::EmptyDir;
        task.picks[2].over = Over::EmptyDir;
        let copied = sandbox.run_copy(task.clone()).expect("copy");
        assert_eq!(kinds(&copied.failures), [(2, ErrorKind::TypeClash)]);
        task.picks = vec![Pick { index: 2, over: Over::Entry }];
        let copied = sandbox.run_copy(task).expect("copy");
        assert_eq!(kinds(&copied.failures), [(2, ErrorKind::TypeClash)]);
        assert_eq!(sandbox.read("b/full/x"), b"kept");
        for file in ["b/dir", "b/file", "b/link"] {
            assert_eq!(sandbox.read(file), b"new");
            assert!(sandbox.path(file).symlink_metadata().expect("stat").is_file());
        }
        assert_eq!(sandbox.names("b").len(), 4);
    }

    #[test]
    fn a_source_that_is_not_as_listed_is_copied_as_it_is_now() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", b"listed");
        let task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        sandbox.file("a/f", b"and then changed");
        sandbox.run_copy(task).expect("copy");
        assert_eq!(sandbox.read("b/f"), b"and then changed");
        same_but_inode(&sandbox.meta("a/f"), &sandbox.meta("b/f"));
    }

    /// Copies `a/f` into the new directory `to` while another thread makes it longer and longer.
    fn copy_while_it_grows(sandbox: &Sandbox, to: &str) -> Copied {
        let mut task = sandbox.copy_task("a", to, CopyInto::New(Over::Nothing), Over::Nothing);
        task.manner.reflink = Reflink::Never;
        let (started, stop) = (std::sync::Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let file = File::options().write(true).open(sandbox.path("a/f")).expect("open");
                let mut length = file.metadata().expect("stat").len();
                started.wait();
                while !stop.load(Ordering::Relaxed) {
                    length += 1;
                    file.set_len(length).expect("truncate");
                }
            });
            started.wait();
            let copied = sandbox.run_copy(task);
            stop.store(true, Ordering::Relaxed);
            copied.expect("copy")
        })
    }

    #[test]
    fn a_source_that_keeps_changing_is_not_published() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", vec![1; 8 << 20]);
        // A thread that gets no processor changes nothing, so there are several rounds.
        let refused = (0..50).any(|round| {
            let to = format!("b{round}");
            let copied = copy_while_it_grows(&sandbox, &to);
            if copied.files == 1 {
                assert_eq!(sandbox.meta(&format!("{to}/f")).size, copied.bytes);
                return false;
            }
            assert_eq!(kinds(&copied.failures), [(0, ErrorKind::Changed)]);
            assert_eq!(sandbox.names(&to), Vec::<String>::new());
            true
        });
        assert!(refused);
    }

    #[test]
    fn sharing_shares_all_or_says_that_it_cannot() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", vec![1; 100_000]);
        let mut task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        task.manner.reflink = Reflink::Always;
        let copied = sandbox.run_copy(task).expect("copy");
        if copied.files == 1 {
            assert_eq!(copied.bytes_cloned, 100_000);
            assert_eq!(sandbox.read("a/f"), sandbox.read("b/f"));
        } else {
            assert_eq!(kinds(&copied.failures), [(0, ErrorKind::Unsupported)]);
        }
    }

    #[test]
    fn a_source_that_is_gone_or_something_else_is_never_waited_for() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::Symlinks) || !sandbox.can(Capability::Specials) {
            return;
        }
        for file in ["a/1gone", "a/2link", "a/3pipe", "a/4dir"] {
            sandbox.file(file, b"content");
        }
        let task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        for file in ["a/1gone", "a/2link", "a/3pipe", "a/4dir"] {
            std::fs::remove_file(sandbox.path(file)).expect("remove");
        }
        sandbox.symlink("/etc/passwd", "a/2link");
        sandbox.mkdir("a/4dir");
        let dir = sys::open_root(&sandbox.path("a")).expect("open");
        sys::make_fifo(&dir, &name("3pipe"), 0o644).expect("mkfifo");
        let copied = sandbox.run_copy(task).expect("copy");
        let failures = kinds(&copied.failures);
        assert_eq!(failures[..2], [(0, ErrorKind::Vanished), (1, ErrorKind::Changed)]);
        assert_eq!((failures.len(), copied.files), (4, 0));
        assert_eq!(sandbox.names("b"), Vec::<String>::new());
    }

    #[test]
    fn a_cancelled_copy_leaves_nothing() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", b"content");
        let task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        sandbox.control.cancel();
        let failed = copy(&task, &sandbox.control).expect_err("cancelled");
        assert_eq!(failed.kind, ErrorKind::Interrupted);
        assert_eq!(sandbox.names("."), ["a"]);
    }

    #[test]
    fn odd_names_arrive() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::AnyName) {
            return;
        }
        sandbox.mkdir("a");
        let dir = sys::open_root(&sandbox.path("a")).expect("open");
        for bytes in [&[b'x'; 255][..], b"\xff\xfe", b"new\nline", b"-"] {
            sys::create_new(&dir, &name(bytes), 0o644).expect("create");
        }
        let task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        assert_eq!(sandbox.run_copy(task).expect("copy").files, 4);
        assert_eq!(sandbox.names("a"), sandbox.names("b"));
    }

    #[test]
    fn one_file_gets_another_name() {
        let sandbox = Sandbox::new();
        sandbox.file("a/old", b"content");
        let mut task = sandbox.copy_task("a", "", CopyInto::Existing, Over::Nothing);
        let renamed = Entry { name: name("new"), meta: task.page[0].meta.clone() };
        task.page = [renamed].into();
        task.source_name = Some(name("old"));
        assert_eq!(sandbox.run_copy(task).expect("copy").files, 1);
        assert_eq!(sandbox.read("new"), b"content");
    }
}
