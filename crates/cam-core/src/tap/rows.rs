//! Which images a batch holds.

use burn::Tensor;
use burn::tensor::kind::Basic;

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
