//! Outlines in drawing units: x to the right, y down, angles clockwise in radians.
//!
//! An outline without points or extent is `None`, for which the pen draws nothing.

use tiny_skia::{Path, PathBuilder, Rect, Transform};

use crate::dice::Dice;

/// An outline, or nothing to draw.
pub(crate) type Outline = Option<Path>;

/// Returns the point at distance `r` from the origin in direction `angle`.
pub(crate) fn polar(r: f32, angle: f32) -> (f32, f32) {
    (r * angle.cos(), r * angle.sin())
}

/// Makes a disc of radius `r` around (`x`, `y`).
pub(crate) fn disc(x: f32, y: f32, r: f32) -> Outline {
    PathBuilder::from_circle(x, y, r)
}

/// Makes an ellipse with semi-axes `rx`, `ry` around (`x`, `y`), rotated by `angle`.
pub(crate) fn oval(x: f32, y: f32, rx: f32, ry: f32, angle: f32) -> Outline {
    let (sin, cos) = angle.sin_cos();
    PathBuilder::from_oval(Rect::from_ltrb(-rx, -ry, rx, ry)?)?
        .transform(Transform::from_row(cos, sin, -sin, cos, x, y))
}

/// Makes one outline of many discs (x, y, radius).
pub(crate) fn discs(all: impl IntoIterator<Item = (f32, f32, f32)>) -> Outline {
    let mut path = PathBuilder::new();
    all.into_iter().for_each(|(x, y, r)| path.push_circle(x, y, r));
    path.finish()
}

/// Makes a closed polygon through `corners`.
pub(crate) fn polygon(corners: &[(f32, f32)]) -> Outline {
    polygons([corners])
}

/// Makes one outline of many closed polygons.
pub(crate) fn polygons<P: AsRef<[(f32, f32)]>>(all: impl IntoIterator<Item = P>) -> Outline {
    let mut path = PathBuilder::new();
    for corners in all {
        push_line(&mut path, corners.as_ref());
        path.close();
    }
    path.finish()
}

/// Makes an open line through `points`.
pub(crate) fn line(points: &[(f32, f32)]) -> Outline {
    lines([points])
}

/// Makes one outline of many open lines.
pub(crate) fn lines<P: AsRef<[(f32, f32)]>>(all: impl IntoIterator<Item = P>) -> Outline {
    let mut path = PathBuilder::new();
    all.into_iter().for_each(|points| push_line(&mut path, points.as_ref()));
    path.finish()
}

fn push_line(path: &mut PathBuilder, points: &[(f32, f32)]) {
    for (at, &(x, y)) in points.iter().enumerate() {
        if at == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
}

/// Makes a closed Catmull-Rom curve through `points`.
pub(crate) fn smooth(points: &[(f32, f32)]) -> Outline {
    let count = points.len();
    let mut path = PathBuilder::new();
    let &(x, y) = points.first()?;
    path.move_to(x, y);
    for at in 0..count {
        push_bend(&mut path, [at + count - 1, at, at + 1, at + 2].map(|i| points[i % count]));
    }
    path.close();
    path.finish()
}

/// Makes an open Catmull-Rom curve through `points`.
pub(crate) fn curve(points: &[(f32, f32)]) -> Outline {
    let mut path = PathBuilder::new();
    let &(x, y) = points.first()?;
    let last = points.len() - 1;
    path.move_to(x, y);
    for at in 0..last {
        push_bend(&mut path, [at.saturating_sub(1), at, at + 1, (at + 2).min(last)].map(|i| points[i]));
    }
    path.finish()
}

fn push_bend(path: &mut PathBuilder, [a, b, c, d]: [(f32, f32); 4]) {
    path.cubic_to(
        b.0 + (c.0 - a.0) / 6.0,
        b.1 + (c.1 - a.1) / 6.0,
        c.0 - (d.0 - b.0) / 6.0,
        c.1 - (d.1 - b.1) / 6.0,
        c.0,
        c.1,
    );
}

/// Returns the points of an arc of radius `r` around (`x`, `y`) between two angles, in `count` steps.
pub(crate) fn arc(x: f32, y: f32, r: f32, from: f32, to: f32, count: u32) -> Vec<(f32, f32)> {
    (0..=count)
        .map(|step| {
            let (dx, dy) = polar(r, from + (to - from) * step as f32 / count.max(1) as f32);
            (x + dx, y + dy)
        })
        .collect()
}

/// Makes a random smooth blob of mean radius `r` around (`x`, `y`), with a roughness in `[0, 1)`.
pub(crate) fn blob(dice: &mut Dice, x: f32, y: f32, r: f32, rough: f32) -> Outline {
    let count = dice.int(6, 9);
    let turn = dice.angle();
    let points: Vec<_> = (0..count)
        .map(|at| {
            let angle = turn + std::f32::consts::TAU * (at as f32 + dice.jitter(0.0, 0.2)) / count as f32;
            let (dx, dy) = polar(r * (1.0 + dice.jitter(0.0, rough)), angle);
            (x + dx, y + dy)
        })
        .collect();
    smooth(&points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_without_extent_is_none() {
        assert!(
            polygon(&[]).is_none() && line(&[]).is_none() && smooth(&[]).is_none() && curve(&[]).is_none()
        );
        assert!(line(&[(1.0, 1.0)]).is_none() && discs([]).is_none());
    }

    #[test]
    fn a_rotated_oval_keeps_its_extent() {
        let bounds = oval(1.0, 2.0, 3.0, 1.0, std::f32::consts::FRAC_PI_2).map(|path| path.bounds());
        let bounds = bounds.expect("an oval");
        assert!((bounds.width() - 2.0).abs() < 0.01 && (bounds.height() - 6.0).abs() < 0.01, "{bounds:?}");
    }
}
