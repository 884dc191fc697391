//! Values whose positions only seem to be those of the input: none of them is a layer.

use crate::support::{case, device, images, pooled, random, squares};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig};
use burn::nn::*;
use burn::prelude::*;
use burn::tensor::IndexingUpdateOp;
use burn::tensor::activation::relu;
use burn::tensor::ops::PadMode;

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    second: Conv2d,
    resize: Interpolate2d,
    fc: Linear,
}

fn net() -> Net {
    let conv = |from, size| Conv2dConfig::new([from, 8], [size, size]).init(&device());
    Net {
        conv: conv(3, 1),
        second: conv(8, 3),
        resize: Interpolate2dConfig::new().with_output_size(Some([16, 12])).init(),
        fc: LinearConfig::new(8, 5).init(&device()),
    }
}

/// A forward pass between two convolutions: is the second one a layer?
macro_rules! between {
    ($($name:ident: $change:expr => [$($layers:literal),*];)*) => {$(
        #[test]
        fn $name() {
            case(net(), images, |net, x| {
                let change: fn(&Net, Tensor<4>) -> Tensor<4> = $change;
                let x = net.second.forward(change(net, net.conv.forward(x)));
                net.fc.forward(pooled(x))
            })
            .has_layers(&["conv 8 @ 16x12", $($layers),*]);
        }
    )*};
}

between! {
    nothing: |_, x| x => ["second 8 @ 14x10"];
    padding_within_reach: |_, x| x.pad((1, 1, 1, 1), 0.0) => ["second 8 @ 16x12"];
    reflected_padding: |_, x| x.pad((1, 1, 1, 1), PadMode::Reflect) => ["second 8 @ 16x12"];
    padding_beyond_reach: |_, x| x.pad((6, 0, 6, 0), 0.0) => [];
    padding_by_cat: |_, x| {
        let zeros = Tensor::<4>::zeros([x.dims()[0], 8, 16, 1], &x.device());
        Tensor::cat(vec![zeros.clone(), x, zeros], 3)
    } => ["second 8 @ 14x12"];
    padding_by_assignment: |_, x| {
        let zeros = Tensor::<4>::zeros([x.dims()[0], 8, 18, 14], &x.device());
        zeros.slice_assign(s![.., .., 1..17, 1..13], x)
    } => ["second 8 @ 16x12"];
    padding_that_is_resized: |net, x| net.resize.forward(x.pad((2, 2, 2, 2), 0.0)) => [];
    a_part: |_, x| x.narrow(2, 3, 10) => [];
    a_part_that_is_resized: |net, x| net.resize.forward(x.narrow(2, 3, 10)) => [];
    a_part_put_back_where_it_was: |_, x| {
        let middle = x.clone().narrow(2, 4, 8) * 2.0;
        x.slice_assign(s![.., .., 4..12, ..], middle.narrow(2, 0, 8))
    } => ["second 8 @ 14x10"];
    a_part_put_elsewhere: |_, x| {
        let middle = x.clone().narrow(2, 4, 8);
        x.slice_assign(s![.., .., 0..8, ..], middle)
    } => [];
    halves_exchanged_by_assignment: |_, x| {
        let (up, down) = (x.clone().narrow(2, 0, 8), x.clone().narrow(2, 8, 8));
        x.slice_assign(s![.., .., 0..8, ..], down).slice_assign(s![.., .., 8..16, ..], up)
    } => [];
    flipped: |_, x| x.flip([3]) => [];
    flipped_and_added: |_, x| x.clone() + x.flip([3]) => [];
    flipped_by_indices: |_, x| {
        let back = Tensor::<1, Int>::arange(0..12, &x.device()).flip([0]);
        x.select(3, back)
    } => [];
    rolled: |_, x| x.roll(&[5], &[2]) => [];
    rolled_and_back: |_, x| x.roll(&[5, 3], &[2, 3]).roll(&[-5, -3], &[2, 3]) => ["cat 8 @ 16x12", "second 8 @ 14x10"];
    rolled_by_indices: |_, x| {
        let at = Tensor::<1, Int>::arange(0..16, &x.device()).add_scalar(4).remainder_scalar(16);
        x.select(2, at)
    } => [];
    rolled_by_assignment: |_, x| {
        let rolled = Tensor::<4>::zeros(x.shape(), &x.device());
        let rolled = rolled.slice_assign(s![.., .., 4..16, ..], x.clone().narrow(2, 0, 12));
        rolled.slice_assign(s![.., .., 0..4, ..], x.narrow(2, 12, 4))
    } => [];
    one_row_twice: |_, x| Tensor::cat(vec![x.clone().narrow(2, 0, 1), x], 2) => [];
    rows_behind_each_other: |_, x| Tensor::cat(vec![x.clone(), x], 2) => [];
    every_second_place: |_, x| x.slice(s![.., .., 0..;2, 1..;2]) => ["second 8 @ 6x4"];
    every_second_place_of_a_part: |_, x| x.slice(s![.., .., 4..;2, ..]) => [];
    every_second_place_from_behind: |_, x| x.slice(s![.., .., ..;-1, ..]) => [];
    transposed_and_read_as_it_was: |_, x| {
        let [batch, channels, height, width] = x.dims();
        x.swap_dims(2, 3).reshape([batch, channels, height, width])
    } => [];
    channels_read_as_rows: |_, x| {
        let [batch, channels, height, width] = x.dims();
        x.swap_dims(1, 2).reshape([batch, channels, height, width])
    } => [];
    sorted: |_, x| x.sort(3) => [];
    a_running_sum: |_, x| x.cumsum(3) => ["second 8 @ 14x10"];
    gathered: |_, x| {
        let at = x.clone().flatten::<3>(2, 3).argsort(2);
        let shape = x.dims();
        x.flatten::<3>(2, 3).gather(2, at).reshape(shape)
    } => [];
    scattered: |_, x| {
        let shape = x.dims();
        let flat = x.flatten::<3>(2, 3);
        let at = flat.clone().argsort(2);
        Tensor::zeros_like(&flat).scatter(2, at, flat, IndexingUpdateOp::Add).reshape(shape)
    } => [];
    what_was_scattered_is_added: |_, x| {
        let shape = x.dims();
        let flat = x.clone().flatten::<3>(2, 3);
        let at = flat.clone().argsort(2);
        x + Tensor::zeros_like(&flat).scatter(2, at, flat, IndexingUpdateOp::Add).reshape(shape)
    } => [];
    columns_mixed_by_a_matrix: |_, x| {
        let matrix = random([1, 1, 12, 12]).to_device(&x.device());
        x.matmul(matrix)
    } => [];
}

/// A repeated mean over the rows has no rows.
#[test]
fn means_that_are_repeated() {
    case(net(), images, |net, x| {
        let x = net.conv.forward(x);
        let shape = x.dims();
        net.fc.forward(pooled(net.second.forward(relu(x.mean_dim(2).expand(shape)))))
    })
    .has_layers(&["conv 8 @ 16x12"]);
}

/// Rows and columns that are swapped once are not a layer; swapped twice they are.
#[test]
fn rows_and_columns_exchanged() {
    case(net(), squares, |net, x| {
        let x = net.conv.forward(x).swap_dims(2, 3);
        net.fc.forward(pooled(relu(net.second.forward(x))))
    })
    .has_layers(&["conv 8 @ 16x16"]);
    case(net(), squares, |net, x| {
        let x = net.conv.forward(x).swap_dims(2, 3);
        net.fc.forward(pooled(net.second.forward(x).swap_dims(2, 3)))
    })
    .has_layers(&["conv 8 @ 16x16"]);
}

/// The numbers of images, channels, rows and columns are equal, so only its origin identifies an axis.
#[test]
fn as_many_images_as_rows() {
    #[derive(Module, Debug)]
    struct Small {
        conv: Conv2d,
        fc: Linear,
    }
    let small = Small {
        conv: Conv2dConfig::new([5, 5], [3, 3]).with_padding(PaddingConfig2d::Same).init(&device()),
        fc: LinearConfig::new(5, 5).init(&device()),
    };
    case(
        small,
        |batch| random([batch, 5, 5, 5]),
        |net, x| {
            let x = net.conv.forward(x);
            // Channels last, and a mean over the channels.
            net.fc.forward(relu(x.permute([0, 2, 3, 1])).mean_dims(&[1, 2]).flatten::<2>(1, 3))
        },
    )
    .has_layers(&["conv 5 @ 5x5", "relu 5 @ 5x5"])
    .tapped(&["conv", "relu"], |net, x, taps| {
        let x = taps.layer("conv", cam_core::Nchw, || net.conv.forward(x));
        let x = taps.layer("relu", cam_core::Nhwc, || relu(x.permute([0, 2, 3, 1])));
        net.fc.forward(x.mean_dims(&[1, 2]).flatten::<2>(1, 3))
    });
}
