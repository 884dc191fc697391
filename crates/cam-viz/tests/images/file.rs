//! Files can be read back, and a failure destroys nothing.

use cam_viz::{Error, Rgb, RgbImage, encode, save};
use std::fs;

fn image() -> RgbImage {
    RgbImage::from_fn(31, 17, |x, y| Rgb([(x * 8) as u8, (y * 15) as u8, 90]))
}

#[test]
fn png_and_webp_files_are_lossless() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["image.PNG", "image.webp"] {
        let path = folder.path().join(name);
        save(&image(), &path).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), image());
    }
}

#[test]
fn a_jpeg_file_is_close() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["image.jpg", "image.jpeg"] {
        let path = folder.path().join(name);
        save(&image(), &path).unwrap();
        let read = image::open(&path).unwrap().to_rgb8();
        let off =
            read.iter().zip(image().iter()).map(|(one, other)| u64::from(one.abs_diff(*other))).sum::<u64>();
        assert!(off < 4 * read.len() as u64, "{off}");
    }
}

#[test]
fn a_file_is_replaced_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.png");
    fs::write(&path, "old").unwrap();
    save(&image(), &path).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failing_save_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.jpg");
    fs::write(&path, "old").unwrap();
    let too_wide = RgbImage::new(70_000, 1);
    assert!(matches!(save(&too_wide, &path), Err(Error::TooLong { format: "jpg", width: 70_000, .. })));
    let said = encode(&RgbImage::new(1, 16_385), "webp").unwrap_err().to_string();
    assert!(
        said.ends_with("is too long for webp, whose sides have at most 16384 pixels: write a PNG"),
        "{said}"
    );
    assert!(encode(&RgbImage::new(1, 16_384), "webp").is_ok());
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_save_that_fails_at_the_last_step_leaves_the_old_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.png");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("within"), "old").unwrap();
    assert!(matches!(save(&image(), &path), Err(Error::Write { .. })));
    assert_eq!(fs::read_to_string(path.join("within")).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/image.png");
    let error = save(&image(), &path).unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(error.to_string(), format!("cannot write {}: {reason}", path.display()));
    assert!(!reason.contains("/"), "no other file is named: {reason}");
}

#[test]
fn other_extensions_are_an_error_that_lists_the_supported_ones() {
    for (name, given) in [("image.gif", "gif"), ("image", ""), (".png", "")] {
        let error = save(&image(), name).unwrap_err();
        assert!(matches!(&error, Error::UnknownFormat { extension, .. } if extension == given));
        assert!(error.to_string().ends_with("only as png, jpg, jpeg, webp"), "{error}");
    }
}

#[test]
fn a_image_without_pixels_is_an_error() {
    for extension in ["png", "jpg", "webp"] {
        assert!(matches!(encode(&RgbImage::new(0, 0), extension), Err(Error::Empty { .. })));
    }
}

#[test]
#[cfg(unix)]
fn a_new_file_has_default_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    save(&image(), folder.path().join("image.png")).unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("image.png"), mode("plain"));
}

#[test]
#[cfg(unix)]
fn a_link_is_kept_and_its_target_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let [real, link] = ["real.png", "link.png"].map(|name| folder.path().join(name));
    fs::write(&real, "old").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    save(&image(), &link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read(&real).unwrap().starts_with(b"\x89PNG"));
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let [link, target] = ["link", "target"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    cam_viz::write(&link, b"first").unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "the link stays");
    assert_eq!(std::fs::read(&target).unwrap(), b"first");
    cam_viz::write("/dev/null", b"nothing").unwrap();
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}
