//! What each overlay mode shows of the photo and of the map; none of them panics.

use cam_viz::{Area, ColorMap, Error, HeatMap, Marker, Mode, Overlay, Rgb, RgbImage, Threshold};
use proptest::prelude::*;

fn photo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 37 % 256) as u8, (y * 59 % 256) as u8, ((x + y) * 83 % 256) as u8])
    })
}

/// A hill on an image of 120 x 90 that is 1 at (40, 45) and falls by 0.02 per pixel to 0.
fn hill() -> HeatMap {
    let value = |at: u32| (1.0 - 0.02 * from_peak(at % 120, at / 120)).max(0.0);
    HeatMap::new(120, 90, (0..120 * 90).map(value).collect::<Vec<_>>()).unwrap()
}

fn from_peak(x: u32, y: u32) -> f32 {
    (x as f32 - 40.0).hypot(y as f32 - 45.0)
}

#[test]
fn every_mode_is_parsed_from_its_name_in_any_case() {
    for mode in Mode::ALL {
        assert_eq!(mode.name().parse::<Mode>().unwrap(), mode);
        assert_eq!(mode.to_string().to_uppercase().parse::<Mode>().unwrap(), mode);
        assert!(!mode.help().is_empty());
    }
}

#[test]
fn the_heat_alone_shows_nothing_of_the_photo() {
    let map = hill();
    let image = Overlay::new(&photo(120, 90)).mode(Mode::Heat).draw(&map).unwrap();
    assert_eq!(image, ColorMap::default().paint(&map));
}

#[test]
fn by_default_the_colder_half_of_the_photo_is_unchanged_and_opacity_grows_from_there() {
    // The median of the five is 0.2, so 0.6 is halfway from there to 1.
    let photo = photo(5, 1);
    let map = HeatMap::new(5, 1, [0.6, 0.2, 0.0, 1.0, 0.1]).unwrap();
    let image = Overlay::new(&photo).alpha(1.0).draw(&map).unwrap();
    assert_eq!([1, 2, 4].map(|x| image[(x, 0)]), [1, 2, 4].map(|x| photo[(x, 0)]));
    let colors = ColorMap::default();
    assert_eq!(image[(3, 0)], colors.color(1.0));
    for channel in 0..3 {
        let expected = f32::midpoint(photo[(0, 0)][channel].into(), colors.color(0.6)[channel].into());
        assert!((f32::from(image[(0, 0)][channel]) - expected).abs() <= 0.5 + 1e-3);
    }
}

#[test]
fn a_map_that_is_hot_nearly_everywhere_is_drawn() {
    let photo = photo(4, 1);
    let map = HeatMap::new(4, 1, [1.0, 1.0, 1.0, 0.0]).unwrap();
    let image = Overlay::new(&photo).alpha(1.0).draw(&map).unwrap();
    assert_eq!(image[(0, 0)], ColorMap::default().color(1.0));
}

#[test]
fn negative_values_are_as_opaque_as_positive_ones() {
    let photo = photo(2, 1);
    let map = HeatMap::new(2, 1, [-1.0, 1.0]).unwrap();
    let overlay = Overlay::new(&photo).mode(Mode::Alpha).alpha(1.0).colors(ColorMap::RedBlue);
    assert_eq!(overlay.draw(&map).unwrap(), ColorMap::RedBlue.paint(&map));
}

#[test]
fn a_mask_shows_the_photo_where_it_is_hot_and_a_quarter_of_it_elsewhere() {
    let photo = photo(120, 90);
    let image = Overlay::new(&photo).mode(Mode::Mask).draw(&hill()).unwrap();
    for (x, y, pixel) in image.enumerate_pixels() {
        let quarter = photo[(x, y)].0.map(|part| (f32::from(part) / 4.0).round() as u8);
        match from_peak(x, y) {
            near if near < 22.0 => assert_eq!(*pixel, photo[(x, y)], "({x}, {y})"),
            far if far > 28.0 => assert_eq!(pixel.0, quarter, "({x}, {y})"),
            _ => {}
        }
    }
}

#[test]
fn contours_are_where_the_map_has_their_levels_and_nowhere_else() {
    let photo = RgbImage::from_pixel(120, 90, Rgb([90; 3]));
    let image = Overlay::new(&photo).mode(Mode::Contour).levels([0.5]).draw(&hill()).unwrap();
    let color = ColorMap::default().color(0.5).0;
    let like_the_line =
        |pixel: &Rgb<u8>| pixel.0.iter().zip(color).map(|(a, b)| u32::from(a.abs_diff(b))).sum::<u32>() < 60;
    let mut line = 0;
    for (x, y, pixel) in image.enumerate_pixels() {
        // The label is at the top of the circle.
        if (24..57).contains(&x) && (10..31).contains(&y) {
            continue;
        }
        let off = (from_peak(x, y) - 25.0).abs();
        assert!(off < 3.0 || *pixel == Rgb([90; 3]), "({x}, {y})");
        if like_the_line(pixel) {
            assert!(off < 1.0, "({x}, {y})");
            line += 1;
        }
    }
    // The circle is 157 pixels long, without its label 140, and about one pixel thick.
    assert!((105..225).contains(&line), "{line}");
}

#[test]
fn there_are_four_default_contours_and_both_signs_if_colors_diverge() {
    let photo = RgbImage::from_pixel(120, 90, Rgb([90; 3]));
    let overlay = Overlay::new(&photo).mode(Mode::Contour);
    let by_hand = overlay.clone().levels([0.2, 0.4, 0.6, 0.8]);
    assert!(overlay.draw(&hill()).unwrap() == by_hand.draw(&hill()).unwrap());
    let negative = HeatMap::new(120, 90, hill().values().iter().map(|v| -v).collect::<Vec<_>>()).unwrap();
    assert!(overlay.draw(&negative).unwrap() == photo);
    assert!(overlay.colors(ColorMap::RedBlue).draw(&negative).unwrap() != photo);
}

#[test]
fn a_box_touches_the_hot_region_on_all_four_sides() {
    let photo = RgbImage::from_pixel(120, 90, Rgb([90; 3]));
    let image = Overlay::new(&photo).mode(Mode::Box).draw(&hill()).unwrap();
    let color = ColorMap::default().color(0.85);
    let drawn: Vec<_> = image.enumerate_pixels().filter(|(.., pixel)| **pixel == color).collect();
    // The region reaches 25 pixels from the peak; lines are about a pixel thick.
    let span = |of: fn(&(u32, u32, &Rgb<u8>)) -> u32| {
        let ends = drawn.iter().map(of);
        (ends.clone().min().unwrap(), ends.max().unwrap())
    };
    let near = |(low, high): (u32, u32), middle: u32| {
        low.abs_diff(middle - 25) <= 1 && high.abs_diff(middle + 25) <= 1
    };
    assert!(near(span(|pixel| pixel.0), 40) && near(span(|pixel| pixel.1), 45));
    assert_eq!(image[(40, 45)], Rgb([90; 3]));
}

#[test]
fn without_opacity_every_mode_is_the_photo() {
    let photo = photo(120, 90);
    for mode in Mode::ALL {
        let image = Overlay::new(&photo).mode(mode).alpha(0.0).draw(&hill()).unwrap();
        assert!(image == photo, "{mode}");
    }
}

#[test]
fn what_the_model_did_not_see_is_never_brighter_than_cold_regions() {
    let photo = RgbImage::from_pixel(40, 20, Rgb([200, 180, 160]));
    let area = Area { x: 10, y: 0, width: 20, height: 20 };
    let cold = HeatMap::new(1, 1, [0.0]).unwrap();
    for mode in [Mode::Mask, Mode::Alpha, Mode::Contour, Mode::Box] {
        let image = Overlay::new(&photo).mode(mode).area(area).draw(&cold).unwrap();
        let sum = |x: u32| image[(x, 10)].0.iter().map(|&part| u32::from(part)).sum::<u32>();
        assert!(sum(2) < sum(20), "{mode}");
    }
}

#[test]
fn levels_that_are_not_finite_are_an_error() {
    let photo = photo(4, 4);
    for level in [f32::NAN, f32::NEG_INFINITY] {
        let overlay = Overlay::new(&photo).mode(Mode::Contour).levels([0.5, level]);
        assert!(matches!(overlay.draw(&hill()), Err(Error::Level { .. })));
    }
}

proptest! {
    #[test]
    fn no_mode_panics(
        (width, height) in (1u32..40, 1u32..40),
        (columns, rows) in (1u32..9, 1u32..9),
        values in prop::collection::vec(any::<f32>(), 64),
        place in 0usize..6 * 10 * 2,
        (x, y, w, h) in (0u32..40, 0u32..40, 1u32..41, 1u32..41),
        level in any::<f32>(),
        alpha in 0.0f32..=1.0,
    ) {
        let photo = photo(width, height);
        let values = values[..(columns * rows) as usize].to_vec();
        let finite = values.iter().all(|value| value.is_finite());
        let map = HeatMap::new(columns, rows, values);
        prop_assert_eq!(map.is_ok(), finite);
        let tame = HeatMap::new(columns, rows, (0..columns * rows).map(|i| (i * 7 % 5) as f32 / 4.0).collect::<Vec<_>>()).unwrap();
        let area = Area { x, y, width: w, height: h };
        let fits = x + w <= width && y + h <= height;
        let (mode, colors) = (Mode::ALL[place % 6], ColorMap::ALL[place / 6 % 10]);
        let threshold = if place >= 60 { Threshold::Otsu } else { Threshold::Value(level) };
        for map in [map.unwrap_or_else(|_| tame.clone()), tame] {
            let overlay = Overlay::new(&photo)
                .mode(mode)
                .colors(colors)
                .threshold(threshold)
                .levels([level, 0.5])
                .alpha(alpha)
                .peak(Marker::Ring);
            let asked = level.is_finite() || matches!(mode, Mode::Blend | Mode::Heat | Mode::Alpha) || (place >= 60 && mode != Mode::Contour);
            let drawn = overlay.draw(&map);
            prop_assert_eq!(drawn.is_ok(), asked, "{:?}", drawn.err());
            prop_assert_eq!(overlay.area(area).draw(&map).is_ok(), asked && fits);
        }
    }
}
