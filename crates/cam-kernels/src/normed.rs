//! Images with a norm of each channel by fixed statistics, as a convolution reads them.
//!
//! $$ y_c = \mathrm{activation}(s_c x_c + t_c) $$
//!
//! The channels may be those of several images, one after the other. A convolution of single pixels takes a strip of them at a time, so
//! that neither the concatenated images nor the normalized ones are ever in memory as a whole.

use crate::ImageView;
use crate::tile::Activation;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// The number of floats per task.
const TASK: usize = 16384;

/// Images of one size, whose channels follow each other, with a norm of each channel.
#[derive(Debug)]
pub struct Normed<'a> {
    images: &'a [ImageView<'a>],
    channels: usize,
    scale: &'a [f32],
    shift: &'a [f32],
    activation: Activation,
}

impl<'a> Normed<'a> {
    /// Makes normalized images.
    ///
    /// # Shapes
    /// - scale, shift: `[channels]`, of all images together
    ///
    /// # Panics
    /// Panics if there is no image, they differ in batch, height or width, are not in channels-last order, or the parameters have another
    /// length.
    pub fn new(images: &'a [ImageView<'a>], [scale, shift]: [&'a [f32]; 2], activation: Activation) -> Self {
        let size = |image: &ImageView<'_>| [image.batch, image.height, image.width];
        assert!(images.iter().all(|image| size(image) == size(&images[0])), "images of one size");
        assert!(images.iter().all(|image| image.channels_last), "channels last");
        let channels = images.iter().map(|image| image.channels).sum();
        assert!(!images.is_empty() && [scale, shift].iter().all(|all| all.len() == channels), "channels");
        Self { images, channels, scale, shift, activation }
    }

    /// Returns `[batch, height, width, channels]`.
    pub fn shape(&self) -> [usize; 4] {
        let ImageView { batch, height, width, .. } = self.images[0];
        [batch, height, width, self.channels]
    }

    /// Returns the normalized images. The result is written into `out`, whose contents are ignored.
    ///
    /// # Shapes
    /// - output: [`shape`](Self::shape)
    pub fn forward(&self, mut out: Vec<f32>) -> Vec<f32> {
        out.resize(self.shape().iter().product(), 0.0);
        if out.is_empty() {
            return out;
        }
        let pixels = TASK.div_ceil(self.channels);
        out.par_chunks_mut(pixels * self.channels).enumerate().for_each(|(number, out)| {
            let first = number * pixels;
            self.copy(first..first + out.len() / self.channels, out);
        });
        out
    }

    /// Writes some pixels, `[pixels, channels]`.
    pub(crate) fn copy(&self, pixels: Range<usize>, out: &mut [f32]) {
        Arch::new().dispatch(Copy { normed: self, pixels, out });
    }
}

struct Copy<'a> {
    normed: &'a Normed<'a>,
    pixels: Range<usize>,
    out: &'a mut [f32],
}

impl WithSimd for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { normed, pixels, out } = self;
        let mut first = 0;
        for image in normed.images {
            let channels = image.channels;
            let [scale, shift] = [normed.scale, normed.shift].map(|all| &all[first..][..channels]);
            let x = image.floats[pixels.start * channels..pixels.end * channels].chunks_exact(channels);
            for (x, out) in x.zip(out.chunks_exact_mut(normed.channels)) {
                let out = &mut out[first..][..channels];
                let whole = channels - channels % S::F32_LANES;
                for at in (0..whole).step_by(S::F32_LANES) {
                    let load = |floats: &[f32]| S::as_simd_f32s(&floats[at..][..S::F32_LANES]).0[0];
                    let y = simd.mul_add_e_f32s(load(x), load(scale), load(shift));
                    let [y] = normed.activation.apply(simd, [y]);
                    S::as_mut_simd_f32s(&mut out[at..][..S::F32_LANES]).0[0] = y;
                }
                if whole < channels {
                    let [x, scale, shift] =
                        [x, scale, shift].map(|all| simd.partial_load_f32s(&all[whole..]));
                    let [y] = normed.activation.apply(simd, [simd.mul_add_e_f32s(x, scale, shift)]);
                    simd.partial_store_f32s(&mut out[whole..], y);
                }
            }
            first += channels;
        }
    }
}
