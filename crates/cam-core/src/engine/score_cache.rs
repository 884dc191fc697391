//! Scores of changed copies that all targets share.

use burn::Tensor;
use std::cell::RefCell;
use std::collections::HashMap;

/// Identifies a request for scores that is the same for every target: the first request of a method at a layer, made before the method
/// has asked for anything that depends on its target.
///
/// A method knows its layer and its target by its [`LayerContext`](crate::LayerContext) alone. Until it has asked that for something of
/// the target, whatever it does is the same for every target, and so is the request. The scores that the request returns are of the
/// target, so a second request may depend on it, and is never shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ScoreKey {
    /// The index of the layer.
    pub layer: usize,
    /// The index of the method.
    pub method: usize,
}

/// The scores of a request: for each target, for each step, `[batch, copies]`.
pub(crate) type TargetScores = Vec<Vec<Tensor<2>>>;

/// The scores of the requests of one session.
#[derive(Default)]
pub(crate) struct ScoreCache(RefCell<HashMap<ScoreKey, TargetScores>>);

impl ScoreCache {
    pub fn get(&self, key: ScoreKey, target: usize) -> Option<Vec<Tensor<2>>> {
        self.0.borrow().get(&key).map(|targets| targets[target].clone())
    }

    pub fn insert(&self, key: ScoreKey, scores: TargetScores) {
        self.0.borrow_mut().insert(key, scores);
    }
}
