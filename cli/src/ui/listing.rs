//! Tables of what is there: entries, sums and file systems. It must not know where they are printed.

use blit_core::ErrorKind;
use blit_core::entry::{Kind, Meta};
use blit_core::path::Escaped;
use blit_core::task::SpaceFacts;
use blit_rpc::jobs::{Job, Order};
use blit_rpc::look::ModuleInfo;
use jiff::tz::TimeZone;

use super::quantity::{count, date, elapsed, size};
use crate::commands::Sum;
use crate::report;

/// One line for each entry: `drwxr-xr-x  1000 1000     1.2 KiB  2026-01-31 12:00:00  name/`.
pub(super) fn entries(entries: &[(Vec<u8>, Meta)]) -> Vec<String> {
    let zone = TimeZone::system();
    let cells = |(name, meta): &(Vec<u8>, Meta)| {
        let bytes = if meta.kind == Kind::File { size(meta.size) } else { String::new() };
        let (uid, gid) = (meta.uid.to_string(), meta.gid.to_string());
        vec![mode(meta), uid, gid, bytes, date(meta.mtime, &zone), shown_name(name, meta)]
    };
    table(entries.iter().map(cells).collect(), &[1, 2, 3])
}

/// One line for each sum.
pub(super) fn sums(sums: &[Sum]) -> Vec<String> {
    let mut rows = vec![header(&["SIZE", "DISK", "ENTRIES", "PATH"])];
    rows.extend(sums.iter().map(|sum| {
        let path = Escaped(&sum.path).to_string();
        vec![size(sum.bytes), size(sum.allocated), count(sum.entries), path]
    }));
    table(rows, &[0, 1, 2])
}

/// One line for each file system.
pub(super) fn spaces(spaces: &[(Vec<u8>, SpaceFacts)]) -> Vec<String> {
    let mut rows = vec![header(&["SIZE", "AVAILABLE", "FREE", "PATH"])];
    rows.extend(spaces.iter().map(|(path, facts)| {
        let free = u128::from(facts.available) * 100 / u128::from(facts.total.max(1));
        let path = Escaped(path).to_string();
        vec![size(facts.total), size(facts.available), format!("{free}%"), path]
    }));
    table(rows, &[0, 1, 2])
}

/// One line a module.
pub(super) fn modules(modules: &[ModuleInfo]) -> Vec<String> {
    let mut rows = vec![header(&["MODULE", "RIGHTS", "COMMENT"])];
    rows.extend(modules.iter().map(|module| {
        let rights = if module.read_only { "read" } else { "read, write" };
        let shown = |text: &str| Escaped(text.as_bytes()).to_string();
        vec![module_name(&module.name), rights.to_owned(), shown(&module.comment)]
    }));
    table(rows, &[])
}

fn module_name(name: &str) -> String {
    let name = if name.is_empty() { "(default root)" } else { name };
    Escaped(name.as_bytes()).to_string()
}

/// One line a job. Those of a table that goes on have no header, and stand where the columns of the header were.
pub(super) fn jobs(jobs: &[Job], begins: bool) -> Vec<String> {
    let zone = TimeZone::system();
    let mut rows =
        vec![header(&["ID", "STATE", "WHAT", "STARTED", "TOOK", "ENTRIES", "SIZE", "MODULE"])];
    rows.extend(jobs.iter().map(|job| {
        let dry = if job.dry_run { " (dry run)" } else { "" };
        let what = match job.order {
            Order::Look | Order::Remove => format!("{}{dry}", job.order.word()),
            Order::Pull | Order::Push => {
                format!("{} {}{dry}", job.order.word(), report::verb_word(job.verb))
            }
        };
        let error = job.end.as_ref().and_then(|end| end.error.as_ref());
        let why = error.map(|error| match error.kind {
            ErrorKind::Cancelled => format!(": {}", error.reason()),
            _ => format!(": {error}"),
        });
        vec![
            format!("{:>4}", job.id),
            format!("{:10}", report::job_state(job)),
            format!("{what:12}"),
            date(job.started, &zone),
            format!("{:>9}", elapsed(job.took)),
            format!("{:>9}", count(job.progress.files)),
            format!("{:>9}", size(job.progress.bytes)),
            module_name(&job.module) + &why.unwrap_or_default(),
        ]
    }));
    let lines = table(rows, &[0, 4, 5, 6]);
    lines.into_iter().skip(usize::from(!begins)).collect()
}

fn header(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Cells below each other; those of the columns `right` end below each other.
fn table(rows: Vec<Vec<String>>, right: &[usize]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: Vec<String>| {
        let last = row.len() - 1;
        let cells = row.into_iter().enumerate().map(|(column, cell)| match widths[column] {
            _ if column == last => cell,
            width if right.contains(&column) => format!("{cell:>width$}"),
            width => format!("{cell:width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.into_iter().map(line).collect()
}

fn shown_name(name: &[u8], meta: &Meta) -> String {
    let is_marked = name.ends_with(b"/");
    let name = Escaped(name);
    match (meta.kind, &meta.target) {
        (Kind::Dir, _) if !is_marked => format!("{name}/"),
        (Kind::Symlink, Some(target)) => format!("{name} -> {}", Escaped(target)),
        _ => name.to_string(),
    }
}

/// The type and the permissions as `ls -l` shows them.
fn mode(meta: &Meta) -> String {
    let kind = match meta.kind {
        Kind::File => '-',
        Kind::Dir => 'd',
        Kind::Symlink => 'l',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = meta.mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (meta.mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, false) => letter.to_ascii_uppercase(),
            (true, true) => letter,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use blit_core::entry::{FileId, Time};

    use super::*;

    fn meta(kind: Kind, mode: u32) -> Meta {
        Meta {
            kind,
            size: 0,
            allocated: 0,
            mtime: Time::default(),
            ctime: Time::default(),
            mode,
            uid: 0,
            gid: 0,
            nlink: 1,
            id: FileId::default(),
            rdev: 0,
            xattrs: None,
            target: None,
            mounted: false,
        }
    }

    #[test]
    fn modes_are_shown_as_ls_does() {
        for (kind, bits, text) in [
            (Kind::File, 0o644, "-rw-r--r--"),
            (Kind::Dir, 0o1777, "drwxrwxrwt"),
            (Kind::Dir, 0o3770, "drwxrws--T"),
            (Kind::File, 0o6755, "-rwsr-sr-x"),
            (Kind::File, 0o4644, "-rwSr--r--"),
            (Kind::Symlink, 0o777, "lrwxrwxrwx"),
        ] {
            assert_eq!(mode(&meta(kind, bits)), text);
        }
    }

    #[test]
    fn cells_stand_below_each_other() {
        let rows = [["a", "1", "x y"], ["bbb", "100", "z"]];
        let rows = rows.iter().map(|row| header(row)).collect();
        assert_eq!(table(rows, &[1]), ["a      1  x y", "bbb  100  z"]);
    }
}
