//! Deep feature factorization: what a layer sees, as a few concepts and where each of them is.
//!
//! With $A$ the channels by the positions of all images of the batch, each channel less its least value,
//!
//! $$ A \approx W H, \qquad W \ge 0, \; H \ge 0 $$
//!
//! is factorized into $k$ concepts: a column of $W$ is what a concept looks like to the layer, a row of $H$ where it is.
//!
//! Collins, Achanta and Süsstrunk, *Deep Feature Factorization for Concept Discovery*, ECCV 2018
//! (<https://arxiv.org/abs/1806.10206>). The factors are found by hierarchical alternating least squares (Cichocki and Phan,
//! 2009), as scikit-learn's coordinate descent does.

use crate::read::{self, now};
use crate::resize::Sampling;
use crate::send;
use crate::session::Session;
use crate::tap::Asked;
use crate::{Error, Input, Model, Scale};
use burn::Tensor;
use nalgebra::DMatrix;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardUniform};

/// The concepts of a layer.
pub struct Concepts<T = Tensor<3>, O = Tensor<2>> {
    /// What each concept looks like to the layer: `[concepts, channels]`.
    pub vectors: Tensor<2>,
    /// What the rest of the network says to a layer that shows one concept at every place: one row a concept.
    pub output: O,
    /// Where each concept is, one entry a concept: at the resolution of the input, each map scaled. `[batch, height, width]`.
    pub heat: Vec<T>,
    /// The rows of $H$ at the resolution of the layer: `[batch, height, width]`.
    pub raw: Vec<T>,
}

/// Sweeps over both factors at most.
const SWEEPS: usize = 200;
/// The change in a sweep, as a share of that in the first, at which it ends.
const TOLERANCE: f64 = 1e-4;

/// The concepts that a layer sees in the images of a batch.
///
/// The same seed gives the same concepts. `count` concepts are asked for, at most as many as the layer has channels.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Nchw, Taps, concepts};
///
/// # let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     taps.layer("features", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// // Two things of two colors: one at the first place, one at the last.
/// let images = Tensor::<4>::from_floats([[[[5.0, 0.0, 0.0]], [[0.0, 0.0, 4.0]]]], &Device::flex());
/// let found = concepts(&model, "features", images, 2, 0)?;
/// let mut places = Vec::new();
/// for heat in &found.heat {
///     places.push(heat.to_data().try_to_vec::<f32>().unwrap());
/// }
/// places.sort_by(|a, b| b[0].total_cmp(&a[0]));
/// assert_eq!(places, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]); // where each concept is
/// assert_eq!(found.output.dims(), [2, 2]); // what the rest of the network says to each
/// # Ok::<(), cam_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::UnknownLayer`], [`Error::EmptyInput`], [`Error::TrainingMode`], [`Error::TrainingDevice`], [`Error::NonFinite`] where the activation is not finite, and what is wrong
/// with the taps.
pub fn concepts<I, O>(
    model: &impl Model<I, O>,
    layer: &str,
    input: I,
    count: usize,
    seed: u64,
) -> Result<Concepts<I::Map, O>, Error>
where
    I: Input,
{
    now(concepts_async(model, layer, input, count, seed))
}

/// As [`concepts`], without blocking.
///
/// # Errors
/// As [`concepts`].
pub async fn concepts_async<I, O>(
    model: &impl Model<I, O>,
    layer: &str,
    input: I,
    count: usize,
    seed: u64,
) -> Result<Concepts<I::Map, O>, Error>
where
    I: Input,
{
    let grid = input.grid();
    let batch = input.batch();
    let asked = Asked::only(layer);
    let session = Session::start(model, &asked, input, false, true)?;
    let seen = &session.watched[0];
    let [_, channels, positions] = seen.activation.dims();
    let count = count.clamp(1, channels);
    let device = seen.activation.device();

    let places = batch * positions;
    let activation: Tensor<2> = seen.activation.clone().swap_dims(0, 1).reshape([channels, places]);
    let least = activation.clone().min_dim(1);
    let numbers = read::numbers(activation - least.clone()).await?;
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(Error::NonFinite { what: "an activation".into() });
    }
    let matrix = DMatrix::from_row_iterator(channels, places, numbers.into_iter().map(f64::from));
    let [w, h] = factorize(&matrix, count, seed);

    let flat = |matrix: &DMatrix<f64>| matrix.transpose().iter().map(|x| *x as f32).collect::<Vec<_>>();
    let vectors = send::numbers(flat(&w.transpose()), [count, channels], &device);
    let vectors = vectors + least.transpose();
    let maps = send::numbers(flat(&h), [count, batch, positions], &device);
    let of_concept = |concept: usize| maps.clone().narrow(0, concept, 1).squeeze_dim::<2>(0);
    let heat = |concept| {
        let map = session.resizer.resize(of_concept(concept), &seen.grid, &grid, Sampling::HalfPixel);
        I::to_map(Scale::PerMap.apply(map), &grid)
    };
    let shown = vectors.clone().unsqueeze_dim::<3>(2);
    let output = session.output_of_edited(0, count, &|activation| {
        let shape = activation.dims();
        shown.clone().expand(shape)
    });
    session.lost()?;
    Ok(Concepts {
        output,
        heat: (0..count).map(heat).collect(),
        raw: (0..count).map(|concept| I::to_map(of_concept(concept), &seen.grid)).collect(),
        vectors,
    })
}

/// The factors of a matrix without negative numbers, `[rows, count]` and `[count, columns]`.
fn factorize(a: &DMatrix<f64>, count: usize, seed: u64) -> [DMatrix<f64>; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let about = (a.mean() / count as f64).sqrt();
    let mut random = |_, _| about * 2.0 * Distribution::<f64>::sample(&StandardUniform, &mut rng);
    let mut w = DMatrix::from_fn(a.nrows(), count, &mut random);
    let mut h = DMatrix::from_fn(count, a.ncols(), &mut random);
    let mut first = None;
    for _ in 0..SWEEPS {
        let change = improve(&mut w, &(a * h.transpose()), &(&h * h.transpose()))
            + improve_rows(&mut h, &(w.transpose() * a), &(w.transpose() * &w));
        if change <= TOLERANCE * *first.get_or_insert(change) {
            break;
        }
    }
    [w, h]
}

/// Each column of $W$ in turn to its best, the others held: $w_j \leftarrow \max(0, w_j + (A H^\top - W H H^\top)_j / (H H^\top)_{jj})$.
/// Returns how much changed.
fn improve(w: &mut DMatrix<f64>, ah: &DMatrix<f64>, hh: &DMatrix<f64>) -> f64 {
    let mut change = 0.0;
    for j in 0..w.ncols() {
        if hh[(j, j)] <= 0.0 {
            continue;
        }
        let step = (ah.column(j) - &*w * hh.column(j)) / hh[(j, j)];
        for (value, step) in w.column_mut(j).iter_mut().zip(step.iter()) {
            let better = (*value + step).max(0.0);
            change += (better - *value).abs();
            *value = better;
        }
    }
    change
}

/// As [`improve`], for the rows of $H$.
fn improve_rows(h: &mut DMatrix<f64>, wa: &DMatrix<f64>, ww: &DMatrix<f64>) -> f64 {
    let mut transposed = h.transpose();
    let change = improve(&mut transposed, &wa.transpose(), ww);
    *h = transposed.transpose();
    change
}
