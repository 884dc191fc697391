//! Inference in main memory: what a network computes on the CPU where no tape runs and nobody looks in between.
//!
//! Burn's CPU backend takes a weight apart and puts an input together anew at each convolution. Here weights are packed once
//! ([`packed`]), values stay channels last from one layer to the next, and biases, residuals and activations are applied while a
//! value is still in registers (`cam-kernels`). A tensor that is not of single precision in main memory, or that is on a tape, is
//! given back as it was, and the network goes the way of Burn.

mod at_once;
mod attention;
mod fused;
mod in_place;
mod layers;
mod memory;
mod packed;
mod taped;

pub use at_once::{block_at_once, layer_norm, linear, pictures_at_once, tokens_at_once};
pub use attention::Windows;
use burn::backend::{
    Flex,
    flex::{FlexTensor, Layout},
};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use cam_kernels::Picture;
pub use cam_kernels::{Activation, Window};
pub use fused::{FusedAttention, FusedConv, FusedLinear, FusedNorm, attention_of_first, gelu, max_pool};
pub use in_place::{by_outputs, linear_in_place, lying_by_outputs};
pub use layers::linear_back;
pub use packed::{packed, parameter};
use std::borrow::Cow;
use std::sync::LazyLock;
pub use taped::{Back, on_tape};

/// A batch of pictures in main memory: `[batch, height, width, channels]`. Tokens are pictures of one row.
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
    HostTensor(Vec<f32>),
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
fn in_memory<const D: usize>(x: Tensor<D>) -> Result<FlexTensor, Tensor<D>> {
    match x.clone().try_into_primitive::<Flex>() {
        Ok(tensor) if tensor.dtype() == DType::F32 && *ASKED_FOR => Ok(tensor),
        _ => Err(x),
    }
}

impl HostTensor {
    /// Pictures, `[batch, channels, height, width]`, or the tensor itself where it is not in main memory.
    fn pictures(x: Tensor<4>) -> Result<Self, Tensor<4>> {
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

    /// Tokens `[batch, tokens, channels]` or pictures `[batch, height, width, channels]`, or the tensor itself where it is not in main
    /// memory.
    fn tokens<const D: usize>(x: Tensor<D>) -> Result<Self, Tensor<D>> {
        Ok(Self::of_tokens(in_memory(x)?.to_contiguous()))
    }

    fn of_tokens(tensor: FlexTensor) -> Self {
        let dims = tensor.layout().shape().to_vec();
        let mut shape = [1; 4];
        shape[0] = dims[0];
        shape[5 - dims.len()..].copy_from_slice(&dims[1..]);
        Self { held: Held::Tensor(tensor), shape, channels_last: true }
    }

    /// A batch of what parts of it became; `None` where one of them or all are missing.
    fn cat(parts: impl ExactSizeIterator<Item = Option<HostTensor>>) -> Option<HostTensor> {
        let (count, mut whole) = (parts.len(), None);
        for part in parts {
            let part = part?;
            if count == 1 {
                return Some(part);
            }
            let [images, height, width, channels] = part.shape;
            let (floats, shape) = whole.get_or_insert_with(|| {
                // The first part is none of the smaller ones.
                let mut floats = memory::take(count * part.floats().len());
                floats.clear();
                (floats, [0, height, width, channels])
            });
            floats.extend_from_slice(&part.channels_last());
            shape[0] += images;
        }
        whole.map(|(floats, shape)| HostTensor::new(floats, shape))
    }

    fn new(floats: Vec<f32>, shape: [usize; 4]) -> Self {
        Self { held: Held::HostTensor(floats), shape, channels_last: true }
    }

    /// `[batch, channels, height, width]`
    fn into_pictures(self) -> Tensor<4> {
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
            Held::HostTensor(floats) => std::mem::take(floats),
            Held::Tensor(_) => self.channels_last().into_owned(),
        }
    }

    /// `[batch, height, width, channels]`
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn floats(&self) -> &[f32] {
        match &self.held {
            Held::HostTensor(floats) => floats,
            Held::Tensor(tensor) => tensor.as_slice().expect("it was made contiguous"),
        }
    }

    fn channels_last(&self) -> Cow<'_, [f32]> {
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

    fn picture(&self) -> Picture<'_> {
        let [batch, height, width, channels] = self.shape;
        match self.channels_last {
            true => Picture::nhwc(self.floats(), self.shape),
            false => Picture::nchw(self.floats(), [batch, channels, height, width]),
        }
    }

    /// Pixels put together from others: of each new pixel the old ones that it is made of, side by side.
    pub fn gather(&self, pixels: impl Iterator<Item = usize>, shape: [usize; 4]) -> HostTensor {
        let (from, channels) = (self.channels_last(), self.shape[3]);
        let mut out = memory::take(shape.iter().product());
        for (out, pixel) in out.chunks_exact_mut(channels).zip(pixels) {
            out.copy_from_slice(&from[pixel * channels..][..channels]);
        }
        HostTensor::new(out, shape)
    }
}

/// The memory goes back, unless somebody else has the tensor too.
impl Drop for HostTensor {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.held, Held::HostTensor(Vec::new())) {
            Held::HostTensor(floats) => memory::give_back(floats),
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn what_is_on_a_tape_is_given_back() {
        let x = Tensor::<4>::random([1, 2, 3, 4], Distribution::Default, &Device::flex());
        assert!(HostTensor::pictures(x.clone()).is_ok());
        let back = HostTensor::pictures(x.clone().autodiff()).expect_err("a tape runs");
        assert_eq!(back.into_data(), x.clone().into_data());
        assert!(HostTensor::tokens(x.autodiff()).is_err());
    }
}
