//! Preprocessing is that of Pillow and torchvision, and hostile images end in an error.

use burn::tensor::Device;
use cam_image::{Error, Filter, Preprocess, Resize, check_photo_size, read_photo};
use image::{ImageFormat, Rgb, RgbImage};
use std::path::{Path, PathBuf};

fn pillow(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pillow").join(file)
}

fn preprocess(size: [usize; 2], resize: Resize, filter: Filter, crop: f32) -> Preprocess {
    Preprocess { size, crop, resize, filter, ..Preprocess::IMAGENET }
}

#[test]
fn images_are_resized_as_in_pillow() {
    let photo = read_photo(&pillow("photo.png")).unwrap();
    for (filter, name) in [(Filter::Bilinear, "bilinear"), (Filter::Bicubic, "bicubic")] {
        for (size, resize, file) in [
            ([32, 32], Resize::Squash, format!("squash_{name}_32x32.png")),
            ([20, 90], Resize::Squash, format!("squash_{name}_20x90.png")),
            ([28, 28], Resize::Crop, format!("crop_{name}_28.png")),
        ] {
            let expected = read_photo(&pillow(&file)).unwrap();
            let (ours, _) = preprocess(size, resize, filter, 28.0 / 32.0).resized(&photo);
            assert_eq!(ours.dimensions(), expected.dimensions(), "{file}");
            let off: Vec<u8> = ours.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
            let mean = off.iter().map(|x| f32::from(*x)).sum::<f32>() / off.len() as f32;
            // Weights of 16 bits here and of 22 in Pillow: each of the two passes may round to the next gray level.
            assert!(
                off.iter().all(|x| *x <= 2) && mean < 0.1,
                "{file}: {:?}, mean {mean} gray levels",
                off.iter().max()
            );
        }
    }
}

#[test]
fn the_mean_is_taken_off_and_the_rest_divided_by_the_deviation() {
    let photo = RgbImage::from_pixel(10, 10, Rgb([255, 0, 51]));
    let (input, view) = Preprocess::IMAGENET.apply(&photo, &Device::flex()).unwrap();
    assert_eq!(input.dims(), [1, 3, 224, 224]);
    let means: Vec<f32> = input.clone().mean_dims(&[2, 3]).into_data().iter().collect();
    for (mean, expected) in means.iter().zip([(1.0 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]) {
        assert!((mean - expected).abs() < 1e-4, "{mean} is not {expected}");
    }
    assert_eq!((view.x, view.y, view.width, view.height), (0.0, 0.0, 10.0, 10.0));
    assert_eq!(Preprocess::IMAGENET.to_image(input).unwrap().get_pixel(5, 5), &Rgb([255, 0, 51]));
}

#[test]
fn a_crop_returns_the_part_of_the_image_that_it_shows() {
    let photo = RgbImage::new(400, 200);
    let (_, view) = preprocess([100, 100], Resize::Crop, Filter::Bilinear, 0.5).resized(&photo);
    assert_eq!((view.x, view.y, view.width, view.height), (150.0, 50.0, 100.0, 100.0));
}

/// A JPEG of 16 x 8 pixels, the left half white, that says which way up it is.
fn turned(folder: &Path, orientation: u8) -> PathBuf {
    let path = folder.join(format!("{orientation}.jpg"));
    RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 255 } else { 0 }; 3])).save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    assert_eq!(exif.len(), 36);
    bytes.splice(2..2, exif);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn images_are_rotated_as_their_exif_requires() {
    let folder = tempfile::tempdir().unwrap();
    for (orientation, size, white) in
        [(1, (16, 8), (2, 4)), (3, (16, 8), (13, 4)), (6, (8, 16), (4, 2)), (8, (8, 16), (4, 13))]
    {
        let photo = read_photo(&turned(folder.path(), orientation)).unwrap();
        assert_eq!(photo.dimensions(), size, "orientation {orientation}");
        assert!(photo.get_pixel(white.0, white.1).0[0] > 200, "orientation {orientation}");
    }
}

#[test]
fn images_that_cannot_be_used_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut png = std::io::Cursor::new(Vec::new());
    RgbImage::new(64, 64).write_to(&mut png, ImageFormat::Png).unwrap();
    let png = png.into_inner();

    assert!(matches!(read_photo(&folder.path().join("none.png")), Err(Error::UnreadablePhoto { .. })));
    assert!(matches!(read_photo(folder.path()), Err(Error::UnreadablePhoto { .. })));
    assert!(matches!(read_photo(&file("text.png", b"no picture")), Err(Error::UnreadablePhoto { .. })));
    assert!(matches!(read_photo(&file("empty.jpg", b"")), Err(Error::UnreadablePhoto { .. })));
    assert!(matches!(
        read_photo(&file("cut.png", &png[..png.len() / 2])),
        Err(Error::UnreadablePhoto { .. })
    ));

    let mut jpeg = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8; 3])).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    assert!(read_photo(&file("whole.jpg", &jpeg)).is_ok());
    for share in [20, 50, 90, 99] {
        let cut = file("cut.jpg", &jpeg[..jpeg.len() * share / 100]);
        assert!(matches!(read_photo(&cut), Err(Error::UnreadablePhoto { .. })), "{share} %");
    }

    let path = folder.path().join("dot.png");
    RgbImage::new(1, 1).save(&path).unwrap();
    assert!(matches!(read_photo(&path), Err(Error::PhotoSize { width: 1, height: 1, .. })));

    // A header that promises too much, of a side or of both together, is refused before a pixel is read.
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for (width, height) in
        [(30_000u32, 30_000u32), (16_705, 16_705), (20_000, 13_422), (13_422, 20_000), (20_001, 8)]
    {
        let mut huge = png.clone();
        huge[16..20].copy_from_slice(&width.to_be_bytes());
        huge[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&huge[12..29]);
        huge[29..33].copy_from_slice(&crc.to_be_bytes());
        let mut long = jpeg.clone();
        long[frame + 5..frame + 7].copy_from_slice(&(height as u16).to_be_bytes());
        long[frame + 7..frame + 9].copy_from_slice(&(width as u16).to_be_bytes());
        for path in [file("huge.png", &huge), file("huge.jpg", &long)] {
            let said = read_photo(&path).unwrap_err().to_string();
            let words = format!(
                "has {width} x {height} pixels; each side needs 8 to 20000, and there may be 268435456 in all"
            );
            assert!(said.ends_with(&words), "{said}");
        }
    }
    let path = Path::new("photo");
    assert!(check_photo_size(path, 16_384, 16_384).is_ok() && check_photo_size(path, 20_000, 13_421).is_ok());
    assert!(check_photo_size(path, 7, 8).is_err() && check_photo_size(path, u32::MAX, u32::MAX).is_err());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { 0xedb88320 ^ (crc >> 1) } else { crc >> 1 },
        )
    })
}
