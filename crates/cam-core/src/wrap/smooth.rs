//! Maps averaged over views of the same images: augmentation smoothing, noise averaging.

use super::explain::{Explain, Running};
use super::view::{Brightness, Flip, Noise, View};
use super::wrapper::{Wrapper, WrapperInfo};
use crate::{Error, FlatMaps, Goal, Input, MapStats, Run, Target};
use burn::Tensor;

/// Averages maps over several views of the images, and adds their standard deviation.
///
/// The target is resolved once, on the images as they are: every view is asked for the same class. The output is that of the images
/// as they are, a score is the mean over the views, and a mean map is scaled again.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Class, Explain, Explainer, Explanation, Flip, GradCam, Nchw, Smooth, Taps};
///
/// // A network that looks at the left pixel only.
/// let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
///     let left = Tensor::<4>::from_floats([[[[1.0, 0.0, 0.0]]]], &x.device());
///     taps.layer("left", Nchw, || x * left).flatten(1, 3).sum_dim(1)
/// };
/// let image = Tensor::<4>::from_floats([[[[3.0, 3.0, 3.0]]]], &Device::flex());
/// let smooth = Smooth::new().view(|x: Tensor<4>| x).view(Flip);
/// let explainer = Explainer::new(&model).layer("left").method(GradCam).wrap(smooth);
/// let explanation: Explanation = explainer.explain(image, &Class(0))?;
/// let numbers = |map: &Tensor<3>| map.to_data().try_to_vec::<f32>().unwrap();
/// // What is left in the mirrored view is right in the image; each end is hot in one view of two, 1 and 0.
/// assert_eq!(numbers(&explanation.maps[0].heatmap), [1.0, 0.0, 1.0]);
/// assert_eq!(numbers(explanation.maps[0].std.as_ref().unwrap()), [0.5, 0.0, 0.5]);
/// # Ok::<(), cam_core::Error>(())
/// ```
pub struct Smooth<I = Tensor<4>> {
    info: WrapperInfo,
    views: Vec<Box<dyn View<I>>>,
}

impl<I: Input> Smooth<I> {
    /// Starts without views; as long as there are none, the maps are those of the explainer.
    pub fn new() -> Self {
        Self { info: WrapperInfo::new("smooth", "Mean over views", ""), views: Vec::new() }
    }

    /// Makes the six views of pytorch-grad-cam's `aug_smooth`: plain and mirrored, each times 1, 0.9 and 1.1.
    pub fn augmented() -> Self {
        let info = WrapperInfo::new(
            "aug-smooth",
            "Augmentation smoothing",
            "https://github.com/jacobgil/pytorch-grad-cam",
        );
        [0.9, 1.0, 1.1].into_iter().fold(Self { info, ..Self::new() }, |views, factor| {
            views.view(Brightness(factor)).view((Flip, Brightness(factor)))
        })
    }

    /// Makes `samples` views with noise of this standard deviation, as in SmoothGrad (Smilkov et al., 2017,
    /// <https://arxiv.org/abs/1706.03825>).
    pub fn noisy(samples: usize, sigma: f64, seed: u64) -> Self {
        let info = WrapperInfo::new("noise", "SmoothGrad", "https://arxiv.org/abs/1706.03825");
        let noise = |sample| Noise { sigma, seed, stream: sample as u64 };
        (0..samples).map(noise).fold(Self { info, ..Self::new() }, Self::view)
    }

    /// Adds a view.
    pub fn view(mut self, view: impl View<I> + 'static) -> Self {
        self.views.push(Box::new(view));
        self
    }
}

impl<I: Input> Default for Smooth<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Input, O: 'static> Wrapper<I, O> for Smooth<I> {
    fn info(&self) -> WrapperInfo {
        self.info
    }

    fn run<'a>(
        &'a self,
        inner: &'a dyn Explain<I, O>,
        input: I,
        targets: &'a [&'a dyn Target<O>],
    ) -> Running<'a, O> {
        match self.views.is_empty() {
            true => inner.run(input, targets),
            false => Box::pin(self.average(inner, input, targets)),
        }
    }
}

impl<I: Input> Smooth<I> {
    async fn average<O: 'static>(
        &self,
        inner: &dyn Explain<I, O>,
        input: I,
        targets: &[&dyn Target<O>],
    ) -> Result<Run<O>, Error> {
        let (output, forward) = inner.inference().forward(input.clone())?;
        let goals =
            targets.iter().map(|target| target.resolve(&output)).collect::<Result<Vec<Goal<O>>, _>>()?;
        let targets: Vec<&dyn Target<O>> = goals.iter().map(|goal| goal as &dyn Target<O>).collect();
        let grid = input.grid();
        let mut passes = 1.0;
        let mut views: Vec<Vec<FlatMaps>> = Vec::new();
        for view in &self.views {
            let mut run = inner.run(view.apply(input.clone()), &targets).await?;
            for map in &mut run.maps {
                map.raw = view.undo(map.raw.clone(), &map.raw_grid);
                map.heatmap = view.undo(map.heatmap.clone(), &grid);
            }
            passes += run.passes;
            views.push(run.maps);
            inner.inference().report(self.info.name, views.len(), self.views.len());
        }
        let scale = |maps| inner.inference().scale(maps);
        let count = views.first().map_or(0, Vec::len);
        let maps = (0..count).map(|index| {
            let of_views: Vec<&FlatMaps> = views.iter().map(|maps| &maps[index]).collect();
            mean_map(&of_views, scale)
        });
        let maps = maps.collect();
        Ok(Run { output, goals, forward, passes, grid, maps })
    }
}

/// Averages one map over all views.
fn mean_map(views: &[&FlatMaps], scale: impl Fn(Tensor<2>) -> Tensor<2>) -> FlatMaps {
    let [raw, _] = mean_and_std(views.iter().map(|map| map.raw.clone()).collect());
    let [heatmap, std] = mean_and_std(views.iter().map(|map| map.heatmap.clone()).collect());
    let scores: Tensor<2> = Tensor::stack(views.iter().map(|map| map.scores.clone()).collect(), 0);
    FlatMaps {
        scores: scores.mean_dim(0).squeeze_dim(0),
        stats: MapStats::mean(views.iter().map(|map| &map.stats)),
        raw,
        heatmap: scale(heatmap),
        std: Some(std),
        ..views[0].clone()
    }
}

/// Computes the mean and the standard deviation over several tensors of one shape.
fn mean_and_std(tensors: Vec<Tensor<2>>) -> [Tensor<2>; 2] {
    let stacked: Tensor<3> = Tensor::stack(tensors, 0);
    let mean = stacked.clone().mean_dim(0);
    let std = (stacked - mean.clone()).square().mean_dim(0).sqrt();
    [mean.squeeze_dim(0), std.squeeze_dim(0)]
}
