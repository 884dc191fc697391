//! Files: what is written can be read, and a failing run destroys nothing.

use cam_viz::{Error, Rgb, RgbImage, encode, save};
use std::fs;

fn picture() -> RgbImage {
    RgbImage::from_fn(31, 17, |x, y| Rgb([(x * 8) as u8, (y * 15) as u8, 90]))
}

#[test]
fn png_and_webp_files_hold_the_very_pixels() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["picture.PNG", "picture.webp"] {
        let path = folder.path().join(name);
        save(&picture(), &path).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), picture());
    }
}

#[test]
fn a_jpeg_file_holds_nearly_the_pixels() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["picture.jpg", "picture.jpeg"] {
        let path = folder.path().join(name);
        save(&picture(), &path).unwrap();
        let read = image::open(&path).unwrap().to_rgb8();
        let off = read
            .iter()
            .zip(picture().iter())
            .map(|(one, other)| u64::from(one.abs_diff(*other)))
            .sum::<u64>();
        assert!(off < 4 * read.len() as u64, "{off}");
    }
}

#[test]
fn a_file_is_replaced_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    fs::write(&path, "old").unwrap();
    save(&picture(), &path).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failing_save_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.jpg");
    fs::write(&path, "old").unwrap();
    let too_wide = RgbImage::new(70_000, 1);
    assert!(matches!(save(&too_wide, &path), Err(Error::Encode { format: "jpg", width: 70_000, .. })));
    assert!(matches!(encode(&too_wide, "webp"), Err(Error::Encode { format: "webp", .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_save_that_fails_at_the_last_step_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("within"), "old").unwrap();
    assert!(matches!(save(&picture(), &path), Err(Error::Write { .. })));
    assert_eq!(fs::read_to_string(path.join("within")).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/picture.png");
    let error = save(&picture(), &path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(!why.contains("/"), "no other file is named: {why}");
}

#[test]
fn other_extensions_are_an_error_that_names_those_that_there_are() {
    for (name, given) in [("picture.gif", "gif"), ("picture", ""), (".png", "")] {
        let error = save(&picture(), name).unwrap_err();
        assert!(matches!(&error, Error::UnknownFormat { extension, .. } if extension == given));
        assert!(error.to_string().ends_with("only as png, jpg, jpeg, webp"), "{error}");
    }
}

#[test]
fn a_picture_without_pixels_is_an_error() {
    for extension in ["png", "jpg", "webp"] {
        assert!(matches!(encode(&RgbImage::new(0, 0), extension), Err(Error::Empty { .. })));
    }
}

#[test]
#[cfg(unix)]
fn a_new_file_has_the_rights_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    save(&picture(), folder.path().join("picture.png")).unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("picture.png"), mode("plain"));
}

#[test]
#[cfg(unix)]
fn a_link_stays_and_the_file_it_names_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let [real, link] = ["real.png", "link.png"].map(|name| folder.path().join(name));
    fs::write(&real, "old").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    save(&picture(), &link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read(&real).unwrap().starts_with(b"\x89PNG"));
}
