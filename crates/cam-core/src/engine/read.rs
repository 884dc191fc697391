//! The way from the device to the host. Everything that is read goes through here, as many tensors at once as possible.
//!
//! What reads is written without blocking, and [`block_on`] is the one place that blocks: of a call with two public forms, one waits for
//! the other.
//!
//! Each read waits for a device that computes in the background, so a call reads once, at its end. What has to be checked before
//! then (whether the model is in inference, whether a layer is linear) is kept in [`DeferredChecks`](super::checks::DeferredChecks).

use crate::{Error, testing};
use burn::Tensor;
use burn::tensor::kind::Transaction as Kind;
use burn::tensor::{TensorData, Transaction, try_read_sync};

/// Waits for a call that ends in `_async`: what the form of it without `_async` does.
///
/// ```
/// use burn::prelude::*;
/// use cam_core::{Error, block_on};
///
/// async fn sum(tensor: Tensor<1>) -> Result<f32, Error> {
///     Ok(tensor.sum().into_scalar_async().await?)
/// }
///
/// assert_eq!(block_on(sum(Tensor::ones([3], &Device::flex())))?, 3.0);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Those of the call, and [`Error::Device`] in a browser, where nothing can wait for a device.
pub fn block_on<T, E: From<Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    testing::count_blocking_wait();
    let reason = "a browser cannot wait for its device: await the form of the call that ends in `_async`";
    try_read_sync(work).unwrap_or_else(|| Err(Error::Device { reason: reason.into() }.into()))
}

/// Tensors that are read together: the device is waited for once.
#[derive(Default)]
pub(crate) struct Reading(Transaction);

impl Reading {
    pub fn add<const D: usize, K: Kind>(self, tensor: Tensor<D, K>) -> Self {
        Self(self.0.register(tensor))
    }

    /// Reads the tensors, in the order in which they were added.
    pub async fn read(self) -> Result<std::vec::IntoIter<TensorData>, Error> {
        testing::count_device_read();
        Ok(self.0.execute_async().await?.into_iter())
    }
}

/// Takes the numbers of the next tensor.
pub(crate) fn floats(data: &mut impl Iterator<Item = TensorData>) -> Result<Vec<f32>, Error> {
    let data = data.next().expect("as many tensors come back as were added");
    let numbers = data.try_cast_as::<f32>().map_err(|e| Error::Device { reason: e.to_string() })?;
    numbers.try_into_vec().map_err(|e| Error::Device { reason: e.to_string() })
}

/// Reads the numbers of one tensor.
pub(crate) async fn read_floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    floats(&mut Reading::default().add(tensor).read().await?)
}
