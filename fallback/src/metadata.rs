//! Which metadata a new or repaired entry gets, and the order in which they are set.
//! It must not know how the entry came to be or how it is published.

use std::cell::OnceCell;
use std::io;

use blit_core::entry::{Changes, Kind, Meta, Xattr, mode_without_acl, wanted_mode};
use blit_core::spec::{Comparison, Equality, Preserve};
use blit_core::task::Lost;

use crate::sys::{self, ACL_ACCESS, ACL_DEFAULT, Object};

/// Sets metadata in one destination directory, as far as the user may.
#[derive(Debug)]
pub struct Keeper {
    rule: Comparison,
    /// New entries would inherit an ACL that their source does not have.
    inherits_acl: bool,
    /// What new entries get by themselves; seen on the first.
    fresh: OnceCell<Fresh>,
    lost: Tally,
}

/// What the system gave a new entry without being asked.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    uid: u32,
    gid: u32,
    dev: u64,
}

/// Metadata that could not be held, by kind, with the number of entries.
#[derive(Debug, Default)]
pub struct Tally(std::cell::Cell<[u64; 4]>);

impl Tally {
    fn add(&self, lost: Losses) {
        let mut counts = self.0.get();
        for (count, is_lost) in counts.iter_mut().zip(lost.0) {
            *count += u64::from(is_lost);
        }
        self.0.set(counts);
    }

    /// Adds what another tally has.
    pub(crate) fn add_all(&self, other: &Self) {
        let mut counts = self.0.get();
        for (count, more) in counts.iter_mut().zip(other.0.get()) {
            *count += more;
        }
        self.0.set(counts);
    }

    /// As tasks report it.
    pub fn list(&self) -> Vec<(Lost, u64)> {
        KINDS.into_iter().zip(self.0.get()).filter(|(_, count)| *count > 0).collect()
    }
}

/// What one entry could not get, in the order of [`KINDS`].
#[derive(Clone, Copy, Debug, Default)]
struct Losses([bool; 4]);

impl Losses {
    fn add(&mut self, which: Lost) {
        for (lost, kind) in self.0.iter_mut().zip(KINDS) {
            *lost |= kind == which;
        }
    }

    fn has(&self, which: Lost) -> bool {
        self.0.iter().zip(KINDS).any(|(lost, kind)| *lost && kind == which)
    }
}

/// How an entry was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The mode that was asked for, before the umask.
    pub mode: u32,
    /// Nobody else can reach it before it is published.
    pub hidden: bool,
}

/// An operation that failed.
#[derive(Debug)]
pub struct Fault {
    /// What was done.
    pub op: &'static str,
    /// Why it failed.
    pub error: io::Error,
}

type Done = Result<(), Fault>;

impl Keeper {
    /// For a directory whose new entries inherit an ACL or not.
    pub fn new(preserve: Preserve, inherits_acl: bool) -> Self {
        let identity = sys::identity();
        let rule = Comparison {
            preserve,
            equality: Equality::default(),
            holds_xattrs: true,
            granularity_ns: 1,
            may_chown: identity.may_chown,
            own_uid: identity.uid,
            groups: identity.groups.clone(),
        };
        Self { rule, inherits_acl, fresh: OnceCell::new(), lost: Tally::default() }
    }

    /// What could not be held so far.
    pub fn lost(&self) -> &Tally {
        &self.lost
    }

    /// Whether permission bits are kept.
    pub fn keeps_mode(&self) -> bool {
        self.rule.preserve.mode
    }

    /// The permission bits that an entry ends with.
    pub fn mode(&self, meta: &Meta) -> u32 {
        if self.rule.preserve.mode {
            wanted_mode(meta, &self.rule)
        } else {
            meta.mode & 0o777 & !sys::umask()
        }
    }

    /// How a new entry is to be made so that it never grants more than it ends with.
    pub fn made(&self, meta: &Meta, hidden: bool) -> Made {
        let mode = self.mode(meta);
        let mask = if hidden && !self.drops_acl() { 0o777 } else { 0o600 };
        Made { mode: mode & mask, hidden }
    }

    /// The device that new entries are on; looks at `object`, a new one, the first time.
    ///
    /// # Errors
    /// Those of examining it.
    pub fn device(&self, object: Object<'_>) -> Result<u64, Fault> {
        Ok(self.fresh(object)?.dev)
    }

    /// Sets all that is kept on a new entry: owner, mode, attributes, times. A symbolic link has no mode of its own.
    ///
    /// # Errors
    /// The first operation that failed for another reason than that the file system cannot hold it.
    pub fn dress(&self, object: Object<'_>, meta: &Meta, made: Made) -> Done {
        let preserve = &self.rule.preserve;
        let (mut chowned, mut lost) = (false, Losses::default());
        if preserve.owner {
            let fresh = self.fresh(object)?;
            chowned = self.give(object, meta, ((fresh.uid, fresh.gid), &mut lost))?;
        }
        if meta.kind != Kind::Symlink {
            if self.drops_acl() {
                remove(object, ACL_ACCESS)?;
            }
            let mut mode = without_lost_owner(self.mode(meta), meta.kind, lost);
            if !made.hidden && self.sets_access_acl(meta) {
                mode &= !GROUP_BITS;
            }
            let has = made.mode & 0o777 & if self.inherits_acl { 0 } else { !sys::umask() };
            // Giving an entry away strips the set-id bits, which `has` does not count on.
            if has != mode || (chowned && mode & SET_ID != 0) {
                // A new entry is the user's own, so the user may always set its mode.
                set_mode(object, (mode, true), &mut lost)?;
            }
        }
        if let Some(xattrs) = meta.xattrs.as_deref() {
            let mode = without_lost_owner(self.mode(meta), meta.kind, lost);
            self.put_xattrs(object, (mode, xattrs), &mut lost)?;
            self.mend_lost_acl(object, meta, mode, &mut lost)?;
        }
        self.lost.add(lost);
        self.stamp(object, meta)
    }

    /// Sets `changes` on an existing entry, and removes the attributes that `meta` does not have.
    ///
    /// # Errors
    /// As [`Keeper::dress`].
    pub fn repair(&self, object: Object<'_>, meta: &Meta, changes: Changes) -> Done {
        let now = sys::stat(object).map_err(fault("examine"))?;
        let (mut chowned, mut lost) = (false, Losses::default());
        let common = now.mode & self.mode(meta);
        if changes.owner && changes.mode && meta.kind != Kind::Symlink && common != now.mode {
            // The new owner and group are not to have, even for a moment, what was meant for the old ones.
            set_mode(object, (common, self.is_own(now.uid)), &mut lost)?;
        }
        if changes.owner {
            chowned = self.give(object, meta, ((now.uid, now.gid), &mut lost))?;
        }
        let has_mode = meta.kind != Kind::Symlink;
        let mut mode = now.mode;
        if changes.mode {
            mode = without_lost_owner(self.mode(meta), meta.kind, lost);
        }
        let mut sets_mode = has_mode && (changes.mode || (chowned && mode & SET_ID != 0));
        if changes.xattrs {
            let wanted = meta.xattrs.as_deref().unwrap_or_default();
            if self.remove_extra(object, wanted, now.mode)? {
                sets_mode = has_mode;
            }
        }
        if sets_mode {
            let shut = changes.xattrs && self.sets_access_acl(meta);
            let first = if shut { mode & !GROUP_BITS } else { mode };
            set_mode(object, (first, self.is_own(now.uid)), &mut lost)?;
        }
        if changes.xattrs {
            let wanted = meta.xattrs.as_deref().unwrap_or_default();
            self.put_xattrs(object, (mode, wanted), &mut lost)?;
            self.mend_lost_acl(object, meta, mode, &mut lost)?;
        }
        self.lost.add(lost);
        if changes.times { self.stamp(object, meta) } else { Ok(()) }
    }

    /// Whether an access ACL is set after the mode. Until then its mask, which the group bits of the mode are, must not be
    /// the right of the group.
    fn sets_access_acl(&self, meta: &Meta) -> bool {
        let mut all = meta.xattrs.iter().flat_map(|xattrs| xattrs.iter());
        self.keeps(ACL_ACCESS) && all.any(|xattr| &*xattr.name == ACL_ACCESS)
    }

    /// Where the access ACL could not be held, the group gets what the ACL granted to it.
    fn mend_lost_acl(&self, object: Object<'_>, meta: &Meta, mode: u32, lost: &mut Losses) -> Done {
        if !lost.has(Lost::Acls) || !self.sets_access_acl(meta) {
            return Ok(());
        }
        set_mode(object, (mode_without_acl(meta, mode), true), lost)
    }

    fn drops_acl(&self) -> bool {
        self.inherits_acl && (self.rule.preserve.mode || self.rule.preserve.acls)
    }

    fn fresh(&self, object: Object<'_>) -> Result<Fresh, Fault> {
        if let Some(fresh) = self.fresh.get() {
            return Ok(*fresh);
        }
        let meta = sys::stat(object).map_err(fault("examine"))?;
        let fresh = Fresh { uid: meta.uid, gid: meta.gid, dev: meta.id.dev };
        Ok(*self.fresh.get_or_init(|| fresh))
    }

    /// Whether the user may change metadata of an entry that belongs to `uid`.
    fn is_own(&self, uid: u32) -> bool {
        self.rule.may_chown || uid == self.rule.own_uid
    }

    /// Gives the entry to the owner of its source as far as the user may, if it is not theirs. Whether it was given.
    fn give(
        &self,
        object: Object<'_>,
        meta: &Meta,
        (has, lost): ((u32, u32), &mut Losses),
    ) -> Result<bool, Fault> {
        let uid = (self.rule.may_chown && meta.uid != has.0).then_some(meta.uid);
        let gid = (self.rule.may_chgrp(meta.gid) && meta.gid != has.1).then_some(meta.gid);
        if uid.is_none() && gid.is_none() {
            return Ok(false);
        }
        match sys::set_owner(object, uid, gid) {
            Ok(()) => Ok(true),
            Err(error) if is_not_held(&error) && self.is_own(has.0) => {
                lost.add(Lost::Owner);
                Ok(false)
            }
            Err(error) => Err(Fault { op: "set owner of", error }),
        }
    }

    fn stamp(&self, object: Object<'_>, meta: &Meta) -> Done {
        if !self.rule.preserve.times {
            return Ok(());
        }
        sys::set_times(object, meta.mtime).map_err(fault("set times of"))
    }

    fn keeps(&self, name: &[u8]) -> bool {
        self.rule.preserve.keeps_xattr(name, self.rule.may_chown)
    }

    /// Removes what `wanted` does not have. An access ACL that is to change goes first, with the mode shut, since a mode
    /// set while it stands would widen it. Whether that was done.
    fn remove_extra(&self, object: Object<'_>, wanted: &[Xattr], mode: u32) -> Result<bool, Fault> {
        let present = sys::xattrs_of(object).map_err(fault("read attributes of"))?;
        let mut shut = false;
        for xattr in present.iter().flat_map(|list| list.iter()) {
            if !self.keeps(&xattr.name) || wanted.contains(xattr) {
                continue;
            }
            let is_access = &*xattr.name == ACL_ACCESS;
            if is_access {
                sys::set_mode(object, mode & 0o700).map_err(fault("set mode of"))?;
                shut = true;
            }
            if is_access || !wanted.iter().any(|other| other.name == xattr.name) {
                match remove(object, &xattr.name) {
                    // What only the system sets, only the system removes.
                    Err(fault) if sys::is_not_permitted(&fault.error) => {}
                    other => other?,
                }
            }
        }
        Ok(shut)
    }

    /// Sets attributes, ACLs last; a file that its owner may not write is made writable for that moment.
    fn put_xattrs(
        &self,
        object: Object<'_>,
        (mode, xattrs): (u32, &[Xattr]),
        lost: &mut Losses,
    ) -> Done {
        let mut opened = false;
        let plain = xattrs.iter().filter(|xattr| !is_acl(&xattr.name));
        for xattr in plain.filter(|xattr| self.keeps(&xattr.name)) {
            let mut set = sys::set_xattr(object, &xattr.name, &xattr.value);
            let is_denied =
                set.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
            if is_denied && xattr.name.starts_with(b"user.") && !opened {
                sys::set_mode(object, mode | 0o200).map_err(fault("set mode of"))?;
                opened = true;
                set = sys::set_xattr(object, &xattr.name, &xattr.value);
            }
            if is_lost(set, &xattr.name)? {
                lost.add(Lost::Xattrs);
            }
        }
        if opened {
            sys::set_mode(object, mode).map_err(fault("set mode of"))?;
        }
        let acls = xattrs.iter().filter(|xattr| is_acl(&xattr.name));
        for xattr in acls.filter(|xattr| self.keeps(&xattr.name)) {
            let set = sys::set_xattr(object, &xattr.name, &xattr.value);
            if is_lost(set, &xattr.name)? {
                lost.add(Lost::Acls);
            }
        }
        Ok(())
    }
}

/// Takes a directory's default ACL, and the access ACL that it inherited itself, away again.
///
/// # Errors
/// Those of removing them.
pub fn strip_acls(object: Object<'_>) -> io::Result<()> {
    sys::remove_xattr(object, ACL_DEFAULT)?;
    sys::remove_xattr(object, ACL_ACCESS)
}

/// Sets the mode. That it is refused to somebody who may set it says that it cannot be held.
fn set_mode(object: Object<'_>, (mode, is_own): (u32, bool), lost: &mut Losses) -> Done {
    match sys::set_mode(object, mode) {
        Err(error) if is_own && is_not_held(&error) => {
            lost.add(Lost::Mode);
            Ok(())
        }
        other => other.map_err(fault("set mode of")),
    }
}

/// The mode of an entry whose owner may have been lost: set-id bits would give away the rights of somebody else.
fn without_lost_owner(mode: u32, kind: Kind, lost: Losses) -> u32 {
    if lost.has(Lost::Owner) && kind != Kind::Dir { mode & !SET_ID } else { mode }
}

/// Whether a file system without owners or modes would refuse like this.
fn is_not_held(error: &io::Error) -> bool {
    sys::is_not_permitted(error) || sys::is_unsupported(error)
}

fn remove(object: Object<'_>, name: &[u8]) -> Done {
    sys::remove_xattr(object, name).map_err(fault("remove attribute of"))
}

/// Whether the attribute cannot be held; another failure is one.
fn is_lost(set: io::Result<()>, name: &[u8]) -> Result<bool, Fault> {
    match set {
        Ok(()) => Ok(false),
        Err(error) if sys::is_unsupported(&error) || is_too_large(&error) => Ok(true),
        Err(error) if sys::is_not_permitted(&error) && is_restricted(name) => Ok(true),
        Err(error) => Err(Fault { op: "set attribute of", error }),
    }
}

/// Whether the file system has no room for an attribute of that size. Some say that the disk is full; where it really is,
/// the next file's content tells.
fn is_too_large(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::ArgumentListTooLong)
        || sys::is_out_of_range(error)
}

/// The rights of the group in a mode.
const GROUP_BITS: u32 = 0o070;

fn is_acl(name: &[u8]) -> bool {
    matches!(name, ACL_ACCESS | ACL_DEFAULT)
}

/// Whether only the privileged set it, or it is not for this type of entry.
fn is_restricted(name: &[u8]) -> bool {
    [&b"security."[..], b"trusted.", b"user."].iter().any(|prefix| name.starts_with(prefix))
}

fn fault(op: &'static str) -> impl FnOnce(io::Error) -> Fault {
    move |error| Fault { op, error }
}

/// Everything that can be lost, in the order in which it is counted.
const KINDS: [Lost; 4] = [Lost::Xattrs, Lost::Acls, Lost::Owner, Lost::Mode];
/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;

#[cfg(test)]
mod tests {
    use blit_core::task::{CopyInto, Over, Step};

    use super::*;
    use crate::sandbox::{Capability, Sandbox, kinds, name};

    /// rwx for the owner, r-x for user 1000, the mask `mask`, nothing for others.
    fn acl(mask: u16) -> Vec<u8> {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        let any = u32::MAX;
        for (tag, rights, id) in
            [(1_u16, 7_u16, any), (2, 5, 1000), (4, 5, any), (16, mask, any), (32, 0, any)]
        {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(rights.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    fn set(sandbox: &Sandbox, below: &str, attribute: &[u8], value: &[u8]) -> bool {
        let dir = sys::open_root(&sandbox.path("")).expect("open");
        let entry = sys::open_entry(&dir, &name(below)).expect("open");
        let set = sys::set_xattr((&entry).into(), attribute, value);
        if let Err(error) = &set {
            println!("SKIPPED, {} cannot be set here: {error}", attribute.escape_ascii());
        }
        set.is_ok()
    }

    fn xattr_names(meta: &Meta) -> Vec<String> {
        let all = meta.xattrs.iter().flat_map(|list| list.iter());
        all.map(|xattr| xattr.name.escape_ascii().to_string()).collect()
    }

    #[test]
    fn attributes_and_acls_arrive_with_the_file() {
        let sandbox = Sandbox::new();
        sandbox.file("f", b"content");
        let wanted = [(&b"user.note"[..], vec![b'n'; 900]), (ACL_ACCESS, acl(5))];
        if !wanted.iter().all(|(attribute, value)| set(&sandbox, "f", attribute, value)) {
            return;
        }
        for into in [CopyInto::New(Over::Nothing), CopyInto::Existing] {
            let to = if into == CopyInto::New(Over::Nothing) { "new" } else { "old" };
            if into == CopyInto::Existing {
                sandbox.mkdir("old");
            }
            let mut task = sandbox.copy_task("", to, into, Over::Nothing);
            task.picks.truncate(1);
            let copied = sandbox.run_copy(task).expect("copy");
            assert_eq!((kinds(&copied.failures), copied.lost), (vec![], vec![]));
            let (from, to) = (sandbox.meta("f"), sandbox.meta(&format!("{to}/f")));
            assert_eq!((from.xattrs, from.mode), (to.xattrs, to.mode));
        }
    }

    #[test]
    fn what_a_directory_bequeaths_never_widens_a_copy() {
        let sandbox = Sandbox::new();
        sandbox.file("source/f", b"content");
        sandbox.mkdir("heir");
        if !set(&sandbox, "heir", ACL_DEFAULT, &acl(7)) {
            return;
        }
        for (to, into) in [("heir/new", CopyInto::New(Over::Nothing)), ("heir", CopyInto::Existing)]
        {
            let task = sandbox.copy_task("source", to, into, Over::Nothing);
            assert_eq!(sandbox.run_copy(task).expect("copy").files, 1);
            let meta = sandbox.meta(&format!("{to}/f"));
            assert_eq!((meta.xattrs, meta.mode), (None, sandbox.meta("source/f").mode));
        }
        assert_eq!(sandbox.meta("heir/new").xattrs, None);
        let meta = Box::new(sandbox.meta("heir"));
        let changes = Changes::all(&Preserve::ALL);
        let finished = sandbox.place(sandbox.dir("heir/new"), vec![Step::Finish { meta, changes }]);
        assert_eq!(kinds(&finished.failures), []);
        assert_eq!(xattr_names(&sandbox.meta("heir/new")), ["system.posix_acl_default"]);
    }

    #[test]
    fn what_is_not_kept_is_left_to_the_system() {
        let sandbox = Sandbox::new();
        sandbox.file("a/f", b"content");
        sandbox.set_mode("a/f", 0o4777);
        let mut task = sandbox.copy_task("a", "b", CopyInto::New(Over::Nothing), Over::Nothing);
        task.manner.preserve = Preserve {
            mode: false,
            owner: false,
            times: false,
            xattrs: false,
            acls: false,
            ..Preserve::ALL
        };
        sandbox.run_copy(task).expect("copy");
        let (from, to) = (sandbox.meta("a/f"), sandbox.meta("b/f"));
        assert!(!sandbox.can(Capability::Modes) || to.mode == 0o777 & !sys::umask());
        assert!(to.mtime > from.mtime);
    }

    #[test]
    fn owners_arrive_where_the_user_may_give_files_away() {
        if !sys::identity().may_chown {
            println!("SKIPPED, files cannot be given away");
            return;
        }
        let sandbox = Sandbox::new();
        sandbox.file("a/f", b"content");
        let dir = sys::open_root(&sandbox.path("a")).expect("open");
        let entry = sys::open_entry(&dir, &name("f")).expect("open");
        sys::set_owner((&entry).into(), Some(12), Some(34)).expect("chown");
        sandbox.set_mode("a/f", 0o6755);
        sandbox.mkdir("c");
        for (to, into) in [("b", CopyInto::New(Over::Nothing)), ("c", CopyInto::Existing)] {
            sandbox.run_copy(sandbox.copy_task("a", to, into, Over::Nothing)).expect("copy");
            let meta = sandbox.meta(&format!("{to}/f"));
            assert_eq!((meta.uid, meta.gid, meta.mode), (12, 34, 0o6755));
        }
    }
}
