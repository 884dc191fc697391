//! Writes the logits and the activation of every tapped layer of a network whose weights are in a file, to compare them with
//! those of the network's first home: `tests/parity/compare.py` does.
//!
//! ```text
//! cargo run --release --example activations -- weights.safetensors images.safetensors activations.safetensors
//! ```
//!
//! The network is recognized by its tensors; `images` is a tensor `[batch, 3, height, width]`. What is written is
//! `logits`, and for each layer its map form `[batch, channels, positions]`.

use burn::tensor::{Device, Tensor, TensorData};
use cam_core::{Evidence, Explain, Explainer, LayerContext, Method, MethodInfo, Model, Taps, Top, layers};
use cam_models::Classifier;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A "method" that keeps what it sees.
struct Keep(Arc<Mutex<Vec<Tensor<3>>>>);

impl Method for Keep {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("keep", "Keep", "").without_class()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let activation = layer.activation();
            self.0.lock().expect("nothing panicked").push(activation.clone());
            Ok(activation)
        })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, images, out] = arguments.as_slice() else {
        return Err("give a file of weights, a file of images, and the file to write".into());
    };
    let device = Device::flex();
    let network = Classifier::load_file(Path::new(weights), &device)?;
    println!("{}", network.card().name);

    let file = std::fs::read(images)?;
    let stored = SafeTensors::deserialize(&file)?;
    let stored = stored.tensor("images")?;
    let pixels: Vec<f32> =
        stored.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let images: Tensor<4> = Tensor::from_data(TensorData::new(pixels, stored.shape().to_vec()), &device);

    // Plain inference may run other code (fused attention) than a pass that is looked at.
    let logits = network.forward(images.clone(), &Taps::off());
    let names: Vec<String> = layers(&network, images.clone())?.into_iter().map(|layer| layer.name).collect();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let explainer = names.iter().fold(Explainer::new(&network), |all, name| all.layer(name));
    let found = explainer.method(Keep(kept.clone())).explain(images, &Top)?;

    let mut written: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut write = |name: &str, shape: Vec<usize>, data: TensorData| {
        let bytes = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
        written.push((name.into(), shape, bytes));
    };
    write("logits", logits.dims().to_vec(), logits.into_data());
    let kept = std::mem::take(&mut *kept.lock().expect("nothing panicked"));
    for (maps, activation) in found.maps.iter().zip(kept) {
        write(&maps.layer, activation.dims().to_vec(), activation.into_data());
    }
    let views = written
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    std::fs::write(out, safetensors::serialize(views, None)?)?;
    Ok(())
}
