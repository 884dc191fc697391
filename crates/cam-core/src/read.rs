//! The way from the device to the host: whatever is read goes through here, as many tensors at once as are to be had.
//!
//! Whatever reads is written without blocking, and [`now`] is the one place that blocks: what is public in two forms is one.
//!
//! A device that computes in the background is waited for at each read, so a call reads once, at its end. What has to be looked
//! at before then (whether the model is in inference, whether a layer is linear) is kept as a [`Checks`] and judged with it.

use crate::Error;
use burn::Tensor;
use burn::tensor::kind::Transaction as Kind;
use burn::tensor::{TensorData, Transaction, try_read_sync};
use std::cell::Cell;

thread_local! {
    static READ_BACKS: Cell<usize> = const { Cell::new(0) };
    static WAITS: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has asked a device for numbers; tests hold methods to it.
#[doc(hidden)]
pub fn read_backs() -> usize {
    READ_BACKS.get()
}

/// How often this thread has blocked to wait for a device; tests hold what awaits to it.
#[doc(hidden)]
pub fn waits() -> usize {
    WAITS.get()
}

/// Waits for what reads: the crates of this project that offer both forms of a call wait by it.
///
/// # Errors
/// Its own, and [`Error::Device`] in a browser, where a device cannot be waited for.
#[doc(hidden)]
pub fn now<T, E: From<Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    WAITS.set(WAITS.get() + 1);
    let cannot = "its numbers can only be awaited here: there is a form of the call that ends in `_async`";
    try_read_sync(work).unwrap_or_else(|| Err(Error::Device { reason: cannot.into() }.into()))
}

/// Tensors that are read together: the device is waited for once.
#[derive(Default)]
pub(crate) struct Reading(Transaction);

impl Reading {
    pub fn add<const D: usize, K: Kind>(self, tensor: Tensor<D, K>) -> Self {
        Self(self.0.register(tensor))
    }

    /// The tensors in the order in which they were added.
    pub async fn read(self) -> Result<std::vec::IntoIter<TensorData>, Error> {
        READ_BACKS.set(READ_BACKS.get() + 1);
        Ok(self.0.execute_async().await?.into_iter())
    }
}

/// The numbers of the next tensor read.
pub(crate) fn floats(data: &mut impl Iterator<Item = TensorData>) -> Result<Vec<f32>, Error> {
    let data = data.next().expect("as many tensors come back as were asked for");
    let numbers = data.try_cast_as::<f32>().map_err(|e| Error::Device { reason: e.to_string() })?;
    numbers.try_into_vec().map_err(|e| Error::Device { reason: e.to_string() })
}

/// The numbers of one tensor.
pub(crate) async fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    floats(&mut Reading::default().add(tensor).read().await?)
}

/// Looks at numbers once they are read, and says what is wrong with them.
pub(crate) type Judge = Box<dyn Fn(&[f32]) -> Result<(), Error> + Send + Sync>;

/// What is still to be judged, by numbers that are on the device.
#[derive(Default)]
pub(crate) struct Checks(Vec<(Tensor<1>, Judge)>);

impl Checks {
    pub fn add(&mut self, numbers: Tensor<1>, judge: Judge) {
        self.0.push((numbers, judge));
    }

    /// Reads all of them at once and judges them in order.
    pub async fn settle(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (tensors, judges): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        let mut read = tensors.into_iter().fold(Reading::default(), Reading::add).read().await?;
        judges.into_iter().try_for_each(|judge| judge(&floats(&mut read)?))
    }
}
