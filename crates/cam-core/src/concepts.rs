//! Deep feature factorization: the activation of a layer as a few concepts and where each of them is.
//!
//! With $A$ the channels by the positions of all images of the batch, each channel minus its lowest value,
//!
//! $$ A \approx W H, \qquad W \ge 0, \thickspace H \ge 0 $$
//!
//! is factorized into $k$ concepts: a column of $W$ is the activation that a concept stands for, a row of $H$ where it is.
//!
//! Collins, Achanta and Süsstrunk, *Deep Feature Factorization for Concept Discovery*, ECCV 2018
//! (<https://arxiv.org/abs/1806.10206>). The factors are found by hierarchical alternating least squares (Cichocki and Phan,
//! 2009), like scikit-learn's coordinate descent.

use crate::engine::forward_pass::BoundModel;
use crate::engine::{read, upload};
use crate::post::resize::{Resizer, Sampling};
use crate::tap::{CaptureSpec, INPUT, Recording, Replay};
use crate::{Error, Input, Model, Rows, Scale, Taps, block_on};
use burn::Tensor;
use nalgebra::DMatrix;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardUniform};

/// The concepts of a layer.
pub struct Concepts<T = Tensor<3>, O = Tensor<2>> {
    /// The activation that each concept stands for: `[concepts, channels]`.
    pub vectors: Tensor<2>,
    /// The output of the network if the layer has the activation of one concept at every position: one row per concept.
    pub output: O,
    /// Where each concept is, one entry per concept: at the resolution of the input, each map scaled. `[batch, height, width]`.
    pub heatmaps: Vec<T>,
    /// The rows of $H$, one entry per concept, at the resolution of the layer: `[batch, height, width]`.
    pub raw: Vec<T>,
}

/// The most sweeps over both factors.
const SWEEPS: usize = 200;
/// The change in a sweep, relative to that in the first, at which the factorization ends.
const TOLERANCE: f64 = 1e-4;

/// Finds `count` concepts of a layer in the images of a batch, at most as many as the layer has channels.
///
/// The same seed gives the same concepts.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Nchw, Taps, concepts};
///
/// # let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
/// #     taps.layer("features", Nchw, || x).mean_dims(&[2, 3]).flatten(1, 3)
/// # };
/// // Two objects of two colors: one at the first position, one at the last.
/// let images = Tensor::<4>::from_floats([[[[5.0, 0.0, 0.0]], [[0.0, 0.0, 4.0]]]], &Device::flex());
/// let found = concepts(&model, "features", images, 2, 0)?;
/// let mut maps = Vec::new();
/// for heatmap in &found.heatmaps {
///     maps.push(heatmap.to_data().try_to_vec::<f32>().unwrap());
/// }
/// maps.sort_by(|a, b| b[0].total_cmp(&a[0]));
/// assert_eq!(maps, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]); // where each concept is
/// assert_eq!(found.output.dims(), [2, 2]); // two concepts, two classes
/// # Ok::<(), cam_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::UnknownLayer`], [`Error::EmptyInput`], [`Error::TrainingMode`], [`Error::TrainingDevice`], [`Error::NonFinite`] if
/// the activation is not finite, and what is wrong with the taps.
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
    block_on(concepts_async(model, layer, input, count, seed))
}

/// Like [`concepts`], without blocking.
///
/// # Errors
/// Those of [`concepts`].
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
    let (grid, batch) = (input.grid(), input.batch());
    let spec = CaptureSpec::layer(layer);
    let model = BoundModel::new(model, input)?;
    let (_, recording) = model.first_pass(&spec, false, true)?;
    let captured = &recording.captured[0];
    let [_, channels, positions] = captured.activation.dims();
    let count = count.clamp(1, channels);
    let device = captured.activation.device();

    let columns = batch * positions;
    let activation: Tensor<2> = captured.activation.clone().swap_dims(0, 1).reshape([channels, columns]);
    let lowest = activation.clone().min_dim(1);
    let numbers = read::read_floats(activation - lowest.clone()).await?;
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(Error::NonFinite { what: "an activation".into() });
    }
    let matrix = DMatrix::from_row_iterator(channels, columns, numbers.into_iter().map(f64::from));
    let [w, h] = factorize(&matrix, count, seed);

    let flat = |matrix: &DMatrix<f64>| matrix.transpose().iter().map(|x| *x as f32).collect::<Vec<_>>();
    let vectors = upload::floats(flat(&w.transpose()), [count, channels], &device);
    let vectors = vectors + lowest.transpose();
    let maps = upload::floats(flat(&h), [count, batch, positions], &device);
    let map_of = |concept: usize| maps.clone().narrow(0, concept, 1).squeeze_dim::<2>(0);
    let resizer = Resizer::default();
    let heatmap = |concept| {
        let map = resizer.resize(map_of(concept), &captured.grid, &grid, Sampling::HalfPixel);
        I::to_map(Scale::PerMap.apply(map), &grid)
    };
    Ok(Concepts {
        output: output_of(&model, &recording, &vectors)?,
        heatmaps: (0..count).map(heatmap).collect(),
        raw: (0..count).map(|concept| I::to_map(map_of(concept), &captured.grid)).collect(),
        vectors,
    })
}

/// Runs the rest of the network on copies of the first image, each with the activation of one concept at every position of the layer.
fn output_of<I, O, M>(
    model: &BoundModel<'_, M, I, O>,
    recording: &Recording,
    vectors: &Tensor<2>,
) -> Result<O, Error>
where
    I: Input,
    M: Model<I, O>,
{
    let from = recording.captured[0].name.as_str();
    let copies = vectors.dims()[0];
    let edit = |activation: Tensor<3>| {
        let shape = activation.dims();
        vectors.clone().unsqueeze_dim::<3>(2).expand(shape)
    };
    let rows = Rows::Copies { image: 0, copies };
    if from == INPUT {
        return model.forward(
            rows,
            Some(edit(rows.of(recording.captured[0].activation.clone()))),
            &Taps::off(),
        );
    }
    let spec = CaptureSpec::default();
    let cache = &recording.cache;
    let taps = Taps::replay(Replay { cache, from, rows, edit: &edit, masks: None, exit: None }, &spec);
    let output = model.forward(rows, None, &taps)?;
    if taps.into_recording().reached_edit {
        return Ok(output);
    }
    let expected = recording.captured[0].activation.dims()[0];
    Err(Error::LostLayer { layer: from.into(), expected, found: copies })
}

/// Factorizes a matrix without negative numbers: `[rows, count]` and `[count, columns]`.
fn factorize(a: &DMatrix<f64>, count: usize, seed: u64) -> [DMatrix<f64>; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let magnitude = (a.mean() / count as f64).sqrt();
    let mut random = |_, _| magnitude * 2.0 * Distribution::<f64>::sample(&StandardUniform, &mut rng);
    let mut w = DMatrix::from_fn(a.nrows(), count, &mut random);
    let mut h = DMatrix::from_fn(count, a.ncols(), &mut random);
    let mut first = None;
    for _ in 0..SWEEPS {
        let change = improve(&mut w, &(a * h.transpose()), &(&h * h.transpose()))
            + improve_rows(&mut h, &w.tr_mul(a), &w.tr_mul(&w));
        if change <= TOLERANCE * *first.get_or_insert(change) {
            break;
        }
    }
    [w, h]
}

/// Improves each column of $W$ in turn, with the others fixed: $w_j \leftarrow \max(0, w_j + (A H^\top - W H H^\top)_j / (H H^\top)_{jj})$.
/// Returns how much it changed.
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

/// Like [`improve`], for the rows of $H$.
fn improve_rows(h: &mut DMatrix<f64>, wa: &DMatrix<f64>, ww: &DMatrix<f64>) -> f64 {
    let mut transposed = h.transpose();
    let change = improve(&mut transposed, &wa.transpose(), ww);
    *h = transposed.transpose();
    change
}
