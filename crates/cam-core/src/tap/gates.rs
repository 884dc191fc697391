//! The ReLUs of a replay, held to what they let through before.

use burn::Tensor;
use burn::tensor::activation;
use std::any::Any;
use std::cell::{Cell, RefCell};

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

    pub fn relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
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
