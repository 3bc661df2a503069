//! Drafts of large files: what may stand under their names, and what becomes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use blit_core::ErrorKind;
use blit_core::entry::Entry;
use blit_core::header::{BLOCK_BYTES, Items};
use blit_core::path::Name;
use blit_core::task::{Blocks, Held, Output, Over, Place, ReceiveInto, Step, Task};

use crate::peer::{end, only, piece};
use crate::rig::{MANNER, Rig, dir_at, entry, name_of, names_in, rigs};

/// The name that every run gives the draft of `name`.
fn lasting(name: &str) -> String {
    Name::partial(&name_of(name)).to_string()
}

/// Fills a draft with one piece.
fn fill(rig: &mut Rig, (slot, draft): (u16, &Held), entry: &Entry, content: &[u8]) {
    let into = ReceiveInto::Draft(draft.clone());
    let task = rig.receive_into(u64::from(slot), std::slice::from_ref(entry), into);
    rig.submit(Task::Receive(task));
    rig.bring(
        slot,
        &only(u64::from(slot), |body| {
            piece(body, 0, 0, content);
            end(body, 0);
        }),
    );
    let copied = rig.received();
    assert!(copied.failures.is_empty(), "{:?}", copied.failures);
    rig.lost(slot);
}

fn seal(rig: &mut Rig, draft: Held, entry: &Entry, over: Over) -> Vec<ErrorKind> {
    let placed = rig.place(Step::Seal { draft, entry: entry.clone(), over });
    placed.failures.iter().map(|(_, error)| error.kind).collect()
}

fn digests(rig: &mut Rig, draft: &Held, len: u64) -> Vec<u128> {
    let blocks = Blocks { dir: rig.dir(), draft: draft.clone(), offset: 0, len };
    match rig.run(Task::Blocks(blocks)) {
        Output::Blocks(digests) => digests.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_draft_shows_nothing_until_it_is_sealed_and_nothing_is_left_afterwards() {
    for mut rig in rigs() {
        let entry = entry("large", 5);
        let (draft, begun) = rig.draft(&entry, true);
        assert_eq!(begun, 0);
        fill(&mut rig, (0, &draft), &entry, b"words");
        assert_eq!(rig.names(), [lasting("large")]);
        assert_eq!(seal(&mut rig, draft, &entry, Over::Nothing), []);
        assert_eq!(rig.names(), ["large"]);
        assert_eq!(fs::read(rig.path("large")).expect("readable"), b"words");
        assert_eq!(rig.page()[0].meta.mode, 0o640);
    }
}

#[test]
fn a_draft_that_is_discarded_is_gone_and_one_that_is_dropped_is_found_again() {
    for mut rig in rigs() {
        let entry = entry("large", 5);
        let (draft, _) = rig.draft(&entry, true);
        fill(&mut rig, (0, &draft), &entry, b"words");
        drop(draft);
        assert_eq!(rig.names(), [lasting("large")]);
        let (draft, begun) = rig.draft(&entry, true);
        assert_eq!(begun, 5, "the next run goes on with it");
        assert!(rig.place(Step::Discard { draft: draft.clone() }).failures.is_empty());
        assert_eq!(rig.names(), [""; 0]);
        drop(draft);
        let (draft, _) = rig.draft(&entry, true);
        drop(draft);
        assert_eq!(rig.names(), [""; 0], "an empty one is of no use");
    }
}

/// Puts something foreign under the name that the draft will have; it names `victim` or is of no use.
fn obstruct(how: &str, at: &Path, victim: &Path) -> bool {
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let status = Command::new(program).args(arguments).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    match how {
        "a symbolic link" => run("ln", &["-s".as_ref(), victim.as_os_str(), at.as_os_str()]),
        "a hard link" => fs::hard_link(victim, at).is_ok(),
        "a dangling link" => run("ln", &["-s".as_ref(), "nowhere".as_ref(), at.as_os_str()]),
        "a directory" => fs::create_dir(at).is_ok(),
        "a pipe" => run("mkfifo", &[at.as_os_str()]),
        "an open file" => {
            fs::write(at, "planted").expect("written");
            run("chmod", &["666".as_ref(), at.as_os_str()])
        }
        _ => false,
    }
}

#[test]
fn what_others_put_under_the_name_of_a_draft_is_never_written_through() {
    let ways = [
        "a symbolic link",
        "a hard link",
        "a dangling link",
        "a directory",
        "a pipe",
        "an open file",
    ];
    for how in ways {
        for mut rig in rigs() {
            println!("{how}");
            let elsewhere = tempfile::tempdir_in(rig.path("")).expect("a directory");
            let victim = elsewhere.path().join("victim");
            fs::write(&victim, "precious").expect("written");
            if !obstruct(how, &rig.path(&lasting("large")), &victim) {
                println!("not possible here");
                continue;
            }
            let entry = entry("large", 5);
            for reuse in [true, false] {
                let (draft, begun) = rig.draft(&entry, reuse);
                assert!(!reuse || begun != 7, "{how}: what was planted is not used");
                fill(&mut rig, (0, &draft), &entry, b"words");
                let over = if reuse { Over::Nothing } else { Over::Entry };
                assert_eq!(seal(&mut rig, draft, &entry, over), [], "{how}");
                assert_eq!(fs::read(rig.path("large")).expect("readable"), b"words", "{how}");
                assert_eq!(fs::read(&victim).expect("readable"), b"precious", "{how}");
                assert_eq!(names_in(elsewhere.path()), ["victim"], "{how}");
            }
        }
    }
}

#[test]
fn of_two_who_receive_one_file_at_once_the_last_one_wins_whole() {
    for mut rig in rigs() {
        let entry = entry("large", 5);
        let (first, _) = rig.draft(&entry, true);
        let (second, _) = rig.draft(&entry, true);
        fill(&mut rig, (0, &first), &entry, b"first");
        fill(&mut rig, (1, &second), &entry, b"other");
        assert_eq!(seal(&mut rig, second, &entry, Over::Entry), []);
        assert_eq!(fs::read(rig.path("large")).expect("readable"), b"other");
        assert_eq!(seal(&mut rig, first, &entry, Over::Entry), []);
        assert_eq!(fs::read(rig.path("large")).expect("readable"), b"first");
        assert_eq!(rig.names(), ["large"]);
    }
}

#[test]
fn a_draft_over_nothing_keeps_what_came_meanwhile() {
    for mut rig in rigs() {
        let entry = entry("large", 5);
        let (draft, _) = rig.draft(&entry, true);
        fill(&mut rig, (0, &draft), &entry, b"words");
        fs::write(rig.path("large"), "foreign").expect("written");
        let failures = seal(&mut rig, draft.clone(), &entry, Over::Nothing);
        assert_eq!(failures, [ErrorKind::AlreadyExists]);
        assert_eq!(fs::read(rig.path("large")).expect("readable"), b"foreign");
        assert!(rig.place(Step::Discard { draft }).failures.is_empty());
        assert_eq!(rig.names(), ["large"]);
    }
}

/// Receives two blocks of which the first one is said to be equal.
fn keep_first(rig: &mut Rig, draft: &Held, entry: &Entry, second: &[u8]) {
    let into = ReceiveInto::Draft(draft.clone());
    let task = rig.receive_into(3, std::slice::from_ref(entry), into);
    rig.submit(Task::Receive(task));
    rig.bring(
        3,
        &only(3, |body| {
            Items(body).same(0, 0, BLOCK_BYTES);
            piece(body, 0, BLOCK_BYTES, second);
            end(body, 0);
        }),
    );
    assert!(rig.received().failures.is_empty());
    rig.lost(3);
}

#[test]
fn equal_blocks_come_from_the_old_file_unless_it_changed_meanwhile() {
    let block = usize::try_from(BLOCK_BYTES).expect("small");
    for changes in [false, true] {
        for mut rig in rigs() {
            let old = vec![b'o'; 2 * block];
            fs::write(rig.path("large"), &old).expect("written");
            let entry = entry("large", 2 * BLOCK_BYTES);
            let (draft, begun) = rig.draft(&entry, true);
            assert_eq!(begun, 2 * BLOCK_BYTES);
            assert_eq!(digests(&mut rig, &draft, begun).len(), 2);
            if changes {
                // One byte less: no clock is too coarse to show it.
                fs::write(rig.path("large"), vec![b'x'; 2 * block - 1]).expect("written");
            }
            let new = vec![b'n'; block];
            keep_first(&mut rig, &draft, &entry, &new);
            let failures = seal(&mut rig, draft.clone(), &entry, Over::Entry);
            let content = fs::read(rig.path("large")).expect("readable");
            if changes {
                assert_eq!(failures, [ErrorKind::Changed]);
                assert!(content.iter().all(|byte| *byte == b'x'), "no mixture");
                assert!(rig.place(Step::Discard { draft }).failures.is_empty());
            } else {
                assert_eq!(failures, []);
                assert!(content == [&old[..block], &new].concat());
            }
            assert_eq!(rig.names(), ["large"]);
        }
    }
}

/// A file system of one mebibyte, gone when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).expect("made");
        let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(&path).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn privileged_a_full_disk_ends_what_is_received_and_leaves_nothing_of_it() {
    use std::io::Write;
    let skip = |why: &str| {
        let name = "privileged_a_full_disk_ends_what_is_received_and_leaves_nothing_of_it";
        writeln!(std::io::stderr(), "SKIPPED {name}: {why}").expect("stderr takes it");
    };
    if std::env::var_os("BLIT_TEST_PRIVILEGED").is_none() {
        return skip("needs root and BLIT_TEST_PRIVILEGED=1");
    }
    for mut rig in rigs() {
        let Some(small) = Small::mount(rig.path("full")) else {
            return skip("nothing can be mounted");
        };
        let to = dir_at(&small.0);
        let content = vec![7; 700_000];
        let large = entry("large", 4_000_000);
        let step = Step::Draft { entry: large.clone(), reuse: true };
        let place = Place { to: to.clone(), steps: vec![step], manner: MANNER };
        let Output::Placed(placed) = rig.run(Task::Place(place)) else { panic!("not placed") };
        let draft = placed.staged.expect("a draft is held");
        let files = [entry("a", 700_000), entry("b", 700_000), entry("c", 9)];
        let mut tasks = [
            rig.receive_into(0, std::slice::from_ref(&large), ReceiveInto::Draft(draft.clone())),
            rig.receive(1, &files),
        ];
        tasks.iter_mut().for_each(|task| task.to = to.clone());
        let [ranged, whole] = tasks;
        rig.submit(Task::Receive(ranged));
        rig.bring(
            0,
            &only(0, |body| {
                piece(body, 0, 0, &content);
                piece(body, 0, 700_000, &content);
                // It is over, but the peer cannot know.
            }),
        );
        let copied = rig.received();
        let kinds: Vec<_> = copied.failures.iter().map(|(_, error)| error.kind).collect();
        assert_eq!(kinds, [ErrorKind::NoSpace], "{:?}", copied.failures);
        rig.lost(0);
        drop(draft);
        assert_eq!(names_in(&small.0), [""; 0], "the draft is gone");
        rig.submit(Task::Receive(whole));
        rig.bring(
            1,
            &only(1, |body| {
                for (index, len) in [(0, 700_000), (1, 700_000), (2, 9)] {
                    crate::peer::file(body, index, &content[..len]);
                }
            }),
        );
        let copied = rig.received();
        let failed: Vec<_> = copied.failures.iter().map(|(at, error)| (*at, error.kind)).collect();
        let full = [(1, ErrorKind::NoSpace), (2, ErrorKind::NoSpace)];
        assert_eq!((copied.files, &failed[..]), (1, &full[..]));
        rig.lost(1);
        assert_eq!(names_in(&small.0), ["a"], "nothing of the others is left");
    }
}
