//! Every switch that says what is compared or kept, in one table each.

use std::fs;

use crate::support::compare::{Facts, read};
use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Sandbox};
use crate::support::tree::{Node, fifo, file, hard};

/// One file for each way in which a source and what stands at its destination relate; nothing else differs.
fn make_pairs(sandbox: &Sandbox) {
    let (then, later) = (1_000_000_000, 1_500_000_000);
    sandbox.make(&[
        file("src/absent", "new").time(then, 0),
        file("src/content", "new").time(then, 0),
        file("src/newer", "new").time(then, 0),
        file("src/older", "new").time(later, 0),
        file("src/same", "new").time(then, 0),
        file("src/size", "new").time(then, 0),
        file("dst/content", "old").time(then, 0),
        file("dst/newer", "newest").time(later, 0),
        file("dst/older", "new").time(then, 0),
        file("dst/same", "new").time(then, 0),
        file("dst/size", "older").time(then, 0),
    ]);
}

/// What a run changes, as its itemised list says; directories apart.
fn changed(sandbox: &Sandbox, verb: &str, switches: &[&str]) -> String {
    for name in ["src", "dst"] {
        drop(fs::remove_dir_all(sandbox.path(name)));
    }
    make_pairs(sandbox);
    let yes: &[&str] = if verb == "mirror" { &["--yes"] } else { &[] };
    let args = [&[verb, "-i", "src/", "dst"], yes, switches].concat();
    let dry = sandbox.blit(&[&args[..], &["-n"]].concat()).code(0);
    let run = sandbox.blit(&args).code(0);
    assert_eq!(dry.changes(), run.changes(), "{args:?}");
    // Which metadata were set is not what is looked at here.
    let changes = run.changes();
    let lines = changes.iter().filter_map(|line| line.split(" (").next());
    let lines = lines.filter(|line| !line.ends_with(" .") && !line.starts_with('X'));
    lines.collect::<Vec<_>>().join(", ")
}

/// What the source has of a kind of metadata, and the destination has if it was kept.
type Look = fn(&Facts) -> String;

const KINDS: [(&str, &str, Look); 6] = [
    ("--no-perms", "f", |facts| format!("{:o}", facts.mode)),
    ("--no-times", "f", |facts| format!("{:?}", facts.mtime)),
    ("--no-owner", "f", |facts| format!("{:?}", facts.owner)),
    ("--no-xattrs", "f", |facts| {
        format!("{:?}", facts.xattrs.get("user.tag".as_ref() as &std::ffi::OsStr))
    }),
    ("--no-acls", "listed", |facts| {
        format!("{:?}", facts.xattrs.get("system.posix_acl_access".as_ref() as &std::ffi::OsStr))
    }),
    ("--no-hardlinks", "hard", |facts| format!("{:?}", facts.same_as)),
];

fn kinds(sandbox: &Sandbox) -> Vec<Node> {
    let mut one = file("src/f", "x").mode(0o666).time(5, 5);
    // Apart, since an access list shows through the permissions.
    let mut listed = file("src/listed", "x");
    if sandbox.can(Capability::Root) {
        one = one.owner(12, 34);
    }
    if sandbox.can(Capability::Xattrs) {
        one = one.xattr("user.tag", "value");
        listed = listed.acl(1234, 6);
    }
    vec![one, listed, hard("src/hard", "src/f"), fifo("src/pipe")]
}

on_every_engine! {
    fn comparison_switches_decide_what_is_transferred(sandbox) {
        let by_times = "C absent, R newer, R older, R size";
        let by_size = "C absent, M older, R newer, R size";
        let by_content = "C absent, M older, R content, R newer, R size";
        for (switches, changes) in [
            (&[][..], by_times),
            (&["--checksum"], by_content),
            (&["-c"], by_content),
            (&["--size-only"], by_size),
            (&["--ignore-times"], "C absent, R content, R newer, R older, R same, R size"),
            (&["--update"], "C absent, R older, R size"),
            (&["--existing"], "R newer, R older, R size"),
            (&["--ignore-existing"], "C absent"),
            (&["--update", "--existing"], "R older, R size"),
            (&["--checksum", "-u", "--existing"], "M older, R content, R size"),
        ] {
            for verb in ["copy", "mirror"] {
                assert_eq!(changed(sandbox, verb, switches), changes, "{verb} {switches:?}");
            }
        }
        // What leaves the source must be proven to stand at the destination; neither times nor sizes prove that.
        for (switches, changes) in [
            (&[][..], by_content),
            (&["--checksum"], by_content),
            (&["--size-only"], by_content),
            (&["--ignore-times"], "C absent, R content, R newer, R older, R same, R size"),
            (&["--update", "--existing"], "M older, R content, R size"),
            (&["--ignore-existing"], "C absent"),
        ] {
            assert_eq!(changed(sandbox, "move", switches), changes, "move {switches:?}");
        }
    }

    fn preserve_switches_leave_out_what_they_name(sandbox) {
        sandbox.make(&kinds(sandbox));
        let source = read(&sandbox.path("src"));
        let switches = KINDS.iter().map(|kind| kind.0).chain(["", "--data-only"]);
        let verbs = [&["copy"][..], &["mirror", "--yes"]];
        let cases = switches.flat_map(|switch| verbs.map(|verb| (switch, verb)));
        for (number, (switch, verb)) in cases.enumerate() {
            let to = format!("dst{number}");
            let given = (!switch.is_empty()).then_some(switch);
            let args: Vec<&str> = verb.iter().copied().chain(["src/", &to]).chain(given).collect();
            sandbox.blit(&args).code(0);
            // What is left out is not missed either, but times are what files are told apart by.
            if switch != "--no-times" && switch != "--data-only" {
                let again = [&args[..], &["-v"]].concat();
                assert_eq!(sandbox.blit(&again).code(0).changes(), [""; 0], "{again:?}");
            }
            let copy = read(&sandbox.path(&to));
            for (name, at, look) in KINDS {
                let (wanted, found) = (&source[at.as_bytes()], &copy[at.as_bytes()]);
                let is_plain = name == "--no-owner" && !sandbox.can(Capability::Root)
                    || name.contains('x') && !sandbox.can(Capability::Xattrs)
                    || name == "--no-acls" && !sandbox.can(Capability::Xattrs);
                let is_kept = switch != name && switch != "--data-only";
                if !is_plain {
                    assert_eq!(look(wanted) == look(found), is_kept, "{name} with {switch:?}: {found:?}");
                }
            }
            assert_eq!(copy.contains_key(&b"pipe"[..]), switch != "--data-only", "{switch}");
        }
        sandbox.blit(&["copy", "src/", "plain", "--no-specials"]).code(0);
        assert!(!sandbox.exists("plain/pipe"));
    }

    fn switches_that_contradict_each_other_are_a_usage_error(sandbox) {
        make_pairs(sandbox);
        let before = read(&sandbox.path("dst"));
        for switches in [
            &["--checksum", "--size-only"][..],
            &["--checksum", "--ignore-times"],
            &["--size-only", "-I"],
            &["--existing", "--ignore-existing"],
            &["--update", "--ignore-existing"],
            &["-v", "-i"],
            &["-q", "-i"],
        ] {
            for verb in ["copy", "mirror", "move"] {
                sandbox.blit(&[&[verb, "src/", "dst"], switches].concat()).code(2);
            }
        }
        sandbox.blit(&["copy", "--yes", "src/", "dst"]).code(2);
        sandbox.blit(&["mirror", "--max-delete", "x", "src/", "dst"]).code(2);
        sandbox.blit(&["mirror", "--yes", "src/", "src/", "dst"]).code(2);
        assert_eq!(read(&sandbox.path("dst")), before);
    }
}
