//! Compares whole images with those in `tests/truth`, which a person has reviewed.
//!
//! An image that differs is written with its difference (black where equal) to cargo's folder for tests, whose path is in the failure
//! message. `REGENERATE=1 cargo test` replaces the truth with the new images; review them.

use cam_viz::{
    Area, Background, ColorBar, ColorMap, Figure, Gradient, HeatMap, Marker, Mode, Mosaic, Overlay, Rgb,
    RgbImage, Sheet, encode, outline,
};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use std::{fs, path::Path};

/// The allowed difference of a channel: CPUs round differently, and neighboring shades of jet differ by 4.
const TOLERANCE: u8 = 4;

fn compare(name: &str, image: &RgbImage) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/truth").join(name);
    if std::env::var_os("REGENERATE").is_some_and(|set| set == "1") {
        let file = fs::File::create(&path).unwrap();
        let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
        return image.write_with_encoder(encoder).unwrap();
    }
    let truth = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).to_rgb8();
    let difference =
        RgbImage::from_fn(image.width(), image.height(), |x, y| match truth.get_pixel_checked(x, y) {
            Some(expected) => Rgb(std::array::from_fn(|i| expected[i].abs_diff(image[(x, y)][i]))),
            None => Rgb([255; 3]),
        });
    let worst = difference.iter().copied().max().unwrap_or(0);
    if worst > TOLERANCE || truth.dimensions() != image.dimensions() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for (kind, image) in [("got", image), ("difference", &difference)] {
            fs::write(folder.join(format!("{kind}-{name}")), encode(image, "png").unwrap()).unwrap();
        }
        panic!(
            "{name}: {:?} instead of {:?}, channels differ by up to {worst}; see got-{name} and difference-{name} in {}",
            image.dimensions(),
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

/// An orange ball in front of a blue sky above a green meadow.
fn photo() -> RgbImage {
    RgbImage::from_fn(96, 64, |x, y| match (ball(y * 96 + x, 96, 64), y < 40) {
        (true, _) => Rgb([235, 140, 40]),
        (false, true) => Rgb([120, 170, 230]),
        (false, false) => Rgb([70, 130, 60]),
    })
}

fn ringed() -> RgbImage {
    let mut image = photo();
    let mask: Vec<bool> = (0..96 * 64).map(|at| ball(at, 96, 64)).collect();
    outline(&mut image, &mask, Rgb([255, 0, 0])).unwrap();
    Marker::Ring.draw(&mut image, 20, 50);
    Marker::Cross.draw(&mut image, 94, 2);
    image
}

#[test]
fn the_color_maps_look_as_they_should() {
    let ramp = HeatMap::new(128, 1, (0..128).map(|i| i as f32 / 127.0).collect::<Vec<_>>()).unwrap();
    let signed = HeatMap::new(128, 1, (0..128).map(|i| i as f32 / 63.5 - 1.0).collect::<Vec<_>>()).unwrap();
    let strips = ColorMap::ALL.map(|map| map.paint(if map.is_diverging() { &signed } else { &ramp }));
    compare("colors.png", &RgbImage::from_fn(128, 80, |x, y| strips[y as usize / 8][(x, 0)]));
}

#[test]
fn an_overlay_of_a_center_crop_looks_as_it_should() {
    let area = Area { x: 16, y: 0, width: 64, height: 64 };
    compare("overlay.png", &Overlay::new(&photo()).area(area).peak(Marker::Ring).draw(&hill()).unwrap());
}

#[test]
fn outlines_and_markers_look_as_they_should() {
    compare("outline.png", &ringed());
}

#[test]
fn a_sheet_looks_as_it_should() {
    let overlay = |colors| Overlay::new(&photo()).colors(colors).draw(&hill()).unwrap();
    let sheet = Sheet::new("Größe & Ort – a sheet")
        .columns(["photo", "Grad-CAM++", "jet, and too long"])
        .row("ball", [photo(), overlay(ColorMap::Viridis), overlay(ColorMap::Jet)])
        .row("truth", [ringed(), overlay(ColorMap::Cividis)]);
    compare("sheet.png", &sheet.clone().color_bar(ColorMap::Viridis).draw().unwrap());
    let dark = sheet.background(Background::Dark).color_bar(ColorMap::RedBlue).tile(48);
    compare("dark.png", &dark.draw().unwrap());
}

/// A meadow by day or by night: bright and dark backgrounds for overlays.
fn meadow(light: f32) -> RgbImage {
    let shine = |color: [f32; 3]| Rgb(color.map(|part| (light * part).round() as u8));
    RgbImage::from_fn(200, 150, |x, y| {
        let [x, y] = [x as f32, y as f32];
        let grain = 8.0 * (0.7 * x).sin() * (0.9 * y).cos();
        let far = |left: f32, top: f32| (x - left).hypot(y - top);
        match (far(130.0, 62.0) < 30.0, far(42.0, 108.0) < 14.0, y < 95.0 + 6.0 * (x / 25.0).sin()) {
            (true, ..) => shine([235.0 + grain, 140.0, 40.0]),
            (_, true, _) => shine([225.0, 225.0, 235.0 + grain]),
            (.., true) => shine([150.0 + 0.6 * y, 190.0 + 0.5 * y, 247.0]),
            _ => shine([80.0 + grain, 145.0 + grain, 60.0 + grain]),
        }
    })
}

/// Evidence for the orange ball, some for its surroundings, and against the white one, on a 14 x 14 layer.
fn evidence() -> HeatMap {
    let value = |at: u32| {
        let [x, y] = [(at % 14) as f32 * 200.0 / 14.0 + 7.0, (at / 14) as f32 * 150.0 / 14.0 + 5.0];
        let hill = |left: f32, top: f32, wide: f32| {
            (-(((x - left).powi(2) + (y - top).powi(2)) / (wide * wide))).exp()
        };
        7.5 * hill(128.0, 60.0, 32.0) + 2.0 * hill(180.0, 120.0, 25.0) - 4.5 * hill(42.0, 108.0, 24.0)
    };
    HeatMap::new(14, 14, (0..14 * 14).map(value).collect::<Vec<_>>()).unwrap()
}

/// The positive evidence, from 0 to 1.
fn heat() -> HeatMap {
    let positive =
        evidence().values().iter().map(|value| value.max(0.0) / evidence().max_abs()).collect::<Vec<_>>();
    HeatMap::new(14, 14, positive).unwrap()
}

#[test]
fn the_modes_look_as_they_should_by_day_and_by_night() {
    let sheet = |colors: ColorMap| {
        let sheet = Sheet::new(format!("Modes in {colors}")).columns(Mode::ALL.map(Mode::name));
        [("day", 1.0), ("night", 0.2)].into_iter().fold(sheet, |sheet, (time, light)| {
            let photo = meadow(light);
            let overlay =
                Overlay::new(&photo).colors(colors).area(Area { x: 20, y: 0, width: 160, height: 150 });
            sheet.row(time, Mode::ALL.map(|mode| overlay.clone().mode(mode).draw(&heat()).unwrap()))
        })
    };
    compare("modes.png", &sheet(ColorMap::Viridis).draw().unwrap());
    compare("modes-jet.png", &sheet(ColorMap::Jet).draw().unwrap());
}

#[test]
fn signed_maps_look_as_they_should() {
    let (photo, reach) = (meadow(1.0), evidence().max_abs());
    let sheet = Sheet::new("Evidence for and against").columns(["blend", "heat", "alpha", "contour"]);
    let sheet = [ColorMap::RedBlue, ColorMap::OrangePurple].into_iter().fold(sheet, |sheet, colors| {
        let overlay = Overlay::new(&photo).colors(colors);
        let figures = [Mode::Blend, Mode::Heat, Mode::Alpha, Mode::Contour].map(|mode| {
            let image = overlay.clone().mode(mode).draw(&evidence().balanced()).unwrap();
            Figure::new(image).color_bar(ColorBar::from(colors).range(-reach, reach))
        });
        sheet.row(colors.name(), figures)
    });
    compare("signed.png", &sheet.draw().unwrap());
}

#[test]
fn a_figure_looks_as_it_should() {
    let figure = Figure::new(Overlay::new(&meadow(1.0)).draw(&heat()).unwrap())
        .above("an orange ball that is by no means small 98.7 %")
        .below("gradcam++ at layer4.2")
        .below("resnet50")
        .color_bar(ColorMap::default());
    compare("figure.png", &figure.draw().unwrap());
}

#[test]
fn a_strip_of_layers_looks_as_it_should() {
    let photo = meadow(1.0);
    let layers = (1..=5).map(|layer| {
        let map = heat().resize(2 * layer, 2 * layer).unwrap();
        Figure::new(Overlay::new(&photo).colors(ColorMap::Inferno).draw(&map).unwrap())
            .above(format!("layer{layer}"))
            .below(format!("{} x {}", 2 * layer, 2 * layer))
    });
    let sheet = Sheet::new("From shallow to deep").flow(3, layers).color_bar(ColorMap::Inferno);
    compare(
        "strip.png",
        &sheet
            .note("A note at the foot says how it was made: by a test, from no model at all.")
            .draw()
            .unwrap(),
    );
}

#[test]
fn a_mosaic_looks_as_it_should() {
    let photo = meadow(1.0);
    let against = HeatMap::new(
        14,
        14,
        evidence().values().iter().map(|value| (-value / 4.5).max(0.0)).collect::<Vec<_>>(),
    )
    .unwrap();
    let grass = HeatMap::new(1, 4, [0.0, 0.0, 0.3, 0.8]).unwrap();
    let mosaic = Mosaic::new(&photo)
        .map("orange ball 98 %, orange 1 %", heat())
        .map("moon 61 %, white ball 12 %, golf ball 3 %", against)
        .map("meadow 40 %", grass);
    let concepts = mosaic.draw().unwrap();
    let sheet =
        Sheet::new("Concepts").columns(["photo", "concepts"]).row("", [photo.clone().into(), concepts]);
    compare("mosaic.png", &sheet.draw().unwrap());
}

#[test]
fn guided_gradients_look_as_they_should() {
    let photo = meadow(1.0);
    // The gradient of brightness along x, one plane per channel.
    let plane = |channel: usize| {
        let photo = &photo;
        (0..200 * 150).map(move |at: u32| {
            let (x, y) = (at % 200, at / 200);
            f32::from(photo[((x + 1).min(199), y)][channel]) - f32::from(photo[(x, y)][channel])
        })
    };
    let gradient = Gradient::new(200, 150, (0..3).flat_map(plane).collect::<Vec<_>>()).unwrap();
    let guided = gradient.times(&heat()).unwrap();
    let sheet = Sheet::new("Before and after")
        .columns(["photo", "gradient", "in gray", "times the map"])
        .row("", [photo.clone(), gradient.color(), gradient.gray(), guided.color()])
        .background(Background::Dark);
    compare("gradient.png", &sheet.draw().unwrap());
}

#[test]
fn a_mean_and_its_standard_deviation_look_as_they_should() {
    let photo = meadow(1.0);
    let spread = |most: f32| {
        let values = heat().values().iter().map(|mean| 4.0 * most * mean * (1.0 - mean)).collect::<Vec<_>>();
        HeatMap::new(14, 14, values).unwrap().scaled(0.0, 0.2)
    };
    let shown = |map: &HeatMap, colors| Overlay::new(&photo).colors(colors).draw(map).unwrap();
    let pair = |most| [shown(&heat(), ColorMap::Viridis), shown(&spread(most), ColorMap::Magma)];
    let sheet = Sheet::new("Over 6 views")
        .columns(["mean", "standard deviation"])
        .row("ball", pair(0.2))
        .row("surer", pair(0.1))
        .color_bar(ColorMap::Viridis)
        .color_bar(ColorBar::from(ColorMap::Magma).range(0.0, 0.2));
    compare("spread.png", &sheet.draw().unwrap());
}
