//! Masks: the pixels of an image that belong to an object.

/// A set of pixels of an image: one boolean per pixel, row by row.
///
/// ```
/// use cam_scenes::Mask;
///
/// let mask = Mask::from_fn(4, 3, |x, y| x == y);
/// assert_eq!((mask.width(), mask.height()), (4, 3));
/// assert_eq!(mask.area(), 3);
/// assert!(mask.contains(2, 2) && !mask.contains(3, 2) && !mask.contains(99, 99));
/// assert_eq!(mask.bounds(), Some([0, 0, 3, 3]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    inside: Vec<bool>,
}

impl Mask {
    /// Makes a mask of `width` by `height` pixels that contains each (x, y) for which `inside` is true.
    #[must_use]
    pub fn from_fn(width: u32, height: u32, mut inside: impl FnMut(u32, u32) -> bool) -> Self {
        let inside = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| inside(x, y));
        Self { width, height, inside: inside.collect() }
    }

    /// Makes an empty mask of `width` by `height` pixels.
    pub(crate) fn empty(width: u32, height: u32) -> Self {
        Self { width, height, inside: vec![false; width as usize * height as usize] }
    }

    /// Returns the width in pixels.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Returns the height in pixels.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Reports whether the pixel in column `x` and row `y` is inside; false outside of the image.
    #[must_use]
    pub fn contains(&self, x: u32, y: u32) -> bool {
        x < self.width && y < self.height && self.inside[y as usize * self.width as usize + x as usize]
    }

    /// Returns all pixels, row by row: `height * width` values.
    #[must_use]
    pub fn as_slice(&self) -> &[bool] {
        &self.inside
    }

    /// Returns the number of pixels inside.
    #[must_use]
    pub fn area(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }

    /// Returns the fraction of the image that is inside, in `[0, 1]`; 0 for an image without pixels.
    #[must_use]
    pub fn fraction(&self) -> f32 {
        self.area() as f32 / self.inside.len().max(1) as f32
    }

    /// Returns the bounding box of the pixels inside, `[left, top, right, bottom]`, the last two exclusive; `None` if the mask is empty.
    #[must_use]
    pub fn bounds(&self) -> Option<[u32; 4]> {
        let mut bounds: Option<[u32; 4]> = None;
        for (at, _) in self.inside.iter().enumerate().filter(|&(_, &inside)| inside) {
            let (x, y) = ((at % self.width as usize) as u32, (at / self.width as usize) as u32);
            let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
            bounds = Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)]);
        }
        bounds
    }

    /// Returns the intersection over union with another mask, in `[0, 1]`.
    ///
    /// It is 0 if both are empty. Pixels beyond the smaller mask count as outside.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let (width, height) = (self.width.max(other.width), self.height.max(other.height));
        let (mut both, mut either) = (0_u64, 0_u64);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let (a, b) = (self.contains(x, y), other.contains(x, y));
            both += u64::from(a && b);
            either += u64::from(a || b);
        }
        both as f32 / either.max(1) as f32
    }

    /// Returns a row of the mask; empty outside of the image.
    pub(crate) fn row_mut(&mut self, y: u32) -> &mut [bool] {
        let width = self.width as usize;
        self.inside.chunks_mut(width.max(1)).nth(y as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_without_pixels_is_empty_everywhere() {
        let mask = Mask::from_fn(0, 5, |_, _| true);
        assert_eq!((mask.area(), mask.fraction(), mask.bounds()), (0, 0.0, None));
        assert!(!mask.contains(0, 0));
        assert_eq!(mask.iou(&mask), 0.0);
    }

    #[test]
    fn the_iou_of_two_halves_of_a_square_is_a_third() {
        let left = Mask::from_fn(6, 6, |x, _| x < 4);
        let right = Mask::from_fn(6, 6, |x, _| x >= 2);
        assert!((left.iou(&right) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(left.iou(&left), 1.0);
    }

    #[test]
    fn bounds_are_tight() {
        let mask = Mask::from_fn(9, 7, |x, y| (2..5).contains(&x) && (1..7).contains(&y));
        assert_eq!(mask.bounds(), Some([2, 1, 5, 7]));
        assert_eq!(mask.area(), 18);
    }
}
