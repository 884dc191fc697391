//! The memory of recordings: weights are not copied, and not once per recording.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;
use cam_core::{Model, Taps};
use cam_graph::record;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait};
use std::alloc::System;

#[global_allocator]
static MEMORY: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    wide: Conv2d,
    norm: BatchNorm,
    fc: Linear,
}

#[test]
fn recordings_share_the_weights() {
    let device = Device::flex();
    let net = Net {
        conv: Conv2dConfig::new([3, 64], [3, 3]).init(&device),
        wide: Conv2dConfig::new([64, 512], [3, 3]).init(&device),
        norm: BatchNormConfig::new(512).init(&device),
        fc: LinearConfig::new(512, 1000).init(&device),
    };
    let weights = 4 * net.num_params();
    assert!(weights > 3 << 20);
    let recorded = record(&net, |net: &Net, x: Tensor<4>| -> Tensor<2> {
        let x = relu(net.norm.forward(net.wide.forward(relu(net.conv.forward(x)))));
        net.fc.forward(x.mean_dims(&[2, 3]).flatten::<2>(1, 3))
    })
    .unwrap();
    let images = |batch: usize, size: usize| Tensor::<4>::ones([batch, 3, size, size], &device);
    recorded.forward(images(2, 8), &Taps::off());
    MEMORY.reset_peak_memory();
    let before = MEMORY.get_peak_memory();
    for batch in 2..6 {
        for size in 9..14 {
            recorded.prepare(&images(batch, size)).unwrap();
        }
    }
    let grown = MEMORY.get_peak_memory() as isize - before as isize;
    // About ten kilobytes of operators each; a copy of the weights each would be forty times the limit.
    assert!(grown < weights as isize / 2, "20 recordings took {grown} bytes, the weights are {weights}");
}
