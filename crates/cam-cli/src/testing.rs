//! Readers of the tool, for fuzz targets.

use crate::run::{manifest::Manifest, npy};
use burn_cam::Device;
use std::path::Path;

/// Reads the bytes of an array.
pub fn array(bytes: &[u8]) {
    let _ = npy::decode(bytes, Path::new("array.npy"), &Device::flex());
}

/// Reads the manifest of a folder.
pub fn manifest(folder: &Path) {
    let _ = Manifest::open(folder, serde_json::Value::Null, false);
}
