//! OpenCV's `resize` with `INTER_LINEAR`, to the bit: four pixels are mixed by integers, whose low bits are dropped before the last rounding.
//!
//! `resize.cpp` of OpenCV: `HResizeLinear` and `VResizeLinear` for bytes.

use image::RgbImage;

/// The shares of pixels are of so many.
const ONE: f32 = 2048.0;

/// The pixels that one pixel is mixed of: the places of both, and their shares.
struct Mix {
    places: [usize; 2],
    shares: [i64; 2],
}

/// Returns what the pixels of an axis are mixed of.
///
/// Beyond the first and the last center there is one pixel only: along a row it has all shares, along a column both, which are rounded apart.
fn mixes(from: u32, to: u32, is_row: bool) -> Vec<Mix> {
    let last = i64::from(from) - 1;
    let scale = f64::from(from) / f64::from(to.max(1));
    let mix = |at: u32| {
        let place = ((f64::from(at) + 0.5) * scale - 0.5) as f32;
        let (low, share) = (place.floor() as i64, place - place.floor());
        let share = if is_row && (low < 0 || low >= last) { 0.0 } else { share };
        let shares = [1.0 - share, share].map(|share| (share * ONE).round_ties_even() as i64);
        Mix { places: [low, low + 1].map(|place| place.clamp(0, last.max(0)) as usize), shares }
    };
    (0..to).map(mix).collect()
}

/// Resizes an image.
pub(crate) fn resize(photo: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (columns, rows) = (mixes(photo.width(), width, true), mixes(photo.height(), height, false));
    let stride = 3 * photo.width() as usize;
    let pixels = photo.as_raw();
    let row = |y: usize| -> Vec<i64> {
        let row = &pixels[y * stride..(y + 1) * stride];
        let mixed = columns.iter().flat_map(|Mix { places: [a, b], shares: [first, second] }| {
            (0..3).map(move |channel| {
                i64::from(row[3 * a + channel]) * first + i64::from(row[3 * b + channel]) * second
            })
        });
        mixed.collect()
    };
    let mut bytes = Vec::with_capacity(3 * width as usize * height as usize);
    let mut known: [(usize, Vec<i64>); 2] = [(usize::MAX, Vec::new()), (usize::MAX, Vec::new())];
    for Mix { places, shares } in rows {
        // Rows that follow each other have a row in common, or both.
        for (place, slot) in places.iter().zip(0..) {
            if known[slot].0 != *place {
                let other = &known[1 - slot];
                let values = if other.0 == *place { other.1.clone() } else { row(*place) };
                known[slot] = (*place, values);
            }
        }
        let part = |value: i64, share: i64| (share * (value >> 4)) >> 16;
        let mixed = known[0].1.iter().zip(&known[1].1);
        bytes.extend(
            mixed.map(|(a, b)| ((part(*a, shares[0]) + part(*b, shares[1]) + 2) >> 2).clamp(0, 255) as u8),
        );
    }
    RgbImage::from_raw(width, height, bytes).expect("three bytes for each pixel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn pixels_are_those_of_opencv() {
        let photo = RgbImage::from_fn(7, 5, |x, y| {
            Rgb([(37 * x + 11 * y) as u8, (255 - 30 * x) as u8, (x * y * 9) as u8])
        });
        // cv2.resize(photo, (4, 3), interpolation=cv2.INTER_LINEAR), opencv 5.0
        let expected: [u8; 36] = [
            17, 244, 1, 82, 191, 6, 147, 139, 12, 212, 86, 17, 36, 244, 7, 101, 191, 38, 165, 139, 70, 230,
            86, 101, 54, 244, 12, 119, 191, 70, 184, 139, 128, 142, 86, 185,
        ];
        assert_eq!(resize(&photo, 4, 3).into_raw(), expected);
        assert_eq!(resize(&photo, 7, 5), photo);
        // cv2.resize(photo, (4, 7), interpolation=cv2.INTER_LINEAR)
        let expected: [u8; 84] = [
            14, 244, 0, 78, 191, 0, 143, 139, 0, 208, 86, 0, 20, 244, 2, 85, 191, 11, 149, 139, 20, 214, 86,
            29, 28, 244, 4, 93, 191, 24, 157, 139, 45, 222, 86, 65, 36, 244, 7, 101, 191, 38, 165, 139, 70,
            230, 86, 101, 43, 244, 9, 108, 191, 52, 173, 139, 94, 238, 86, 137, 52, 244, 12, 116, 191, 66,
            181, 139, 120, 177, 86, 174, 58, 244, 13, 123, 191, 76, 187, 139, 139, 92, 86, 202,
        ];
        assert_eq!(resize(&photo, 4, 7).into_raw(), expected);
    }
}
