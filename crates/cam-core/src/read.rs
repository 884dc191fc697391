//! The way from the device to the host: whatever is read goes through here, as many tensors at once as are to be had.
//!
//! A device that computes in the background is waited for at each read, so a call reads once, at its end. What has to be looked
//! at before then (whether the model is in inference, whether a layer is linear) is kept as a [`Checks`] and judged with it.

use crate::Error;
use burn::Tensor;
use burn::tensor::kind::Transaction as Kind;
use burn::tensor::{TensorData, Transaction};
use std::cell::Cell;

thread_local! {
    static READ_BACKS: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread has asked a device for numbers; tests hold methods to it.
#[doc(hidden)]
pub fn read_backs() -> usize {
    READ_BACKS.get()
}

/// Tensors that are read together: the device is waited for once.
#[derive(Default)]
pub(crate) struct Reading(Transaction);

impl Reading {
    pub fn add<const D: usize, K: Kind>(self, tensor: Tensor<D, K>) -> Self {
        Self(self.0.register(tensor))
    }

    /// The tensors in the order in which they were added.
    pub fn now(self) -> Result<std::vec::IntoIter<TensorData>, Error> {
        READ_BACKS.set(READ_BACKS.get() + 1);
        Ok(self.0.try_execute()?.into_iter())
    }

    /// As [`now`](Self::now), without blocking.
    pub async fn later(self) -> Result<std::vec::IntoIter<TensorData>, Error> {
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
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    floats(&mut Reading::default().add(tensor).now()?)
}

/// As [`numbers`], without blocking.
pub(crate) async fn numbers_async<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    floats(&mut Reading::default().add(tensor).later().await?)
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
    pub fn settle(self) -> Result<(), Error> {
        match self.reading() {
            (None, _) => Ok(()),
            (Some(reading), judges) => judge(judges, reading.now()?),
        }
    }

    /// As [`settle`](Self::settle), without blocking.
    pub async fn settle_async(self) -> Result<(), Error> {
        match self.reading() {
            (None, _) => Ok(()),
            (Some(reading), judges) => judge(judges, reading.later().await?),
        }
    }

    fn reading(self) -> (Option<Reading>, Vec<Judge>) {
        let (tensors, judges): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        let add = |reading: Option<Reading>, tensor| Some(reading.unwrap_or_default().add(tensor));
        (tensors.into_iter().fold(None, add), judges)
    }
}

fn judge(judges: Vec<Judge>, mut read: impl Iterator<Item = TensorData>) -> Result<(), Error> {
    judges.into_iter().try_for_each(|judge| judge(&floats(&mut read)?))
}
