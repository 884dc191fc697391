//! Layers by their parameters, computed together with what follows them: what a graph of operators is lowered to.
//!
//! Each takes plain tensors and tensors on a tape, and gives them back where the kernels cannot take them: on another device, in another
//! precision.

use super::in_place::InPlace;
use super::layers::packed_matrix;
use super::{Activation, Back, HostTensor, Windows, in_memory, on_tape, pictures_at_once, tokens_at_once};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use cam_kernels::Window;
use std::sync::Arc;

/// A convolution of fixed parameters, plus a residual, through a ReLU.
#[derive(Debug)]
pub struct FusedConv {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    /// The parameters, where they are in main memory in single precision.
    host: Option<(FlexTensor, Option<FlexTensor>)>,
    window: Window,
    groups: usize,
}

impl FusedConv {
    /// A convolution.
    ///
    /// # Shapes
    /// - weight: `[to, from / groups, height, width]`, bias: `[to]`
    pub fn new(weight: Tensor<4>, bias: Option<Tensor<1>>, window: Window, groups: usize) -> Self {
        let host_bias = bias.clone().map(in_memory).transpose();
        let host = in_memory(weight.clone()).ok().zip(host_bias.ok());
        Self { weight, bias, host, window, groups }
    }

    /// The convolution of images, plus a residual, through a ReLU if there is one.
    ///
    /// On a tape, on another device and in another precision it is computed by Burn's operations.
    ///
    /// # Shapes
    /// - x: `[batch, from, height, width]`, residual and output: `[batch, to, rows, columns]`
    pub fn forward(&self, x: Tensor<4>, residual: Option<Tensor<4>>, activation: Activation) -> Tensor<4> {
        let by_kernels = match (&self.host, &residual) {
            (None, _) => Err(x),
            (Some(host), None) => pictures_at_once(x, |x| Some(self.on(host, x, None, activation))),
            (Some(host), Some(residual)) => match HostTensor::pictures(residual.clone()) {
                Ok(residual) => pictures_at_once(x, |x| Some(self.on(host, x, Some(&residual), activation))),
                Err(_) => Err(x),
            },
        };
        by_kernels.unwrap_or_else(|x| {
            let Window { stride, padding, dilation } = self.window;
            let options = ConvOptions::new(stride, padding, dilation, self.groups);
            let y = conv2d(x, self.weight.clone(), self.bias.clone(), options);
            let y = residual.map_or_else(|| y.clone(), |residual| y.clone() + residual);
            if activation == Activation::Relu { relu(y) } else { y }
        })
    }

    fn on(
        &self,
        (weight, bias): &(FlexTensor, Option<FlexTensor>),
        x: &HostTensor,
        residual: Option<&HostTensor>,
        activation: Activation,
    ) -> HostTensor {
        x.convolved((weight, bias.as_ref()), self.window, self.groups, residual, activation)
    }
}

/// A linear layer of fixed parameters, through a GELU or plus a residual.
#[derive(Debug)]
pub struct FusedLinear {
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    in_place: Option<InPlace>,
}

impl FusedLinear {
    /// A linear layer; `None` where its parameters are not in main memory in single precision.
    ///
    /// # Shapes
    /// - weight: `[from, to]`, bias: `[to]`
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Option<Self> {
        let bias = match bias {
            Some(bias) => Some(in_memory(bias).ok()?),
            None => None,
        };
        let weight = in_memory(weight).ok()?;
        (weight.layout().num_elements() > 0).then_some(Self { weight, bias, in_place: None })
    }

    /// The same layer, its weights read where they lie and not packed, which suits large ones and few rows. It stays as it is where the
    /// weights of an output do not lie side by side ([`lying_by_outputs`](super::lying_by_outputs)).
    pub fn in_place(self) -> Self {
        let in_place = InPlace::new(self.weight.clone(), self.bias.clone());
        Self { in_place, ..self }
    }

    /// The layer of rows of features; they are given back where the kernels cannot take them.
    ///
    /// # Shapes
    /// - x: `[rows, from]`, residual and output: `[rows, to]`
    pub fn forward(
        &self,
        x: Tensor<2>,
        residual: Option<Tensor<2>>,
        activation: Activation,
    ) -> Result<Tensor<2>, (Tensor<2>, Option<Tensor<2>>)> {
        if let Some(layer) = &self.in_place {
            let y = match layer.through(x) {
                Ok(y) => y,
                Err(x) => return Err((x, residual)),
            };
            let y = residual.map_or_else(|| y.clone(), |residual| y.clone() + residual);
            return Ok(match activation {
                Activation::Gelu => gelu(y).unwrap_or_else(burn::tensor::activation::gelu),
                _ => y,
            });
        }
        let layer = packed_matrix(self.weight.clone(), self.bias.clone(), false);
        if let Some(residual) = residual {
            let done = tokens_at_once([x, residual], |[x, residual]| {
                Some(x.through(&layer, Some(residual), activation))
            });
            return done.or_else(|[x, residual]| match self.taped(x) {
                Ok(y) => Ok(y + residual),
                Err(x) => Err((x, Some(residual))),
            });
        }
        let done = tokens_at_once([x], |[x]| Some(x.through(&layer, None, activation)));
        done.or_else(|[x]| match activation {
            Activation::Gelu => self.taped(x).map(|y| gelu(y).unwrap_or_else(burn::tensor::activation::gelu)),
            _ => self.taped(x),
        })
        .map_err(|x| (x, None))
    }

    /// The layer on a tape.
    fn taped(&self, x: Tensor<2>) -> Result<Tensor<2>, Tensor<2>> {
        on_tape(x, |x| {
            let forward = packed_matrix(self.weight.clone(), self.bias.clone(), false);
            let back = packed_matrix(self.weight.clone(), None, true);
            let y = x.through(&forward, None, Activation::None);
            Some((y, Back::new(move |gradient| gradient.back_through(&back))))
        })
    }
}

/// The norm of each token over its channels, of fixed parameters.
#[derive(Debug)]
pub struct FusedNorm {
    gamma: FlexTensor,
    beta: FlexTensor,
    epsilon: f64,
}

impl FusedNorm {
    /// A norm; `None` where its parameters are not in main memory in single precision.
    ///
    /// # Shapes
    /// - gamma, beta: `[channels]`
    pub fn new(gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Option<Self> {
        Some(Self { gamma: in_memory(gamma).ok()?, beta: in_memory(beta).ok()?, epsilon })
    }

    /// The norm of tokens, which are given back where the kernels cannot take them.
    ///
    /// # Shapes
    /// - x and output: `[.., channels]`, of two to four axes
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
        tokens_at_once([x], |[x]| Some(x.normed(&self.gamma, &self.beta, self.epsilon))).or_else(|[x]| {
            let (gamma, epsilon) = (self.gamma.clone(), self.epsilon);
            on_tape(x, |x| {
                let y = x.normed(&self.gamma, &self.beta, epsilon);
                Some((y, Back::new(move |gradient| x.layer_norm_back(&gamma, epsilon, gradient))))
            })
        })
    }
}

/// The GELU of values on a tape or not, with its exact gradient; they are given back where the kernels cannot take them.
///
/// # Shapes
/// - x and output: of two to four axes
pub fn gelu<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
    tokens_at_once([x], |[x]| Some(x.gelu()))
        .or_else(|[x]| on_tape(x, |x| Some((x.gelu(), Back::new(move |gradient| x.gelu_back(gradient))))))
}

/// Attention within windows of tokens.
#[derive(Debug, Clone)]
pub struct FusedAttention {
    /// Heads, among which the channels are shared out.
    pub heads: usize,
    /// The tokens of each window, counted within an image. All windows have as many.
    pub members: Arc<Vec<Vec<usize>>>,
    /// What is added to the fit of a query and a key: `[windows, heads, window tokens, window tokens]`, or the same for all windows.
    pub bias: Option<Arc<Vec<f32>>>,
}

impl FusedAttention {
    /// Attention of queries, keys and values, which lie side by side; a tensor that the kernels cannot take is given back.
    ///
    /// # Shapes
    /// - qkv: `[batch, tokens, 3 * heads * size]`, queries before keys before values
    /// - output: `[batch, tokens, heads * size]`
    pub fn forward(&self, qkv: Tensor<3>) -> Result<Tensor<3>, Tensor<3>> {
        let windows =
            || Windows { heads: self.heads, members: self.members.to_vec(), bias: self.bias.clone() };
        tokens_at_once([qkv], |[qkv]| Some(qkv.attend(&windows()))).or_else(|[qkv]| {
            on_tape(qkv, |qkv| {
                let windows = windows();
                let y = qkv.attend(&windows);
                Some((y, Back::new(move |gradient| qkv.attend_back(&windows, gradient))))
            })
        })
    }
}

/// Attention of the first tokens to all, from what queries, keys and values are made of, without building keys and values: a query
/// goes through the weights of the keys to the tokens themselves, and what it takes of them through the weights of the values,
///
/// $$ Q K^\top = (Q W_K^\top)\, X^\top + \text{const}, \qquad P V = (P X)\, W_V + b_V $$
///
/// The constant, of the keys' bias, is the same for all keys of a query, and a softmax does not see it. It is computed by Burn's
/// operations, on a tape or not.
///
/// # Shapes
/// - x: `[batch, tokens, width]`
/// - weight: `[width, 3 * width]` and bias `[3 * width]`, of queries before keys before values
/// - output: `[batch, first, width]`
pub fn attention_of_first(
    x: Tensor<3>,
    first: usize,
    heads: usize,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> Tensor<3> {
    let [batch, _, width] = x.dims();
    let size = width / heads;
    let weight = weight.clone().reshape([width, 3 * heads, size]).swap_dims(0, 1);
    let [w_q, w_k, w_v] = [0, 1, 2].map(|part| weight.clone().narrow(0, part * heads, heads));
    let biased = |x: Tensor<3>, part: usize| match bias {
        Some(bias) => x + bias.clone().reshape([3 * heads, 1, size]).narrow(0, part * heads, heads),
        None => x,
    };
    // A matrix of weights serves a head, one of tokens an image: what is grouped by one is grouped by the other.
    let regroup = |x: Tensor<3>, [from, to]: [usize; 2]| {
        let [_, _, channels] = x.dims();
        x.reshape([from, to, first, channels]).swap_dims(0, 1).reshape([to, from * first, channels])
    };
    let (by_images, by_heads) = ([heads, batch], [batch, heads]);
    let asking = x.clone().narrow(1, 0, first).reshape([1, batch * first, width]);
    let q = biased(asking.matmul(w_q), 0) * (size as f64).powf(-0.5);
    let fits = regroup(q.matmul(w_k.swap_dims(1, 2)), by_images).matmul(x.clone().swap_dims(1, 2));
    let taken = regroup(softmax(fits, 2).matmul(x), by_heads);
    let seen = regroup(biased(taken.matmul(w_v), 2), by_images).reshape([batch, heads, first, size]);
    seen.swap_dims(1, 2).reshape([batch, first, width])
}

/// The largest value of each channel in windows; images that the kernels cannot take are given back.
///
/// # Shapes
/// - x: `[batch, channels, height, width]`, output: `[batch, channels, rows, columns]`
pub fn max_pool(x: Tensor<4>, size: [usize; 2], window: Window) -> Result<Tensor<4>, Tensor<4>> {
    pictures_at_once(x, |x| Some(x.pooled(size, window)))
}
