//! A pool of buffers: layers write into the memory of values that earlier layers have consumed, without allocating or clearing it.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// The maximum number of floats in the pool, 128 MiB.
const MAX_FLOATS: usize = 32 << 20;

/// The maximum number of buffers: more than a block of a network needs at a time, and few, as inputs that were allocated elsewhere enter
/// the pool, too.
const MAX_BUFFERS: usize = 64;

static POOL: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Returns a buffer of `count` floats of any value. It takes a buffer of the pool of at most twice that size, so that small layers do not
/// take the buffers of large ones: the one with the fewest floats to clear, and the smallest of these.
pub fn take(count: usize) -> Vec<f32> {
    let mut floats = take_from_pool(count, count..=count.saturating_mul(2));
    if floats.capacity() == 0 {
        return vec![0.0; count];
    }
    floats.resize(count, 0.0);
    floats
}

/// Returns the floats in a buffer of about their size, as they may be kept for long.
pub fn shrink(floats: Vec<f32>) -> Vec<f32> {
    let room = floats.len()..=floats.len().saturating_mul(4);
    if room.contains(&floats.capacity()) {
        return floats;
    }
    let mut shrunk = take_from_pool(0, room);
    shrunk.clear();
    shrunk.extend_from_slice(&floats);
    recycle(floats);
    shrunk
}

/// Takes the buffer of the pool whose capacity is in the range that lacks the fewest floats, and the smallest of these; an empty one if
/// there is none.
fn take_from_pool(count: usize, room: RangeInclusive<usize>) -> Vec<f32> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |at: &usize| room.contains(&pool[*at].capacity());
    let lacking = |at: usize| count.saturating_sub(pool[at].len());
    let best = (0..pool.len()).filter(fits).min_by_key(|&at| (lacking(at), pool[at].capacity()));
    best.map_or_else(Vec::new, |at| pool.remove(at))
}

/// Returns a buffer to the pool. If the pool is too large, its oldest buffers are freed.
pub fn recycle(floats: Vec<f32>) {
    if floats.capacity() == 0 {
        return;
    }
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    pool.push(floats);
    let mut total: usize = pool.iter().map(Vec::capacity).sum();
    while total > MAX_FLOATS || pool.len() > MAX_BUFFERS {
        total -= pool.remove(0).capacity();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recycled_buffers_are_taken_again() {
        let mut floats = take(12_345_678);
        floats.fill(7.0);
        let address = floats.as_ptr();
        recycle(floats);
        let mut again = take(12_000_000);
        assert_eq!((again.as_ptr(), again.len()), (address, 12_000_000));
        let other = take(12_000_000);
        assert_ne!(other.as_ptr(), address);

        again.truncate(10);
        let kept = shrink(again);
        assert_eq!(kept, [7.0; 10]);
        assert!(kept.capacity() <= 40, "at most four times the floats");
        let large = take(12_000_000);
        assert_eq!(large.as_ptr(), address, "the large buffer is in the pool again");
    }
}
