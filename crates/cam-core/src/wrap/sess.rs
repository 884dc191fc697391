//! SESS: one map from the maps of windows that slide over the image at several scales.

use super::explain::{Explain, Inference, Running};
use super::wrapper::{Wrapper, WrapperInfo};
use crate::engine::{read, upload};
use crate::{Error, FlatMaps, Goal, MapStats, Rows, Run, Target};
use burn::Tensor;
use burn::tensor::Device;
use burn::tensor::activation::softmax;

/// SESS, saliency enhancing with scaling and sliding: puts the maps of images together from those of windows, so that objects of all
/// sizes, and several of them, are found.
///
/// The image is enlarged to several scales, and windows of the size of the network's input slide over each. The map of a window
/// counts with the probability of the class there; where windows overlap, the mean is taken:
///
/// $$ L = \mathrm{Gauss}\left(\frac{\sum_p [s_p L_p > \theta]\thinspace s_p L_p}{\sum_p [s_p L_p > \theta]}\right) $$
///
/// Raw maps are those of the fused windows at the resolution of the input, before they are scaled. Windows are squares of the shorter
/// side.
///
/// Tursun et al., *SESS: Saliency Enhancing with Scaling and Sliding*, ECCV 2022, section 3.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, GradCam, Nchw, Sess, Taps, Wrapped};
///
/// // The score: how bright the image is.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("x", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// // Two objects, one three times as bright as the other.
/// let image = Tensor::<4>::from_floats([[[[9.0, 0.0, 3.0, 0.0], [0.0; 4]]]], &Device::flex());
/// let explainer = Explainer::new(&model).layer("x").method(GradCam);
/// let heatmap = |explanation: Explanation| explanation.maps[0].heatmap.to_data().try_to_vec::<f32>().unwrap();
///
/// let plain = explainer.explain(image.clone(), &Class(0))?;
/// assert_eq!(heatmap(plain)[..4], [1.0, 0.0, 1.0 / 3.0, 0.0]);
/// // At the first scale there are two windows, of two by two pixels, with one object each.
/// let sess = Sess { scales: 1, blur: false, ..Sess::PAPER };
/// let fused = Wrapped::new(&explainer, sess).explain(image, &Class(0))?;
/// assert_eq!(heatmap(fused)[..4], [1.0, 0.0, 1.0, 0.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sess {
    /// How many scales; the shorter side grows by 2/7 of the window from one to the next.
    pub scales: usize,
    /// The share of the windows that is left out, the least probable first.
    pub skipped: f32,
    /// $\theta$: values up to it do not count in the mean.
    pub threshold: f32,
    /// How windows that overlap are joined.
    pub pool: Pool,
    /// Whether the map is blurred at the end (11 x 11 pixels, standard deviation 5).
    pub blur: bool,
}

/// How SESS joins the maps of windows that overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pool {
    /// The mean over the windows that have a value above the threshold there.
    Mean,
    /// The largest.
    Max,
}

/// A window over an enlarged image.
#[derive(Clone, Copy)]
struct Window {
    /// Height and width of the enlarged image.
    scaled: [usize; 2],
    /// Top and left of the window.
    corner: [usize; 2],
    side: usize,
}

impl Default for Sess {
    fn default() -> Self {
        Self::PAPER
    }
}

impl Wrapper<Tensor<4>, Tensor<2>> for Sess {
    fn info(&self) -> WrapperInfo {
        WrapperInfo::new("sess", "SESS", "https://arxiv.org/abs/2207.01769")
    }

    fn run<'a>(
        &'a self,
        inner: &'a dyn Explain<Tensor<4>, Tensor<2>>,
        images: Tensor<4>,
        targets: &'a [&'a dyn Target],
    ) -> Running<'a, Tensor<2>> {
        Box::pin(self.fuse_windows(inner, images, targets))
    }
}

impl Sess {
    /// The settings of the paper: twelve scales, nothing left out.
    pub const PAPER: Self = Self { scales: 12, skipped: 0.0, threshold: 0.0, pool: Pool::Mean, blur: true };

    /// Puts the maps of all images together.
    async fn fuse_windows(
        &self,
        inner: &dyn Explain<Tensor<4>, Tensor<2>>,
        images: Tensor<4>,
        targets: &[&dyn Target],
    ) -> Result<Run<Tensor<2>>, Error> {
        let inference = inner.inference();
        let (output, forward) = inference.forward(images.clone())?;
        let [batch, _, height, width] = images.dims();
        let goals = targets.iter().map(|target| target.resolve(&output)).collect::<Result<Vec<_>, _>>()?;
        let windows = self.windows(height, width);
        let first = cut(&images.clone().narrow(0, 0, 1), &windows[..1], inference);
        let per_pass = inference.inputs_per_pass(first)?;
        let blur = self.blur.then(|| [height, width].map(|length| gaussian(length, &images.device())));
        // In passes of one image: the plain one of each.
        let mut work = batch as f64;

        let mut maps: Vec<FlatMaps> = Vec::new();
        for (target, goal) in goals.iter().enumerate() {
            let mut of_images: Vec<Vec<FlatMaps>> = Vec::new();
            for image in 0..batch {
                let pixels = images.clone().narrow(0, image, 1);
                let (maps, passes) =
                    self.fuse_image(inner, pixels, (goal, image), &windows, per_pass).await?;
                of_images.push(maps);
                work += passes;
            }
            let scores = goal.score_each(&output, Rows::All, batch)?.inner();
            for index in 0..of_images[0].len() {
                let of_images: Vec<&FlatMaps> = of_images.iter().map(|maps| &maps[index]).collect();
                let raw = of_images.iter().map(|map| match &blur {
                    Some(blur) => blurred(map.raw.clone(), blur),
                    None => map.raw.clone(),
                });
                let raw = Tensor::cat(raw.collect(), 0);
                maps.push(FlatMaps {
                    target,
                    classes: goal.classes().cloned(),
                    scores: scores.clone(),
                    heatmap: inference.scale(raw.clone()),
                    raw,
                    raw_grid: vec![height, width],
                    std: None,
                    stats: MapStats::join(of_images.iter().map(|map| &map.stats)),
                    ..of_images[0].clone()
                });
            }
        }
        let (passes, grid) = (work / batch as f64, vec![height, width]);
        Ok(Run { output, goals, forward, passes, grid, maps })
    }

    /// Puts the maps of one image `[1, channels, height, width]` together, which has this index for the goal. Returns them and how many
    /// passes of one window they took.
    async fn fuse_image(
        &self,
        inner: &dyn Explain<Tensor<4>, Tensor<2>>,
        pixels: Tensor<4>,
        (goal, image): (&Goal, usize),
        windows: &[Window],
        per_pass: usize,
    ) -> Result<(Vec<FlatMaps>, f64), Error> {
        let inference = inner.inference();
        let scores = windows.chunks(per_pass).map(|chunk| {
            let (output, _) = inference.forward(cut(&pixels, chunk, inference))?;
            goal.score_each(&softmax(output, 1), Rows::Copies { image, copies: chunk.len() }, 1)
        });
        let scores = scores.collect::<Result<Vec<_>, _>>()?;
        let probabilities = read::read_floats(Tensor::cat(scores, 0).clamp_min(0.0)).await?;
        let mut order: Vec<usize> = (0..windows.len()).collect();
        order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
        order.drain(..((windows.len() as f32 * self.skipped) as usize).min(windows.len() - 1));
        let highest = order.iter().map(|&window| probabilities[window]).fold(0.0, f32::max);

        let mut work = windows.len() as f64;
        let mut canvases: Vec<Canvas> = Vec::new();
        let mut done = 0;
        for chunk in order.chunks(per_pass) {
            let chosen: Vec<Window> = chunk.iter().map(|&window| windows[window]).collect();
            let goal = goal.of_image(image, chunk.len());
            let run = inner.run(cut(&pixels, &chosen, inference), &[&goal]).await?;
            work += run.passes * chunk.len() as f64;
            for (index, map) in run.maps.into_iter().enumerate() {
                if canvases.len() == index {
                    canvases.push(Canvas::blank(*self, &map, &pixels));
                }
                for (row, &window) in chunk.iter().enumerate() {
                    let weight = if highest > 0.0 { probabilities[window] / highest } else { 1.0 };
                    let heatmap = map.heatmap.clone().narrow(0, row, 1) * weight;
                    canvases[index].paste(heatmap, windows[window], inference);
                }
            }
            done += chunk.len();
            inference.report("sess", done, order.len());
        }
        Ok((canvases.into_iter().map(Canvas::finish).collect(), work))
    }

    /// Lists the windows over an image of this size, at every scale.
    fn windows(&self, height: usize, width: usize) -> Vec<Window> {
        let side = height.min(width);
        let step = (side as f64 * 2.0 / 7.0).round() as usize;
        let mut windows = Vec::new();
        for scale in 0..self.scales.max(1) {
            let shorter = side + scale * step;
            let scaled = [height * shorter / side, width * shorter / side];
            for top in starts(scaled[0], side) {
                windows.extend(starts(scaled[1], side).map(|left| Window {
                    scaled,
                    corner: [top, left],
                    side,
                }));
            }
        }
        windows
    }
}

/// Lists where windows start along an axis: side by side, the last one shifted back into the image.
fn starts(length: usize, side: usize) -> impl Iterator<Item = usize> {
    (0..length.div_ceil(side)).map(move |number| (number * side).min(length - side))
}

/// Cuts windows out of an image `[1, channels, height, width]`: `[windows, channels, side, side]`.
fn cut(pixels: &Tensor<4>, windows: &[Window], inference: &dyn Inference<Tensor<4>, Tensor<2>>) -> Tensor<4> {
    let [_, channels, height, width] = pixels.dims();
    let rows: Tensor<2> = pixels.clone().reshape([channels, height * width]);
    let cut_window = |window: &Window| {
        let Window { scaled: [scaled_height, scaled_width], corner: [top, left], side } = *window;
        inference
            .resize(rows.clone(), &[height, width], &window.scaled)
            .reshape([1, channels, scaled_height, scaled_width])
            .slice([0..1, 0..channels, top..top + side, left..left + side])
    };
    Tensor::cat(windows.iter().map(cut_window).collect(), 0)
}

/// A map that is being put together.
struct Canvas {
    sess: Sess,
    /// What the map belongs to.
    map: FlatMaps,
    size: [usize; 2],
    /// `[1, positions]`
    total: Tensor<2>,
    /// How many windows count at each position.
    count: Tensor<2>,
}

impl Canvas {
    fn blank(sess: Sess, map: &FlatMaps, pixels: &Tensor<4>) -> Self {
        let [_, _, height, width] = pixels.dims();
        let zeros = Tensor::zeros([1, height * width], &pixels.device());
        Self { sess, map: map.clone(), size: [height, width], total: zeros.clone(), count: zeros }
    }

    /// Adds the map of a window, `[1, side * side]`, at the position of the window.
    fn paste(&mut self, heatmap: Tensor<2>, window: Window, inference: &dyn Inference<Tensor<4>, Tensor<2>>) {
        let Window { scaled: [rows, columns], corner: [top, left], side } = window;
        let map: Tensor<2> = heatmap.reshape([side, side]);
        let map = map.pad((left, columns - left - side, top, rows - top - side), 0.0);
        let map = inference.resize(map.reshape([1, rows * columns]), &window.scaled, &self.size);
        let counts = map.clone().greater_elem(self.sess.threshold).float();
        self.total = match self.sess.pool {
            Pool::Mean => self.total.clone() + map * counts.clone(),
            Pool::Max => self.total.clone().max_pair(map),
        };
        self.count = self.count.clone() + counts;
    }

    fn finish(self) -> FlatMaps {
        let fused = match self.sess.pool {
            Pool::Mean => self.total / self.count.clamp_min(1.0),
            Pool::Max => self.total,
        };
        FlatMaps { raw: fused, stats: self.map.stats.batch_mean(), ..self.map }
    }
}

/// Blurs a map `[1, positions]` along both axes.
fn blurred(map: Tensor<2>, [down, across]: &[Tensor<2>; 2]) -> Tensor<2> {
    let [height, width] = [down.dims()[0], across.dims()[0]];
    let map = down.clone().matmul(map.reshape([height, width])).matmul(across.clone().transpose());
    map.reshape([1, height * width])
}

/// Makes the blur along an axis as a matrix `[length, length]`: a Gaussian of 11 pixels and standard deviation 5; the image is mirrored
/// at its borders.
fn gaussian(length: usize, device: &Device) -> Tensor<2> {
    const REACH: i64 = 5;
    const SIGMA: f64 = 5.0;
    let weight = |offset: i64| (-0.5 * (offset as f64 / SIGMA).powi(2)).exp();
    let all: f64 = (-REACH..=REACH).map(weight).sum();
    let mut numbers = vec![0f32; length * length];
    let last = length as i64 - 1;
    for position in 0..length as i64 {
        for offset in -REACH..=REACH {
            // ... 2 1 | 0 1 2 ...: the border itself is not repeated.
            let period = (2 * last).max(1);
            let source = (position + offset).rem_euclid(period);
            let source = if source > last { period - source } else { source };
            numbers[(position * length as i64 + source) as usize] += (weight(offset) / all) as f32;
        }
    }
    upload::floats(numbers, [length, length], device)
}
