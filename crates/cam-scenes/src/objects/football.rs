//! A football: twelve dark pentagons and the seams between them, seen from a random side.

use crate::color::{Tint, hsl};
use crate::dice::Dice;
use crate::pen::{Ink, Pen};
use crate::shapes::{disc, lines, polygon};

type Point = [f32; 3];

/// The radius of the ball.
const R: f32 = 0.95;

pub(crate) fn draw(pen: &mut Pen<'_>, dice: &mut Dice) {
    let (hue, s, l) = dice.pick([
        (230.0, 0.2, 0.13),
        (230.0, 0.2, 0.13),
        (222.0, 0.7, 0.3),
        (355.0, 0.7, 0.38),
        (150.0, 0.6, 0.24),
    ]);
    let patch = Tint::near(dice, hue, s, l, 8.0);
    let leather = Tint::near(dice, 45.0, 0.25, 0.93, 15.0);

    pen.fill(&disc(0.0, 0.0, R), Ink::glow(-0.25, -0.3, 1.4, leather.lighter(0.04), leather.lighter(-0.16)));
    let turn = random_rotation(dice);
    let corners = icosahedron().map(|point| turn.map(|row| dot(row, point)));
    let mut seams = Vec::new();
    for (at, &corner) in corners.iter().enumerate() {
        let mut around: Vec<(f32, Point)> = Vec::new();
        let (u, v) = orthogonal(corner);
        // The neighbors of a corner are at the smallest angle: their dot product with it is 1 / sqrt(5).
        for (other, &next) in corners.iter().enumerate() {
            if other != at && dot(corner, next) > 0.3 {
                let near = unit(third_of_way(corner, next));
                around.push((dot(v, near).atan2(dot(u, near)), near));
                let far = unit(third_of_way(next, corner));
                if other > at && near[2].max(far[2]) > 0.0 {
                    seams.push([project(near), project(far)]);
                }
            }
        }
        around.sort_by(|a, b| a.0.total_cmp(&b.0));
        if around.iter().any(|(_, point)| point[2] > 0.0) {
            let pentagon: Vec<_> = around.iter().map(|&(_, point)| project(point)).collect();
            pen.fill_inside(&polygon(&pentagon), patch.color());
            pen.stroke_inside(&polygon(&pentagon), 0.04, patch.color());
        }
    }
    pen.stroke_inside(&lines(seams), 0.045, hsl(patch.h, patch.s, (patch.l + 0.08).min(0.45)));
    pen.stroke(&disc(0.0, 0.0, R), 0.055, patch.lighter(-0.05));
}

/// Projects a point of the sphere to the front view; points on the back are moved to the rim.
fn project([x, y, z]: Point) -> (f32, f32) {
    let scale = if z < 0.0 { R / (x * x + y * y).sqrt().max(1e-3) } else { R };
    (x * scale, y * scale)
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(a: Point) -> Point {
    let length = dot(a, a).sqrt();
    a.map(|x| x / length)
}

/// Returns the point a third of the way from `a` to `b`: a corner of the pentagon around `a`.
fn third_of_way(a: Point, b: Point) -> Point {
    [0, 1, 2].map(|i| (2.0 * a[i] + b[i]) / 3.0)
}

fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// Returns two directions orthogonal to `a` and to each other.
fn orthogonal(a: Point) -> (Point, Point) {
    let aside = if a[0].abs() < 0.7 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
    let u = unit(cross(a, aside));
    (u, cross(a, u))
}

fn icosahedron() -> [Point; 12] {
    let golden = (1.0 + 5.0_f32.sqrt()) / 2.0;
    let mut corners = [[0.0; 3]; 12];
    for (at, corner) in corners.iter_mut().enumerate() {
        let a = if at % 2 == 0 { 1.0 } else { -1.0 };
        let b = if at / 2 % 2 == 0 { golden } else { -golden };
        *corner = unit(match at / 4 {
            0 => [0.0, a, b],
            1 => [a, b, 0.0],
            _ => [b, 0.0, a],
        });
    }
    corners
}

/// Returns a random rotation matrix, by rows.
fn random_rotation(dice: &mut Dice) -> [Point; 3] {
    let z = dice.jitter(0.0, 1.0);
    let angle = dice.angle();
    let r = (1.0 - z * z).max(0.0).sqrt();
    let front = [r * angle.cos(), r * angle.sin(), z];
    let (u, v) = orthogonal(front);
    let (sin, cos) = dice.angle().sin_cos();
    let right = [0, 1, 2].map(|i| cos * u[i] + sin * v[i]);
    [right, cross(front, right), front]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_corner_of_the_ball_has_five_neighbors() {
        let corners = icosahedron();
        for a in corners {
            let near = corners.iter().filter(|&&b| dot(a, b) > 0.3 && dot(a, b) < 0.99).count();
            assert_eq!(near, 5);
        }
    }
}
