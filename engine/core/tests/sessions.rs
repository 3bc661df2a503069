//! Both roles of a transfer over the simulated engine: thousands of seeds, each a random tree, a random older
//! destination, a random order of events, and in some of them faults and crashes. A failing seed is printed; with
//! `BLIT_SEED` set to it, only that one runs.

#[path = "sessions/world.rs"]
mod world;

use blit_core::ErrorKind;
use blit_core::sim::{Disk, Faults, FsOptions, SimOptions, differences};
use blit_core::spec::{Preserve, TransferSpec};
use blit_core::summary::Action;
use world::{Dice, Ended, SPEC, copy, counterpart, world};

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
    let ended = copy(disk, seed, SimOptions::default(), SPEC);
    assert_done(&ended);
    let done = &ended.summary;
    let counts = [done.files, done.dirs, done.nodes, done.links, done.repaired, done.leftovers];
    assert_eq!(counts, [0; 6], "{:?}", ended.changes);
}

#[test]
fn a_copy_makes_the_destination_equal_and_a_second_one_finds_nothing_to_do() {
    seeds(3000, |seed| {
        let disk = world(&mut Dice::new(seed), seed % 3 == 0);
        let ended = copy(&disk, seed, SimOptions::default(), SPEC);
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
        let spec = TransferSpec { preserve: Preserve { hard_links, ..Preserve::ALL }, ..SPEC };
        let disk = world(&mut Dice::new(seed), seed % 3 == 0);
        let before = disk.snapshot("/");
        let dry_spec = TransferSpec { dry_run: true, ..spec };
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
        let ended = copy(&disk, seed, SimOptions { faults, ..SimOptions::default() }, SPEC);
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
        let (source, target) = counterpart(&disk);
        if !differences(&source, &target).is_empty() {
            assert!(ended.summary.failed > 0 || ended.error.is_some(), "a failure was not told");
        }
        assert_done(&copy(&disk, seed, SimOptions::default(), SPEC));
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
        let ended = copy(&disk, seed, SimOptions { crash_after, ..SimOptions::default() }, SPEC);
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert!(ended.crashed || ended.error.is_none());
        assert_done(&copy(&disk, seed + 1, SimOptions::default(), SPEC));
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
        let ended = copy(&disk, seed, SimOptions { faults, ..SimOptions::default() }, SPEC);
        disk.check_published(&old, &new, &disk.snapshot("/dst/src")).expect("old or new");
        assert_eq!(disk.temporaries("/"), Vec::<Vec<u8>>::new());
        if let Some(error) = &ended.error {
            assert_eq!(error.kind, ErrorKind::NoSpace, "{error}");
        }
        assert_done(&copy(&disk, seed, SimOptions::default(), SPEC));
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
        drop(copy(&disk, seed, options, SPEC));
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
    let ended = copy(&disk, 1, SimOptions::default(), SPEC);
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
    let ended = copy(&disk, 1, SimOptions::default(), SPEC);
    assert_eq!(ended.summary.failed, 1);
    assert_eq!(disk.read("/dst/src/a/kept").as_deref(), Some(&b"y"[..]));
}

#[test]
fn a_coarse_destination_is_equal_at_its_own_granularity() {
    let disk = world(&mut Dice::new(5), true);
    disk.mount("/dst", FsOptions { granularity_ns: 2_000_000_000, ..FsOptions::default() });
    assert_done(&copy(&disk, 1, SimOptions::default(), SPEC));
    assert_nothing_to_do(&disk, 2);
}

#[test]
fn directories_of_thousands_of_entries_are_copied_page_by_page() {
    let disk = world(&mut Dice::new(1), true);
    disk.remove("/src");
    for number in 0..5000 {
        disk.file(format!("/src/wide/f{number}"), number.to_string());
    }
    assert_done(&copy(&disk, 3, SimOptions::default(), SPEC));
    assert_equal(&disk);
}

#[test]
fn a_tree_of_thousands_of_levels_needs_no_deep_stack() {
    let disk = world(&mut Dice::new(1), true);
    disk.remove("/src");
    let path = format!("/src{}", "/d".repeat(2000));
    disk.file(path + "/end", "x");
    for dry_run in [true, false] {
        assert_done(&copy(&disk, 3, SimOptions::default(), TransferSpec { dry_run, ..SPEC }));
    }
    assert_equal(&disk);
}
