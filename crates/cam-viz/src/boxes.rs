//! Boxes of detections with their names, each in the color of its class.

use crate::line::{self, Segment};
use crate::pixel::luma;
use crate::text::Text;
use image::{Rgb, RgbImage};

/// Returns the color of a class: neighbors are far from each other in hue.
///
/// ```
/// use cam_viz::class_color;
///
/// assert_ne!(class_color(0), class_color(1));
/// ```
pub fn class_color(class: usize) -> Rgb<u8> {
    // The golden ratio puts each hue into the largest gap between those before it.
    let hue = (0.02 + class as f32 * 0.618_034).fract() * 6.0;
    let value = if class.is_multiple_of(2) { 255.0 } else { 225.0 };
    let channel = |shift: f32| {
        let distance = ((hue + shift) % 6.0 - 3.0).abs() - 1.0;
        (value * (0.15 + 0.85 * distance.clamp(0.0, 1.0))) as u8
    };
    Rgb([channel(0.0), channel(4.0), channel(2.0)])
}

/// Draws a box, left, top, right and bottom in pixels of the image, and its name above it; an empty name is left out. What lies outside the
/// image is clipped.
///
/// ```
/// use cam_viz::{Rgb, RgbImage, draw_box};
///
/// let mut image = RgbImage::new(100, 80);
/// draw_box(&mut image, [20.0, 30.0, 70.0, 60.0], Rgb([255, 0, 0]), "fish");
/// assert_eq!(image[(20, 45)], Rgb([255, 0, 0]));
/// assert_eq!(image[(45, 45)], Rgb([0, 0, 0]));
/// ```
pub fn draw_box(image: &mut RgbImage, bounds: [f32; 4], color: Rgb<u8>, name: &str) {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 || bounds.iter().any(|edge| !edge.is_finite()) {
        return;
    }
    let most = [width, height, width, height].map(|side| side as f32 - 0.5);
    let [left, top, right, bottom]: [f32; 4] = std::array::from_fn(|i| (bounds[i] + 0.5).clamp(0.5, most[i]));
    let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
    let frame: [Segment; 4] = std::array::from_fn(|i| Segment { from: corners[i], to: corners[(i + 1) % 4] });
    line::draw(image, &frame, color, 1.0);
    if name.is_empty() {
        return;
    }
    let text = Text { height: (width.min(height) / 26).max(11) };
    let room = width - (left as u32).min(width.saturating_sub(1));
    let pad = text.height / 4;
    let name = text.shorten(name, room.saturating_sub(2 * pad));
    if name.is_empty() {
        return;
    }
    let (wide, high) = (text.width(&name) + 2 * pad, text.height + 2 * pad);
    let (x, y) = (left as u32, (top as u32).checked_sub(high).unwrap_or(top as u32));
    for row in y..(y + high).min(height) {
        for column in x..(x + wide).min(width) {
            image.put_pixel(column, row, color);
        }
    }
    let ink = if luma(color) < 128 { Rgb([255; 3]) } else { Rgb([0; 3]) };
    text.draw(image, x + pad, y + pad, &name, ink);
}
