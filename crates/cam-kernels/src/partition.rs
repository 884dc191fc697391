//! Partitions work into tasks: strips of rows, and where those are few, strips times parts of the panels.

/// The number of pixels per strip, so that their input stays in the cache.
const PIXELS_PER_STRIP: usize = 120;

/// The number of tasks per thread, so that a slow thread does not hold up the others.
pub(crate) const TASKS_PER_THREAD: usize = 4;

/// Returns the number of rows per strip and the number of parts of the panels.
pub(crate) fn partition(rows: usize, row: usize, panels: usize) -> (usize, usize) {
    let tasks = TASKS_PER_THREAD * rayon::current_num_threads();
    let strips = tasks.div_ceil(panels).max((rows * row).div_ceil(PIXELS_PER_STRIP)).min(rows);
    let height = rows.div_ceil(strips);
    let parts = tasks.div_ceil(rows.div_ceil(height)).min(panels);
    (height, parts)
}

/// Splits the first `count` channels off each pixel: a task writes them, and the next task those that follow.
pub(crate) fn split_channels<'a>(pixels: &mut [&'a mut [f32]], count: usize) -> Vec<&'a mut [f32]> {
    let split = |pixel: &mut &'a mut [f32]| pixel.split_off_mut(..count).expect("a pixel has all channels");
    pixels.iter_mut().map(split).collect()
}
