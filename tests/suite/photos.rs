//! Images as people have them, explained by the tool: what had to be decided is said, and what cannot be read is named.

use assert_cmd::Command;
use cam_scenes::Scene;
use image::{DynamicImage, ImageBuffer, Luma, RgbImage, Rgba};
use std::path::{Path, PathBuf};

struct Album(tempfile::TempDir);

impl Album {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the tool, and returns its exit code, standard output and standard error.
    fn cam(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut cam = Command::cargo_bin("cam").unwrap();
        cam.current_dir(self.0.path()).args(arguments).env("HF_HUB_OFFLINE", "1");
        let output = cam.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    #[track_caller]
    fn says(&self, arguments: &[&str]) -> (String, String) {
        let (code, stdout, stderr) = self.cam(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        (stdout, stderr)
    }

    /// The numbers of the map of an image.
    fn map(&self, arguments: &[&str]) -> Vec<u8> {
        self.says(&[arguments, &["--npy", "--out", "out", "--fresh", "--top", "1"]].concat());
        let mut files = std::fs::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let npy = files.find(|path| path.extension().is_some_and(|extension| extension == "npy")).unwrap();
        let bytes = std::fs::read(npy).unwrap();
        std::fs::remove_dir_all(self.path("out")).unwrap();
        bytes
    }
}

fn scene() -> RgbImage {
    Scene::draw(10_000, 200).unwrap().image
}

fn save(image: impl Into<DynamicImage>, path: &Path) {
    image.into().save(path).unwrap();
}

#[test]
fn a_cut_out_is_explained_as_it_is_seen() {
    let album = Album::new();
    let opaque = scene();
    let is_shown = |x: u32, y: u32| (40..160).contains(&x) && (40..160).contains(&y);
    let cut_out = ImageBuffer::from_fn(200, 200, |x, y| match (is_shown(x, y), opaque.get_pixel(x, y).0) {
        (true, [r, g, b]) => Rgba([r, g, b, 255]),
        (false, [r, g, b]) => Rgba([255 - r, g, b / 2, 0]),
    });
    let on = |background: [u8; 3]| {
        RgbImage::from_fn(200, 200, |x, y| {
            if is_shown(x, y) { *opaque.get_pixel(x, y) } else { image::Rgb(background) }
        })
    };
    save(cut_out, &album.path("a.png"));
    save(on([255; 3]), &album.path("white.png"));
    save(on([255, 136, 0]), &album.path("orange.png"));
    let (_, said) = album.says(&["explain", "a.png"]);
    assert!(
        said.contains("a.png: transparent in 64.0 % of its pixels, which show a background of #ffffff"),
        "{said}"
    );
    assert!(said.contains("`--background COLOR` sets another"), "{said}");
    assert_eq!(album.map(&["explain", "a.png"]), album.map(&["explain", "white.png"]));
    let orange = album.map(&["explain", "a.png", "--background", "#ff8800"]);
    assert_eq!(orange, album.map(&["explain", "orange.png"]));
    assert_ne!(orange, album.map(&["explain", "white.png"]));
}

#[test]
fn twelve_bits_are_said_to_be_dark_and_a_window_shows_them() {
    let album = Album::new();
    let gray = DynamicImage::ImageRgb8(scene()).into_luma8();
    let dark = ImageBuffer::from_fn(200, 200, |x, y| Luma([u16::from(gray.get_pixel(x, y).0[0]) * 16]));
    save(dark, &album.path("dark.png"));
    save(gray, &album.path("bright.png"));
    let (_, said) = album.says(&["explain", "dark.png"]);
    assert!(
        said.contains("dark.png: nearly black: its brightest value is ") && said.contains("white is 65535"),
        "{said}"
    );
    let (_, said) = album.says(&["explain", "dark.png", "--window", "0,4080"]);
    assert!(!said.contains("nearly black"), "{said}");
    assert_eq!(
        album.map(&["explain", "dark.png", "--window", "0,4080"]),
        album.map(&["explain", "bright.png"])
    );
}

#[test]
fn a_folder_is_explained_whatever_its_formats_are_and_others_are_named() {
    let album = Album::new();
    std::fs::create_dir(album.path("in")).unwrap();
    for file in ["a.bmp", "b.gif", "c.png"] {
        save(scene(), &album.path("in").join(file));
    }
    let tiff = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        encoder.write_image::<tiff::encoder::colortype::RGB8>(200, 200, scene().as_raw()).unwrap();
        bytes.into_inner()
    };
    std::fs::write(album.path("in/d.TIF"), tiff).unwrap();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (200, 200, 3), }";
    let length = (header.len() as u16).to_le_bytes();
    let array = [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), scene().as_raw()].concat();
    std::fs::write(album.path("in/e.npy"), array).unwrap();
    std::fs::write(album.path("in/f.heic"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    std::fs::write(album.path("in/g.avif"), b"\0\0\0\x1cftypavif\0\0\0\0avifmif1").unwrap();
    let (code, said, errors) = album.cam(&["explain", "in", "--npy", "--top", "1"]);
    assert_eq!(code, 17, "{errors}");
    assert!(errors.contains("f.heic`: it is a HEIC image: convert it to JPEG or PNG"), "{errors}");
    assert!(errors.contains("g.avif`: it is an AVIF image"), "{errors}");
    assert!(errors.contains("2 of 7 images could not be explained"), "{errors}");
    // One image, five formats, one map; a GIF has 256 colors.
    let map = |file: &str| {
        let start = format!("{file}_gradcam");
        let mut entries =
            std::fs::read_dir(album.path("cam-out")).unwrap().map(|entry| entry.unwrap().path());
        let is_map = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "npy")
                && path.file_name().unwrap().to_string_lossy().starts_with(&start)
        };
        let map = entries.find(is_map);
        std::fs::read(map.unwrap_or_else(|| panic!("{file}: {said}"))).unwrap()
    };
    for file in ["a", "d", "e"] {
        assert_eq!(map(file), map("c"), "{file}");
    }
    assert_ne!(map("b"), map("c"));
}

#[test]
fn weights_of_other_formats_are_named_with_what_to_do() {
    let album = Album::new();
    save(scene(), &album.path("scene.png"));
    let pickle_of_numpy = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n(K\x01K\x02tR.";
    for (file, bytes, words) in [
        (
            "a.pth",
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"[..],
            "a Git LFS pointer and not the file itself: `git lfs pull`",
        ),
        (
            "a.h5",
            b"\x89HDF\r\n\x1a\n\0\0\0\0",
            "an HDF5 file, as Keras writes: save the weights with PyTorch",
        ),
        ("a.tflite", b"\x1c\0\0\0TFL3\0\0\0\0", "a TensorFlow Lite model: name the PyTorch weights"),
        ("a.engine", b"ftrt\0\0\0\0\0\0\0\0", "a TensorRT engine, which is compiled for one GPU"),
        ("a.mlmodel", b"\x08\x04\x12\x20\0\0", "a Core ML model: name the PyTorch weights"),
        ("a.onnx", b"\x08\x08\x12\x07pytorch", "it is no ONNX model: it has no graph"),
        ("a.pkl", pickle_of_numpy, "a pickle of NumPy arrays, as Detectron2 writes: save them as tensors"),
        ("a.npy", b"\x93NUMPY\x01\0", "a NumPy array: weights need a name for each tensor"),
        ("a.html", b"<!DOCTYPE html><html>", "a web page"),
        ("a.json", b"{\"metadata\": {}}", "a JSON file; if it is the index of weights in several files"),
        (
            "model.safetensors.index.json",
            b"{\"metadata\": {}}",
            "it is no index of weights: missing field `weight_map`",
        ),
    ] {
        std::fs::write(album.path(file), bytes).unwrap();
        let (code, _, said) = album.cam(&["explain", "scene.png", "--weights", file]);
        assert!(code == 9 && said.lines().count() == 1 && said.contains(words), "{file}: {code}: {said}");
    }
    let archive = |entries: &[&str]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for entry in entries {
            zip.start_file(*entry, zip::write::SimpleFileOptions::default()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    for (file, entries, words) in [
        ("a.keras", &["metadata.json", "model.weights.h5"][..], "a Keras model"),
        ("a.npz", &["arr_0.npy"][..], "an archive of NumPy arrays"),
        ("a.zip", &["readme.txt"][..], "an archive without the `data.pkl` that PyTorch writes"),
    ] {
        std::fs::write(album.path(file), archive(entries)).unwrap();
        let (code, _, said) = album.cam(&["explain", "scene.png", "--weights", file]);
        assert!(code == 9 && said.contains(words), "{file}: {code}: {said}");
    }
    std::fs::create_dir(album.path("hub")).unwrap();
    let (code, _, said) = album.cam(&["explain", "scene.png", "--weights", "hub"]);
    let words = "no model in the folder `hub`: there is none of model.safetensors, ";
    assert!(code == 6 && said.contains(words), "{code}: {said}");
}

#[test]
fn numbers_of_classes_that_are_out_of_range_are_said_and_more_predictions_than_classes_are_all() {
    let album = Album::new();
    save(scene(), &album.path("scene.png"));
    let (code, _, said) = album.cam(&["explain", "scene.png", "--class", "-1"]);
    assert!(
        code == 4 && said.contains("no class is called `-1`; there are 10, numbered 0 to 9"),
        "{code}: {said}"
    );
    let (stdout, said) = album.says(&["explain", "scene.png", "--top", "2000"]);
    assert!(said.contains("`--top 2000`: the model has 10 classes, and all are explained"), "{said}");
    assert_eq!(stdout.matches(" by gradcam at ").count(), 10, "{stdout}");
    let (code, _, said) = album.cam(&["explain", "scene.png", "--top", "-1"]);
    assert!(code == 2 && said.contains("-1"), "{code}: {said}");
}

#[test]
fn classes_that_do_not_exclude_each_other_are_explained_when_they_are_likely() {
    let album = Album::new();
    // The scene of the demo has two objects.
    save(Scene::draw(7, 384).unwrap().image, &album.path("two.png"));
    let (said, _) = album.says(&["explain", "two.png"]);
    let likely = said
        .lines()
        .filter(|line| line.trim_start().split(' ').next().unwrap().parse::<f32>().is_ok_and(|p| p >= 50.0));
    let likely = likely.count();
    assert!(likely > 1, "{said}");
    assert_eq!(said.matches(" by gradcam at ").count(), likely, "{said}");
    // As a softmax one class is likeliest, and it alone is explained.
    let (said, _) = album.says(&["explain", "two.png", "--logits", "softmax"]);
    assert_eq!(said.matches(" by gradcam at ").count(), 1, "{said}");
    let (_, said) = album.says(&["explain", "two.png", "--score", "softmax"]);
    assert!(said.contains("`--score softmax` is for classes that exclude each other"), "{said}");
    // Logits are stated to be probabilities.
    let (stdout, said) = album.says(&["explain", "two.png", "--logits", "none"]);
    assert!(said.contains("stated to be probabilities, and some are not between 0 and 1"), "{said}");
    assert!(!stdout.contains(" %"), "{stdout}");
    let (code, _, said) = album.cam(&["explain", "two.png", "--logits", "linear"]);
    assert!(code == 2 && said.contains("there are softmax, sigmoid and none"), "{said}");
}
