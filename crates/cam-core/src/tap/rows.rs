//! Which images the rows of a batch stand for.

use burn::Tensor;
use burn::tensor::kind::Basic;

/// Which images the rows of a batch stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Each row is an image of the batch.
    All,
    /// Every row is a copy of one image.
    Copies {
        /// The index of the image.
        image: usize,
        /// The number of rows.
        copies: usize,
    },
}

impl Rows {
    /// Returns the rows of a batch-first tensor of any kind of numbers; copies are a view and take no memory.
    pub fn of<const D: usize, K: Basic>(self, batch: Tensor<D, K>) -> Tensor<D, K> {
        match self {
            Rows::All => batch,
            Rows::Copies { image, copies } => {
                let row = batch.narrow(0, image, 1);
                let mut shape = row.dims();
                shape[0] = copies;
                row.expand(shape)
            }
        }
    }

    /// Returns the number of rows, in a batch of `batch` images.
    pub(crate) fn count(self, batch: usize) -> usize {
        match self {
            Rows::All => batch,
            Rows::Copies { copies, .. } => copies,
        }
    }
}
