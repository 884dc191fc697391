//! Views of images, and the windows of convolutions and pooling.

use std::ops::Range;

/// A batch of images in a slice.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    pub(crate) floats: &'a [f32],
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) channels_last: bool,
}

impl<'a> ImageView<'a> {
    /// Makes a view of images in channels-last order.
    ///
    /// # Shapes
    /// - floats: `[batch, height, width, channels]`
    ///
    /// # Panics
    /// Panics if the slice does not have this shape.
    pub fn nhwc(floats: &'a [f32], [batch, height, width, channels]: [usize; 4]) -> Self {
        assert_eq!(floats.len(), batch * height * width * channels, "length of the image");
        Self { floats, batch, height, width, channels, channels_last: true }
    }

    /// Makes a view of images in channels-first order.
    ///
    /// # Shapes
    /// - floats: `[batch, channels, height, width]`
    ///
    /// # Panics
    /// Panics if the slice does not have this shape.
    pub fn nchw(floats: &'a [f32], [batch, channels, height, width]: [usize; 4]) -> Self {
        Self { channels_last: false, ..Self::nhwc(floats, [batch, height, width, channels]) }
    }
}

/// The stride, padding and dilation of a convolution or a pooling, each as `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The distance between neighboring outputs, in pixels.
    pub stride: [usize; 2],
    /// The padding at each edge, in pixels.
    pub padding: [usize; 2],
    /// The distance between neighboring weights of the kernel, in pixels.
    pub dilation: [usize; 2],
}

impl Default for Window {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], dilation: [1, 1] }
    }
}

impl Window {
    /// Returns the height and width of the output for an input and a kernel of these heights and widths; zero if the kernel does not fit.
    pub fn output_size(&self, [height, width]: [usize; 2], kernel: [usize; 2]) -> [usize; 2] {
        let along = |axis: usize, length: usize| {
            let reach = self.dilation[axis] * (kernel[axis] - 1) + 1;
            (length + 2 * self.padding[axis])
                .checked_sub(reach)
                .map_or(0, |room| room / self.stride[axis] + 1)
        };
        [along(0, height), along(1, width)]
    }

    /// Returns what contributes to an output along an axis, without the padding.
    #[inline(always)]
    pub(crate) fn taps(self, axis: usize, kernel: usize, length: usize, output: usize) -> Taps {
        let (start, padding, dilation) =
            (output * self.stride[axis], self.padding[axis], self.dilation[axis]);
        let first = padding.saturating_sub(start).div_ceil(dilation);
        let end = (length + padding).saturating_sub(start).div_ceil(dilation).min(kernel);
        Taps { kernel: first..end.max(first), input: start + first * dilation - padding, dilation }
    }
}

/// Kernel indices along an axis and the input indices that they meet.
pub(crate) struct Taps {
    kernel: Range<usize>,
    input: usize,
    dilation: usize,
}

impl Taps {
    /// Returns each kernel index with its input index.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.kernel.clone().enumerate().map(|(number, tap)| (tap, self.input + number * self.dilation))
    }
}
