//! Whole pictures against those in `tests/truth`, which a person has looked at.
//!
//! A picture that differs is written beside its difference (black is the same) to cargo's folder for tests, whose
//! path the failure names. `REGENERATE=1 cargo test` takes the new pictures for the truth; look at them then.

use cam_viz::{Area, Background, ColourMap, HeatMap, Marker, Overlay, Rgb, RgbImage, Sheet, encode, outline};
use std::{fs, path::Path};

/// What a channel may differ by: other processors round other ways.
const TOLERANCE: u8 = 3;

fn compare(name: &str, picture: &RgbImage) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/truth").join(name);
    if std::env::var_os("REGENERATE").is_some_and(|set| set == "1") {
        return fs::write(&path, encode(picture, "png").unwrap()).unwrap();
    }
    let truth = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).to_rgb8();
    let difference =
        RgbImage::from_fn(picture.width(), picture.height(), |x, y| match truth.get_pixel_checked(x, y) {
            Some(want) => Rgb(std::array::from_fn(|i| want[i].abs_diff(picture[(x, y)][i]))),
            None => Rgb([255; 3]),
        });
    let worst = difference.iter().copied().max().unwrap_or(0);
    if worst > TOLERANCE || truth.dimensions() != picture.dimensions() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for (kind, picture) in [("got", picture), ("difference", &difference)] {
            fs::write(folder.join(format!("{kind}-{name}")), encode(picture, "png").unwrap()).unwrap();
        }
        panic!(
            "{name}: {:?} instead of {:?}, channels differ by up to {worst}; see got-{name} and difference-{name} in {}",
            picture.dimensions(),
            truth.dimensions(),
            folder.display()
        );
    }
}

/// A bright hill in a 7 x 7 map.
fn hill() -> HeatMap {
    let values = (0..49).map(|at| {
        let (x, y) = ((at % 7) as f32 - 4.0, (at / 7) as f32 - 2.0);
        (-(x * x + y * y) / 4.0).exp()
    });
    HeatMap::new(7, 7, values.collect::<Vec<_>>()).unwrap()
}

fn ball(at: u32, width: u32, height: u32) -> bool {
    let (x, y) = ((at % width) as f32 - 0.57 * width as f32, (at / width) as f32 - 0.4 * height as f32);
    x.hypot(y) < 0.25 * height as f32
}

/// An orange ball before a blue sky above a green meadow.
fn photo() -> RgbImage {
    RgbImage::from_fn(96, 64, |x, y| match (ball(y * 96 + x, 96, 64), y < 40) {
        (true, _) => Rgb([235, 140, 40]),
        (false, true) => Rgb([120, 170, 230]),
        (false, false) => Rgb([70, 130, 60]),
    })
}

fn ringed() -> RgbImage {
    let mut picture = photo();
    let mask: Vec<bool> = (0..96 * 64).map(|at| ball(at, 96, 64)).collect();
    outline(&mut picture, &mask, Rgb([255, 0, 0])).unwrap();
    Marker::Ring.draw(&mut picture, 20, 50);
    Marker::Cross.draw(&mut picture, 94, 2);
    picture
}

#[test]
fn the_colour_maps_look_as_they_should() {
    let ramp = HeatMap::new(128, 1, (0..128).map(|i| i as f32 / 127.0).collect::<Vec<_>>()).unwrap();
    let signed = HeatMap::new(128, 1, (0..128).map(|i| i as f32 / 63.5 - 1.0).collect::<Vec<_>>()).unwrap();
    let strips = ColourMap::ALL.map(|map| map.paint(if map.is_diverging() { &signed } else { &ramp }));
    compare("colours.png", &RgbImage::from_fn(128, 80, |x, y| strips[y as usize / 8][(x, 0)]));
}

#[test]
fn an_overlay_of_a_centre_crop_looks_as_it_should() {
    let area = Area { x: 16, y: 0, width: 64, height: 64 };
    compare("overlay.png", &Overlay::new(&photo()).area(area).peak(Marker::Ring).draw(&hill()).unwrap());
}

#[test]
fn outlines_and_markers_look_as_they_should() {
    compare("outline.png", &ringed());
}

#[test]
fn a_sheet_looks_as_it_should() {
    let overlay = |colours| Overlay::new(&photo()).colours(colours).draw(&hill()).unwrap();
    let sheet = Sheet::new("Größe & Ort – a sheet")
        .columns(["photo", "Grad-CAM++", "jet, and too long"])
        .row("ball", [photo(), overlay(ColourMap::Viridis), overlay(ColourMap::Jet)])
        .row("truth", [ringed(), overlay(ColourMap::Cividis)])
        .colour_bar(ColourMap::Viridis);
    compare("sheet.png", &sheet.draw().unwrap());
    let dark = sheet.background(Background::Dark).colour_bar(ColourMap::RedBlue).tile(48);
    compare("dark.png", &dark.draw().unwrap());
}
