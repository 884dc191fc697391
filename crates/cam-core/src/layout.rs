//! How the axes of a layer's output are ordered, and the one form that methods compute on.
//!
//! A method does not depend on whether a layer has its channels first, its channels last or tokens, nor on whether space has one
//! axis or three. Every layout turns its tensor into the *map form* `[batch, channels, positions]` and back; the sizes
//! of the spatial axes are the *grid* (`[height, width]` for images).

use burn::Tensor;

/// The layout of a tensor of rank `D`.
///
/// Your own layout is an implementation of this trait; the wrong rank does not compile:
///
/// ```compile_fail
/// use cam_core::{Layout, Nchw};
/// fn of_rank_three(_: impl Layout<3>) {}
/// of_rank_three(Nchw);
/// ```
pub trait Layout<const D: usize>: Clone + 'static {
    /// Returns the sizes of the spatial axes of a tensor of this shape, or why it does not fit.
    ///
    /// # Errors
    /// Why the shape does not fit the layout.
    fn grid(&self, shape: [usize; D]) -> Result<Vec<usize>, String>;

    /// Returns the number of channels of a tensor of this shape.
    fn channels(&self, shape: [usize; D]) -> usize;

    /// Brings the tensor into the map form.
    ///
    /// # Shapes
    /// - output: `[batch, channels, positions]`, the positions in row-major order of the grid
    fn to_map(&self, tensor: Tensor<D>) -> Tensor<3>;

    /// Replaces the map form of the tensor; what is not part of the map (class tokens) stays.
    ///
    /// # Shapes
    /// - map: `[batch, channels, positions]`
    fn put_back(&self, tensor: Tensor<D>, map: Tensor<3>) -> Tensor<D>;

    /// Replaces every position by the mean over all positions.
    fn averaged(&self, tensor: Tensor<D>) -> Tensor<D> {
        let map = self.to_map(tensor.clone());
        let shape = map.dims();
        self.put_back(tensor, map.mean_dim(2).expand(shape))
    }

    /// Reports whether the positions are tokens of a transformer, of which some may have outlying norms.
    fn has_tokens(&self) -> bool {
        false
    }

    /// Returns the tensor, if it is a matrix of attention weights `[batch, heads, queries, keys]`.
    fn attention(&self, _tensor: &Tensor<D>) -> Option<Tensor<4>> {
        None
    }
}

macro_rules! channels_first {
    ($(#[$doc:meta])* $name:ident, $rank:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $name;

        impl Layout<$rank> for $name {
            fn grid(&self, shape: [usize; $rank]) -> Result<Vec<usize>, String> {
                Ok(shape[2..].to_vec())
            }

            fn channels(&self, shape: [usize; $rank]) -> usize {
                shape[1]
            }

            fn to_map(&self, tensor: Tensor<$rank>) -> Tensor<3> {
                let shape = tensor.dims();
                tensor.reshape([shape[0], shape[1], shape[2..].iter().product()])
            }

            fn put_back(&self, tensor: Tensor<$rank>, map: Tensor<3>) -> Tensor<$rank> {
                map.reshape(tensor.dims())
            }
        }
    };
}

channels_first!(
    /// Signals with the channels first: `[batch, channels, length]`.
    Ncl,
    3
);
channels_first!(
    /// Images with the channels first, as in convolutions: `[batch, channels, height, width]`.
    Nchw,
    4
);
channels_first!(
    /// Volumes with the channels first: `[batch, channels, depth, height, width]`.
    Ncdhw,
    5
);

/// Images with the channels last, as in Swin: `[batch, height, width, channels]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nhwc;

impl Layout<4> for Nhwc {
    fn grid(&self, shape: [usize; 4]) -> Result<Vec<usize>, String> {
        Ok(shape[1..3].to_vec())
    }

    fn channels(&self, shape: [usize; 4]) -> usize {
        shape[3]
    }

    fn to_map(&self, tensor: Tensor<4>) -> Tensor<3> {
        let [batch, height, width, channels] = tensor.dims();
        tensor.reshape([batch, height * width, channels]).swap_dims(1, 2)
    }

    fn put_back(&self, tensor: Tensor<4>, map: Tensor<3>) -> Tensor<4> {
        map.swap_dims(1, 2).reshape(tensor.dims())
    }
}

/// The tokens of a vision transformer: `[batch, prefix + height * width, channels]`.
///
/// The grid comes from the patch embedding of the same forward pass, never from the square root of the token count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// The number of tokens before the patches: 1 for a class token, 2 with distillation, more with registers.
    pub prefix: usize,
    /// The number of rows of patches.
    pub height: usize,
    /// The number of patches in a row.
    pub width: usize,
}

impl Layout<3> for Tokens {
    fn grid(&self, shape: [usize; 3]) -> Result<Vec<usize>, String> {
        let Self { prefix, height, width } = *self;
        if shape[1] == prefix + height * width {
            Ok(vec![height, width])
        } else {
            Err(format!("it has {} tokens, and its layout has {prefix} + {height} x {width}", shape[1]))
        }
    }

    fn channels(&self, shape: [usize; 3]) -> usize {
        shape[2]
    }

    fn to_map(&self, tensor: Tensor<3>) -> Tensor<3> {
        tensor.narrow(1, self.prefix, self.height * self.width).swap_dims(1, 2)
    }

    fn put_back(&self, tensor: Tensor<3>, map: Tensor<3>) -> Tensor<3> {
        let patches = map.swap_dims(1, 2);
        match self.prefix {
            0 => patches,
            prefix => Tensor::cat(vec![tensor.narrow(1, 0, prefix), patches], 1),
        }
    }

    fn has_tokens(&self) -> bool {
        true
    }

    /// Averages the tokens before the patches with the others.
    fn averaged(&self, tensor: Tensor<3>) -> Tensor<3> {
        let shape = tensor.dims();
        tensor.mean_dim(1).expand(shape)
    }
}

/// The attention weights between the tokens of a vision transformer, after the softmax:
/// `[batch, heads, prefix + height * width, prefix + height * width]`, queries before keys.
///
/// Its map form has a channel for each head and query, and the keys that are patches as positions: what each query attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention(
    /// The tokens that attend to each other.
    pub Tokens,
);

impl Layout<4> for Attention {
    fn grid(&self, shape: [usize; 4]) -> Result<Vec<usize>, String> {
        let [batch, heads, queries, keys] = shape;
        if queries != keys {
            return Err(format!("it has {queries} queries and {keys} keys, which should be as many"));
        }
        self.0.grid([batch, keys, heads])
    }

    fn channels(&self, shape: [usize; 4]) -> usize {
        shape[1] * shape[2]
    }

    fn to_map(&self, tensor: Tensor<4>) -> Tensor<3> {
        let [batch, heads, queries, _] = tensor.dims();
        let patches = self.0.height * self.0.width;
        tensor.narrow(3, self.0.prefix, patches).reshape([batch, heads * queries, patches])
    }

    fn put_back(&self, tensor: Tensor<4>, map: Tensor<3>) -> Tensor<4> {
        let [batch, heads, queries, _] = tensor.dims();
        let patches = map.reshape([batch, heads, queries, self.0.height * self.0.width]);
        match self.0.prefix {
            0 => patches,
            prefix => Tensor::cat(vec![tensor.narrow(3, 0, prefix), patches], 3),
        }
    }

    fn attention(&self, tensor: &Tensor<4>) -> Option<Tensor<4>> {
        Some(tensor.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
    }

    fn comes_back<const D: usize>(layout: impl Layout<D>, shape: [usize; D], grid: &[usize]) {
        let tensor = random(shape);
        assert_eq!(layout.grid(shape).unwrap(), grid);
        let map = layout.to_map(tensor.clone());
        assert_eq!(map.dims()[2], grid.iter().product::<usize>());
        let back = layout.put_back(tensor.clone(), map);
        back.into_data().assert_eq(&tensor.into_data(), true);
    }

    #[test]
    fn the_map_form_comes_back_as_it_was() {
        comes_back(Ncl, [2, 3, 5], &[5]);
        comes_back(Nchw, [2, 3, 4, 5], &[4, 5]);
        comes_back(Ncdhw, [2, 3, 4, 5, 2], &[4, 5, 2]);
        comes_back(Nhwc, [2, 4, 5, 3], &[4, 5]);
        comes_back(Tokens { prefix: 0, height: 2, width: 3 }, [2, 6, 4], &[2, 3]);
        comes_back(Tokens { prefix: 5, height: 2, width: 3 }, [2, 11, 4], &[2, 3]);
        comes_back(Attention(Tokens { prefix: 2, height: 2, width: 3 }), [2, 3, 8, 8], &[2, 3]);
    }

    #[test]
    fn channels_first_and_last_have_one_map_form() {
        let first = random([2, 3, 4, 5]);
        let last = first.clone().permute([0, 2, 3, 1]);
        Nchw.to_map(first).into_data().assert_eq(&Nhwc.to_map(last).into_data(), true);
    }

    #[test]
    fn a_grid_that_does_not_fit_the_tokens_is_an_error() {
        let error = Tokens { prefix: 1, height: 2, width: 2 }.grid([1, 7, 3]).unwrap_err();
        assert_eq!(error, "it has 7 tokens, and its layout has 1 + 2 x 2");
    }
}
