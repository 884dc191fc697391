//! Memory that is used again: what one layer has read the next one writes into, without asking the system for it or filling it first.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// The floats that wait to be used at most, 128 MiB.
const WAITING: usize = 32 << 20;

/// How many pieces of memory they may be: more than a block of a network needs at one time, and few, as inputs come in as well, which
/// others have asked the system for.
const PIECES: usize = 16;

static HELD: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// So many floats, whatever they are, in the smallest memory that holds them and is at most twice as large: what a small layer took of
/// a large one's memory would be filled anew for the next large one.
pub fn take(count: usize) -> Vec<f32> {
    let mut floats = waiting(count..=count.saturating_mul(2));
    if floats.capacity() == 0 {
        return vec![0.0; count];
    }
    floats.resize(count, 0.0);
    floats
}

/// These floats in memory of about their size, as they may be kept for long.
pub fn fitted(floats: Vec<f32>) -> Vec<f32> {
    let room = floats.len()..=floats.len().saturating_mul(4);
    if room.contains(&floats.capacity()) {
        return floats;
    }
    let mut own = waiting(room);
    own.clear();
    own.extend_from_slice(&floats);
    give_back(floats);
    own
}

/// The smallest memory that waits and has room for so many floats, or none.
fn waiting(room: RangeInclusive<usize>) -> Vec<f32> {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |at: &usize| room.contains(&held[*at].capacity());
    let best = (0..held.len()).filter(fits).min_by_key(|&at| held[at].capacity());
    best.map_or_else(Vec::new, |at| held.remove(at))
}

/// Memory that nobody reads any more. Of too much the oldest is freed.
pub fn give_back(floats: Vec<f32>) {
    if floats.capacity() == 0 {
        return;
    }
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.push(floats);
    let mut waiting: usize = held.iter().map(Vec::capacity).sum();
    while waiting > WAITING || held.len() > PIECES {
        waiting -= held.remove(0).capacity();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let mut floats = take(12_345_678);
        floats.fill(7.0);
        let place = floats.as_ptr();
        give_back(floats);
        let mut again = take(12_000_000);
        assert_eq!((again.as_ptr(), again.len()), (place, 12_000_000));
        let other = take(12_000_000);
        assert_ne!(other.as_ptr(), place);

        again.truncate(10);
        let kept = fitted(again);
        assert_eq!(kept, [7.0; 10]);
        assert!(kept.capacity() <= 40, "no more than four times what is kept, whoever gave it back");
        let large = take(12_000_000);
        assert_eq!(large.as_ptr(), place, "the large memory waits again");
    }
}
