//! SESS: one map from the maps of windows that slide over the picture at several scales.

use crate::explanation::{Flat, Health};
use crate::inspect::ready;
use crate::read::{self, now};
use crate::resize::{Resizer, Sampling};
use crate::send;
use crate::{Error, Explainer, Explanation, Goal, Model, Rows, Taps, Target};
use burn::Tensor;
use burn::tensor::Device;
use burn::tensor::activation::softmax;
use web_time::Instant;

/// SESS, saliency enhancing with scaling and sliding: an explainer of pictures whose maps are put together from those of
/// windows, so that objects of all sizes, and several of them, are found.
///
/// The picture is enlarged to several scales; windows of the size of the network's input slide over each; the map of a window
/// counts with the probability of the class there, and where windows overlap with their mean:
///
/// $$ L = \mathrm{Gauss}\left(\frac{\sum_p [s_p L_p > \theta]\, s_p L_p}{\sum_p [s_p L_p > \theta]}\right) $$
///
/// Tursun et al., *SESS: Saliency Enhancing with Scaling and Sliding*, ECCV 2022, section 3.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explainer, Explanation, GradCam, Nchw, Sess, Taps};
///
/// // The score: how bright the picture is.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     taps.layer("x", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// };
/// // Two objects, of which one is three times as bright.
/// let image = Tensor::<4>::from_floats([[[[9.0, 0.0, 3.0, 0.0], [0.0; 4]]]], &Device::flex());
/// let explainer = Explainer::new(&model).layer("x").method(GradCam);
/// let heat = |found: Explanation| found.maps[0].heat.to_data().try_to_vec::<f32>().unwrap();
///
/// let plain = explainer.explain(image.clone(), &Class(0))?;
/// assert_eq!(heat(plain)[..4], [1.0, 0.0, 1.0 / 3.0, 0.0]);
/// // At the first scale there are two windows, of two by two pixels; each sees one of them.
/// let sess = Sess { scales: 1, blur: false, ..Sess::PAPER };
/// let found = sess.explain_each(&explainer, image, &[&Class(0)])?;
/// assert_eq!(heat(found)[..4], [1.0, 0.0, 1.0, 0.0]);
/// # Ok::<(), cam_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sess {
    /// How many scales; the shorter side grows by 2/7 of the window from one to the next.
    pub scales: usize,
    /// The share of the windows, the least probable first, that is left out.
    pub skipped: f32,
    /// $\theta$: values up to it do not count in the mean.
    pub threshold: f32,
    /// How windows that overlap are joined.
    pub pool: Pool,
    /// Whether the map is blurred at the end (11 x 11 pixels, deviation 5).
    pub blur: bool,
}

/// How SESS joins the maps of windows that overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The mean over the windows that have a value above the threshold there.
    Mean,
    /// The largest.
    Max,
}

/// A window over an enlarged picture.
#[derive(Clone, Copy)]
struct Window {
    /// Height and width of the enlarged picture.
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

impl Sess {
    /// The settings of the paper: twelve scales, nothing left out.
    pub const PAPER: Self = Self { scales: 12, skipped: 0.0, threshold: 0.0, pool: Pool::Mean, blur: true };

    /// Explains several targets of the same images, by the methods, layers and scale of the explainer. Raw maps are those of the
    /// fused windows at the resolution of the input, before they are scaled.
    ///
    /// # Shapes
    /// - images: `[batch, channels, height, width]`; windows are squares of the shorter side
    ///
    /// # Errors
    /// As [`Explainer::explain_each`].
    pub fn explain_each<M>(
        &self,
        explainer: &Explainer<'_, M>,
        images: Tensor<4>,
        targets: &[&dyn Target],
    ) -> Result<Explanation, Error>
    where
        M: Model,
    {
        now(self.explain_each_async(explainer, images, targets))
    }

    /// As [`explain_each`](Self::explain_each), without blocking.
    ///
    /// # Errors
    /// As [`Explainer::explain_each`].
    pub async fn explain_each_async<M>(
        &self,
        explainer: &Explainer<'_, M>,
        images: Tensor<4>,
        targets: &[&dyn Target],
    ) -> Result<Explanation, Error>
    where
        M: Model,
    {
        ready(explainer.model(), &images)?;
        let [batch, _, height, width] = images.dims();
        let started = Instant::now();
        let output = explainer.model().forward(images.clone(), &Taps::off());
        let forward = started.elapsed();
        let goals = targets.iter().map(|target| target.resolve(&output)).collect::<Result<Vec<_>, _>>()?;
        let windows = self.windows(height, width);
        let at_once =
            explainer.at_once(cut(&images.clone().narrow(0, 0, 1), &windows[..1], explainer.resizer()))?;
        let blur = self.blur.then(|| [height, width].map(|length| gauss(length, &images.device())));
        // In passes of one picture: the plain one of each.
        let mut work = batch as f64;

        let mut maps: Vec<Flat> = Vec::new();
        for (number, goal) in goals.iter().enumerate() {
            let mut of_images: Vec<Vec<Flat>> = Vec::new();
            for image in 0..batch {
                let picture = images.clone().narrow(0, image, 1);
                let (maps, ran) = self.one(explainer, picture, (goal, image), &windows, at_once).await?;
                of_images.push(maps);
                work += ran;
            }
            let scores = goal.score_each(&output, Rows::All, batch)?.inner();
            for place in 0..of_images[0].len() {
                let of_images: Vec<&Flat> = of_images.iter().map(|maps| &maps[place]).collect();
                let raw = of_images.iter().map(|map| match &blur {
                    Some(blur) => blurred(map.raw.clone(), blur),
                    None => map.raw.clone(),
                });
                let raw = Tensor::cat(raw.collect(), 0);
                maps.push(Flat {
                    layer: of_images[0].layer.clone(),
                    method: of_images[0].method,
                    target: number,
                    classes: goal.classes().cloned(),
                    scores: scores.clone(),
                    heat: explainer.scaled(raw.clone()),
                    raw,
                    raw_grid: vec![height, width],
                    spread: None,
                    health: Health::batch(of_images.iter().map(|map| &map.health)),
                });
            }
        }
        let maps = maps.into_iter().map(|map| map.maps::<Tensor<4>>(&[height, width])).collect();
        Ok(Explanation { output, forward, passes: work / batch as f64, maps })
    }

    /// The fused maps of one picture `[1, channels, height, width]`, the image of this number for the goal, and how many passes of
    /// one window they took.
    async fn one<M>(
        &self,
        explainer: &Explainer<'_, M>,
        picture: Tensor<4>,
        (goal, image): (&Goal, usize),
        windows: &[Window],
        at_once: usize,
    ) -> Result<(Vec<Flat>, f64), Error>
    where
        M: Model,
    {
        let resizer = explainer.resizer();
        let scores = windows.chunks(at_once).map(|chunk| {
            let output = explainer.model().forward(cut(&picture, chunk, resizer), &Taps::off());
            goal.score_each(&softmax(output, 1), Rows::Copies { image, copies: chunk.len() }, 1)
        });
        let scores = scores.collect::<Result<Vec<_>, _>>()?;
        let probabilities = read::numbers(Tensor::cat(scores, 0).clamp_min(0.0)).await?;
        let mut order: Vec<usize> = (0..windows.len()).collect();
        order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
        order.drain(..((windows.len() as f32 * self.skipped) as usize).min(windows.len() - 1));
        let most = order.iter().map(|&window| probabilities[window]).fold(0.0, f32::max);

        let mut work = windows.len() as f64;
        let mut canvases: Vec<Canvas> = Vec::new();
        for chunk in order.chunks(at_once) {
            let chosen: Vec<Window> = chunk.iter().map(|&window| windows[window]).collect();
            let run =
                explainer.run(cut(&picture, &chosen, resizer), &[&goal.of_image(image, chunk.len())]).await?;
            work += run.passes * chunk.len() as f64;
            for (place, map) in run.maps.into_iter().enumerate() {
                if canvases.len() == place {
                    canvases.push(Canvas::blank(*self, &map, &picture));
                }
                for (row, &window) in chunk.iter().enumerate() {
                    let weight = if most > 0.0 { probabilities[window] / most } else { 1.0 };
                    canvases[place].paste(
                        map.heat.clone().narrow(0, row, 1) * weight,
                        windows[window],
                        resizer,
                    );
                }
            }
        }
        Ok((canvases.into_iter().map(Canvas::finish).collect(), work))
    }

    /// The windows over a picture of this size, at every scale.
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

/// Where windows start along an axis: side by side, the last one shifted back into the picture.
fn starts(length: usize, side: usize) -> impl Iterator<Item = usize> {
    (0..length.div_ceil(side)).map(move |number| (number * side).min(length - side))
}

/// What the windows show of a picture `[1, channels, height, width]`: `[windows, channels, side, side]`.
fn cut(picture: &Tensor<4>, windows: &[Window], resizer: &Resizer) -> Tensor<4> {
    let [_, channels, height, width] = picture.dims();
    let rows: Tensor<2> = picture.clone().reshape([channels, height * width]);
    let one = |window: &Window| {
        let Window { scaled: [rows_there, columns_there], corner: [top, left], side } = *window;
        resizer
            .resize(rows.clone(), &[height, width], &window.scaled, Sampling::HalfPixel)
            .reshape([1, channels, rows_there, columns_there])
            .slice([0..1, 0..channels, top..top + side, left..left + side])
    };
    Tensor::cat(windows.iter().map(one).collect(), 0)
}

/// A map on its way to be put together.
struct Canvas {
    sess: Sess,
    /// What the map is of.
    map: Flat,
    size: [usize; 2],
    /// `[1, positions]`
    total: Tensor<2>,
    /// How many windows count at each place.
    count: Tensor<2>,
}

impl Canvas {
    fn blank(sess: Sess, map: &Flat, picture: &Tensor<4>) -> Self {
        let [_, _, height, width] = picture.dims();
        let zeros = Tensor::zeros([1, height * width], &picture.device());
        Self { sess, map: map.clone(), size: [height, width], total: zeros.clone(), count: zeros }
    }

    /// Puts the map of a window, `[1, side * side]`, where the window is.
    fn paste(&mut self, heat: Tensor<2>, window: Window, resizer: &Resizer) {
        let Window { scaled: [rows, columns], corner: [top, left], side } = window;
        let heat: Tensor<2> = heat.reshape([side, side]);
        let heat = heat.pad((left, columns - left - side, top, rows - top - side), 0.0);
        let heat = heat.reshape([1, rows * columns]);
        let heat = resizer.resize(heat, &window.scaled, &self.size, Sampling::HalfPixel);
        let counts = heat.clone().greater_elem(self.sess.threshold).float();
        self.total = match self.sess.pool {
            Pool::Mean => self.total.clone() + heat * counts.clone(),
            Pool::Max => self.total.clone().max_pair(heat),
        };
        self.count = self.count.clone() + counts;
    }

    fn finish(self) -> Flat {
        let fused = match self.sess.pool {
            Pool::Mean => self.total / self.count.clamp_min(1.0),
            Pool::Max => self.total,
        };
        Flat { raw: fused, health: self.map.health.mean_row(), ..self.map }
    }
}

/// A map `[1, positions]` blurred along both axes.
fn blurred(map: Tensor<2>, [down, across]: &[Tensor<2>; 2]) -> Tensor<2> {
    let [height, width] = [down.dims()[0], across.dims()[0]];
    let map = down.clone().matmul(map.reshape([height, width])).matmul(across.clone().transpose());
    map.reshape([1, height * width])
}

/// The blur along an axis as a matrix `[length, length]`: a Gaussian of 11 pixels and deviation 5; the picture goes on mirrored at
/// its borders.
fn gauss(length: usize, device: &Device) -> Tensor<2> {
    const REACH: i64 = 5;
    const SIGMA: f64 = 5.0;
    let weight = |offset: i64| (-0.5 * (offset as f64 / SIGMA).powi(2)).exp();
    let all: f64 = (-REACH..=REACH).map(weight).sum();
    let mut numbers = vec![0f32; length * length];
    let last = length as i64 - 1;
    for place in 0..length as i64 {
        for offset in -REACH..=REACH {
            // ... 2 1 | 0 1 2 ...: the border itself is not repeated.
            let period = (2 * last).max(1);
            let there = (place + offset).rem_euclid(period);
            let there = if there > last { period - there } else { there };
            numbers[(place * length as i64 + there) as usize] += (weight(offset) / all) as f32;
        }
    }
    send::numbers(numbers, [length, length], device)
}
