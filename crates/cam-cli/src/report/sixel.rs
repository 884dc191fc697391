//! Sixels: an image as characters, each of which is a column of six pixels in one of 256 colors.
//! <https://vt100.net/docs/vt3xx-gp/chapter14.html>

use burn_cam::draw::RgbImage;
use color_quant::NeuQuant;
use std::fmt::Write;

/// The colors that a terminal keeps.
const COLORS: usize = 256;

/// The rows of a band.
const BAND: u32 = 6;

/// Encodes an image.
pub fn encode(image: &RgbImage) -> String {
    let (width, height) = image.dimensions();
    let rgba: Vec<u8> = image.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    // Every third pixel is looked at to find the colors.
    let quantizer = NeuQuant::new(3, COLORS, &rgba);
    let colors: Vec<u8> = rgba.chunks_exact(4).map(|pixel| quantizer.index_of(pixel) as u8).collect();
    let mut text = format!("\x1bPq\"1;1;{width};{height}");
    for (color, rgb) in quantizer.color_map_rgb().chunks_exact(3).enumerate() {
        // Shades are percentages.
        let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(|shade| (u32::from(shade) * 100 + 127) / 255);
        let _ = write!(text, "#{color};2;{r};{g};{b}");
    }
    for top in (0..height).step_by(BAND as usize) {
        if top > 0 {
            text.push('-');
        }
        encode_band(
            &mut text,
            &colors,
            width as usize,
            (top..height.min(top + BAND)).map(|row| row as usize),
        );
    }
    text.push_str("\x1b\\");
    text
}

/// Encodes the rows of a band: for each color that is in it, which pixels have that color.
fn encode_band(text: &mut String, colors: &[u8], width: usize, rows: impl Iterator<Item = usize> + Clone) {
    let mut masks = vec![None; COLORS];
    for (bit, row) in rows.enumerate() {
        for (column, &color) in colors[row * width..(row + 1) * width].iter().enumerate() {
            masks[usize::from(color)].get_or_insert_with(|| vec![0u8; width])[column] |= 1 << bit;
        }
    }
    let used = masks.iter().enumerate().filter_map(|(color, mask)| Some((color, mask.as_ref()?)));
    for (number, (color, mask)) in used.enumerate() {
        if number > 0 {
            text.push('$'); // back to the left
        }
        let _ = write!(text, "#{color}");
        for run in mask.chunk_by(|a, b| a == b) {
            let sixel = char::from(b'?' + run[0]);
            match run.len() {
                length @ 4.. => _ = write!(text, "!{length}{sixel}"),
                length => text.extend(std::iter::repeat_n(sixel, length)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_cam::image::Rgb;
    use icy_sixel::SixelImage;

    #[test]
    fn another_decoder_sees_the_image() {
        let image = RgbImage::from_fn(240, 60, |x, y| Rgb([x as u8, (255 * (y / 30)) as u8, 90]));
        let text = encode(&image);
        assert!(text.starts_with("\x1bP") && text.ends_with("\x1b\\"));
        let seen = SixelImage::decode(text.as_bytes()).unwrap();
        assert_eq!(seen.dimensions(), (240, 60));
        let apart = image.pixels().zip(seen.pixels.chunks_exact(4));
        let apart: u64 = apart.flat_map(|(a, b)| (0..3).map(move |i| u64::from(a.0[i].abs_diff(b[i])))).sum();
        assert!(apart < 4 * 3 * 240 * 60, "few shades off, as 256 colors are: {apart}");
    }

    #[test]
    fn the_last_band_may_be_lower() {
        let image = RgbImage::from_pixel(9, 8, Rgb([200, 10, 10]));
        let seen = SixelImage::decode(encode(&image).as_bytes()).unwrap();
        assert_eq!(seen.dimensions().0, 9);
        let pixel = &seen.pixels[..3];
        assert!(pixel[0].abs_diff(200) < 4 && pixel[1].abs_diff(10) < 4, "{pixel:?}");
    }
}
