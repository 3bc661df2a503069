//! Transfers over long and narrow ways: how many turns they take, whether they fill the way, and who waits for whom.

#[expect(dead_code, reason = "the other tests of this crate use the rest of it")]
#[path = "remote/daemon.rs"]
mod daemon;
#[path = "ways/way.rs"]
mod way;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_core::endpoint::Endpoint;
use blit_core::event::Control;
use blit_core::spec::Verb;
use blit_core::stream::Packing;
use blit_rpc::connect::Access;
use blit_rpc::transfer::{Outcome, Request, run};
use daemon::{Daemon, access, done, endpoint, engine, noise, request, tree};
use way::{Manner, Way};

struct World {
    top: tempfile::TempDir,
    daemon: Daemon,
}

impl World {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a directory");
        let daemon = Daemon::with(top.path(), |settings| settings.streams_max = 16);
        Self { top, daemon }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn local(&self, name: &str) -> Endpoint {
        endpoint(&format!("{}/{name}", self.top.path().display()))
    }
}

fn same(a: &Path, b: &Path) {
    assert!(tree(a) == tree(b), "{} and {} differ", a.display(), b.display());
}

fn timed(request: &Request) -> (Duration, Outcome) {
    let begun = Instant::now();
    let outcome = done(request);
    (begun.elapsed(), outcome)
}

/// How often a run that takes `time` goes there and back on a way with this delay.
fn turns(time: Duration, manner: Manner) -> f64 {
    time.as_secs_f64() / (2 * manner.delay).as_secs_f64()
}

/// Whether tests that take longer are run too.
fn is_slow() -> bool {
    std::env::var_os("BLIT_TEST_SLOW").is_some_and(|value| value != "0")
}

/// Copies until that took at most so many turns, at most five times: other work on the machine makes a run longer, never shorter.
fn turns_of(case: &str, manner: Manner, turns_max: f64, request: impl Fn(usize) -> Request) -> f64 {
    let mut least = f64::INFINITY;
    for attempt in 0..5 {
        let (time, _) = timed(&request(attempt));
        least = least.min(turns(time, manner));
        if least <= turns_max {
            break;
        }
    }
    assert!(least <= turns_max, "{case}: {least:.1} turns are more than {turns_max:.1}");
    least
}

#[test]
fn one_file_takes_few_turns_and_a_thousand_hardly_more() {
    let world = World::new();
    for top in ["one", "r/one"] {
        fs::create_dir_all(world.path(top)).expect("made");
        fs::write(world.path(top).join("file"), "text").expect("written");
    }
    for (dir, top) in (0..10).flat_map(|dir| [(dir, "many"), (dir, "r/many")]) {
        let dir_path = world.path(&format!("{top}/d{dir}"));
        fs::create_dir_all(&dir_path).expect("made");
        for file in 0..100 {
            fs::write(dir_path.join(format!("f{file}")), format!("{dir} {file}")).expect("written");
        }
    }
    let manner = Manner::default();
    let way = Way::start(world.daemon.address, manner);
    let push = |what: &str, attempt| {
        request(
            Verb::Copy,
            world.local(&format!("{what}/")),
            way.at(&format!("/m/{what}{attempt}/")),
        )
    };
    let pull = |what: &str, attempt| {
        request(
            Verb::Copy,
            way.at(&format!("/r/{what}/")),
            world.local(&format!("{what}{attempt}")),
        )
    };
    let pushed = turns_of("push one", manner, 6.0, |attempt| push("one", attempt));
    turns_of("push a thousand", manner, pushed + 10.0, |attempt| push("many", attempt));
    let pulled = turns_of("pull one", manner, 6.0, |attempt| pull("one", attempt));
    turns_of("pull a thousand", manner, pulled + 10.0, |attempt| pull("many", attempt));
    println!("one file pushed in {pushed:.1} turns, pulled in {pulled:.1}");
    for name in ["m/one0", "one0", "m/many0", "many0"] {
        same(&world.path(if name.contains("one") { "one" } else { "many" }), &world.path(name));
    }
}

#[test]
fn a_large_file_is_given_as_many_streams_as_a_long_way_needs() {
    let world = World::new();
    let content = noise(if is_slow() { 600 << 20 } else { 100 << 20 });
    fs::write(world.path("large"), &content).expect("written");
    fs::write(world.path("r/large"), &content).expect("written");
    // One connection brings 10 MB/s, the way takes six times as much.
    let manner = Manner { bytes_per_sec: 62_500_000, window_bytes: 1 << 20, ..Manner::default() };
    let cases: &[(&str, Option<u64>)] = match is_slow() {
        true => &[("push", None), ("pull", None), ("push with loss", Some(100))],
        false => &[("push", None)],
    };
    for (case, late_every) in cases {
        let way = Way::start(world.daemon.address, Manner { late_every: *late_every, ..manner });
        let (from, to, made) = match *case {
            "pull" => (way.at("/r/large"), world.local("back"), "back"),
            _ => (world.local("large"), way.at("/m/large"), "m/large"),
        };
        let (time, outcome) = timed(&request(Verb::Copy, from, to));
        let rate = content.len() as f64 / time.as_secs_f64();
        println!("{case}: {:.1} MB/s over {} connections", rate / 1e6, way.connections());
        assert!(outcome.carried.control == 0 && way.connections() > 6, "{}", way.connections());
        if is_slow() && late_every.is_none() {
            assert!(rate > 0.8 * manner.bytes_per_sec as f64, "{case}: {rate} bytes/s");
        }
        assert!(fs::read(world.path(made)).expect("read") == content);
        fs::remove_file(world.path(made)).expect("it is there");
    }
}

#[test]
fn a_narrow_way_is_packed_for_and_a_wide_one_and_noise_are_not() {
    const CONTENT: &str = "what is said again and again is soon told; ";
    let world = World::new();
    let text: String = (0..if is_slow() { 1_000_000 } else { 500_000 })
        .map(|line| format!("{line} {CONTENT}"))
        .collect();
    fs::write(world.path("text"), &text).expect("written");
    fs::write(world.path("noise"), noise(8 << 20)).expect("written");
    let narrow =
        Manner { delay: Duration::from_millis(5), bytes_per_sec: 12_500_000, ..Manner::default() };
    let wide = Manner { bytes_per_sec: 1 << 40, ..narrow };
    for (name, manner, is_packed) in
        [("text", narrow, true), ("noise", narrow, false), ("text", wide, false)]
    {
        let way = Way::start(world.daemon.address, manner);
        let mut asked = request(Verb::Copy, world.local(name), way.at(&format!("/m/{name}")));
        let mut times = Vec::new();
        for packing in [Packing::Never, Packing::WherePays] {
            asked.access = Some(Access { packing, ..access() });
            let (time, outcome) = timed(&asked);
            let share = outcome.carried.data as f64
                / fs::metadata(world.path(name)).expect("there").len() as f64;
            println!(
                "{name}, {} bytes/s, {packing:?}: {time:?}, {share:.2} of the bytes",
                manner.bytes_per_sec
            );
            if way.is_elsewhere() && packing == Packing::WherePays && (is_slow() || is_packed) {
                assert_eq!(share < 0.85, is_packed, "{name}: {share}");
            }
            times.push(time.as_secs_f64());
            same_file(&world.path(name), &world.path("m").join(name));
            fs::remove_file(world.path("m").join(name)).expect("it is there");
        }
        if is_slow() && is_packed {
            assert!(times[0] > 1.5 * times[1], "{times:?}");
        }
    }
}

fn same_file(a: &Path, b: &Path) {
    assert!(fs::read(a).expect("read") == fs::read(b).expect("read"), "{}", a.display());
}

#[test]
fn the_bound_on_the_rate_holds_on_the_control_connection_too() {
    let world = World::new();
    fs::write(world.path("file"), noise(2 << 20)).expect("written");
    let mut asked = request(Verb::Copy, world.local("file"), world.daemon.at("/m/file"));
    asked.access = Some(Access { force_rpc_data: true, ..access() });
    let control = Arc::new(Control::default().paced(Some(4 << 20)));
    let begun = Instant::now();
    let outcome = run(&asked, &*engine(), &control, &mut |_| {});
    assert!(outcome.error.is_none() && outcome.carried.control > 2 << 20, "{:?}", outcome.error);
    assert!(begun.elapsed() > Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[test]
fn progress_over_a_narrow_way_rises_and_never_passes_what_is_known() {
    let world = World::new();
    fs::create_dir(world.path("src")).expect("made");
    for file in 0..20 {
        fs::write(world.path(&format!("src/f{file}")), noise(500_000)).expect("written");
    }
    let manner = Manner {
        delay: Duration::from_millis(5),
        bytes_per_sec: 20_000_000,
        window_bytes: 256 << 10,
        ..Manner::default()
    };
    let way = Way::start(world.daemon.address, manner);
    let asked = request(Verb::Copy, world.local("src/"), way.at("/m/"));
    let control = Arc::<Control>::default();
    let (mut last, mut looks) = (control.progress(), 0);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&asked, &*engine(), &control, &mut |_| {}));
        while !running.is_finished() {
            let now = control.progress();
            assert!(now.files >= last.files && now.bytes >= last.bytes, "{now:?} after {last:?}");
            assert!(now.bytes <= now.bytes_known || !now.scanned, "{now:?}");
            looks += usize::from(now != last);
            last = now;
            std::thread::yield_now();
        }
        let outcome = running.join().expect("no panic");
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
    });
    let end = control.progress();
    assert!(looks > 2 && end.scanned, "{looks} steps to {end:?}");
    assert_eq!((end.bytes, end.files), (end.bytes_known, end.files_known));
}

#[test]
fn a_small_push_beside_a_large_one_waits_for_none_of_it() {
    let world = World::new();
    fs::write(world.path("large"), noise(if is_slow() { 1 << 30 } else { 64 << 20 }))
        .expect("written");
    fs::create_dir(world.path("small")).expect("made");
    for file in 0..20 {
        fs::write(world.path(&format!("small/f{file}")), "text").expect("written");
    }
    let push = |number: usize| {
        let to = world.daemon.at(&format!("/m/small{number}/"));
        timed(&request(Verb::Copy, world.local("small/"), to)).0
    };
    let mut alone: Vec<Duration> = (0..9).map(push).collect();
    alone.sort();
    let large = request(Verb::Copy, world.local("large"), world.daemon.at("/m/large"));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| done(&large));
        let mut beside = Vec::new();
        while !running.is_finished() && beside.len() < 90 {
            beside.push(push(10 + beside.len()));
        }
        beside.sort();
        println!(
            "alone {:?}, beside {:?} ({} times)",
            alone[4],
            beside[beside.len() / 2],
            beside.len()
        );
        running.join().expect("no panic");
        assert!(
            beside.len() > 1,
            "the large one was still under way when the first small one ended"
        );
    });
}
