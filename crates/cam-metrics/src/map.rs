//! A map of one image, on the host.

use crate::{Error, Reason};
use std::sync::OnceLock;

/// A map of one image at the size of its input, row by row.
///
/// ```
/// use cam_metrics::Map;
///
/// let map = Map::new(1, 3, vec![0.0, 4.0, 2.0])?;
/// assert_eq!(map.scaled()?.values(), [0.0, 1.0, 0.5]);
/// assert_eq!(map.descending(), [1, 2, 0]);
/// assert_eq!(Map::new(1, 2, vec![3.0, 3.0])?.scaled().unwrap_err().to_string(), "the map is flat");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Map {
    height: usize,
    width: usize,
    values: Vec<f32>,
    descending: OnceLock<Vec<u32>>,
    ranks: OnceLock<Vec<f64>>,
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        (self.height, self.width, &self.values) == (other.height, other.width, &other.values)
    }
}

impl Map {
    /// Makes a map of `height * width` values.
    ///
    /// # Errors
    /// [`Error::Length`] if they are not as many.
    pub fn new(height: usize, width: usize, values: Vec<f32>) -> Result<Self, Error> {
        match values.len() == height * width {
            true => Ok(Self::of(height, width, values)),
            false => Err(Error::Length { height, width, found: values.len() }),
        }
    }

    fn of(height: usize, width: usize, values: Vec<f32>) -> Self {
        Self { height, width, values, descending: OnceLock::new(), ranks: OnceLock::new() }
    }

    /// Returns the height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the map with 0 for its lowest and 1 for its highest value.
    ///
    /// # Errors
    /// [`Reason::NonFiniteMap`] and [`Reason::FlatMap`].
    pub fn scaled(&self) -> Result<Self, Reason> {
        if self.values.iter().any(|value| !value.is_finite()) {
            return Err(Reason::NonFiniteMap);
        }
        let low = self.values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = self.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let range = f64::from(high) - f64::from(low);
        if range.is_nan() || range <= 0.0 {
            return Err(Reason::FlatMap);
        }
        let scaled = |value: &f32| ((f64::from(*value) - f64::from(low)) / range) as f32;
        Ok(Self::of(self.height, self.width, self.values.iter().map(scaled).collect()))
    }

    /// Returns the pixels from the most relevant to the least, of equal ones the first in row order first.
    pub fn descending(&self) -> &[u32] {
        self.descending.get_or_init(|| {
            let mut order: Vec<u32> = (0..self.values.len() as u32).collect();
            order.sort_by(|&a, &b| self.values[b as usize].total_cmp(&self.values[a as usize]));
            order
        })
    }

    /// Returns the [rank](crate::ranks) of each pixel.
    pub fn ranks(&self) -> &[f64] {
        self.ranks.get_or_init(|| crate::ranks(&self.values))
    }

    /// Returns the rank correlation with another map of the same size.
    ///
    /// # Errors
    /// [`Reason::FlatComparison`] if one of them is flat.
    pub fn spearman(&self, other: &Self) -> Result<f64, Reason> {
        crate::pearson(self.ranks(), other.ranks()).ok_or(Reason::FlatComparison)
    }

    /// Returns the correlation with another map of the same size.
    ///
    /// # Errors
    /// [`Reason::FlatComparison`] if one of them is flat.
    pub fn pearson(&self, other: &Self) -> Result<f64, Reason> {
        let wide = |map: &Self| map.values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
        crate::pearson(&wide(self), &wide(other)).ok_or(Reason::FlatComparison)
    }

    /// Returns the sum of the values.
    pub fn sum(&self) -> f64 {
        self.values.iter().map(|value| f64::from(*value)).sum()
    }

    /// Returns the map mirrored from left to right.
    pub fn mirrored(&self) -> Self {
        let rows = self.values.chunks_exact(self.width.max(1));
        let values = rows.flat_map(|row| row.iter().rev().copied()).collect();
        Self::of(self.height, self.width, values)
    }

    /// Returns the map resized bilinearly on half-pixel centers, without antialiasing.
    pub fn resized(&self, height: usize, width: usize) -> Self {
        let axis = |from: usize, to: usize| -> Vec<(usize, usize, f64)> {
            let place = |j: usize| {
                let x = ((j as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
                (x as usize, (x as usize + 1).min(from - 1), x.fract())
            };
            (0..to).map(place).collect()
        };
        if (height, width) == (self.height, self.width) || self.values.is_empty() {
            return self.clone();
        }
        let (rows, columns) = (axis(self.height, height), axis(self.width, width));
        let at = |y: usize, x: usize| f64::from(self.values[y * self.width + x]);
        let mut values = Vec::with_capacity(height * width);
        for &(top, bottom, down) in &rows {
            for &(left, right, along) in &columns {
                let upper = at(top, left) * (1.0 - along) + at(top, right) * along;
                let lower = at(bottom, left) * (1.0 - along) + at(bottom, right) * along;
                values.push((upper * (1.0 - down) + lower * down) as f32);
            }
        }
        Self::of(height, width, values)
    }
}
