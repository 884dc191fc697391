//! The tap: a forward pass names its layers, and one statement serves everything that a method may need.
//!
//! | mode | what [`Taps::layer`] does |
//! |---|---|
//! | off | runs the closure; formats no name and keeps nothing |
//! | capture | keeps the activation of the layers asked for and starts the tape of gradients there |
//! | record | also keeps the value of each layer as it finishes, in order |
//! | replay | returns the recorded value of a layer that finished before the edited one, and does not run it again |
//!
//! The work of a layer is inside the closure, so a replay runs only the *tail* of the network, whatever residual
//! connections lead around the layer. A layer encloses its children, so an ancestor of the edited layer finishes after
//! it and is run.
//!
//! Besides layers, a forward pass can name what only some methods ask for: the bias of a layer ([`Taps::biased`], for
//! FullGrad), attention matrices (the layout [`Attention`](crate::Attention), for LeGrad and rollout), and ReLUs
//! ([`Taps::relu`], for guided backpropagation).

mod capture_spec;
mod layer_trace;
mod recording;
mod relu_masks;
mod replay_cache;
mod rows;

use crate::guided::Cut;
use crate::{Error, Input, Layout};
use burn::Tensor;
use burn::tensor::{DType, activation};
pub(crate) use capture_spec::CaptureSpec;
pub(crate) use layer_trace::LayerTrace;
pub use recording::LayerInfo;
use recording::single_precision;
pub(crate) use recording::{Captured, GradReader, LayerGradient, Recording};
pub(crate) use relu_masks::ReluMasks;
pub(crate) use replay_cache::ReplayCache;
pub use rows::Rows;
use std::cell::RefCell;
use std::f64::consts::FRAC_1_SQRT_2;
use std::fmt::{self, Display};

/// What a forward pass names its layers with.
///
/// ```
/// use burn::prelude::*;
/// use burn::tensor::activation::relu;
/// use cam_core::{Nchw, Taps};
///
/// fn forward(images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
///     let x = taps.layer("stage1", Nchw, || relu(images));
///     let x = taps.layer(format_args!("stage{}", 2), Nchw, || x * 2.0);
///     x.mean_dims(&[2, 3]).flatten(1, 3)
/// }
///
/// // Plain inference: the taps are off and cost nothing.
/// let logits = forward(Tensor::ones([1, 3, 4, 4], &Device::flex()), &Taps::off());
/// assert_eq!(logits.dims(), [1, 3]);
/// ```
pub struct Taps<'a> {
    mode: Mode<'a>,
    /// What names start with now: the name of the layer or scope in progress, empty outside all.
    scope: RefCell<String>,
    recording: RefCell<Recording>,
}

enum Mode<'a> {
    Off,
    Capture { spec: &'a CaptureSpec, batch: usize, tape: bool, record: bool },
    Replay { replay: Replay<'a>, spec: &'a CaptureSpec },
    Guided,
}

/// The name of the input as a layer.
pub const INPUT: &str = "input";

/// Which part of the network is run again, and on what.
#[derive(Clone, Copy)]
pub(crate) struct Replay<'a> {
    pub cache: &'a ReplayCache,
    /// The layer whose value is edited; only what finishes after it runs.
    pub from: &'a str,
    pub rows: Rows,
    pub edit: &'a dyn Fn(Tensor<3>) -> Tensor<3>,
    /// Holds each ReLU to what it lets through in plain inference, whatever is edited.
    pub masks: Option<&'a ReluMasks>,
    /// The layer after which its later siblings (`blocks.4` after `blocks.3`) are left out, as if the network ended there, on
    /// the mean of its positions.
    pub exit: Option<&'a str>,
}

impl<'a> Taps<'a> {
    fn new(mode: Mode<'a>) -> Self {
        Self { mode, scope: RefCell::default(), recording: RefCell::default() }
    }

    /// Makes taps that do nothing: for plain inference and training.
    pub fn off() -> Self {
        Self::new(Mode::Off)
    }

    /// Captures the layers asked for. With `tape`, starts the tape of gradients there; with `record`, also keeps what a replay from
    /// any of them needs.
    pub(crate) fn capture(spec: &'a CaptureSpec, batch: usize, tape: bool, record: bool) -> Self {
        Self::new(Mode::Capture { spec, batch, tape, record })
    }

    /// Runs only what comes after a layer, with a tape that starts at the layers to capture.
    pub(crate) fn replay(replay: Replay<'a>, spec: &'a CaptureSpec) -> Self {
        Self::new(Mode::Replay { replay, spec })
    }

    /// Cuts the tape at every ReLU and layer, for guided backpropagation.
    pub(crate) fn guided() -> Self {
        Self::new(Mode::Guided)
    }

    /// Captures the input as the first layer, if it is asked for: the tape starts there. Returns the input that goes on.
    pub(crate) fn capture_input<I: Input>(&self, input: I) -> I {
        let (spec, tape) = match self.mode {
            Mode::Off | Mode::Guided => return input,
            Mode::Capture { spec, tape, .. } => (spec, tape),
            Mode::Replay { spec, .. } => (spec, true),
        };
        if !spec.captures_input() {
            return input;
        }
        let (activation, grid) = (input.to_layer(), input.grid());
        let dtype = activation.dtype();
        let (input, gradient): (I, Option<GradReader>) = if tape {
            let leaf = activation.clone().autodiff().require_grad();
            let input = input.with_layer(leaf.clone());
            let read: GradReader = Box::new(move |gradients| {
                leaf.grad_remove(gradients).map(|map| LayerGradient { map, attention: None })
            });
            (input, Some(read))
        } else {
            (input, None)
        };
        let (bias, attention) = (None, None);
        let name = INPUT.into();
        let captured =
            Captured { name, activation, grid, bias, attention, gradient, dtype, norms: Vec::new() };
        self.recording.borrow_mut().captured.push(captured);
        input
    }

    pub(crate) fn into_recording(self) -> Recording {
        self.recording.into_inner()
    }

    /// Names the layer whose work is done by `forward`, and returns its value.
    ///
    /// Names nest: inside the closure of `blocks.0`, a layer named `conv1` is `blocks.0.conv1`, so a block need not know where it
    /// stands. A full name is used once in a network; give a layer the name that it has in the checkpoint. The tap never fails: a problem (a name used twice, a grid that does not fit) is
    /// kept and reported by [`Explain::explain`](crate::Explain::explain), so that a forward pass keeps its plain
    /// signature.
    ///
    /// # Shapes
    /// - the value: batch first, of the rank of the layout
    pub fn layer<const D: usize>(
        &self,
        name: impl Display,
        layout: impl Layout<D>,
        forward: impl FnOnce() -> Tensor<D>,
    ) -> Tensor<D> {
        self.tap(name, layout, None, forward)
    }

    /// Like [`layer`](Self::layer), for a layer that ends by adding a bias to each channel: a convolution, a linear layer, or a norm
    /// in inference (whose bias is $\beta - \gamma \mu / \sigma$). FullGrad adds up what each bias contributes.
    ///
    /// # Shapes
    /// - bias: `[channels]`
    pub fn biased<const D: usize>(
        &self,
        name: impl Display,
        layout: impl Layout<D>,
        bias: Option<Tensor<1>>,
        forward: impl FnOnce() -> Tensor<D>,
    ) -> Tensor<D> {
        self.tap(name, layout, bias, forward)
    }

    /// Runs a part of the network that has no value of its own to name, like an encoder with several outputs: inside `forward`, names
    /// start with `name`.
    ///
    /// ```
    /// use burn::prelude::*;
    /// use cam_core::{Nchw, Taps, layers};
    ///
    /// fn block(x: Tensor<4>, taps: &Taps<'_>) -> Tensor<4> {
    ///     taps.layer("conv1", Nchw, || x.square()) * 2.0
    /// }
    ///
    /// let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
    ///     let x = taps.scope("encoder", || taps.layer("blocks.0", Nchw, || block(images, taps)));
    ///     x.mean_dims(&[2, 3]).flatten(1, 3)
    /// };
    /// let layers = layers(&model, Tensor::<4>::ones([1, 3, 4, 4], &Device::flex()))?;
    /// let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    /// assert_eq!(names, ["encoder.blocks.0.conv1", "encoder.blocks.0"]);
    /// # Ok::<(), cam_core::Error>(())
    /// ```
    pub fn scope<R>(&self, name: impl Display, forward: impl FnOnce() -> R) -> R {
        // Plain inference formats no name.
        if let Mode::Off = self.mode {
            return forward();
        }
        self.within(&self.full_name(name), forward)
    }

    /// Returns what names start with now: the full name of the layer or scope in progress, or nothing.
    pub fn current_scope(&self) -> String {
        self.scope.borrow().clone()
    }

    /// Runs `forward` in a scope from [`current_scope`](Self::current_scope). It is for models that compute a layer when its value is
    /// first read, perhaps while another layer is in progress.
    pub fn within<R>(&self, scope: &str, forward: impl FnOnce() -> R) -> R {
        let outer = self.scope.replace(scope.into());
        let value = forward();
        self.scope.replace(outer);
        value
    }

    fn full_name(&self, name: impl Display) -> String {
        let scope = self.scope.borrow();
        if scope.is_empty() { name.to_string() } else { format!("{scope}.{name}") }
    }

    /// Whether the layer with this name may be captured in this pass. A model asks for it if a layer costs something that plain
    /// inference can do without: fused attention computes no matrix of weights.
    pub fn asks(&self, name: impl Display) -> bool {
        // Plain inference formats no name.
        if let Mode::Off = self.mode {
            return false;
        }
        let name = self.full_name(name);
        self.shows(|asked| asked == name)
    }

    /// Whether a layer whose name matches has to be shown.
    fn shows(&self, matches: impl Fn(&str) -> bool) -> bool {
        let is_named = |spec: &CaptureSpec| spec.lists_all() || spec.names.iter().any(|name| matches(name));
        match &self.mode {
            Mode::Off => false,
            Mode::Guided => true,
            Mode::Capture { spec, .. } => is_named(spec),
            Mode::Replay { replay, spec } => {
                // What was shown when it was recorded is shown again.
                let is_recorded = || replay.cache.contains(&matches);
                let is_masked = || {
                    replay.masks.is_some() && (replay.from == INPUT || self.recording.borrow().reached_edit)
                };
                is_named(spec) || matches(replay.from) || is_recorded() || is_masked()
            }
        }
    }

    /// Computes a ReLU that guided backpropagation and ShapleyCAM find; it is the plain one in every other pass.
    pub fn relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.mode {
            Mode::Replay { replay: Replay { masks: Some(masks), .. }, .. } => masks.relu(x),
            Mode::Guided => {
                let (cut, value) = Cut::relu(x);
                self.recording.borrow_mut().cuts.push(cut);
                value
            }
            _ => activation::relu(x),
        }
    }

    /// Computes a GELU, which guided backpropagation has no rule for and refuses; it is the exact one in every other pass, with its
    /// exact gradient.
    ///
    /// Burn's own `gelu` is exact in the forward pass. In the backward pass it uses, on every device but flex, the derivative of the
    /// approximation by tanh: maps of a small vision transformer come out up to 1.5e-2 off. So on the tape it is composed from the
    /// error function.
    pub fn gelu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.unguided("GELU");
        if !x.is_tracked() {
            return activation::gelu(x);
        }
        let (dtype, x) = (x.dtype(), x.cast(DType::F32));
        (x.clone() * ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5).cast(dtype)
    }

    /// Computes a SiLU (swish), which guided backpropagation has no rule for and refuses; it is the plain one in every other pass.
    pub fn silu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.unguided("SiLU");
        activation::silu(x)
    }

    /// Marks a value that several later parts of the network read: guided backpropagation walks what is before it once.
    pub fn shared<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if !matches!(self.mode, Mode::Guided) || !x.is_tracked() {
            return x;
        }
        let (cut, value) = Cut::plain(x);
        self.recording.borrow_mut().cuts.push(cut);
        value
    }

    /// Marks an activation that guided backpropagation has no rule for: a guided pass ends in [`Error::NotGuided`], which names it;
    /// every other pass goes on. It is for models that compute such an activation without these taps.
    pub fn unguided(&self, activation: &'static str) {
        if let Mode::Guided = self.mode {
            self.recording.borrow_mut().error.get_or_insert(Error::NotGuided { activation });
        }
    }

    fn tap<const D: usize>(
        &self,
        name: impl Display,
        layout: impl Layout<D>,
        bias: Option<Tensor<1>>,
        forward: impl FnOnce() -> Tensor<D>,
    ) -> Tensor<D> {
        match &self.mode {
            Mode::Off => forward(),
            Mode::Guided => {
                // A cut that changes no gradient: what is between two cuts is walked once, however often it is read.
                let (cut, value) = Cut::plain(forward());
                self.recording.borrow_mut().cuts.push(cut);
                value
            }
            Mode::Capture { spec, batch, tape, record } => {
                let name = self.full_name(name);
                let (listed, captured, cached) = {
                    let recording = self.recording.borrow();
                    (recording.trace.layers.len(), recording.captured.len(), recording.cache.len())
                };
                let read = self.recording.borrow().tokens.clone();
                let value = self.within(&name, forward);
                let mut recording = self.recording.borrow_mut();
                let is_innermost = recording.trace.layers.len() == listed;
                let Some(grid) = recording.list(&name, &layout, &value, *batch, is_innermost) else {
                    return value;
                };
                if *record {
                    // Nothing inside a finished layer is asked for again, unless it holds a captured one.
                    if recording.captured.len() == captured {
                        recording.cache.truncate(cached);
                    }
                    recording.cache.push(&name, value.clone().inner());
                }
                if layout.has_tokens() {
                    recording.tokens = Some(layout.to_map(value.clone().inner()));
                }
                match spec.captures(&name, bias.is_some(), layout.attention(&value).is_some()) {
                    true => recording.capture(name, layout, bias, value, (grid, read), *tape),
                    false => value,
                }
            }
            Mode::Replay { replay, spec } => {
                let name = self.full_name(name);
                if let Some(value) = self.value_past_exit(&name, replay.exit) {
                    return value;
                }
                let value = match replay.cache.value::<D>(&name, replay.from) {
                    None => self.within(&name, forward),
                    Some(value) if name != replay.from => return replay.rows.of(value),
                    Some(value) => {
                        self.recording.borrow_mut().reached_edit = true;
                        // The map of the batch is a view of it, and so are copies of one of its rows.
                        let map = replay.rows.of(single_precision(layout.to_map(value.clone())));
                        let (value, edited) = (replay.rows.of(value), (replay.edit)(map));
                        let dtype = value.dtype();
                        layout.put_back(value, edited.cast(dtype))
                    }
                };
                let mut recording = self.recording.borrow_mut();
                if replay.exit == Some(&name) {
                    let value = layout.averaged(value);
                    recording.exit_value = Some(Box::new(value.clone()));
                    return value;
                }
                if !spec.captures(&name, bias.is_some(), layout.attention(&value).is_some()) {
                    return value;
                }
                let grid = layout.grid(value.dims()).unwrap_or_default();
                recording.capture(name, layout, bias, value, (grid, None), true)
            }
        }
    }

    /// Returns the value at the exit, if this layer is a sibling of it that comes later.
    fn value_past_exit<const D: usize>(&self, name: &str, exit: Option<&str>) -> Option<Tensor<D>> {
        let parent = |name: &str| name.rsplit_once('.').map(|(parent, _)| parent.to_string());
        if parent(name)? != parent(exit?)? {
            return None;
        }
        self.recording.borrow().exit_value.as_ref()?.downcast_ref::<Tensor<D>>().cloned()
    }
}

impl fmt::Debug for Taps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.mode {
            Mode::Off => "Taps::Off",
            Mode::Capture { record: false, .. } => "Taps::Capture",
            Mode::Capture { record: true, .. } => "Taps::Record",
            Mode::Replay { .. } => "Taps::Replay",
            Mode::Guided => "Taps::Guided",
        })
    }
}
