//! The drawings, one per class.
//!
//! A drawing fills the disc of radius 1 around the origin and stays in it, upright, with y down. Its outline touches the disc, so that
//! objects of all classes have the same size.

mod butterfly;
mod clock;
mod fish;
mod flower;
mod football;
mod ladybird;
mod mushroom;
mod pizza;
mod starfish;
mod watermelon;

use crate::class::Class;
use crate::dice::Dice;
use crate::pen::Pen;

/// Draws an object of `class` with `pen`; its colors and counts come from `dice`.
pub(crate) fn draw(class: Class, pen: &mut Pen<'_>, dice: &mut Dice) {
    let drawing = match class {
        Class::Ladybird => ladybird::draw,
        Class::Mushroom => mushroom::draw,
        Class::Fish => fish::draw,
        Class::Watermelon => watermelon::draw,
        Class::Clock => clock::draw,
        Class::Flower => flower::draw,
        Class::Starfish => starfish::draw,
        Class::Butterfly => butterfly::draw,
        Class::Football => football::draw,
        Class::Pizza => pizza::draw,
    };
    drawing(pen, dice);
}

#[cfg(test)]
mod tests {
    use tiny_skia::{Pixmap, Transform};

    use super::*;

    #[test]
    fn every_drawing_reaches_the_edge_of_its_disc_and_stays_in_it() {
        for class in Class::ALL {
            for seed in 0..40 {
                let mut sheet = Pixmap::new(150, 150).expect("a sheet");
                let to_pixels = Transform::from_row(50.0, 0.0, 0.0, 50.0, 75.0, 75.0);
                draw(class, &mut Pen::new(&mut sheet, to_pixels), &mut Dice::new(seed, 0));
                let (mut reach, mut area) = (0.0_f32, 0);
                for (at, pixel) in sheet.pixels().iter().enumerate().filter(|(_, pixel)| pixel.alpha() >= 128)
                {
                    let (x, y) = ((at % 150) as f32 + 0.5 - 75.0, (at / 150) as f32 + 0.5 - 75.0);
                    reach = reach.max(x.hypot(y) / 50.0);
                    area += u32::from(pixel.alpha() >= 128);
                }
                assert!((0.9..1.06).contains(&reach), "{class} of seed {seed} reaches {reach}");
                let share = area as f32 / (std::f32::consts::PI * 50.0 * 50.0);
                assert!((0.33..0.98).contains(&share), "{class} of seed {seed} fills {share} of its disc");
            }
        }
    }
}
