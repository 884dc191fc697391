//! A module and its forward pass, recorded: any Burn module as a model to explain.

use crate::graph::Graph;
use crate::layers::Modules;
use crate::lower::Prepared;
use crate::tensors::{self, Tensors};
use crate::{Error, LayerTree, capture, run};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::module::Module;
use burn::tensor::{DType, Device};
use cam_core::{Input, Inspect, Model, Taps};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// Records the forward pass of a module, so that it can be explained as it stands.
///
/// The module is not changed, and what is explained is the module in inference: Dropout does nothing and BatchNorm uses its running
/// statistics, whether the module is being trained or not. Weights are shared, not copied; a module that is trained further has to be
/// recorded anew. What the forward pass reads is in the module, in a tuple of several if need be: the closure captures no weights. Nothing
/// runs before the first input comes. For each shape of input the operators are recorded once, which takes some
/// milliseconds, and kept.
///
/// ```
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
/// use burn::prelude::*;
/// use burn::tensor::activation::relu;
/// use cam_core::{Class, Explain, Explainer, GradCam};
///
/// #[derive(Module, Debug)]
/// struct Net {
///     conv: Conv2d,
///     norm: BatchNorm,
///     fc: Linear,
/// }
///
/// impl Net {
///     fn forward(&self, images: Tensor<4>) -> Tensor<2> {
///         let x = relu(self.norm.forward(self.conv.forward(images)));
///         self.fc.forward(x.mean_dims(&[2, 3]).flatten(1, 3))
///     }
/// }
///
/// let device = Device::flex();
/// let net = Net {
///     conv: Conv2dConfig::new([3, 8], [3, 3]).init(&device),
///     norm: BatchNormConfig::new(8).init(&device),
///     fc: LinearConfig::new(8, 5).init(&device),
/// };
/// let recorded = cam_graph::record(&net, |net, images| net.forward(images))?;
///
/// let images = Tensor::<4>::random([1, 3, 16, 16], burn::tensor::Distribution::Default, &device);
/// let layers = recorded.layers(&images)?; // printed, it is a tree with shapes and grids
/// assert_eq!(layers.names(), ["conv", "norm", "relu"]);
/// let found = Explainer::new(&recorded).method(GradCam).explain(images, &Class(3))?;
/// assert_eq!(found.maps[0].layer, "relu");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Devices`] when the parameters are not all on one device.
pub fn record<M, F, I, O>(module: &M, forward: F) -> Result<Recorded<M, F, I, O>, Error>
where
    M: Module,
    F: Fn(&M, I) -> O,
    I: Tensors,
    O: Tensors,
{
    let module = module.valid();
    let devices = module.devices();
    if devices.len() > 1 {
        return Err(Error::Devices { devices: devices.iter().map(|device| format!("{device:?}")).collect() });
    }
    Ok(Recorded {
        weights: capture::weights(&module),
        modules: capture::modules(&module),
        device: devices.into_iter().next(),
        inspected: Inspected(module.inspect()),
        module,
        forward,
        prepared: Prepared::default(),
        programs: Mutex::default(),
        input: PhantomData,
    })
}

/// A module with its recorded forward pass, made by [`record`]: a [`Model`] with the layers that were found.
///
/// Layers are called what the paths of the module's parameters are (`layer4.1.bn2`), and blocks of several modules what they have in
/// common (`layer4.1`); activations and pooling what they are (`layer4.1.relu`). [`cam_core::layers`] lists them. A value is a layer
/// where each of its axes is known to be the batch, the channels, or the places of the input: its layout is followed through all
/// operators and never guessed from a shape.
pub struct Recorded<M, F, I, O> {
    module: M,
    forward: F,
    weights: HashMap<String, DispatchTensor>,
    modules: Modules,
    device: Option<Device>,
    inspected: Inspected,
    prepared: Prepared,
    programs: Mutex<HashMap<Form, Arc<Program<O>>>>,
    input: PhantomData<fn(I)>,
}

/// What a look at the module found when it was recorded: it does not change, and a walk takes 0.1 ms of each call.
struct Inspected(Result<(), cam_core::Error>);

impl Inspect for Inspected {
    fn inspect(&self) -> Result<(), cam_core::Error> {
        self.0.clone()
    }
}

/// The shapes and kinds of all tensors of an input.
type Form = Vec<(Vec<usize>, DType)>;

/// How many recordings are kept. Score-CAM and its kin run a few batch sizes; views and windows a few image sizes.
const KEPT: usize = 64;

struct Program<O> {
    graph: Graph,
    /// What the forward pass gave when it was recorded: its form, without numbers.
    output: O,
}

impl<M, F, I, O> Recorded<M, F, I, O>
where
    M: Module,
    F: Fn(&M, I) -> O,
    I: Tensors,
    O: Tensors,
{
    /// The module that was recorded, in inference.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The device of the module; `None` where it has no parameters.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// Records the forward pass for inputs of this shape, unless that is done already.
    ///
    /// # Errors
    /// Why it cannot be recorded, see [`Error`].
    pub fn prepare(&self, input: &I) -> Result<(), Error> {
        self.program(input).map(|_| ())
    }

    /// The layers that are found for inputs of this shape, as a tree of blocks. [`cam_core::layers`] lists the same layers.
    ///
    /// # Errors
    /// Why the forward pass cannot be recorded, see [`Error`].
    pub fn layers(&self, input: &I) -> Result<LayerTree, Error> {
        Ok(LayerTree::of(&self.program(input)?.graph))
    }

    fn program(&self, input: &I) -> Result<Arc<Program<O>>, Error> {
        let tensors = tensors::list(input);
        let form: Form =
            tensors.iter().map(|tensor| (tensor.shape().as_slice().to_vec(), tensor.dtype())).collect();
        if let Some(known) = self.programs().get(&form) {
            return Ok(known.clone());
        }
        let program = Arc::new(self.recorded(input, &tensors)?);
        let mut programs = self.programs();
        if programs.len() >= KEPT {
            programs.clear();
        }
        programs.insert(form, program.clone());
        Ok(program)
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, HashMap<Form, Arc<Program<O>>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recorded(&self, input: &I, tensors: &[DispatchTensor]) -> Result<Program<O>, Error> {
        let device = match (&self.device, tensors.first()) {
            (Some(device), _) => device.clone(),
            (None, Some(tensor)) => Device::from(tensor.device()),
            (None, None) => Device::default(),
        };
        let captured = capture::capture(&self.module, &self.forward, input, &device)?;
        let mut graph = Graph::new(&captured, &self.weights, &self.modules, &self.prepared, &device)?;
        // An axis of one image cannot be told from others of length 1: the layers are those of two, if that is the same pass.
        if let Some(pair) = pair_of(input, tensors) {
            let layers = match self.program(&pair) {
                Ok(pair) => graph.layers_of_pair(&pair.graph),
                Err(_) => Vec::new(),
            };
            graph.set_layers(layers);
        }
        Ok(Program { graph, output: captured.output })
    }
}

/// The same input with two images in place of one; `None` where there are more.
fn pair_of<I: Tensors>(input: &I, tensors: &[DispatchTensor]) -> Option<I> {
    let is_one = |tensor: &DispatchTensor| tensor.shape().as_slice().first() == Some(&1);
    if !tensors.first().is_some_and(is_one) {
        return None;
    }
    Some(input.clone().map_tensors(&mut |tensor| {
        if !is_one(&tensor) {
            return tensor;
        }
        let mut shape = tensor.shape();
        shape[0] = 2;
        if tensor.dtype().is_float() {
            Dispatch::float_expand(tensor, shape)
        } else if tensor.dtype().is_bool() {
            Dispatch::bool_expand(tensor, shape)
        } else {
            Dispatch::int_expand(tensor, shape)
        }
    }))
}

impl<M, F, I, O> Model<I, O> for Recorded<M, F, I, O>
where
    M: Module,
    F: Fn(&M, I) -> O,
    I: Input + Tensors,
    O: Tensors,
{
    fn module(&self) -> &dyn Inspect {
        &self.inspected
    }

    /// # Panics
    /// When the forward pass cannot be recorded for this input, which [`Recorded::prepare`] returns as an error.
    fn forward(&self, input: I, taps: &Taps<'_>) -> O {
        let program = self.program(&input).unwrap_or_else(|error| panic!("{error}"));
        tensors::filled(&program.output, run::run(&program.graph, tensors::list(&input), taps))
    }

    fn prepare(&self, input: &I) -> Result<(), cam_core::Error> {
        Recorded::prepare(self, input)
            .map_err(|error| cam_core::Error::Recording { reason: error.to_string() })
    }
}

impl<M, F, I, O> fmt::Debug for Recorded<M, F, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({})", std::any::type_name::<M>())
    }
}
