//! What is fuzzed, one function for each kind of input. Whatever the bytes, each returns; it does not panic, abort, or take unbounded time
//! or memory. `tests/suite/corpus.rs` runs the same functions over the committed corpus.

use burn_cam::cam_models::{Classifier, ModelCard};
use burn_cam::{Device, ImageInput};
use std::io::Write;

/// A function that reads bytes.
pub type Target = fn(&[u8]);

/// The targets by the names of their corpora.
pub const TARGETS: [(&str, Target); 7] = [
    ("weights", weights),
    ("photo", photo),
    ("array", array),
    ("manifest", manifest),
    ("card", card),
    ("labels", labels),
    ("onnx", onnx),
];

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a folder for temporary files");
    file.write_all(bytes).expect("room for temporary files");
    file
}

/// Reads weights of any format, and builds the network that they are of.
pub fn weights(bytes: &[u8]) {
    let file = file(bytes);
    let _ = Classifier::load_file(file.path(), &Device::flex());
}

/// Reads an ONNX file, and records its forward pass.
pub fn onnx(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("model.onnx");
    std::fs::write(&file, bytes).expect("room for temporary files");
    let _ = burn_cam::open(&file, &Device::flex());
}

/// Reads a photo.
pub fn photo(bytes: &[u8]) {
    let _ = ImageInput::decode("photo", bytes);
}

/// Reads an array.
pub fn array(bytes: &[u8]) {
    cam_cli::testing::array(bytes);
}

/// Reads a manifest, as a run that continues does.
pub fn manifest(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    std::fs::write(folder.path().join("manifest.jsonl"), bytes).expect("room for temporary files");
    cam_cli::testing::manifest(folder.path());
}

/// Reads model cards.
pub fn card(bytes: &[u8]) {
    let _ = std::str::from_utf8(bytes).map(ModelCard::list);
}

/// Reads the names of classes.
pub fn labels(bytes: &[u8]) {
    let file = file(bytes);
    if let Ok(model) = Classifier::builtin(&Device::flex()) {
        let _ = model.with_labels(file.path());
    }
}
