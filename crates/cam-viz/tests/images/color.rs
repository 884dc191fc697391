//! Compares shades with published ones, and checks the properties of each kind of map.

use cam_viz::{ColorMap, Error, Rgb};

fn shade(map: ColorMap, shade: u8) -> [u8; 3] {
    map.color(f32::from(shade) / 255.0).0
}

/// `COLORMAP_JET` of OpenCV 5.0.0, `cv2.applyColorMap`, as red, green, blue.
#[test]
fn jet_is_the_table_of_opencv() {
    for (index, expected) in [
        (0, [0, 0, 128]),
        (1, [0, 0, 132]),
        (16, [0, 0, 192]),
        (31, [0, 0, 252]),
        (32, [0, 0, 255]),
        (33, [0, 4, 255]),
        (64, [0, 128, 255]),
        (95, [0, 252, 255]),
        (96, [2, 255, 254]),
        (127, [126, 255, 130]),
        (128, [130, 255, 126]),
        (158, [250, 255, 6]),
        (159, [254, 255, 1]),
        (160, [255, 252, 0]),
        (191, [255, 128, 0]),
        (223, [255, 0, 0]),
        (224, [252, 0, 0]),
        (255, [128, 0, 0]),
    ] {
        assert_eq!(shade(ColorMap::Jet, index), expected, "{index}");
    }
}

#[test]
fn jet_sums_up_to_the_table_of_opencv() {
    let sum = |channel: usize| (0..=255).map(|i| u64::from(shade(ColorMap::Jet, i)[channel])).sum::<u64>();
    assert_eq!([sum(0), sum(1), sum(2)], [30592, 32448, 30591]);
    let weighted: u64 =
        (0..=255).flat_map(|i| shade(ColorMap::Jet, i).map(|part| u64::from(i) * u64::from(part))).sum();
    assert_eq!(weighted, 11_937_921);
}

/// The first, middle and last entries of matplotlib's tables.
#[test]
fn perceptual_maps_are_those_of_matplotlib() {
    for (map, [first, middle, last]) in [
        (ColorMap::Viridis, [[68, 1, 84], [33, 145, 140], [253, 231, 37]]),
        (ColorMap::Inferno, [[0, 0, 4], [188, 55, 84], [252, 255, 164]]),
        (ColorMap::Magma, [[0, 0, 4], [183, 55, 121], [252, 253, 191]]),
        (ColorMap::Plasma, [[13, 8, 135], [204, 71, 120], [240, 249, 33]]),
        (ColorMap::Cividis, [[0, 34, 78], [125, 124, 120], [254, 232, 56]]),
    ] {
        let tolerance = if map == ColorMap::Cividis { 18 } else { 1 };
        for (index, expected) in [(0, first), (128, middle), (255, last)] {
            let near = shade(map, index)
                .iter()
                .zip(expected)
                .all(|(got, expected)| got.abs_diff(expected) <= tolerance);
            assert!(near, "{map} {index}: {:?} {expected:?}", shade(map, index));
        }
    }
}

#[test]
fn perceptual_maps_get_lighter_monotonically() {
    let light = |map, index| {
        let [red, green, blue] = shade(map, index).map(f64::from);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    for map in [ColorMap::Viridis, ColorMap::Inferno, ColorMap::Magma, ColorMap::Plasma, ColorMap::Cividis] {
        assert!((8..=255).all(|index| light(map, index) > light(map, index - 8)), "{map}");
    }
}

#[test]
fn the_diverging_map_is_nearly_white_at_zero_and_red_above() {
    assert!(ColorMap::RedBlue.color(0.0).0.iter().all(|&part| part > 235));
    for value in [0.3, 0.6, 1.0] {
        let Rgb([red, _, blue]) = ColorMap::RedBlue.color(value);
        assert!(red > blue + 40, "{value}");
        let Rgb([red, _, blue]) = ColorMap::RedBlue.color(-value);
        assert!(blue > red + 40, "-{value}");
    }
}

#[test]
fn values_out_of_range_get_the_colors_of_the_ends() {
    for map in ColorMap::ALL {
        let lowest = if map.is_diverging() { -1.0 } else { 0.0 };
        assert_eq!(map.color(-1e30), map.color(lowest));
        assert_eq!(map.color(f32::INFINITY), map.color(1.0));
        map.color(f32::NAN);
    }
}

#[test]
fn the_other_diverging_map_is_nearly_white_at_zero_and_orange_above() {
    assert!(ColorMap::OrangePurple.color(0.0).0.iter().all(|&part| part > 230));
    let Rgb([red, green, blue]) = ColorMap::OrangePurple.color(0.6);
    assert!(red > green + 40 && green > blue + 40);
    let Rgb([red, green, blue]) = ColorMap::OrangePurple.color(-0.6);
    assert!(blue > green + 40 && red >= green);
}

#[test]
fn every_map_is_parsed_from_its_name_in_any_case() {
    for map in ColorMap::ALL {
        assert_eq!(map.name().parse::<ColorMap>().unwrap(), map);
        assert_eq!(map.to_string().to_uppercase().parse::<ColorMap>().unwrap(), map);
    }
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
    let error = "rainbow".parse::<ColorMap>().unwrap_err();
    assert!(matches!(&error, Error::UnknownColorMap { name, .. } if name == "rainbow"));
    for map in ColorMap::ALL {
        assert!(error.to_string().contains(map.name()), "{error}");
    }
}
