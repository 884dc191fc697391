//! Ctrl-C: a run stops at once, but never in the middle of a file.

use std::sync::{Mutex, PoisonError};

/// Held while a file is written.
static WRITING: Mutex<()> = Mutex::new(());

/// What the process ends with, as shells say of a program that Ctrl-C has ended.
const CODE: i32 = 130;

/// Does this work to its end, even where Ctrl-C comes in between.
pub fn whole<T>(work: impl FnOnce() -> T) -> T {
    let _held = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Ends the process on Ctrl-C, as soon as no file is being written, and says this line.
pub fn watch(farewell: &'static str) {
    // Where the system has no such signal, there is nothing to watch.
    let _ = ctrlc::set_handler(move || {
        let _held = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("\ncam: interrupted; {farewell}");
        std::process::exit(CODE)
    });
}
