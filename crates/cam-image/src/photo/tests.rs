//! Images of every format, as people have them.

use super::*;
use ::tiff::encoder::{TiffEncoder, colortype as of};
use ::tiff::tags::{ExtraSamples, PhotometricInterpretation, SampleFormat};
use image::{ImageBuffer, Rgb, Rgba, RgbaImage};

/// 12 x 9 pixels of three colors that differ everywhere.
fn colors() -> RgbImage {
    RgbImage::from_fn(12, 9, |x, y| Rgb([20 * x as u8, 25 * y as u8, (9 * (x + y)) as u8]))
}

fn decode(bytes: &[u8]) -> Result<Photo, String> {
    decode_with(PhotoReader::default(), bytes)
}

fn decode_with(reader: PhotoReader, bytes: &[u8]) -> Result<Photo, String> {
    reader.decode(bytes, Path::new("photo")).map_err(|error| error.to_string())
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A TIFF of these samples of 12 x 9 pixels.
fn tiff_of<C: of::ColorType>(samples: &[C::Inner]) -> Vec<u8>
where
    [C::Inner]: ::tiff::encoder::TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    TiffEncoder::new(&mut bytes).unwrap().write_image::<C>(12, 9, samples).unwrap();
    bytes.into_inner()
}

/// A TIFF of these samples of 12 x 9 pixels, which says what those beside its colors are.
fn tiff_with_extra<C: of::ColorType>(samples: &[C::Inner], extra: &[u16]) -> Vec<u8>
where
    [C::Inner]: ::tiff::encoder::TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut image = encoder.new_image::<C>(12, 9).unwrap();
    image.encoder().write_tag(::tiff::tags::Tag::ExtraSamples, extra).unwrap();
    image.write_data(samples).unwrap();
    bytes.into_inner()
}

/// Five samples of 16 bits.
macro_rules! five_samples {
    ($name:ident, $colors:ident) => {
        struct $name;

        impl of::ColorType for $name {
            type Inner = u16;
            const TIFF_VALUE: PhotometricInterpretation = PhotometricInterpretation::$colors;
            const BITS_PER_SAMPLE: &'static [u16] = &[16; 5];
            const SAMPLE_FORMAT: &'static [SampleFormat] = &[SampleFormat::Uint; 5];

            fn horizontal_predict(_: &[u16], _: &mut Vec<u16>) {}
        }
    };
}

five_samples!(Bands5, BlackIsZero);
five_samples!(Colors5, RGB);
five_samples!(Inks5, CMYK);

#[test]
fn every_format_gives_the_pixels_that_were_written() {
    let image = DynamicImage::ImageRgb8(colors());
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
        let photo = decode(&encoded(&image, format)).unwrap();
        assert_eq!((photo.pixels, photo.notes), (colors(), vec![]), "{format:?}");
    }
    let bytes = colors().into_raw();
    let words: Vec<u16> = bytes.iter().map(|x| u16::from(*x) * 257).collect();
    let floats: Vec<f32> = bytes.iter().map(|x| f32::from(*x) / 255.0).collect();
    let tiffs =
        [tiff_of::<of::RGB8>(&bytes), tiff_of::<of::RGB16>(&words), tiff_of::<of::RGB32Float>(&floats)];
    for (number, tiff) in tiffs.iter().enumerate() {
        let photo = decode(tiff).unwrap();
        assert_eq!((photo.pixels, photo.notes, photo.bands), (colors(), vec![], None), "{number}");
    }
    let mut big = Cursor::new(Vec::new());
    TiffEncoder::new_big(&mut big).unwrap().write_image::<of::RGB8>(12, 9, &bytes).unwrap();
    assert_eq!(decode(&big.into_inner()).unwrap().pixels, colors());
    let gray: Vec<f64> = bytes.iter().step_by(3).map(|x| f64::from(*x) / 255.0).collect();
    let photo = decode(&tiff_of::<of::Gray64Float>(&gray)).unwrap();
    assert!(photo.pixels.pixels().zip(colors().pixels()).all(|(found, color)| found.0 == [color.0[0]; 3]));
}

#[test]
fn transparent_pixels_show_the_background_and_that_is_noted() {
    // A red square on nothing, whose hidden color is magenta.
    let cut_out = RgbaImage::from_fn(10, 10, |x, _| match x {
        0..=4 => Rgba([255, 0, 255, 0]),
        5 => Rgba([200, 0, 0, 51]),
        _ => Rgba([200, 0, 0, 255]),
    });
    let transparent = |photo: &Photo| match photo.notes[..] {
        [PhotoNote::Transparent { share, background }] => (share, background),
        ref notes => panic!("{notes:?}"),
    };
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let bytes = encoded(&DynamicImage::ImageRgba8(cut_out.clone()), format);
        let photo = decode(&bytes).unwrap();
        let [hidden, half, shown] = [0, 5, 9].map(|x| photo.pixels.get_pixel(x, 3).0);
        // 0.2 of (200, 0, 0) and 0.8 of white
        assert_eq!((hidden, half, shown), ([255; 3], [244, 204, 204], [200, 0, 0]), "{format:?}");
        assert_eq!(transparent(&photo), (0.6, [255; 3]));
        let black = PhotoReader { background: [0, 0, 9], ..PhotoReader::default() };
        let photo = decode_with(black, &bytes).unwrap();
        assert_eq!((photo.pixels.get_pixel(0, 0).0, transparent(&photo).1), ([0, 0, 9], [0, 0, 9]));
    }
    let opaque = DynamicImage::ImageRgb8(colors()).into_rgba8();
    assert_eq!(decode(&encoded(&DynamicImage::ImageRgba8(opaque), ImageFormat::Png)).unwrap().notes, []);
}

#[test]
fn opacity_is_that_of_a_tiff_that_says_so_and_premultiplied_colors_are_not_multiplied_again() {
    let samples: Vec<u8> = (0..108).flat_map(|_| [40, 20, 10, 51]).collect();
    let mut found = Vec::new();
    for kind in [ExtraSamples::UnassociatedAlpha, ExtraSamples::AssociatedAlpha] {
        let photo = decode(&tiff_with_extra::<of::RGBA8>(&samples, &[kind.to_u16()])).unwrap();
        assert!(
            matches!(photo.notes[..], [PhotoNote::Transparent { share: 1.0, .. }, ..]),
            "{:?}",
            photo.notes
        );
        assert_eq!(photo.bands.unwrap().count, 4, "a network of four bands may take it for one");
        found.push(photo.pixels.get_pixel(3, 3).0);
    }
    assert_eq!(found, [[212, 208, 206], [244, 224, 214]]);
}

#[test]
fn a_sample_beside_colors_that_is_not_said_to_be_opacity_is_a_band() {
    let samples: Vec<u8> = (0..108).flat_map(|pixel| [40, 20, pixel, 200 - pixel]).collect();
    for kind in [ExtraSamples::Unspecified.to_u16(), 999] {
        let photo = decode(&tiff_with_extra::<of::RGBA8>(&samples, &[kind])).unwrap();
        let bands = photo.bands.unwrap();
        assert_eq!((bands.count, photo.notes), (4, vec![PhotoNote::Bands { count: 4, drawn: 3 }]));
        assert_eq!(photo.pixels.get_pixel(7, 0).0, [40, 20, 7]);
        let found = bands.values[3 * 108 + 7];
        assert!((found - 193.0 / 255.0).abs() < 1e-6, "{found}");
    }
    // Two of them, in 16 bits, and beside inks.
    let words: Vec<u16> =
        (0..108).flat_map(|pixel| [1, 2, 3, 4, 5].map(|band| 257 * (pixel + band))).collect();
    let bands = decode(&tiff_with_extra::<Colors5>(&words, &[0, 0])).unwrap().bands.unwrap();
    assert_eq!((bands.count, (bands.values[4 * 108 + 7] * 255.0).round()), (5, 12.0));
    let said = decode(&tiff_with_extra::<Inks5>(&words, &[0])).unwrap_err();
    assert!(said.contains("it has 5 samples in a pixel, which are more than CMYK"), "{said}");
}

#[test]
fn a_dark_image_is_noted_and_a_window_shows_it() {
    let twelve_bits = |x: u32, y: u32| [(x * 372) as u16, (y * 511) as u16, 4095];
    let image = ImageBuffer::from_fn(12, 9, |x, y| Rgb(twelve_bits(x, y)));
    let raw = image.as_raw().clone();
    let png = encoded(&DynamicImage::ImageRgb16(image), ImageFormat::Png);
    for (number, bytes) in [png, tiff_of::<of::RGB16>(&raw)].iter().enumerate() {
        let photo = decode(bytes).unwrap();
        assert_eq!(photo.notes, [PhotoNote::Dark { brightest: 4095.0, white: 65_535.0 }], "{number}");
        let window = PhotoReader { window: Some([0.0, 4095.0]), ..PhotoReader::default() };
        let photo = decode_with(window, bytes).unwrap();
        let expected = twelve_bits(7, 5).map(|x| (f32::from(x) / 4095.0 * 255.0).round() as u8);
        assert_eq!((photo.pixels.get_pixel(7, 5).0, photo.notes), (expected, vec![]), "{number}");
    }
    // Measured values, of which none is a share of white.
    let celsius: Vec<f32> = (0..108).map(|i| i as f32 - 20.0).collect();
    let bytes = tiff_of::<of::Gray32Float>(&celsius);
    let note = PhotoNote::Beyond { values: [-20.0, 87.0], shown: [0.0, 1.0] };
    assert_eq!(decode(&bytes).unwrap().notes, [note]);
    let window = PhotoReader { window: Some([-20.0, 87.0]), ..PhotoReader::default() };
    let photo = decode_with(window, &bytes).unwrap();
    assert_eq!((photo.pixels.get_pixel(0, 0).0, photo.pixels.get_pixel(11, 8).0), ([0; 3], [255; 3]));
    let nan = tiff_of::<of::Gray32Float>(&[f32::NAN; 108]);
    assert!(decode(&nan).unwrap_err().contains("NaN"));
}

#[test]
fn the_first_of_several_frames_is_read_and_that_is_noted() {
    use image::codecs::gif::GifEncoder;
    let frame = |image: RgbImage| image::Frame::new(DynamicImage::ImageRgb8(image).into_rgba8());
    for (count, notes) in [(1, vec![]), (2, vec![PhotoNote::First])] {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for number in 0..count {
            encoder.encode_frame(frame(RgbImage::from_pixel(9, 9, Rgb([200, 10 * number, 0])))).unwrap();
        }
        drop(encoder);
        let photo = decode(&bytes).unwrap();
        assert_eq!((photo.pixels.get_pixel(4, 4).0, photo.notes), ([200, 0, 0], notes));
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        for _ in 0..count {
            encoder.write_image::<of::RGB8>(12, 9, colors().as_raw()).unwrap();
        }
        assert_eq!(decode(&bytes.into_inner()).unwrap().notes.len(), usize::from(count) - 1);
    }
}

#[test]
fn bands_are_read_in_their_order() {
    let samples: Vec<u16> =
        (0..108).flat_map(|pixel| [0, 1, 2, 3, 4].map(|band| 257 * (pixel + 20 * band))).collect();
    let photo = decode(&tiff_of::<Bands5>(&samples)).unwrap();
    let bands = photo.bands.unwrap();
    assert_eq!((bands.count, bands.width, bands.height), (5, 12, 9));
    assert_eq!(photo.notes, [PhotoNote::Bands { count: 5, drawn: 3 }]);
    assert_eq!(photo.pixels.get_pixel(1, 0).0, [1, 21, 41]);
    for band in 0..5 {
        let found = bands.values[band * 108 + 7];
        assert!((found - (7 + 20 * band) as f32 / 255.0).abs() < 1e-6, "{band}: {found}");
    }
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (bytes, name) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "a HEIC image: convert it to JPEG or PNG"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF image"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"%PDF-1.7", "a PDF document"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"plain text", "its format is unknown; PNG, JPEG, WebP, TIFF, BMP and GIF images are read"),
    ] {
        let said = decode(bytes).unwrap_err();
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn a_tiff_cut_anywhere_is_an_error() {
    let whole = tiff_of::<of::RGB8>(colors().as_raw());
    for length in 0..whole.len() {
        if let Ok(photo) = decode(&whole[..length]) {
            assert_eq!(photo.pixels, colors(), "{length}");
        }
    }
    for place in 0..whole.len() {
        let mut wrong = whole.clone();
        wrong[place] ^= 0xff;
        // A changed sample is a sound image: either answer is right, and neither a panic.
        decode(&wrong).ok();
    }
}
