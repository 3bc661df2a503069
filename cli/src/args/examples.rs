//! What follows the options in the help of a verb.

pub(super) const TOP: &str = "\
Examples:
  blit copy notes.txt /backup/      copy one file into the directory /backup
  blit copy photos /backup/         copy the directory photos to /backup/photos
  blit copy -n photos /backup/      only tell what that would do
  blit mirror photos /backup/       make /backup/photos equal to photos, deletions included
  blit check photos /backup/        tell where the two differ
  blit copy photos store:/backup/   copy to the module backup of the daemon on store
  blit modules store                tell which modules that daemon offers";

/// The slash rule, as each verb with a source and a destination has it.
macro_rules! slash_rule {
    ($verb:literal, $done:literal) => {
        concat!(
            "The trailing slash:
  A directory without a trailing slash is ",
            $done,
            " as itself; with a slash, its contents are ",
            $done,
            ".

    blit ",
            $verb,
            " photos  /backup         makes /backup/photos/a.jpg
    blit ",
            $verb,
            " photos/ /backup         makes /backup/a.jpg

  It makes no difference whether /backup exists already.
"
        )
    };
}

/// How a verb with a source and a destination ends.
macro_rules! exit_codes {
    ($done:literal) => {
        concat!(
            "
  Run the same command again after an error or an interruption: it goes on where it stopped.

Exit codes:
    0    everything is ",
            $done,
            "
    1    some entries failed, all others are ",
            $done,
            "
    2    the request cannot be carried out as it stands; nothing was done
    3    the other machine cannot be reached or refused
    4    the run failed before its end
    130  interrupted"
        )
    };
}

pub(super) const COPY: &str = concat!(
    slash_rule!("copy", "copied"),
    "
  A slash after DST changes nothing if DST is a directory. For a single file it decides what is meant:

    blit copy a.txt b.txt             makes (or replaces) the file b.txt
    blit copy a.txt b                 makes b/a.txt if b is a directory, otherwise the file b
    blit copy a.txt b/                always makes b/a.txt

Examples:
    blit copy a.txt b.txt photos /backup/     several sources go into one directory
    blit copy -n -v photos /backup/           tell each change that would be made; make none
    blit copy --exclude '*.tmp' src/ dst      leave out what is not worth it
    blit copy --no-owner /mnt/usb/ ~/usb      keep everything but the owners
    blit copy --fsync ledger/ /safe/ledger    survive a power cut from the moment it is done
    blit copy --json a/ b/ | jq .bytes        a program reads the result
    blit copy photos store:/backup/           to another machine, into the module backup
    blit copy store:/backup/photos restored   and back from there
",
    exit_codes!("copied")
);

pub(super) const MIRROR: &str = concat!(
    slash_rule!("mirror", "mirrored"),
    "
  So `blit mirror photos /backup` removes things in /backup/photos only, and `blit mirror photos/ /backup` in /backup.

What is never removed:
  - what is below a directory of which the source could not be read completely;
  - anything, if the source is missing or empty (--allow-empty-source mirrors an empty one);
  - what the filters leave out (--delete-excluded removes it too);
  - anything, if that would be more than --max-delete allows;
  - anything that is only there, if that has become more than you were asked about.

Examples:
    blit mirror -n photos/ /backup/photos                 tell what would be done and removed
    blit mirror --yes photos/ /backup/photos              from a script
    blit mirror --yes --max-delete 10% photos/ /b/photos  but not if a tenth would go
",
    exit_codes!("mirrored")
);

pub(super) const MOVE: &str = concat!(
    slash_rule!("move", "moved"),
    "
Examples:
    blit move a.txt b.txt                   give a file another name
    blit move photos /mnt/disk/             to another file system
    blit move --exclude '*.tmp' a/ b        what is left out stays where it is
",
    exit_codes!("moved")
);

pub(super) const CHECK: &str = "\
The trailing slash means the same as for mirror; these two compare the same:
    blit check photos  /backup
    blit check photos/ /backup/photos

Examples:
    blit check --checksum photos/ /backup/photos      read both sides
    blit check --data-only -q a/ b && echo same       names and contents only, from a script

Exit codes:
    0    the same
    1    different
    2    the request cannot be carried out as it stands
    3    the other machine cannot be reached or refused
    4    no difference was found, but not everything could be compared
    130  interrupted";
