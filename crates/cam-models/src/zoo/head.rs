//! The last layer of a network. One without classes has none, and returns what that would read: other layers may follow.

use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;

/// Returns the linear layer to so many classes, the last one of a network; for no classes there is none.
pub(crate) fn head(from: usize, classes: usize, device: &Device) -> Option<Linear> {
    (classes > 0).then(|| LinearConfig::new(from, classes).init(device))
}

/// Returns the logits of what a head reads, or that itself if there is none.
pub(crate) fn classified(head: Option<&Linear>, x: Tensor<2>) -> Tensor<2> {
    match head {
        Some(head) => head.forward(x),
        None => x,
    }
}
