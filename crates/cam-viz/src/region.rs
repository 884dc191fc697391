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

    /// Returns the map whose small regions beyond a level are moved to zero, and whose small holes are moved to the level: those of less than
    /// 1/20 of the pixels of the largest region. A negative level looks at the values below it.
    pub(crate) fn without_islands(&self, level: f32) -> Self {
        let sign = if level < 0.0 { -1.0 } else { 1.0 };
        let beyond: Vec<bool> = self.values().iter().map(|&value| sign * value >= sign * level).collect();
        let before: Vec<bool> = beyond.iter().map(|beyond| !beyond).collect();
        let (islands, largest) = self.small_parts(&beyond, None);
        let (holes, _) = self.small_parts(&before, Some(largest));
        let zero = if level == 0.0 { f32::MIN_POSITIVE.copysign(-1.0) } else { 0.0 };
        let values = self.values().iter().zip(islands.into_iter().zip(holes)).map(|(value, of)| match of {
            (true, _) => zero,
            (_, true) => level,
            _ => *value,
        });
        Self::of_same_size(self, values.collect())
    }

    /// Returns which of these pixels are of parts that are small beside the largest, and how many pixels that has.
    fn small_parts(&self, pixels: &[bool], largest: Option<u32>) -> (Vec<bool>, u32) {
        let (mut open, mut small) = (pixels.to_vec(), pixels.to_vec());
        let mut parts = Vec::new();
        for start in 0..open.len() {
            if open[start] {
                parts.push((start, self.flood(start, &mut open)));
            }
        }
        let largest = largest.or_else(|| parts.iter().map(|(_, part)| part.pixels).max()).unwrap_or(0);
        for (start, part) in parts {
            if !is_island(&part, largest) {
                self.flood(start, &mut small);
            }
        }
        (small, largest)
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

/// Reports whether a region is too small beside the largest one, which has so many pixels.
fn is_island(region: &Region, largest: u32) -> bool {
    region.pixels < largest.div_ceil(20)
}

/// Returns the regions, the largest first, without those that are too small beside it.
pub(crate) fn without_islands(mut regions: Vec<Region>) -> Vec<Region> {
    let largest = regions.first().map_or(0, |region| region.pixels);
    regions.retain(|region| !is_island(region, largest));
    regions
}

/// Merges regions whose boxes share more than half of the smaller box, until there are none. The largest come first.
pub(crate) fn merge(regions: &mut Vec<Region>) {
    let pairs = |count: usize| {
        (0..count).flat_map(move |first| (first + 1..count).map(move |second| (first, second)))
    };
    let overlap = |a: Area, b: Area| {
        let shared = a.shared_pixels(b);
        2 * shared > a.pixels().min(b.pixels())
    };
    while let Some((first, second)) =
        pairs(regions.len()).find(|&(first, second)| overlap(regions[first].area, regions[second].area))
    {
        let Region { area, pixels, peak } = regions.remove(second);
        let into = &mut regions[first];
        (into.area, into.pixels, into.peak) =
            (into.area.around(area), into.pixels + pixels, into.peak.max(peak));
    }
    regions.sort_by_key(|region| std::cmp::Reverse(region.pixels));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(x: u32, y: u32, width: u32, height: u32) -> Region {
        Region { area: Area { x, y, width, height }, pixels: width * height, peak: 1.0 }
    }

    #[test]
    fn boxes_within_each_other_are_one_and_those_that_only_touch_stay() {
        let mut regions = vec![region(0, 0, 10, 10), region(9, 9, 10, 10), region(2, 2, 3, 3)];
        merge(&mut regions);
        let areas: Vec<Area> = regions.iter().map(|region| region.area).collect();
        assert_eq!(
            areas,
            [Area { x: 0, y: 0, width: 10, height: 10 }, Area { x: 9, y: 9, width: 10, height: 10 }]
        );
        assert_eq!(regions[0].pixels, 109);
        let mut regions = vec![region(0, 0, 10, 10), region(2, 2, 12, 7)];
        merge(&mut regions);
        assert_eq!(regions.len(), 1);
        assert_eq!(regions[0].area, Area { x: 0, y: 0, width: 14, height: 10 });
    }

    #[test]
    fn islands_of_either_sign_are_removed_and_large_regions_stay() {
        // A region of 40 pixels and one of a single pixel, for either sign.
        let value = |at: usize| match (at % 20, at / 20) {
            (0..10, 0..4) => 0.9,
            (15, 2) => 0.8,
            (0..10, 6..10) => -0.9,
            (15, 8) => -0.8,
            _ => 0.1,
        };
        let map = HeatMap::new(20, 10, (0..200).map(value).collect::<Vec<_>>()).unwrap();
        let at = |map: &HeatMap, x: usize, y: usize| map.values()[y * 20 + x];
        let positive = map.without_islands(0.5);
        assert_eq!([at(&positive, 3, 2), at(&positive, 15, 2), at(&positive, 15, 8)], [0.9, 0.0, -0.8]);
        let negative = map.without_islands(-0.5);
        assert_eq!([at(&negative, 3, 8), at(&negative, 15, 8), at(&negative, 15, 2)], [-0.9, 0.0, 0.8]);
        // A hole of one pixel in the large region is closed, and one that is not small stays.
        let value = |at: usize| match (at % 20, at / 20) {
            (0..10, 0..8) if (at % 20, at / 20) != (4, 4) => 0.9,
            _ => 0.1,
        };
        let holed = HeatMap::new(20, 10, (0..200).map(value).collect::<Vec<_>>()).unwrap();
        let closed = holed.without_islands(0.5);
        assert_eq!([at(&closed, 4, 4), at(&closed, 3, 4), at(&closed, 15, 4)], [0.5, 0.9, 0.1]);
        let zero = map.without_islands(0.0);
        let hole = 8 * 20 + 15;
        let signs = |map: &HeatMap| map.values().iter().map(|value| *value < 0.0).collect::<Vec<_>>();
        let (after, mut before) = (signs(&zero), signs(&map));
        before[hole] = false;
        assert_eq!(after, before);
    }
}
