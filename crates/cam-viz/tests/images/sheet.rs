//! Contact sheets show all images, none over another, and captions stay in their columns.

use cam_viz::{Background, ColorMap, Error, Rgb, RgbImage, Sheet};

fn plain(width: u32, height: u32, color: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb(color))
}

fn count(sheet: &RgbImage, color: [u8; 3]) -> usize {
    sheet.pixels().filter(|pixel| pixel.0 == color).count()
}

const COLORS: [[u8; 3]; 4] = [[250, 10, 10], [10, 250, 10], [10, 10, 250], [250, 250, 10]];

#[test]
fn every_pixel_of_every_image_is_on_the_sheet() {
    let [one, two, three, four] = COLORS;
    let sheet = Sheet::new("Four images of four sizes")
        .columns(["left", "right"])
        .row("above", [plain(40, 30, one), plain(20, 50, two)])
        .row("below", [plain(10, 10, three), plain(64, 8, four)])
        .draw()
        .unwrap();
    for (color, pixels) in COLORS.into_iter().zip([40 * 30, 20 * 50, 10 * 10, 64 * 8]) {
        assert_eq!(count(&sheet, color), pixels);
    }
}

#[test]
fn a_margin_is_left_around_everything() {
    for background in [Background::White, Background::Dark] {
        let long =
            "a caption that is far too long for the place there is, and then some more of it".repeat(3);
        let sheet = Sheet::new(&long)
            .columns([&long, &long])
            .row(&long, [plain(30, 30, [9; 3]), plain(30, 30, [9; 3])])
            .color_bar(ColorMap::Turbo)
            .background(background)
            .draw()
            .unwrap();
        let paper = sheet[(0, 0)];
        let (width, height) = sheet.dimensions();
        for (x, y, pixel) in sheet.enumerate_pixels() {
            let inside = (20..width - 20).contains(&x) && (20..height - 20).contains(&y);
            assert!(inside || *pixel == paper, "({x}, {y}) of {width} x {height}");
        }
    }
}

#[test]
fn a_long_caption_does_not_overlap_the_next_column() {
    let wide = [plain(150, 20, [1; 3]), plain(150, 20, [1; 3])];
    let with = |captions: [&str; 2]| Sheet::new("").columns(captions).row("", wide.clone()).draw().unwrap();
    let (short, long) =
        (with(["", "right"]), with(["a_word_that_is_by_far_too_long_for_its_column", "right"]));
    assert_eq!(short.dimensions(), long.dimensions());
    for (x, y, pixel) in long.enumerate_pixels().filter(|(x, ..)| *x >= 24 + 150) {
        assert_eq!(*pixel, short[(x, y)], "({x}, {y})");
    }
}

#[test]
fn a_large_image_is_shrunk_to_its_tile_and_keeps_its_shape() {
    let [one, two, ..] = COLORS;
    let sheet = Sheet::new("").tile(50).row("", [plain(400, 200, one), plain(3000, 1, two)]).draw().unwrap();
    assert_eq!(count(&sheet, one), 50 * 25);
    assert_eq!(count(&sheet, two), 50);
}

#[test]
fn rows_may_have_different_lengths() {
    let [one, two, three, _] = COLORS;
    let sheet = Sheet::new("Ragged")
        .columns(["only one caption"])
        .row("one", [plain(9, 9, one)])
        .row("none", Vec::<RgbImage>::new())
        .row("two", [plain(9, 9, two), plain(9, 9, three)])
        .draw()
        .unwrap();
    assert_eq!([one, two, three].map(|color| count(&sheet, color)), [81; 3]);
}

#[test]
fn an_empty_sheet_is_a_blank_page() {
    let sheet = Sheet::new("").color_bar(ColorMap::RedBlue).draw().unwrap();
    assert!(sheet.pixels().all(|pixel| *pixel == Rgb([255; 3])));
    Sheet::new("").row("", [RgbImage::new(0, 0), RgbImage::new(0, 400)]).tile(0).draw().unwrap();
}

#[test]
fn the_color_bar_goes_from_the_largest_value_at_the_top_to_the_smallest() {
    let sheet = |colors| Sheet::new("").row("", [plain(10, 256, [77; 3])]).color_bar(colors).draw().unwrap();
    for (colors, lowest) in [(ColorMap::Viridis, 0.0), (ColorMap::RedBlue, -1.0)] {
        let sheet = sheet(colors);
        let column: Vec<_> = (24..24 + 256).map(|y| sheet[(24 + 10 + 20, y)]).collect();
        let near = |one: Rgb<u8>, other: Rgb<u8>| one.0.iter().zip(other.0).all(|(a, b)| a.abs_diff(b) <= 3);
        assert!(near(column[0], colors.color(1.0)), "{colors}");
        assert!(near(column[255], colors.color(lowest)), "{colors}");
        assert!(near(column[127], colors.color((1.0 + lowest) / 2.0)), "{colors}");
    }
}

#[test]
fn a_sheet_that_is_too_large_is_an_error() {
    let sheet = Sheet::new("").tile(u32::MAX).row("", [plain(40_000, 1, [0; 3]), plain(1, 40_000, [0; 3])]);
    assert!(matches!(sheet.draw(), Err(Error::TooLarge { .. })));
}
