//! The library in a web page, `index.html`: an image, a classifier and the maps, none of which leaves the browser.
//!
//! ```sh
//! rustup target add wasm32-unknown-unknown && cargo install wasm-bindgen-cli
//! cargo build --release -p cam-browser --target wasm32-unknown-unknown
//! wasm-bindgen --target web --out-dir examples/browser/pkg target/wasm32-unknown-unknown/release/cam_browser.wasm
//! python3 -m http.server --directory examples/browser      # or any file server; then http://localhost:8000
//! ```

use burn_cam::{
    Classifier, Device, ImageExplainer, ImageExplanation, ImageInput, METHODS, Method, method_named,
};
use cam_scenes::Scene;
use image::{DynamicImage, ImageFormat};
use std::io::Cursor;
use wasm_bindgen::prelude::*;

/// A classifier on a device of the browser.
#[wasm_bindgen]
pub struct Cam(Classifier);

#[wasm_bindgen]
impl Cam {
    /// Creates the built-in model on the CPU.
    pub fn on_cpu() -> Result<Cam, JsError> {
        Ok(Self(Classifier::builtin(&Device::flex())?))
    }

    /// Creates the built-in model on the GPU, through WebGPU; once in the life of a page.
    pub async fn on_gpu() -> Result<Cam, JsError> {
        let device = Device::wgpu_options().init_async().await?;
        Ok(Self(Classifier::builtin(&device)?))
    }

    /// Takes other weights (`.safetensors` of torchvision or timm), on the same device.
    pub fn load(&mut self, name: &str, weights: Vec<u8>) -> Result<(), JsError> {
        self.0 = Classifier::load_bytes(name, weights, self.0.device())?;
        Ok(())
    }

    /// Returns the name of the model.
    pub fn name(&self) -> String {
        self.0.card().name.clone()
    }

    /// Explains the top class of the image in the bytes of a file.
    pub async fn explain(&self, name: &str, image: &[u8], method: &str) -> Result<Shown, JsError> {
        let image = ImageInput::decode(name, image)?;
        let explainer = ImageExplainer::new(&self.0).method(method_named(method)?);
        Shown::new(&explainer.explain_async(image).await?)
    }
}

/// A map over its image.
#[wasm_bindgen(getter_with_clone)]
pub struct Shown {
    /// The class that was explained, with its probability.
    pub caption: String,
    /// The hottest pixel: x, y.
    pub peak: Vec<u32>,
    /// The pixels of a row.
    pub width: u32,
    /// The overlay, red, green, blue and opacity, row by row from the top.
    pub rgba: Vec<u8>,
}

impl Shown {
    fn new(found: &ImageExplanation) -> Result<Self, JsError> {
        let (map, top) = (&found.maps[0], &found.predictions[0]);
        let overlay = map.overlay()?;
        Ok(Self {
            caption: format!(
                "{} ({:.1} %) by {} at {}",
                map.label,
                100.0 * top.probability,
                map.method.name,
                map.layer
            ),
            peak: <[u32; 2]>::from(map.peak()).to_vec(),
            width: overlay.width(),
            rgba: DynamicImage::from(overlay).into_rgba8().into_raw(),
        })
    }
}

/// Returns the names of the methods.
#[wasm_bindgen]
pub fn methods() -> Vec<String> {
    METHODS.iter().map(|method| method.name().into()).collect()
}

/// Draws a scene of objects that the built-in model knows, as a PNG file.
#[wasm_bindgen]
pub fn scene(seed: u32) -> Result<Vec<u8>, JsError> {
    let mut file = Cursor::new(Vec::new());
    Scene::draw(seed.into(), 256)?.image.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

/// Reports panics in the console of the browser.
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}
