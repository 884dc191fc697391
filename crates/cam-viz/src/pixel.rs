//! Arithmetic of single colors.

use image::Rgb;

pub(crate) const WHITE: Rgb<u8> = Rgb([255; 3]);
pub(crate) const BLACK: Rgb<u8> = Rgb([0; 3]);

/// Returns `(1 - opacity) * under + opacity * over`, rounded to nearest.
pub(crate) fn blend(under: Rgb<u8>, over: Rgb<u8>, opacity: f32) -> Rgb<u8> {
    let mix = |i: usize| ((1.0 - opacity) * f32::from(under[i]) + opacity * f32::from(over[i]) + 0.5) as u8;
    Rgb([mix(0), mix(1), mix(2)])
}

/// Returns a gray of half the brightness, for what the model did not see.
pub(crate) fn dim(photo: Rgb<u8>) -> Rgb<u8> {
    Rgb([luma(photo) / 2; 3])
}

/// Returns the brightness by Rec. 601.
pub(crate) fn luma(Rgb([red, green, blue]): Rgb<u8>) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000) as u8
}
