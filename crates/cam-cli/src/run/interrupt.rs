//! Signals that end a run: Ctrl-C, a terminal that is closed, a system that shuts down. It stops at once, but never in the middle of a
//! file.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Held while a file is written.
static WRITING: Mutex<()> = Mutex::new(());

/// The number of the signal of Ctrl-C.
const INTERRUPT: i32 = 2;

/// Runs this work to its end, even when a signal comes meanwhile.
pub fn whole<T>(work: impl FnOnce() -> T) -> T {
    let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Ends the process on a signal, as soon as no file is being written, and prints this line. The exit code is 128 and the number of the
/// signal, as shells report it.
pub fn watch(farewell: &'static str) {
    let end = move |signal: i32| {
        let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        // The terminal may be gone.
        let _ = writeln!(std::io::stderr(), "\ncam: interrupted; {farewell}");
        std::process::exit(128 + signal)
    };
    // On systems without this signal there is nothing to watch.
    let _ = ctrlc::set_handler(move || end(INTERRUPT));
    #[cfg(unix)]
    on_termination(end);
}

/// Calls this function with the number of the first signal of those that end a program, beside Ctrl-C.
#[cfg(unix)]
fn on_termination(end: impl FnOnce(i32) + Send + 'static) {
    use signal_hook::consts::{SIGHUP, SIGTERM};
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Where a system does not tell what is ignored, a run may have been started by `nohup`.
    let is_known = |signal: &i32| *signal != SIGHUP || cfg!(target_os = "linux");
    let signals = [SIGTERM, SIGHUP].into_iter().filter(is_known);
    let signals: Vec<i32> = signals.filter(|signal| !is_ignored(&status, *signal)).collect();
    let Ok(mut signals) = signal_hook::iterator::Signals::new(signals) else { return };
    std::thread::spawn(move || signals.forever().next().map(end));
}

/// Returns whether a process with this status in `/proc` was started to ignore a signal.
#[cfg(unix)]
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_ignores_is_read_from_its_status() {
        let status =
            "Name:\tcam\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        assert!(is_ignored(status, 1) && is_ignored(status, 13));
        assert!(!is_ignored(status, 2) && !is_ignored(status, 15) && !is_ignored("", 1));
    }
}
