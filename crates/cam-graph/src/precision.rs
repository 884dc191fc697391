//! The precision that a network computes in. Maps are computed in f32 in any case.

use crate::Error;
use burn::module::{ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use std::fmt;
use std::str::FromStr;

/// The type of the numbers of a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits of mantissa.
    #[default]
    F32,
    /// 11 bits of mantissa, numbers up to 65504: twice as fast on many GPUs.
    F16,
    /// 8 bits of mantissa, the range of f32.
    Bf16,
}

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Returns the type of its numbers.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }

    /// Makes sure that a device computes in this precision.
    ///
    /// # Errors
    /// [`Error::Precision`].
    pub fn check(self, device: &Device) -> Result<(), Error> {
        match device.supports_dtype(self.dtype()) {
            true => Ok(()),
            false => Err(Error::Precision { precision: self.name() }),
        }
    }
}

impl ModuleMapper for Precision {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|tensor| tensor.cast(self.dtype()))
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| format!("one of {known}"))
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
