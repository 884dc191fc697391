//! Convolutions of the real networks, one image.
//!
//! `cargo bench -p cam-kernels`; a shape is from, to, kernel, side, stride. Items a second are multiplications with an addition.

use cam_kernels::{Activation, Conv, Picture, Window, max_pool};
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
    let x = floats(from * side * side);
    let picture = Picture::nhwc(&x, [1, side, side, from]);
    let mut out = Vec::new();
    let steps = conv.output(&picture).iter().product::<usize>() * from * kernel * kernel;
    bencher.counter(ItemsCount::new(steps)).bench_local(|| {
        out = conv.forward(black_box(picture), None, Activation::Relu, std::mem::take(&mut out));
    });
}

#[divan::bench]
fn pool(bencher: Bencher<'_, '_>) {
    let x = floats(64 * 112 * 112);
    let window = Window { stride: [2, 2], padding: [1, 1], ..Window::default() };
    let mut out = Vec::new();
    bencher.bench_local(|| {
        let x = Picture::nhwc(black_box(&x), [1, 112, 112, 64]);
        out = max_pool(x, [3, 3], window, std::mem::take(&mut out));
    });
}
