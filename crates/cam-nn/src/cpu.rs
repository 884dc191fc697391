//! The CPU's own memory: tensors of Burn as the kernels read them, and what they compute as tensors again.
//!
//! Burn's CPU backend takes a weight apart and puts an input together anew at each convolution. Here weights are packed once
//! ([`get_or_pack`]), values stay channels last from one layer to the next, and biases, residuals and activations are applied while a
//! value is still in registers (`cam-kernels`). A tensor that is not of single precision in main memory, or that is on a tape, is
//! given back as it was, and the layer goes the way of Burn.

mod autograd;
pub mod memory;
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

/// A batch of images in main memory: `[batch, height, width, channels]`. Tokens are images of one row.
#[derive(Debug)]
pub struct HostTensor {
    held: Held,
    shape: [usize; 4],
    /// Whether the channels lie side by side in memory, as they do in all that is computed here.
    channels_last: bool,
}

/// Who owns the memory.
#[derive(Debug)]
enum Held {
    Own(Vec<f32>),
    Tensor(FlexTensor),
}

/// `CAM_KERNELS=off` leaves all to Burn: for those who want to know what these kernels change.
static ASKED_FOR: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("CAM_KERNELS").is_none_or(|set| set != "off"));

/// Whether the kernels here compute what is on this device.
pub fn computes_on(device: &Device) -> bool {
    *ASKED_FOR && *device == Device::flex()
}

/// A tensor in main memory, in single precision and on no tape.
pub fn in_memory<const D: usize>(x: Tensor<D>) -> Result<FlexTensor, Tensor<D>> {
    match x.clone().try_into_primitive::<Flex>() {
        Ok(tensor) if tensor.dtype() == DType::F32 && *ASKED_FOR => Ok(tensor),
        _ => Err(x),
    }
}

impl HostTensor {
    /// Images, `[batch, channels, height, width]`, or the tensor itself where it is not in main memory.
    pub fn images(x: Tensor<4>) -> Result<Self, Tensor<4>> {
        let [batch, channels, height, width] = x.dims();
        let shape = [batch, height, width, channels];
        let tensor = in_memory(x)?;
        let channels_last = !tensor.is_contiguous();
        let tensor = match channels_last {
            true => tensor.permute(&[0, 2, 3, 1]).to_contiguous(),
            false => tensor,
        };
        Ok(Self { held: Held::Tensor(tensor), shape, channels_last })
    }

    /// Tokens `[batch, tokens, channels]` or images `[batch, height, width, channels]`, or the tensor itself where it is not in main
    /// memory.
    fn tokens<const D: usize>(x: Tensor<D>) -> Result<Self, Tensor<D>> {
        let tensor = in_memory(x)?.to_contiguous();
        let dims = tensor.layout().shape().to_vec();
        let mut shape = [1; 4];
        shape[0] = dims[0];
        shape[5 - dims.len()..].copy_from_slice(&dims[1..]);
        Ok(Self { held: Held::Tensor(tensor), shape, channels_last: true })
    }

    pub fn new(floats: Vec<f32>, shape: [usize; 4]) -> Self {
        Self { held: Held::Own(floats), shape, channels_last: true }
    }

    /// `[batch, channels, height, width]`
    pub fn into_images(self) -> Tensor<4> {
        self.into_tokens().permute([0, 3, 1, 2])
    }

    /// `[batch, tokens, channels]` where they are one row, or `[batch, height, width, channels]`
    fn into_tokens<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<Flex>(self.into_tensor(D))
    }

    /// A tensor of so many axes.
    fn into_tensor(self, axes: usize) -> FlexTensor {
        let shape = [&self.shape[..1], &self.shape[5 - axes..]].concat();
        FlexTensor::from_data(TensorData::new(memory::fitted(self.into_floats()), shape))
    }

    /// The values, the channels side by side.
    fn into_floats(mut self) -> Vec<f32> {
        match &mut self.held {
            Held::Own(floats) => std::mem::take(floats),
            Held::Tensor(_) => self.channels_last().into_owned(),
        }
    }

    /// `[batch, height, width, channels]`
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn floats(&self) -> &[f32] {
        match &self.held {
            Held::Own(floats) => floats,
            Held::Tensor(tensor) => tensor.as_slice().expect("it was made contiguous"),
        }
    }

    pub fn channels_last(&self) -> Cow<'_, [f32]> {
        if self.channels_last {
            return self.floats().into();
        }
        let [batch, height, width, channels] = self.shape;
        let (floats, area) = (self.floats(), height * width);
        let mut out = memory::take(floats.len());
        out.clear();
        for image in 0..batch {
            let image = &floats[image * area * channels..][..area * channels];
            out.extend((0..area).flat_map(|pixel| image[pixel..].iter().step_by(area)));
        }
        out.into()
    }

    pub fn picture(&self) -> ImageView<'_> {
        let [batch, height, width, channels] = self.shape;
        match self.channels_last {
            true => ImageView::nhwc(self.floats(), self.shape),
            false => ImageView::nchw(self.floats(), [batch, channels, height, width]),
        }
    }

    /// A convolution or linear layer of this, plus a residual, through an activation.
    pub fn through(
        &self,
        kernel: &Conv,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> HostTensor {
        let picture = self.picture();
        let shape = kernel.output(&picture);
        let residual = residual.map(HostTensor::channels_last);
        let out = memory::take(shape.iter().product());
        HostTensor::new(kernel.forward(picture, residual.as_deref(), activation, out), shape)
    }
}

/// The memory goes back, unless somebody else has the tensor too.
impl Drop for HostTensor {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.held, Held::Own(Vec::new())) {
            Held::Own(floats) => memory::give_back(floats),
            Held::Tensor(tensor) if tensor.is_unique() => {
                let all = Layout::contiguous(Shape::new([tensor.storage::<f32>().len()]));
                if let Ok(floats) = tensor.with_layout(all).into_data().try_into_vec::<f32>() {
                    memory::give_back(floats);
                }
            }
            Held::Tensor(_) => {}
        }
    }
}

/// Has a kernel compute on images, `[batch, channels, height, width]`; gives them back where they are not in main memory.
pub fn on_images(
    x: Tensor<4>,
    kernel: impl FnOnce(&HostTensor) -> HostTensor,
) -> Result<Tensor<4>, Tensor<4>> {
    Ok(kernel(&HostTensor::images(x)?).into_images())
}

/// Has a kernel compute on tokens, `[batch, tokens, channels]` or `[batch, height, width, channels]`; gives them back where they are not
/// all in main memory.
pub fn on_tokens<const D: usize, const N: usize>(
    x: [Tensor<D>; N],
    kernel: impl FnOnce([&HostTensor; N]) -> HostTensor,
) -> Result<Tensor<D>, [Tensor<D>; N]> {
    let x = x.map(HostTensor::tokens);
    if x.iter().all(Result::is_ok) {
        return Ok(kernel(x.each_ref().map(|x| x.as_ref().expect("all are in main memory"))).into_tokens());
    }
    Err(x.map(|x| x.map_or_else(|x| x, HostTensor::into_tokens)))
}

/// The numbers of a parameter.
///
/// # Panics
/// When it is not contiguous and of single precision.
pub fn floats(parameter: &FlexTensor) -> &[f32] {
    parameter.as_slice::<f32>().expect("a parameter of single precision, its numbers in order")
}

#[cfg(test)]
pub mod testing {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    pub fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Default, &Device::flex())
    }

    /// What a layer makes of a tensor on a tape, and the gradient of its squares there; what it makes on none is the same.
    pub fn both_ways<const D: usize>(
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
            // Some units in the last place of sums of 64 products.
            ours.assert_approx_eq::<f32>(&theirs, Tolerance::rel_abs(2e-5, 2e-5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn what_is_on_a_tape_is_given_back() {
        let x = Tensor::<4>::random([1, 2, 3, 4], Distribution::Default, &Device::flex());
        assert!(HostTensor::images(x.clone()).is_ok());
        let back = HostTensor::images(x.clone().autodiff()).expect_err("a tape runs");
        assert_eq!(back.into_data(), x.clone().into_data());
        assert!(HostTensor::tokens(x.autodiff()).is_err());
    }
}
