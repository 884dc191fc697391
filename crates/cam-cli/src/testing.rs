//! Readers of the tool, for fuzz targets.

use crate::run::{images::SourceReader, manifest::Manifest, npy};
use burn_cam::{PhotoReader, Preprocess};
use std::path::Path;

/// Reads the bytes of an array, of colors and of bands.
pub fn array(bytes: &[u8]) {
    for channels in [3, 5] {
        let preprocess = Preprocess { channels, ..Preprocess::IMAGENET };
        let reader = SourceReader { preprocess, photos: PhotoReader::default() };
        let _ = npy::decode(bytes, Path::new("array.npy"), &reader);
    }
}

/// Reads the manifest of a folder.
pub fn manifest(folder: &Path) {
    let _ = Manifest::open(folder, serde_json::Value::Null, false);
}
