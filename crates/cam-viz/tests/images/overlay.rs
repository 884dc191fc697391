//! Compares blending with its formula in loops, and checks what is shown outside of the area.

use cam_viz::{Area, ColorMap, Error, HeatMap, Marker, Mode, Overlay, Rgb, RgbImage};
use proptest::prelude::*;

fn photo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 37 % 256) as u8, (y * 59 % 256) as u8, ((x + y) * 83 % 256) as u8])
    })
}

fn heat() -> HeatMap {
    HeatMap::new(3, 2, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]).unwrap()
}

proptest! {
    #[test]
    fn the_blend_is_its_formula(alpha in 0.0f32..=1.0, width in 1u32..20, height in 1u32..20) {
        let photo = photo(width, height);
        let image = Overlay::new(&photo).mode(Mode::Blend).colors(ColorMap::Magma).alpha(alpha).draw(&heat()).unwrap();
        let heat = heat().resize(width, height).unwrap();
        for y in 0..height {
            for x in 0..width {
                let color = ColorMap::Magma.color(heat.values()[(y * width + x) as usize]);
                for channel in 0..3 {
                    let alpha = f64::from(alpha);
                    let expected = (1.0 - alpha) * f64::from(photo[(x, y)][channel]) + alpha * f64::from(color[channel]);
                    let got = f64::from(image[(x, y)][channel]);
                    prop_assert!((got - expected).abs() <= 0.5 + 1e-3, "{got} {expected}");
                }
            }
        }
    }

    #[test]
    fn no_area_panics(x in any::<u32>(), y in any::<u32>(), width in any::<u32>(), height in any::<u32>()) {
        let area = Area { x: x % 9, y: y % 9, width: width % 9, height: height % 9 };
        let fits = area.width > 0 && area.height > 0 && area.x + area.width <= 8 && area.y + area.height <= 8;
        let photo = photo(8, 8);
        prop_assert_eq!(Overlay::new(&photo).area(area).draw(&heat()).is_ok(), fits);
        let area = Area { x, y, width, height };
        area.peak(&heat());
        prop_assert!(Overlay::new(&photo).area(area).draw(&heat()).is_err() || width <= 8);
    }
}

#[test]
fn opacity_0_is_the_photo_and_opacity_1_is_the_heat() {
    let photo = photo(9, 7);
    let blend = Overlay::new(&photo).mode(Mode::Blend);
    assert_eq!(blend.clone().alpha(0.0).draw(&heat()).unwrap(), photo);
    let painted = ColorMap::default().paint(&heat().resize(9, 7).unwrap());
    assert_eq!(blend.alpha(1.0).draw(&heat()).unwrap(), painted);
}

#[test]
fn only_what_was_cropped_away_is_dim_and_gray() {
    let photo = photo(20, 10);
    let area = Area { x: 5, y: 0, width: 10, height: 10 };
    let image = Overlay::new(&photo).area(area).draw(&heat()).unwrap();
    for (x, y, &Rgb([red, green, blue])) in image.enumerate_pixels() {
        if area.contains(x, y) {
            continue;
        }
        assert!(red == green && green == blue && red < 128, "({x}, {y})");
    }
    let crop = image::imageops::crop_imm(&photo, 5, 0, 10, 10).to_image();
    let seen = image::imageops::crop_imm(&image, 5, 0, 10, 10).to_image();
    assert_eq!(seen, Overlay::new(&crop).draw(&heat()).unwrap());
}

#[test]
fn the_peak_of_the_map_is_marked_at_its_position_on_the_photo() {
    let photo = RgbImage::from_pixel(120, 80, Rgb([90, 140, 90]));
    let area = Area { x: 30, y: 0, width: 60, height: 80 };
    assert_eq!(area.peak(&heat()), (80, 60));
    let plain = Overlay::new(&photo).area(area).draw(&heat()).unwrap();
    let marked = Overlay::new(&photo).area(area).peak(Marker::Cross).draw(&heat()).unwrap();
    assert_eq!(marked[(80, 60)], Rgb([255; 3]));
    assert_eq!(marked[(40, 20)], plain[(40, 20)]);
}

#[test]
fn an_area_beyond_the_photo_is_an_error_that_shows_both() {
    let photo = photo(8, 6);
    let area = Area { x: 4, y: 0, width: 5, height: 6 };
    let error = Overlay::new(&photo).area(area).draw(&heat()).unwrap_err();
    assert_eq!(error.to_string(), "the area 5 x 6 at (4, 0) does not lie within the photo of 8 x 6");
}

#[test]
fn an_opacity_out_of_range_is_an_error() {
    let photo = photo(4, 4);
    for alpha in [-0.1, 1.1, f32::NAN] {
        assert!(matches!(Overlay::new(&photo).alpha(alpha).draw(&heat()), Err(Error::Alpha { .. })));
    }
}

#[test]
fn a_photo_without_pixels_is_an_error() {
    assert!(Overlay::new(&RgbImage::new(0, 5)).draw(&heat()).is_err());
}
