//! What all tasks promise alike, and the verbs that change nothing.
//! It must not care which verb ends first.

use std::sync::Arc;

use blit_core::ErrorKind;
use blit_core::entry::Kind;
use blit_core::event::Control;
use blit_core::task::{
    CopyInto, Hash, List, Output, Over, Place, Removal, Remove, Space, Step, Survey, Task, TaskId,
    What,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::rig::{MANNER, NEW, Rig, copy_of, name_of};

pub(crate) fn digests_are_xxh3_in_the_order_of_the_names(rig: &Rig) {
    let large = vec![7; 3_000_001];
    rig.write("src/large", &large);
    rig.write("src/small", "small");
    rig.write("src/empty", "");
    let names = ["small", "large", "empty", "small"].map(name_of).into();
    let wanted = [&b"small"[..], &large, b"", b"small"].map(xxh3_128);
    let digests: Vec<u128> = digest(rig, names).into_iter().map(Result::unwrap).collect();
    assert_eq!(digests, wanted);
}

pub(crate) fn what_cannot_be_digested_fails_alone(rig: &Rig) {
    rig.write("src/file", "file");
    rig.mkdir("src/dir");
    rig.symlink(rig.src(), "link", b"file");
    let entry = rig.entry("pipe", Kind::Fifo);
    rig.arrange(rig.src(), vec![Step::Node { entry, over: Over::Nothing }]);
    let names = ["gone", "dir", "link", "pipe", "file"].map(name_of).into();
    let digests = digest(rig, names);
    assert_eq!(digests.len(), 5);
    assert!(digests[..4].iter().all(Result::is_err), "{digests:?}");
    assert_eq!(digests[4].as_ref().ok(), Some(&xxh3_128(b"file")));
    let missing = digests[0].as_ref().expect_err("it is missing");
    assert!(matches!(missing.kind, ErrorKind::NotFound | ErrorKind::Vanished), "{missing}");
}

pub(crate) fn space_tells_the_directory_and_all_above_it(rig: &Rig) {
    rig.mkdir("dst/a/b");
    let facts = rig.facts(rig.dir("dst", "a/b"));
    assert_eq!(facts.dir.kind, Kind::Dir);
    assert!(facts.available <= facts.total && facts.total > 0, "{facts:?}");
    assert!(facts.granularity_ns >= 1);
    let above = rig.facts(rig.dir("dst", "a"));
    assert_eq!(facts.ancestors[0], facts.dir.id);
    assert_eq!(facts.ancestors[1..], above.ancestors);
    assert_eq!(above.ancestors[1], rig.facts(rig.dst()).dir.id);
    assert_eq!(facts.own_uid, rig.see_dir(&rig.dst()).uid, "it made the directory");
}

pub(crate) fn space_of_a_missing_root_is_not_found(rig: &Rig) {
    let task = Space { dir: rig.dir("gone", ""), probe_times: true };
    assert_eq!(rig.fails(Task::Space(task)).kind, ErrorKind::NotFound);
}

pub(crate) fn a_cancelled_run_interrupts_every_task_and_changes_nothing(rig: &Rig) {
    rig.write("src/a", "a");
    rig.write("dst/a", "old");
    let control = Arc::new(Control::default());
    control.cancel();
    let tasks = one_of_each(rig);
    let ops: Vec<&str> = tasks.iter().map(Task::op).collect();
    let results = rig.run_under(tasks, &control);
    for (op, result) in ops.iter().zip(results) {
        let error = result.map(|output| panic!("{op} gave {output:?}")).expect_err("above");
        assert_eq!(error.kind, ErrorKind::Interrupted, "{op}: {error}");
    }
    rig.assert_names("dst", &["a"]);
    assert_eq!(rig.read("dst/a").as_deref(), Some(&b"old"[..]));
}

pub(crate) fn a_thousand_tasks_end_once_each(rig: &Rig) {
    rig.write("src/a", "a");
    let tasks: Vec<Task> = (0..1000)
        .map(|index| match index % 4 {
            0 => {
                let to = rig.dir("dst", &format!("new{index}"));
                Task::Copy(copy_of(rig, to, NEW, Over::Nothing))
            }
            1 => Task::Space(Space { dir: rig.src(), probe_times: index % 8 == 1 }),
            2 => {
                let steps = vec![Step::MakeDir {
                    name: name_of(index.to_string()),
                    plain: false,
                    over: Over::Nothing,
                }];
                Task::Place(Place { to: rig.dst(), steps, manner: MANNER })
            }
            _ => Task::Hash(Hash { dir: rig.src(), names: vec![name_of("a")] }),
        })
        .collect();
    let results = rig.run(tasks);
    assert_eq!(results.len(), 1000);
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(rig.names("dst").len(), 500);
}

pub(crate) fn every_port_hears_of_its_own_tasks(rig: &Rig) {
    rig.write("src/a", "a");
    let seats = (0..5).map(|seat| (0..seat * 3).flat_map(|_| harmless(rig)).collect()).collect();
    for (seat, mut ended) in rig.run_seats(seats).into_iter().enumerate() {
        ended.sort_unstable();
        let wanted: Vec<TaskId> = (0..).map(TaskId).take(seat * 3 * 3).collect();
        assert_eq!(ended, wanted, "seat {seat}");
    }
}

fn harmless(rig: &Rig) -> [Task; 3] {
    let dir = rig.src();
    let what = What::Next { after: None, entries_max: 10 };
    [
        Task::List(List { dir: dir.clone(), what, xattrs: true, survey: Survey::Leftovers }),
        Task::Hash(Hash { dir: dir.clone(), names: vec![name_of("a")] }),
        Task::Space(Space { dir, probe_times: false }),
    ]
}

fn one_of_each(rig: &Rig) -> Vec<Task> {
    let mut tasks: Vec<Task> = harmless(rig).into();
    let steps = vec![
        Step::MakeDir { name: name_of("dir"), plain: false, over: Over::Nothing },
        Step::Stage,
        Step::Node { entry: rig.entry("pipe", Kind::Fifo), over: Over::Nothing },
    ];
    let names = vec![name_of("a")];
    tasks.extend([
        Task::Copy(copy_of(rig, rig.dst(), CopyInto::Existing, Over::Entry)),
        Task::Copy(copy_of(rig, rig.dir("dst", "new"), NEW, Over::Nothing)),
        Task::Place(Place { to: rig.dst(), steps, manner: MANNER }),
        Task::Remove(Remove { dir: rig.dst(), names: names.clone(), removal: Removal::Single }),
        Task::Remove(Remove { dir: rig.dst(), names, removal: Removal::Tree }),
    ]);
    tasks
}

fn digest(rig: &Rig, names: Vec<blit_core::path::Name>) -> Vec<Result<u128, blit_core::Error>> {
    match rig.run_one(Task::Hash(Hash { dir: rig.src(), names })) {
        Ok(Output::Hashed(hashed)) => hashed.digests,
        other => panic!("{other:?}"),
    }
}
