//! Attention in windows of tokens.

use super::{HostTensor, memory};
use cam_kernels::Attention;
use std::sync::Arc;

/// Which tokens attend to which.
#[derive(Debug)]
pub struct Windows {
    /// Heads, among which the channels are shared out.
    pub heads: usize,
    /// The tokens of each window, counted within an image.
    pub members: Vec<Vec<usize>>,
    /// What is added to the fit of a query and a key.
    pub bias: Option<Arc<Vec<f32>>>,
}

impl Windows {
    /// Attention in them, of queries, keys and values.
    fn of(&self, qkv: &HostTensor) -> Attention<'_> {
        let [_, height, width, channels] = qkv.shape;
        Attention {
            heads: self.heads,
            size: channels / 3 / self.heads,
            tokens: height * width,
            windows: &self.members,
            bias: self.bias.as_ref().map(|bias| bias.as_slice()),
        }
    }
}

impl HostTensor {
    /// Attention in windows, of queries, keys and values `[.., 3 * heads * size]`.
    pub fn attend(&self, windows: &Windows) -> HostTensor {
        let [batch, height, width, channels] = self.shape;
        let out = memory::take(batch * height * width * channels / 3);
        let out = windows.of(self).forward(&self.channels_last(), out);
        HostTensor::new(out, [batch, height, width, channels / 3])
    }

    /// The gradient at queries, keys and values of that at what [`attend`](Self::attend) makes of them.
    pub fn attend_back(&self, windows: &Windows, gradient: &HostTensor) -> HostTensor {
        let qkv = self.channels_last();
        let out = windows.of(self).backward(&qkv, &gradient.channels_last(), memory::take(qkv.len()));
        HostTensor::new(out, self.shape)
    }
}
