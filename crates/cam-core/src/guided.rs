//! Guided backpropagation: the gradient at the input, where each ReLU also stops what lowers the score.
//!
//! $$ R^l = [x^l > 0] \thinspace [R^{l+1} > 0] \thinspace R^{l+1} $$
//!
//! Springenberg et al., *Striving for Simplicity: The All Convolutional Net*, ICLR 2015 workshop, section 3.4.
//!
//! Burn's tape has no hook that changes a gradient, so the tape is cut: the value of each ReLU and of each tapped layer
//! goes on as a leaf. In the backward pass, a cut takes the gradient that has reached its leaf, applies the rule and walks the piece of
//! tape before it. A piece is walked once, so a value that two later pieces read has to be a cut itself.

use crate::inspect::check_ready;
use crate::{Error, Input, Model, Rows, Taps, Target};
use burn::Tensor;
use burn::tensor::Gradients;
use burn::tensor::activation::relu;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Computes the guided gradient of the score in the input, in the form of the input.
///
/// Multiplied by a Grad-CAM heatmap it is Guided Grad-CAM (Selvaraju et al., ICCV 2017, section 3.2):
/// [`guided_gradcam`].
///
/// # Errors
/// [`Error::NoRelu`] if the forward pass names no ReLU with [`Taps::relu`], [`Error::NotGuided`] if it names a GELU
/// or SiLU, [`Error::SharedPiece`] if a value that is not a cut is read twice, [`Error::EmptyInput`], [`Error::TrainingMode`] and
/// [`Error::TrainingDevice`] as in [`Explain::explain`](crate::Explain::explain), and what is wrong with the taps or the target.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Nchw, Taps, guided_backprop};
///
/// // y = relu(x) - relu(-x) = x, summed over the positions.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("x", Nchw, || x); // it is read twice
///     let y = taps.relu(x.clone()) - taps.relu(x.neg());
///     y.mean_dims(&[2, 3]).flatten(1, 3) * 2.0
/// };
/// let image = Tensor::<4>::from_floats([[[[3.0, -2.0]]]], &Device::flex());
/// let gradient = guided_backprop(&model, &image, &Class(0))?;
/// // The plain gradient is 1 at both positions; what lowers the score does not pass its ReLU.
/// assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), [1.0, 0.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub fn guided_backprop<I, O>(model: &impl Model<I, O>, input: &I, target: &dyn Target<O>) -> Result<I, Error>
where
    I: Input,
{
    check_ready(model, input)?;
    let values = input.to_layer();
    let leaf = values.clone().autodiff().require_grad();
    let taps = Taps::guided();
    let output = model.forward(input.with_layer(leaf.clone()), &taps);
    let recording = taps.into_recording();
    if let Some(error) = recording.error {
        return Err(error);
    }
    if !recording.cuts.iter().any(|cut| cut.guided) {
        return Err(Error::NoRelu);
    }
    let score = target.resolve(&output)?.score_each(&output, Rows::All, input.batch())?;
    if !score.is_tracked() {
        return Err(Error::NotConnected { layer: crate::INPUT.into() });
    }
    let mut reached = vec![score.sum().backward()];
    for cut in recording.cuts.into_iter().rev() {
        let before = cut.walk(&mut reached)?;
        reached.extend(before);
    }
    let parts = reached.iter_mut().filter_map(|one| leaf.grad_remove(one));
    Ok(input.with_layer(parts.fold(values.zeros_like(), |sum, part| sum + part)))
}

/// Computes Guided Grad-CAM: the guided gradient times a heatmap.
///
/// # Shapes
/// - gradient: in the form of the input, from [`guided_backprop`]
/// - heatmap: `[batch, positions]`, a map at the resolution of the input
pub fn guided_gradcam<I: Input>(gradient: &I, heatmap: Tensor<2>) -> I {
    gradient.with_layer(gradient.to_layer() * heatmap.unsqueeze_dim(1))
}

/// Where the tape is cut.
pub(crate) struct Cut {
    /// Whether the guided rule applies here.
    guided: bool,
    walk: Walk,
}

/// Walks the piece before a cut, with what has reached the leaf after it.
type Walk = Box<dyn FnOnce(&mut [Gradients]) -> Option<Gradients>>;

impl Cut {
    /// Makes a cut that changes no gradient. Returns it and the leaf that goes on.
    pub fn plain<const D: usize>(x: Tensor<D>) -> (Self, Tensor<D>) {
        Self::at(false, x.clone(), x, |gradient, _| gradient)
    }

    /// Makes a cut at a ReLU, with the guided rule. Returns it and the leaf that goes on.
    pub fn relu<const D: usize>(x: Tensor<D>) -> (Self, Tensor<D>) {
        Self::at(true, x.clone(), relu(x), |gradient, value| {
            let passes = value.greater_elem(0.0);
            gradient.clamp_min(0.0) * passes.float()
        })
    }

    fn at<const D: usize>(
        guided: bool,
        before: Tensor<D>,
        value: Tensor<D>,
        rule: impl FnOnce(Tensor<D>, Tensor<D>) -> Tensor<D> + 'static,
    ) -> (Self, Tensor<D>) {
        let value = value.inner();
        let leaf = value.clone().autodiff().require_grad();
        let output = leaf.clone();
        let walk = move |reached: &mut [Gradients]| {
            let gradient = reached.iter_mut().filter_map(|one| leaf.grad_remove(one)).reduce(|a, b| a + b)?;
            if !before.is_tracked() {
                return None;
            }
            Some((before * rule(gradient, value).autodiff()).sum().backward())
        };
        (Self { guided, walk: Box::new(walk) }, output)
    }

    /// Returns the gradients of the piece of tape before the cut.
    fn walk(self, reached: &mut [Gradients]) -> Result<Option<Gradients>, Error> {
        // If a piece of the tape was walked before, Burn panics before it changes anything.
        catch_unwind(AssertUnwindSafe(|| (self.walk)(reached))).map_err(|_| Error::SharedPiece)
    }
}
