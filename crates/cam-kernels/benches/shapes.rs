//! Times the kernels at shapes of real networks.
//!
//! `cargo bench -p cam-kernels`; a shape is input channels, output channels, kernel, side, stride. Items per second are multiply-adds.

use cam_kernels::{Activation, Attention, Conv, Gemv, ImageView, Window, layer_norm, max_pool};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const SHAPES: &[[usize; 5]] = &[
    [64, 64, 3, 56, 1],
    [128, 128, 3, 28, 1],
    [256, 256, 3, 14, 1],
    [512, 512, 3, 7, 1],
    [128, 128, 3, 56, 2],
    [256, 512, 1, 56, 2],
    [3, 64, 7, 224, 2],
    [64, 256, 1, 56, 1],
    [256, 64, 1, 56, 1],
    [256, 512, 1, 28, 1],
    [1024, 256, 1, 14, 1],
    [2048, 512, 1, 7, 1],
    [512, 2048, 1, 7, 1],
    [3, 64, 3, 224, 1],
    [64, 64, 3, 224, 1],
    [512, 512, 3, 28, 1],
];

fn floats(count: usize) -> Vec<f32> {
    (0..count).map(|n| (n * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0).collect()
}

#[divan::bench(args = SHAPES)]
fn conv(bencher: Bencher<'_, '_>, &[from, to, kernel, side, stride]: &[usize; 5]) {
    let window = Window { stride: [stride; 2], padding: [kernel / 2; 2], ..Window::default() };
    let conv = Conv::new(&floats(to * from * kernel * kernel), [to, from, kernel, kernel], None, window, 1);
    convolve(bencher, &conv, [1, side, side, from], from * kernel * kernel);
}

/// Depthwise convolutions: channels, kernel, side, stride.
const DEPTHWISE: &[[usize; 4]] = &[
    [32, 3, 112, 1],
    [72, 3, 56, 1],
    [144, 5, 56, 2],
    [240, 5, 28, 1],
    [480, 5, 14, 1],
    [1152, 3, 7, 1],
    [768, 7, 14, 1],
];

#[divan::bench(args = DEPTHWISE)]
fn depthwise(bencher: Bencher<'_, '_>, &[channels, kernel, side, stride]: &[usize; 4]) {
    let window = Window { stride: [stride; 2], padding: [kernel / 2; 2], ..Window::default() };
    let conv =
        Conv::new(&floats(channels * kernel * kernel), [channels, 1, kernel, kernel], None, window, channels);
    convolve(bencher, &conv, [1, side, side, channels], kernel * kernel);
}

/// Times a convolution of images of a shape that takes `steps` multiplications per output.
fn convolve(bencher: Bencher<'_, '_>, conv: &Conv, shape: [usize; 4], steps: usize) {
    let x = floats(shape.iter().product());
    let image = ImageView::nhwc(&x, shape);
    let mut out = Vec::new();
    let steps = conv.output_shape(&image).iter().product::<usize>() * steps;
    bencher.counter(ItemsCount::new(steps)).bench_local(|| {
        out = conv.forward(black_box(image), None, Activation::Relu, std::mem::take(&mut out));
    });
}

/// 3x3 convolutions by Winograd's algorithm: channels, side, batch. Items are multiplications of the plain sum.
const SQUARES: &[[usize; 3]] = &[
    [64, 56, 1],
    [128, 28, 1],
    [256, 14, 1],
    [512, 7, 8],
    [64, 224, 1],
    [128, 112, 1],
    [256, 56, 1],
    [512, 28, 1],
    [512, 14, 1],
];

#[divan::bench(args = SQUARES)]
fn winograd(bencher: Bencher<'_, '_>, &[channels, side, batch]: &[usize; 3]) {
    let window = Window { padding: [1; 2], ..Window::default() };
    let conv = Conv::winograd(&floats(channels * channels * 9), [channels; 2], None, window);
    convolve(bencher, &conv, [batch, side, side, channels], channels * 9);
}

#[divan::bench]
fn pool(bencher: Bencher<'_, '_>) {
    let x = floats(64 * 112 * 112);
    let window = Window { stride: [2, 2], padding: [1, 1], ..Window::default() };
    let mut out = Vec::new();
    bencher.bench_local(|| {
        let x = ImageView::nhwc(black_box(&x), [1, 112, 112, 64]);
        out = max_pool(x, [3, 3], window, std::mem::take(&mut out));
    });
}

/// Linear layers of DeiT-tiny and Swin-tiny: tokens, input features, output features.
const LAYERS: &[[usize; 3]] = &[
    [197, 192, 576],
    [197, 768, 192],
    [1576, 192, 576],
    [1576, 192, 768],
    [1576, 768, 192],
    [3136, 96, 288],
    [3136, 384, 96],
    [25088, 96, 288],
    [25088, 384, 96],
    [392, 768, 3072],
    [392, 3072, 768],
];

#[divan::bench(args = LAYERS)]
fn linear(bencher: Bencher<'_, '_>, layer: &[usize; 3]) {
    time_linear(bencher, layer, Activation::None);
}

#[divan::bench(args = [[1576, 192, 768], [25088, 96, 384]])]
fn gelu(bencher: Bencher<'_, '_>, layer: &[usize; 3]) {
    time_linear(bencher, layer, Activation::Gelu);
}

fn time_linear(bencher: Bencher<'_, '_>, &[tokens, from, to]: &[usize; 3], activation: Activation) {
    let layer = Conv::linear(&floats(from * to), [from, to], Some(&floats(to)));
    let x = floats(tokens * from);
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(tokens * from * to)).bench_local(|| {
        let x = ImageView::nhwc(black_box(&x), [1, 1, tokens, from]);
        out = layer.forward(x, None, activation, std::mem::take(&mut out));
    });
}

/// The attention of DeiT-tiny and of Swin-tiny's first stage: batch, windows, tokens per window, heads, channels per head.
const ATTENTIONS: &[[usize; 5]] =
    &[[1, 1, 197, 3, 64], [8, 1, 197, 3, 64], [1, 64, 49, 3, 32], [8, 1, 49, 24, 32]];

#[divan::bench(args = ATTENTIONS)]
fn attention(bencher: Bencher<'_, '_>, &[batch, windows, size, heads, channels]: &[usize; 5]) {
    let tokens = windows * size;
    let x = floats(batch * tokens * 3 * heads * channels);
    let windows: Vec<Vec<usize>> =
        (0..windows).map(|window| (window * size..(window + 1) * size).collect()).collect();
    let attention = Attention { heads, size: channels, tokens, windows: &windows, bias: None };
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(2 * batch * tokens * size * heads * channels)).bench_local(|| {
        out = attention.forward(black_box(&x), std::mem::take(&mut out));
    });
}

/// The norms of Swin-tiny's first stage.
#[divan::bench(args = [3136, 25088])]
fn norm(bencher: Bencher<'_, '_>, rows: usize) {
    let (x, ones) = (floats(rows * 96), floats(96));
    let mut out = Vec::new();
    bencher.bench_local(|| out = layer_norm(black_box(&x), &ones, &ones, 1e-5, std::mem::take(&mut out)));
}

/// VGG's first linear layer, by number of rows. Items are weights.
#[divan::bench(args = [1, 8])]
fn gemv(bencher: Bencher<'_, '_>, rows: usize) {
    let (weight, x) = (floats(4096 * 25088), floats(rows * 25088));
    let layer = Gemv::new(&weight, [4096, 25088], None);
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(weight.len())).bench_local(|| {
        out = layer.forward(black_box(&x), std::mem::take(&mut out));
    });
}

/// The backward pass of the same layer, where half of the outputs have no gradient.
#[divan::bench(args = [1, 8])]
fn gemv_backward(bencher: Bencher<'_, '_>, rows: usize) {
    let (weight, gradient) = (floats(4096 * 25088), floats(rows * 4096));
    let gradient: Vec<f32> = gradient.into_iter().map(|g| g.max(0.0)).collect();
    let layer = Gemv::new(&weight, [4096, 25088], None);
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(weight.len())).bench_local(|| {
        out = layer.backward(black_box(&gradient), std::mem::take(&mut out));
    });
}
