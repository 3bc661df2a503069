//! Creates, links, publishes and repairs entries: everything at the destination but contents of files.
//! It must not know which entries differ, nor in which order directories are finished.

use std::io;

use blit_core::entry::{Changes, Entry, Kind, Meta};
use blit_core::event::Control;
use blit_core::path::{Name, RelPath};
use blit_core::task::{Dir, Held, Over, Place, Placed, Step};
use blit_core::{Error, ErrorKind};
use std::sync::Arc;

use crate::aside::Aside;
use crate::destination::sync_dir;
use crate::dir::{self, At, OpenedDir, Staged};
use crate::draft::{self, Drafted};
use crate::metadata::{Keeper, Made};
use crate::replace::Replace;
use crate::respell::respell;
use crate::sys::{self, Access, OpenDir};
use crate::take::Taken;

/// Does the steps of `task` in order. A failed step does not stop the others.
///
/// # Errors
/// Those of opening the directory; `Interrupted` before the first step.
pub fn place(task: &Place, control: &Control) -> Result<Placed, Error> {
    let mut placer = Placer::open(task)?;
    for (index, step) in task.steps.iter().enumerate() {
        let result = if control.is_cancelled() {
            Err(At::dir(&task.to).refused(ErrorKind::Interrupted, "place"))
        } else {
            placer.step(step)
        };
        if let Err(error) = result {
            placer.placed.failures.push((index, error));
        }
    }
    placer.finish()
}

struct Placer<'a> {
    task: &'a Place,
    dir: OpenedDir,
    aside: Option<Aside<'a>>,
    /// The directory that files were last shared from.
    shared: Option<(Dir, OpenedDir)>,
    keeper: Keeper,
    placed: Placed,
}

impl<'a> Placer<'a> {
    fn open(task: &'a Place) -> Result<Self, Error> {
        let dir = dir::open_readable(&task.to)?;
        let makes_nodes = task.steps.iter().any(|step| matches!(step, Step::Node { .. }));
        let inherits = makes_nodes
            && sys::acl_is_inherited(&dir).map_err(At::dir(&task.to).failed("read the ACL of"))?;
        let keeper = Keeper::new(task.manner.preserve, inherits);
        let aside = task.manner.aside.as_ref().map(Aside::new);
        Ok(Self { task, dir, aside, shared: None, keeper, placed: Placed::default() })
    }

    fn finish(mut self) -> Result<Placed, Error> {
        if self.task.manner.fsync {
            sync_dir(&self.dir).map_err(At::dir(&self.task.to).failed("sync"))?;
        }
        self.placed.lost = self.keeper.lost().list();
        Ok(self.placed)
    }

    fn step(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::MakeDir { name, plain, over } => self.make_dir(name, *plain, *over),
            Step::Stage => {
                let staged = Staged::new(&self.dir).map_err(self.here().failed("create"))?;
                self.strip(&staged)?;
                self.placed.staged = Some(Held(Arc::new(staged)));
                Ok(())
            }
            Step::Publish { staged, name, over } => {
                let staged = dir::staged_of(staged, &self.task.to)?;
                if self.task.manner.fsync {
                    sys::sync(staged.dir().into()).map_err(self.at(name).failed("sync"))?;
                }
                self.publish(&staged, name, *over)
            }
            Step::Take { from, source_name, name, over } => {
                let taken = Taken { from, source_name, to: (&self.task.to, &self.dir), name };
                self.placed.remains.extend(taken.take(*over)?);
                if self.task.manner.fsync {
                    let left = dir::open_readable(from)?;
                    sync_dir(&left).map_err(At::dir(from).failed("sync"))?;
                }
                Ok(())
            }
            Step::Respell { from, name } => respell(&self.dir, from, (name, self.at(name))),
            Step::Draft { entry, reuse } => {
                let dir = dir::open_readable(&self.task.to)?;
                let drafted = Drafted::open(dir, entry, *reuse);
                let drafted = drafted.map_err(self.at(&entry.name).failed("create"))?;
                self.placed.begun = if *reuse { drafted.begun() } else { 0 };
                self.placed.staged = Some(Held(Arc::new(drafted)));
                Ok(())
            }
            Step::Seal { draft, entry, over } => {
                let drafted = draft::drafted_of(draft, &self.task.to)?;
                self.keep_old(&entry.name, *over)?;
                let place = (&self.task.to, &self.task.manner);
                let (remains, keeper) = drafted.seal((entry, *over), place)?;
                self.placed.remains.extend(remains);
                self.keeper.lost().add_all(keeper.lost());
                Ok(())
            }
            Step::Discard { draft } => {
                draft::drafted_of(draft, &self.task.to)?.discard();
                Ok(())
            }
            Step::Node { entry, over } => self.node(entry, *over),
            Step::Link { name, of, over } => self.link(name, of, *over),
            Step::Share { from, name, over } => self.share(from, name, *over),
            Step::Repair { entry, changes } => self.repair(entry, *changes),
            Step::Widen => self.widen(),
            Step::Finish { meta, changes } => self.set(meta, *changes),
        }
    }

    fn make_dir(&mut self, name: &Name, plain: bool, over: Over) -> Result<(), Error> {
        let mode = if plain { 0o777 } else { 0o700 };
        match sys::make_dir(&self.dir, name, mode) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && matches!(over, Over::Entry | Over::Tree) => {}
            other => return other.map_err(self.at(name).failed("create")),
        }
        let staged = Staged::new(&self.dir).map_err(self.at(name).failed("create"))?;
        if plain {
            let mode = mode & !sys::umask();
            let set = sys::set_mode(staged.dir().into(), mode);
            set.map_err(self.at(name).failed("set mode of"))?;
        }
        self.publish(&staged, name, over)
    }

    fn publish(&mut self, staged: &Staged, name: &Name, over: Over) -> Result<(), Error> {
        let at = At::entry(&self.task.to, name);
        self.keep_old(name, over)?;
        self.placed.remains.extend(staged.publish(&self.dir, (name, at), over)?);
        Ok(())
    }

    /// Keeps what is about to be replaced, where it is to be kept.
    fn keep_old(&self, name: &Name, over: Over) -> Result<(), Error> {
        match &self.aside {
            Some(aside) if over != Over::Nothing => aside.keep(&self.dir, name, self.at(name)),
            _ => Ok(()),
        }
    }

    fn strip(&self, staged: &Staged) -> Result<(), Error> {
        let preserve = &self.task.manner.preserve;
        let failed = || self.here().failed("remove the inherited ACL of");
        if (preserve.mode || preserve.acls)
            && sys::acl_is_inherited(staged.dir()).map_err(failed())?
        {
            crate::metadata::strip_acls(staged.dir().into()).map_err(failed())?;
        }
        Ok(())
    }

    fn node(&mut self, entry: &Entry, over: Over) -> Result<(), Error> {
        if over == Over::Nothing {
            self.make(entry, &entry.name)?;
            return self.dress(entry, &entry.name).inspect_err(|_| {
                // Half a node is worse than none: the next run would find it and call it equal.
                drop(sys::remove_file(&self.dir, &entry.name));
            });
        }
        self.keep_old(&entry.name, over)?;
        let remains = self.under_another_name(|temporary| {
            self.make(entry, temporary)?;
            let dressed = self.dress(entry, temporary);
            dressed.and_then(|()| self.replace(temporary, &entry.name).with_entry(over))
        })?;
        self.placed.remains.extend(remains);
        Ok(())
    }

    /// Lets `place` make something under a temporary name and rename it. What has such a name without a lock may be taken
    /// for a leftover and removed by another run that looks at this very moment; then it is made again.
    fn under_another_name<T>(&self, place: impl Fn(&Name) -> Result<T, Error>) -> Result<T, Error> {
        let mut attempts = 0;
        loop {
            let temporary = dir::next_temporary();
            let placed = place(&temporary);
            let Err(error) = placed else { return placed };
            let is_gone = sys::stat_at(&self.dir, &temporary)
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            drop(sys::remove_file(&self.dir, &temporary));
            attempts += 1;
            let was_taken = is_gone && error.kind == ErrorKind::NotFound;
            if !was_taken || attempts >= dir::NAME_ATTEMPTS_MAX {
                return Err(error);
            }
        }
    }

    fn make(&self, entry: &Entry, name: &Name) -> Result<(), Error> {
        let at = self.at(&entry.name);
        let mode = self.keeper.made(&entry.meta, false).mode;
        let made = match entry.meta.kind {
            Kind::Symlink => {
                let target = entry.meta.target.as_deref().unwrap_or_default();
                sys::make_symlink(&self.dir, name, target)
            }
            Kind::Fifo => sys::make_fifo(&self.dir, name, mode),
            Kind::Socket => sys::make_socket(&self.dir, name, mode),
            Kind::CharDevice => sys::make_device(&self.dir, name, (false, mode), entry.meta.rdev),
            Kind::BlockDevice => sys::make_device(&self.dir, name, (true, mode), entry.meta.rdev),
            Kind::File | Kind::Dir => {
                return Err(at.because(ErrorKind::Internal, "create", "it is not a node"));
            }
        };
        made.map_err(at.failed("create"))
    }

    fn dress(&self, entry: &Entry, name: &Name) -> Result<(), Error> {
        let at = self.at(&entry.name);
        let opened = sys::open_entry(&self.dir, name).map_err(at.failed("open"))?;
        let object = (&opened).into();
        let now = sys::stat(object).map_err(at.failed("examine"))?;
        if now.kind != entry.meta.kind {
            return Err(at.refused(ErrorKind::TypeClash, "set metadata of"));
        }
        let made: Made = self.keeper.made(&entry.meta, false);
        let dressed = self.keeper.dress(object, &entry.meta, made);
        dressed.map_err(|fault| at.failed(fault.op)(fault.error))
    }

    fn link(&mut self, name: &Name, of: &RelPath, over: Over) -> Result<(), Error> {
        let Some((above, last)) = of.split_last() else {
            return Err(self.at(name).because(ErrorKind::Internal, "link", "to the root itself"));
        };
        let from = dir::open(&Dir::new(&self.task.to.root, above), Access::Search)?;
        self.link_from((&from, &last), name, over)
    }

    fn share(&mut self, from: &Dir, name: &Name, over: Over) -> Result<(), Error> {
        let is_open = |(dir, _): &(Dir, OpenedDir)| {
            Arc::ptr_eq(&dir.root, &from.root) && dir.path == from.path
        };
        let (dir, opened) = match self.shared.take().filter(is_open) {
            Some(shared) => shared,
            None => (from.clone(), dir::open(from, Access::Search)?),
        };
        let linked = self.link_from((&opened, name), name, over);
        self.shared = Some((dir, opened));
        linked
    }

    fn link_from(
        &mut self,
        (from, last): (&OpenDir, &Name),
        name: &Name,
        over: Over,
    ) -> Result<(), Error> {
        let at = self.at(name);
        if over == Over::Nothing {
            return sys::link(from, last, &self.dir, name).map_err(at.failed("link"));
        }
        self.keep_old(name, over)?;
        let remains = self.under_another_name(|temporary| {
            sys::link(from, last, &self.dir, temporary).map_err(at.failed("link"))?;
            let remains = self.replace(temporary, name).with_entry(over)?;
            if !remains.is_empty() {
                return Ok(remains);
            }
            // Renaming one name of a file over another name of it does nothing and succeeds.
            match sys::remove_file(&self.dir, temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(at.failed("remove the temporary name of")(error))
                }
                _ => Ok(remains),
            }
        })?;
        self.placed.remains.extend(remains);
        Ok(())
    }

    fn repair(&self, entry: &Entry, changes: Changes) -> Result<(), Error> {
        let at = self.at(&entry.name);
        let opened = sys::open_entry(&self.dir, &entry.name).map_err(at.failed("open"))?;
        let object = (&opened).into();
        let now = sys::stat(object).map_err(at.failed("examine"))?;
        if now.kind != entry.meta.kind {
            return Err(at.refused(ErrorKind::TypeClash, "set metadata of"));
        }
        let repaired = self.keeper.repair(object, &entry.meta, changes);
        repaired.map_err(|fault| at.failed(fault.op)(fault.error))
    }

    fn widen(&self) -> Result<(), Error> {
        let object = (&*self.dir).into();
        let now = sys::stat(object).map_err(self.here().failed("examine"))?;
        if now.mode & OWNER_ALL == OWNER_ALL {
            return Ok(());
        }
        sys::set_mode(object, now.mode | OWNER_ALL).map_err(self.here().failed("set mode of"))
    }

    fn set(&self, meta: &Meta, changes: Changes) -> Result<(), Error> {
        let set = self.keeper.repair((&*self.dir).into(), meta, changes);
        set.map_err(|fault| self.here().failed(fault.op)(fault.error))
    }

    fn replace<'b>(&'b self, temporary: &'b Name, name: &'b Name) -> Replace<'b> {
        Replace { dir: &self.dir, temporary, name, at: self.at(name) }
    }

    fn here(&self) -> At<'a> {
        At::dir(&self.task.to)
    }

    fn at<'b>(&'b self, name: &'b Name) -> At<'b> {
        At::entry(&self.task.to, name)
    }
}

/// All rights of a directory's owner.
const OWNER_ALL: u32 = 0o700;

#[cfg(test)]
mod tests {
    use blit_core::entry::{Time, Xattr};
    use blit_core::spec::Preserve;
    use blit_core::task::CopyInto;

    use super::*;
    use crate::sandbox::{Capability, Sandbox, kinds, name};

    const TIME: Time = Time { secs: 1_234_567_890, nanos: 123_456_700 };

    fn node(kind: Kind, called: &str) -> Entry {
        let identity = sys::identity();
        let meta = Meta {
            kind,
            size: if kind == Kind::Symlink { 7 } else { 0 },
            allocated: 0,
            mtime: TIME,
            ctime: Time::default(),
            mode: if kind == Kind::Symlink { 0o777 } else { 0o640 },
            uid: if identity.may_chown { 1234 } else { identity.uid },
            gid: if identity.may_chown { 4321 } else { *identity.groups.first().unwrap_or(&0) },
            nlink: 1,
            id: blit_core::entry::FileId::default(),
            rdev: if kind.is_device() { 0x0105 } else { 0 },
            xattrs: None,
            target: (kind == Kind::Symlink).then(|| (*b"nowhere").into()),
            mounted: false,
        };
        Entry { name: name(called), meta }
    }

    fn comparable(meta: &Meta) -> Meta {
        Meta {
            allocated: 0,
            ctime: Time::default(),
            id: blit_core::entry::FileId::default(),
            ..meta.clone()
        }
    }

    #[test]
    fn every_kind_of_node_is_made_and_replaces_what_it_may() {
        for over in [Over::Nothing, Over::Entry, Over::EmptyDir, Over::Tree] {
            let sandbox = Sandbox::new();
            if !sandbox.can(Capability::Symlinks) || !sandbox.can(Capability::Specials) {
                return;
            }
            let mut nodes = vec![Kind::Symlink, Kind::Fifo, Kind::Socket];
            if sys::identity().may_chown {
                nodes.extend([Kind::CharDevice, Kind::BlockDevice]);
            }
            let entries: Vec<Entry> =
                nodes.iter().enumerate().map(|(at, kind)| node(*kind, &at.to_string())).collect();
            for entry in &entries {
                match over {
                    Over::Nothing => {}
                    Over::Entry => sandbox.file(&entry.name.to_string(), b"old"),
                    Over::EmptyDir => sandbox.mkdir(&entry.name.to_string()),
                    Over::Tree => sandbox.file(&format!("{}/a/b/old", entry.name), b"old"),
                }
            }
            let step = |entry: &Entry| Step::Node { entry: entry.clone(), over };
            let steps: Vec<Step> = entries.iter().map(step).collect();
            let placed = sandbox.place(sandbox.dir(""), steps.clone());
            assert_eq!(kinds(&placed.failures), []);
            for entry in &entries {
                let found = sandbox.meta(&entry.name.to_string());
                assert_eq!(comparable(&found), comparable(&entry.meta), "{over:?}");
            }
            assert_eq!(sandbox.names("").len(), entries.len());
            if over == Over::Nothing {
                let again = sandbox.place(sandbox.dir(""), steps);
                assert!(again.failures.iter().all(|(_, e)| e.kind == ErrorKind::AlreadyExists));
                assert_eq!(again.failures.len(), entries.len());
                assert_eq!(sandbox.names("").len(), entries.len());
            }
        }
    }

    #[test]
    fn a_node_does_not_replace_a_full_directory() {
        let sandbox = Sandbox::new();
        if !sandbox.can(Capability::Symlinks) {
            return;
        }
        sandbox.file("full/f", b"");
        for over in [Over::Entry, Over::EmptyDir] {
            let entry = node(Kind::Symlink, "full");
            let placed = sandbox.place(sandbox.dir(""), vec![Step::Node { entry, over }]);
            assert_eq!(kinds(&placed.failures), [(0, ErrorKind::TypeClash)]);
        }
        assert_eq!(sandbox.names(""), ["full"]);
    }

    #[test]
    fn links_share_the_inode_and_leave_no_temporary_name() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", b"content");
        sandbox.file("b/old", b"old");
        std::fs::hard_link(sandbox.path("a/f"), sandbox.path("b/same")).expect("link");
        let of = RelPath::new(b"a/f").expect("valid");
        let link = |called: &str, over| Step::Link { name: name(called), of: of.clone(), over };
        let steps = vec![
            link("new", Over::Nothing),
            link("old", Over::Entry),
            link("same", Over::Entry),
            link("same", Over::Nothing),
        ];
        let placed = sandbox.place(sandbox.dir("b"), steps);
        assert_eq!(kinds(&placed.failures), [(3, ErrorKind::AlreadyExists)]);
        assert_eq!(sandbox.names("b"), ["new", "old", "same"]);
        for file in ["b/new", "b/old", "b/same"] {
            assert_eq!(sandbox.meta(file).id, sandbox.meta("a/f").id);
        }
        assert_eq!(sandbox.meta("a/f").nlink, 4);
    }

    #[test]
    fn a_staged_directory_is_filled_and_published_once() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", b"content");
        let staged = sandbox.place(sandbox.dir(""), vec![Step::Stage]).staged.expect("staged");
        let mut task = sandbox.copy_task("a", "b", CopyInto::Staged, Over::Nothing);
        task.to.staged = Some(staged.clone());
        assert_eq!(sandbox.run_copy(task.clone()).expect("copy").files, 1);
        let inner = sandbox.place(task.to.clone(), vec![Step::Stage]).staged.expect("staged");
        let publish = |staged, called| {
            vec![Step::Publish { staged, name: name(called), over: Over::Nothing }]
        };
        assert_eq!(sandbox.place(task.to.clone(), publish(inner, "sub")).failures.len(), 0);
        assert_eq!(sandbox.place(sandbox.dir(""), publish(staged.clone(), "b")).failures.len(), 0);
        assert_eq!(sandbox.names(""), ["a", "b"]);
        assert_eq!(sandbox.names("b"), ["f", "sub"]);
        task.to.staged = Some(staged);
        let meta = Box::new(node(Kind::Dir, "b").meta);
        let finish = Step::Finish { meta, changes: Changes::all(&Preserve::ALL) };
        assert_eq!(sandbox.place(task.to, vec![finish]).failures.len(), 0);
        let found = sandbox.meta("b");
        assert_eq!(found.mtime, TIME);
        let has_modes = sandbox.can(Capability::Modes);
        assert!(!has_modes || found.mode == 0o640);
        drop(sandbox.place(sandbox.dir("b"), vec![Step::Widen]));
        assert!(!has_modes || sandbox.meta("b").mode == 0o740);
    }

    #[test]
    fn making_a_directory_that_exists_is_a_failure_and_the_rest_goes_on() {
        let sandbox = Sandbox::new();
        sandbox.mkdir("a");
        let make = |called, plain| Step::MakeDir { name: name(called), plain, over: Over::Nothing };
        let placed = sandbox.place(sandbox.dir(""), vec![make("a", false), make("b", false)]);
        assert_eq!(kinds(&placed.failures), [(0, ErrorKind::AlreadyExists)]);
        assert!(!sandbox.can(Capability::Modes) || sandbox.meta("b").mode == 0o700);
    }

    #[test]
    fn repair_sets_what_differs_and_removes_what_the_source_has_not() {
        let sandbox = Sandbox::new();
        sandbox.file("f", b"content");
        let root = sys::open_root(&sandbox.path("")).expect("open");
        let file = sys::open_file(&root, &name("f"), false).expect("open");
        if let Err(error) = sys::set_xattr((&file).into(), b"user.old", b"1") {
            println!("SKIPPED, no attributes here: {error}");
            return;
        }
        let mut entry = sandbox.entry("f");
        let xattrs = [Xattr { name: (*b"user.new").into(), value: (*b"2").into() }];
        entry.meta.xattrs = Some(Arc::new(xattrs));
        entry.meta.mtime = TIME;
        entry.meta.mode = 0o400;
        let changes = Changes::all(&Preserve::ALL);
        let placed =
            sandbox.place(sandbox.dir(""), vec![Step::Repair { entry: entry.clone(), changes }]);
        assert_eq!(kinds(&placed.failures), []);
        assert_eq!(comparable(&sandbox.meta("f")), comparable(&entry.meta));
        assert_eq!(sandbox.read("f"), b"content");
    }
}
