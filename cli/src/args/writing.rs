//! The options of copy and mirror that change what is read and how it is written.
//! It must not decide which of them go together with others than clap can tell.

use std::ffi::OsString;

use clap::ValueHint;

/// How entries come to the destination.
#[derive(Debug, clap::Args)]
pub(crate) struct WritingArgs {
    /// Follow the links in the source, and copy what they lead to
    ///
    /// Also links that lead out of the source are followed, but none from a daemon. A link that leads to nothing, or back to a directory that it is
    /// in, is a failed entry; so is one that leads into the destination.
    #[arg(short = 'L', long)]
    pub(crate) copy_links: bool,

    /// Overwrite files where they stand instead of replacing them
    ///
    /// The file stays the same inode, and no second copy of it needs room. Until it is finished, and after a crash or an
    /// interruption, it is a mixture of old and new; the same command run again repairs it. A file with several names is
    /// replaced all the same, since the others would change too.
    #[arg(long, conflicts_with = "backup_dir")]
    pub(crate) inplace: bool,

    /// Keep in DIR what is replaced or removed, under the same path
    ///
    /// DIR must exist, on the file system of DST; in DST it is never removed. An earlier backup is never overwritten: the
    /// next one gets ~1, ~2 and so on after its name. For a DST at a daemon, DIR is host:/module/path, /path below the module,
    /// or relative to DST.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) backup_dir: Option<OsString>,

    /// Make files that are unchanged since an earlier copy in DIR hard links to those
    ///
    /// DIR is laid out as DST is: for DST/a/b it is DIR/a/b that is looked at. A file is linked if size, time and all that is
    /// kept agree; any other is copied. A relative DIR is relative to the current directory; for a DST at a daemon, DIR is
    /// host:/module/path, /path below the module, or relative to DST.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(conflicts_with_all = ["checksum", "ignore_times"])]
    pub(crate) link_dest: Option<OsString>,
}
