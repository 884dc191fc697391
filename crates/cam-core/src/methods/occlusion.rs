use crate::engine::upload;
use crate::{Chunk, Cost, Error, Evidence, LayerContext, Method, MethodInfo, Reads, UniqueCopies};
use burn::Tensor;
use burn::tensor::Device;

/// Occlusion: what the score loses where a window covers the input.
///
/// $$ L(x) = \frac{1}{\lvert W_x \rvert} \sum_{w \in W_x} \left(y(X) - y(X \text{ with } w \text{ covered})\right) $$
///
/// over the windows $W_x$ that cover a place. A window is a part of each axis, and slides by half of it, so that inputs of any size have as many
/// windows. It needs no layer and no gradient.
///
/// Zeiler and Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014, section 4.2.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, Nchw, Occlusion, Taps};
///
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("x", Nchw, || x).sum_dims(&[2, 3]).flatten(1, 3)
/// };
/// let image = Tensor::<4>::from_floats([[[[1.0, 0.0, 0.0, 4.0]]]], &Device::flex());
/// let occlusion = Occlusion { parts: 2, value: 0.0 };
/// let explanation: Explanation = Explainer::new(&model).method(occlusion).explain(image, &Class(0))?;
/// let raw: Vec<f32> = explanation.maps[0].raw.to_data().try_to_vec().unwrap();
/// assert_eq!(raw, [1.0, 0.5, 2.0, 4.0]); // three windows of two pixels, of the sums 1, 0 and 4
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Occlusion {
    /// How many windows fit beside each other along an axis.
    pub parts: usize,
    /// What covers the input, in its units as the network gets it: 0 is the mean color where inputs are normalized.
    pub value: f32,
}

impl Occlusion {
    /// Windows of an eighth of each axis, 15 x 15 of them, of zeros: the gray squares of the paper. It names no sizes.
    pub const PAPER: Self = Self { parts: 8, value: 0.0 };

    /// Returns the windows along an axis, a row each that is 1 where the window is: `[windows, length]`.
    fn windows(self, length: usize, device: &Device) -> Tensor<2> {
        let window = length.div_ceil(self.parts.max(1));
        let stride = (window / 2).max(1);
        let count = (length - window).div_ceil(stride) + 1;
        let is_in = |window_at: usize, at: usize| (window_at..window_at + window).contains(&at);
        let rows = (0..count).flat_map(|row| {
            (0..length).map(move |at| f32::from(u8::from(is_in((row * stride).min(length - window), at))))
        });
        upload::floats(rows.collect(), [count, length], device)
    }
}

impl Default for Occlusion {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Method for Occlusion {
    fn info(&self) -> MethodInfo {
        let windows = 2 * self.parts as u32 - 1;
        MethodInfo::new("occlusion", "Occlusion", "https://arxiv.org/abs/1311.2901")
            .reads(Reads::Input)
            .masked_inputs()
            .cost(Cost::Passes(windows * windows))
    }

    fn evidence<'a>(&'a self, layer: &'a LayerContext<'_>) -> Evidence<'a> {
        Box::pin(async move { self.lost(layer) })
    }
}

impl Occlusion {
    fn lost(&self, layer: &LayerContext<'_>) -> Result<Tensor<3>, Error> {
        let input = layer.activation();
        let ([batch, _, positions], device) = (input.dims(), input.device());
        let axes: Vec<Tensor<2>> = layer.grid().iter().map(|&length| self.windows(length, &device)).collect();
        let count: usize = axes.iter().map(|axis| axis.dims()[0]).product();
        let covered = |inputs: Tensor<3>, chunk: &Chunk<'_>| {
            let copies = chunk.indices().len();
            let mut indices = chunk.indices_tensor();
            let mut window = Tensor::<2>::ones([copies, 1], &device);
            for axis in axes.iter().rev() {
                let [windows, length] = axis.dims();
                let rows = axis.clone().select(0, indices.clone().remainder_scalar(windows as i64));
                indices = indices.div_scalar(windows as i64);
                let inner = window.dims()[1];
                let outer: Tensor<3> = rows.unsqueeze_dim::<3>(2) * window.unsqueeze_dim(1);
                window = outer.reshape([copies, length * inner]);
            }
            let window = window.unsqueeze_dim::<3>(1);
            inputs * (window.clone().neg() + 1.0) + window * self.value
        };
        let scores = layer.scores_of_inputs(&UniqueCopies::none(batch, count), &covered)?;
        let lost = layer.score()?.unsqueeze_dim::<2>(1) - scores;
        // The sums over the windows that cover a place, axis by axis, and how many there are.
        let spread = |values: Tensor<2>| {
            let [rows, mut inner] = values.dims();
            let (mut outer, mut values) = (rows, values);
            for axis in &axes {
                let [windows, length] = axis.dims();
                inner /= windows;
                let parts: Tensor<3> = values.reshape([outer, windows, inner]);
                let sums = axis.clone().transpose().unsqueeze::<3>().matmul(parts);
                outer *= length;
                values = sums.reshape([outer, inner]);
            }
            values.reshape([rows, positions])
        };
        let cover = spread(Tensor::ones([1, count], &device));
        Ok((spread(lost) / cover).unsqueeze_dim(1))
    }
}
