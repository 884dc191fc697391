//! Memory that is used again: what one layer has read the next one writes into, without asking the system for it or filling it first.

use std::sync::{Mutex, PoisonError};

/// The floats that wait to be used at most, 256 MiB: as much as copies of a picture take where nothing is said.
const WAITING: usize = 64 << 20;

static HELD: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// So many floats, whatever they are.
pub(crate) fn take(count: usize) -> Vec<f32> {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    // No more than twice what is asked for, as it may be kept for long.
    let fits = |floats: &Vec<f32>| (count..=2 * count).contains(&floats.capacity());
    let best = (0..held.len()).filter(|&at| fits(&held[at])).min_by_key(|&at| held[at].capacity());
    let mut floats = best.map_or_else(Vec::new, |at| held.remove(at));
    drop(held);
    floats.resize(count, 0.0);
    floats
}

/// Memory that nobody reads any more. Of too much the oldest is freed.
pub(crate) fn give_back(floats: Vec<f32>) {
    if floats.capacity() == 0 {
        return;
    }
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.push(floats);
    let mut waiting: usize = held.iter().map(Vec::capacity).sum();
    while waiting > WAITING {
        waiting -= held.remove(0).capacity();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let mut floats = take(12_345);
        floats.fill(7.0);
        let place = floats.as_ptr();
        give_back(floats);
        let again = take(12_000);
        assert_eq!((again.as_ptr(), again.len()), (place, 12_000));
        assert_ne!(take(12_000).as_ptr(), place);
        give_back(again);
        assert_ne!(take(10).as_ptr(), place, "it is too large");
    }
}
