//! How good is a class activation map?
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! A [`Metric`] measures one map of one image. It declares what it is called, which direction is better and what it needs, names the
//! [changed copies](Change) of the input whose scores it reads and the [retakes](Retake) of the map that it compares with, and then
//! computes its value. An [`Evaluator`] makes the maps, runs each changed copy once for all metrics, methods and classes that read it, in
//! chunks of bounded memory, and measures.
//!
//! ```
//! use burn::prelude::*;
//! use cam_core::{Class, GradCam, Nchw, Taps};
//! use cam_metrics::{Evaluator, Mask, Truth, metric_named};
//!
//! // The score: the mean of the first channel.
//! let model = |images: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
//!     let x = taps.layer("features", Nchw, || images);
//!     x.mean_dims(&[2, 3]).flatten(1, 3)
//! };
//! let image = Tensor::from_floats([[[[0., 9.], [0., 0.]], [[1., 1.], [1., 1.]]]], &Device::flex());
//! let truth = Truth::of_mask(Mask::new(2, 2, vec![false, true, false, false])?);
//!
//! let evaluator = Evaluator::new(&model)
//!     .layer("features")
//!     .method(GradCam)
//!     .metric(metric_named("pointing")?)
//!     .metric(metric_named("average-drop")?);
//! let maps = evaluator.evaluate(image, &Class(0), &Class(0), Some(&truth))?;
//! assert_eq!(maps[0].measured[0].value(), Some(1.0)); // the hottest pixel is in the mask
//! assert_eq!(maps[0].measured[1].value(), Some(0.0)); // what the map keeps of the input scores as much as all of it
//! # Ok::<(), cam_metrics::Error>(())
//! ```

mod change;
mod contours;
mod error;
mod evaluator;
mod gaussian;
mod imputation;
mod map;
mod metric;
pub mod metrics;
mod registry;
mod statistics;
mod summary;
mod truth;

pub use change::{Baseline, Change, Changed, Order, Pixels};
pub use contours::{Bounds, contours};
pub use error::Error;
pub use evaluator::{Evaluator, Goals, Measured, MeasuredMap, Progress, Randomize};
pub use gaussian::CenteredGaussian;
pub use imputation::{Imputation, impute};
pub use map::Map;
pub use metric::{Better, Group, Measurement, Metric, MetricInfo, Needs, Reason, Retake, Scores, Subject};
pub use registry::{METRICS, metric_named};
pub use statistics::{hog, pearson, ranks, ssim};
pub use summary::{Interval, Summary, bootstrap, ranking, summarize};
pub use truth::{Mask, Truth};
