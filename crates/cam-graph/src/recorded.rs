//! Recorded modules: models made of any Burn module.

use crate::axes::Layout;
use crate::graph::Graph;
use crate::layers::{Layer, Modules};
use crate::lower::Prepared;
use crate::tensors::{self, Tensors};
use crate::{Error, LayerTree, capture, run};
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::module::Module;
use burn::tensor::{DType, Device};
use cam_core::{At, Input, Inspect, Model, Taps};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// Records the forward pass of a module, so that the module can be explained without changes.
///
/// The module is not modified. It is explained in inference mode: dropout does nothing and BatchNorm uses its running statistics, whether
/// or not the module is being trained. Weights are shared, not copied; record the module again after further training. The closure must not
/// capture weights: all of them must be in the module, which may be a tuple of several modules. Nothing runs before the first input. The
/// operators are recorded once per input shape, which takes some milliseconds, and kept.
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
/// let layers = recorded.layers(&images)?; // displayed as a tree with shapes and grids
/// assert_eq!(layers.names(), ["conv", "norm", "relu"]);
/// let found = Explainer::new(&recorded).method(GradCam).explain(images, &Class(3))?;
/// assert_eq!(found.maps[0].layer, "relu");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Devices`] if the parameters are on several devices.
pub fn record<M, F, I, O>(module: &M, forward: F) -> Result<Recorded<M, F, I, O>, Error>
where
    M: Module,
    F: Fn(&M, I) -> O,
    I: Tensors,
    O: Tensors,
{
    Recorded::new(module, forward)
}

/// Records a forward pass that can fail, such as one that interprets a file. Its error becomes [`Error::Refused`].
///
/// # Errors
/// As [`record`].
pub fn record_fallible<M, F, I, O, E>(module: &M, forward: F) -> Result<Recorded<M, Fallible<F>, I, O>, Error>
where
    M: Module,
    F: Fn(&M, I) -> Result<O, E>,
    E: fmt::Display,
    I: Tensors,
    O: Tensors,
{
    Recorded::new(module, Fallible(forward))
}

/// A forward pass that can be recorded: a function of a module and its input, or a [`Fallible`] one.
pub trait Forward<M, I, O> {
    /// Runs the forward pass.
    ///
    /// # Errors
    /// [`Error::Refused`] if it returns an error.
    fn call(&self, module: &M, input: I) -> Result<O, Error>;
}

impl<M, I, O, F: Fn(&M, I) -> O> Forward<M, I, O> for F {
    fn call(&self, module: &M, input: I) -> Result<O, Error> {
        Ok(self(module, input))
    }
}

/// A forward pass that returns a result, recorded by [`record_fallible`].
#[derive(Debug, Clone, Copy)]
pub struct Fallible<F>(F);

impl<M, I, O, E: fmt::Display, F: Fn(&M, I) -> Result<O, E>> Forward<M, I, O> for Fallible<F> {
    fn call(&self, module: &M, input: I) -> Result<O, Error> {
        (self.0)(module, input).map_err(|error| Error::Refused { reason: error.to_string() })
    }
}

impl<M: Module, F, I, O> Recorded<M, F, I, O> {
    fn new(module: &M, forward: F) -> Result<Self, Error> {
        let module = module.valid();
        let devices = module.devices();
        if devices.len() > 1 {
            return Err(Error::Devices {
                devices: devices.iter().map(|device| format!("{device:?}")).collect(),
            });
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
}

/// A module with its recorded forward pass, made by [`record`]. It is a [`Model`] with the layers found in the recording.
///
/// Layers are named by the paths of the parameters of the module (`layer4.1.bn2`), blocks of several modules by the common prefix
/// (`layer4.1`), and activations and pooling by their kind (`layer4.1.relu`). [`cam_core::layers`] lists them. A value is a layer if each
/// of its axes is known to be the batch, the channels, or positions of the input: layouts are tracked through all operators and never
/// guessed from a shape.
pub struct Recorded<M, F, I, O> {
    module: M,
    forward: F,
    weights: HashMap<String, DispatchTensor>,
    modules: Modules,
    device: Option<Device>,
    inspected: Inspected,
    prepared: Prepared,
    programs: Mutex<HashMap<Signature, Arc<Program<O>>>>,
    input: PhantomData<fn(I)>,
}

/// The result of inspecting the module when it was recorded. It does not change, and an inspection takes 0.1 ms.
struct Inspected(Result<(), cam_core::Error>);

impl Inspect for Inspected {
    fn inspect(&self) -> Result<(), cam_core::Error> {
        self.0.clone()
    }
}

/// The shapes and data types of all tensors of an input.
type Signature = Vec<(Vec<usize>, DType)>;

/// The maximum number of recordings to keep. Methods such as Score-CAM use a few batch sizes; views and windows a few image sizes.
const MAX_PROGRAMS: usize = 64;

struct Program<O> {
    graph: Graph,
    /// What the forward pass gave when it was recorded: its signature, without numbers.
    output: O,
}

impl<M, F, I, O> Recorded<M, F, I, O>
where
    M: Module,
    F: Forward<M, I, O>,
    I: Tensors,
    O: Tensors,
{
    /// Returns the model with random numbers in a part of its parameters: see [`randomized`](crate::randomized).
    ///
    /// # Errors
    /// Those of [`record`].
    #[allow(clippy::type_complexity, reason = "the type of a closure has no name")]
    pub fn randomized(
        &self,
        part: std::ops::Range<f64>,
    ) -> Result<Recorded<M, impl Forward<M, I, O> + '_, I, O>, Error> {
        let module = crate::randomized(&self.module, part);
        record_fallible(&module, |module: &M, input: I| self.forward.call(module, input))
    }

    /// Returns the model that explains the input at place `K` of several; this one explains the first.
    ///
    /// The layers of a model are those that depend on the explained input, so each of several images has its own default layer until the
    /// network joins them. Where it joins them first of all, their maps are one.
    ///
    /// ```
    /// use burn::nn::{Linear, LinearConfig, conv::{Conv2d, Conv2dConfig}};
    /// use burn::prelude::*;
    /// use burn::tensor::Distribution;
    /// use cam_core::{At, Explain, Explainer, Top};
    ///
    /// #[derive(Module, Debug)]
    /// struct Net {
    ///     color: Conv2d,
    ///     depth: Conv2d,
    ///     head: Linear,
    /// }
    ///
    /// impl Net {
    ///     fn forward(&self, color: Tensor<4>, depth: Tensor<4>) -> Tensor<2> {
    ///         let [color, depth] = [self.color.forward(color), self.depth.forward(depth)]
    ///             .map(|x| x.mean_dims(&[2, 3]).flatten(1, 3));
    ///         self.head.forward(Tensor::cat(vec![color, depth], 1))
    ///     }
    /// }
    ///
    /// let device = Device::flex();
    /// let net = Net {
    ///     color: Conv2dConfig::new([3, 8], [3, 3]).init(&device),
    ///     depth: Conv2dConfig::new([1, 8], [3, 3]).init(&device),
    ///     head: LinearConfig::new(16, 5).init(&device),
    /// };
    /// let inputs = (
    ///     Tensor::<4>::random([1, 3, 32, 32], Distribution::Default, &device),
    ///     Tensor::<4>::random([1, 1, 16, 16], Distribution::Default, &device),
    /// );
    /// let of_color = cam_graph::record(&net, |net, (color, depth)| net.forward(color, depth))?;
    /// let of_depth = of_color.at::<1>()?;
    ///
    /// let color = Explainer::new(&of_color).explain(inputs.clone(), &Top)?;
    /// let depth = Explainer::new(&of_depth).explain(At(inputs), &Top)?;
    /// assert_eq!((color.maps[0].layer.as_str(), color.maps[0].heatmap.dims()), ("color", [1, 32, 32]));
    /// assert_eq!((depth.maps[0].layer.as_str(), depth.maps[0].heatmap.dims()), ("depth", [1, 16, 16]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`record`].
    #[allow(clippy::type_complexity, reason = "the type of a closure has no name")]
    pub fn at<const K: usize>(
        &self,
    ) -> Result<Recorded<M, impl Forward<M, At<K, I>, O> + '_, At<K, I>, O>, Error>
    where
        At<K, I>: Tensors,
    {
        record_fallible(&self.module, |module: &M, At(inputs): At<K, I>| self.forward.call(module, inputs))
    }

    /// Returns the recorded module, in inference mode.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// Returns the device of the module; `None` if it has no parameters.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// Records the forward pass for inputs of this shape, unless it is recorded already.
    ///
    /// # Errors
    /// An [`Error`] if the forward pass cannot be recorded.
    pub fn prepare(&self, input: &I) -> Result<(), Error> {
        self.program(input).map(|_| ())
    }

    /// Returns the layers for inputs of this shape as a tree of blocks. [`cam_core::layers`] lists the same layers.
    ///
    /// # Errors
    /// An [`Error`] if the forward pass cannot be recorded.
    pub fn layers(&self, input: &I) -> Result<LayerTree, Error> {
        Ok(LayerTree::new(&self.program(input)?.graph))
    }

    /// Returns the output for inputs of this shape without its data, which must not be read: it has shapes and types only.
    ///
    /// # Errors
    /// An [`Error`] if the forward pass cannot be recorded.
    pub fn output(&self, input: &I) -> Result<O, Error> {
        Ok(self.program(input)?.output.clone())
    }

    fn program(&self, input: &I) -> Result<Arc<Program<O>>, Error> {
        let tensors = tensors::collect(input);
        let signature: Signature =
            tensors.iter().map(|tensor| (tensor.shape().as_slice().to_vec(), tensor.dtype())).collect();
        if let Some(known) = self.programs().get(&signature) {
            return Ok(known.clone());
        }
        let program = Arc::new(self.record(input, &tensors)?);
        let mut programs = self.programs();
        if programs.len() >= MAX_PROGRAMS {
            programs.clear();
        }
        programs.insert(signature, program.clone());
        Ok(program)
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, HashMap<Signature, Arc<Program<O>>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, input: &I, tensors: &[DispatchTensor]) -> Result<Program<O>, Error> {
        let device = match (&self.device, tensors.first()) {
            (Some(device), _) => device.clone(),
            (None, Some(tensor)) => Device::from(tensor.device()),
            (None, None) => Device::default(),
        };
        let captured = capture::capture(&self.module, &self.forward, input, &device)?;
        let mut graph = Graph::new(&captured, &self.weights, &self.modules, &self.prepared, &device)?;
        // The batch axis of one image cannot be distinguished from other axes of length 1, so layers are found on two images.
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

/// Returns the input with its image repeated twice; `None` if it has more than one image.
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
    F: Forward<M, I, O>,
    I: Input + Tensors,
    O: Tensors,
{
    fn module(&self) -> &dyn Inspect {
        &self.inspected
    }

    /// # Panics
    /// Panics if the forward pass cannot be recorded for this input, which [`Recorded::prepare`] returns as an error.
    fn forward(&self, input: I, taps: &Taps<'_>) -> O {
        let program = self.program(&input).unwrap_or_else(|error| panic!("{error}"));
        tensors::replace(&program.output, run::run(&program.graph, tensors::collect(&input), taps))
    }

    fn prepare(&self, input: &I) -> Result<(), cam_core::Error> {
        Recorded::prepare(self, input)
            .map_err(|error| cam_core::Error::Recording { reason: error.to_string() })
    }

    fn has_class_attention(&self, input: &I) -> bool {
        fn any(layers: &[Layer]) -> bool {
            let is_one = |layout| matches!(layout, Layout::Attention(tokens) if tokens.prefix > 0);
            layers.iter().any(|layer| is_one(layer.layout) || any(&layer.children))
        }
        self.program(input).is_ok_and(|program| any(&program.graph.layers))
    }
}

impl<M, F, I, O> fmt::Debug for Recorded<M, F, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({})", std::any::type_name::<M>())
    }
}
