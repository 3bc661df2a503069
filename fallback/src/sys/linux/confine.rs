//! Linux: what a thread can give up for good: its user and groups, and all files but those below one directory.
//! It must not know who asks for it, nor give anything up in other threads.
//!
//! Credentials belong to a thread here; the C library's wrappers would change all threads of the process, so the calls
//! are made without them. A Landlock domain belongs to a thread as well.
#![expect(unsafe_code, reason = "neither credentials of one thread nor Landlock have a wrapper")]

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;

use super::{OpenDir, checked};
use crate::sys::{Enforced, Identity, Owner, Reach};

/// Confines the calling thread, for ever, to what is below `root` and to the rights of `owner`. Threads that it starts
/// later are confined as well; those that exist are not. Information about processes and mounts stays readable as far as
/// it is this process's own. A failure can leave the thread with less than it had.
///
/// # Errors
/// Those of `setgroups(2)`, `setresgid(2)`, `setresuid(2)` and of Landlock, where the kernel has it.
pub fn confine(root: &OpenDir, reach: Reach, owner: Option<Owner>) -> io::Result<Enforced> {
    let abi = landlock_abi();
    let ruleset = if abi >= ABI_MIN { Some(Ruleset::new(abi)?) } else { None };
    if let Some(ruleset) = &ruleset {
        ruleset.allow(root.as_fd(), rights_of(reach) & handled_by(abi))?;
        let own = File::open("/proc/self")?;
        ruleset.allow(own.as_fd(), READ)?;
    }
    if let Some(owner) = owner {
        become_owner(owner)?;
    }
    nix::sys::prctl::set_no_new_privs()?;
    if let Some(ruleset) = ruleset {
        ruleset.restrict_thread()?;
    }
    Ok(Enforced { landlock_abi: (abi >= ABI_MIN).then_some(abi) })
}

/// Who the calling thread is, where it is not who the process is.
pub(super) fn own_identity() -> Option<&'static Identity> {
    OWN.get()
}

fn become_owner(owner: Owner) -> io::Result<()> {
    let Owner { uid, gid } = owner;
    let euid = nix::unistd::geteuid();
    let is_already = euid.as_raw() == uid && nix::unistd::getegid().as_raw() == gid;
    if is_already && !euid.is_root() {
        return Ok(());
    }
    // SAFETY: no group is read from the null pointer, since there are none.
    let groups = unsafe { libc::syscall(libc::SYS_setgroups, 0_usize, ptr::null::<libc::gid_t>()) };
    checked(groups)?;
    // SAFETY: the call takes three integers.
    checked(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: the call takes three integers.
    checked(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    if uid != 0 {
        // The kernel takes them from who was root before; not from who was somebody else that could become others.
        drop_capabilities()?;
    }
    OWN.set(Some(identity_of(owner)));
    Ok(())
}

fn drop_capabilities() -> io::Result<()> {
    // SAFETY: the call takes integers.
    let cleared =
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    Errno::result(cleared)?;
    let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let none = [CapabilityData { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: both have the layout of the kernel's structures in this version; 0 is the calling thread.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    checked(set).map(drop)
}

/// One value per owner that was ever asked for lives as long as the process; a configuration names a few.
fn identity_of(Owner { uid, gid }: Owner) -> &'static Identity {
    static KNOWN: Mutex<Vec<&'static Identity>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |known: &&&Identity| known.uid == uid && *known.groups == [gid];
    if let Some(identity) = known.iter().find(is_it) {
        return identity;
    }
    let identity = Identity { uid, may_chown: uid == 0, groups: [gid].into() };
    let identity: &'static Identity = Box::leak(Box::new(identity));
    known.push(identity);
    identity
}

/// The version of Landlock's interface; 0 where there is none, or it is switched off.
fn landlock_abi() -> u32 {
    // SAFETY: with this flag the call reads no attributes.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<RulesetAttr>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).unwrap_or(0)
}

struct Ruleset(OwnedFd);

impl Ruleset {
    /// One that forbids everything this version of the interface can forbid with files.
    fn new(abi: u32) -> io::Result<Self> {
        let attr = RulesetAttr { handled_access_fs: handled_by(abi) };
        // SAFETY: `attr` has the layout of the kernel's structure up to the size that is given with it.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const attr,
                size_of::<RulesetAttr>(),
                0_u32,
            )
        };
        let fd = i32::try_from(checked(fd)?).map_err(|_| io::Error::from(Errno::EBADF))?;
        // SAFETY: the kernel has just made this descriptor, and nothing else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn allow(&self, dir: BorrowedFd<'_>, rights: u64) -> io::Result<()> {
        let attr = PathBeneathAttr { allowed_access: rights, parent_fd: dir.as_raw_fd() };
        // SAFETY: `attr` has the layout of the kernel's structure for this type of rule; both descriptors are open.
        let added = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.0.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const attr,
                0_u32,
            )
        };
        checked(added).map(drop)
    }

    fn restrict_thread(self) -> io::Result<()> {
        // SAFETY: the call takes a descriptor, which is open, and no flags.
        let done =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0_u32) };
        checked(done).map(drop)
    }
}

fn rights_of(reach: Reach) -> u64 {
    match reach {
        Reach::Read => READ,
        Reach::Write => READ | WRITE,
    }
}

fn handled_by(abi: u32) -> u64 {
    let truncate = if abi >= 3 { TRUNCATE } else { 0 };
    let ioctl_dev = if abi >= 5 { IOCTL_DEV } else { 0 };
    EXECUTE | READ | (WRITE & !TRUNCATE) | truncate | ioctl_dev
}

/// The beginning of the kernel's structure, which is extensible: what follows is zero.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
}

#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

thread_local! {
    static OWN: Cell<Option<&'static Identity>> = const { Cell::new(None) };
}

/// The third version has two sets of 32 capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;
/// The first version forbids every rename and link from one directory to another, which a copy needs.
const ABI_MIN: u32 = 2;

const EXECUTE: u64 = 1;
/// Reading files (bit 2) and directories (bit 3).
const READ: u64 = 1 << 2 | 1 << 3;
/// Writing files (bit 1), removing and making every type of entry (bits 4 to 12), moving them from one directory to
/// another (bit 13), truncating.
const WRITE: u64 = 1 << 1 | 0x1ff << 4 | 1 << 13 | TRUNCATE;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::super::open_root;
    use super::*;
    use crate::sandbox::Sandbox;

    const NOBODY: Owner = Owner { uid: 65_534, gid: 65_533 };

    fn in_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(work).join().expect("it does not panic"))
    }

    fn skip(name: &str, why: &str) {
        let line = format!("SKIPPED {name}: {why}\n");
        io::stderr().write_all(line.as_bytes()).expect("stderr takes it");
    }

    fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn a_confined_thread_reaches_only_its_root_and_the_others_keep_their_rights() {
        if landlock_abi() < ABI_MIN {
            skip("a_confined_thread_reaches_only_its_root", "this kernel has no Landlock");
            return;
        }
        let sandbox = Sandbox::new();
        sandbox.file("in/f", b"inside");
        sandbox.file("out/f", b"outside");
        let root = open_root(&sandbox.path("in")).expect("open");
        let path = |path: &str| sandbox.path(path);
        in_a_thread(|| {
            assert_eq!(std::fs::read(path("out/f")).expect("not confined yet"), b"outside");
            let enforced = confine(&root, Reach::Write, None).expect("confine");
            assert!(enforced.landlock_abi.is_some());
            assert_eq!(std::fs::read(path("in/f")).expect("inside"), b"inside");
            std::fs::write(path("in/g"), "new").expect("inside");
            std::fs::rename(path("in/g"), path("in/h")).expect("inside");
            let denied = Some(ErrorKind::PermissionDenied);
            assert_eq!(kind(std::fs::read(path("out/f"))), denied);
            assert_eq!(kind(std::fs::read_dir(path("out"))), denied);
            assert_eq!(kind(std::fs::write(path("out/g"), "")), denied);
            assert_eq!(kind(std::fs::remove_file(path("out/f"))), denied);
            assert!(kind(std::fs::rename(path("in/h"), path("out/h"))).is_some());
            assert_eq!(kind(std::fs::read("/proc/1/status")), denied);
            assert!(std::fs::read("/proc/thread-self/mountinfo").is_ok());
        });
        assert_eq!(std::fs::read(path("out/f")).expect("still there"), b"outside");
        assert!(!path("out/g").exists() && !path("out/h").exists());
    }

    #[test]
    fn a_thread_confined_to_reading_writes_nothing() {
        if landlock_abi() < ABI_MIN {
            skip("a_thread_confined_to_reading_writes_nothing", "this kernel has no Landlock");
            return;
        }
        let sandbox = Sandbox::new();
        sandbox.file("in/f", b"inside");
        let root = open_root(&sandbox.path("in")).expect("open");
        in_a_thread(|| {
            confine(&root, Reach::Read, None).expect("confine");
            let denied = Some(ErrorKind::PermissionDenied);
            assert_eq!(std::fs::read(sandbox.path("in/f")).expect("inside"), b"inside");
            assert_eq!(kind(std::fs::write(sandbox.path("in/f"), "x")), denied);
            assert_eq!(kind(std::fs::write(sandbox.path("in/g"), "x")), denied);
            assert_eq!(kind(std::fs::remove_file(sandbox.path("in/f"))), denied);
        });
        assert_eq!(std::fs::read(sandbox.path("in/f")).expect("there"), b"inside");
    }

    #[test]
    fn whoever_may_become_others_without_being_root_keeps_no_capability_either() {
        if !nix::unistd::geteuid().is_root() {
            skip("whoever_may_become_others", "only root can become somebody else");
            return;
        }
        let sandbox = Sandbox::new();
        let root = open_root(&sandbox.path("")).expect("open");
        in_a_thread(|| {
            // SAFETY: the calls take integers; they make this thread a user with all capabilities.
            unsafe {
                checked(libc::c_long::from(libc::prctl(libc::PR_SET_KEEPCAPS, 1))).expect("root");
                checked(libc::syscall(libc::SYS_setresuid, 1, 1, 1)).expect("root");
            }
            let permitted = super::super::status_field("CapPrm:", 16).expect("there");
            let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("32 bits");
            let (low, high) = (half(permitted), half(permitted >> 32));
            let all = |bits| CapabilityData { effective: bits, permitted: bits, inheritable: 0 };
            let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
            let data = [all(low), all(high)];
            // SAFETY: as above.
            let set = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
            checked(set).expect("they are permitted");
            assert_ne!(super::super::status_field("CapEff:", 16), Some(0));
            confine(&root, Reach::Read, Some(NOBODY)).expect("confine");
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(super::super::status_field(set, 16), Some(0), "{set}");
            }
        });
    }

    #[test]
    fn a_thread_becomes_its_owner_alone() {
        if !nix::unistd::geteuid().is_root() {
            skip("a_thread_becomes_its_owner_alone", "only root can become somebody else");
            return;
        }
        let sandbox = Sandbox::new();
        sandbox.file("in/secret", b"root's");
        for (path, mode) in [("in/secret", 0o600), ("in", 0o777), ("", 0o755)] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(sandbox.path(path), mode).expect("own file");
        }
        let root = open_root(&sandbox.path("in")).expect("open");
        in_a_thread(|| {
            confine(&root, Reach::Write, Some(NOBODY)).expect("confine");
            std::fs::write(sandbox.path("in/f"), "").expect("inside");
            assert_eq!(
                kind(std::fs::read(sandbox.path("in/secret"))),
                Some(ErrorKind::PermissionDenied)
            );
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(super::super::status_field(set, 16), Some(0), "{set}");
            }
            let identity = super::super::identity();
            assert_eq!((identity.uid, identity.may_chown), (NOBODY.uid, false));
            assert_eq!(*identity.groups, [NOBODY.gid]);
            // SAFETY: the call takes three integers.
            let back = checked(unsafe { libc::syscall(libc::SYS_setresuid, 0, 0, 0) });
            assert!(back.is_err(), "there is no way back");
        });
        let meta = sandbox.path("in/f").metadata().expect("it was made");
        assert_eq!((meta.uid(), meta.gid()), (NOBODY.uid, NOBODY.gid));
        std::fs::write(sandbox.path("g"), "").expect("other threads are who they were");
        assert_eq!(sandbox.path("g").metadata().expect("made").uid(), 0);
        assert_eq!(super::super::identity().uid, 0);
        assert_eq!(Path::new("/proc/thread-self").metadata().expect("there").uid(), 0);
    }
}
