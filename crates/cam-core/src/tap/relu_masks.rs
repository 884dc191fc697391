//! The ReLUs of a replay, held to what they let through before.

use burn::Tensor;
use burn::tensor::activation;
use std::any::Any;
use std::cell::{Cell, RefCell};

/// What the ReLUs after a layer let through in plain inference, in the order in which they run.
///
/// The first pass records the masks, and the passes after it use them: what those passes change is then the curvature of the network,
/// without the corners of its ReLUs.
#[derive(Default)]
pub(crate) struct ReluMasks {
    recorded: RefCell<Vec<Box<dyn Any>>>,
    is_complete: Cell<bool>,
    next: Cell<usize>,
}

impl ReluMasks {
    /// Ends the recording: later passes use the masks.
    pub fn finish_recording(&self) {
        self.is_complete.set(true);
        self.next.set(0);
    }

    pub fn relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if !self.is_complete.get() {
            self.recorded.borrow_mut().push(Box::new(x.clone().inner().greater_elem(0.0).float()));
            return activation::relu(x);
        }
        let index = self.next.get();
        let recorded = self.recorded.borrow();
        self.next.set((index + 1) % recorded.len().max(1));
        match recorded.get(index).and_then(|mask| mask.downcast_ref::<Tensor<D>>()) {
            Some(mask) if mask.dims() == x.dims() => {
                let dtype = x.dtype();
                x * mask.clone().cast(dtype)
            }
            _ => activation::relu(x),
        }
    }
}
