//! Outlines and markers, on colors that would hide a line of one color.

use cam_viz::{Error, Marker, Rgb, RgbImage, outline};

const RED: Rgb<u8> = Rgb([255, 0, 0]);
const GREY: Rgb<u8> = Rgb([120; 3]);

fn disc(width: u32, height: u32, radius: f32) -> Vec<bool> {
    let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let inside = |at: u32| {
        let (x, y) = ((at % width) as f32 + 0.5, (at / width) as f32 + 0.5);
        (x - middle_x).hypot(y - middle_y) < radius
    };
    (0..width * height).map(inside).collect()
}

#[test]
fn exactly_the_border_pixels_are_colored() {
    let (width, height) = (23, 17);
    let mask = disc(width, height, 6.0);
    let at = |x: i64, y: i64| {
        (0..i64::from(width)).contains(&x)
            && (0..i64::from(height)).contains(&y)
            && mask[(y * i64::from(width) + x) as usize]
    };
    let mut image = RgbImage::from_pixel(width, height, GREY);
    outline(&mut image, &mask, RED).unwrap();
    for (x, y, pixel) in image.enumerate_pixels() {
        let (x, y) = (i64::from(x), i64::from(y));
        let neighbors = [at(x - 1, y), at(x + 1, y), at(x, y - 1), at(x, y + 1)];
        let expected = match at(x, y) {
            true if neighbors.contains(&false) => RED,
            false if neighbors.contains(&true) => Rgb([0; 3]),
            _ => GREY,
        };
        assert_eq!(*pixel, expected, "({x}, {y})");
    }
}

#[test]
fn a_full_mask_is_framed_and_an_empty_one_draws_nothing() {
    let mut image = RgbImage::from_pixel(6, 5, GREY);
    outline(&mut image, &[false; 30], RED).unwrap();
    assert!(image.pixels().all(|pixel| *pixel == GREY));
    outline(&mut image, &[true; 30], RED).unwrap();
    assert_eq!(image.pixels().filter(|pixel| **pixel == RED).count(), 18);
    assert_eq!(image[(2, 2)], GREY);
}

#[test]
fn lines_get_thicker_with_the_image() {
    let mut image = RgbImage::from_pixel(600, 600, GREY);
    outline(&mut image, &disc(600, 600, 200.0), RED).unwrap();
    let across = (0..300).filter(|&x| image[(x, 300)] == RED).count();
    assert_eq!(across, 3);
}

#[test]
fn a_mask_of_another_size_is_an_error_and_draws_nothing() {
    let mut image = RgbImage::from_pixel(4, 4, GREY);
    assert!(matches!(outline(&mut image, &[true; 15], RED), Err(Error::Length { length: 15, .. })));
    assert!(image.pixels().all(|pixel| *pixel == GREY));
    outline(&mut RgbImage::new(0, 0), &[], RED).unwrap();
}

#[test]
fn a_marker_shows_on_every_gray() {
    for marker in [Marker::Ring, Marker::Cross] {
        for gray in 0..=255 {
            let mut image = RgbImage::from_pixel(40, 40, Rgb([gray; 3]));
            marker.draw(&mut image, 20, 20);
            let strongest = image.pixels().map(|pixel| pixel[0].abs_diff(gray)).max();
            assert!(strongest >= Some(127), "{marker:?} on {gray}");
        }
    }
}

#[test]
fn a_ring_leaves_its_center_visible() {
    let mut image = RgbImage::from_pixel(300, 300, GREY);
    Marker::Ring.draw(&mut image, 150, 150);
    assert_eq!(image[(150, 150)], GREY);
    assert_eq!(image[(160, 150)], Rgb([255; 3]));
}

#[test]
fn a_marker_at_or_beyond_the_edge_does_not_panic() {
    for marker in [Marker::Ring, Marker::Cross] {
        for (x, y) in [(0, 0), (9, 9), (10, 10), (u32::MAX, u32::MAX)] {
            marker.draw(&mut RgbImage::new(10, 10), x, y);
            marker.draw(&mut RgbImage::new(0, 0), x, y);
        }
    }
}
