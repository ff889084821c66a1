// SPDX-License-Identifier: MIT OR Apache-2.0

//! The threads of a backend, and how the backends of a process share the processor.
//!
//! Each backend has threads of its own, but they work only in turn: at any time no more of them than there are cores,
//! first come, first served. So several elements in one process do not get in each other's way, and one that is told to
//! stop while it waits for its turn stops at once. Only those that work [aside](Workers::aside) wait for no turn.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::backend::{CancelToken, Error, Result};

/// Threads that wait for work.
#[derive(Clone)]
pub struct Workers {
    pool: Arc<rayon::ThreadPool>,
    threads: usize,
    /// Whether the number of threads was left to this backend.
    automatic: bool,
    takes_turns: bool,
}

impl Workers {
    /// `threads` = 0: one per core that this process may use.
    pub fn new(threads: usize) -> Result<Self> {
        let automatic = threads == 0;
        let threads = if automatic { cores() } else { threads };
        Ok(Self {
            pool: pool(threads, "neuralstyle", 0)?,
            threads,
            automatic,
            takes_turns: true,
        })
    }

    /// One thread that does not take turns: for short work on which a streaming thread waits.
    pub fn aside() -> Result<Self> {
        Ok(Self {
            pool: pool(1, "neuralstyle-show", 0)?,
            threads: 1,
            automatic: false,
            takes_turns: false,
        })
    }

    /// The same with a lower priority (nice 5), for work in the background. There is one thread less
    /// than there are cores, but at least one, unless the number of threads was chosen.
    pub fn with_lower_priority(&self) -> Result<Self> {
        let threads = match self.automatic {
            true => (cores() - 1).max(1),
            false => self.threads,
        };
        Ok(Self {
            pool: pool(threads, "neuralstyle", NICE)?,
            threads,
            ..self.clone()
        })
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Does `work` on these threads when it is their turn; work within work is part of it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if `cancel` says so before that.
    pub fn run<R: Send>(&self, cancel: &CancelToken, work: impl FnOnce() -> R + Send) -> Result<R> {
        if self.pool.current_thread_index().is_some() {
            return Ok(work());
        }
        let _turn = match self.takes_turns {
            true => Some(CORES.take(self.threads, cancel)?),
            false => None,
        };
        Ok(self.pool.install(work))
    }
}

/// The nice value of background threads: on a busy core, Linux gives such a thread a third of the time of one at 0.
const NICE: i32 = 5;

fn pool(threads: usize, name: &'static str, nice: i32) -> Result<Arc<rayon::ThreadPool>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .start_handler(move |_| stand_back(nice))
        .thread_name(move |index| format!("{name}-{index}"))
        .build()
        .map_err(|error| Error::Unavailable(format!("{threads} threads cannot be started: {error}")))?;
    Ok(Arc::new(pool))
}

/// Has others go first before this thread. Only where that is a matter of threads: elsewhere it is one of processes.
fn stand_back(nice: i32) {
    #[cfg(target_os = "linux")]
    if nice > 0 {
        // Where even that is not allowed, the thread keeps the usual priority.
        let _ = rustix::process::nice(nice);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

static CORES: Cores = Cores {
    state: Mutex::new(State {
        taken: 0,
        waiting: VecDeque::new(),
        visitors: 0,
    }),
    changed: Condvar::new(),
};

/// How long a thread sleeps before it looks whether it shall stop; it is woken when its turn comes.
const PATIENCE: Duration = Duration::from_millis(5);

struct Cores {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    taken: usize,
    /// Tickets of the threads that wait, in the order in which they came.
    waiting: VecDeque<u64>,
    visitors: u64,
}

/// Some cores, until it is dropped.
struct Turn {
    of: &'static Cores,
    cores: usize,
}

impl Cores {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits for as many cores as there are threads to run on them, or for all if there are more threads.
    fn take(&'static self, threads: usize, cancel: &CancelToken) -> Result<Turn> {
        let all = cores();
        let cores = threads.min(all);
        let mut state = self.state();
        let number = state.visitors;
        state.visitors += 1;
        state.waiting.push_back(number);
        while state.waiting.front() != Some(&number) || state.taken + cores > all {
            if cancel.is_cancelled() {
                state.waiting.retain(|&waiting| waiting != number);
                self.changed.notify_all();
                return Err(Error::Cancelled);
            }
            let woken = self.changed.wait_timeout(state, PATIENCE);
            state = woken.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        state.waiting.pop_front();
        state.taken += cores;
        self.changed.notify_all();
        Ok(Turn { of: self, cores })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.state().taken -= self.cores;
        self.of.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_threads_work_than_there_are_cores() {
        let (working, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let workers = Workers::new(0).unwrap();
                    for _ in 0..50 {
                        workers
                            .run(&CancelToken::new(), || {
                                rayon::broadcast(|_| {
                                    most.fetch_max(
                                        working.fetch_add(1, Ordering::SeqCst) + 1,
                                        Ordering::SeqCst,
                                    );
                                    std::thread::yield_now();
                                    working.fetch_sub(1, Ordering::SeqCst);
                                });
                            })
                            .unwrap();
                    }
                });
            }
        });
        let most = most.into_inner();
        assert!((1..=cores()).contains(&most), "{most} threads at once");
    }

    #[test]
    fn who_is_told_to_stop_waits_no_longer() {
        let (workers, cancel) = (Workers::new(0).unwrap(), CancelToken::new());
        let other = Workers::new(0).unwrap();
        workers
            .run(&CancelToken::new(), || {
                // This work holds all cores, so the other's turn cannot come before it ends.
                std::thread::scope(|scope| {
                    let waiting = scope.spawn(|| other.run(&cancel, || ()));
                    cancel.cancel();
                    assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
                });
            })
            .unwrap();
        // And nobody waits for it.
        other.run(&CancelToken::new(), || ()).unwrap();
    }

    #[test]
    fn who_works_aside_waits_for_nobody() {
        let (workers, aside) = (Workers::new(0).unwrap(), Workers::aside().unwrap());
        workers
            .run(&CancelToken::new(), || {
                // This work holds all cores and does not end before the other.
                std::thread::scope(|scope| {
                    let other = scope.spawn(|| aside.run(&CancelToken::new(), || 7));
                    assert_eq!(other.join().unwrap().unwrap(), 7);
                });
            })
            .unwrap();
    }

    #[test]
    fn a_core_is_left_unless_the_number_of_threads_was_chosen() {
        let left = Workers::new(0).unwrap().with_lower_priority().unwrap();
        assert_eq!(left.threads(), (cores() - 1).max(1));
        let chosen = Workers::new(3).unwrap().with_lower_priority().unwrap();
        assert_eq!(chosen.threads(), 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn others_go_first_before_those_who_stand_back() {
        let nice = |workers: &Workers| {
            let ask = || rustix::process::getpriority_process(None).unwrap();
            workers.run(&CancelToken::new(), ask).unwrap()
        };
        let workers = Workers::new(1).unwrap();
        let usual = nice(&workers);
        let back = nice(&workers.with_lower_priority().unwrap());
        assert_eq!(back, (usual + NICE).min(19));
        assert_eq!(nice(&Workers::new(1).unwrap()), usual, "nobody else does");
    }
}
