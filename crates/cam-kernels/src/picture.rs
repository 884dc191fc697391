//! What is convolved, and how.

/// Pictures in a slice.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    pub(crate) floats: &'a [f32],
    pub(crate) batch: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) channels_last: bool,
}

impl<'a> Picture<'a> {
    /// # Shapes
    /// - floats: `[batch, height, width, channels]`
    ///
    /// # Panics
    /// Where the slice is not of this shape.
    pub fn nhwc(floats: &'a [f32], [batch, height, width, channels]: [usize; 4]) -> Self {
        assert_eq!(floats.len(), batch * height * width * channels, "floats of a picture");
        Self { floats, batch, height, width, channels, channels_last: true }
    }

    /// # Shapes
    /// - floats: `[batch, channels, height, width]`
    ///
    /// # Panics
    /// Where the slice is not of this shape.
    pub fn nchw(floats: &'a [f32], [batch, channels, height, width]: [usize; 4]) -> Self {
        Self { channels_last: false, ..Self::nhwc(floats, [batch, height, width, channels]) }
    }
}

/// Where a convolution or a pooling looks, vertically and horizontally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Pixels from one output to the next.
    pub stride: [usize; 2],
    /// Pixels beyond each edge.
    pub padding: [usize; 2],
    /// Pixels from one place of the kernel to the next.
    pub dilation: [usize; 2],
}

impl Default for Window {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], dilation: [1, 1] }
    }
}

impl Window {
    /// Height and width of what a kernel of this height and width makes of a picture; zero where it does not fit.
    pub fn output(&self, [height, width]: [usize; 2], kernel: [usize; 2]) -> [usize; 2] {
        let along = |axis: usize, length: usize| {
            let reach = self.dilation[axis] * (kernel[axis] - 1) + 1;
            (length + 2 * self.padding[axis])
                .checked_sub(reach)
                .map_or(0, |room| room / self.stride[axis] + 1)
        };
        [along(0, height), along(1, width)]
    }

    /// The pixels along an axis that a kernel sees for an output, of those that there are.
    pub(crate) fn seen(
        self,
        axis: usize,
        kernel: usize,
        length: usize,
        output: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let start = output * self.stride[axis];
        (0..kernel)
            .filter_map(move |tap| {
                Some((tap, (start + tap * self.dilation[axis]).checked_sub(self.padding[axis])?))
            })
            .filter(move |(_, at)| *at < length)
    }
}
