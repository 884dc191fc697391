//! Ctrl-C: a run stops at once, but never in the middle of a file.

use std::sync::{Mutex, PoisonError};

/// Held while a file is written.
static WRITING: Mutex<()> = Mutex::new(());

/// The exit code of the process, as shells report it for a program that Ctrl-C has ended.
const CODE: i32 = 130;

/// Runs this work to its end, even when Ctrl-C is pressed meanwhile.
pub fn whole<T>(work: impl FnOnce() -> T) -> T {
    let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Ends the process on Ctrl-C, as soon as no file is being written, and prints this line.
pub fn watch(farewell: &'static str) {
    // On systems without this signal there is nothing to watch.
    let _ = ctrlc::set_handler(move || {
        let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("\ncam: interrupted; {farewell}");
        std::process::exit(CODE)
    });
}
