//! Pooling.

use crate::cpu::{HostTensor, buffers, has_channels_last, on_images};
use burn::tensor::Tensor;
use cam_kernels::{ImageView, Window};

/// Returns the mean of each channel of images whose channels are last in memory.
///
/// # Errors
/// Returns other images, such as those on a tape.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`, output: `[batch, channels, 1, 1]`
pub fn mean_of_images(x: Tensor<4>) -> Result<Tensor<4>, Tensor<4>> {
    if !has_channels_last(&x) {
        return Err(x);
    }
    on_images(x, |x| {
        let [batch, _, _, channels] = x.shape();
        HostTensor::new(cam_kernels::mean(x.view(), buffers::take(batch * channels)), [batch, 1, 1, channels])
    })
}

/// Returns the largest value of each channel in each window.
///
/// # Errors
/// Returns the images if the kernels cannot take them, such as on a tape.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`, output: `[batch, channels, rows, columns]`
pub fn max_pool(x: Tensor<4>, size: [usize; 2], window: Window) -> Result<Tensor<4>, Tensor<4>> {
    pooled(x, size, window, cam_kernels::max_pool)
}

/// Returns the mean of each channel in each window, for a window without padding.
///
/// # Errors
/// Returns the images if the kernels cannot take them, such as on a tape.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`, output: `[batch, channels, rows, columns]`
pub fn mean_pool(x: Tensor<4>, size: [usize; 2], window: Window) -> Result<Tensor<4>, Tensor<4>> {
    pooled(x, size, window, cam_kernels::mean_pool)
}

type Pooling = fn(ImageView<'_>, [usize; 2], Window, Vec<f32>) -> Vec<f32>;

fn pooled(x: Tensor<4>, size: [usize; 2], window: Window, kernel: Pooling) -> Result<Tensor<4>, Tensor<4>> {
    on_images(x, |x| {
        let [batch, height, width, channels] = x.shape();
        let [rows, columns] = window.output_size([height, width], size);
        let floats = x.channels_last();
        let out = buffers::take(batch * rows * columns * channels);
        let out = kernel(ImageView::nhwc(&floats, x.shape()), size, window, out);
        HostTensor::new(out, [batch, rows, columns, channels])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, random};
    use burn::nn::pool::AvgPool2dConfig;
    use burn::tensor::module::adaptive_avg_pool2d;

    #[test]
    fn means_of_images_are_those_of_burn_in_either_order_of_memory() {
        let last = random([2, 5, 6, 4]).permute([0, 3, 1, 2]);
        let ours = mean_of_images(last.clone()).expect("its channels are last in memory");
        let twice = |x: Tensor<4>| [x.clone().into_data(), x.into_data()];
        assert_same(twice(ours), twice(adaptive_avg_pool2d(last, [1, 1])));
        assert!(mean_of_images(random([2, 4, 5, 6])).is_err(), "its channels are first in memory");
    }

    #[test]
    fn means_of_windows_are_those_of_burn() {
        let x = random([2, 7, 6, 4]).permute([0, 3, 1, 2]);
        let window = Window { stride: [2, 1], ..Window::default() };
        let ours = mean_pool(x.clone(), [3, 2], window).expect("it is in main memory");
        let theirs = AvgPool2dConfig::new([3, 2]).with_strides([2, 1]).init().forward(x);
        let twice = |x: Tensor<4>| [x.clone().into_data(), x.into_data()];
        assert_same(twice(ours), twice(theirs));
    }
}
