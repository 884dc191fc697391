//! Bounding boxes of all contours of a binary image: what OpenCV's `findContours` finds in the mode `RETR_TREE`, with `boundingRect` of each.
//!
//! There is an outer contour for each group of pixels that touch at sides or corners, and one for each hole in such a group: a group of
//! other pixels that touch at sides and do not reach the border. The contour of a hole runs over the pixels around it.

/// The bounds of a group of pixels, both ends inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bounds {
    /// The first column.
    pub left: usize,
    /// The first row.
    pub top: usize,
    /// The last column.
    pub right: usize,
    /// The last row.
    pub bottom: usize,
}

impl Bounds {
    /// Returns the bounds of pixels `(x, y)`; `None` of none.
    pub fn of(pixels: impl Iterator<Item = (usize, usize)>) -> Option<Self> {
        pixels.map(|(x, y)| Self { left: x, top: y, right: x, bottom: y }).reduce(Self::and)
    }

    fn and(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// Returns the bounds of all contours, in the order of their first pixels.
///
/// ```
/// use cam_metrics::contours;
///
/// // A ring, and the hole in it: the contour of the hole runs over the ring.
/// let ring = [1, 1, 1, 1, 0, 1, 1, 1, 1].map(|pixel| pixel == 1);
/// let found = contours(3, 3, &ring);
/// assert_eq!(found.len(), 2);
/// assert!(found.iter().all(|bounds| (bounds.left, bounds.right, bounds.top, bounds.bottom) == (0, 2, 0, 2)));
/// ```
pub fn contours(height: usize, width: usize, inside: &[bool]) -> Vec<Bounds> {
    let mut done = vec![false; height * width];
    let (mut found, mut stack) = (Vec::new(), Vec::new());
    for start in 0..height * width {
        if std::mem::replace(&mut done[start], true) {
            continue;
        }
        let is_inside = inside[start];
        stack.push(start);
        let (mut bounds, mut open): (Option<Bounds>, bool) = (None, false);
        while let Some(at) = stack.pop() {
            let (x, y) = (at % width, at / width);
            let here = Bounds { left: x, top: y, right: x, bottom: y };
            bounds = Some(bounds.map_or(here, |bounds| bounds.and(here)));
            open |= x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                for column in x.saturating_sub(1)..(x + 2).min(width) {
                    let next = row * width + column;
                    let touches = is_inside || row == y || column == x;
                    if touches && inside[next] == is_inside && !std::mem::replace(&mut done[next], true) {
                        stack.push(next);
                    }
                }
            }
        }
        match (bounds, is_inside, open) {
            (Some(bounds), true, _) => found.push(bounds),
            // What surrounds a hole: it does not reach the border, so there is a pixel on each side.
            (Some(Bounds { left, top, right, bottom }), false, false) => {
                found.push(Bounds { left: left - 1, top: top - 1, right: right + 1, bottom: bottom + 1 });
            }
            _ => {}
        }
    }
    found
}

/// Groups of pixels that grow: the contours while pixels become more.
pub(crate) struct Forest {
    height: usize,
    width: usize,
    /// Whether pixels that touch at corners are of one group; those of the others, the holes, are not.
    corners: bool,
    /// For each pixel one of its group that leads to the first; itself for the first, and `ABSENT` where there is none yet.
    parents: Vec<u32>,
    /// The bounds of the group of each first pixel, and whether it reaches the border.
    groups: Vec<(Bounds, bool)>,
    firsts: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Forest {
    pub fn new(height: usize, width: usize, corners: bool) -> Self {
        let none = (Bounds { left: 0, top: 0, right: 0, bottom: 0 }, false);
        let pixels = height * width;
        Self {
            height,
            width,
            corners,
            parents: vec![ABSENT; pixels],
            groups: vec![none; pixels],
            firsts: Vec::new(),
        }
    }

    /// Adds pixels.
    pub fn add(&mut self, pixels: &[usize]) {
        let (height, width) = (self.height, self.width);
        for &at in pixels {
            let (x, y) = (at % width, at / width);
            let open = x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            self.parents[at] = at as u32;
            self.groups[at] = (Bounds { left: x, top: y, right: x, bottom: y }, open);
            self.firsts.push(at as u32);
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                for column in x.saturating_sub(1)..(x + 2).min(width) {
                    if (self.corners || row == y || column == x)
                        && self.parents[row * width + column] != ABSENT
                    {
                        self.join(at as u32, (row * width + column) as u32);
                    }
                }
            }
        }
        let mut firsts = std::mem::take(&mut self.firsts);
        firsts.retain(|first| self.parents[*first as usize] == *first);
        self.firsts = firsts;
    }

    fn first(&mut self, mut at: u32) -> u32 {
        while self.parents[at as usize] != at {
            let above = self.parents[self.parents[at as usize] as usize];
            self.parents[at as usize] = above;
            at = above;
        }
        at
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.first(one), self.first(other));
        if one != other {
            self.parents[one as usize] = other;
            let ((a, open), (b, also)) = (self.groups[one as usize], self.groups[other as usize]);
            self.groups[other as usize] = (a.and(b), open || also);
        }
    }

    /// Returns the bounds of the contours.
    pub fn bounds(&self) -> impl Iterator<Item = Bounds> {
        let groups = self.firsts.iter().map(|first| self.groups[*first as usize]);
        groups.filter(|(_, open)| self.corners || !open).map(|(bounds, _)| match self.corners {
            true => bounds,
            false => {
                let Bounds { left, top, right, bottom } = bounds;
                Bounds { left: left - 1, top: top - 1, right: right + 1, bottom: bottom + 1 }
            }
        })
    }
}
