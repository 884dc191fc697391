//! Which layers `--layer all` takes.

use cam_core::LayerInfo;

/// The most layers that `--layer all` takes.
const STRIP: usize = 12;
/// Where a network has fewer layers of the kind of its default one, its stages are taken.
const FEW: usize = 3;

/// The blocks of a network from shallow to deep: the layers that are called like the default one but for the numbers of blocks, or
/// where there are few of them the last layer of each resolution. Of many, some at even distances, the first and the last among them.
pub fn strip(layers: &[LayerInfo], default: &str) -> Vec<String> {
    let maps: Vec<&LayerInfo> =
        layers.iter().filter(|layer| !layer.attention && layer.grid.iter().product::<usize>() > 1).collect();
    let alike: Vec<&LayerInfo> =
        maps.iter().copied().filter(|layer| kind(&layer.name) == kind(default)).collect();
    let chosen = if alike.len() < FEW { stages(&maps) } else { alike };
    let last = chosen.len().saturating_sub(1);
    let count = chosen.len().min(STRIP);
    (0..count).map(|place| chosen[place * last / (count - 1).max(1)].name.clone()).collect()
}

/// A name without the numbers of blocks: `layer1.0` and `layer2.1` are of one kind, `blocks.0.norm1` and `blocks.0.norm2` of two.
fn kind(name: &str) -> String {
    let unnumbered = |text: &str| text.split(|c: char| c.is_ascii_digit()).collect::<String>();
    match name.rsplit_once('.') {
        Some((block, part)) if !part.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{}.{part}", unnumbered(block))
        }
        _ => unnumbered(name),
    }
}

/// The last layer of each resolution.
fn stages<'l>(layers: &[&'l LayerInfo]) -> Vec<&'l LayerInfo> {
    let ends = |place: &usize| layers.get(place + 1).is_none_or(|next| next.grid != layers[*place].grid);
    (0..layers.len()).filter(ends).map(|place| layers[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(layers: &[(&str, usize)]) -> Vec<LayerInfo> {
        let layer = |&(name, side): &(&str, usize)| LayerInfo {
            name: name.into(),
            shape: vec![1, 1, side, side],
            channels: 1,
            grid: vec![side, side],
            attention: false,
        };
        layers.iter().map(layer).collect()
    }

    #[test]
    fn a_strip_goes_from_shallow_to_deep_over_whole_blocks() {
        let resnet = network(&[
            ("bn1", 8),
            ("layer1.0.bn1", 8),
            ("layer1.0", 8),
            ("layer1", 8),
            ("layer2.0", 4),
            ("layer2.1", 4),
        ]);
        assert_eq!(strip(&resnet, "layer2.1"), ["layer1.0", "layer2.0", "layer2.1"]);
        assert_eq!(strip(&resnet, "norm"), ["layer1", "layer2.1"], "the last of each resolution");
        let blocks = (0..3).flat_map(|block| ["norm1", "norm2"].map(|part| format!("blocks.{block}.{part}")));
        let blocks: Vec<String> = blocks.collect();
        let vit = network(&blocks.iter().map(|name| (name.as_str(), 14)).collect::<Vec<_>>());
        assert_eq!(
            strip(&vit, "blocks.2.norm1"),
            ["blocks.0.norm1", "blocks.1.norm1", "blocks.2.norm1"],
            "the second norms are another kind"
        );
    }

    #[test]
    fn a_long_strip_is_thinned_and_keeps_its_ends() {
        let names: Vec<String> = (0..33).map(|block| format!("blocks.{block}")).collect();
        let deep = network(&names.iter().map(|name| (name.as_str(), 14)).collect::<Vec<_>>());
        let strip = strip(&deep, "blocks.32");
        assert_eq!(strip.len(), STRIP);
        assert_eq!((strip[0].as_str(), strip[STRIP - 1].as_str()), ("blocks.0", "blocks.32"));
    }
}
