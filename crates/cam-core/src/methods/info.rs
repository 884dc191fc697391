//! What a method is called, where it is published, and what it needs.

use std::fmt;

/// What a method reports of itself. Lists, help, and what an explainer prepares all follow from it.
///
/// ```
/// use cam_core::{Cost, MethodInfo, Reads};
///
/// const INFO: MethodInfo = MethodInfo::new("maxgradcam", "Max-Grad-CAM", "https://example.org").gradient();
/// assert!(INFO.needs.gradient && INFO.needs.class);
/// assert_eq!((INFO.reads, INFO.cost), (Reads::Layer, Cost::OnePass));
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodInfo {
    /// The name that users type, as in pytorch-grad-cam.
    pub name: &'static str,
    /// The name that its paper uses.
    pub title: &'static str,
    /// A link to where it is published.
    pub paper: &'static str,
    /// What one map is made from.
    pub reads: Reads,
    /// What it asks its [`LayerContext`](crate::LayerContext) for.
    pub needs: Needs,
    /// What one map costs.
    pub cost: Cost,
}

/// What one map of a method is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reads {
    /// One of the layers that the explainer is asked for. Positions are those of the layer.
    Layer,
    /// The input as a layer, and every layer that adds a bias. Positions are those of the input.
    Biases,
    /// Every layer of attention weights, starting at the first. Positions are the patches.
    Attention,
    /// The input as a layer. Positions are those of the input.
    Input,
}

/// What a method asks its [`LayerContext`](crate::LayerContext) for. Each field names the function that needs it; a method that calls a
/// function without having declared the need gets [`Error::Undeclared`](crate::Error::Undeclared).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Anything that depends on the target. Without it a method gives the same map for every class.
    pub class: bool,
    /// The gradient of the score at the layer.
    pub gradient: bool,
    /// The curvature of the score at the layer.
    pub second_order: bool,
    /// Gradients of the scores that the network would give if it ended earlier.
    pub gradient_at_exit: bool,
    /// Activations and gradients of noisy inputs: the whole network is run again.
    pub gradient_under_noise: bool,
    /// Scores or gradients of changed activations: the part of the network after the layer is run again.
    pub replay: bool,
    /// Scores of masked or otherwise changed inputs: the whole network is run again.
    pub masked_inputs: bool,
    /// The weights of a linear classifier that follows a global average pooling of the layer.
    pub linear_head: bool,
}

impl Needs {
    /// Needs nothing but the layer.
    pub(crate) const NOTHING: Self = Self {
        class: false,
        gradient: false,
        second_order: false,
        gradient_at_exit: false,
        gradient_under_noise: false,
        replay: false,
        masked_inputs: false,
        linear_head: false,
    };

    /// Whether a gradient of any kind is computed.
    pub const fn any_gradient(self) -> bool {
        self.gradient
            || self.second_order
            || self.gradient_at_exit
            || self.gradient_under_noise
            || self.linear_head
    }

    /// Whether the first pass has to start a tape, to be walked once.
    pub(crate) const fn tape(self) -> bool {
        self.gradient || self.linear_head
    }

    /// Whether a part of the network is run again, so that the first pass has to keep what comes before that part.
    pub(crate) const fn replays(self) -> bool {
        self.replay || self.second_order || self.gradient_at_exit || self.linear_head
    }
}

/// One of the [`Needs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Class,
    Gradient,
    SecondOrder,
    GradientAtExit,
    GradientUnderNoise,
    Replay,
    MaskedInputs,
    LinearHead,
}

impl Need {
    pub fn is_in(self, mut needs: Needs) -> bool {
        *self.field(&mut needs)
    }

    pub fn add_to(self, mut needs: Needs) -> Needs {
        *self.field(&mut needs) = true;
        needs
    }

    /// Returns what an author has to change in a [`MethodInfo`] that lacks this need.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Class => "remove `.without_class()`",
            Self::Gradient => "add `.gradient()`",
            Self::SecondOrder => "add `.second_order()`",
            Self::GradientAtExit => "add `.gradient_at_exit()`",
            Self::GradientUnderNoise => "add `.gradient_under_noise()`",
            Self::Replay => "add `.replay()`",
            Self::MaskedInputs => "add `.masked_inputs()`",
            Self::LinearHead => "add `.linear_head()`",
        }
    }

    fn field(self, needs: &mut Needs) -> &mut bool {
        match self {
            Self::Class => &mut needs.class,
            Self::Gradient => &mut needs.gradient,
            Self::SecondOrder => &mut needs.second_order,
            Self::GradientAtExit => &mut needs.gradient_at_exit,
            Self::GradientUnderNoise => &mut needs.gradient_under_noise,
            Self::Replay => &mut needs.replay,
            Self::MaskedInputs => &mut needs.masked_inputs,
            Self::LinearHead => &mut needs.linear_head,
        }
    }
}

/// What one map of a method costs.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// One forward pass, and one backward pass if there is a gradient.
    OnePass,
    /// About so many forward passes of the network.
    Passes(u32),
    /// About so many forward passes for each channel of the layer.
    PerChannel(u32),
    /// About so many forward passes for each position of the layer.
    PerPosition(u32),
    /// At most so many forward passes for each layer that the method reads.
    PerLayer(u32),
}

/// The passes from which on a method is slow.
const MANY: u32 = 64;

impl Cost {
    /// Whether the number of passes grows with the channels or the positions of the layer, or is at least 64.
    pub const fn is_slow(self) -> bool {
        match self {
            Self::PerChannel(_) | Self::PerPosition(_) => true,
            Self::Passes(count) => count >= MANY,
            Self::OnePass | Self::PerLayer(_) => false,
        }
    }

    /// Returns the cost in words.
    ///
    /// ```
    /// use cam_core::Cost;
    ///
    /// assert_eq!(Cost::OnePass.describe(), "one pass");
    /// assert_eq!(Cost::PerChannel(1).describe(), "one pass per channel");
    /// assert_eq!(Cost::PerChannel(35).describe(), "35 passes per channel");
    /// ```
    pub fn describe(self) -> String {
        let passes = |count| if count == 1 { "one pass".into() } else { format!("{count} passes") };
        match self {
            Self::OnePass => passes(1),
            Self::Passes(count) => passes(count),
            Self::PerChannel(count) => passes(count) + " per channel",
            Self::PerPosition(count) => passes(count) + " per position",
            Self::PerLayer(count) => passes(count) + " per layer",
        }
    }
}

impl MethodInfo {
    /// Describes a method that reads a layer, depends on the class, and costs one pass. What else it needs is added.
    ///
    /// `name` is what users type, `title` what the paper calls the method, `paper` a link.
    pub const fn new(name: &'static str, title: &'static str, paper: &'static str) -> Self {
        let needs = Needs { class: true, ..Needs::NOTHING };
        Self { name, title, paper, reads: Reads::Layer, needs, cost: Cost::OnePass }
    }

    /// Sets what one map is made from.
    pub const fn reads(self, reads: Reads) -> Self {
        Self { reads, ..self }
    }

    /// Sets what one map costs.
    pub const fn cost(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }

    /// Declares that the target does not matter.
    pub const fn without_class(self) -> Self {
        Self { needs: Needs { class: false, ..self.needs }, ..self }
    }

    /// Needs [`gradient`](crate::LayerContext::gradient) or [`attention_gradient`](crate::LayerContext::attention_gradient).
    pub const fn gradient(self) -> Self {
        Self { needs: Needs { gradient: true, ..self.needs }, ..self }
    }

    /// Needs [`curvature`](crate::LayerContext::curvature).
    pub const fn second_order(self) -> Self {
        Self { needs: Needs { second_order: true, ..self.needs }, ..self }
    }

    /// Needs [`gradient_at_exit`](crate::LayerContext::gradient_at_exit).
    pub const fn gradient_at_exit(self) -> Self {
        Self { needs: Needs { gradient_at_exit: true, ..self.needs }, ..self }
    }

    /// Needs [`gradient_under_noise`](crate::LayerContext::gradient_under_noise).
    pub const fn gradient_under_noise(self) -> Self {
        Self { needs: Needs { gradient_under_noise: true, ..self.needs }, ..self }
    }

    /// Needs [`scores_of_edited`](crate::LayerContext::scores_of_edited) or
    /// [`gradient_of_edited`](crate::LayerContext::gradient_of_edited).
    pub const fn replay(self) -> Self {
        Self { needs: Needs { replay: true, ..self.needs }, ..self }
    }

    /// Needs [`scores_of_masked`](crate::LayerContext::scores_of_masked),
    /// [`scores_of_masked_steps`](crate::LayerContext::scores_of_masked_steps) or
    /// [`scores_of_inputs`](crate::LayerContext::scores_of_inputs).
    pub const fn masked_inputs(self) -> Self {
        Self { needs: Needs { masked_inputs: true, ..self.needs }, ..self }
    }

    /// Needs [`linear_head`](crate::LayerContext::linear_head).
    pub const fn linear_head(self) -> Self {
        Self { needs: Needs { linear_head: true, ..self.needs }, ..self }
    }
}

impl fmt::Display for MethodInfo {
    /// Writes the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
