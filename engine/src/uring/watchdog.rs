//! The thread beside the executors: it prepares the process for them and wakes those that sleep on work.
//! It must not know why they do, nor what preparing is: `executor` says it.

use std::time::Duration;

use super::executor;
use super::pool::Launch;
use super::queue::Queue;

/// Wakes every executor of `queue` in steps of [`WAKE_INTERVAL`] while there is work, and sleeps while there is none.
/// Returns when it is dismissed.
pub(super) fn watch(queue: &Queue, launch: Launch) {
    if launch == Launch::WhenPrepared {
        if !queue.rest(WAKE_INTERVAL) {
            return;
        }
        executor::prepare();
        queue.finish_preparation();
    }
    while queue.rest(WAKE_INTERVAL) {
        queue.wake_all();
    }
}

/// How long an executor may oversleep: short against what a person notices, long against the cost of a wake (some
/// microseconds). A run that is shorter than this makes no executor.
const WAKE_INTERVAL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use blit_core::event::{Control, Port, Seat};
    use blit_core::path::RelPath;
    use blit_core::task::{Dir, Hash, Root, Task, TaskId};

    use super::*;
    use crate::uring::probe;
    use crate::uring::queue::{Job, Until};

    #[test]
    fn an_executor_that_oversleeps_is_woken() {
        let queue = Queue::new(1);
        let (sender, receiver) = channel();
        let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
        let dir = Dir::new(&Root::new("/"), RelPath::root());
        let job = Job { id: TaskId(0), task: Task::Hash(Hash { dir, names: Vec::new() }), port };
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let work = || queue.serve(0, Until::Closed);
                let refused = probe::probe().and_then(|()| executor::run(|| (), work())).is_err();
                if refused {
                    executor::block_on(work());
                }
            });
            while !queue.forget_sleepers() {
                std::thread::yield_now();
            }
            queue.push([job].into_iter());
            let early = receiver.recv_timeout(2 * WAKE_INTERVAL);
            let watchdog = scope.spawn(|| watch(&queue, Launch::AtOnce));
            let late = receiver.recv_timeout(Duration::from_secs(20));
            queue.close();
            worker.join().expect("it ends");
            queue.dismiss();
            watchdog.join().expect("it ends");
            assert!(early.is_err(), "nobody had woken it");
            assert!(late.is_ok(), "the watchdog had not woken it");
        });
    }
}
