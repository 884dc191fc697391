use crate::engine::{noise::normal, read::read_floats, upload};
use crate::{Chunk, Cost, Error, Evidence, LayerContext, Method, MethodInfo, Scale, UniqueCopies};
use burn::Tensor;
use kodama::{Method as Linkage, linkage};

/// ViT-CX: what the score causes, by masks that are clusters of the layer's channels.
///
/// $$ L(x) = \frac{\sum_i s_i M_i(x)}{\sum_i M_i(x)}, \qquad
///    s_i = y(X \odot M_i + Z_i) - y(X + Z_i) + y(X), \qquad Z_i = (1 - M_i) \odot \mathcal N(0, \sigma^2) $$
///
/// with $M_i$ the sum of the channels of a cluster, each scaled to 0..1, scaled to 0..1 again. Channels are joined while all pairs of a cluster
/// are more similar than $1 - \delta$ (complete linkage of cosines), so that some sixty masks stand for all channels: a Score-CAM of a tenth
/// of the passes. The noise tells what the network sees in the removed parts from what it sees in their edges; the division by the masks'
/// cover corrects that some places are in more masks than others. The mean of scores has no zero: that of the lowest place is zero here,
/// and so is a place that no mask covers.
///
/// Similarities are those on the grid of the layer, of which masks at the size of the input are an enlargement. The noise of a mask depends only
/// on the seed and on its number.
///
/// Xie et al., *ViT-CX: Causal Explanation of Vision Transformers*, IJCAI 2023, section 3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VitCx {
    /// $\delta$
    pub distance: f64,
    /// The most masks; if there are more clusters, further ones are joined.
    pub most: usize,
    /// $\sigma$, in the units of the input as the network gets it.
    pub sigma: f64,
    /// Which noise is drawn.
    pub seed: u64,
}

impl VitCx {
    /// The settings of the paper, and at most 100 masks.
    pub const PAPER: Self = Self { distance: 0.1, most: 100, sigma: 0.1, seed: 0 };
}

impl Default for VitCx {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for VitCx {
    fn info(&self) -> MethodInfo {
        MethodInfo::new("vitcx", "ViT-CX", "https://arxiv.org/abs/2211.03064")
            .masked_inputs()
            .cost(Cost::Passes(2 * self.most as u32))
    }

    fn with_channels(&self, channels: usize) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { most: channels, ..*self }))
    }

    fn with_seed(&self, seed: u64) -> Option<Box<dyn Method>> {
        Some(Box::new(Self { seed, ..*self }))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(self.causes(layer))
    }
}

impl VitCx {
    async fn causes(&self, layer: &LayerContext<'_>) -> Result<Tensor<3>, Error> {
        let activation = layer.activation();
        let ([batch, channels, positions], device) = (activation.dims(), activation.device());
        let scaled = Scale::PerMap.apply(activation.reshape([batch * channels, positions]));
        let scaled = scaled.reshape([batch, channels, positions]);
        let clusters = self.clusters(&scaled).await?;
        let count = clusters.iter().map(|of_image| of_image.count).max().unwrap_or(0).max(1);
        let members = clusters.iter().flat_map(|of_image| of_image.members(count)).collect();
        let members: Tensor<3> = upload::floats(members, [batch, count, channels], &device);
        // An image of fewer clusters has masks of zeros at the end, which cover nothing.
        let sums = members.matmul(scaled).reshape([batch * count, positions]);
        let masks = Scale::PerMap.apply(sums).reshape([batch, count, positions]);

        let [_, colors, pixels] = layer.input().dims();
        let change = |inputs: Tensor<3>, chunk: &Chunk<'_>| {
            let of_image = masks.clone().narrow(0, chunk.image(), 1).squeeze_dim::<2>(0);
            let stream = |index: &usize| [self.seed, (index % count) as u64];
            let streams: Vec<_> = chunk.indices().iter().map(stream).collect();
            let noise = normal([streams.len(), colors, pixels], self.sigma, &streams, &device);
            let indices = chunk.indices_tensor();
            let is_masked = indices.clone().lower_elem(count as i64).float().reshape([-1, 1, 1]);
            let chosen = of_image.select(0, indices.remainder_scalar(count as i64));
            let mask = Scale::PerMap.apply(layer.resize(chosen, layer.input_grid())).unsqueeze_dim::<3>(1);
            let removed = mask.neg() + 1.0;
            inputs * (removed.clone() * is_masked.neg() + 1.0) + noise * removed
        };
        let scores = layer.scores_of_inputs(&UniqueCopies::none(batch, 2 * count), &change)?;
        let caused = scores.clone().narrow(1, 0, count) - scores.narrow(1, count, count);
        let caused = (caused + layer.score()?.unsqueeze_dim(1)).unsqueeze_dim::<3>(1);
        let cover = masks.clone().sum_dim(1);
        let is_bare = cover.clone().equal_elem(0.0);
        let mean = (caused.matmul(masks) / cover.mask_fill(is_bare.clone(), 1.0)).squeeze_dim::<2>(1);
        let is_bare = is_bare.squeeze_dim::<2>(1);
        let lowest = mean.clone().mask_fill(is_bare.clone(), f32::MAX).min_dim(1);
        Ok((mean - lowest).mask_fill(is_bare, 0.0).unsqueeze_dim(1))
    }

    /// Joins the channels of each image, `[batch, channels, positions]`; channels that are the same everywhere are in no cluster.
    async fn clusters(&self, scaled: &Tensor<3>) -> Result<Vec<Clusters>, Error> {
        let [_, channels, _] = scaled.dims();
        let norms = scaled.clone().square().sum_dim(2).sqrt();
        let unit = scaled.clone() / norms.clamp_min(f32::MIN_POSITIVE);
        let cosines = read_floats(unit.clone().matmul(unit.swap_dims(1, 2))).await?;
        let images = cosines.chunks_exact(channels * channels);
        Ok(images.map(|cosines| Clusters::of(cosines, channels, self.distance, self.most)).collect())
    }
}

/// Which cluster each channel is in.
struct Clusters {
    count: usize,
    of_channel: Vec<Option<usize>>,
}

impl Clusters {
    /// Joins channels with these cosines, `channels * channels`, by complete linkage: while the distance is below this one, and while there are
    /// more clusters than `most`.
    fn of(cosines: &[f32], channels: usize, distance: f64, most: usize) -> Self {
        let is_alive = |channel: &usize| cosines[channel * channels + channel] > 0.5;
        let alive: Vec<usize> = (0..channels).filter(is_alive).collect();
        let pairs = alive.iter().enumerate().flat_map(|(i, &a)| alive[i + 1..].iter().map(move |&b| (a, b)));
        let mut distances: Vec<f32> = pairs.map(|(a, b)| 1.0 - cosines[a * channels + b]).collect();
        // Each step joins two clusters into one with the next number.
        let mut joined: Vec<usize> = (0..alive.len()).collect();
        let mut count = alive.len();
        for step in linkage(&mut distances, alive.len(), Linkage::Complete).steps() {
            if f64::from(step.dissimilarity) >= distance && count <= most.max(1) {
                break;
            }
            let next = joined.len();
            joined[step.cluster1] = next;
            joined[step.cluster2] = next;
            joined.push(next);
            count -= 1;
        }
        let mut numbers: Vec<usize> = Vec::with_capacity(count);
        let mut of_channel = vec![None; channels];
        for (leaf, channel) in alive.into_iter().enumerate() {
            let mut root = leaf;
            while joined[root] != root {
                root = joined[root];
            }
            let number = numbers.iter().position(|known| *known == root).unwrap_or_else(|| {
                numbers.push(root);
                numbers.len() - 1
            });
            of_channel[channel] = Some(number);
        }
        Self { count, of_channel }
    }

    /// Returns 1 where a channel is in a cluster, `count * channels`.
    fn members(&self, count: usize) -> impl Iterator<Item = f32> {
        let of_channel = &self.of_channel;
        (0..count).flat_map(move |cluster| {
            of_channel.iter().map(move |of| f32::from(u8::from(*of == Some(cluster))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_joined_by_the_farthest_pair() {
        // 0, 1 and 2 in a row, of which 0 and 2 are apart; 3 is dead, 4 alone.
        let (near, apart) = (0.95, 0.85);
        let rows = [
            [1.0, near, apart, 0.0, 0.1],
            [near, 1.0, 0.93, 0.0, 0.1],
            [apart, 0.93, 1.0, 0.0, 0.1],
            [0.0; 5],
            [0.1, 0.1, 0.1, 0.0, 1.0],
        ];
        let of = |distance, most| Clusters::of(&rows.concat(), 5, distance, most).of_channel;
        assert_eq!(of(0.1, 9), [Some(0), Some(0), Some(1), None, Some(2)]);
        assert_eq!(of(0.2, 9), [Some(0), Some(0), Some(0), None, Some(1)]);
        assert_eq!(of(0.01, 9), [Some(0), Some(1), Some(2), None, Some(3)]);
        assert_eq!(of(0.01, 2), [Some(0), Some(0), Some(0), None, Some(1)]);
    }
}
