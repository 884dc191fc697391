//! The layers of a model of images: all, those from shallow to deep, the best.

use crate::{Error, ImageInput, ImageModel, LayerInfo, Method};
use burn::Tensor;
use cam_core::RankedLayer;

/// The most layers of a sweep.
const LONGEST: usize = 12;
/// With fewer layers like the default one, the stages of the network are taken.
const FEW: usize = 3;

/// Returns the layers that can be explained, in the order in which the forward pass finishes them.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// let model = Classifier::builtin(&Device::flex())?;
/// let layers = burn_cam::layers(&model)?;
/// assert!(layers.iter().any(|layer| layer.name == "layer3.0"));
/// # Ok::<(), burn_cam::Error>(())
/// ```
///
/// # Errors
/// [`Error::Core`] when the model is in training or its layers cannot be found.
pub fn layers<O>(model: &impl ImageModel<O>) -> Result<Vec<LayerInfo>, Error> {
    let images = Tensor::<4>::zeros(model.preprocess().shape(), &model.device());
    Ok(cam_core::layers(model, images)?)
}

/// Returns the names of the blocks of a network from shallow to deep: the layers that are named like its default layer but for the
/// numbers of blocks, or, when there are few of them, the last layer of each resolution. Of many layers it takes twelve at even
/// distances, the first and the last among them.
///
/// ```
/// # use burn_cam::{Classifier, Device};
/// let model = Classifier::builtin(&Device::flex())?;
/// assert_eq!(burn_cam::layer_sweep(&model)?, ["layer1.0", "layer2.0", "layer3.0", "layer4.0"]);
/// # Ok::<(), burn_cam::Error>(())
/// ```
///
/// # Errors
/// As [`layers`].
pub fn layer_sweep<O>(model: &impl ImageModel<O>) -> Result<Vec<String>, Error> {
    Ok(sweep(&layers(model)?, model.default_layer().unwrap_or_default()))
}

/// Ranks the layers by how well their maps explain the score of the top prediction for an image, the best first: see
/// [`cam_core::rank_layers`].
///
/// # Errors
/// As [`ImageExplainer::explain`](crate::ImageExplainer::explain).
pub fn rank_layers<O: 'static>(
    model: &impl ImageModel<O>,
    method: impl Method + 'static,
    image: impl Into<ImageInput>,
) -> Result<Vec<RankedLayer>, Error> {
    let (input, _) = ImageInput::batch(&[&image.into()], &model.preprocess(), &model.device())?;
    Ok(cam_core::rank_layers(model, method, input, &model.decoder().ranked(0))?)
}

fn sweep(layers: &[LayerInfo], default: &str) -> Vec<String> {
    let with_grid: Vec<&LayerInfo> =
        layers.iter().filter(|layer| !layer.attention && layer.grid.iter().product::<usize>() > 1).collect();
    let like_default: Vec<&LayerInfo> =
        with_grid.iter().copied().filter(|layer| kind(&layer.name) == kind(default)).collect();
    let chosen = if like_default.len() < FEW { stages(&with_grid) } else { like_default };
    let last = chosen.len().saturating_sub(1);
    let count = chosen.len().min(LONGEST);
    (0..count).map(|place| chosen[place * last / (count - 1).max(1)].name.clone()).collect()
}

/// Returns a name without the numbers of blocks: `layer1.0` and `layer2.1` are of one kind, `blocks.0.norm1` and `blocks.0.norm2` of
/// two.
fn kind(name: &str) -> String {
    let unnumbered = |text: &str| text.split(|c: char| c.is_ascii_digit()).collect::<String>();
    match name.rsplit_once('.') {
        Some((block, part)) if !part.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{}.{part}", unnumbered(block))
        }
        _ => unnumbered(name),
    }
}

/// Returns the last layer of each resolution.
fn stages<'l>(layers: &[&'l LayerInfo]) -> Vec<&'l LayerInfo> {
    let ends = |place: &usize| layers.get(place + 1).is_none_or(|next| next.grid != layers[*place].grid);
    (0..layers.len()).filter(ends).map(|place| layers[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(layers: &[(&str, usize)]) -> Vec<LayerInfo> {
        let layer = |&(name, side): &(&str, usize)| {
            let mut layer = LayerInfo::default();
            (layer.name, layer.grid) = (name.into(), vec![side, side]);
            layer
        };
        layers.iter().map(layer).collect()
    }

    #[test]
    fn a_sweep_goes_from_shallow_to_deep_over_whole_blocks() {
        let resnet = network(&[
            ("bn1", 8),
            ("layer1.0.bn1", 8),
            ("layer1.0", 8),
            ("layer1", 8),
            ("layer2.0", 4),
            ("layer2.1", 4),
        ]);
        assert_eq!(sweep(&resnet, "layer2.1"), ["layer1.0", "layer2.0", "layer2.1"]);
        assert_eq!(sweep(&resnet, "norm"), ["layer1", "layer2.1"], "the last of each resolution");
        let blocks = (0..3).flat_map(|block| ["norm1", "norm2"].map(|part| format!("blocks.{block}.{part}")));
        let blocks: Vec<String> = blocks.collect();
        let vit = network(&blocks.iter().map(|name| (name.as_str(), 14)).collect::<Vec<_>>());
        assert_eq!(
            sweep(&vit, "blocks.2.norm1"),
            ["blocks.0.norm1", "blocks.1.norm1", "blocks.2.norm1"],
            "the second norms are another kind"
        );
    }

    #[test]
    fn a_long_sweep_is_thinned_and_keeps_its_ends() {
        let names: Vec<String> = (0..33).map(|block| format!("blocks.{block}")).collect();
        let deep = network(&names.iter().map(|name| (name.as_str(), 14)).collect::<Vec<_>>());
        let swept = sweep(&deep, "blocks.32");
        assert_eq!(swept.len(), LONGEST);
        assert_eq!((swept[0].as_str(), swept[LONGEST - 1].as_str()), ("blocks.0", "blocks.32"));
    }
}
