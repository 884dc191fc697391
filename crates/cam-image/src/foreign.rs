//! What a file is that is given as an image or as weights and is neither: named by its contents, with what to do.

use std::path::Path;

/// A format, by the bytes at some place of its files.
type Signature = (usize, &'static [u8], &'static str);

/// Formats that are not read, and what to do with a file of each.
const SIGNATURES: &[Signature] = &[
    (0, b"version https://git-lfs", "a Git LFS pointer and not the file itself: `git lfs pull` fetches it"),
    (8, b"heic", HEIC),
    (8, b"heix", HEIC),
    (8, b"hevc", HEIC),
    (8, b"mif1", HEIC),
    (8, b"msf1", HEIC),
    (8, b"avif", AVIF),
    (8, b"avis", AVIF),
    (4, b"ftyp", "a video: extract its frames, with ffmpeg for example"),
    (0, b"\xff\x0a", JPEG_XL),
    (0, b"\0\0\0\x0cJXL ", JPEG_XL),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image: convert it to PNG or TIFF"),
    (0, b"8BPS", "a Photoshop document: export it as PNG"),
    (0, b"%PDF", "a PDF document: export its images"),
    (0, b"<svg", "an SVG drawing: export it as PNG"),
    (257, b"ustar", "a tar archive: unpack it, or save it again if PyTorch before 0.1.10 wrote it"),
    (128, b"DICM", "a DICOM image: convert it to TIFF or PNG of 16 bits"),
    (0, b"v/1\x01", "an OpenEXR image: convert it to TIFF"),
    (0, b"<!DOCTYPE", PAGE),
    (0, b"<!doctype", PAGE),
    (0, b"<html", PAGE),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (8, b"WEBP", "a WebP image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"\x93NUMPY", "a NumPy array: weights need a name for each tensor"),
    (0, b"\x89HDF\r\n\x1a\n", KERAS),
    (4, b"TFL3", "a TensorFlow Lite model: name the PyTorch weights that it was converted from"),
    (0, b"ftrt", TENSORRT),
    (0, b"ptrt", TENSORRT),
    (0, b"GGUF", "a GGUF model: name the PyTorch weights that it was converted from"),
    (0, b"\x1f\x8b", "compressed by gzip: unpack it"),
    (0, b"BZh", "compressed by bzip2: unpack it"),
    (0, b"\xfd7zXZ", "compressed by xz: unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (0, b"Rar!", "a RAR archive: unpack it"),
    (0, b"(\xb5/\xfd", "compressed by Zstandard: unpack it"),
    (
        0,
        b"{",
        "a JSON file; if it is the index of weights in several files, its name ends in `.index.json`, and the folder is opened by its name",
    ),
];

const HEIC: &str = "a HEIC image: convert it to JPEG or PNG";
const AVIF: &str = "an AVIF image: convert it to PNG or JPEG";
const JPEG_XL: &str = "a JPEG XL image: convert it to PNG or JPEG";
const PAGE: &str = "a web page: what it was downloaded from needs a login, or is no direct link";
const KERAS: &str = "an HDF5 file, as Keras writes: save the weights with PyTorch, as .safetensors or .pth";
const TENSORRT: &str =
    "a TensorRT engine, which is compiled for one GPU: name the weights that it was built from";

/// Formats without a signature, by the extensions of their files.
const EXTENSIONS: &[(&str, &str)] = &[
    ("onnx", "an ONNX model, which has its own network: open it without the name of another"),
    ("mlmodel", "a Core ML model: name the PyTorch weights that it was converted from"),
    ("engine", TENSORRT),
    ("plan", TENSORRT),
    ("trt", TENSORRT),
    ("pb", "a TensorFlow graph: name the PyTorch weights that it was converted from"),
    ("h5", KERAS),
    ("msgpack", "weights of Flax: save them with PyTorch, as .safetensors or .pth"),
];

/// What the entries of an archive say that it is.
const ARCHIVES: &[(&str, &str)] = &[
    ("model.weights.h5", "a Keras model: save its weights with PyTorch, as .safetensors or .pth"),
    (".npy", "an archive of NumPy arrays: save them as a dictionary of tensors with `torch.save`"),
];

/// Returns what a file with this beginning is, if it is of a format that is named here.
pub fn named(head: &[u8]) -> Option<&'static str> {
    let found =
        SIGNATURES.iter().find(|(at, bytes, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    found.map(|(.., what)| *what)
}

/// Returns what a file is by its name.
pub fn named_by_extension(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    EXTENSIONS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, what)| *what)
}

/// Returns what an archive is by the name of one of its entries.
pub fn named_by_entry(entry: &str) -> Option<&'static str> {
    ARCHIVES.iter().find(|(end, _)| entry.ends_with(end)).map(|(_, what)| *what)
}

/// Returns why a file with this beginning is not read; `read` says what is.
pub fn unread(head: &[u8], read: &str) -> String {
    match named(head) {
        Some(what) => format!("it is {what}"),
        None => format!("its format is unknown; {read}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_by_their_first_bytes() {
        let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
        for (head, what) in
            [(&heic[..], "HEIC"), (b"\0\0\0\x1cftypavif", "AVIF"), (b"\0\0\0\x1cftypisom", "video")]
        {
            assert!(named(head).unwrap().contains(what), "{what}");
        }
        assert_eq!(named(b""), None);
        assert!(unread(b"text", "PNG is read").ends_with("its format is unknown; PNG is read"));
    }
}
