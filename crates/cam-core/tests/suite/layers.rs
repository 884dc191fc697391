//! The default layer, the ranking of layers, and what they see, on networks for which it is known.

use crate::common::slow::{mean, resized, scaled, wide};
use crate::common::{close, numbers, seed, uniform};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{Class, Error, HiResCam, Nchw, Taps, choose_layer, concepts, rank_layers};

fn pooled(x: Tensor<4>) -> Tensor<2> {
    x.mean_dims(&[2, 3]).flatten(1, 3)
}

fn image() -> Tensor<4> {
    uniform([1, 2, 4, 6], 0.5, 1.0, &Device::flex())
}

#[test]
fn the_last_layer_with_a_grid_and_a_gradient_is_chosen() {
    let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("early", Nchw, || x * 2.0);
        let x = taps.layer("last", Nchw, || x + 1.0);
        taps.layer("aside", Nchw, || x.clone() * 3.0);
        // Its gradient is zero: the ReLU behind it lets nothing through.
        let dead = relu(taps.layer("dead", Nchw, || x.clone()) - 100.0);
        taps.layer("pooled", Nchw, || (x + dead).mean_dims(&[2, 3])).flatten(1, 3)
    };
    assert_eq!(choose_layer(&model, &image(), &Class(1)), Ok("last".into()));
}

#[test]
fn a_layer_of_the_other_classes_is_not_chosen() {
    // A branch for each class; only the first has a layer behind the stem.
    let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("stem", Nchw, || x * 2.0);
        let first = taps.layer("first", Nchw, || x.clone().narrow(1, 0, 1) + 1.0);
        Tensor::cat(vec![pooled(first), pooled(x.narrow(1, 1, 1))], 1)
    };
    assert_eq!(choose_layer(&model, &image(), &Class(0)), Ok("first".into()));
    assert_eq!(choose_layer(&model, &image(), &Class(1)), Ok("stem".into()));
}

#[test]
fn where_no_layer_can_be_chosen_those_that_there_are_are_told() {
    let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        taps.layer("aside", Nchw, || x.clone());
        taps.layer("pooled", Nchw, || x.mean_dims(&[2, 3])).flatten(1, 3)
    };
    let known = vec!["aside".into(), "pooled".into()];
    assert_eq!(choose_layer(&model, &image(), &Class(0)), Err(Error::NoLayer { known }));
}

#[test]
fn the_layer_whose_map_keeps_the_score_is_ranked_first() {
    // Only the left half counts. One layer shows the picture as it is, one mirrored, one only how bright it is.
    let model = |x: Tensor<4>, taps: &Taps<'_>| -> Tensor<2> {
        let x = taps.layer("mirrored", Nchw, || x.flip([3])).flip([3]);
        let x = taps.layer("upright", Nchw, || x);
        let left = taps.layer("pooled", Nchw, || x.narrow(3, 0, 3).mean_dims(&[2, 3]));
        left.flatten(1, 3)
    };
    let ones = Tensor::<4>::ones([2, 1, 4, 6], &Device::flex());
    let ranked = rank_layers(&model, HiResCam, ones, &Class(0)).unwrap();
    let found: Vec<_> = ranked
        .iter()
        .map(|one| (one.layer.as_str(), one.score, one.kept, one.left, one.faithfulness()))
        .collect();
    assert_eq!(found, [("upright", 1.0, 1.0, 0.0, 1.0), ("mirrored", 1.0, 0.0, 1.0, -1.0)]);
}

const K: usize = 5;
const GRID: [usize; 2] = [2, 3];
const PLACES: usize = 6;
const IMAGES: usize = 2;

/// What the network says to a layer: something that is not linear in it.
fn tail(x: Tensor<4>) -> Tensor<2> {
    let pooled = pooled(x.square());
    Tensor::cat(vec![pooled.clone().sum_dim(1), pooled.max_dim(1)], 1)
}

/// Twice as large as the layer.
fn network(x: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
    let [batch, ..] = x.dims();
    let small = || x.reshape([batch, K, 2, 2, 3, 2]).max_dim(3).max_dim(5).reshape([batch, K, 2, 3]);
    tail(taps.layer("x", Nchw, small))
}

/// An image whose layer is $W H$ for two concepts, each absent somewhere, plus a least value of each channel.
fn of_two_concepts() -> Tensor<4> {
    let device = Device::flex();
    seed(37);
    let w: Tensor<2> = uniform([K, 2], 0.2, 1.0, &device);
    // Each concept has places of its own, and both some.
    let h = Tensor::<2>::from_floats(
        [
            [0.0, 1.0, 0.5, 0.0, 0.0, 0.3, 0.9, 0.0, 0.2, 0.0, 0.7, 0.0],
            [0.0, 0.0, 0.4, 1.0, 0.6, 0.0, 0.0, 0.8, 0.0, 0.3, 0.5, 1.0],
        ],
        &device,
    );
    let least = Tensor::<2>::from_floats([[-0.5], [0.0], [0.3], [-0.1], [0.2]], &device);
    let a: Tensor<3> = (w.matmul(h) + least).reshape([K, IMAGES, PLACES]).swap_dims(0, 1);
    let a: Tensor<6> = a.reshape([IMAGES, K, 2, 1, 3, 1]);
    a.repeat(&[1, 1, 1, 2, 1, 2]).reshape([IMAGES, K, 4, 6])
}

#[test]
fn concepts_factorize_the_layer() {
    let image = of_two_concepts();
    let found = concepts(&network, "x", image.clone(), 2, 0).unwrap();
    assert_eq!((found.vectors.dims(), found.raw.len(), found.heatmaps.len()), ([2, K], 2, 2));

    let [batch, _, height, width] = image.dims();
    let at = |i: usize, k: usize, n: usize| ((i * K + k) * height + n / 3 * 2) * width + n % 3 * 2;
    let pixels = numbers(&image);
    let a = |i: usize, k: usize, n: usize| f64::from(pixels[at(i, k, n)]);
    let w = wide(&numbers(&found.vectors));
    let h: Vec<Vec<f64>> = found.raw.iter().map(|map| wide(&numbers(map))).collect();
    for k in 0..K {
        let least = (0..batch * PLACES).map(|n| a(n / PLACES, k, n % PLACES)).fold(f64::INFINITY, f64::min);
        // A vector is what the concept looks like: above the least of the channel, never below it.
        assert!((0..2).all(|concept| w[concept * K + k] >= least));
        for (i, n) in (0..batch).flat_map(|i| (0..PLACES).map(move |n| (i, n))) {
            let product: f64 = (0..2).map(|j| (w[j * K + k] - least) * h[j][i * PLACES + n]).sum();
            // The sweeps end when they change little: some thousandths of numbers of order one are left.
            assert!((product + least - a(i, k, n)).abs() < 0.01, "{} is not {}", product + least, a(i, k, n));
        }
    }
    assert!(h.iter().flatten().all(|&x| x >= 0.0));

    for (raw, heat) in h.iter().zip(&found.heatmaps) {
        for (map, heat) in raw.chunks(PLACES).zip(numbers(heat).chunks(height * width)) {
            let expected: Vec<f32> =
                scaled(&resized(map, GRID, [height, width])).iter().map(|&x| x as f32).collect();
            close(heat, &expected, 1e-5);
        }
    }
}

#[test]
fn the_output_of_a_concept_is_that_of_a_layer_full_of_it() {
    let found = concepts(&network, "x", of_two_concepts(), 3, 5).unwrap();
    let filled = found.vectors.clone().reshape([3, K, 1, 1]).expand([3, K, GRID[0], GRID[1]]);
    close(&numbers(&found.output), &numbers(&tail(filled)), 1e-5);
}

#[test]
fn concepts_are_those_of_their_seed() {
    let vectors = |seed| numbers(&concepts(&network, "x", of_two_concepts(), 3, seed).unwrap().vectors);
    assert_eq!(vectors(1), vectors(1));
    assert_ne!(vectors(1), vectors(2));
}

#[test]
fn there_are_as_many_concepts_as_channels_at_most() {
    let count = |asked| concepts(&network, "x", of_two_concepts(), asked, 0).unwrap().raw.len();
    assert_eq!([count(0), count(1), count(K), count(K + 1)], [1, 1, K, K]);
}

#[test]
fn one_concept_is_the_mean_of_what_is_seen() {
    // All channels are the same at every place: one concept tells it all, at the strength of the place.
    let strengths = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
    let image = Tensor::<1>::from_floats(strengths, &Device::flex()).reshape([1, 1, 2, 3]).repeat_dim(1, 3);
    let same = |x: Tensor<4>, taps: &Taps<'_>| pooled(taps.layer("x", Nchw, || x));
    let found = concepts(&same, "x", image, 1, 0).unwrap();
    close(&numbers(&found.heatmaps[0]), &strengths, 1e-5);
    let vector = wide(&numbers(&found.vectors));
    assert!(vector.iter().all(|x| (x - mean(vector.clone())).abs() < 1e-6), "{vector:?}");
}
