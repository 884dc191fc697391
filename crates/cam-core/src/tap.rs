//! The tap: a forward pass names its layers, and one statement serves everything a method may want.
//!
//! | mode | what [`Taps::layer`] does |
//! |---|---|
//! | off | runs the closure; formats no name, holds nothing |
//! | watch | holds the activation of the layers asked for and starts the tape of gradients there |
//! | record | also remembers the value of each layer as it finishes, in order |
//! | replay | a layer that finished before the edited one is not run again: what was remembered is returned |
//!
//! The work of a layer stands inside the closure, so a replay runs only the *tail* of the network, whatever residual
//! connections lead around the layer. A layer encloses its children, so an ancestor of the edited layer finishes after
//! it and is run.
//!
//! Beside layers a forward pass can name what only some methods ask for: the bias of a layer ([`Taps::biased`], for
//! FullGrad), attention matrices (the layout [`Attention`](crate::Attention), for LeGrad and rollout), and ReLUs
//! ([`Taps::relu`], for guided backpropagation).

mod asked;
mod gates;
mod log;
mod memory;
mod rows;

use crate::guided::Cut;
use crate::{Error, Input, Layout};
pub(crate) use asked::Asked;
use burn::Tensor;
use burn::tensor::{DType, activation};
pub(crate) use gates::Gates;
pub use log::LayerInfo;
pub(crate) use log::{Leaf, Watched};
use log::{Log, single};
pub(crate) use memory::Memory;
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
    log: RefCell<Log>,
}

enum Mode<'a> {
    Off,
    Watch { asked: &'a Asked, batch: usize, tape: bool, record: bool },
    Replay { replay: Replay<'a>, watch: &'a Asked },
    Guided,
}

/// The name under which the input can be watched as if it were a layer.
pub const INPUT: &str = "input";

/// Which part of the network is run again, and on what.
#[derive(Clone, Copy)]
pub(crate) struct Replay<'a> {
    pub memory: &'a Memory,
    /// The layer whose value is edited; only what finishes after it runs.
    pub from: &'a str,
    pub rows: Rows,
    pub edit: &'a dyn Fn(Tensor<3>) -> Tensor<3>,
    /// Whether each ReLU lets through what it does in plain inference, whatever is edited.
    pub gates: Option<&'a Gates>,
    /// The layer after which its later siblings (`blocks.4` after `blocks.3`) are left out, as if the network ended there, on
    /// the mean of its places.
    pub exit: Option<&'a str>,
}

impl<'a> Taps<'a> {
    fn new(mode: Mode<'a>) -> Self {
        Self { mode, log: RefCell::default() }
    }

    /// Taps that do nothing: plain inference and training.
    pub fn off() -> Self {
        Self::new(Mode::Off)
    }

    /// Hold the activations of the layers asked for; with `tape`, start the tape of gradients there; with `record`,
    /// remember what a replay from any of them needs.
    pub(crate) fn watch(asked: &'a Asked, batch: usize, tape: bool, record: bool) -> Self {
        Self::new(Mode::Watch { asked, batch, tape, record })
    }

    /// Run only what comes after a layer, with a tape that starts at the layers to `watch`.
    pub(crate) fn replay(replay: Replay<'a>, watch: &'a Asked) -> Self {
        Self::new(Mode::Replay { replay, watch })
    }

    /// Cut the tape at every ReLU and layer, for guided backpropagation.
    pub(crate) fn guided() -> Self {
        Self::new(Mode::Guided)
    }

    /// Holds the input as the first layer: the tape starts there, and what is returned goes on.
    pub(crate) fn hold_input<I: Input>(&self, input: &I) -> I {
        let activation = input.to_layer();
        let dtype = activation.dtype();
        let (held, leaf): (I, Option<Leaf>) = match self.mode {
            Mode::Watch { tape: false, .. } => (input.clone(), None),
            _ => {
                let leaf = activation.clone().autodiff().require_grad();
                (input.with_layer(leaf.clone()), Some(Box::new(move |gradients| leaf.grad_remove(gradients))))
            }
        };
        self.log.borrow_mut().watched.push(Watched {
            name: INPUT.into(),
            activation,
            grid: input.grid(),
            bias: None,
            attention: None,
            dtype,
            leaf,
        });
        held
    }

    pub(crate) fn into_log(self) -> Log {
        self.log.into_inner()
    }

    /// Names the layer whose work stands in `forward`, and returns its value.
    ///
    /// Taps nest: a block may hold taps inside its closure. A name stands for one place of the network; call a layer
    /// what the checkpoint calls it. The tap never fails: what is wrong (a name used twice, a grid that does not fit) is
    /// kept and reported by [`Explainer::explain`](crate::Explainer::explain), so that a forward pass keeps its plain
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

    /// As [`layer`](Self::layer), for one that ends by adding a bias to each channel: a convolution, a linear layer, or a norm
    /// in inference (whose bias is $\beta - \gamma \mu / \sigma$). FullGrad counts what each bias contributes.
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

    /// Whether anyone may look at the layer of this name in this pass. A model asks it where a layer costs something that plain
    /// inference can do without: fused attention computes no matrix of weights.
    pub fn asks(&self, name: impl Display) -> bool {
        // Plain inference formats no name.
        if let Mode::Off = self.mode {
            return false;
        }
        let name = name.to_string();
        self.shows(|asked| asked == name)
    }

    /// Whether a layer has to be shown whose name is one of these.
    fn shows(&self, is_one: impl Fn(&str) -> bool) -> bool {
        let named = |asked: &Asked| asked.all() || asked.names.iter().any(|name| is_one(name));
        match &self.mode {
            Mode::Off => false,
            Mode::Guided => true,
            Mode::Watch { asked, .. } => named(asked),
            Mode::Replay { replay, watch } => {
                // What was shown when it was remembered is shown again.
                let remembered = || replay.memory.has(&is_one);
                let gated = || replay.gates.is_some() && (replay.from == INPUT || self.log.borrow().edited);
                named(watch) || is_one(replay.from) || remembered() || gated()
            }
        }
    }

    /// A ReLU that guided backpropagation and ShapleyCAM find; the plain one in every other pass.
    pub fn relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.mode {
            Mode::Replay { replay: Replay { gates: Some(gates), .. }, .. } => gates.relu(x),
            Mode::Guided => {
                let (cut, value) = Cut::relu(x);
                self.log.borrow_mut().cuts.push(cut);
                value
            }
            _ => activation::relu(x),
        }
    }

    /// A GELU, which guided backpropagation has no rule for and refuses; the exact one in every other pass, with its exact gradient.
    ///
    /// Burn's own `gelu` is exact forwards; backwards it has, on every device but flex, the derivative of the approximation by tanh:
    /// maps of a small vision transformer come out up to 1.5e-2 off. So on the tape it is put together from the error function.
    pub fn gelu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.unguided("GELU");
        if !x.is_tracked() {
            return activation::gelu(x);
        }
        let (dtype, x) = (x.dtype(), x.cast(DType::F32));
        (x.clone() * ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5).cast(dtype)
    }

    /// A SiLU (swish), which guided backpropagation has no rule for and refuses; the plain one in every other pass.
    pub fn silu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.unguided("SiLU");
        activation::silu(x)
    }

    /// A value that several later parts of the network read, where that is known: guided backpropagation walks what lies before it once.
    pub fn shared<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if !matches!(self.mode, Mode::Guided) || !x.is_tracked() {
            return x;
        }
        let (cut, value) = Cut::plain(x);
        self.log.borrow_mut().cuts.push(cut);
        value
    }

    /// Says that an activation follows that guided backpropagation has no rule for: a guided pass ends in
    /// [`Error::NotGuided`], which names it; every other pass goes on. For models that compute one otherwise than by these taps.
    pub fn unguided(&self, activation: &'static str) {
        if let Mode::Guided = self.mode {
            self.log.borrow_mut().trouble.get_or_insert(Error::NotGuided { activation });
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
                // A cut that changes no gradient: what lies between two cuts is walked once, whoever reads it.
                let (cut, value) = Cut::plain(forward());
                self.log.borrow_mut().cuts.push(cut);
                value
            }
            Mode::Watch { asked, batch, tape, record } => {
                let name = name.to_string();
                let (listed, watched, remembered) = {
                    let log = self.log.borrow();
                    (log.course.layers.len(), log.watched.len(), log.memory.len())
                };
                let value = forward();
                let mut log = self.log.borrow_mut();
                let innermost = log.course.layers.len() == listed;
                let Some(grid) = log.enter(&name, &layout, &value, *batch, innermost) else { return value };
                if *record {
                    // Nothing inside a finished layer is asked for again, unless it holds a watched one.
                    if log.watched.len() == watched {
                        log.memory.truncate(remembered);
                    }
                    log.memory.push(&name, value.clone().inner());
                }
                match asked.holds(&name, bias.is_some(), layout.attention(&value).is_some()) {
                    true => log.hold(name, layout, bias, value, grid, *tape),
                    false => value,
                }
            }
            Mode::Replay { replay, watch } => {
                let name = name.to_string();
                if let Some(value) = self.past_exit(&name, replay.exit) {
                    return value;
                }
                let value = match replay.memory.value::<D>(&name, replay.from) {
                    None => forward(),
                    Some(value) if name != replay.from => return replay.rows.of(value),
                    Some(value) => {
                        self.log.borrow_mut().edited = true;
                        // The map of the batch is a view of it, and so are copies of one of its rows.
                        let map = replay.rows.of(single(layout.to_map(value.clone())));
                        let (value, edited) = (replay.rows.of(value), (replay.edit)(map));
                        let dtype = value.dtype();
                        layout.put_back(value, edited.cast(dtype))
                    }
                };
                let mut log = self.log.borrow_mut();
                if replay.exit == Some(&name) {
                    let value = layout.averaged(value);
                    log.exited = Some(Box::new(value.clone()));
                    return value;
                }
                if !watch.holds(&name, bias.is_some(), layout.attention(&value).is_some()) {
                    return value;
                }
                let grid = layout.grid(value.dims()).unwrap_or_default();
                log.hold(name, layout, bias, value, grid, true)
            }
        }
    }

    /// The value at the exit, where this layer is a sibling of it that comes later.
    fn past_exit<const D: usize>(&self, name: &str, exit: Option<&str>) -> Option<Tensor<D>> {
        let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.to_string());
        if stem(name)? != stem(exit?)? {
            return None;
        }
        self.log.borrow().exited.as_ref()?.downcast_ref::<Tensor<D>>().cloned()
    }
}

impl fmt::Debug for Taps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.mode {
            Mode::Off => "Taps::Off",
            Mode::Watch { record: false, .. } => "Taps::Watch",
            Mode::Watch { record: true, .. } => "Taps::Record",
            Mode::Replay { .. } => "Taps::Replay",
            Mode::Guided => "Taps::Guided",
        })
    }
}
