//! Norms of channels by fixed statistics, as of a BatchNorm in inference, in front of a convolution.

use crate::activation::activated;
use crate::cpu::{HostTensor, buffers, floats, in_memory};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use cam_kernels::{Activation, ImageView, Normed};

/// A scale and a shift of each channel of images whose channels follow each other, and an activation.
#[derive(Debug)]
pub struct ChannelNorm {
    scale: Tensor<1>,
    shift: Tensor<1>,
    /// Both, if they are in main memory in single precision.
    host: Option<[FlexTensor; 2]>,
    activation: Activation,
}

impl ChannelNorm {
    /// Makes a norm.
    ///
    /// # Shapes
    /// - scale, shift: `[channels]`, of all images together
    pub fn new(scale: Tensor<1>, shift: Tensor<1>, activation: Activation) -> Self {
        let host = [&scale, &shift].map(|all| in_memory(all.clone()).map(|all| all.to_contiguous()));
        let host = match host {
            [Ok(scale), Ok(shift)] => Some([scale, shift]),
            _ => None,
        };
        Self { scale, shift, host, activation }
    }

    /// Returns the normalized images. On a tape, on another device or in another precision it uses Burn's operations.
    ///
    /// # Shapes
    /// - images: `[batch, some channels, height, width]` each, output: `[batch, channels, height, width]`
    pub fn forward(&self, images: Vec<Tensor<4>>) -> Tensor<4> {
        let kernel = |normed: &Normed<'_>| {
            let shape = normed.shape();
            HostTensor::new(normed.forward(buffers::take(shape.iter().product())), shape)
        };
        self.run_kernel(images, kernel).map_or_else(|images| self.by_burn(images), HostTensor::into_images)
    }

    /// Runs a kernel on the images.
    ///
    /// # Errors
    /// Returns the images if they or the parameters are not [`in_memory`].
    pub(crate) fn run_kernel(
        &self,
        images: Vec<Tensor<4>>,
        kernel: impl FnOnce(&Normed<'_>) -> HostTensor,
    ) -> Result<HostTensor, Vec<Tensor<4>>> {
        let Some([scale, shift]) = &self.host else { return Err(images) };
        let images: Vec<_> = images.into_iter().map(HostTensor::from_images).collect();
        if images.iter().any(Result::is_err) {
            let back = |image: Result<HostTensor, _>| image.map_or_else(|x| x, HostTensor::into_images);
            return Err(images.into_iter().map(back).collect());
        }
        let images: Vec<HostTensor> = images.into_iter().flatten().collect();
        let memory: Vec<_> = images.iter().map(HostTensor::channels_last).collect();
        let views: Vec<ImageView<'_>> = memory
            .iter()
            .zip(&images)
            .map(|(floats, image)| ImageView::nhwc(floats, image.shape()))
            .collect();
        Ok(kernel(&Normed::new(&views, [scale, shift].map(floats), self.activation)))
    }

    /// Returns the normalized images by Burn's operations.
    pub(crate) fn by_burn(&self, images: Vec<Tensor<4>>) -> Tensor<4> {
        let [scale, shift] = [&self.scale, &self.shift].map(|all| all.clone().reshape([1, -1, 1, 1]));
        activated(Tensor::cat(images, 1) * scale + shift, self.activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::{assert_same, random};
    use crate::{FusedConv, Window};

    #[test]
    fn normalized_images_and_their_convolution_are_those_of_burn() {
        let channels_last = |shape: [usize; 4]| random(shape).permute([0, 3, 1, 2]);
        let images = vec![channels_last([2, 6, 4, 5]), random([2, 3, 6, 4])];
        let norm = ChannelNorm::new(random([8]), random([8]), Activation::Relu);
        let twice = |x: Tensor<4>| [x.clone().into_data(), x.into_data()];
        let expected = norm.by_burn(images.clone());
        assert_same(twice(norm.forward(images.clone())), twice(expected.clone()));

        let conv = FusedConv::new(random([7, 8, 1, 1]), Some(random([7])), Window::default(), 1);
        let residual = Some(random([2, 7, 6, 4]));
        let expected = conv.forward(expected, residual.clone(), Activation::Silu);
        let ours = conv.forward_normed(images.clone(), &norm, residual.clone(), Activation::Silu);
        assert_same(twice(ours), twice(expected.clone()));

        // On a tape the operations are Burn's.
        let taped = images.into_iter().map(Tensor::autodiff).collect();
        let ours = conv.forward_normed(taped, &norm, residual.map(Tensor::autodiff), Activation::Silu);
        assert_same(twice(ours.inner()), twice(expected));
    }
}
