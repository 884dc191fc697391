//! Preprocessing is that of Pillow and torchvision, and hostile images end in an error.

use burn::tensor::Device;
use cam_image::{Cropping, Error, Filter, Preprocess, Resize, check_photo_size, read_photo};
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
    for (filter, name) in [
        (Filter::Bilinear, "bilinear"),
        (Filter::Bicubic, "bicubic"),
        (Filter::Lanczos, "lanczos"),
        (Filter::Nearest, "nearest"),
        (Filter::Box, "box"),
        (Filter::Hamming, "hamming"),
    ] {
        for (size, resize, file) in [
            ([32, 32], Resize::Squash, format!("squash_{name}_32x32.png")),
            ([20, 90], Resize::Squash, format!("squash_{name}_20x90.png")),
            ([28, 28], Resize::Crop, format!("crop_{name}_28.png")),
        ] {
            let expected = read_photo(&pillow(&file)).unwrap();
            let (ours, _) = preprocess(size, resize, filter, 28.0 / 32.0).resized(&photo);
            assert_eq!(ours.dimensions(), expected.dimensions(), "{file}");
            assert!(
                ours == expected,
                "{file}: {} bytes differ",
                ours.iter().zip(expected.iter()).filter(|(a, b)| a != b).count()
            );
        }
    }
}

/// By the rules of transformers 5.24: `get_resize_output_image_size`, `get_size_with_aspect_ratio` and `center_crop`.
#[test]
fn crops_and_short_sides_are_those_of_each_library() {
    let view = |cropping, resize, size, crop, [width, height]: [u32; 2]| {
        let one = Preprocess { cropping, ..preprocess(size, resize, Filter::Bilinear, crop) };
        let (input, view) = one.resized(&RgbImage::from_pixel(width, height, Rgb([200; 3])));
        assert_eq!([input.height() as usize, input.width() as usize], size);
        let dark = input.pixels().filter(|pixel| pixel.0[0] == 0).count();
        (view.x, view.y, one.inner(width, height), dark)
    };
    use Cropping::{Timm, Transformers};
    // 33 of 34 remain: at 0.5, which is even at 0, and first at 0; 33 of 36 at 1.5, which is even at 2, and first at 1.
    let tall = [36, 72];
    assert_eq!(view(Timm, Resize::Crop, [33, 33], 33.0 / 36.0, tall).0, 2.0);
    assert_eq!(view(Transformers, Resize::Crop, [33, 33], 33.0 / 36.0, tall).0, 1.0);
    // Black is around an image that is smaller than the crop: MobileViT's defaults, 224 in 256.
    let (.., inner, dark) = view(Transformers, Resize::Crop, [256, 256], 256.0 / 224.0, [448, 448]);
    assert_eq!((inner, dark), ([16, 16, 224, 224], 256 * 256 - 224 * 224));
    let (.., inner, dark) = view(Transformers, Resize::Crop, [256, 256], 256.0 / 224.0, [896, 448]);
    assert_eq!((inner, dark), ([0, 16, 256, 224], 256 * 32));
    // timm covers both sides, transformers resizes the shorter one.
    let (x, y, ..) = view(Timm, Resize::Crop, [10, 40], 1.0, [80, 40]);
    assert_eq!((x, y), (0.0, 10.0));
    let (x, y, ..) = view(Transformers, Resize::Crop, [10, 40], 0.5, [80, 40]);
    assert_eq!((x, y), (0.0, 10.0));
    let (x, y, ..) = view(Timm, Resize::SquashCrop, [20, 20], 0.5, [400, 80]);
    assert_eq!((x, y), (100.0, 20.0));

    let sides = |longest, size: usize, [width, height]: [u32; 2]| {
        let one = preprocess([size, size], Resize::ShortSide, Filter::Bilinear, 1.0);
        Preprocess { longest, ..one }.input_size(width, height)
    };
    assert_eq!(sides(None, 256, [1999, 1000]), [256, 511]);
    assert_eq!(sides(Some(400), 256, [1200, 1000]), [256, 307]);
    assert_eq!(sides(Some(400), 256, [2000, 1001]), [200, 400]);
    assert_eq!(sides(Some(400), 256, [1001, 2000]), [400, 200]);
    assert_eq!(sides(Some(200), 256, [500, 500]), [200, 200]);
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
