//! What a user without rights can and cannot copy.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::on_every_engine;
use crate::support::sandbox::{Capability, Run, Sandbox};
use crate::support::tree::{dir, file, link};

/// Where everybody may write, as a user without rights needs it.
fn open_to_all(sandbox: &Sandbox, name: &str) {
    fs::create_dir_all(sandbox.path(name)).expect("own directory");
    fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(0o777)).expect("own");
}

on_every_engine! {
    fn what_cannot_be_read_fails_and_all_else_is_copied(sandbox) {
        if !sandbox.can(Capability::NobodyElse) {
            return;
        }
        sandbox.make(&[
            file("src/a", "1").mode(0o644),
            file("src/secret", "2").mode(0o600).owner(0, 0),
            dir("src/closed").mode(0o700),
            file("src/closed/b", "3"),
            file("src/open/c", "4").mode(0o644),
        ]);
        open_to_all(sandbox, "to");
        let run = Run::of(&mut sandbox.command_as_nobody(&["copy", "src", "to"])).code(1);
        let run = run.says("src/secret: permission denied").says("src/closed: permission denied");
        assert_eq!(run.stderr.matches("hint: ").count(), 1, "one hint for each kind: {run:?}");
        assert_eq!((sandbox.read("to/src/a"), sandbox.read("to/src/open/c")), ("1".into(), "4".into()));
        assert!(!sandbox.exists("to/src/secret"));
    }

    fn read_only_directories_are_copied_by_a_user_without_rights(sandbox) {
        if !sandbox.can(Capability::NobodyElse) {
            return;
        }
        sandbox.make(&[
            dir("src").mode(0o555),
            file("src/d/a", "1").mode(0o444),
            dir("src/d").mode(0o555),
            dir("src/d/e").mode(0o555),
            link("src/d/e/l", "x"),
        ]);
        open_to_all(sandbox, "to");
        for _ in 0..2 {
            Run::of(&mut sandbox.command_as_nobody(&["copy", "src", "to"])).code(0);
            assert_eq!(sandbox.read("to/src/d/a"), "1");
            let mode = |name: &str| sandbox.path(name).metadata().expect("there").mode() & 0o7777;
            assert_eq!((mode("to/src"), mode("to/src/d"), mode("to/src/d/e")), (0o555, 0o555, 0o555));
        }
        // A change below read-only directories is brought over all the same.
        fs::write(sandbox.path("src/d/a"), "changed").expect("root may, an owner may after chmod");
        Run::of(&mut sandbox.command_as_nobody(&["copy", "src", "to"])).code(0);
        assert_eq!(sandbox.read("to/src/d/a"), "changed");
    }

    fn what_cannot_be_written_is_told(sandbox) {
        if !sandbox.can(Capability::NobodyElse) || !sandbox.can(Capability::Root) {
            return;
        }
        sandbox.make(&[file("src/a", "1").mode(0o644), dir("to").mode(0o755)]);
        let run = Run::of(&mut sandbox.command_as_nobody(&["copy", "src", "to"]));
        assert!(run.code == 1 || run.code == 4, "{run:?}");
        assert!(run.stderr.contains("to") && run.stderr.contains("permission denied"), "{run:?}");
        assert_eq!(fs::read_dir(sandbox.path("to")).expect("there").count(), 0);
    }

    fn set_id_bits_are_not_given_to_another_owner(sandbox) {
        if !sandbox.can(Capability::NobodyElse) || !sandbox.can(Capability::Root) {
            return;
        }
        sandbox.make(&[file("src/tool", "x").owner(0, 0).mode(0o6755)]);
        open_to_all(sandbox, "to");
        Run::of(&mut sandbox.command_as_nobody(&["copy", "src/tool", "to"])).code(0);
        let meta = sandbox.path("to/tool").metadata().expect("copied");
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (65534, 0o755));
    }
}
