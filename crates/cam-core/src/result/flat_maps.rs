//! The maps of a batch, whatever the rank of the input.

use crate::{AttributionMaps, Input, MapStats, MethodInfo};
use burn::Tensor;
use burn::tensor::Int;

/// The [`AttributionMaps`] of a batch, whatever the rank of the input: all positions are one axis.
#[derive(Clone)]
pub struct FlatMaps {
    /// As [`AttributionMaps::layer`].
    pub layer: String,
    /// As [`AttributionMaps::method`].
    pub method: MethodInfo,
    /// As [`AttributionMaps::target`].
    pub target: usize,
    /// As [`AttributionMaps::classes`].
    pub classes: Option<Tensor<1, Int>>,
    /// As [`AttributionMaps::name`].
    pub name: Option<String>,
    /// As [`AttributionMaps::scores`].
    pub scores: Tensor<1>,
    /// As [`AttributionMaps::raw`]: `[batch, positions of raw_grid]`.
    pub raw: Tensor<2>,
    /// The sizes of the spatial axes of the raw maps.
    pub raw_grid: Vec<usize>,
    /// As [`AttributionMaps::heatmap`]: `[batch, positions of the input]`.
    pub heatmap: Tensor<2>,
    /// As [`AttributionMaps::std`]: `[batch, positions of the input]`.
    pub std: Option<Tensor<2>>,
    /// What warnings are made from.
    pub stats: MapStats,
}

impl FlatMaps {
    /// Brings the maps into the form of the input, whose grid is given.
    pub fn into_maps<I: Input>(self, grid: &[usize]) -> AttributionMaps<I::Map> {
        AttributionMaps {
            layer: self.layer,
            method: self.method,
            target: self.target,
            classes: self.classes,
            name: self.name,
            scores: self.scores,
            raw: I::to_map(self.raw, &self.raw_grid),
            heatmap: I::to_map(self.heatmap, grid),
            std: self.std.map(|std| I::to_map(std, grid)),
            stats: self.stats,
        }
    }
}
