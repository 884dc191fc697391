//! The processor, which every build knows, and all that a build without graphics cards knows.

use crate::Kind;
use burn::tensor::Device;

/// What a device is made of.
pub(crate) fn kind(_: &Device) -> Kind {
    Kind::Processor
}

/// The processor runs already.
pub(crate) fn probe(_: &Device) -> Result<(), String> {
    Ok(())
}

/// How the processor is named, and its memory in bytes, which is not told.
pub(crate) fn described(_: &Device) -> (String, Option<u64>) {
    ("the processor of this machine, by Burn's flex backend".into(), None)
}
