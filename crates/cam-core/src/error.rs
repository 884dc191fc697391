//! What can go wrong, said with what there is.

use burn::tensor::{ExecutionError, TensorReadError};

/// Everything the library refuses to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No layer is named, and none has both a grid and a gradient.
    #[error("no layer has a grid and a gradient to look at; this model has {}", listed(.known))]
    NoLayer {
        /// The layers that the forward pass names, in the order in which they finish.
        known: Vec<String>,
    },
    /// The forward pass names no such layer.
    #[error("no layer is called `{asked}`; this model has {}", listed(.known))]
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
    /// A layer's output does not have the form its layout says.
    #[error("layer `{layer}` has the shape {shape:?}, which does not fit its layout: {reason}")]
    WrongLayout {
        /// The layer.
        layer: String,
        /// The shape of its output.
        shape: Vec<usize>,
        /// What does not fit.
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
    /// A part of the network was run again on another number of images, and the layer was not there.
    #[error(
        "layer `{layer}` is there for {expected} images and missing for {found}: the forward pass names its layers by the size of the \
         batch, so nothing can be changed at it"
    )]
    LostLayer {
        /// The layer.
        layer: String,
        /// Images that it is there for.
        expected: usize,
        /// Images that it is missing for.
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
        /// The paths of the modules whose flag `training` is on; the path of the whole is empty.
        modules: Vec<String>,
    },
    /// The score under gradients is not the score of plain inference.
    #[error(
        "the score of image {image} is {plain} in plain inference and {taped} while gradients are recorded: a part of this \
         model behaves as in training then. Call `valid()` on its module (and load it again: running statistics may have \
         moved), and give the module to `Tapped` or `Model::module`, so that it is looked at before anything runs"
    )]
    UnlikeInference {
        /// The number of the image in the batch.
        image: usize,
        /// Its score without gradients.
        plain: f32,
        /// Its score while gradients are recorded.
        taped: f32,
    },
    /// The model, or its input, is on an autodiff device, where layers behave as in training.
    #[error(
        "the model or its input is on an autodiff device, as for training: explain `model.valid()` and plain tensors"
    )]
    TrainingDevice,
    /// The forward pass of a module cannot be recorded.
    #[error("{reason}")]
    Recording {
        /// Why.
        reason: String,
    },
    /// CAM reads the weights of a linear classifier, and something else follows the layer.
    #[error(
        "CAM needs a global average pooling and a linear layer behind `{layer}`, and more is there: use Grad-CAM"
    )]
    NotLinear {
        /// The layer.
        layer: String,
    },
    /// FullGrad counts biases, and the forward pass names none.
    #[error(
        "this model shows no biases, which FullGrad counts: none is named (`Taps::biased`), or the model is not linear between the corners of ReLUs, as with gates, GELU and norms over the activation"
    )]
    NoBiases,
    /// The forward pass names no attention weights.
    #[error("this model names no attention weights (the layout `Attention`), which this method looks at")]
    NoAttention,
    /// Guided backpropagation finds no ReLU.
    #[error(
        "this model names no ReLU (`taps.relu(x)` in place of `relu(x)`), which guided backpropagation changes"
    )]
    NoRelu,
    /// Guided backpropagation cuts the tape at ReLUs and layers, and walks each piece once.
    #[error(
        "a value between two ReLUs is read twice, which guided backpropagation cannot follow: name it as a layer with \
         a tap"
    )]
    SharedPiece,
    /// Guided backpropagation has a rule for ReLUs only.
    #[error("guided backpropagation has a rule for ReLU, none for the {activation} of this model")]
    NotGuided {
        /// The activation.
        activation: &'static str,
    },
    /// The model has no such class.
    #[error("there is no class {asked}: this model has {classes} classes, 0 to {}", .classes.saturating_sub(1))]
    UnknownClass {
        /// The class asked for.
        asked: usize,
        /// The number of classes of the model.
        classes: usize,
    },
    /// There are not as many targets as images.
    #[error("{targets} targets for {images} images: one a image is needed")]
    TargetCount {
        /// Targets given.
        targets: usize,
        /// Images in the batch.
        images: usize,
    },
    /// A comparison of classes was asked of a target that names none.
    #[error("classes can be compared with a class only, and this target names none")]
    NotAClass,
    /// A mask of another size than the segmentation.
    #[error("the mask has {} x {} pixels, the output {} x {}", .found[0], .found[1], .expected[0], .expected[1])]
    MaskSize {
        /// Height and width of the mask.
        found: [usize; 2],
        /// Height and width of the output.
        expected: [usize; 2],
    },
    /// A concept of another length than the embedding.
    #[error("the concept has {found} features, the embedding {expected}")]
    ConceptSize {
        /// Features of the concept.
        found: usize,
        /// Features of the embedding.
        expected: usize,
    },
    /// A target gave something else than one score an image.
    #[error("the target gave {found} scores for {expected} images")]
    ScoreCount {
        /// Scores given.
        found: usize,
        /// Images in the batch.
        expected: usize,
    },
    /// A batch without images, or images without pixels.
    #[error("there is nothing to explain in an input of the shape {shape:?}")]
    EmptyInput {
        /// Batch size and grid of the input.
        shape: Vec<usize>,
    },
    /// No method has this name.
    #[error("no method is called `{asked}`; there are {}", listed(.known))]
    UnknownMethod {
        /// The name asked for.
        asked: String,
        /// The methods that there are.
        known: Vec<String>,
    },
    /// NaN or infinity where a number is needed.
    #[error("{what} holds NaN or infinity")]
    NonFinite {
        /// What holds it.
        what: String,
    },
    /// The device did not hand its numbers back.
    #[error("the device failed: {reason}")]
    Device {
        /// What it said.
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

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The first paths of modules, and how many there are beside them.
fn few(paths: &[String]) -> String {
    const TOLD: usize = 4;
    let told = paths.iter().take(TOLD).map(|path| match path.as_str() {
        "" => "its root".into(),
        path => format!("`{path}`"),
    });
    let told = told.collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}
