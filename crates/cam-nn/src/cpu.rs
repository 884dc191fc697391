//! Conversion between Burn's tensors and the buffers of the CPU kernels.
//!
//! Burn's CPU backend repacks weights and builds patches at each convolution. Here weights are packed once ([`get_or_pack`]), values stay
//! in channels-last order from layer to layer, and biases, residuals and activations are applied in registers (`cam-kernels`). A tensor
//! that is on a tape, on another device or not in single precision is returned unchanged, and the layer uses Burn's operations.

mod autograd;
pub mod buffers;
mod packing;

pub use autograd::{Backward, with_custom_grad};
use burn::backend::{
    Flex,
    flex::{FlexTensor, Layout},
};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use cam_kernels::{Activation, Conv, ImageView};
pub use packing::{PackKey, get_or_pack};
use std::borrow::Cow;
use std::sync::LazyLock;

/// A batch of images in main memory, `[batch, height, width, channels]`. Tokens are images of one row.
#[derive(Debug)]
pub struct HostTensor {
    data: Data,
    shape: [usize; 4],
    /// Whether the channels are contiguous in memory, as in all outputs of the kernels.
    channels_last: bool,
}

/// The values of a host tensor.
#[derive(Debug)]
enum Data {
    Owned(Vec<f32>),
    Tensor(FlexTensor),
}

/// Whether the kernels are enabled: `CAM_KERNELS=off` uses Burn's operations instead, for comparisons.
static ENABLED: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("CAM_KERNELS").is_none_or(|set| set != "off"));

/// Reports whether the kernels compute on this device.
pub fn computes_on(device: &Device) -> bool {
    *ENABLED && *device == Device::flex()
}

/// Returns the tensor as a primitive if it is in main memory, in single precision and not on a tape.
///
/// # Errors
/// Returns the tensor itself otherwise.
pub fn in_memory<const D: usize>(x: Tensor<D>) -> Result<FlexTensor, Tensor<D>> {
    match x.clone().try_into_primitive::<Flex>() {
        Ok(tensor) if tensor.dtype() == DType::F32 && *ENABLED => {
            cam_kernels::keep_awake();
            Ok(tensor)
        }
        _ => Err(x),
    }
}

impl HostTensor {
    /// Makes a host tensor of images `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// Returns the tensor itself if it is not [`in_memory`].
    pub fn from_images(x: Tensor<4>) -> Result<Self, Tensor<4>> {
        let [batch, channels, height, width] = x.dims();
        let shape = [batch, height, width, channels];
        let tensor = in_memory(x)?;
        let channels_last = !tensor.is_contiguous();
        let tensor = match channels_last {
            true => tensor.permute(&[0, 2, 3, 1]).to_contiguous(),
            false => tensor,
        };
        Ok(Self { data: Data::Tensor(tensor), shape, channels_last })
    }

    /// Makes a host tensor of tokens `[batch, tokens, channels]` or images `[batch, height, width, channels]`.
    ///
    /// # Errors
    /// Returns the tensor itself if it is not [`in_memory`].
    pub fn from_tokens<const D: usize>(x: Tensor<D>) -> Result<Self, Tensor<D>> {
        let tensor = in_memory(x)?.to_contiguous();
        let dims = tensor.layout().shape().to_vec();
        let mut shape = [1; 4];
        shape[0] = dims[0];
        shape[5 - dims.len()..].copy_from_slice(&dims[1..]);
        Ok(Self { data: Data::Tensor(tensor), shape, channels_last: true })
    }

    /// Makes a host tensor of values in channels-last order.
    pub fn new(floats: Vec<f32>, shape: [usize; 4]) -> Self {
        Self { data: Data::Owned(floats), shape, channels_last: true }
    }

    /// Returns the tensor `[batch, channels, height, width]`.
    pub fn into_images(self) -> Tensor<4> {
        self.into_tokens().permute([0, 3, 1, 2])
    }

    /// Returns the tensor `[batch, tokens, channels]` or `[batch, height, width, channels]`, by its rank.
    pub fn into_tokens<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<Flex>(self.into_tensor(D))
    }

    /// Returns the primitive of this rank.
    fn into_tensor(self, rank: usize) -> FlexTensor {
        let shape = [&self.shape[..1], &self.shape[5 - rank..]].concat();
        FlexTensor::from_data(TensorData::new(buffers::shrink(self.into_floats()), shape))
    }

    /// Returns the values in channels-last order.
    fn into_floats(mut self) -> Vec<f32> {
        match &mut self.data {
            Data::Owned(floats) => std::mem::take(floats),
            Data::Tensor(_) => self.channels_last().into_owned(),
        }
    }

    /// Returns the shape `[batch, height, width, channels]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn floats(&self) -> &[f32] {
        match &self.data {
            Data::Owned(floats) => floats,
            Data::Tensor(tensor) => tensor.as_slice().expect("host tensors are contiguous"),
        }
    }

    /// Returns the values in channels-last order.
    pub fn channels_last(&self) -> Cow<'_, [f32]> {
        if self.channels_last {
            return self.floats().into();
        }
        let [batch, height, width, channels] = self.shape;
        let (floats, area) = (self.floats(), height * width);
        let mut out = buffers::take(floats.len());
        out.clear();
        for image in 0..batch {
            let image = &floats[image * area * channels..][..area * channels];
            out.extend((0..area).flat_map(|pixel| image[pixel..].iter().step_by(area)));
        }
        out.into()
    }

    /// Returns a view for the kernels.
    pub fn view(&self) -> ImageView<'_> {
        let [batch, height, width, channels] = self.shape;
        match self.channels_last {
            true => ImageView::nhwc(self.floats(), self.shape),
            false => ImageView::nchw(self.floats(), [batch, channels, height, width]),
        }
    }

    /// Applies a convolution or a linear layer, plus a residual, and an activation.
    pub fn apply(&self, kernel: &Conv, residual: Option<&HostTensor>, activation: Activation) -> HostTensor {
        let image = self.view();
        let shape = kernel.output_shape(&image);
        let residual = residual.map(HostTensor::channels_last);
        let out = buffers::take(shape.iter().product());
        HostTensor::new(kernel.forward(image, residual.as_deref(), activation, out), shape)
    }
}

/// Recycles the memory, unless the tensor is shared.
impl Drop for HostTensor {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.data, Data::Owned(Vec::new())) {
            Data::Owned(floats) => buffers::recycle(floats),
            Data::Tensor(tensor) if tensor.is_unique() => {
                let all = Layout::contiguous(Shape::new([tensor.storage::<f32>().len()]));
                if let Ok(floats) = tensor.with_layout(all).into_data().try_into_vec::<f32>() {
                    buffers::recycle(floats);
                }
            }
            Data::Tensor(_) => {}
        }
    }
}

/// Reports whether images `[batch, channels, height, width]` are in main memory with their channels last, as the kernels write them.
pub fn has_channels_last(x: &Tensor<4>) -> bool {
    let [_, channels, height, width] = x.dims();
    let is_contiguous = |x: FlexTensor| x.permute(&[0, 2, 3, 1]).is_contiguous();
    channels > 1 && height * width > 1 && in_memory(x.clone()).is_ok_and(is_contiguous)
}

/// Runs a kernel on images `[batch, channels, height, width]`.
///
/// # Errors
/// Returns the images if they are not [`in_memory`].
pub fn on_images(
    x: Tensor<4>,
    kernel: impl FnOnce(&HostTensor) -> HostTensor,
) -> Result<Tensor<4>, Tensor<4>> {
    Ok(kernel(&HostTensor::from_images(x)?).into_images())
}

/// Runs a kernel on tokens `[batch, tokens, channels]` or images `[batch, height, width, channels]`.
///
/// # Errors
/// Returns the tensors if they are not all [`in_memory`].
pub fn on_tokens<const D: usize, const N: usize>(
    x: [Tensor<D>; N],
    kernel: impl FnOnce([&HostTensor; N]) -> HostTensor,
) -> Result<Tensor<D>, [Tensor<D>; N]> {
    let x = x.map(HostTensor::from_tokens);
    if x.iter().all(Result::is_ok) {
        return Ok(
            kernel(x.each_ref().map(|x| x.as_ref().expect("all tensors are in main memory"))).into_tokens()
        );
    }
    Err(x.map(|x| x.map_or_else(|x| x, HostTensor::into_tokens)))
}

/// Returns the values of a parameter.
///
/// # Panics
/// Panics if it is not contiguous or not in single precision.
pub fn floats(parameter: &FlexTensor) -> &[f32] {
    parameter.as_slice::<f32>().expect("a contiguous parameter in single precision")
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Default, &Device::flex())
    }

    /// Returns the output of a layer on a tape and the gradient of the sum of its squares. Without a tape the output must be the same.
    pub fn forward_and_backward<const D: usize>(
        x: &Tensor<D>,
        layer: impl Fn(Tensor<D>) -> Tensor<D>,
    ) -> [TensorData; 2] {
        let plain = layer(x.clone()).into_data();
        let x = x.clone().autodiff().require_grad();
        let y = layer(x.clone());
        let gradients = (y.clone() * y.clone()).sum().backward();
        let both = [y.inner(), x.grad(&gradients).expect("y depends on x")].map(Tensor::into_data);
        plain.assert_approx_eq::<f32>(&both[0], Tolerance::rel_abs(1e-6, 1e-6));
        both
    }

    pub fn assert_same(ours: [TensorData; 2], theirs: [TensorData; 2]) {
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            // A few units in the last place of sums of 64 products.
            ours.assert_approx_eq::<f32>(&theirs, Tolerance::rel_abs(2e-5, 2e-5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn a_tensor_on_a_tape_is_returned() {
        let x = Tensor::<4>::random([1, 2, 3, 4], Distribution::Default, &Device::flex());
        assert!(HostTensor::from_images(x.clone()).is_ok());
        let back = HostTensor::from_images(x.clone().autodiff()).expect_err("the tensor is on a tape");
        assert_eq!(back.into_data(), x.clone().into_data());
        assert!(HostTensor::from_tokens(x.autodiff()).is_err());
    }
}
