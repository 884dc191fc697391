//! Where the object really is.

use crate::{Bounds, Error, Reason};

/// Which pixels belong to something, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    height: usize,
    width: usize,
    inside: Vec<bool>,
}

impl Mask {
    /// Makes a mask of `height * width` pixels.
    ///
    /// # Errors
    /// [`Error::Length`] if they are not as many.
    pub fn new(height: usize, width: usize, inside: Vec<bool>) -> Result<Self, Error> {
        match inside.len() == height * width {
            true => Ok(Self { height, width, inside }),
            false => Err(Error::Length { height, width, found: inside.len() }),
        }
    }

    /// Makes a mask of all pixels whose centers lie in one of some boxes: left, top, right, bottom in pixels.
    ///
    /// ```
    /// use cam_metrics::Mask;
    ///
    /// let mask = Mask::of_boxes(2, 3, &[[0.5, 0.0, 2.4, 1.0]]);
    /// assert_eq!(mask.inside(), [true, true, false, false, false, false]);
    /// ```
    pub fn of_boxes(height: usize, width: usize, boxes: &[[f32; 4]]) -> Self {
        let inside = |at: usize| {
            let (x, y) = ((at % width) as f32 + 0.5, (at / width) as f32 + 0.5);
            boxes.iter().any(|&[left, top, right, bottom]| {
                left <= x && x < right.max(left) && top <= y && y < bottom.max(top)
            })
        };
        Self { height, width, inside: (0..height * width).map(inside).collect() }
    }

    /// Returns its height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Returns which pixels are inside.
    pub fn inside(&self) -> &[bool] {
        &self.inside
    }

    /// Returns how many pixels are inside.
    pub fn count(&self) -> usize {
        self.inside.iter().filter(|inside| **inside).count()
    }

    /// Returns whether a pixel is inside, or one within so many pixels of it.
    pub fn is_near(&self, at: usize, pixels: usize) -> bool {
        let (x, y) = (at % self.width, at / self.width);
        let rows = y.saturating_sub(pixels)..(y + pixels + 1).min(self.height);
        rows.into_iter().any(|row| {
            let columns = x.saturating_sub(pixels)..(x + pixels + 1).min(self.width);
            columns.into_iter().any(|column| {
                let (dx, dy) = (column.abs_diff(x), row.abs_diff(y));
                dx * dx + dy * dy <= pixels * pixels && self.inside[row * self.width + column]
            })
        })
    }
}

/// Where the objects of the asked class are in an input, and where others are.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The pixels of the objects of the asked class.
    pub asked: Mask,
    /// The pixels of objects of other classes; `None` when the image has none that are known.
    pub others: Option<Mask>,
    /// The boxes of the objects of the asked class: left, top, right, bottom as shares of the width and the height.
    pub boxes: Vec<[f32; 4]>,
}

impl Truth {
    /// Makes a truth of one object with this mask; its box bounds the mask.
    pub fn of_mask(asked: Mask) -> Self {
        let [height, width] = asked.size();
        let pixels = || (0..height * width).filter(|at| asked.inside[*at]);
        let bounds = Bounds::of(pixels().map(|at| (at % width, at / width)));
        let share = |bounds: Bounds| {
            let Bounds { left, top, right, bottom } = bounds;
            let of = |pixel: usize, all: usize| pixel as f32 / all as f32;
            [of(left, width), of(top, height), of(right + 1, width), of(bottom + 1, height)]
        };
        Self { boxes: bounds.into_iter().map(share).collect(), asked, others: None }
    }

    /// Makes a truth of boxes: left, top, right, bottom as shares of the width and the height of the input.
    pub fn of_boxes(height: usize, width: usize, boxes: Vec<[f32; 4]>) -> Self {
        let asked = Mask::of_boxes(height, width, &pixels(height, width, &boxes));
        Self { asked, others: None, boxes }
    }

    /// Adds where objects of other classes are.
    pub fn others(self, others: Mask) -> Self {
        Self { others: Some(others), ..self }
    }

    /// Returns the mask of the asked class.
    ///
    /// # Errors
    /// [`Reason::EmptyTruth`] if no pixel is in it.
    pub fn asked(&self) -> Result<&Mask, Reason> {
        if self.asked.count() == 0 { Err(Reason::EmptyTruth) } else { Ok(&self.asked) }
    }
}

/// Returns boxes in pixels.
pub fn pixels(height: usize, width: usize, boxes: &[[f32; 4]]) -> Vec<[f32; 4]> {
    let (height, width) = (height as f32, width as f32);
    boxes.iter().map(|[l, t, r, b]| [l * width, t * height, r * width, b * height]).collect()
}
