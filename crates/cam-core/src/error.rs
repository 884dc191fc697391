//! What can go wrong.

use crate::INPUT;
use crate::names::{choices, listed};
use burn::tensor::{ExecutionError, TensorReadError};

/// Why something could not be explained.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No layer is named, and no layer has both a grid and a gradient.
    #[error(
        "no layer of several positions has a gradient, so none can show where: explain the pixels, with the layer `{INPUT}`, or use random \
         masks; the layers are {}", listed(.known)
    )]
    NoLayer {
        /// The layers that the forward pass names, in the order in which they finish.
        known: Vec<String>,
    },
    /// The forward pass names no such layer.
    #[error("no layer is called `{asked}`; {} (values with positions in the input, not those behind a pooling)", choices(.asked, .known))]
    UnknownLayer {
        /// The name asked for.
        asked: String,
        /// The layers that the forward pass names, in the order in which they finish.
        known: Vec<String>,
    },
    /// The forward pass uses one name for two layers, so neither can be meant.
    #[error("two layers are called `{layer}`: give each its own name")]
    RepeatedLayer {
        /// The name used twice.
        layer: String,
    },
    /// The output of a layer does not fit its layout.
    #[error("layer `{layer}` has the shape {shape:?}, which does not fit its layout: {reason}")]
    WrongLayout {
        /// The layer.
        layer: String,
        /// The shape of its output.
        shape: Vec<usize>,
        /// Why it does not fit.
        reason: String,
    },
    /// The grid of a layer has another number of axes than the input has in space.
    #[error("layer `{layer}` has a grid of {found} axes, the input has {expected}")]
    WrongGrid {
        /// The layer.
        layer: String,
        /// Axes of the layer's grid.
        found: usize,
        /// Axes of the input's grid.
        expected: usize,
    },
    /// A part of the network was run again on another number of images, and did not name the layer.
    #[error(
        "layer `{layer}` is there for {expected} images and missing for {found}: the forward pass names its layers by the size of the \
         batch, so nothing can be changed at it"
    )]
    LostLayer {
        /// The layer.
        layer: String,
        /// The number of images that it is named for.
        expected: usize,
        /// The number of images that it is missing for.
        found: usize,
    },
    /// The score does not depend on the layer at all, so there is no gradient.
    #[error("the score does not depend on layer `{layer}`: no gradient reaches it")]
    NotConnected {
        /// The layer.
        layer: String,
    },
    /// Parts of the model would behave as in training as soon as gradients are recorded. Nothing was run.
    #[error(
        "this model is in training mode, at {}: call `valid()` on it, `let model = model.valid()`, or `freeze()`, and \
         explain what that gives", few(.modules)
    )]
    TrainingMode {
        /// The paths of the modules whose flag `training` is on; the path of the whole model is empty.
        modules: Vec<String>,
    },
    /// The score while gradients are recorded is not the score of plain inference.
    #[error(
        "the score of image {image} is {plain} in plain inference and {taped} while gradients are recorded: a part of this \
         model behaves as in training then. Call `valid()` on its module (and load it again: running statistics may have \
         moved), and give the module to `Tapped` or `Model::module`, so that it is inspected before anything runs"
    )]
    UnlikeInference {
        /// The index of the image in the batch.
        image: usize,
        /// Its score without gradients.
        plain: f32,
        /// Its score while gradients are recorded.
        taped: f32,
    },
    /// The model, or its input, is on an autodiff device, where layers behave as in training.
    #[error(
        "the model or its input is on an autodiff device, as for training: explain `model.valid()` and `input.inner()`"
    )]
    TrainingDevice,
    /// The forward pass of a module cannot be recorded.
    #[error("{reason}")]
    Recording {
        /// Why.
        reason: String,
    },
    /// CAM reads the weights of a linear classifier, but something else follows the layer.
    #[error(
        "CAM needs a global average pooling and a linear layer after `{layer}`, and nothing else: use Grad-CAM"
    )]
    NotLinear {
        /// The layer.
        layer: String,
    },
    /// FullGrad adds up biases, but the forward pass names none.
    #[error(
        "this model has no biases that could be added up: they are those of piecewise linear networks, without GELU, gates and LayerNorm (a model that is tapped by hand names its biases with `Taps::biased`)"
    )]
    NoBiases,
    /// The forward pass names no attention weights.
    #[error(
        "this model has no attention weights between all of its patches, and windows like those of Swin do not count: use Grad-CAM at a layer (a model that is tapped by hand names attention by the layout `Attention`)"
    )]
    NoAttention,
    /// Guided backpropagation finds no ReLU.
    #[error(
        "this model has no ReLU, which guided backpropagation changes (a model that is tapped by hand computes it by `taps.relu(x)`)"
    )]
    NoRelu,
    /// Guided backpropagation cuts the tape at ReLUs and layers, and walks each piece once.
    #[error(
        "a value between two ReLUs is read twice, which guided backpropagation does not support: name it as a layer with \
         a tap"
    )]
    SharedPiece,
    /// Guided backpropagation only has a rule for ReLUs.
    #[error(
        "guided backpropagation only has a rule for ReLU, but this model has a {activation}: LayerCAM at a shallow layer shows fine detail of any model"
    )]
    NotGuided {
        /// The activation.
        activation: &'static str,
    },
    /// The model has no such class.
    #[error("there is no class {asked}: {}", count_of_classes(*.classes))]
    UnknownClass {
        /// The class asked for.
        asked: usize,
        /// The number of classes of the model.
        classes: usize,
    },
    /// The detector returns no such box.
    #[error("there is no box {asked}: the detector returns {boxes}")]
    UnknownBox {
        /// The row asked for.
        asked: usize,
        /// The number of rows.
        boxes: usize,
    },
    /// The number of targets is not the number of images.
    #[error("{targets} targets for {images} images: there has to be one per image")]
    TargetCount {
        /// The number of targets.
        targets: usize,
        /// The number of images in the batch.
        images: usize,
    },
    /// Classes are to be compared with a target that is not a class.
    #[error("other classes can only be compared with a class, and this target is not a class")]
    NotAClass,
    /// A mask does not have the size of the segmentation.
    #[error("the mask has {} x {} pixels, the output {} x {}", .found[0], .found[1], .expected[0], .expected[1])]
    MaskSize {
        /// Height and width of the mask.
        found: [usize; 2],
        /// Height and width of the output.
        expected: [usize; 2],
    },
    /// A concept does not have the length of the embedding.
    #[error("the concept has {found} features, the embedding {expected}")]
    ConceptSize {
        /// The number of features of the concept.
        found: usize,
        /// The number of features of the embedding.
        expected: usize,
    },
    /// A target did not give one score per image.
    #[error("the target gave {found} scores for {expected} images")]
    ScoreCount {
        /// The number of scores.
        found: usize,
        /// The number of images in the batch.
        expected: usize,
    },
    /// The batch has no images, or the images have no pixels.
    #[error("there is nothing to explain in an input of the shape {shape:?}")]
    EmptyInput {
        /// Batch size and grid of the input.
        shape: Vec<usize>,
    },
    /// No method has this name.
    #[error("no method is called `{asked}`; {}", choices(.asked, .known))]
    UnknownMethod {
        /// The name asked for.
        asked: String,
        /// The names of all methods.
        known: Vec<String>,
    },
    /// No score of a class has this name.
    #[error("no score is called `{asked}`; {}", choices(.asked, .known))]
    UnknownTarget {
        /// The name asked for.
        asked: String,
        /// The names of all scores.
        known: Vec<String>,
    },
    /// A method asks for something that its [`MethodInfo`](crate::MethodInfo) does not declare.
    #[error(
        "the method `{method}` asks for something that it does not declare: {remedy} in its `MethodInfo`"
    )]
    Undeclared {
        /// The name of the method.
        method: &'static str,
        /// What its author has to change: "add `.gradient()`".
        remedy: &'static str,
    },
    /// A method returns evidence of another shape than that of its layer.
    #[error(
        "the method `{method}` returns evidence of the shape {found:?}, not [{batch}, channels, {positions}]"
    )]
    WrongEvidence {
        /// The name of the method.
        method: &'static str,
        /// The shape of the evidence.
        found: [usize; 3],
        /// The number of images.
        batch: usize,
        /// The number of positions of the layer.
        positions: usize,
    },
    /// Something holds NaN or infinity, but a number is needed.
    #[error("{what} holds NaN or infinity")]
    NonFinite {
        /// What holds NaN or infinity.
        what: String,
    },
    /// The numbers of a device could not be read.
    #[error("the device failed: {reason}")]
    Device {
        /// What the device reports.
        reason: String,
    },
}

impl From<ExecutionError> for Error {
    fn from(error: ExecutionError) -> Self {
        Self::Device { reason: error.to_string() }
    }
}

impl From<TensorReadError> for Error {
    fn from(error: TensorReadError) -> Self {
        Self::Device { reason: error.to_string() }
    }
}

fn count_of_classes(classes: usize) -> String {
    match classes {
        1 => {
            "this model has one output: explain `Value(0)`, or `Binary` if it tells a class from its opposite"
                .into()
        }
        _ => format!("this model has {classes} classes, 0 to {}", classes.saturating_sub(1)),
    }
}

/// Lists the first paths of modules, and how many more there are.
fn few(paths: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = paths.iter().take(SHOWN).map(|path| match path.as_str() {
        "" => "its root".into(),
        path => format!("`{path}`"),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
