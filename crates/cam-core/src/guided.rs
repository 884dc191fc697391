//! Guided backpropagation: the gradient at the input, where each ReLU also stops what speaks against the score.
//!
//! $$ R^l = [x^l > 0] \, [R^{l+1} > 0] \, R^{l+1} $$
//!
//! Springenberg et al., *Striving for Simplicity: The All Convolutional Net*, ICLR 2015 workshop, section 3.4.
//!
//! Burn's tape has no hook for a gradient on its way, so the tape is cut: the value of each ReLU and of each tapped layer
//! goes on as a leaf. Backwards, a cut takes the gradient that has reached its leaf, applies the rule and walks the piece of
//! tape before it. A piece is walked once, so a value that two later pieces read has to be a cut itself.

use crate::inspect::ready;
use crate::{Error, Input, Model, Rows, Taps, Target};
use burn::Tensor;
use burn::tensor::Gradients;
use burn::tensor::activation::relu;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The guided gradient of the score in the input, of the form of the input.
///
/// Times the heat of a Grad-CAM map it is Guided Grad-CAM (Selvaraju et al., ICCV 2017, section 3.2):
/// [`guided_gradcam`].
///
/// # Errors
/// [`Error::NoRelu`] when the forward pass names no ReLU with [`Taps::relu`], [`Error::NotGuided`] when it names a GELU
/// or SiLU, [`Error::SharedPiece`] when a value that is no cut is read twice, [`Error::EmptyInput`], [`Error::TrainingMode`] and
/// [`Error::TrainingDevice`] as [`Explainer::explain`](crate::Explainer::explain), and what is wrong with taps or target.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Nchw, Taps, guided_backprop};
///
/// // y = relu(x) - relu(-x) = x, summed over the places.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let x = taps.layer("x", Nchw, || x); // it is read twice
///     let y = taps.relu(x.clone()) - taps.relu(x.neg());
///     y.mean_dims(&[2, 3]).flatten(1, 3) * 2.0
/// };
/// let image = Tensor::<4>::from_floats([[[[3.0, -2.0]]]], &Device::flex());
/// let gradient = guided_backprop(&model, &image, &Class(0))?;
/// // The plain gradient is 1 at both places; what speaks against the score does not pass its ReLU.
/// assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), [1.0, 0.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub fn guided_backprop<I, O>(model: &impl Model<I, O>, input: &I, target: &dyn Target<O>) -> Result<I, Error>
where
    I: Input,
{
    ready(model, input)?;
    let values = input.to_layer();
    let leaf = values.clone().autodiff().require_grad();
    let taps = Taps::guided();
    let output = model.forward(input.with_layer(leaf.clone()), &taps);
    let log = taps.into_log();
    if let Some(trouble) = log.trouble {
        return Err(trouble);
    }
    if !log.cuts.iter().any(|cut| cut.guided) {
        return Err(Error::NoRelu);
    }
    let score = target.resolve(&output)?.score_each(&output, Rows::All, input.batch())?;
    if !score.is_tracked() {
        return Err(Error::NotConnected { layer: crate::INPUT.into() });
    }
    let mut reached = vec![score.sum().backward()];
    for cut in log.cuts.into_iter().rev() {
        let before = cut.walk(&mut reached)?;
        reached.extend(before);
    }
    let parts = reached.iter_mut().filter_map(|one| leaf.grad_remove(one));
    Ok(input.with_layer(parts.fold(values.zeros_like(), |sum, part| sum + part)))
}

/// Guided Grad-CAM: the guided gradient where a map is hot.
///
/// # Shapes
/// - gradient: of the form of the input, from [`guided_backprop`]
/// - heat: `[batch, positions]`, a map at the resolution of the input
pub fn guided_gradcam<I: Input>(gradient: &I, heat: Tensor<2>) -> I {
    gradient.with_layer(gradient.to_layer() * heat.unsqueeze_dim(1))
}

/// Where the tape is cut.
pub(crate) struct Cut {
    /// Whether the guided rule holds here.
    guided: bool,
    walk: Walk,
}

/// Walks the piece before a cut, with what has reached the leaf behind it.
type Walk = Box<dyn FnOnce(&mut [Gradients]) -> Option<Gradients>>;

impl Cut {
    /// A cut that changes no gradient. It returns the leaf that goes on.
    pub fn plain<const D: usize>(x: Tensor<D>) -> (Self, Tensor<D>) {
        Self::at(false, x.clone(), x, |gradient, _| gradient)
    }

    /// A ReLU with the guided rule. It returns the leaf that goes on.
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
        let goes_on = leaf.clone();
        let walk = move |reached: &mut [Gradients]| {
            let gradient = reached.iter_mut().filter_map(|one| leaf.grad_remove(one)).reduce(|a, b| a + b)?;
            if !before.is_tracked() {
                return None;
            }
            Some((before * rule(gradient, value).autodiff()).sum().backward())
        };
        (Self { guided, walk: Box::new(walk) }, goes_on)
    }

    /// The gradients of the piece of tape before the cut.
    fn walk(self, reached: &mut [Gradients]) -> Result<Option<Gradients>, Error> {
        // Burn says by a panic, and before it changes anything, that a piece of the tape was walked before.
        catch_unwind(AssertUnwindSafe(|| (self.walk)(reached))).map_err(|_| Error::SharedPiece)
    }
}
