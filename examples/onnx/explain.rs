//! A model from an ONNX file, explained unchanged: `build.rs` generates Burn code from the file with burn-onnx, and nothing in that code
//! knows this library.
//!
//! ```text
//! cargo run --release -p cam-onnx-example                          # draws a scene; writes cam-out/onnx.png
//! cargo run --release -p cam-onnx-example -- photo.png out.png
//! ```

mod model;
#[cfg(test)]
mod tests;

use burn_cam::{Device, ImageInput};
use cam_scenes::Scene;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let image = match paths.next() {
        Some(path) => ImageInput::open(path)?,
        None => Scene::draw(7, 384)?.image.into(),
    };
    let out = paths.next().unwrap_or_else(|| "cam-out/onnx.png".into());

    let net = model::Model::from_embedded(&Device::flex());
    let recorded = model::recorded(&net)?;
    for layer in burn_cam::layers(&recorded)? {
        println!("{}: {:?}", layer.name, layer.grid);
    }
    let map = burn_cam::explain(&recorded, &image)?;
    println!("{} at {}: hottest at {:?}", map.label, map.layer, map.peak());

    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    map.save(&out)?;
    println!("{}", out.display());
    Ok(())
}
