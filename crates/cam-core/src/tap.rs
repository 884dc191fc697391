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

use crate::course::Course;
use crate::guided::Cut;
use crate::{Error, Input, Layout};
use burn::Tensor;
use burn::tensor::activation;
use burn::tensor::kind::Basic;
use burn::tensor::{DType, Gradients};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
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

/// Which layers a pass holds: those of these names, and those of these kinds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub names: Vec<String>,
    pub biased: bool,
    pub attention: bool,
    /// Whether all layers are to be named, held or not.
    pub listed: bool,
}

impl Asked {
    pub fn only(name: &str) -> Self {
        Self { names: vec![name.into()], ..Self::default() }
    }

    /// Whether the input is held too, as a layer. What biases contribute is told beside what the input does.
    pub fn input(&self) -> bool {
        self.holds(INPUT, true, false)
    }

    /// Whether all layers have to be named: those of a kind are found by it.
    fn all(&self) -> bool {
        self.listed || self.biased || self.attention
    }

    fn holds(&self, name: &str, biased: bool, attention: bool) -> bool {
        self.biased && biased || self.attention && attention || self.names.iter().any(|asked| asked == name)
    }
}

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

/// What the ReLUs behind a layer let through in plain inference, in the order in which they run.
///
/// The first pass notes it and the passes after it are held to it: what they change is then the curvature of the network, without the
/// corners of its ReLUs.
#[derive(Default)]
pub(crate) struct Gates {
    noted: RefCell<Vec<Box<dyn Any>>>,
    full: Cell<bool>,
    next: Cell<usize>,
}

impl Gates {
    /// The passes from here on are held to what was noted.
    pub fn close(&self) {
        self.full.set(true);
        self.next.set(0);
    }

    fn relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if !self.full.get() {
            self.noted.borrow_mut().push(Box::new(x.clone().inner().greater_elem(0.0).float()));
            return activation::relu(x);
        }
        let place = self.next.get();
        self.next.set((place + 1) % self.noted.borrow().len().max(1));
        let noted = self.noted.borrow();
        match noted.get(place).and_then(|gate| gate.downcast_ref::<Tensor<D>>()) {
            Some(gate) if gate.dims() == x.dims() => {
                let dtype = x.dtype();
                x * gate.clone().cast(dtype)
            }
            _ => activation::relu(x),
        }
    }
}

/// Which images the rows of a batch stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Each row is an image of the batch.
    All,
    /// Every row is a copy of one image.
    Copies {
        /// The image, counted from 0.
        image: usize,
        /// How many rows there are.
        copies: usize,
    },
}

impl Rows {
    /// The rows of a batch-first tensor of any kind of numbers; copies are a view, no memory is used.
    pub fn of<const D: usize, K: Basic>(self, batch: Tensor<D, K>) -> Tensor<D, K> {
        match self {
            Rows::All => batch,
            Rows::Copies { image, copies } => {
                let one = batch.narrow(0, image, 1);
                let mut shape = one.dims();
                shape[0] = copies;
                one.expand(shape)
            }
        }
    }
}

/// A layer as the forward pass shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name, which is its path in the checkpoint.
    pub name: String,
    /// The shape of its output, batch first.
    pub shape: Vec<usize>,
    /// Its channels.
    pub channels: usize,
    /// The sizes of its spatial axes: `[height, width]` for pictures.
    pub grid: Vec<usize>,
    /// Whether it is a matrix of attention weights.
    pub attention: bool,
}

/// What a pass brought back.
#[derive(Default)]
pub(crate) struct Log {
    pub course: Course,
    pub watched: Vec<Watched>,
    pub memory: Memory,
    pub trouble: Option<Error>,
    /// Where the tape is cut, in a guided pass.
    pub cuts: Vec<Cut>,
    names: HashSet<String>,
    /// Whether a replay has come to the layer that is edited.
    edited: bool,
    /// The value that goes on to the end, once a replay is past its exit.
    exited: Option<Box<dyn Any>>,
}

/// A layer that was asked for.
pub(crate) struct Watched {
    pub name: String,
    /// `[batch, channels, positions]`
    pub activation: Tensor<3>,
    pub grid: Vec<usize>,
    /// The bias that the layer adds, `[channels]`.
    pub bias: Option<Tensor<1>>,
    /// The whole matrix `[batch, heads, queries, keys]`, where the layer is attention.
    pub attention: Option<Tensor<4>>,
    pub leaf: Option<Leaf>,
    /// What the network computes in at this layer.
    pub dtype: DType,
}

/// The name under which the input can be watched as if it were a layer.
pub const INPUT: &str = "input";

/// Where a tape starts: reads the gradient `[batch, channels, positions]` of a layer, if any reached it.
pub(crate) type Leaf = Box<dyn Fn(&mut Gradients) -> Option<Tensor<3>>>;

/// The values of the layers of one pass: of each finished layer the outermost, as nothing inside it runs again.
#[derive(Default)]
pub(crate) struct Memory {
    values: Vec<Box<dyn Any>>,
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Memory {
    fn push<const D: usize>(&mut self, name: &str, value: Tensor<D>) {
        self.places.insert(name.into(), self.values.len());
        self.names.push(name.into());
        self.values.push(Box::new(value));
    }

    /// What replays from these layers need: nothing that finished after the last of them.
    pub fn until(mut self, layers: &[Watched]) -> Self {
        let last = layers.iter().filter_map(|layer| self.places.get(&layer.name)).max();
        self.truncate(last.map_or(0, |place| place + 1));
        self
    }

    fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
        for name in self.names.drain(length..) {
            self.places.remove(&name);
        }
    }

    /// The value of a layer that finished no later than the layer `from`.
    fn value<const D: usize>(&self, name: &str, from: &str) -> Option<Tensor<D>> {
        let place = *self.places.get(name)?;
        if place > *self.places.get(from)? {
            return None;
        }
        self.values[place].downcast_ref::<Tensor<D>>().cloned()
    }
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
        self.shows(|asked| asked == name.to_string())
    }

    /// Whether anyone may look at a layer inside the one of this name in this pass, at `layer4.2.bn1` for `layer4.2`. Where nobody
    /// does, a model can compute the whole at once.
    pub fn asks_inside(&self, name: impl Display) -> bool {
        let inside = format!("{name}.");
        self.shows(|asked| asked.starts_with(&inside))
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
                let remembered = || replay.memory.names.iter().any(|name| is_one(name));
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
                    (log.course.layers.len(), log.watched.len(), log.memory.values.len())
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

impl Log {
    /// Lists a finished layer. `None` when it cannot be used, which is then kept as trouble.
    fn enter<const D: usize>(
        &mut self,
        name: &str,
        layout: &impl Layout<D>,
        value: &Tensor<D>,
        batch: usize,
        innermost: bool,
    ) -> Option<Vec<usize>> {
        let shape = value.dims();
        let wrong = |reason| Error::WrongLayout { layer: name.into(), shape: shape.to_vec(), reason };
        let grid = if name == INPUT || !self.names.insert(name.into()) {
            Err(Error::RepeatedLayer { layer: name.into() })
        } else if shape[0] != batch {
            Err(wrong(format!("the first axis is the batch, of {batch}")))
        } else {
            layout.grid(shape).map_err(wrong)
        };
        match grid {
            Ok(grid) => {
                let channels = layout.channels(shape);
                let finished = self.course.finished.last().copied().unwrap_or(0);
                self.course.finished.push(finished + usize::from(innermost));
                self.course.layers.push(LayerInfo {
                    name: name.into(),
                    shape: shape.to_vec(),
                    channels,
                    grid: grid.clone(),
                    attention: layout.attention(value).is_some(),
                });
                Some(grid)
            }
            Err(trouble) => {
                self.trouble.get_or_insert(trouble);
                None
            }
        }
    }

    /// Holds the activation of a layer, and with `tape` starts the tape there: the value that goes on is returned.
    fn hold<const D: usize>(
        &mut self,
        name: String,
        layout: impl Layout<D>,
        bias: Option<Tensor<1>>,
        value: Tensor<D>,
        grid: Vec<usize>,
        tape: bool,
    ) -> Tensor<D> {
        let plain = value.clone().inner();
        let dtype = plain.dtype();
        let activation = single(layout.to_map(plain.clone()));
        let attention = layout.attention(&plain);
        let (value, leaf) = if tape {
            // The first layer becomes the leaf itself: nothing upstream is recorded. One that is already on the tape
            // gets a zero leaf added, whose gradient is the gradient at the layer.
            let on_tape = value.is_tracked() && self.watched.iter().any(|other| other.leaf.is_some());
            let (value, leaf) = if on_tape {
                let zero = plain.zeros_like().autodiff().require_grad();
                (value + zero.clone(), zero)
            } else {
                let leaf = plain.autodiff().require_grad();
                (leaf.clone(), leaf)
            };
            let read: Leaf =
                Box::new(move |gradients| leaf.grad_remove(gradients).map(|g| single(layout.to_map(g))));
            (value, Some(read))
        } else {
            (value, None)
        };
        let bias = bias.map(|bias| bias.cast(DType::F32));
        let attention = attention.map(|weights| weights.cast(DType::F32));
        self.watched.push(Watched { name, activation, grid, bias, attention, leaf, dtype });
        value
    }
}

/// Methods compute in single precision, whatever the network does.
fn single(map: Tensor<3>) -> Tensor<3> {
    map.cast(DType::F32)
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
