//! Samples that are no colors: infrared beside red, green and blue, or the bands of a satellite.

/// The samples of an image that are not those of a gray or a color image, in 0..1.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Bands {
    /// How many a pixel has.
    pub count: usize,
    /// The width of the image in pixels.
    pub width: usize,
    /// Its height in pixels.
    pub height: usize,
    /// The samples, one band after another: `[count, height, width]`.
    pub values: Vec<f32>,
}

impl Bands {
    /// Takes the samples of an image pixel by pixel, and brings those from `black` to `white` into 0..1.
    pub(crate) fn new(
        [width, height]: [u32; 2],
        count: usize,
        values: &[f32],
        [black, white]: [f32; 2],
    ) -> Self {
        let band = |band: usize| values.iter().skip(band).step_by(count);
        let scaled = |value: &f32| ((value - black) / (white - black)).clamp(0.0, 1.0);
        let values = (0..count).flat_map(|place| band(place).map(scaled)).collect();
        Self { count, width: width as usize, height: height as usize, values }
    }
}
