//! Figures, and sheets of them in pixels and as SVG.

use cam_viz::{Background, ColorBar, ColorMap, Error, Figure, Rgb, RgbImage, Sheet};
use proptest::prelude::*;

fn plain(width: u32, height: u32, color: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb(color))
}

/// The smallest rectangle around all pixels of a color: left, top, right, bottom.
fn bounds(sheet: &RgbImage, color: [u8; 3]) -> [u32; 4] {
    let found = sheet.enumerate_pixels().filter(|(.., pixel)| pixel.0 == color);
    found.fold([u32::MAX, u32::MAX, 0, 0], |[left, top, right, bottom], (x, y, _)| {
        [left.min(x), top.min(y), right.max(x), bottom.max(y)]
    })
}

const RED: [u8; 3] = [250, 10, 10];
const BLUE: [u8; 3] = [10, 10, 250];

#[test]
fn every_pixel_of_the_image_is_on_the_figure_at_its_own_size() {
    let figure = Figure::new(plain(700, 300, RED))
        .above("bull mastiff 57.2 %")
        .below("gradcam at layer4.2")
        .key(Rgb(BLUE), "a concept")
        .color_bar(ColorMap::Viridis);
    let drawn = figure.draw().unwrap();
    let [left, top, right, bottom] = bounds(&drawn, RED);
    assert_eq!((right - left + 1, bottom - top + 1), (700, 300));
    assert!(bounds(&drawn, BLUE)[1] > bottom);
    assert_eq!(figure.image(), &plain(700, 300, RED));
}

#[test]
fn captions_take_room_and_none_is_taken_without_them() {
    let height = |figure: Figure| figure.draw().unwrap().height();
    let bare = height(Figure::new(plain(100, 80, RED)));
    assert_eq!(bare, 80 + 2 * 24);
    let one = height(Figure::new(plain(100, 80, RED)).below("one"));
    let two = height(Figure::new(plain(100, 80, RED)).below("one").below("two"));
    let wrapped = height(Figure::new(plain(100, 80, RED)).below("one two three"));
    assert!(bare < one && one < two && two == wrapped);
    assert_eq!(height(Figure::new(plain(100, 80, RED)).above("one")), one);
}

#[test]
fn images_of_a_row_are_aligned_whatever_their_captions() {
    let sheet = Sheet::new("")
        .row(
            "",
            [Figure::new(plain(90, 60, RED)).above("two words that need lines"), plain(90, 60, BLUE).into()],
        )
        .draw()
        .unwrap();
    let ([_, red, ..], [_, blue, ..]) = (bounds(&sheet, RED), bounds(&sheet, BLUE));
    assert_eq!(red, blue);
}

#[test]
fn images_of_a_column_are_aligned_whatever_the_labels_of_their_bars() {
    let figure = |color, high| {
        Figure::new(plain(90, 60, color)).color_bar(ColorBar::from(ColorMap::Jet).range(0.0, high))
    };
    let sheet = Sheet::new("").row("", [figure(RED, 1.0)]).row("", [figure(BLUE, 0.001234)]).draw().unwrap();
    assert_eq!(bounds(&sheet, RED)[0], bounds(&sheet, BLUE)[0]);
}

#[test]
fn figures_flow_into_as_many_rows_as_they_need() {
    let figures = |count: usize| (0..count).map(|_| plain(30, 30, RED));
    let size = |count| Sheet::new("").flow(3, figures(count)).draw().unwrap().dimensions();
    assert_eq!(size(3), Sheet::new("").row("", figures(3)).draw().unwrap().dimensions());
    assert_eq!(size(4), size(6));
    assert!(size(7).1 > size(6).1);
    assert_eq!(Sheet::new("").flow(0, figures(2)).draw().unwrap().dimensions(), (78, 118));
}

#[test]
fn a_note_is_at_the_bottom() {
    let sheet = |note: &str| Sheet::new("").row("", [plain(300, 30, RED)]).note(note).draw().unwrap();
    let (without, with) = (sheet(""), sheet("resnet50 at layer4.2"));
    assert!(with.height() > without.height());
    assert_eq!(bounds(&with, RED), bounds(&without, RED));
    assert!((0..without.height() - 24).all(|y| (0..with.width()).all(|x| with[(x, y)] == without[(x, y)])));
}

#[test]
fn text_grows_with_large_images() {
    let caption = |side: u32| {
        let drawn = Figure::new(plain(side, side, RED)).above("caption").draw().unwrap();
        drawn.height() - side
    };
    assert_eq!(caption(640), caption(100));
    assert!(caption(1920) > 2 * caption(640));
}

#[test]
fn a_bar_labels_zero_if_it_is_between_the_ends() {
    let numbers = |low, high| {
        let bar = ColorBar::from(ColorMap::Viridis).range(low, high);
        bar.labels().map(|(_, number)| number)
    };
    assert_eq!(numbers(0.0, 0.25), ["0.25", "0.125", "0"]);
    assert_eq!(numbers(-2.0, 6.0), ["6", "0", "−2"]);
    assert_eq!(numbers(3.0, 3.0), ["3", "3", "3"]);
    assert_eq!(numbers(f32::MIN, f32::MAX), ["3.4e38", "0", "−3.4e38"]);
}

#[test]
fn the_labels_of_a_bar_do_not_touch() {
    // Zero is too near to the lower end: only the ends are labeled.
    let figure = |low| {
        let bar = ColorBar::from(ColorMap::Viridis).range(low, 10.0);
        Figure::new(plain(50, 100, RED)).color_bar(bar).draw().unwrap()
    };
    let ink = |drawn: &RgbImage| {
        let right = drawn.width() - 24 - 7; // the last digit of each label
        (24..124).filter(|y| (right..right + 7).any(|x| drawn[(x, *y)].0[0] < 128)).count()
    };
    assert!(ink(&figure(-0.5)) < ink(&figure(-5.0)));
}

#[test]
fn a_bar_of_invalid_values_is_still_drawn() {
    for (low, high) in [(f32::NAN, 1.0), (f32::NEG_INFINITY, f32::INFINITY), (1.0, 1.0), (2.0, -1.0)] {
        let bar = ColorBar::from(ColorMap::RedBlue).range(low, high);
        Figure::new(plain(50, 100, RED)).color_bar(bar).draw().unwrap();
    }
}

#[test]
fn a_figure_without_pixels_can_be_on_a_sheet() {
    let figure = Figure::new(RgbImage::new(0, 0)).above("nothing").below("nothing").color_bar(ColorMap::Jet);
    figure.draw().unwrap();
    figure.sheet().svg().unwrap();
}

#[test]
fn an_svg_has_the_size_and_the_images_and_the_text_of_the_sheet() {
    let sheet = Sheet::new("Where does it look?")
        .columns(["photo", "Grad-CAM"])
        .row("bull <mastiff> & cat", [plain(60, 90, RED), plain(30, 90, BLUE)])
        .background(Background::Dark)
        .color_bar(ColorMap::Magma);
    let (svg, drawn) = (sheet.svg().unwrap(), sheet.draw().unwrap());
    let document = roxmltree::Document::parse(&svg).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("width"), Some(drawn.width().to_string().as_str()));
    assert_eq!(root.attribute("height"), Some(drawn.height().to_string().as_str()));
    let texts: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")))
        .filter_map(|node| node.text())
        .collect();
    for line in ["Where does it look?", "photo", "Grad-CAM", "1", "0.5", "0"] {
        assert!(texts.contains(&line), "{line}: {texts:?}");
    }
    assert_eq!(texts.iter().filter(|line| line.contains('<')).count(), 1);
    let images = document.descendants().filter(|node| node.tag_name().name() == "image");
    let images: Vec<_> = images
        .map(|node| ["x", "y", "width"].map(|name| node.attribute(name).unwrap().parse::<u32>().unwrap()))
        .collect();
    for (color, width) in [(RED, 60), (BLUE, 30)] {
        let [left, top, ..] = bounds(&drawn, color);
        assert!(images.contains(&[left, top, width]), "{images:?}");
    }
}

#[test]
fn a_sheet_is_saved_in_the_format_of_its_extension() {
    let folder = tempfile::tempdir().unwrap();
    let sheet = Sheet::new("A sheet").row("", [plain(60, 40, RED)]);
    for (name, start) in [("a.svg", "<svg"), ("a.SVG", "<svg"), ("a.png", "\u{fffd}PNG"), ("a.webp", "RIFF")]
    {
        let path = folder.path().join(name);
        sheet.save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(String::from_utf8_lossy(&bytes).starts_with(start), "{name}");
    }
    assert!(matches!(sheet.save(folder.path().join("a.pdf")), Err(Error::UnknownFormat { .. })));
}

#[test]
fn a_page_that_is_too_large_is_an_error_as_svg_too() {
    let sheet = Sheet::new("").tile(u32::MAX).row("", [plain(40_000, 1, RED), plain(1, 40_000, RED)]);
    assert!(matches!(sheet.svg(), Err(Error::TooLarge { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_gives_a_sheet_and_a_well_formed_svg(
        title in any::<String>(), caption in any::<String>(), above in any::<String>(), key in any::<String>(),
        (width, height) in (0u32..90, 0u32..90), (low, high) in any::<(f32, f32)>(), tile in 0u32..100,
    ) {
        let figure = Figure::new(plain(width, height, RED))
            .above(above.clone())
            .below(caption.clone())
            .key(Rgb(BLUE), key)
            .color_bar(ColorBar::from(ColorMap::RedBlue).range(low, high));
        let sheet = Sheet::new(title).columns([caption, above.clone()]).note(above).tile(tile).row("row", [figure.clone()]).flow(2, [figure.clone(), figure.clone(), figure]);
        let drawn = sheet.draw().unwrap();
        let svg = sheet.svg().unwrap();
        let document = roxmltree::Document::parse(&svg);
        prop_assert!(document.is_ok(), "{:?}", document.err());
        // The margin is empty.
        let (width, height) = drawn.dimensions();
        for (x, y, pixel) in drawn.enumerate_pixels() {
            let inside = (16..width - 16).contains(&x) && (16..height - 16).contains(&y);
            prop_assert!(inside || pixel.0 == [255; 3], "({}, {})", x, y);
        }
    }
}
