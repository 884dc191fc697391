//! How work is shared out: in strips of rows, and where those are few, in strips times parts of the panels.

/// Pixels of a strip, so that their input stays in the cache.
const PIXELS: usize = 120;

/// Tasks for each thread, so that one that is held up does not hold up all.
pub(crate) const TASKS: usize = 4;

/// Rows of a strip, and parts of the panels.
pub(crate) fn shares(rows: usize, row: usize, panels: usize) -> (usize, usize) {
    let tasks = TASKS * rayon::current_num_threads();
    let strips = tasks.div_ceil(panels).max((rows * row).div_ceil(PIXELS)).min(rows);
    let height = rows.div_ceil(strips);
    let parts = tasks.div_ceil(rows.div_ceil(height)).min(panels);
    (height, parts)
}

/// The first channels of each pixel that are left: a part writes them, and the next part those behind.
pub(crate) fn first_channels<'a>(pixels: &mut [&'a mut [f32]], count: usize) -> Vec<&'a mut [f32]> {
    let split = |pixel: &mut &'a mut [f32]| pixel.split_off_mut(..count).expect("a pixel has all channels");
    pixels.iter_mut().map(split).collect()
}
