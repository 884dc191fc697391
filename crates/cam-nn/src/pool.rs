//! Pooling.

use crate::cpu::{HostTensor, buffers, on_images};
use burn::tensor::Tensor;
use cam_kernels::{ImageView, Window};

/// Returns the largest value of each channel in each window.
///
/// # Errors
/// Returns the images if the kernels cannot take them, such as on a tape.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`, output: `[batch, channels, rows, columns]`
pub fn max_pool(x: Tensor<4>, size: [usize; 2], window: Window) -> Result<Tensor<4>, Tensor<4>> {
    on_images(x, |x| {
        let [batch, height, width, channels] = x.shape();
        let [rows, columns] = window.output_size([height, width], size);
        let floats = x.channels_last();
        let out = buffers::take(batch * rows * columns * channels);
        let out = cam_kernels::max_pool(ImageView::nhwc(&floats, x.shape()), size, window, out);
        HostTensor::new(out, [batch, rows, columns, channels])
    })
}
