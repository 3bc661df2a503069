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

/// Receiving tasks that a destination keeps at its engine, on top of those that work: what the source has been asked for.
/// Hides a long way; the bytes under way are bounded by the streams, not by this.
pub const RECEIVES_MAX: usize = 128;

/// Files from another machine from this size on are drafts, fetched in ranges and taken up again after a cut.
pub const DRAFT_BYTES_MIN: u64 = 8 << 20;

/// Bytes per range of a large file: a fraction of a second on a fast link, so that the streams end together. A multiple of the
/// block that is compared.
pub const RANGE_BYTES: u64 = 32 << 20;

/// Data connections of one session: one worker keeps one busy, and more than a few gain nothing on one way.
pub fn streams_wanted(limits: Limits) -> u16 {
    u16::try_from(limits.workers.clamp(1, STREAMS_MAX)).unwrap_or(1)
}

/// See [`streams_wanted`].
const STREAMS_MAX: usize = 4;

/// Ranges of one large file that are compared or fetched at the same time. What waits for its turn takes no memory, whatever
/// size the file is said to have.
pub const RANGES_MAX: usize = RECEIVES_MAX;

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
            if matches!(task, Task::Send(_)) {
                // Who sends waits for the peer, which the calling thread must not.
                files += INLINE_FILES_MAX + 1;
            }
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
