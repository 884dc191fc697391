//! Heat maps and their bilinear resize, with values at the centers of pixels:
//!
//! `source = (target + 0.5) * source_size / target_size - 0.5`, clamped to `0 ..= source_size - 1`,
//!
//! and the value there is the weighted mean of the four neighbors. This is the result of OpenCV's `INTER_LINEAR` and of PyTorch's
//! `align_corners=False`; there is no antialiasing when a map shrinks.

use crate::{Area, Error};

/// The maximum number of pixels of a map or an image, width times height: 2^29, two gigabytes of `f32`. A figure of a photo of half as
/// many pixels, with sides of up to 20,000, fits within the limit with its captions and color bar.
pub const MAX_PIXELS: u64 = 1 << 29;

/// A map of finite values, row by row, with at least one pixel.
///
/// A normalized map holds values from 0 to 1. A raw, signed map may hold any values and is drawn after [`HeatMap::balanced`].
///
/// ```
/// use cam_viz::HeatMap;
///
/// let heat = HeatMap::new(2, 1, [0.0, 1.0])?;
/// assert_eq!(heat.resize(4, 1)?.values(), [0.0, 0.25, 0.75, 1.0]);
/// assert_eq!(heat.peak(), (1, 0, 1.0));
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Unchecked"))]
pub struct HeatMap {
    width: u32,
    height: u32,
    values: Vec<f32>,
}

/// A deserialized map before validation.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Unchecked {
    width: u32,
    height: u32,
    values: Vec<f32>,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for HeatMap {
    type Error = Error;

    fn try_from(Unchecked { width, height, values }: Unchecked) -> Result<Self, Error> {
        Self::new(width, height, values)
    }
}

impl HeatMap {
    /// Makes a map of `width * height` finite values, row by row from the top left.
    pub fn new(width: u32, height: u32, values: impl Into<Vec<f32>>) -> Result<Self, Error> {
        let values = values.into();
        check_size(width.into(), height.into())?;
        if values.len() as u64 != u64::from(width) * u64::from(height) {
            return Err(Error::Length { width, height, length: values.len() });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (x, y) = (at as u32 % width, at as u32 / width);
            return Err(Error::NotFinite { x, y, value: values[at] });
        }
        Ok(Self { width, height, values })
    }

    /// Returns the width in map pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns the height in map pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns all `width * height` values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// Returns the position and value of the maximum, `(x, y, value)`: the first in row order if several are equal.
    pub fn peak(&self) -> (u32, u32, f32) {
        let first = (0, self.values[0]);
        let (at, value) = self
            .values
            .iter()
            .copied()
            .enumerate()
            .fold(first, |best, here| if here.1 > best.1 { here } else { best });
        (at as u32 % self.width, at as u32 / self.width, value)
    }

    /// Returns the smallest value.
    pub fn min(&self) -> f32 {
        self.values.iter().copied().fold(f32::INFINITY, f32::min)
    }

    /// Returns the largest absolute value.
    pub fn max_abs(&self) -> f32 {
        self.values.iter().fold(0.0, |largest, value| value.abs().max(largest))
    }

    /// Returns the median of the absolute values: of an even number of them the lower of the middle two.
    pub(crate) fn median_abs(&self) -> f32 {
        let mut values: Vec<f32> = self.values.iter().map(|value| value.abs()).collect();
        let middle = (values.len() - 1) / 2;
        *values.select_nth_unstable_by(middle, f32::total_cmp).1
    }

    /// Returns the 99.5th percentile of the absolute values. A map of single pixels has a few larger values that hide the others.
    ///
    /// ```
    /// use cam_viz::HeatMap;
    ///
    /// let mut values: Vec<f32> = (0..1000).map(|at| at as f32 / 2000.0).collect();
    /// values[999] = -1.0;
    /// let heat = HeatMap::new(100, 10, values)?;
    /// assert_eq!(heat.high_abs(), 0.497);
    /// let drawn = heat.saturated(heat.high_abs());
    /// assert_eq!(drawn.values()[497], 0.5);
    /// assert_eq!(drawn.values()[994..], [1.0, 1.0, 1.0, 1.0, 1.0, -1.0]);
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn high_abs(&self) -> f32 {
        high_abs(self.values.clone())
    }

    /// Returns the map divided by a positive value, with values beyond it as 1 or -1.
    pub fn saturated(&self, most: f32) -> Self {
        Self::of_same_size(self, self.values.iter().map(|value| (value / most).clamp(-1.0, 1.0)).collect())
    }

    /// Returns a map of the size of another one.
    pub(crate) fn of_same_size(other: &Self, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len(), other.values.len());
        Self { values, ..*other }
    }

    /// Returns the map scaled so that `low` becomes 0 and `high` becomes 1. If both are equal, `low` is subtracted.
    ///
    /// ```
    /// # use cam_viz::HeatMap;
    /// let spread = HeatMap::new(3, 1, [0.0, 0.1, 0.25])?;
    /// assert_eq!(spread.scaled(0.0, 0.25).values(), [0.0, 0.4, 1.0]);
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn scaled(&self, low: f32, high: f32) -> Self {
        let range = f64::from(high) - f64::from(low);
        let divisor = if range == 0.0 || !range.is_finite() { 1.0 } else { range };
        let scaled = |value: &f32| ((f64::from(*value) - f64::from(low)) / divisor) as f32;
        Self { values: self.values.iter().map(scaled).collect(), ..*self }
    }

    /// Returns the signed map divided by its largest absolute value: from -1 to 1, and zero stays zero.
    ///
    /// ```
    /// # use cam_viz::HeatMap;
    /// let raw = HeatMap::new(3, 1, [-4.0, 0.0, 2.0])?;
    /// assert_eq!(raw.balanced().values(), [-1.0, 0.0, 0.5]);
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    pub fn balanced(&self) -> Self {
        let largest = self.max_abs();
        let divisor = if largest > 0.0 { largest } else { 1.0 };
        Self { values: self.values.iter().map(|value| value / divisor).collect(), ..*self }
    }

    /// Returns the map resized bilinearly to another size in pixels.
    pub fn resize(&self, width: u32, height: u32) -> Result<Self, Error> {
        let rows = self.resized_rows(width, height)?;
        let mut values = Vec::with_capacity(width as usize * height as usize);
        rows.for_each(|row| values.extend(row));
        Ok(Self { width, height, values })
    }

    /// Returns the rows of the map resized to another size, one after another.
    pub(crate) fn resized_rows(
        &self,
        width: u32,
        height: u32,
    ) -> Result<impl Iterator<Item = Vec<f32>> + use<'_>, Error> {
        check_size(width.into(), height.into())?;
        let (columns, rows) = (taps(self.width, width), taps(self.height, height));
        Ok(rows.into_iter().map(move |row| {
            let (upper, lower) = (self.row(row.before), self.row(row.after));
            let mixed = |column: &Tap| row.mix(column.sample(upper), column.sample(lower)) as f32;
            columns.iter().map(mixed).collect()
        }))
    }

    /// Returns the part of the map within an area.
    ///
    /// ```
    /// use cam_viz::{Area, HeatMap};
    ///
    /// let heat = HeatMap::new(3, 1, [0.0, 1.0, 0.5])?;
    /// assert_eq!(heat.crop(Area { x: 1, y: 0, width: 2, height: 1 })?.values(), [1.0, 0.5]);
    /// # Ok::<(), cam_viz::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AreaOutside`] if the area does not lie within the map.
    pub fn crop(&self, area: Area) -> Result<Self, Error> {
        let Area { x, y, width, height } = area;
        if !area.lies_within(self.width, self.height) {
            return Err(Error::AreaOutside { area, width: self.width, height: self.height });
        }
        let rows = (y..y + height).map(|row| &self.row(row as usize)[x as usize..(x + width) as usize]);
        Ok(Self { width, height, values: rows.flatten().copied().collect() })
    }

    fn row(&self, y: usize) -> &[f32] {
        let width = self.width as usize;
        &self.values[y * width..(y + 1) * width]
    }
}

/// The two source pixels around a target pixel, and the weight of the second (0 to 1).
struct Tap {
    before: usize,
    after: usize,
    weight: f64,
}

impl Tap {
    fn mix(&self, before: f64, after: f64) -> f64 {
        before + (after - before) * self.weight
    }

    fn sample(&self, row: &[f32]) -> f64 {
        self.mix(row[self.before].into(), row[self.after].into())
    }
}

/// Returns one tap per target pixel along an axis.
fn taps(source: u32, target: u32) -> Vec<Tap> {
    let last = source as usize - 1;
    let scale = f64::from(source) / f64::from(target);
    (0..target)
        .map(|pixel| {
            let at = ((f64::from(pixel) + 0.5) * scale - 0.5).clamp(0.0, last as f64);
            let before = at as usize;
            Tap { before, after: (before + 1).min(last), weight: at - before as f64 }
        })
        .collect()
}

/// Returns the size if it has pixels and at most [`MAX_PIXELS`] of them.
pub(crate) fn check_size(width: u64, height: u64) -> Result<(u32, u32), Error> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width), Ok(height)) if width == 0 || height == 0 => Err(Error::Empty { width, height }),
        (Ok(w), Ok(h)) if width * height <= MAX_PIXELS => Ok((w, h)),
        _ => Err(Error::TooLarge { width, height, limit: MAX_PIXELS }),
    }
}
/// Returns the 99.5th percentile of the absolute values.
pub(crate) fn high_abs(mut values: Vec<f32>) -> f32 {
    values.iter_mut().for_each(|value| *value = value.abs());
    let most = (values.len() - 1) * 995 / 1000;
    let (_, value, above) = values.select_nth_unstable_by(most, f32::total_cmp);
    match *value {
        // If nearly all are zero, the others must still be visible.
        0.0 => above.iter().copied().fold(0.0, f32::max),
        value => value,
    }
}
