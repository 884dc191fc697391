//! The hot regions of a map: connected components (8-neighborhood) of the pixels that reach a threshold.

use crate::{Area, HeatMap};

/// A connected component of hot pixels of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Region {
    /// The bounding box.
    pub area: Area,
    /// The number of pixels.
    pub pixels: u32,
    /// The largest value.
    pub peak: f32,
}

impl HeatMap {
    /// Returns the connected regions whose values are at least `threshold`, the largest first, in pixels of the map.
    ///
    /// ```
    /// use cam_viz::{Area, HeatMap};
    ///
    /// let heat = HeatMap::new(5, 1, [0.9, 0.2, 0.6, 0.8, 0.1])?;
    /// let regions = heat.regions(0.5);
    /// assert_eq!(regions.len(), 2);
    /// assert_eq!(regions[0].area, Area { x: 2, y: 0, width: 2, height: 1 });
    /// assert_eq!((regions[0].pixels, regions[0].peak), (2, 0.8));
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn regions(&self, threshold: f32) -> Vec<Region> {
        let mut open: Vec<bool> = self.values().iter().map(|&value| value >= threshold).collect();
        let mut regions = Vec::new();
        for start in 0..open.len() {
            if open[start] {
                regions.push(self.flood(start, &mut open));
            }
        }
        regions.sort_by_key(|region| std::cmp::Reverse(region.pixels));
        regions
    }

    /// Returns the region of an open pixel and closes all its pixels.
    fn flood(&self, start: usize, open: &mut [bool]) -> Region {
        let (width, height) = (self.width() as usize, self.height() as usize);
        let (mut left, mut right, mut top, mut bottom) = (width, 0, height, 0);
        let (mut pixels, mut peak) = (0, f32::NEG_INFINITY);
        open[start] = false;
        let mut stack = vec![start];
        while let Some(at) = stack.pop() {
            let (x, y) = (at % width, at / width);
            (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
            pixels += 1;
            peak = peak.max(self.values()[at]);
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                for column in x.saturating_sub(1)..(x + 2).min(width) {
                    let neighbor = row * width + column;
                    if std::mem::take(&mut open[neighbor]) {
                        stack.push(neighbor);
                    }
                }
            }
        }
        let length = |first: usize, last: usize| (last - first + 1) as u32;
        let area =
            Area { x: left as u32, y: top as u32, width: length(left, right), height: length(top, bottom) };
        Region { area, pixels, peak }
    }
}
