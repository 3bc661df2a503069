//! Whether two trees are the same in every respect that a copy keeps. Written apart from blit's own reading of trees, and
//! able to read paths of any length.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::OFlag;

use super::sandbox::{Capability, Sandbox};

/// All entries of a tree by path; the root is the empty path.
pub(crate) type Tree = BTreeMap<Vec<u8>, Facts>;

/// What a copy keeps of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    /// Of content; of directories nothing.
    pub(crate) size: u64,
    /// Digest of the content of a file, target of a link, number of a device.
    pub(crate) content: Vec<u8>,
    pub(crate) xattrs: BTreeMap<OsString, Vec<u8>>,
    /// The first other name of the same inode.
    pub(crate) same_as: Option<Vec<u8>>,
}

/// Reads the tree at `root`.
pub(crate) fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut inodes = HashMap::new();
    read_entry(root, Vec::new(), &mut tree, &mut inodes);
    tree
}

/// Fails with every difference unless both trees are the same; then asks rsync too.
#[track_caller]
pub(crate) fn assert_same(sandbox: &Sandbox, source: &Path, destination: &Path) {
    assert_same_facts(&read(source), &read(destination));
    if sandbox.can(Capability::Rsync) {
        assert_rsync_agrees(source, destination);
    }
}

#[track_caller]
pub(crate) fn assert_same_facts(source: &Tree, destination: &Tree) {
    let differences = differences(source, destination);
    assert!(differences.is_empty(), "the trees differ:\n{differences}");
}

/// Fails if rsync would change anything.
#[track_caller]
fn assert_rsync_agrees(source: &Path, destination: &Path) {
    let mut command = Command::new("rsync");
    command.args(["-aHAXSnci", "--modify-window=-1", "--delete"]);
    let slash = |path: &Path| path.join("");
    let output = command.arg(slash(source)).arg(slash(destination)).output().expect("rsync starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "rsync finds: {said}\n{output:?}");
}

fn differences(source: &Tree, destination: &Tree) -> String {
    let mut text = String::new();
    let shown =
        |path: &[u8]| String::from_utf8_lossy(&path[path.len().saturating_sub(200)..]).into_owned();
    for (path, wanted) in source {
        match destination.get(path) {
            Some(found) if found == wanted => {}
            Some(found) => {
                writeln!(text, "{}:\n  {wanted:?}\n  {found:?}", shown(path)).expect("memory");
            }
            None => writeln!(text, "{}: missing", shown(path)).expect("memory"),
        }
    }
    for path in destination.keys().filter(|path| !source.contains_key(*path)) {
        writeln!(text, "{}: too much", shown(path)).expect("memory");
    }
    text
}

fn read_entry(
    at: &Path,
    path: Vec<u8>,
    tree: &mut Tree,
    inodes: &mut HashMap<(u64, u64), Vec<u8>>,
) {
    let meta = at.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", at.display()));
    let kind = kind(&meta);
    let inode = (meta.dev(), meta.ino());
    let same_as = (kind != "dir").then(|| inodes.get(&inode).cloned()).flatten();
    inodes.entry(inode).or_insert_with(|| path.clone());
    let facts = Facts {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        size: if kind == "dir" { 0 } else { meta.size() },
        content: content(at, kind, &meta),
        xattrs: xattrs(at),
        same_as,
    };
    tree.insert(path.clone(), facts);
    if kind == "dir" {
        let dir = open_dir(at);
        let entries = fs::read_dir(below(&dir, OsStr::new("."))).expect("readable");
        let mut names: Vec<OsString> =
            entries.map(|entry| entry.expect("readable").file_name()).collect();
        // In one order, so that it is the same name that others are told to be the same as.
        names.sort();
        for name in names {
            let mut child = path.clone();
            if !child.is_empty() {
                child.push(b'/');
            }
            child.extend(name.as_bytes());
            read_entry(&below(&dir, &name), child, tree, inodes);
        }
    }
}

/// A directory that is held open, so that what is below it can be named however deep it is.
pub(crate) fn open_dir(path: &Path) -> File {
    let flags = (OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A short path of the entry `name` of an open directory.
pub(crate) fn below(dir: &File, name: &OsStr) -> PathBuf {
    Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name)
}

fn kind(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_dir() => "dir",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() => "char",
        () => "block",
    }
}

fn content(at: &Path, kind: &str, meta: &Metadata) -> Vec<u8> {
    match kind {
        "file" => digest(at).to_be_bytes().to_vec(),
        "symlink" => fs::read_link(at).expect("readable").into_os_string().into_vec(),
        "char" | "block" => meta.rdev().to_be_bytes().to_vec(),
        _ => Vec::new(),
    }
}

fn digest(at: &Path) -> u64 {
    let mut file = File::open(at).unwrap_or_else(|error| panic!("{}: {error}", at.display()));
    let mut buffer = vec![0; 1 << 16];
    let mut hasher = DefaultHasher::new();
    loop {
        let len = file.read(&mut buffer).expect("readable");
        if len == 0 {
            return hasher.finish();
        }
        buffer[..len].hash(&mut hasher);
    }
}

fn xattrs(at: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let Ok(len) = rustix::fs::llistxattr(at, &mut names[..]) else { return BTreeMap::new() };
    names[..len]
        .split(|byte| *byte == 0)
        // XFS shows an ACL a second time under this name.
        .filter(|name| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL"))
        .map(|name| {
            let name = OsStr::from_bytes(name);
            let mut value = vec![0; 1 << 16];
            let len = rustix::fs::lgetxattr(at, name, &mut value[..]).expect("listed just now");
            value.truncate(len);
            (name.to_owned(), value)
        })
        .collect()
}
