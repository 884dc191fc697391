//! The model that `build.rs` generated from the ONNX file, and how images are shown to it.

use burn::Tensor;
use burn_cam::{Error, Logits, Preprocess, RecordedModel};
use cam_scenes::Class;
pub use generated::Model;

/// The code that burn-onnx generated: an ordinary Burn module.
#[allow(dead_code, clippy::all, reason = "it is not ours")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/scenes.rs"));
}

/// Records the model. An ONNX file does not contain how images become its input, and what its classes are.
pub fn recorded(net: &Model) -> Result<RecordedModel<Model, impl Fn(&Model, Tensor<4>) -> Tensor<2>>, Error> {
    Ok(burn_cam::record(net, |net: &Model, images| net.forward(images))?
        .preprocess(Preprocess {
            size: [128, 128],
            mean: vec![0.5].into(),
            std: vec![0.25].into(),
            ..Preprocess::IMAGENET
        })
        .labels(Class::ALL.map(Class::name))
        .logits(Logits::Sigmoid))
}
