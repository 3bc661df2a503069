//! Both roles of a transfer over the simulated engine: thousands of seeds, each a random tree, a random older
//! destination, a random order of events, and in some of them faults and crashes. A failing seed is printed; with
//! `BLIT_SEED` set to it, only that one runs.

#[path = "sessions/world.rs"]
mod world;

use blit_core::ErrorKind;
use blit_core::entry::{FileId, Kind};
use blit_core::path::{Escaped, RelPath};
use blit_core::sim::{
    Attributes, Disk, Faults, FsOptions, SimOptions, Snapshot, User, differences,
};
use blit_core::spec::{Counterpart, Deletion, Equality, Follow, Preserve, TransferSpec, Verb};
use blit_core::summary::Action;
use blit_core::task::{Dir, Root};
use world::{Dice, Ended, copy, counterpart, spec, world};

/// Runs `test` for each seed below `count` and names the seed that fails.
fn seeds(count: u64, test: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let only = std::env::var("BLIT_SEED").ok().and_then(|text| text.parse().ok());
    let range = only.map_or(0..count, |seed| seed..seed + 1);
    for seed in range {
        let result = std::panic::catch_unwind(|| test(seed));
        assert!(result.is_ok(), "seed {seed} fails; repeat it with BLIT_SEED={seed}");
    }
}

fn assert_equal(disk: &Disk) {
    let (source, target) = counterpart(disk);
    let lines = differences(&source, &target);
    assert!(lines.is_empty(), "{}", lines.join("\n"));
    assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
}

fn assert_done(ended: &Ended) {
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(ended.summary.failed, 0, "{:?}", ended.summary.failures);
}

fn assert_nothing_to_do(disk: &Disk, seed: u64) {
    let ended = copy(disk, seed, SimOptions::default(), spec(Verb::Copy));
    assert_done(&ended);
    let done = &ended.summary;
    let counts = [
        done.files,
        done.dirs,
        done.nodes,
        done.links,
        done.repaired,
        done.removed,
        done.leftovers,
    ];
    assert_eq!(counts, [0; 7], "{:?}", ended.changes);
}

#[test]
fn a_copy_makes_the_destination_equal_and_a_second_one_finds_nothing_to_do() {
    seeds(3000, |seed| {
        let disk = world(&mut Dice::new(seed), seed % 3 == 0);
        let ended = copy(&disk, seed, SimOptions::default(), spec(Verb::Copy));
        assert_done(&ended);
        assert_equal(&disk);
        assert_nothing_to_do(&disk, seed);
    });
}

#[test]
fn a_dry_run_changes_nothing_and_tells_what_the_run_does() {
    seeds(1000, |seed| {
        // Which of several names of an inode is copied and which are linked depends on the order of events.
        let hard_links = seed % 2 == 0;
        let spec =
            TransferSpec { preserve: Preserve { hard_links, ..Preserve::ALL }, ..spec(Verb::Copy) };
        let disk = world(&mut Dice::new(seed), seed % 3 == 0);
        let before = disk.snapshot("/");
        let dry_spec = TransferSpec { dry_run: true, ..spec.clone() };
        let dry = copy(&disk, seed, SimOptions::default(), dry_spec);
        assert!(differences(&before, &disk.snapshot("/")).is_empty());
        let run = copy(&disk, seed, SimOptions::default(), spec);
        assert_eq!(told(&dry, hard_links), told(&run, hard_links));
        let counts = |ended: &Ended| {
            let done = &ended.summary;
            [done.files, done.bytes, done.dirs, done.nodes, done.links, done.repaired, done.same]
        };
        assert_eq!(counts(&dry), counts(&run));
    });
}

/// The reported changes without their order; without those of files where `hard_links` are kept.
fn told(ended: &Ended, hard_links: bool) -> Vec<(String, Vec<u8>)> {
    let is_fixed = |action| !hard_links || matches!(action, Action::MadeDir);
    let changes = ended.changes.iter().filter(|change| is_fixed(change.action));
    let mut told: Vec<_> =
        changes.map(|change| (format!("{:?}", change.action), change.path.clone())).collect();
    told.sort();
    told
}

#[test]
fn after_faults_every_name_is_old_or_new_and_the_next_run_completes() {
    seeds(2000, |seed| {
        let disk = world(&mut Dice::new(seed), seed % 4 == 0);
        let (new, old) = (disk.snapshot("/src"), disk.snapshot("/dst/src"));
        let rate = 60;
        let faults = Faults {
            list_fails: rate,
            examine_fails: rate,
            open_denied: rate,
            read_fails: rate,
            place_denied: rate,
            ..Faults::default()
        };
        let ended =
            copy(&disk, seed, SimOptions { faults, ..SimOptions::default() }, spec(Verb::Copy));
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
        let (source, target) = counterpart(&disk);
        if !differences(&source, &target).is_empty() {
            assert!(ended.summary.failed > 0 || ended.error.is_some(), "a failure was not told");
        }
        assert_done(&copy(&disk, seed, SimOptions::default(), spec(Verb::Copy)));
        assert_equal(&disk);
    });
}

#[test]
fn after_a_crash_every_name_is_old_or_new_and_the_next_run_leaves_no_leftovers() {
    seeds(3000, |seed| {
        let mut dice = Dice::new(seed);
        let disk = world(&mut dice, seed % 4 == 0);
        let (new, old) = (disk.snapshot("/src"), disk.snapshot("/dst/src"));
        let crash_after = Some(dice.below(200));
        let ended = copy(
            &disk,
            seed,
            SimOptions { crash_after, ..SimOptions::default() },
            spec(Verb::Copy),
        );
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert!(ended.crashed || ended.error.is_none());
        assert_done(&copy(&disk, seed + 1, SimOptions::default(), spec(Verb::Copy)));
        assert_equal(&disk);
        assert_nothing_to_do(&disk, seed);
    });
}

#[test]
fn a_full_disk_ends_the_run_and_costs_no_old_file() {
    seeds(500, |seed| {
        let disk = world(&mut Dice::new(seed), false);
        let (new, old) = (disk.snapshot("/src"), disk.snapshot("/dst/src"));
        let faults = Faults { write_full: 200, ..Faults::default() };
        let ended =
            copy(&disk, seed, SimOptions { faults, ..SimOptions::default() }, spec(Verb::Copy));
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
        if let Some(error) = &ended.error {
            assert_eq!(error.kind, ErrorKind::NoSpace, "{error}");
        }
        assert_done(&copy(&disk, seed, SimOptions::default(), spec(Verb::Copy)));
        assert_equal(&disk);
    });
}

#[test]
fn a_source_that_is_edited_meanwhile_never_gives_a_mixture() {
    seeds(1000, |seed| {
        let disk = world(&mut Dice::new(seed), seed % 2 == 0);
        let (new, old) = (disk.snapshot("/src"), disk.snapshot("/dst/src"));
        let mutate =
            blit_core::sim::Mutate { below: b"/src".to_vec(), per_mille: 30, edits_max: 20 };
        let options = SimOptions { mutate: Some(mutate), ..SimOptions::default() };
        drop(copy(&disk, seed, options, spec(Verb::Copy)));
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn a_file_in_the_way_of_a_directory_fails_alone_and_says_what_is_in_the_way() {
    let disk = world(&mut Dice::new(1), true);
    disk.remove("/src");
    disk.file("/src/a/b", "x");
    disk.file("/src/c", "y");
    disk.file("/dst/src/a", "in the way");
    let ended = copy(&disk, 1, SimOptions::default(), spec(Verb::Copy));
    assert_eq!(ended.summary.failed, 1);
    assert_eq!(ended.summary.failures[0].kind, ErrorKind::TypeClash);
    assert!(ended.summary.failures[0].to_string().contains("a file is in the way"));
    assert_eq!(disk.read("/dst/src/a").as_deref(), Some(&b"in the way"[..]));
    assert_eq!(disk.read("/dst/src/c").as_deref(), Some(&b"y"[..]));
}

#[test]
fn a_directory_with_entries_in_the_way_of_a_file_stays() {
    let disk = world(&mut Dice::new(1), true);
    disk.remove("/src");
    disk.file("/src/a", "x");
    disk.file("/dst/src/a/kept", "y");
    let ended = copy(&disk, 1, SimOptions::default(), spec(Verb::Copy));
    assert_eq!(ended.summary.failed, 1);
    assert_eq!(disk.read("/dst/src/a/kept").as_deref(), Some(&b"y"[..]));
}

#[test]
fn a_coarse_destination_is_equal_at_its_own_granularity() {
    let disk = world(&mut Dice::new(5), true);
    disk.mount("/dst", FsOptions { granularity_ns: 2_000_000_000, ..FsOptions::default() });
    assert_done(&copy(&disk, 1, SimOptions::default(), spec(Verb::Copy)));
    assert_nothing_to_do(&disk, 2);
}

#[test]
fn directories_of_thousands_of_entries_are_copied_page_by_page() {
    let disk = world(&mut Dice::new(1), true);
    disk.remove("/src");
    for number in 0..5000 {
        disk.file(format!("/src/wide/f{number}"), number.to_string());
    }
    assert_done(&copy(&disk, 3, SimOptions::default(), spec(Verb::Copy)));
    assert_equal(&disk);
}

#[test]
fn a_tree_of_thousands_of_levels_needs_no_deep_stack() {
    let disk = world(&mut Dice::new(1), true);
    disk.remove("/src");
    let path = format!("/src{}", "/d".repeat(2000));
    disk.file(path + "/end", "x");
    for dry_run in [true, false] {
        assert_done(&copy(
            &disk,
            3,
            SimOptions::default(),
            TransferSpec { dry_run, ..spec(Verb::Copy) },
        ));
    }
    assert_equal(&disk);
}

/// The path of an entry of a snapshot of `top`.
fn below(top: &str, path: &[u8]) -> Vec<u8> {
    if path.is_empty() { top.into() } else { [top.as_bytes(), b"/", path].concat() }
}

/// A disk whose destination has more than its source: files, trees, and directories where the source has files.
fn with_extras(seed: u64) -> Disk {
    let mut dice = Dice::new(seed);
    let disk = world(&mut dice, false);
    for (path, seen) in disk.snapshot("/dst/src") {
        let [source, target] = ["/src", "/dst/src"].map(|top| below(top, &path));
        let is_dir = |path: &[u8]| disk.see(path).is_some_and(|seen| seen.kind == Kind::Dir);
        if seen.kind != Kind::Dir || !is_dir(&source) {
            continue;
        }
        if dice.chance(40) {
            disk.file([&target[..], b"/extra"].concat(), "x");
            disk.file([&target[..], b"/extras/a/b"].concat(), "y");
            disk.dir([&target[..], b"/extras/empty"].concat());
        }
        if !path.is_empty() && dice.chance(10) {
            disk.remove(&source);
            disk.file(&source, "a file where a tree was");
        }
    }
    disk
}

#[test]
fn a_mirror_makes_the_destination_equal_in_every_name() {
    seeds(2000, |seed| {
        let disk = with_extras(seed);
        disk.file("/src/never-empty", "");
        let dry_run = TransferSpec { dry_run: true, ..spec(Verb::Mirror) };
        let before = disk.snapshot("/");
        let dry = copy(&disk, seed, SimOptions::default(), dry_run);
        assert!(differences(&before, &disk.snapshot("/")).is_empty());
        let ended = copy(&disk, seed, SimOptions::default(), spec(Verb::Mirror));
        assert_done(&ended);
        let lines = differences(&disk.snapshot("/src"), &disk.snapshot("/dst/src"));
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
        assert_eq!(dry.summary.removed, ended.summary.removed);
        let again = copy(&disk, seed, SimOptions::default(), spec(Verb::Mirror));
        assert_done(&again);
        assert_eq!((again.summary.files, again.summary.removed), (0, 0), "{:?}", again.changes);
    });
}

#[test]
fn a_mirror_keeps_extras_below_directories_whose_listing_was_not_complete() {
    seeds(1000, |seed| {
        let disk = with_extras(seed);
        disk.file("/src/never-empty", "");
        let source = disk.snapshot("/src");
        let before = disk.snapshot("/dst/src");
        let faults = Faults { list_fails: 200, examine_fails: 50, ..Faults::default() };
        let options = SimOptions { faults, ..SimOptions::default() };
        let ended = copy(&disk, seed, options, spec(Verb::Mirror));
        let after = disk.snapshot("/dst/src");
        let lost = |path: &&Vec<u8>| source.contains_key(*path) && !after.contains_key(*path);
        let lost: Vec<_> = before.keys().filter(lost).collect();
        assert!(lost.is_empty(), "removed although the source has it: {lost:?}, {ended:?}");
    });
}

#[test]
fn a_mirror_of_nothing_removes_nothing_unless_it_is_asked_to() {
    let disk = world(&mut Dice::new(1), true);
    disk.remove("/src");
    disk.dir("/src");
    disk.file("/dst/src/a/b", "kept");
    let ended = copy(&disk, 1, SimOptions::default(), spec(Verb::Mirror));
    assert_eq!(ended.error.map(|error| error.kind), Some(ErrorKind::Usage));
    assert_eq!(disk.read("/dst/src/a/b").as_deref(), Some(&b"kept"[..]));
    let deletion = Deletion { from_empty_source: true, ..Deletion::default() };
    let asked = TransferSpec { deletion, ..spec(Verb::Mirror) };
    let ended = copy(&disk, 1, SimOptions::default(), asked);
    assert_done(&ended);
    assert_eq!((ended.summary.removed, disk.names("/dst/src").len()), (2, 0));
}

#[test]
fn a_mirror_that_would_remove_too_much_removes_nothing() {
    let disk = world(&mut Dice::new(1), true);
    disk.file("/src/kept", "");
    for number in 0..9 {
        disk.file(format!("/dst/src/dir/{number}"), "");
    }
    for (entries_max, removed) in [(9, 0), (10, 10)] {
        let deletion = Deletion { entries_max: Some(entries_max), ..Deletion::default() };
        let bounded = TransferSpec { deletion, ..spec(Verb::Mirror) };
        let ended = copy(&disk, 1, SimOptions::default(), bounded);
        assert_eq!(ended.error.is_some(), removed == 0);
        assert_eq!(ended.summary.removed, removed);
    }
    assert_eq!(disk.see("/dst/src/dir"), None);
}

#[test]
fn a_move_leaves_nothing_behind_and_loses_nothing() {
    seeds(2000, |seed| {
        let disk = world(&mut Dice::new(seed), seed % 3 == 0);
        let source = disk.snapshot("/src");
        let ended = copy(&disk, seed, SimOptions::default(), spec(Verb::Move));
        assert_done(&ended);
        let mut target = disk.snapshot("/dst/src");
        target.retain(|path, _| source.contains_key(path));
        let lines = differences(&source, &target);
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        assert_eq!(disk.see("/src"), None, "{:?}", disk.snapshot("/src").keys());
        assert_eq!(ended.summary.removed, source.len() as u64);
    });
}

#[test]
fn whatever_goes_wrong_in_a_move_each_content_stays_on_one_side_at_least() {
    seeds(2000, |seed| {
        let disk = world(&mut Dice::new(seed), seed % 3 == 0);
        let before = disk.snapshot("/src");
        let rate = 50;
        let faults = Faults {
            list_fails: rate,
            examine_fails: rate,
            open_denied: rate,
            read_fails: rate,
            place_denied: rate,
            remove_denied: rate,
            write_full: rate / 10,
            ..Faults::default()
        };
        let crash_after = (seed % 2 == 0).then_some(seed % 300);
        let options = SimOptions { faults, crash_after, ..SimOptions::default() };
        let ended = copy(&disk, seed, options, spec(Verb::Move));
        let (left, arrived) = (disk.snapshot("/src"), disk.snapshot("/dst/src"));
        for (path, seen) in &before {
            let same = |side: &Snapshot| {
                side.get(path).is_some_and(|other| {
                    other.content == seen.content && other.target == seen.target
                })
            };
            assert!(same(&left) || same(&arrived), "{path:?} is on neither side");
        }
        if !left.is_empty() {
            let told = ended.summary.failed > 0 || ended.error.is_some() || ended.crashed;
            assert!(told, "something stayed and was not told: {:?}", left.keys());
        }
    });
}

#[test]
fn digests_find_what_size_and_time_hide() {
    seeds(500, |seed| {
        let mut dice = Dice::new(seed);
        let disk = world(&mut dice, true);
        assert_done(&copy(&disk, seed, SimOptions::default(), spec(Verb::Copy)));
        let mut changed = 0;
        for (path, seen) in disk.snapshot("/dst/src") {
            let at = below("/dst/src", &path);
            let plain =
                seen.links.is_empty() && seen.content.as_ref().is_some_and(|c| !c.is_empty());
            if plain && dice.chance(30) {
                disk.write(&at, vec![b'!'; seen.content.map_or(0, |content| content.len())]);
                let mtime = Some(seen.mtime);
                disk.set(&at, Attributes { mtime, ..Attributes::default() });
                changed += 1;
            }
        }
        assert_eq!(copy(&disk, seed, SimOptions::default(), spec(Verb::Copy)).summary.files, 0);
        let checksum = TransferSpec { equality: Equality::Checksum, ..spec(Verb::Copy) };
        assert_eq!(copy(&disk, seed, SimOptions::default(), checksum).summary.files, changed);
        assert_equal(&disk);
    });
}

#[test]
fn a_mirror_removes_nothing_where_an_entry_could_not_be_transferred() {
    let disk = world(&mut Dice::new(1), true);
    disk.file("/src/new-name", "content");
    disk.file("/dst/src/old-name", "content");
    let faults = Faults { open_denied: 1000, ..Faults::default() };
    let options = SimOptions { faults, ..SimOptions::default() };
    let ended = copy(&disk, 1, options, spec(Verb::Mirror));
    assert!(ended.summary.failed >= 2, "{ended:?}");
    assert_eq!(disk.read("/dst/src/old-name").as_deref(), Some(&b"content"[..]));
    assert_done(&copy(&disk, 2, SimOptions::default(), spec(Verb::Mirror)));
    assert_eq!(disk.read("/dst/src/old-name"), None);
}

#[test]
fn what_a_mirror_replaces_or_removes_is_kept() {
    seeds(1000, |seed| {
        let disk = with_extras(seed);
        disk.file("/src/never-empty", "");
        disk.dir("/kept");
        disk.file("/kept/src/n0", "an earlier backup");
        let before = disk.snapshot("/dst");
        let dir = Dir::new(&Root::new("/kept"), RelPath::root());
        let backup = Counterpart { dir, id: FileId::default(), base: RelPath::root() };
        let spec = TransferSpec { backup: Some(backup), ..spec(Verb::Mirror) };
        let ended = copy(&disk, seed, SimOptions::default(), spec);
        assert_done(&ended);
        let lines = differences(&disk.snapshot("/src"), &disk.snapshot("/dst/src"));
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        assert_eq!(disk.read("/kept/src/n0").as_deref(), Some(&b"an earlier backup"[..]));
        let (after, kept) = (disk.snapshot("/dst"), disk.snapshot("/kept"));
        for (path, seen) in before.iter().filter(|(_, seen)| seen.kind == Kind::File) {
            let stands = after.get(path).is_some_and(|now| now.content == seen.content);
            // Names alone do not tell: what was there before may have got a number.
            let is_kept = kept.values().any(|kept| kept.content == seen.content);
            assert!(stands || is_kept, "{} is lost", Escaped(path));
        }
    });
}

#[test]
fn a_copy_beside_an_earlier_one_is_equal_and_leaves_that_as_it_was() {
    seeds(1000, |seed| {
        let disk = world(&mut Dice::new(seed), false);
        disk.rename("/dst", "/old");
        let before = disk.snapshot("/old");
        let dir = Dir::new(&Root::new("/old"), RelPath::root());
        let reference = Counterpart { dir, id: FileId::default(), base: RelPath::root() };
        let spec = TransferSpec { reference: Some(reference), ..spec(Verb::Copy) };
        let faults =
            Faults { place_denied: if seed % 2 == 0 { 0 } else { 20 }, ..Faults::default() };
        let options = SimOptions { faults, ..SimOptions::default() };
        let ended = copy(&disk, seed, options, spec);
        assert!(differences(&before, &disk.snapshot("/old")).is_empty());
        if seed % 2 == 0 {
            assert_done(&ended);
            assert_equal(&disk);
        }
    });
}

#[test]
fn links_that_are_followed_end_even_where_they_lead_in_circles() {
    let spec = || TransferSpec { follow: Some(Follow::default()), ..spec(Verb::Copy) };
    seeds(500, |seed| {
        let dice = &mut Dice::new(seed);
        let disk = Disk::new(User { uid: 0, groups: vec![0], privileged: true });
        let dirs = ["/src", "/src/a", "/src/a/b", "/src/c", "/out", "/out/d"];
        for dir in dirs {
            disk.file(format!("{dir}/file"), dir);
        }
        for number in 0..dice.below(5) {
            let target = *dice.pick(&dirs[1..]);
            disk.symlink(format!("{}/l{number}", dice.pick(&dirs)), target);
        }
        disk.symlink("/src/up", "..");
        disk.symlink("/src/there", "/dst");
        if seed.is_multiple_of(2) {
            disk.dir("/dst");
        }
        for _ in 0..2 {
            let ended = copy(&disk, seed, SimOptions::default(), spec());
            assert!(ended.error.is_none(), "{:?}", ended.error);
            assert!(ended.summary.failed >= 2, "{:?}", ended.summary.failures);
        }
        let made = disk.snapshot("/dst");
        assert!(made.values().all(|seen| seen.kind != Kind::Symlink), "{made:?}");
        assert_eq!(disk.read("/dst/src/up/out/d/file").as_deref(), Some(&b"/out/d"[..]));
    });
}

#[test]
fn what_a_directory_shows_of_its_own_file_system_a_second_time_stays() {
    seeds(300, |seed| {
        let disk = with_extras(seed);
        disk.file("/src/never-empty", "");
        let removed = !seed.is_multiple_of(3);
        let at = if removed { "/dst/src/gone/shown" } else { "/dst/src/shown" };
        disk.bind(at);
        disk.file(at.to_owned() + "/kept", "x");
        let ended = copy(&disk, seed, SimOptions::default(), spec(Verb::Mirror));
        assert!(ended.error.is_none(), "{:?}", ended.error);
        assert_eq!(disk.read(at.to_owned() + "/kept").as_deref(), Some(&b"x"[..]));
        let told = ended.summary.failures.iter().any(|error| error.to_string().contains("mounted"));
        assert!(told && ended.summary.failed == 1, "{:?}", ended.summary.failures);
    });
}

#[test]
fn what_streams_that_break_do_not_bring_is_brought_by_others() {
    seeds(1500, |number| {
        // Odd seeds are runs between machines.
        let seed = 2 * number + 1;
        let disk = world(&mut Dice::new(seed), number % 3 == 0);
        disk.file("/src/never-empty", "");
        let source = disk.snapshot("/src");
        let faults = Faults { stream_breaks: 400, ..Faults::default() };
        let options = SimOptions { faults, ..SimOptions::default() };
        let verb = *Dice::new(number).pick(&[Verb::Copy, Verb::Mirror, Verb::Move]);
        let ended = copy(&disk, seed, options, spec(verb));
        assert_done(&ended);
        assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
        let mut target = disk.snapshot("/dst/src");
        if verb != Verb::Mirror {
            target.retain(|path, _| source.contains_key(path));
        }
        let lines = differences(&source, &target);
        assert!(lines.is_empty(), "{}", lines.join("\n"));
        assert_eq!(disk.see("/src").is_none(), verb == Verb::Move);
    });
}

#[test]
fn whatever_breaks_together_every_name_is_old_or_new_and_the_next_run_completes() {
    seeds(1500, |number| {
        let seed = 2 * number + 1;
        let mut dice = Dice::new(seed);
        let disk = world(&mut dice, number % 4 == 0);
        let (new, old) = (disk.snapshot("/src"), disk.snapshot("/dst/src"));
        let faults = Faults {
            stream_breaks: 300,
            open_denied: 30,
            read_fails: 30,
            place_denied: 30,
            ..Faults::default()
        };
        let crash_after = (number % 2 == 0).then(|| dice.below(200));
        let options = SimOptions { faults, crash_after, ..SimOptions::default() };
        let ended = copy(&disk, seed, options, spec(Verb::Copy));
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert!(ended.crashed || ended.error.is_none(), "{:?}", ended.error);
        // Another seed is another process.
        assert_done(&copy(&disk, seed + 2, SimOptions::default(), spec(Verb::Copy)));
        assert_equal(&disk);
    });
}
