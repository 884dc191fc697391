//! Checks that wait until everything is queued on the device.

use super::read::{Reading, floats};
use crate::Error;
use burn::Tensor;

/// Looks at numbers once they are read, and returns what is wrong with them.
pub(crate) type Check = Box<dyn Fn(&[f32]) -> Result<(), Error> + Send + Sync>;

/// Checks of numbers that are still on the device. They are read together at the end, so that the device is never waited for in between.
#[derive(Default)]
pub(crate) struct DeferredChecks(Vec<(Tensor<1>, Check)>);

impl DeferredChecks {
    pub fn add(&mut self, numbers: Tensor<1>, check: Check) {
        self.0.push((numbers, check));
    }

    /// Reads all numbers at once and runs the checks in order.
    pub async fn run(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (tensors, checks): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        let mut data = tensors.into_iter().fold(Reading::default(), Reading::add).read().await?;
        checks.into_iter().try_for_each(|check| check(&floats(&mut data)?))
    }
}
