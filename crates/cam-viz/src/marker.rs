//! Markers, drawn by their distance functions: white within half a stroke, then black for another stroke, with antialiased edges.

use crate::pixel::{BLACK, WHITE, blend};
use image::RgbImage;

/// A mark for one pixel of an image, such as the peak of a map: white with black edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Marker {
    /// A circle around the pixel, which leaves the pixel itself visible.
    Ring,
    /// An upright cross through the pixel.
    Cross,
}

impl Marker {
    /// Draws the marker around the pixel `(x, y)`, clipped to the image. Its radius is 1/30 of the shorter side of the image, and at least 4
    /// pixels.
    ///
    /// ```
    /// use cam_viz::{Marker, Rgb, RgbImage};
    ///
    /// let mut image = RgbImage::from_pixel(32, 32, Rgb([9, 99, 9]));
    /// Marker::Cross.draw(&mut image, 16, 16);
    /// assert_eq!(image[(16, 16)], Rgb([255, 255, 255]));
    /// ```
    pub fn draw(self, image: &mut RgbImage, x: u32, y: u32) {
        let shorter = image.width().min(image.height());
        let radius = (shorter as f32 / 30.0).max(4.0);
        let stroke = (radius / 5.0).max(1.0);
        let reach = (radius + 2.0 * stroke).ceil() as u32;
        let span = |at: u32, size: u32| at.saturating_sub(reach)..at.saturating_add(reach + 1).min(size);
        for row in span(y, image.height()) {
            for column in span(x, image.width()) {
                let right = column.abs_diff(x) as f32;
                let down = row.abs_diff(y) as f32;
                let distance = self.distance(right, down, radius);
                let within = |reach: f32| (reach + 0.5 - distance).clamp(0.0, 1.0);
                let pixel = image.get_pixel_mut(column, row);
                *pixel = blend(*pixel, BLACK, within(1.5 * stroke));
                *pixel = blend(*pixel, WHITE, within(0.5 * stroke));
            }
        }
    }

    /// Returns the distance of a pixel from the line of the marker, in pixels.
    fn distance(self, right: f32, down: f32, radius: f32) -> f32 {
        let arm = |along: f32, across: f32| (along - radius).max(0.0).hypot(across);
        match self {
            Self::Ring => (right.hypot(down) - radius).abs(),
            Self::Cross => arm(right, down).min(arm(down, right)),
        }
    }
}
