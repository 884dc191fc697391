//! The methods that look at attention, again: a small vision transformer in f64, whose gradients are finite differences.

use crate::common::slow::{self, mean, narrow, slope, wide};
use crate::common::{close, numbers, seed, uniform};
use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};
use cam_core::{
    Attention, Chefer, Class, Explain, Explainer, Inspect, LeGrad, Method, Model, NoModule, Rectify, Rollout,
    Scale, Taps, Tokens,
};

const GRID: [usize; 2] = [2, 3];
const PATCHES: usize = GRID[0] * GRID[1];
/// Features of a token.
const D: usize = 4;
const BLOCKS: usize = 3;
const CLASSES: usize = 3;

/// A vision transformer whose patches are pixels. Its head reads the first token.
struct Vit {
    heads: usize,
    /// Tokens of no place.
    prefix: usize,
    /// A layer around all blocks.
    outer: Option<&'static str>,
    /// Of each pixel, `[1, D]`.
    embedding: Tensor<2>,
    /// Of each token, `[tokens, D]`.
    positions: Tensor<2>,
    blocks: Vec<Block>,
    head: Tensor<2>,
}

/// The matrices of a block, each `[D, D]`.
struct Block {
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    output: Tensor<2>,
    mlp: Tensor<2>,
}

impl Vit {
    fn new(heads: usize, prefix: usize) -> Self {
        let device = Device::flex();
        seed(13);
        let matrix = |rows, columns| uniform([rows, columns], -1.0, 1.0, &device);
        let block = |_| Block {
            query: matrix(D, D),
            key: matrix(D, D),
            value: matrix(D, D),
            output: matrix(D, D),
            mlp: matrix(D, D),
        };
        Self {
            heads,
            prefix,
            outer: None,
            embedding: matrix(1, D),
            positions: matrix(prefix + PATCHES, D),
            blocks: (0..BLOCKS).map(block).collect(),
            head: matrix(D, CLASSES),
        }
    }

    /// The tokens after all blocks.
    fn encoded(&self, mut x: Tensor<3>, taps: &Taps<'_>) -> Tensor<3> {
        let [batch, ..] = x.dims();
        let count = self.prefix + PATCHES;
        let shape = [batch, count, self.heads, D / self.heads];
        for (i, block) in self.blocks.iter().enumerate() {
            x = taps.layer(format_args!("blocks.{i}"), self.tokens(), || {
                let y = norm(x.clone());
                let of = |matrix: &Tensor<2>| {
                    y.clone().matmul(matrix.clone().unsqueeze()).reshape(shape).swap_dims(1, 2)
                };
                let weights = taps.layer("attn", Attention(self.tokens()), || {
                    let products = of(&block.query).matmul(of(&block.key).swap_dims(2, 3));
                    softmax(products / (D as f32 / self.heads as f32).sqrt(), 3)
                });
                let mixed = weights.matmul(of(&block.value)).swap_dims(1, 2).reshape([batch, count, D]);
                let x = x.clone() + mixed.matmul(block.output.clone().unsqueeze());
                x.clone() + relu(norm(x)).matmul(block.mlp.clone().unsqueeze())
            });
        }
        x
    }

    fn tokens(&self) -> Tokens {
        Tokens { prefix: self.prefix, height: GRID[0], width: GRID[1] }
    }
}

/// A LayerNorm without scale and shift.
fn norm(x: Tensor<3>) -> Tensor<3> {
    let x = x.clone() - x.mean_dim(2);
    x.clone() / (x.square().mean_dim(2) + 1e-5).sqrt()
}

impl Model for Vit {
    fn module(&self) -> &dyn Inspect {
        &NoModule
    }

    fn forward(&self, images: Tensor<4>, taps: &Taps<'_>) -> Tensor<2> {
        let batch = images.dims()[0];
        let patches: Tensor<3> = images.reshape([batch, PATCHES, 1]);
        let patches = patches.matmul(self.embedding.clone().unsqueeze());
        let prefix = Tensor::zeros([batch, self.prefix, D], &patches.device());
        let tokens = if self.prefix > 0 { Tensor::cat(vec![prefix, patches], 1) } else { patches };
        let x = tokens + self.positions.clone().unsqueeze::<3>();
        let x = match self.outer {
            Some(outer) => taps.layer(outer, self.tokens(), || self.encoded(x, taps)),
            None => self.encoded(x, taps),
        };
        let first: Tensor<2> = norm(x).narrow(1, 0, 1).squeeze_dim(1);
        first.matmul(self.head.clone())
    }
}

type Matrix = Vec<Vec<f64>>;

fn matrix(tensor: &Tensor<2>) -> Matrix {
    numbers(tensor).chunks(tensor.dims()[1]).map(wide).collect()
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let entry = |row: &Vec<f64>, j: usize| (0..b.len()).map(|k| row[k] * b[k][j]).sum();
    a.iter().map(|row| (0..b[0].len()).map(|j| entry(row, j)).collect()).collect()
}

fn sum(a: &Matrix, b: &Matrix) -> Matrix {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

fn slow_norm(x: &Matrix) -> Matrix {
    let normed = |row: &Vec<f64>| {
        let mu = mean(row.iter().copied());
        let variance = mean(row.iter().map(|x| (x - mu).powi(2)));
        row.iter().map(|x| (x - mu) / (variance + 1e-5).sqrt()).collect()
    };
    x.iter().map(normed).collect()
}

/// One weight of the attention of a block that is changed: head, query, key, and by how much.
type Change = (usize, usize, usize, f64);

const NO_CHANGE: Change = (0, 0, 0, 0.0);

impl Vit {
    /// The attention weights of a block, a matrix a head.
    fn weights(&self, block: &Block, x: &Matrix) -> Vec<Matrix> {
        let y = slow_norm(x);
        let (query, key) = (product(&y, &matrix(&block.query)), product(&y, &matrix(&block.key)));
        let width = D / self.heads;
        let of_head = |head: usize| {
            let dot = |q: &[f64], k: &[f64]| -> f64 {
                (head * width..(head + 1) * width).map(|d| q[d] * k[d]).sum::<f64>() / (width as f64).sqrt()
            };
            let row = |q: &Vec<f64>| slow::softmax(&key.iter().map(|k| dot(q, k)).collect::<Vec<_>>());
            query.iter().map(row).collect()
        };
        (0..self.heads).map(of_head).collect()
    }

    /// The tokens after a block with one of its attention weights changed.
    fn after(&self, block: &Block, x: &Matrix, (head, query, key, by): Change) -> Matrix {
        let mut weights = self.weights(block, x);
        weights[head][query][key] += by;
        let value = product(&slow_norm(x), &matrix(&block.value));
        let width = D / self.heads;
        let mixed: Matrix = (0..x.len())
            .map(|q| {
                (0..D).map(|d| (0..x.len()).map(|k| weights[d / width][q][k] * value[k][d]).sum()).collect()
            })
            .collect();
        let x = sum(x, &product(&mixed, &matrix(&block.output)));
        let active: Matrix =
            slow_norm(&x).into_iter().map(|row| row.into_iter().map(slow::relu).collect()).collect();
        sum(&x, &product(&active, &matrix(&block.mlp)))
    }

    /// The tokens in front of each block.
    fn residuals(&self, pixels: &[f64]) -> Vec<Matrix> {
        let embedding = &matrix(&self.embedding)[0];
        let token = |(t, position): (usize, Vec<f64>)| -> Vec<f64> {
            let pixel = if t < self.prefix { 0.0 } else { pixels[t - self.prefix] };
            position.iter().zip(embedding).map(|(p, e)| p + pixel * e).collect()
        };
        let mut residuals: Vec<Matrix> =
            vec![matrix(&self.positions).into_iter().enumerate().map(token).collect()];
        for block in &self.blocks {
            residuals.push(self.after(block, &residuals[residuals.len() - 1], NO_CHANGE));
        }
        residuals
    }

    /// What the norm and the head at the end say to the mean of these tokens.
    fn exit(&self, x: &Matrix, class: usize) -> f64 {
        let token = (0..D).map(|d| mean(x.iter().map(|token| token[d]))).collect();
        product(&slow_norm(&vec![token]), &matrix(&self.head))[0][class]
    }
}

fn identity(tokens: usize) -> Matrix {
    (0..tokens).map(|q| (0..tokens).map(|k| f64::from(q == k)).collect()).collect()
}

/// Models with one head and two, without a class token, with one, and with another token of no place.
fn vits() -> impl Iterator<Item = Vit> {
    [1, 2].into_iter().flat_map(|heads| (0..3).map(move |prefix| Vit::new(heads, prefix)))
}

fn raw(vit: &Vit, method: impl Method + 'static, class: usize) -> (Vec<f32>, Vec<f64>) {
    let device = Device::flex();
    seed(17);
    let image: Tensor<4> = uniform([1, 1, GRID[0], GRID[1]], -2.0, 2.0, &device);
    let explainer = Explainer::new(vit).method(method).rectify(Rectify::Signed).scale(Scale::None);
    let found = explainer.explain(image.clone(), &Class(class)).unwrap();
    assert_eq!(found.maps[0].layer, "attention");
    (numbers(&found.maps[0].raw), wide(&numbers(&image)))
}

#[test]
fn the_slow_transformer_is_the_fast_one() {
    for vit in vits() {
        let pixels = [0.3, -1.0, 0.8, 1.7, -0.4, 0.1];
        let x = &vit.residuals(&pixels)[BLOCKS];
        let slow = product(&vec![slow_norm(x)[0].clone()], &matrix(&vit.head));
        let image = Tensor::<1>::from_floats(narrow(&pixels).as_slice(), &Device::flex());
        let fast = vit.forward(image.reshape([1, 1, GRID[0], GRID[1]]), &Taps::off());
        close(&numbers(&fast), &narrow(&slow[0]), 1e-5);
    }
}

#[test]
fn legrad_is_equations_7_to_10() {
    for vit in vits() {
        for class in 0..CLASSES {
            let (ours, pixels) = raw(&vit, LeGrad, class);
            let residuals = vit.residuals(&pixels);
            let tokens = vit.prefix + PATCHES;
            let sensitivity = |l: usize, key: usize| {
                let slope_of = |head, query| {
                    slope(|by| {
                        vit.exit(&vit.after(&vit.blocks[l], &residuals[l], (head, query, key, by)), class)
                    })
                };
                mean(
                    (0..vit.heads)
                        .flat_map(|head| (0..tokens).map(move |query| (head, query)))
                        .map(|(head, query)| slow::relu(slope_of(head, query))),
                )
            };
            let patch = |n: usize| mean((0..BLOCKS).map(|l| sensitivity(l, vit.prefix + n))) as f32;
            let expected: Vec<f32> = (0..PATCHES).map(patch).collect();
            assert!(expected.iter().all(|&x| x > 1e-4), "{expected:?}");
            // Gradients of order one through norms in f32.
            close(&ours, &expected, 1e-5);
        }
    }
}

#[test]
fn rollout_multiplies_the_attention_of_all_blocks() {
    for vit in vits() {
        let (ours, pixels) = raw(&vit, Rollout, 0);
        let residuals = vit.residuals(&pixels);
        let tokens = vit.prefix + PATCHES;
        let mut flow = identity(tokens);
        for (block, x) in vit.blocks.iter().zip(&residuals) {
            let weights = vit.weights(block, x);
            let mixed = |q: usize, k: usize| {
                0.5 * mean(weights.iter().map(|head| head[q][k])) + 0.5 * f64::from(q == k)
            };
            flow = product(&(0..tokens).map(|q| (0..tokens).map(|k| mixed(q, k)).collect()).collect(), &flow);
        }
        let patch = |n: usize| match vit.prefix {
            0 => mean(flow.iter().map(|row| row[n])),
            prefix => flow[0][prefix + n],
        };
        close(&ours, &narrow(&(0..PATCHES).map(patch).collect::<Vec<_>>()), 1e-6);
    }
}

#[test]
fn chefer_is_equations_5_and_6() {
    for vit in vits() {
        for class in 0..CLASSES {
            let (ours, pixels) = raw(&vit, Chefer, class);
            let residuals = vit.residuals(&pixels);
            let tokens = vit.prefix + PATCHES;
            // The score with one attention weight of a block changed: the blocks after it run on.
            let score = |l: usize, change| {
                let first = vit.after(&vit.blocks[l], &residuals[l], change);
                let last = vit.blocks[l + 1..].iter().fold(first, |x, block| vit.after(block, &x, NO_CHANGE));
                product(&slow_norm(&vec![last[0].clone()]), &matrix(&vit.head))[0][class]
            };
            let mut relevance: Matrix = identity(tokens);
            for (l, block) in vit.blocks.iter().enumerate() {
                let weights = vit.weights(block, &residuals[l]);
                let raised = |query: usize, key: usize| {
                    let of_head = |head: usize| {
                        let gradient = slope(|by| score(l, (head, query, key, by)));
                        slow::relu(gradient * weights[head][query][key])
                    };
                    mean((0..vit.heads).map(of_head))
                };
                let raised: Matrix =
                    (0..tokens).map(|q| (0..tokens).map(|k| raised(q, k)).collect()).collect();
                let added = product(&raised, &relevance);
                for (row, added) in relevance.iter_mut().zip(added) {
                    row.iter_mut().zip(added).for_each(|(r, a)| *r += a);
                }
            }
            let patch = |n: usize| match vit.prefix {
                0 => mean(relevance.iter().map(|row| row[n])),
                prefix => relevance[0][prefix + n],
            };
            let expected: Vec<f64> = (0..PATCHES).map(patch).collect();
            assert!(expected.iter().any(|&x| x > 1e-3), "{expected:?}");
            // Gradients of order one through three blocks in f32.
            close(&ours, &narrow(&expected), 2e-5);
        }
    }
}

#[test]
fn a_map_of_attention_is_the_same_beside_other_targets_and_methods() {
    let vit = Vit::new(2, 1);
    let image: Tensor<4> = uniform([2, 1, GRID[0], GRID[1]], -2.0, 2.0, &Device::flex());
    let alone = Explainer::new(&vit).method(LeGrad).explain(image.clone(), &Class(2)).unwrap();
    let explainer =
        Explainer::new(&vit).layer("blocks.1").method(Rollout).method(cam_core::GradCam).method(LeGrad);
    let together = explainer.explain_each(image, &[&Class(0), &Class(2)]).unwrap();
    let last = together.maps.last().unwrap();
    assert_eq!((last.method.name, last.target), ("legrad", 1));
    close(&numbers(&last.raw), &numbers(&alone.maps[0].raw), 1e-6);
}

#[test]
fn a_layer_around_all_blocks_is_no_block() {
    let plain = Vit::new(2, 1);
    let inside = Vit { outer: Some("encoder"), ..Vit::new(2, 1) };
    close(&raw(&inside, LeGrad, 1).0, &raw(&plain, LeGrad, 1).0, 1e-6);
}
