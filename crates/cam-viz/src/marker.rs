//! A sign for one pixel, drawn from its distance function: white within half a stroke, black up to a stroke further, smooth edges.

use crate::pixel::{BLACK, WHITE, blend};
use image::RgbImage;

/// A sign for one pixel of a picture, such as the peak of a map: white with black edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Marker {
    /// A circle around the pixel, which leaves the pixel itself to be seen.
    Ring,
    /// An upright cross through the pixel.
    Cross,
}

impl Marker {
    /// Draws the marker around the pixel `(x, y)`; what falls outside of the picture is left away.
    /// Its radius is a thirtieth of the picture's shorter side, and at least 4 pixels.
    ///
    /// ```
    /// use cam_viz::{Marker, Rgb, RgbImage};
    ///
    /// let mut picture = RgbImage::from_pixel(32, 32, Rgb([9, 99, 9]));
    /// Marker::Cross.draw(&mut picture, 16, 16);
    /// assert_eq!(picture[(16, 16)], Rgb([255, 255, 255]));
    /// ```
    pub fn draw(self, picture: &mut RgbImage, x: u32, y: u32) {
        let shorter = picture.width().min(picture.height());
        let radius = (shorter as f32 / 30.0).max(4.0);
        let stroke = (radius / 5.0).max(1.0);
        let reach = (radius + 2.0 * stroke).ceil() as u32;
        let span = |at: u32, size: u32| at.saturating_sub(reach)..at.saturating_add(reach + 1).min(size);
        for row in span(y, picture.height()) {
            for column in span(x, picture.width()) {
                let right = column.abs_diff(x) as f32;
                let down = row.abs_diff(y) as f32;
                let distance = self.distance(right, down, radius);
                let within = |reach: f32| (reach + 0.5 - distance).clamp(0.0, 1.0);
                let pixel = picture.get_pixel_mut(column, row);
                *pixel = blend(*pixel, BLACK, within(1.5 * stroke));
                *pixel = blend(*pixel, WHITE, within(0.5 * stroke));
            }
        }
    }

    /// How far a pixel is from the marker's line, all in pixels.
    fn distance(self, right: f32, down: f32, radius: f32) -> f32 {
        let arm = |along: f32, across: f32| (along - radius).max(0.0).hypot(across);
        match self {
            Self::Ring => (right.hypot(down) - radius).abs(),
            Self::Cross => arm(right, down).min(arm(down, right)),
        }
    }
}
