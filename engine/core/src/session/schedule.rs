//! How a transfer is cut into tasks. Every tuning number of a session is here, with its unit and reason.
//! It must not know what the tasks do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::Limits;
use crate::task::Task;

/// Entries per page of a listing. Large enough that a page is worth a task switch, small enough that the first bytes
/// of a huge directory move at once.
pub const PAGE_ENTRIES_MAX: usize = 1024;

/// How long a page may take on a file system that answers slowly: a listing gives back what it has then, so that the first
/// byte moves about a second after the start even where each look takes a fifth of that.
pub const PAGE_TIME_MAX: Duration = Duration::from_millis(100);

/// Files per copy task: a few milliseconds of work, so that the cores finish together.
pub const BATCH_FILES_MAX: usize = 256;

/// Bytes per copy task of small files.
pub const BATCH_BYTES_MAX: u64 = 8 << 20;

/// Files above this are a task of their own and are published on their own: a directory is not held back by them.
pub const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

/// Entries that the source may list ahead of the destination. Bounds memory to some megabytes whatever the tree.
pub const WINDOW_ENTRIES_MAX: usize = 16 * PAGE_ENTRIES_MAX;

/// Entries that a destination on another machine may have asked for at once, contents and digests together. One that keeps to
/// the window and to its own engine stays below half of it; more would only fill the source's memory.
pub const WANTED_ENTRIES_MAX: usize = 4 * WINDOW_ENTRIES_MAX;

/// Tasks per worker that a session keeps queued at the engine, so that no worker waits for the loop.
pub const TASKS_PER_WORKER_MAX: usize = 4;

/// Receiving tasks that a destination keeps at its engine, on top of those that work: what the source has been asked for, and
/// keeps at its own as sending ones. Hides a long way; the bytes under way are bounded by the streams, not by this.
pub const RECEIVES_MAX: usize = 128;

/// Files from another machine from this size on are drafts, fetched in ranges and taken up again after a cut.
pub const DRAFT_BYTES_MIN: u64 = 8 << 20;

/// Bytes per range of a large file: so few that a file of some hundred megabytes keeps all streams of a long way busy and they
/// end together, so many that asking for one costs nothing to speak of. A multiple of the block that is compared.
pub const RANGE_BYTES: u64 = 8 << 20;

/// A stream that nothing was sent on for so long is closed at the source, unless it is the last one.
pub const STREAM_IDLE: Duration = Duration::from_secs(5);

/// Ranges of one large file that are compared or fetched at the same time. What waits for its turn takes no memory, whatever
/// size the file is said to have.
pub const RANGES_MAX: usize = RECEIVES_MAX;

/// How many data connections a session has. They are dialled while tasks wait for one: at once as many as the cores can feed,
/// and then, where the way is the bound and not the cores, twice as many as long as that makes it faster. A way that is long for
/// the window of one connection needs many.
#[derive(Debug)]
pub struct Streams {
    begin: usize,
    max: usize,
    /// How fast it went before the last ones were added.
    before: Option<u64>,
    /// For how many looks no more are tried, and for how many after the next attempt that gains nothing.
    resting: u32,
    rest: u32,
}

/// What the streams of a session have done since the last look.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Streams that are there or being dialled.
    pub living: usize,
    /// Tasks that wait for one.
    pub waiting: usize,
    /// Over all of them together.
    pub bytes_per_sec: u64,
}

impl Streams {
    /// For a session whose engine has these limits.
    pub fn new(limits: Limits) -> Self {
        let begin = limits.workers.clamp(1, STREAMS_BEGIN_MAX);
        Self { begin, max: STREAMS_MAX, before: None, resting: 0, rest: REST_LOOKS }
    }

    /// It took so long to dial a stream, which is a few turns of the way. Says how long the new one has to get going before it is
    /// judged. On a long way more streams are worth more however few the cores are.
    pub fn dialled(&mut self, time: Duration) -> Duration {
        if time >= LONG_DIAL {
            self.begin = STREAMS_BEGIN_MAX;
        }
        (2 * time).clamp(Duration::from_millis(250), Duration::from_secs(3))
    }

    /// The peer takes no more than `living`.
    pub fn limit(&mut self, living: usize) {
        self.max = self.max.min(living.max(1));
    }

    /// Whether the cores alone are worth more than there are, so that nothing needs to be measured first.
    pub fn are_few(&self, flow: Flow) -> bool {
        flow.waiting > 0 && flow.living < self.begin.min(self.max)
    }

    /// How many to add after a look at what the present ones do. To be asked when these have had the time to get going.
    pub fn add(&mut self, flow: Flow) -> usize {
        let Flow { living, waiting, bytes_per_sec } = flow;
        if waiting == 0 || living >= self.max {
            self.before = None;
            return 0;
        }
        if living < self.begin {
            return self.begin.min(self.max) - living;
        }
        if let Some(before) = self.before.take()
            && bytes_per_sec < before.saturating_add(before / GAIN_PART)
        {
            self.resting = self.rest;
            self.rest = self.rest.saturating_mul(2);
        }
        if self.resting > 0 {
            self.resting -= 1;
            return 0;
        }
        self.before = Some(bytes_per_sec);
        living.min(self.max - living)
    }
}

/// Streams that are dialled without a measurement, on a machine that has the cores for them.
const STREAMS_BEGIN_MAX: usize = 4;

/// A way on which it takes so long to dial is long.
const LONG_DIAL: Duration = Duration::from_millis(60);

/// Streams of one session: as many as fill a way of 100 ms with windows of half a megabyte at 600 Mbit/s. Each takes a thread
/// and a few megabytes at either end.
const STREAMS_MAX: usize = 16;

/// The part of the rate that more streams must gain for still more to be tried.
const GAIN_PART: u64 = 10;

/// Looks without an attempt after the first one that gained nothing.
const REST_LOOKS: u32 = 10;

/// Work that is done in the calling thread: up to so many files. A job that ends below it starts no thread and no ring.
pub const INLINE_FILES_MAX: u64 = 8;

/// Work that is done in the calling thread: up to so many bytes of content.
pub const INLINE_BYTES_MAX: u64 = 100_000_000;

/// Directories listed in the calling thread before the work counts as large.
pub const INLINE_TASKS_MAX: u64 = 32;

/// After so long in the calling thread a run is not small, whatever it does: others have to go on beside what answers slowly.
pub const INLINE_TIME_MAX: Duration = Duration::from_millis(100);

/// Tasks that move bytes and are begun one after the other while a listing waits. It has its turn then, so that there is
/// always enough known for all cores.
pub const URGENT_IN_A_ROW_MAX: usize = 4;

/// Decides whether tasks are run in the calling thread: while a run is small.
#[derive(Debug, Default)]
pub struct Inline {
    files: AtomicU64,
    bytes: AtomicU64,
    tasks: AtomicU64,
    closed: AtomicBool,
}

impl Inline {
    /// The run is not small any more: it has taken longer than [`INLINE_TIME_MAX`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Counts `tasks` and says whether the run is still small with them. Once it is not, it never is again.
    pub fn admits<'a>(&self, tasks: impl Iterator<Item = &'a Task>) -> bool {
        let (mut files, mut bytes, mut count) = (0, 0, 0);
        for task in tasks {
            count += 1;
            if let Task::Copy(copy) = task {
                files += copy.picks.len() as u64;
                bytes += copy.entries().map(|(_, entry)| entry.meta.size).sum::<u64>();
            }
        }
        let files = self.files.fetch_add(files, Ordering::Relaxed) + files;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let count = self.tasks.fetch_add(count, Ordering::Relaxed) + count;
        let is_open = !self.closed.load(Ordering::Relaxed);
        is_open
            && files <= INLINE_FILES_MAX
            && bytes <= INLINE_BYTES_MAX
            && count <= INLINE_TASKS_MAX
    }
}

/// Whether a new directory with `files` small files of `bytes` together is made and filled by one task, or filled by
/// several at once. One task does less and takes no lock twice; but when little else is queued it would leave cores idle.
pub(super) fn whole_directory_is_one_task(files: usize, bytes: u64, queued: usize) -> bool {
    let limit = if queued >= BUSY_TASKS_MIN { PAGE_ENTRIES_MAX } else { BATCH_FILES_MAX };
    files <= limit && bytes <= 4 * BATCH_BYTES_MAX
}

/// From so many queued tasks on, the cores have enough to do.
const BUSY_TASKS_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(living: usize, bytes_per_sec: u64) -> Flow {
        Flow { living, waiting: 5, bytes_per_sec }
    }

    #[test]
    fn streams_are_added_while_they_make_it_faster() {
        let mut streams = Streams::new(Limits { workers: 2 });
        assert!(streams.are_few(flow(1, 0)) && !streams.are_few(flow(2, 0)));
        assert_eq!(streams.add(flow(1, 0)), 1);
        assert_eq!(streams.add(flow(2, 200)), 2);
        assert_eq!(streams.add(flow(4, 400)), 4);
        assert_eq!(streams.add(flow(8, 790)), 8);
        assert_eq!(streams.add(flow(16, 1500)), 0, "there may be no more");
    }

    #[test]
    fn after_an_attempt_that_gained_nothing_the_next_one_comes_late_and_later_each_time() {
        let mut streams = Streams::new(Limits { workers: 2 });
        assert_eq!(streams.add(flow(2, 200)), 2);
        let tries = (0..100).filter(|_| streams.add(flow(4, 205)) > 0).count();
        assert_eq!(tries, 3, "after 10, 20 and 40 looks");
    }

    #[test]
    fn none_is_added_while_nothing_waits_or_the_peer_takes_no_more() {
        let mut streams = Streams::new(Limits { workers: 8 });
        assert_eq!(streams.add(Flow { waiting: 0, ..flow(1, 100) }), 0);
        assert!(!streams.are_few(Flow { waiting: 0, ..flow(1, 100) }));
        assert_eq!(streams.add(flow(1, 100)), 3);
        streams.limit(4);
        assert_eq!(streams.add(flow(4, 100)), 0);
    }

    #[test]
    fn on_a_long_way_more_are_dialled_and_they_are_judged_later() {
        let mut streams = Streams::new(Limits { workers: 1 });
        let mut look = |millis| streams.dialled(Duration::from_millis(millis)).as_millis();
        assert_eq!((look(0), look(400), look(9000)), (250, 800, 3000));
        assert_eq!(streams.add(flow(1, 100)), 3);
    }
}
