//! Maps averaged over views of the same images: augmentation smoothing, noise averaging.

use crate::explanation::{Flat, Health};
use crate::inspect::ready;
use crate::noise::normal;
use crate::read::now;
use crate::{Error, Explainer, Explanation, Input, Model, Taps, Target};
use burn::Tensor;
use web_time::Instant;

/// A way to look at images again: what is done to them, and how a map of them is brought back.
///
/// A closure `|input: I| -> I` is a view whose maps stay where they are; two views in a pair are one after the other.
pub trait View<I: Input>: Send + Sync {
    /// The images in this view.
    fn apply(&self, input: I) -> I;

    /// Maps of this view, brought back to the images.
    ///
    /// # Shapes
    /// - maps, output: `[batch, positions]`, on the grid given
    fn undo(&self, maps: Tensor<2>, _grid: &[usize]) -> Tensor<2> {
        maps
    }
}

impl<I: Input, F: Fn(I) -> I + Send + Sync> View<I> for F {
    fn apply(&self, input: I) -> I {
        self(input)
    }
}

impl<I: Input, A: View<I>, B: View<I>> View<I> for (A, B) {
    fn apply(&self, input: I) -> I {
        self.1.apply(self.0.apply(input))
    }

    fn undo(&self, maps: Tensor<2>, grid: &[usize]) -> Tensor<2> {
        self.0.undo(self.1.undo(maps, grid), grid)
    }
}

/// Mirrored along the last axis: left and right of a picture change places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip;

impl<I: Input> View<I> for Flip {
    fn apply(&self, input: I) -> I {
        let values = input.to_layer();
        let [batch, channels, positions] = values.dims();
        let flat = values.reshape([batch * channels, positions]);
        input.with_layer(mirrored(flat, &input.grid()).reshape([batch, channels, positions]))
    }

    fn undo(&self, maps: Tensor<2>, grid: &[usize]) -> Tensor<2> {
        mirrored(maps, grid)
    }
}

/// Rows `[rows, positions]` mirrored along the last axis of their grid.
///
/// Not by `flip`, which Burn 0.22 takes for one of integers where kernels are fused: a device of another machine refuses it.
fn mirrored(rows: Tensor<2>, grid: &[usize]) -> Tensor<2> {
    let [count, positions] = rows.dims();
    let last = grid.last().copied().unwrap_or(1);
    let backwards = Tensor::arange(0..last as i64, &rows.device()).neg() + (last as i64 - 1);
    rows.reshape([count * positions / last, last]).select(1, backwards).reshape([count, positions])
}

/// The values times a number, as the network gets them (after they are normalized).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Brightness(pub f32);

impl<I: Input> View<I> for Brightness {
    fn apply(&self, input: I) -> I {
        input.with_layer(input.to_layer() * self.0)
    }
}

/// Noise of the normal distribution added, the same to all images of the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// The standard deviation, in the units of the input as the network gets it.
    pub sigma: f64,
    /// Which noise is drawn.
    pub seed: u64,
    /// Which of the noises of the seed, which do not depend on each other.
    pub stream: u64,
}

impl<I: Input> View<I> for Noise {
    fn apply(&self, input: I) -> I {
        let values = input.to_layer();
        let [_, channels, positions] = values.dims();
        let noise =
            normal([1, channels, positions], self.sigma, &[[self.seed, self.stream]], &values.device());
        input.with_layer(values + noise)
    }
}

/// An explainer whose maps are the mean over several views of the images, with their spread beside.
///
/// The target is resolved once, on the images as they are: every view is asked for the same class.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explainer, Explanation, Flip, GradCam, Nchw, Smooth, Taps};
///
/// // A network that looks at the left place only, whatever is there.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let left = Tensor::<4>::from_floats([[[[1.0, 0.0, 0.0]]]], &x.device());
///     taps.layer("left", Nchw, || x * left).flatten(1, 3).sum_dim(1)
/// };
/// let image = Tensor::<4>::from_floats([[[[3.0, 3.0, 3.0]]]], &Device::flex());
/// let explainer = Explainer::new(&model).layer("left").method(GradCam);
/// let plain = |x: Tensor<4>| x;
/// let found: Explanation = Smooth::new(&explainer).view(plain).view(Flip).explain(image, &Class(0))?;
/// let numbers = |map: &Tensor<3>| map.to_data().try_to_vec::<f32>().unwrap();
/// // What is left in the mirrored view is right in the image; both ends are hot in one view of two, 1 and 0.
/// assert_eq!(numbers(&found.maps[0].heat), [1.0, 0.0, 1.0]);
/// assert_eq!(numbers(found.maps[0].spread.as_ref().unwrap()), [0.5, 0.0, 0.5]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub struct Smooth<'e, 'm, M, I> {
    explainer: &'e Explainer<'m, M>,
    views: Vec<Box<dyn View<I>>>,
}

impl<'e, 'm, M, I: Input> Smooth<'e, 'm, M, I> {
    /// No views yet; as long as there are none, the maps are those of the explainer.
    pub fn new(explainer: &'e Explainer<'m, M>) -> Self {
        Self { explainer, views: Vec::new() }
    }

    /// The six views of pytorch-grad-cam's `aug_smooth`: plain and mirrored, each times 1, 0.9 and 1.1.
    pub fn augmented(explainer: &'e Explainer<'m, M>) -> Self {
        [0.9, 1.0, 1.1].into_iter().fold(Self::new(explainer), |views, factor| {
            views.view(Brightness(factor)).view((Flip, Brightness(factor)))
        })
    }

    /// So many views with noise of this deviation, as SmoothGrad (Smilkov et al., 2017, <https://arxiv.org/abs/1706.03825>).
    pub fn noisy(explainer: &'e Explainer<'m, M>, samples: usize, sigma: f64, seed: u64) -> Self {
        let noise = |sample| Noise { sigma, seed, stream: sample as u64 };
        (0..samples).map(noise).fold(Self::new(explainer), Self::view)
    }

    /// Looks at the images in this view too.
    pub fn view(mut self, view: impl View<I> + 'static) -> Self {
        self.views.push(Box::new(view));
        self
    }

    /// Explains one target: [`explain_each`](Self::explain_each) with a list of one.
    ///
    /// # Errors
    /// As [`Explainer::explain_each`].
    pub fn explain<O>(&self, input: I, target: &dyn Target<O>) -> Result<Explanation<I::Map, O>, Error>
    where
        M: Model<I, O>,
    {
        self.explain_each(input, &[target])
    }

    /// As [`explain`](Self::explain), without blocking.
    ///
    /// # Errors
    /// As [`Explainer::explain_each`].
    pub async fn explain_async<O>(
        &self,
        input: I,
        target: &dyn Target<O>,
    ) -> Result<Explanation<I::Map, O>, Error>
    where
        M: Model<I, O>,
    {
        self.explain_each_async(input, &[target]).await
    }

    /// Explains several targets of the same images, as [`Explainer::explain_each`] does. The output is that of the images
    /// as they are, a score the mean over the views; a mean map is scaled again.
    ///
    /// # Errors
    /// As [`Explainer::explain_each`].
    pub fn explain_each<O>(
        &self,
        input: I,
        targets: &[&dyn Target<O>],
    ) -> Result<Explanation<I::Map, O>, Error>
    where
        M: Model<I, O>,
    {
        now(self.explain_each_async(input, targets))
    }

    /// As [`explain_each`](Self::explain_each), without blocking.
    ///
    /// # Errors
    /// As [`Explainer::explain_each`].
    pub async fn explain_each_async<O>(
        &self,
        input: I,
        targets: &[&dyn Target<O>],
    ) -> Result<Explanation<I::Map, O>, Error>
    where
        M: Model<I, O>,
    {
        if self.views.is_empty() {
            return self.explainer.explain_each_async(input, targets).await;
        }
        ready(self.explainer.model(), &input)?;
        let started = Instant::now();
        let output = self.explainer.model().forward(input.clone(), &Taps::off());
        let forward = started.elapsed();
        let goals = targets.iter().map(|target| target.resolve(&output)).collect::<Result<Vec<_>, _>>()?;
        let goals: Vec<&dyn Target<O>> = goals.iter().map(|goal| goal as &dyn Target<O>).collect();
        let grid = input.grid();

        let mut passes = 1.0;
        let mut views: Vec<Vec<Flat>> = Vec::new();
        for view in &self.views {
            let mut run = self.explainer.run(view.apply(input.clone()), &goals).await?;
            for map in &mut run.maps {
                map.raw = view.undo(map.raw.clone(), &map.raw_grid);
                map.heat = view.undo(map.heat.clone(), &grid);
            }
            passes += run.passes;
            views.push(run.maps);
        }
        let maps = (0..views.first().map_or(0, Vec::len)).map(|place| {
            let of_views: Vec<&Flat> = views.iter().map(|maps| &maps[place]).collect();
            self.mean(&of_views).maps::<I>(&grid)
        });
        let maps = maps.collect();
        Ok(Explanation { output, forward, passes, maps })
    }

    /// One map of those of all views.
    fn mean(&self, views: &[&Flat]) -> Flat {
        let [raw, _] = mean_and_spread(views.iter().map(|map| map.raw.clone()).collect());
        let [heat, spread] = mean_and_spread(views.iter().map(|map| map.heat.clone()).collect());
        Flat {
            layer: views[0].layer.clone(),
            method: views[0].method,
            target: views[0].target,
            classes: views[0].classes.clone(),
            scores: Tensor::stack::<2>(views.iter().map(|map| map.scores.clone()).collect(), 0)
                .mean_dim(0)
                .squeeze_dim(0),
            raw_grid: views[0].raw_grid.clone(),
            health: Health::mean(views.iter().map(|map| &map.health)),
            raw,
            heat: self.explainer.scaled(heat),
            spread: Some(spread),
        }
    }
}

/// The mean and the standard deviation over several tensors of one shape.
fn mean_and_spread(tensors: Vec<Tensor<2>>) -> [Tensor<2>; 2] {
    let stacked: Tensor<3> = Tensor::stack(tensors, 0);
    let mean = stacked.clone().mean_dim(0);
    let spread = (stacked - mean.clone()).square().mean_dim(0).sqrt();
    [mean.squeeze_dim(0), spread.squeeze_dim(0)]
}
