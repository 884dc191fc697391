//! The levels of contours, written on their lines.

use crate::Area;
use crate::line::Segment;
use crate::pixel::{BLACK, WHITE, blend};
use crate::text::Text;
use image::RgbImage;

/// Labels of one image, none of which covers another.
pub(crate) struct Labels {
    text: Text,
    size: (u32, u32),
    placed: Vec<(String, Area)>,
}

/// How dark the plate behind a label is.
const PLATE: f32 = 0.55;

impl Labels {
    /// Makes labels for an image, whose size gives theirs.
    pub fn new(image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        Self {
            text: Text { height: (width.min(height) / 28).max(11) },
            size: (width, height),
            placed: Vec::new(),
        }
    }

    /// Finds a place for the label of a level on one of its lines: the highest one, or the one farthest from the labels that there are. Without
    /// room there is no label.
    pub fn place(&mut self, level: f32, lines: &[Segment]) {
        let label = format!("{level}");
        let (width, height) = (self.text.width(&label) + 2 * self.margin(), self.text.height + 2);
        if width > self.size.0 || height > self.size.1 {
            return;
        }
        let mut middles: Vec<[f32; 2]> = lines
            .iter()
            .map(|Segment { from, to }| [(from[0] + to[0]) / 2.0, (from[1] + to[1]) / 2.0])
            .collect();
        middles.sort_by(|a, b| a[1].total_cmp(&b[1]));
        let start = |middle: f32, length: u32, whole: u32| {
            (middle - length as f32 / 2.0).round().clamp(0.0, (whole - length) as f32) as u32
        };
        let areas = middles.into_iter().map(|[x, y]| Area {
            x: start(x, width, self.size.0),
            y: start(y, height, self.size.1),
            width,
            height,
        });
        let is_free = |area: &Area| self.placed.iter().all(|(_, other)| other.shared_pixels(*area) == 0);
        let distance =
            |a: &Area, b: &Area| u64::from(a.x.abs_diff(b.x)).pow(2) + u64::from(a.y.abs_diff(b.y)).pow(2);
        let nearest = |area: &Area| self.placed.iter().map(|(_, other)| distance(area, other)).min();
        // Of several that are as far, the highest.
        let farthest = areas.filter(is_free).rev().max_by_key(nearest);
        if let Some(area) = farthest {
            self.placed.push((label, area));
        }
    }

    /// Draws all labels, white on dark plates.
    pub fn draw(self, image: &mut RgbImage, opacity: f32) {
        let margin = self.margin();
        for (label, Area { x, y, width, height }) in self.placed {
            let before = image.clone();
            for row in y..y + height {
                for column in x..x + width {
                    let pixel = image.get_pixel_mut(column, row);
                    *pixel = blend(*pixel, BLACK, PLATE);
                }
            }
            self.text.draw(image, x + margin, y + 1, &label, WHITE);
            for row in y..y + height {
                for column in x..x + width {
                    let pixel = image.get_pixel_mut(column, row);
                    *pixel = blend(before[(column, row)], *pixel, opacity);
                }
            }
        }
    }

    fn margin(&self) -> u32 {
        (self.text.height / 5).max(2)
    }
}
