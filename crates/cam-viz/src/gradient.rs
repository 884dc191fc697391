//! Gradients of the input as images around mid-gray:
//!
//! `channel = 128 + 127 * value / scale`, clamped to 1 to 255,
//!
//! where `scale` is the 99.5th percentile of the absolute values, so that a few large ones do not hide the others.

use crate::map::{check_size, high_abs};
use crate::{Error, HeatMap};
use image::{Rgb, RgbImage};

/// A signed image of three channels, such as the gradient of guided backpropagation.
///
/// ```
/// use cam_viz::{Gradient, HeatMap, Rgb};
///
/// let gradient = Gradient::new(2, 1, [0.0, 4.0, 0.0, 0.0, 0.0, -4.0])?; // red, green, blue of both pixels
/// assert_eq!(gradient.color()[(0, 0)], Rgb([128, 128, 128]));
/// assert_eq!(gradient.color()[(1, 0)], Rgb([255, 128, 1]));
/// assert_eq!(gradient.gray()[(1, 0)], Rgb([128, 128, 128])); // they cancel
///
/// let guided_cam = gradient.times(&HeatMap::new(1, 1, [0.0])?)?;
/// assert_eq!(guided_cam.color()[(1, 0)], Rgb([128, 128, 128]));
/// # Ok::<(), cam_viz::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    width: u32,
    height: u32,
    planes: [Vec<f32>; 3],
}

impl Gradient {
    /// Makes a gradient of finite values: three planes (red, green, blue) of `width * height` values each, row by row from the top left,
    /// one plane after the other.
    pub fn new(width: u32, height: u32, values: impl Into<Vec<f32>>) -> Result<Self, Error> {
        let values = values.into();
        check_size(width.into(), height.into())?;
        let pixels = width as usize * height as usize;
        if values.len() != 3 * pixels {
            return Err(Error::Planes { width, height, length: values.len() });
        }
        let plane = |i: usize| {
            let values = &values[i * pixels..(i + 1) * pixels];
            Ok::<_, Error>(HeatMap::new(width, height, values)?.into_values())
        };
        Ok(Self { width, height, planes: [plane(0)?, plane(1)?, plane(2)?] })
    }

    /// Returns the gradient times a map that is resized to it, as in Guided Grad-CAM.
    pub fn times(&self, map: &HeatMap) -> Result<Self, Error> {
        let map = map.resize(self.width, self.height)?;
        let planes = self.planes.iter();
        let hot = planes.flat_map(|plane| plane.iter().zip(map.values()).map(|(one, heat)| one * heat));
        Self::new(self.width, self.height, hot.collect::<Vec<_>>())
    }

    /// Returns the gradient in colors: each channel for itself.
    pub fn color(&self) -> RgbImage {
        let scale = high_abs(self.planes.iter().flatten().copied().collect());
        self.paint(|at| Rgb(std::array::from_fn(|i| shade(self.planes[i][at], scale))))
    }

    /// Returns the gradient in grays: the sum of the channels.
    pub fn gray(&self) -> RgbImage {
        let [red, green, blue] = &self.planes;
        let sum = |at: usize| red[at] / 3.0 + green[at] / 3.0 + blue[at] / 3.0;
        let scale = high_abs((0..red.len()).map(sum).collect());
        self.paint(|at| Rgb([shade(sum(at), scale); 3]))
    }

    fn paint(&self, pixel: impl Fn(usize) -> Rgb<u8>) -> RgbImage {
        let width = self.width as usize;
        RgbImage::from_fn(self.width, self.height, |x, y| pixel(y as usize * width + x as usize))
    }
}

fn shade(value: f32, scale: f32) -> u8 {
    let fraction = if scale > 0.0 { (value / scale).clamp(-1.0, 1.0) } else { 0.0 };
    (128.0 + 127.0 * fraction).round() as u8
}
