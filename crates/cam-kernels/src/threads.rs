//! Keeps the threads of rayon at hand between the layers of a network.
//!
//! A layer of a small network takes some ten microseconds, and so does waking a thread. rayon's threads sleep soon after their last task,
//! and a thread that is not among them sleeps while they work, so that a second core gains nothing there. Two things help: the thread that
//! asks for a pass computes, too ([`use_this_thread`]), and the others look for tasks a moment longer ([`keep_awake`]).

use rayon::{ThreadPoolBuilder, Yield};
use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// How long threads look for tasks after the last one, in microseconds.
const PATIENCE: u64 = 300;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When a layer or a task was last computed, in microseconds since the start.
static LAST: AtomicU64 = AtomicU64::new(0);

/// The number of threads that look for tasks.
static AWAKE: AtomicUsize = AtomicUsize::new(0);

/// Makes the calling thread one of the threads that compute on the CPU. Reports whether it is one.
///
/// It is for programs whose main thread waits for one explanation after the other, and comes first in them: small networks take half the
/// time. It does nothing if rayon's threads exist already, or if there is only one, which may be needed while the calling thread waits for
/// another thread.
pub fn use_this_thread() -> bool {
    if count() > 1 {
        // An error means that the threads exist.
        ThreadPoolBuilder::new().num_threads(count()).use_current_thread().build_global().ok();
    }
    rayon::current_thread_index().is_some()
}

/// Runs a function on one of the threads that compute on the CPU, and waits for its result. It is for programs that compute beside their
/// main thread: the passes of the function take as long as after [`use_this_thread`].
///
/// If there is only one such thread, the function runs on the calling one.
pub fn on_computing_thread<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    if count() == 1 {
        return run();
    }
    ThreadPoolBuilder::new().num_threads(count()).stack_size(STACK).build_global().ok();
    rayon::scope(|_| run())
}

/// The stack of a thread that runs whole passes, as large as that of a main thread: networks are deep.
const STACK: usize = 8 << 20;

/// Returns how many threads compute, as rayon counts them.
fn count() -> usize {
    let set = std::env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    set.filter(|threads| *threads > 0).unwrap_or_else(cores)
}

/// Keeps the other threads awake for the layers that follow, if the calling thread is one of rayon's.
pub fn keep_awake() {
    let Some(caller) = rayon::current_thread_index() else { return };
    let others = rayon::current_num_threads() - 1;
    if others == 0 {
        return;
    }
    LAST.store(now(), Relaxed);
    if AWAKE.load(Relaxed) == 0 && AWAKE.compare_exchange(0, others, Relaxed, Relaxed).is_ok() {
        rayon::spawn_broadcast(move |thread| {
            if thread.index() != caller {
                look_for_tasks();
            }
        });
    }
}

/// Takes tasks of the other threads until there have been none for a while.
fn look_for_tasks() {
    while now() < LAST.load(Relaxed) + PATIENCE {
        match rayon::yield_now() {
            Some(Yield::Executed) => LAST.store(now(), Relaxed),
            _ => std::hint::spin_loop(),
        }
    }
    AWAKE.fetch_sub(1, Relaxed);
}

fn now() -> u64 {
    u64::try_from(START.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::ThreadPoolBuilder;
    use std::time::Duration;

    #[test]
    fn a_function_runs_on_a_computing_thread() {
        let found = on_computing_thread(|| (rayon::current_thread_index().is_some(), 7));
        assert_eq!(found, (count() > 1, 7));
    }

    #[test]
    fn threads_that_are_kept_awake_take_tasks_and_go_to_sleep() {
        let pool = ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let mut awake = 0;
        for _ in 0..20 {
            awake += pool.install(|| {
                keep_awake();
                let awake = AWAKE.load(Relaxed);
                let sum = rayon::join(|| (0..100).sum::<u32>(), || (100..200).sum::<u32>());
                assert_eq!(sum.0 + sum.1, 19_900);
                awake
            });
            let start = Instant::now();
            while AWAKE.load(Relaxed) > 0 {
                assert!(start.elapsed() < Duration::from_secs(60), "they look for tasks forever");
                std::thread::yield_now();
            }
        }
        assert!(awake > 0, "none was ever awake");
        keep_awake();
        assert_eq!(AWAKE.load(Relaxed), 0, "a thread of another pool keeps nobody awake");
    }
}
