//! Mosaics of several maps, and gradients as images.

use cam_viz::{Area, Error, Gradient, HeatMap, Mosaic, Rgb, RgbImage};
use proptest::prelude::*;

fn map(values: &[f32]) -> HeatMap {
    HeatMap::new(values.len() as u32, 1, values).unwrap()
}

#[test]
fn each_pixel_has_the_color_of_its_hottest_map_and_cold_ones_are_gray() {
    let photo = RgbImage::from_pixel(3, 1, Rgb([120, 60, 0]));
    let (left, right) = (map(&[1.0, 0.2, 0.0]), map(&[0.5, 0.4, 0.0]));
    let figure = Mosaic::new(&photo).map("left", left).map("right", right).alpha(1.0).draw().unwrap();
    let image = figure.image();
    let gray = (299 * 120 + 587 * 60) / 1000;
    assert_eq!(image[(0, 0)], Mosaic::color(0));
    for channel in 0..3 {
        let expected = 0.6 * gray as f32 + 0.4 * f32::from(Mosaic::color(1)[channel]);
        assert!((f32::from(image[(1, 0)][channel]) - expected).abs() <= 0.5 + 1e-3);
    }
    assert_eq!(image[(2, 0)], Rgb([gray as u8; 3]));
}

#[test]
fn neighboring_maps_have_different_colors_which_repeat_after_seven() {
    for place in 0..20 {
        let far = |other: usize| {
            let apart = Mosaic::color(place).0.into_iter().zip(Mosaic::color(other).0);
            apart.map(|(one, other)| u32::from(one.abs_diff(other))).sum::<u32>()
        };
        assert!((1..7).all(|next| far(place + next) > 70));
        assert_eq!(far(place + 7), 0);
    }
}

#[test]
fn a_mosaic_has_the_errors_of_an_overlay() {
    let photo = RgbImage::new(8, 6);
    let area = Area { x: 4, y: 0, width: 5, height: 6 };
    assert!(matches!(
        Mosaic::new(&photo).map("", map(&[1.0])).area(area).draw(),
        Err(Error::AreaOutside { .. })
    ));
    assert!(matches!(Mosaic::new(&photo).alpha(f32::NAN).draw(), Err(Error::Alpha { .. })));
    assert!(Mosaic::new(&photo).draw().is_ok());
}

#[test]
fn a_few_large_gradients_do_not_hide_the_others() {
    let mut values = vec![0.5; 3 * 1000];
    values[7] = 1e6;
    let image = Gradient::new(100, 10, values).unwrap().color();
    assert_eq!(image[(7, 0)][0], 255);
    assert_eq!(image[(50, 5)], Rgb([255; 3]));
}

#[test]
fn a_gradient_of_nearly_all_zeros_shows_the_others() {
    let mut values = vec![0.0; 3 * 1000];
    values[7] = -3.0;
    let image = Gradient::new(100, 10, values).unwrap().color();
    assert_eq!(image[(7, 0)], Rgb([1, 128, 128]));
    assert_eq!(image[(8, 0)], Rgb([128; 3]));
}

#[test]
fn planes_of_a_wrong_length_and_values_that_are_not_finite_are_errors() {
    let error = Gradient::new(2, 2, [0.0; 4]).unwrap_err();
    assert_eq!(error.to_string(), "three planes of 2 x 2 need 12 values, got 4");
    let mut values = [0.0; 12];
    values[7] = f32::NAN;
    assert!(matches!(Gradient::new(2, 2, values), Err(Error::NotFinite { x: 1, y: 1, .. })));
    assert!(matches!(Gradient::new(0, 2, []), Err(Error::Empty { .. })));
}

proptest! {
    #[test]
    fn a_gradient_and_its_negative_mirror_at_mid_gray(values in prop::collection::vec(-5.0f32..5.0, 3 * 24)) {
        let gradient = Gradient::new(6, 4, values.clone()).unwrap();
        let negative = Gradient::new(6, 4, values.iter().map(|value| -value).collect::<Vec<_>>()).unwrap();
        for (one, other) in [(gradient.color(), negative.color()), (gradient.gray(), negative.gray())] {
            for (one, other) in one.iter().zip(other.iter()) {
                prop_assert!((i32::from(*one) + i32::from(*other) - 256).abs() <= 1);
            }
        }
    }

    #[test]
    fn no_gradient_panics(values in prop::collection::vec(any::<f32>(), 3 * 6), heat in 0.0f32..1.0) {
        let finite = values.iter().all(|value| value.is_finite());
        let gradient = Gradient::new(3, 2, values);
        prop_assert_eq!(gradient.is_ok(), finite);
        if let Ok(gradient) = gradient {
            gradient.color();
            gradient.gray();
            gradient.times(&map(&[heat, 0.5])).unwrap();
        }
    }
}
