//! Guided backpropagation: the gradient at the input, where each ReLU also stops what speaks against the score.
//!
//! $$ R^l = [x^l > 0] \, [R^{l+1} > 0] \, R^{l+1} $$
//!
//! Springenberg et al., *Striving for Simplicity: The All Convolutional Net*, ICLR 2015 workshop, section 3.4.
//!
//! Burn's tape has no hook for a gradient on its way, so the tape is cut: the value of each ReLU and of each tapped layer
//! goes on as a leaf. Backwards, a cut takes the gradient that has reached its leaf, applies the rule and walks the piece of
//! tape before it. A piece is walked once, so a value that two later pieces read has to be a cut itself.

use burn::Tensor;
use burn::tensor::Gradients;
use burn::tensor::activation::relu;

/// Where the tape is cut: walks the piece before the cut, with what has reached the leaf behind it.
pub(crate) struct Cut(Box<dyn FnOnce(&mut [Gradients]) -> Option<Gradients>>);

impl Cut {
    /// A cut that changes no gradient. It returns the leaf that goes on.
    pub fn plain<const D: usize>(x: Tensor<D>) -> (Self, Tensor<D>) {
        Self::at(x.clone(), x, |gradient, _| gradient)
    }

    /// A ReLU with the guided rule. It returns the leaf that goes on.
    pub fn relu<const D: usize>(x: Tensor<D>) -> (Self, Tensor<D>) {
        Self::at(x.clone(), relu(x), |gradient, value| {
            let passes = value.greater_elem(0.0);
            gradient.clamp_min(0.0) * passes.float()
        })
    }

    fn at<const D: usize>(
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
        (Self(Box::new(walk)), goes_on)
    }

    /// The gradients of the piece of tape before the cut.
    pub fn walk(self, reached: &mut [Gradients]) -> Option<Gradients> {
        (self.0)(reached)
    }
}
