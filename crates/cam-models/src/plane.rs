//! Inference in main memory: what a network computes on the CPU where no tape runs and nobody looks in between.
//!
//! Burn's CPU backend takes a weight apart and puts an input together anew at each convolution. Here weights are packed once
//! ([`packed`]), values stay channels last from one layer to the next, and biases, residuals and activations are applied while a
//! value is still in registers (`cam-kernels`). A tensor that is not of single precision in main memory, or that is on a tape, is
//! given back as it was, and the network goes the way of Burn.

mod in_place;
mod memory;
mod packed;
mod taped;

use burn::backend::{
    Flex,
    flex::{FlexTensor, Layout},
};
use burn::nn::conv::Conv2d;
use burn::nn::pool::MaxPool2d;
use burn::nn::{LayerNorm, Linear, PaddingConfig2d};
use burn::tensor::{DType, Shape, Tensor, TensorData};
pub(crate) use cam_kernels::Activation;
use cam_kernels::{Attention, Conv, Picture, Window};
pub(crate) use in_place::{by_outputs, linear_in_place};
pub(crate) use packed::{packed, parameter};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
pub(crate) use taped::{Back, on_tape};

/// A batch of pictures in main memory: `[batch, height, width, channels]`. Tokens are pictures of one row.
#[derive(Debug)]
pub(crate) struct Plane {
    held: Held,
    shape: [usize; 4],
    /// Whether the channels lie side by side in memory, as they do in all that is computed here.
    channels_last: bool,
}

/// Who owns the memory.
#[derive(Debug)]
enum Held {
    Plane(Vec<f32>),
    Tensor(FlexTensor),
}

/// `CAM_KERNELS=off` leaves all to Burn: for those who want to know what these kernels change.
static ASKED_FOR: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("CAM_KERNELS").is_none_or(|set| set != "off"));

/// A tensor in main memory, in single precision and on no tape.
fn in_memory<const D: usize>(x: Tensor<D>) -> Result<FlexTensor, Tensor<D>> {
    match x.clone().try_into_primitive::<Flex>() {
        Ok(tensor) if tensor.dtype() == DType::F32 && *ASKED_FOR => Ok(tensor),
        _ => Err(x),
    }
}

/// Work on pictures, `[batch, channels, height, width]`; they are given back where it cannot be done in main memory.
pub(crate) fn pictures_at_once(
    x: Tensor<4>,
    work: impl FnOnce(&Plane) -> Option<Plane>,
) -> Result<Tensor<4>, Tensor<4>> {
    let x = Plane::pictures(x)?;
    work(&x).map(Plane::into_pictures).ok_or_else(|| x.into_pictures())
}

/// Work on tokens, `[batch, tokens, channels]` or `[batch, height, width, channels]`; they are given back where it cannot be done in
/// main memory.
pub(crate) fn tokens_at_once<const D: usize, const N: usize>(
    x: [Tensor<D>; N],
    work: impl FnOnce([&Plane; N]) -> Option<Plane>,
) -> Result<Tensor<D>, [Tensor<D>; N]> {
    let x = x.map(Plane::tokens);
    let done = match x.iter().all(Result::is_ok) {
        true => work(x.each_ref().map(|x| x.as_ref().expect("all are in main memory"))),
        false => None,
    };
    done.map(Plane::into_tokens).ok_or_else(|| x.map(|x| x.map_or_else(|x| x, Plane::into_tokens)))
}

/// The floats of the images that a block is computed of together. What it makes of them on its way is some four times as much, and is
/// to stay in the cache; with fewer images the weights would be read more often.
const TOGETHER: usize = 150_000;

/// A block of a transformer, of tokens as in [`tokens_at_once`]: some images of the batch at a time.
pub(crate) fn block_at_once<const D: usize>(
    x: Tensor<D>,
    block: impl Fn(&Plane) -> Option<Plane>,
) -> Result<Tensor<D>, Tensor<D>> {
    let x = in_memory(x)?.to_contiguous();
    let batch = x.layout().shape()[0];
    let count = (TOGETHER * batch / x.layout().num_elements().max(1)).clamp(1, batch.max(1));
    let parts = (0..batch).step_by(count).map(|first| {
        let images = x.narrow(0, first, count.min(batch - first));
        block(&Plane::of_tokens(images))
    });
    match Plane::cat(parts) {
        Some(y) => Ok(y.into_tokens()),
        None => Err(Tensor::from_primitive::<Flex>(x)),
    }
}

/// A linear layer of tokens, also on a tape.
pub(crate) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    tokens_at_once([x], |[x]| x.linear(layer, None, Activation::None))
        .or_else(|[x]| {
            on_tape(x, |x| {
                let back = linear_back(layer)?;
                let y = x.linear(layer, None, Activation::None)?;
                Some((y, Back::new(move |gradient| gradient.back_through(&back))))
            })
        })
        .unwrap_or_else(|x| layer.forward(x))
}

/// The norm of each token over its channels, also on a tape.
pub(crate) fn layer_norm<const D: usize>(norm: &LayerNorm, epsilon: f64, x: Tensor<D>) -> Tensor<D> {
    tokens_at_once([x], |[x]| x.layer_norm(norm, epsilon))
        .or_else(|[x]| {
            on_tape(x, |x| {
                let gamma = parameter(&norm.gamma)?;
                let y = x.layer_norm(norm, epsilon)?;
                Some((y, Back::new(move |gradient| x.layer_norm_back(&gamma, epsilon, gradient))))
            })
        })
        .unwrap_or_else(|x| norm.forward(x))
}

/// What leads back through a linear layer.
pub(crate) fn linear_back(layer: &Linear) -> Option<Arc<Conv>> {
    let (weight, shape) = (parameter(&layer.weight)?, layer.weight.shape().dims());
    Some(packed((&weight, None), "back", |weight, _| Conv::linear_back(weight, shape)))
}

/// Which tokens attend to which.
#[derive(Debug)]
pub(crate) struct Windows {
    /// Heads, among which the channels are shared out.
    pub heads: usize,
    /// The tokens of each window, counted within an image.
    pub members: Vec<Vec<usize>>,
    /// How many tokens of a window ask, from its first on.
    pub queries: usize,
    /// What is added to the fit of a query and a key.
    pub bias: Option<Arc<Vec<f32>>>,
}

impl Windows {
    /// Attention in them, of queries, keys and values.
    fn of(&self, qkv: &Plane) -> Attention<'_> {
        let [_, height, width, channels] = qkv.shape;
        Attention {
            heads: self.heads,
            size: channels / 3 / self.heads,
            tokens: height * width,
            windows: &self.members,
            queries: self.queries,
            bias: self.bias.as_ref().map(|bias| bias.as_slice()),
        }
    }
}

impl Plane {
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
    fn cat(parts: impl ExactSizeIterator<Item = Option<Plane>>) -> Option<Plane> {
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
        whole.map(|(floats, shape)| Plane::new(floats, shape))
    }

    fn new(floats: Vec<f32>, shape: [usize; 4]) -> Self {
        Self { held: Held::Plane(floats), shape, channels_last: true }
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
            Held::Plane(floats) => std::mem::take(floats),
            Held::Tensor(_) => self.channels_last().into_owned(),
        }
    }

    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn floats(&self) -> &[f32] {
        match &self.held {
            Held::Plane(floats) => floats,
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

    /// A convolution, plus a residual, through an activation. `None` where its weights are not in main memory, or it pads one side
    /// otherwise than the other.
    pub fn conv(&self, conv: &Conv2d, residual: Option<&Plane>, activation: Activation) -> Option<Plane> {
        let window =
            Window { stride: conv.stride, padding: padding(&conv.padding)?, dilation: conv.dilation };
        let (weight, bias) = (parameter(&conv.weight)?, conv.bias.as_ref().map(parameter));
        let bias = bias.map_or(Some(None), |bias| bias.map(Some))?;
        let shape: [usize; 4] = conv.weight.shape().dims();
        let options = [conv.stride, window.padding, conv.dilation, [conv.groups; 2]];
        let winograd = Conv::winograd_suits(shape, window, conv.groups, &self.picture());
        let kernel =
            packed((&weight, bias.as_ref()), (shape, options, winograd), |weight, bias| match winograd {
                true => Conv::winograd(weight, [shape[0], shape[1]], bias, window),
                false => Conv::new(weight, shape, bias, window, conv.groups),
            });
        Some(self.through(&kernel, residual, activation))
    }

    /// A linear layer of the channels, plus a residual, through an activation.
    pub fn linear(&self, linear: &Linear, residual: Option<&Plane>, activation: Activation) -> Option<Plane> {
        let (weight, bias) = (parameter(&linear.weight)?, linear.bias.as_ref().map(parameter));
        let bias = bias.map_or(Some(None), |bias| bias.map(Some))?;
        let shape: [usize; 2] = linear.weight.shape().dims();
        let kernel =
            packed((&weight, bias.as_ref()), (shape, ()), |weight, bias| Conv::linear(weight, shape, bias));
        Some(self.through(&kernel, residual, activation))
    }

    fn through(&self, kernel: &Conv, residual: Option<&Plane>, activation: Activation) -> Plane {
        let picture = self.picture();
        let shape = kernel.output(&picture);
        let residual = residual.map(Plane::channels_last);
        let out = memory::take(shape.iter().product());
        Plane::new(kernel.forward(picture, residual.as_deref(), activation, out), shape)
    }

    /// The largest value of each channel in windows.
    pub fn max_pool(&self, pool: &MaxPool2d) -> Option<Plane> {
        let window =
            Window { stride: pool.stride, padding: padding(&pool.padding)?, dilation: pool.dilation };
        if pool.ceil_mode {
            return None;
        }
        let [batch, height, width, channels] = self.shape;
        let [rows, columns] = window.output([height, width], pool.kernel_size);
        let floats = self.channels_last();
        let out = memory::take(batch * rows * columns * channels);
        let out = cam_kernels::max_pool(Picture::nhwc(&floats, self.shape), pool.kernel_size, window, out);
        Some(Plane::new(out, [batch, rows, columns, channels]))
    }

    /// The norm of each pixel over its channels.
    pub fn layer_norm(&self, norm: &LayerNorm, epsilon: f64) -> Option<Plane> {
        let [gamma, beta] = [&norm.gamma, norm.beta.as_ref()?].map(parameter);
        let (gamma, beta) = (gamma?.to_contiguous(), beta?.to_contiguous());
        let (gamma, beta) = (gamma.as_slice::<f32>()?, beta.as_slice::<f32>()?);
        let x = self.channels_last();
        let out = cam_kernels::layer_norm(&x, gamma, beta, epsilon as f32, memory::take(x.len()));
        Some(Plane::new(out, self.shape))
    }

    /// Attention in windows, of queries, keys and values `[.., 3 * heads * size]`.
    pub fn attend(&self, windows: &Windows) -> Plane {
        let [batch, height, width, channels] = self.shape;
        let out = memory::take(batch * height * width * channels / 3);
        let out = windows.of(self).forward(&self.channels_last(), out);
        Plane::new(out, [batch, height, width, channels / 3])
    }

    /// The gradient at queries, keys and values of that at what [`attend`](Self::attend) makes of them.
    pub fn attend_back(&self, windows: &Windows, gradient: &Plane) -> Plane {
        let qkv = self.channels_last();
        let out = windows.of(self).backward(&qkv, &gradient.channels_last(), memory::take(qkv.len()));
        Plane::new(out, self.shape)
    }

    /// The gradient of that at what [`layer_norm`](Self::layer_norm) makes of this.
    fn layer_norm_back(&self, gamma: &FlexTensor, epsilon: f64, gradient: &Plane) -> Plane {
        let (x, gamma) = (self.channels_last(), gamma.to_contiguous());
        let gamma = gamma.as_slice::<f32>().expect("a parameter of single precision");
        let out = memory::take(x.len());
        let out = cam_kernels::layer_norm_back(&x, gamma, epsilon as f32, &gradient.channels_last(), out);
        Plane::new(out, self.shape)
    }

    /// A GELU of each value.
    pub fn gelu(&self) -> Plane {
        let x = self.channels_last();
        Plane::new(cam_kernels::gelu(&x, memory::take(x.len())), self.shape)
    }

    /// The gradient of that at what [`gelu`](Self::gelu) makes of this.
    pub fn gelu_back(&self, gradient: &Plane) -> Plane {
        let x = self.channels_last();
        let out = cam_kernels::gelu_back(&x, &gradient.channels_last(), memory::take(x.len()));
        Plane::new(out, self.shape)
    }

    /// The gradient before a linear layer, of that behind it.
    pub fn back_through(&self, back: &Conv) -> Plane {
        self.through(back, None, Activation::None)
    }

    /// The first tokens of each image.
    pub fn first(&self, count: usize) -> Plane {
        let [batch, _, tokens, channels] = self.shape;
        let pixels = (0..batch).flat_map(|image| (0..count).map(move |token| image * tokens + token));
        self.gather(pixels, [batch, 1, count, channels])
    }

    /// So many tokens, of which these are the first and the others zero.
    pub fn among(&self, count: usize) -> Plane {
        let [batch, _, tokens, channels] = self.shape;
        let from = self.channels_last();
        let mut out = memory::take(batch * count * channels);
        let images = out.chunks_exact_mut(count * channels).zip(from.chunks_exact(tokens * channels));
        for (out, image) in images {
            let (first, rest) = out.split_at_mut(image.len());
            first.copy_from_slice(image);
            rest.fill(0.0);
        }
        Plane::new(out, [batch, 1, count, channels])
    }

    /// Pixels put together from others: of each new pixel the old ones that it is made of, side by side.
    pub fn gather(&self, pixels: impl Iterator<Item = usize>, shape: [usize; 4]) -> Plane {
        let (from, channels) = (self.channels_last(), self.shape[3]);
        let mut out = memory::take(shape.iter().product());
        for (out, pixel) in out.chunks_exact_mut(channels).zip(pixels) {
            out.copy_from_slice(&from[pixel * channels..][..channels]);
        }
        Plane::new(out, shape)
    }
}

/// The memory goes back, unless somebody else has the tensor too.
impl Drop for Plane {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.held, Held::Plane(Vec::new())) {
            Held::Plane(floats) => memory::give_back(floats),
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

/// Padding above and below, left and right, where it is the same.
fn padding(padding: &PaddingConfig2d) -> Option<[usize; 2]> {
    match *padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            Some([top, left])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{LayerNormConfig, LinearConfig};
    use burn::tensor::{Device, Distribution, Tolerance};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Default, &Device::flex())
    }

    #[test]
    fn what_is_on_a_tape_is_given_back() {
        let x = random([1, 2, 3, 4]);
        assert!(Plane::pictures(x.clone()).is_ok());
        let back = Plane::pictures(x.clone().autodiff()).expect_err("a tape runs");
        assert_eq!(back.into_data(), x.into_data());
        assert!(Plane::tokens(random([2, 3, 4]).autodiff()).is_err());
    }

    #[test]
    fn a_weight_is_packed_once_and_anew_when_it_is_another() {
        let layer = |linear: &Linear| {
            let weight = parameter(&linear.weight).unwrap();
            packed((&weight, None), (), |weight, _| weight.iter().sum::<f32>())
        };
        let mut linear = LinearConfig::new(3, 5).with_bias(false).init(&Device::flex());
        let first = layer(&linear);
        assert!(Arc::ptr_eq(&first, &layer(&linear)));
        linear.weight = linear.weight.map(|weight| weight + 1.0);
        assert!((*layer(&linear) - *first - 15.0).abs() < 1e-4);
    }

    #[test]
    fn layers_are_those_of_burn() {
        let linear = LinearConfig::new(4, 6).init(&Device::flex());
        let x = random([2, 3, 4]);
        let ours = Plane::tokens(x.clone()).unwrap().linear(&linear, None, Activation::None).unwrap();
        let off = ours.into_tokens() - linear.forward(x);
        assert!(off.abs().max().into_scalar::<f32>() < 1e-6);
    }

    /// What a step makes of tokens on a tape, and the gradient of its squares there.
    fn both_ways(x: &Tensor<3>, forward: impl Fn(Tensor<3>) -> Tensor<3>) -> [TensorData; 2] {
        let x = x.clone().autodiff().require_grad();
        let y = forward(x.clone());
        let gradients = (y.clone() * y.clone()).sum().backward();
        [y.inner(), x.grad(&gradients).expect("y depends on x")].map(Tensor::into_data)
    }

    fn assert_same(ours: [TensorData; 2], theirs: [TensorData; 2]) {
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            // Some units in the last place of sums of 64 products.
            ours.assert_approx_eq::<f32>(&theirs, Tolerance::rel_abs(2e-5, 2e-5));
        }
    }

    #[test]
    fn layers_on_a_tape_are_those_of_burn_both_ways() {
        let (device, x) = (Device::flex(), random([2, 3, 64]));
        let layer = LinearConfig::new(64, 40).init(&device);
        assert_same(both_ways(&x, |x| linear(&layer, x)), both_ways(&x, |x| layer.forward(x)));
        let mut norm = LayerNormConfig::new(64).with_epsilon(1e-3).init(&device);
        norm.gamma = norm.gamma.map(|gamma| gamma * 1.5);
        assert_same(both_ways(&x, |x| layer_norm(&norm, 1e-3, x)), both_ways(&x, |x| norm.forward(x)));
        let gelu = |x| {
            on_tape(x, |x| Some((x.gelu(), Back::new(move |gradient| x.gelu_back(gradient)))))
                .expect("it can")
        };
        assert_same(both_ways(&x, gelu), both_ways(&x, burn::tensor::activation::gelu));
        let off = on_tape(x, |x| Some((x.gelu(), Back::new(move |gradient| x.gelu_back(gradient)))));
        assert!(off.is_err(), "what is on no tape is given back");
    }
}
