//! Cases: a module, its forward pass and inputs, recorded and compared with the module itself.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};
use burn::module::{Module, ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::DType;
use cam_core::{
    Error, Evidence, Explain, Explainer, GradCam, Input, Inspect, LayerCam, LayerContext, LayerInfo, Method,
    MethodInfo, Model, NoModule, Taps, Target, layers, method_named,
};
use cam_graph::{Recorded, Tensors, record};
use std::sync::{Arc, Mutex};

/// The relative difference of two passes of a network in single precision, from the order of sums.
pub const ROUNDING: f32 = 2e-6;

pub fn device() -> Device {
    Device::flex()
}

/// A module whose parameters and running statistics are deterministic pseudorandom numbers.
pub fn filled<M: Module>(module: M) -> M {
    module.map(&mut Fill::default())
}

#[derive(Default)]
struct Fill {
    seen: usize,
}

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.dims();
        let count = shape.iter().product::<usize>();
        // Vectors are biases, scales and variances, which must be positive; all others are weights.
        let (offset, width) = match D {
            1 => (0.6, 0.4),
            _ => (0.0, 2.0 / ((count / shape[0]) as f32).sqrt()),
        };
        let numbers: Vec<f32> = (0..count).map(|n| offset + width * number(self.seen + n)).collect();
        self.seen += count;
        let values = Tensor::<1>::from_floats(numbers.as_slice(), &tensor.device());
        Param::from_mapped_value(id, values.reshape(shape), mapper)
    }
}

/// A pseudorandom number from -1 to 1.
fn number(seed: usize) -> f32 {
    let mut bits = (seed as u32).wrapping_mul(0x9E37_79B9) ^ 0x5bd1_e995;
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x85EB_CA6B);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xC2B2_AE35);
    ((bits ^ (bits >> 16)) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// Pseudorandom numbers. The first images of a batch are those of a smaller batch.
pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|n| number(n + 77)).collect();
    Tensor::<1>::from_floats(numbers.as_slice(), &device()).reshape(shape)
}

/// Images of three channels with different heights and widths.
pub fn images(batch: usize) -> Tensor<4> {
    random([batch, 3, 16, 12])
}

/// Square images.
pub fn squares(batch: usize) -> Tensor<4> {
    random([batch, 3, 16, 16])
}

/// Signals of three channels.
pub fn signals(batch: usize) -> Tensor<3> {
    random([batch, 3, 24])
}

/// Volumes of two channels.
pub fn volumes(batch: usize) -> Tensor<5> {
    random([batch, 2, 8, 6, 4])
}

/// The mean of each channel.
pub fn pooled(x: Tensor<4>) -> Tensor<2> {
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

/// A recorded module and what is expected of it.
///
/// [`Case::has_layers`] compares at batch 1, 2 and 5: every output and the gradient of every input with those of `module.valid()`; the layers with
/// exactly the expected ones; and the map of each layer at batch 1 with that of the same image at batch 2 (a single image is recorded
/// differently) and with that of a replay from the layer that changes nothing.
pub struct Case<M, I, O> {
    module: M,
    forward: fn(&M, I) -> O,
    #[allow(clippy::type_complexity, reason = "a forward pass as it is written")]
    recorded: Recorded<M, fn(&M, I) -> O, I, O>,
    input: fn(usize) -> I,
    rounding: f32,
}

pub fn case<M, I, O>(module: M, input: fn(usize) -> I, forward: fn(&M, I) -> O) -> Case<M, I, O>
where
    M: Module,
    I: Input + Tensors,
    O: Tensors,
{
    let module = filled(module);
    let recorded = record(&module, forward).unwrap();
    Case { module, forward, recorded, input, rounding: ROUNDING }
}

impl<M, I, O> Case<M, I, O>
where
    M: Module + Sync,
    I: Input + Tensors,
    O: Tensors + 'static,
{
    /// The tolerance, relative to the largest number.
    pub fn within(self, rounding: f32) -> Self {
        Self { rounding, ..self }
    }

    /// Compares the recording with the module itself. Layers are written `conv1 8 @ 16x12`: name, channels and grid. Attention weights have a
    /// `*` before their channels, which are heads times queries.
    pub fn has_layers(self, expected: &[&str]) -> Self {
        self.computed();
        let recorded = Erased(&|x, taps: &Taps<'_>| self.recorded.forward(x, taps));
        maps_agree(&recorded, self.input, expected, self.rounding.max(1e-5));
        self
    }

    /// Compares only outputs and gradients.
    pub fn computed(&self) {
        let valid = self.module.valid();
        same_numbers(
            &|x| (self.forward)(&valid, x),
            &|x| self.recorded.forward(x, &Taps::off()),
            self.input,
            self.rounding,
        );
    }

    /// Compares the maps of these layers with those of the same network tapped by hand.
    pub fn tapped(self, layers: &[&str], forward: fn(&M, I, &Taps<'_>) -> O) -> Self {
        let valid = self.module.valid();
        let by_hand = Erased(&move |x, taps: &Taps<'_>| forward(&valid, x, taps));
        let recorded = Erased(&|x, taps: &Taps<'_>| self.recorded.forward(x, taps));
        same_maps(&recorded, &by_hand, (self.input)(2), layers, self.rounding.max(1e-5));
        self
    }
}

/// A forward pass with the type of its module erased, so that each type of input and output is compiled once.
struct Erased<'a, I, O>(&'a dyn Fn(I, &Taps<'_>) -> O);

impl<I, O> Model<I, O> for Erased<'_, I, O> {
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, input: I, taps: &Taps<'_>) -> O {
        (self.0)(input, taps)
    }
}

fn flat(tensor: DispatchTensor) -> Tensor<1> {
    let shape = [tensor.shape().num_elements()];
    Tensor::from_dispatch(Dispatch::float_reshape(tensor, shape.into()))
}

/// The values of the floating-point tensors of a value.
pub fn numbers<T: Tensors>(value: &T) -> Vec<Tensor<1>> {
    let mut all = Vec::new();
    value.clone().map_tensors(&mut |tensor| {
        if tensor.dtype().is_float() {
            all.push(flat(tensor.clone()).cast(DType::F32));
        }
        tensor
    });
    all
}

/// One score per image: a weighted sum of all outputs with distinct weights.
pub fn score<O: Tensors>(output: &O) -> Tensor<1> {
    let mut batch = 0;
    output.clone().map_tensors(&mut |tensor| {
        batch = tensor.shape()[0];
        tensor
    });
    let rows = numbers(output).into_iter().map(|all| {
        let columns = all.dims()[0] / batch;
        let weights: Vec<f32> = (0..columns).map(|n| number(n + 5)).collect();
        let weights = Tensor::<1>::from_floats(weights.as_slice(), &device()).unsqueeze::<2>();
        (all.reshape([batch, columns]) * weights).sum_dim(1).squeeze_dim::<1>(1)
    });
    rows.reduce(|sum, row| sum + row).expect("an output")
}

pub fn read(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// The largest difference, relative to the largest expected number.
pub fn apart(expected: &[f32], found: &[f32]) -> f32 {
    assert_eq!(expected.len(), found.len());
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let most = expected.iter().zip(found).fold(0.0, |most: f32, (a, b)| {
        assert!(a.is_finite() && b.is_finite(), "{a} and {b}");
        most.max((a - b).abs())
    });
    most / largest
}

/// All outputs, and the gradient of the score for all inputs.
fn outputs_and_gradients<I: Tensors, O: Tensors>(forward: &dyn Fn(I) -> O, input: I) -> [Vec<Vec<f32>>; 2] {
    let outputs = numbers(&forward(input.clone())).into_iter().map(read).collect();
    let mut leaves = Vec::new();
    let input = input.map_tensors(&mut |tensor| {
        if !tensor.dtype().is_float() {
            return tensor;
        }
        let leaf = flat(tensor.clone()).autodiff().require_grad();
        leaves.push(leaf.clone());
        Dispatch::float_reshape(leaf.into_dispatch(), tensor.shape())
    });
    let gradients = score(&forward(input)).sum().backward();
    let gradients = leaves.iter().map(|leaf| read(leaf.grad(&gradients).expect("a gradient"))).collect();
    [outputs, gradients]
}

fn same_numbers<I: Input + Tensors, O: Tensors>(
    direct: &dyn Fn(I) -> O,
    recorded: &dyn Fn(I) -> O,
    input: fn(usize) -> I,
    rounding: f32,
) {
    for batch in [1, 2, 5] {
        let expected = outputs_and_gradients(direct, input(batch));
        let found = outputs_and_gradients(recorded, input(batch));
        for ((expected, found), what) in expected.iter().zip(&found).zip(["output", "gradient"]) {
            assert_eq!(expected.len(), found.len());
            for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
                let is_blank = expected.iter().all(|x| *x == expected[0]);
                assert!(!is_blank || expected.len() == batch, "{what} {place} is blank at batch {batch}");
                assert!(expected.iter().any(|x| *x != 0.0), "{what} {place} is zero at batch {batch}");
                let apart = apart(expected, found);
                assert!(apart <= rounding, "{what} {place} is {apart:e} apart at batch {batch}");
            }
        }
    }
}

/// `conv1 8 @ 16x12`
fn text(layer: &LayerInfo) -> String {
    let grid: Vec<String> = layer.grid.iter().map(usize::to_string).collect();
    let star = if layer.attention { "*" } else { "" };
    format!("{} {star}{} @ {}", layer.name, layer.channels, grid.join("x"))
}

fn maps_agree<I, O>(model: &Erased<'_, I, O>, input: fn(usize) -> I, expected: &[&str], rounding: f32)
where
    I: Input + Tensors,
    O: Tensors + 'static,
{
    for batch in [1, 2, 5] {
        let found: Vec<String> = layers(model, input(batch)).unwrap().iter().map(text).collect();
        assert_eq!(found, expected, "at batch {batch}");
    }
    for layer in layers(model, input(1)).unwrap() {
        let name = layer.name;
        // The second of two targets is explained by a replay from the layer.
        let [one, two, again] = [(1, 1), (2, 1), (2, 2)]
            .map(|(batch, targets)| evidence(model, &name, &GradCam, input(batch), targets));
        match (one, two, again) {
            (Ok(one), Ok(two), Ok(again)) => {
                let (a, b) = (apart(&two[..one.len()], &one), apart(&two, &again));
                assert!(a <= rounding, "{name} is {a:e} apart between batch 1 and 2");
                assert!(b <= rounding, "{name} is {b:e} apart in a replay");
            }
            (Err(one), Err(two), Err(again)) => {
                assert_eq!((&one, &one), (&two, &again));
                assert!(matches!(one, Error::NotConnected { .. }), "{name}: {one}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn same_maps<I, O>(
    recorded: &Erased<'_, I, O>,
    by_hand: &Erased<'_, I, O>,
    input: I,
    layers: &[&str],
    rounding: f32,
) where
    I: Input + Tensors,
    O: Tensors + 'static,
{
    let methods: [&'static dyn Method; 3] =
        [&GradCam, &LayerCam, method_named("ablationcam").expect("a method")];
    for layer in layers {
        for method in methods {
            let [ours, theirs] =
                [recorded, by_hand].map(|model| evidence(model, layer, method, input.clone(), 1).unwrap());
            let apart = apart(&theirs, &ours);
            assert!(theirs.iter().any(|x| *x != theirs[0]), "{} at {layer} is blank", method.name());
            assert!(apart <= rounding, "{} at {layer} is {apart:e} apart", method.name());
        }
    }
}

/// The evidence at a layer for the last of several equal targets: `[batch, channels, positions]`.
fn evidence<I, O>(
    model: &Erased<'_, I, O>,
    layer: &str,
    method: &'static dyn Method,
    input: I,
    targets: usize,
) -> Result<Vec<f32>, Error>
where
    I: Input,
    O: Tensors + 'static,
{
    let seen = Arc::default();
    let noted = Noted { method, seen: Arc::clone(&seen) };
    let target = |output: &O| score(output);
    let targets: Vec<&dyn Target<O>> = vec![&target; targets];
    Explainer::new(model).layer(layer).method(noted).explain_each(input, &targets)?;
    Ok(seen.lock().unwrap().pop().expect("one evidence a target"))
}

/// A method whose evidence is recorded.
struct Noted {
    method: &'static dyn Method,
    seen: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Method for Noted {
    fn info(&self) -> MethodInfo {
        self.method.info()
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move {
            let evidence = self.method.evidence(layer).await?;
            self.seen.lock().unwrap().push(read(evidence.clone().flatten(0, 2)));
            Ok(evidence)
        })
    }
}
