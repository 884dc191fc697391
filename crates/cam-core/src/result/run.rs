//! What one run of an explainer gives, whatever the rank of the input.

use crate::{Explanation, FlatMaps, Goal, Input};
use std::time::Duration;

/// What one run of an [`Explain`](crate::Explain) gives, whatever the rank of the input: the form in which a
/// [`Wrapper`](crate::Wrapper) gets maps.
#[non_exhaustive]
pub struct Run<O> {
    /// The output of the model for the batch.
    pub output: O,
    /// The targets, resolved on that output.
    pub goals: Vec<Goal<O>>,
    /// As [`Explanation::forward`].
    pub forward: Duration,
    /// As [`Explanation::passes`].
    pub passes: f64,
    /// The grid of the input.
    pub grid: Vec<usize>,
    /// One entry for each target, layer and method, in this order.
    pub maps: Vec<FlatMaps>,
}

impl<O> Run<O> {
    /// Brings the maps into the form of the input.
    pub fn into_explanation<I: Input>(self) -> Explanation<I::Map, O> {
        let maps = self.maps.into_iter().map(|maps| maps.into_maps::<I>(&self.grid)).collect();
        Explanation { output: self.output, forward: self.forward, passes: self.passes, maps }
    }
}
