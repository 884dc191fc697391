//! A model of an ONNX file, explained as it is: `build.rs` makes Burn code of the file by burn-onnx, and nothing in that code knows of
//! this library.
//!
//! ```text
//! cargo run --release -p cam-onnx-example                          # draws a scene; writes cam-out/onnx.png
//! cargo run --release -p cam-onnx-example -- photo.png out.png
//! ```

mod model;
#[cfg(test)]
mod tests;

use burn_cam::{Device, Photo};
use cam_scenes::Scene;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let photo = match paths.next() {
        Some(path) => Photo::open(path)?,
        None => Scene::draw(7, 384)?.image.into(),
    };
    let out = paths.next().unwrap_or_else(|| "cam-out/onnx.png".into());

    let net = model::Model::from_embedded(&Device::flex());
    let recorded = model::recorded(&net)?;
    let map = burn_cam::explain(&recorded, &photo)?;
    println!("{} at {}: hottest at {:?}", map.label, map.layer, map.peak());

    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    map.save(&out)?;
    println!("{}", out.display());
    Ok(())
}
