//! Counters for tests: what a thread asks of its devices. They are public with the feature `testing`.

use std::cell::Cell;

thread_local! {
    static DEVICE_READS: Cell<usize> = const { Cell::new(0) };
    static BLOCKING_WAITS: Cell<usize> = const { Cell::new(0) };
    static UPLOADS: Cell<usize> = const { Cell::new(0) };
}

/// Returns how often this thread has asked a device for numbers.
#[cfg(any(test, feature = "testing"))]
pub fn device_reads() -> usize {
    DEVICE_READS.get()
}

/// Returns how often this thread has blocked to wait for a device.
#[cfg(any(test, feature = "testing"))]
pub fn blocking_waits() -> usize {
    BLOCKING_WAITS.get()
}

/// Returns how often this thread has given numbers to a device.
#[cfg(any(test, feature = "testing"))]
pub fn uploads() -> usize {
    UPLOADS.get()
}

pub(crate) fn count_device_read() {
    DEVICE_READS.set(DEVICE_READS.get() + 1);
}

pub(crate) fn count_blocking_wait() {
    BLOCKING_WAITS.set(BLOCKING_WAITS.get() + 1);
}

pub(crate) fn count_upload() {
    UPLOADS.set(UPLOADS.get() + 1);
}
