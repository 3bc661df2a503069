//! The io_uring engine beside threads that never sleep: no task may be forgotten.
//! Executors can oversleep on a busy machine (`executor` says why); this fails, after a timeout, where nothing
//! wakes them. With the default preempt timer that is too rare to wait for; with 2 ms and no watchdog 50 000 rounds met
//! it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use blit_core::event::{Control, Event, Port, Seat};
use blit_core::path::RelPath;
use blit_core::task::{Dir, List, Root, Survey, Task, TaskId, What};
use blit_engine::{Choice, start};

#[test]
fn every_task_is_answered_on_a_busy_machine() {
    let started = match start(Choice::Uring, None) {
        Ok(started) => started,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            return;
        }
    };
    let stop = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        for _ in 0..2 * thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    spin_loop();
                }
            });
        }
        let _stopped = Stop(&stop);
        let (sender, receiver) = mpsc::channel();
        let port = Port::new(Seat(0), sender, Arc::new(Control::default()));
        let begun = Instant::now();
        let mut rounds = 0_u64;
        while begun.elapsed() < DURATION {
            // One task wakes one executor, five wake all of them and leave some queued.
            let count = if rounds.is_multiple_of(2) { 1 } else { 5 };
            started.engine.submit((0..count).map(list).collect(), &port);
            for _ in 0..count {
                let answer = receiver.recv_timeout(OVERSLEPT);
                let answer = answer.unwrap_or_else(|_| panic!("forgotten in round {rounds}"));
                assert!(matches!(answer.1, Event::Done(_, Ok(_))), "{answer:?}");
            }
            rounds += 1;
        }
        rounds
    });
    println!("{rounds} rounds on {}", started.engine.describe());
}

fn list(id: u64) -> (TaskId, Task) {
    let dir = Dir::new(&Root::new(std::env::temp_dir()), RelPath::root());
    let list = List { dir, what: What::Itself, xattrs: false, survey: Survey::Nothing };
    (TaskId(id), Task::List(list))
}

/// Stops the spinning threads, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const DURATION: Duration = Duration::from_secs(3);
/// Far more than the watchdog's interval and than any scheduling delay.
const OVERSLEPT: Duration = Duration::from_secs(10);
