//! An ONNX file as a Burn module.

use crate::array::{Array, Kind, ROOM, within};
use crate::error::Error;
use crate::operators::{Rebatched, Value, rounds};
use crate::program::{self, Functions, Graph, Reader, nodes};
use crate::run::{Context, MAX_NODES, Values};
use crate::{patterns, proto};
use burn::backend::DispatchTensor;
use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use cam_graph::{MapTensor, Tensors};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A neural network of an ONNX file. Its weights are parameters, named by the modules of the network that was exported.
///
/// Like any module it can be moved to another device, recorded ([`cam_graph::record_fallible`]), and saved. Recorded, each of its modules is
/// a layer under its own name, and constants are computed once.
///
/// ```no_run
/// use burn::tensor::{Device, Tensor};
/// use cam_onnx::OnnxModule;
///
/// let device = Device::flex();
/// let module = OnnxModule::open("resnet18.onnx", &device)?;
/// let recorded = cam_graph::record_fallible(&module, OnnxModule::classify)?;
/// println!("{}", recorded.layers(&Tensor::zeros([1, 3, 224, 224], &device))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OnnxModule {
    weights: Vec<Weight>,
    program: Arc<Program>,
    /// Whether the images of the input have their channels last.
    channels_last: bool,
    /// The outputs that are computed.
    outputs: Vec<proto::ValueInfo>,
    /// That of them which is explained.
    score: Score,
    /// The values of the inputs that are not the images.
    given: HashMap<String, TensorData>,
}

struct Program {
    graph: Graph,
    functions: Functions,
    opset: i64,
    /// The weight of each value that holds one.
    weight_of: HashMap<String, usize>,
    /// The numbers of small weights.
    known: Vec<Option<Arc<Array>>>,
    /// Whether the file may have shapes of one batch size.
    has_constant_shapes: bool,
    metadata: HashMap<String, String>,
    producer: String,
}

/// The output that is explained.
#[derive(Clone)]
struct Score {
    name: String,
    activation: Option<OutputActivation>,
}

/// An activation at the end of a network that turns logits into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputActivation {
    /// Probabilities of classes that exclude each other.
    Softmax,
    /// A probability for each class.
    Sigmoid,
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The lengths of its axes, `None` where they are free; `None` if the number of axes is unknown.
    pub shape: Option<Vec<Option<usize>>>,
}

/// A parameter and the path of its module.
#[derive(Clone)]
struct Weight {
    path: String,
    value: AnyParam,
}

#[derive(Module, Debug)]
enum AnyParam {
    Rank1(Param<Tensor<1>>),
    Rank2(Param<Tensor<2>>),
    Rank3(Param<Tensor<3>>),
    Rank4(Param<Tensor<4>>),
    Rank5(Param<Tensor<5>>),
    Rank6(Param<Tensor<6>>),
}

impl AnyParam {
    fn new(numbers: TensorData, device: &Device) -> Result<Self, String> {
        fn param<const D: usize>(numbers: TensorData, device: &Device) -> Param<Tensor<D>> {
            Param::initialized(ParamId::new(), Tensor::from_data(numbers, device))
        }
        Ok(match numbers.rank() {
            1 => Self::Rank1(param(numbers, device)),
            2 => Self::Rank2(param(numbers, device)),
            3 => Self::Rank3(param(numbers, device)),
            4 => Self::Rank4(param(numbers, device)),
            5 => Self::Rank5(param(numbers, device)),
            6 => Self::Rank6(param(numbers, device)),
            rank => return Err(format!("a weight of {rank} axes is not supported")),
        })
    }

    fn tensor(&self) -> DispatchTensor {
        match self {
            Self::Rank1(param) => param.val().into_dispatch(),
            Self::Rank2(param) => param.val().into_dispatch(),
            Self::Rank3(param) => param.val().into_dispatch(),
            Self::Rank4(param) => param.val().into_dispatch(),
            Self::Rank5(param) => param.val().into_dispatch(),
            Self::Rank6(param) => param.val().into_dispatch(),
        }
    }
}

/// The number of elements up to which the numbers of a weight are kept on the CPU: some operators need them (sizes, scales, bounds).
const MAX_KNOWN: usize = 1024;
impl OnnxModule {
    /// Reads a file. External weights are read from its folder.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] and [`Error::Tensor`] if it is no valid ONNX file, [`Error::UnknownOperators`]
    /// if it has operators that are not supported.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::read(&bytes, Some(path.parent().unwrap_or(Path::new(""))), device)
    }

    /// Reads the bytes of a file, which has all its weights inside.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self, Error> {
        Self::read(bytes, None, device)
    }

    fn read(bytes: &[u8], folder: Option<&Path>, device: &Device) -> Result<Self, Error> {
        let format = |reason: String| Error::Format { reason };
        let model = proto::Model::read(bytes).map_err(|fault| format(fault.to_string()))?;
        let graph = model.graph.ok_or_else(|| format("it has no graph".into()))?;
        let opset =
            *model.opsets.get("").ok_or_else(|| format("it names no version of ONNX's operators".into()))?;
        let reader = Reader::new(folder, &graph);
        let (mut graph, mut weights, integers) = reader.main(graph)?;
        reader.dequantize(&mut graph, &mut weights, integers, opset)?;
        patterns::join(&mut graph);
        let functions = reader.functions(model.functions)?;
        program::check_operators(&graph, &functions)?;
        let paths = weight_paths(&graph, &weights);
        let (mut known, mut weight_of, mut read) = (Vec::new(), HashMap::new(), Vec::new());
        for (index, (weight, path)) in weights.into_iter().zip(paths).enumerate() {
            let named = |reason: String| Error::Tensor { name: weight.names[0].clone(), reason };
            let numbers = weight.source.read(folder)?;
            known
                .push((numbers.num_elements() <= MAX_KNOWN).then(|| Arc::new(Array::known(numbers.clone()))));
            read.push(Weight { path, value: AnyParam::new(numbers, device).map_err(named)? });
            weight_of.extend(weight.names.into_iter().map(|name| (name, index)));
        }
        let first = graph.outputs.first().ok_or_else(|| format("it has no outputs".into()))?;
        let score = score(&graph, opset, &first.name);
        let outputs = graph.outputs.clone();
        let channels_last = graph.inputs.iter().map(Port::from).any(|port| port.has_channels_last());
        let program = Program {
            has_constant_shapes: graph.has_constant_shapes(),
            graph,
            functions,
            opset,
            weight_of,
            known,
            metadata: model.metadata,
            producer: model.producer,
        };
        let program = Arc::new(program);
        Ok(Self { weights: read, program, channels_last, outputs, score, given: HashMap::new() })
    }

    /// Computes and explains one output of several, and not the first one.
    ///
    /// # Errors
    /// [`Error::Signature`] if there is no such output.
    pub fn with_output(self, name: &str) -> Result<Self, Error> {
        let Program { graph, opset, .. } = &*self.program;
        let output = graph.outputs.iter().find(|output| output.name == name).ok_or_else(|| {
            let all: Vec<Port> = graph.outputs.iter().map(Port::from).collect();
            Error::Signature {
                reason: format!("there is no output `{}`; there are {}", name.escape_debug(), list(&all)),
            }
        })?;
        let (outputs, score) = (vec![output.clone()], score(graph, *opset, name));
        Ok(Self { outputs, score, ..self })
    }

    /// States the value of an input that is not the images. One of a single row is that of each image of a batch.
    ///
    /// # Errors
    /// [`Error::Signature`] if there is no such input, or the value has another shape.
    pub fn with_input(mut self, name: &str, value: TensorData) -> Result<Self, Error> {
        let images = self.image_input()?.name;
        let others: Vec<Port> = self.inputs().into_iter().filter(|input| input.name != images).collect();
        let input = others.iter().find(|input| input.name == name).ok_or_else(|| Error::Signature {
            reason: match others.is_empty() {
                true => format!("there is no input `{}` but that of the images", name.escape_debug()),
                false => format!("there is no input `{}`; there are {}", name.escape_debug(), list(&others)),
            },
        })?;
        let fits = |shape: &Vec<Option<usize>>| {
            let lengths = shape.iter().zip(value.shape().iter());
            shape.len() == value.shape().num_dims()
                && lengths.clone().all(|(own, given)| own.is_none_or(|own| own == *given))
        };
        if !input.shape.as_ref().is_none_or(fits) {
            let shape = value.shape().to_vec();
            return Err(Error::Signature {
                reason: format!("the input {input} was given the shape {shape:?}"),
            });
        }
        self.given.insert(name.into(), value);
        Ok(self)
    }

    /// Returns the inputs of the model.
    pub fn inputs(&self) -> Vec<Port> {
        self.program.graph.inputs.iter().map(Port::from).collect()
    }

    /// Returns the outputs of the model: those that are computed.
    pub fn outputs(&self) -> Vec<Port> {
        self.outputs.iter().map(Port::from).collect()
    }

    /// Returns what the file says about itself: pairs of keys and values that its exporter wrote.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.program.metadata
    }

    /// Returns the name of the program that wrote the file.
    pub fn producer(&self) -> &str {
        &self.program.producer
    }

    /// Returns the activation at the end of the network. [`classify`](Self::classify) returns the logits before it.
    pub fn activation(&self) -> Option<OutputActivation> {
        self.score.activation
    }

    /// Reports whether the output that is explained is declared to be one row of numbers for each image.
    pub fn outputs_rows(&self) -> bool {
        let first = self.outputs.first().and_then(|output| output.shape.clone());
        first.is_some_and(|shape| {
            shape.len() == 2
                || shape
                    .get(2..)
                    .is_some_and(|more| !more.is_empty() && more.iter().all(|length| *length == Some(1)))
        })
    }

    /// Reports whether the file may be for one batch size: its input has a fixed one, or it has constant shapes, which some exporters write
    /// although the input has a free one.
    pub fn may_be_of_one_batch_size(&self) -> bool {
        let stated = || self.image_input().ok()?.shape?.first().copied().flatten();
        self.program.has_constant_shapes || stated().is_some()
    }

    /// Reports whether the file rounds to quantized values. Gradients pass the rounding unchanged, and are zero where a value is clipped
    /// (the straight-through estimator).
    pub fn is_quantized(&self) -> bool {
        let Program { graph, functions, .. } = &*self.program;
        nodes(graph, functions).iter().any(|node| rounds(&node.operator))
    }

    /// Returns the shape of the input that gets the images: the first with four axes.
    ///
    /// # Errors
    /// [`Error::Signature`] if no input can be images.
    pub fn image_input(&self) -> Result<Port, Error> {
        let inputs = self.inputs();
        let is_image = |port: &&Port| port.shape.as_ref().is_some_and(|shape| shape.len() == 4);
        inputs.iter().find(is_image).cloned().ok_or_else(|| Error::Signature {
            reason: format!(
                "the model is not for images: none of its inputs has four axes ({})",
                list(&inputs)
            ),
        })
    }

    /// States whether the images of the input have their channels last, whatever its shape suggests.
    pub fn with_channels_last(self, channels_last: bool) -> Self {
        Self { channels_last, ..self }
    }

    /// Reports whether the images of the input have their channels last: `[batch, height, width, channels]`.
    pub fn has_channels_last(&self) -> bool {
        self.channels_last
    }

    /// Runs a classifier.
    ///
    /// # Shapes
    /// - images: `[batch, channels, height, width]`
    /// - output: `[batch, classes]`, the logits
    ///
    /// # Errors
    /// [`Error::Signature`] if the model is no classifier of images, [`Error::Operator`] if a node cannot be computed.
    pub fn classify(&self, images: Tensor<4>) -> Result<Tensor<2>, Error> {
        let batch = images.dims()[0];
        let name = self.score.name.clone();
        let outputs = self.run_images(images, &[&name])?;
        let missing =
            || Error::Signature { reason: format!("the output `{}` is not computed", name.escape_debug()) };
        let score = outputs.arrays.into_iter().next().ok_or_else(missing)?;
        let shape = score.shape();
        let classes: usize = shape.iter().skip(1).product();
        let is_row =
            shape.first() == Some(&batch) && shape.iter().skip(1).filter(|length| **length > 1).count() <= 1;
        if !is_row {
            return Err(Error::Signature {
                reason: format!(
                    "the model is no classifier: its output `{}` has the shape {shape:?}, and [{batch}, classes] is needed",
                    name.escape_debug()
                ),
            });
        }
        let failed = |reason| Error::Signature { reason };
        Ok(Tensor::from_dispatch(score.reshape(&[batch, classes]).map_err(failed)?.tensor()))
    }

    /// Runs the model and returns its first output alone, before the activation at its end.
    ///
    /// # Shapes
    /// - images: `[batch, channels, height, width]`
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn scores(&self, images: Tensor<4>) -> Result<Outputs, Error> {
        let name = self.score.name.clone();
        self.run_images(images, &[&name])
    }

    /// Runs the model and returns all its outputs.
    ///
    /// # Shapes
    /// - images: `[batch, channels, height, width]`
    ///
    /// # Errors
    /// [`Error::Signature`] if the model has no input for images or needs more inputs, [`Error::Operator`] if a node cannot be computed.
    pub fn forward(&self, images: Tensor<4>) -> Result<Outputs, Error> {
        let names: Vec<&str> = self.outputs.iter().map(|output| output.name.as_str()).collect();
        self.run_images(images, &names)
    }

    /// Runs the model on any inputs by their names and returns all its outputs.
    ///
    /// # Errors
    /// [`Error::Operator`] if a node cannot be computed or an input is missing.
    pub fn run(&self, inputs: Vec<(String, TensorData)>, device: &Device) -> Result<Outputs, Error> {
        let value = |numbers: TensorData| match Array::known(numbers) {
            array if *device == Device::flex() => Value::Known(array),
            array => Value::Recorded(array.on(device)),
        };
        let own = inputs.into_iter().map(|(name, numbers)| (name, value(numbers))).collect();
        let names: Vec<&str> = self.outputs.iter().map(|output| output.name.as_str()).collect();
        outputs(&names, &self.run_values(own, None, device)?, device)
    }

    fn run_images(&self, images: Tensor<4>, names: &[&str]) -> Result<Outputs, Error> {
        let program = &self.program;
        let port = self.image_input()?;
        let others = program.graph.inputs.iter().filter(|input| input.name != port.name);
        let missing: Vec<Port> =
            others.clone().filter(|input| !self.given.contains_key(&input.name)).map(Port::from).collect();
        if !missing.is_empty() {
            let missing = list(&missing);
            return Err(Error::Signature {
                reason: format!("the model needs further inputs (`--input NAME=FILE.npy`): {missing}"),
            });
        }
        let device = images.device();
        let dims = images.dims();
        let images = match self.channels_last {
            true => images.permute([0, 2, 3, 1]),
            false => images,
        };
        // Some exporters declare a free batch and write the shapes of one image.
        let exported = port.shape.as_ref().and_then(|shape| shape[0]).unwrap_or(1);
        let given = |images: Tensor<4>| {
            let batch = images.dims()[0];
            let images = Value::Recorded(Array::from(images.into_dispatch()));
            let mut own = HashMap::from([(port.name.clone(), images)]);
            for input in others.clone() {
                let failed = |reason| Error::Signature {
                    reason: format!("the input {}: {reason}", Port::from(input)),
                };
                let value = Array::known(for_batch(&self.given[&input.name], input, batch));
                let value = value.cast(Kind::of_type(input.kind).map_err(failed)?);
                own.insert(input.name.clone(), Value::Known(value));
            }
            Ok(own)
        };
        let rebatched = match exported != dims[0] && program.has_constant_shapes {
            true => {
                let mut shape = images.dims();
                shape[0] = exported;
                let values = self.run_values(given(Tensor::zeros(shape, &device))?, None, &device)?.own;
                Some(Rebatched { exported, batch: dims[0], values })
            }
            false => None,
        };
        let values = self.run_values(given(images)?, rebatched.as_ref(), &device)?;
        outputs(names, &values, &device)
    }

    /// Runs the graph. Returns all its values.
    ///
    /// - own: the values of the inputs
    fn run_values(
        &self,
        mut own: HashMap<String, Value>,
        batch: Option<&Rebatched>,
        device: &Device,
    ) -> Result<Values<'_>, Error> {
        let program = &self.program;
        for (name, array) in &program.graph.constants {
            own.insert(name.clone(), Value::Known(array.clone()));
        }
        for (name, index) in &program.weight_of {
            let array = Array::from(self.weights[*index].value.tensor());
            own.insert(name.clone(), Value::Weight(array, program.known[*index].clone()));
        }
        let left = Cell::new(MAX_NODES);
        let context = Context { functions: &program.functions, opset: program.opset, device, batch, left };
        let given: usize = own.values().map(|value| value.shape().iter().product::<usize>()).sum();
        let room = ROOM + 4 * given * size_of::<f32>();
        let mut values = Values { own, around: None };
        within(room, || context.run(&program.graph.nodes, &mut values, 0))?;
        Ok(values)
    }
}

/// Returns the value of an input for a batch: that of a single row is repeated, unless the input has one row only.
fn for_batch(value: &TensorData, input: &proto::ValueInfo, batch: usize) -> TensorData {
    let rows = input.shape.as_ref().and_then(|shape| shape.first().copied().flatten());
    let mut shape = value.shape().to_vec();
    if shape.first() != Some(&1) || rows == Some(1) {
        return value.clone();
    }
    shape[0] = batch;
    TensorData::from_bytes_vec(value.as_bytes().repeat(batch), shape, value.dtype())
}

fn outputs(names: &[&str], values: &Values<'_>, device: &Device) -> Result<Outputs, Error> {
    let output = |name: &&str| {
        let value = values.get(name).ok_or_else(|| Error::Signature {
            reason: format!("there is no output `{}`", name.escape_debug()),
        })?;
        Ok(value.here(device))
    };
    Ok(Outputs {
        names: names.iter().map(|name| name.to_string()).collect(),
        arrays: names.iter().map(output).collect::<Result<_, Error>>()?,
    })
}

impl Port {
    /// Reports whether the shape suggests images with their channels last: the second axis has too many positions for channels, and the last
    /// has few.
    fn has_channels_last(&self) -> bool {
        let is_channels = |length: &Option<usize>| length.is_some_and(|length| length <= 4);
        matches!(self.shape.as_deref(), Some([_, first, _, last]) if !is_channels(first) && is_channels(last))
    }
}

impl From<&proto::ValueInfo> for Port {
    fn from(info: &proto::ValueInfo) -> Self {
        Self { name: info.name.clone(), shape: info.shape.clone() }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |length: &Option<usize>| length.map_or_else(|| "?".into(), |length| length.to_string());
        match &self.shape {
            Some(shape) => {
                let lengths: Vec<String> = shape.iter().map(length).collect();
                write!(f, "`{}` [{}]", self.name.escape_debug(), lengths.join(", "))
            }
            None => write!(f, "`{}`", self.name.escape_debug()),
        }
    }
}

fn list(ports: &[Port]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns what is explained of an output: itself, or the logits before its softmax or sigmoid.
fn score(graph: &Graph, opset: i64, output: &str) -> Score {
    let mut name = output.to_string();
    let producers: HashMap<&str, &program::Node> = graph
        .nodes
        .iter()
        .flat_map(|node| node.outputs.iter().map(move |output| (output.as_str(), node)))
        .collect();
    let mut activation = None;
    // The nodes of a damaged file may be in a circle.
    for _ in &graph.nodes {
        let Some(node) = producers.get(name.as_str()).filter(|node| node.domain.is_empty()) else { break };
        let Some(input) = node.inputs.first() else { break };
        let axis = node.attributes.get("axis").map_or(if opset >= 13 { -1 } else { 1 }, |axis| axis.int);
        activation = match node.operator.as_str() {
            "Identity" if activation.is_none() => None,
            // Another axis is that of classes at each position.
            "Softmax" if axis == -1 || axis == 1 => Some(OutputActivation::Softmax),
            "Sigmoid" => Some(OutputActivation::Sigmoid),
            _ => break,
        };
        name.clone_from(input);
        if activation.is_some() {
            break;
        }
    }
    Score { name, activation }
}

/// Returns a path for each weight: where the network has it, as far as the file tells.
fn weight_paths(graph: &Graph, weights: &[program::Weight<'_>]) -> Vec<String> {
    let index_of: HashMap<&str, usize> = weights
        .iter()
        .enumerate()
        .flat_map(|(index, weight)| weight.names.iter().map(move |name| (name.as_str(), index)))
        .collect();
    let mut paths: Vec<Option<String>> = vec![None; weights.len()];
    for node in &graph.nodes {
        for (place, input) in node.inputs.iter().enumerate() {
            let Some(index) = index_of.get(input.as_str()).copied() else { continue };
            let name = &weights[index].names[0];
            let is_called_by_module = program::is_called_by_module(name);
            paths[index].get_or_insert_with(|| match node.path.as_deref() {
                Some(module) if !module.is_empty() => {
                    let leaf = name.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
                    format!("{module}.{}", leaf.unwrap_or_else(|| parameter_name(&node.operator, place)))
                }
                _ if is_called_by_module => name.clone(),
                _ => format!("{}.{}", node.name.replace('.', "_"), parameter_name(&node.operator, place)),
            });
        }
    }
    let mut taken = HashSet::new();
    let unique = |(index, path): (usize, Option<String>)| {
        let path = path.unwrap_or_else(|| weights[index].names[0].clone());
        let mut candidates =
            std::iter::once(path.clone()).chain((2..).map(|number| format!("{path}_{number}")));
        candidates.find(|path| taken.insert(path.clone())).expect("numbers do not end")
    };
    paths.into_iter().enumerate().map(unique).collect()
}

/// Returns what an input of an operator is called in PyTorch.
fn parameter_name(operator: &str, place: usize) -> &'static str {
    match (operator, place) {
        ("BatchNormalization", 3) => "running_mean",
        ("BatchNormalization", 4) => "running_var",
        ("Add", _) | (_, 2) => "bias",
        _ => "weight",
    }
}

impl fmt::Debug for OnnxModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxModule")
            .field("inputs", &self.inputs())
            .field("outputs", &self.outputs())
            .finish()
    }
}

impl OnnxModule {
    fn map_weights(self, mut map: impl FnMut(&str, AnyParam) -> AnyParam) -> Self {
        let weights =
            self.weights.into_iter().map(|Weight { path, value }| Weight { value: map(&path, value), path });
        Self { weights: weights.collect(), ..self }
    }
}

/// The type of the containers in the paths of parameters.
const CONTAINER: &str = "Struct:OnnxModule";

impl Module for OnnxModule {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.weights.iter().fold(devices, |devices, weight| weight.value.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.map_weights(|_, value| value.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.map_weights(|_, value| value.to_device(device))
    }

    fn train(self) -> Self {
        self.map_weights(|_, value| value.train())
    }

    fn valid(&self) -> Self {
        let weight = |weight: &Weight| Weight { path: weight.path.clone(), value: weight.value.valid() };
        Self { weights: self.weights.iter().map(weight).collect(), ..self.clone() }
    }

    fn materialize(self) -> Self {
        self.map_weights(|_, value| value.materialize())
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        for Weight { path, value } in &self.weights {
            path.split('.').for_each(|part| visitor.enter_module(part, CONTAINER));
            value.visit(visitor);
            path.split('.').rev().for_each(|part| visitor.exit_module(part, CONTAINER));
        }
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        self.map_weights(|path, value| {
            path.split('.').for_each(|part| mapper.enter_module(part, CONTAINER));
            let value = value.map(mapper);
            path.split('.').rev().for_each(|part| mapper.exit_module(part, CONTAINER));
            value
        })
    }
}

/// The outputs of a model, in its order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outputs {
    /// Their names.
    pub names: Vec<String>,
    arrays: Vec<Array>,
}

impl Outputs {
    /// Returns the shapes of the outputs.
    pub fn shapes(&self) -> Vec<Vec<usize>> {
        self.arrays.iter().map(Array::shape).collect()
    }

    /// Returns the outputs, each as one row of floats for each of so many images, `[batch, numbers]`.
    ///
    /// # Errors
    /// [`Error::Signature`] for an output whose first axis is not the batch.
    pub fn rows(self, batch: usize) -> Result<Vec<Tensor<2>>, Error> {
        let row = |(name, array): (String, Array)| {
            let shape = array.shape();
            if shape.first() != Some(&batch) {
                let name = name.escape_debug();
                let reason =
                    format!("the output `{name}` has the shape {shape:?}, whose first axis is not the batch");
                return Err(Error::Signature { reason });
            }
            let failed = |reason| Error::Signature { reason };
            let numbers = shape[1..].iter().product();
            let array = array.reshape(&[batch, numbers]).map_err(failed)?;
            Ok(Tensor::from_dispatch(array.cast(Kind::Float).tensor()))
        };
        self.names.into_iter().zip(self.arrays).map(row).collect()
    }

    /// Returns the numbers of the outputs: floats in single precision, integers as `i64`.
    pub fn data(&self) -> Vec<TensorData> {
        self.arrays.iter().map(Array::data).collect()
    }
}

impl Tensors for Outputs {
    fn map_tensors(self, map: MapTensor<'_>) -> Self {
        Self { arrays: self.arrays.into_iter().map(|array| array.map(&mut *map)).collect(), ..self }
    }
}
