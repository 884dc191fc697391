//! The processor, which every build knows, and all that a build without graphics cards knows.

use crate::Kind;
use burn::tensor::Device;
use sysinfo::{CpuRefreshKind, System};

/// What a device is made of.
pub(crate) fn kind(_: &Device) -> Kind {
    Kind::Processor
}

/// The processor runs already.
pub(crate) fn probe(_: &Device) -> Result<(), String> {
    Ok(())
}

/// How the processor is named, and the memory of the machine in bytes.
pub(crate) fn described(_: &Device) -> (String, Option<u64>) {
    let mut machine = System::new();
    machine.refresh_cpu_list(CpuRefreshKind::nothing());
    let name = machine.cpus().first().map_or("", |core| core.brand().trim());
    let name = if name.is_empty() { "the processor of this machine" } else { name };
    (format!("{name}, by Burn's flex backend"), memory())
}

/// The memory of the machine in bytes.
pub(crate) fn memory() -> Option<u64> {
    let mut machine = System::new();
    machine.refresh_memory();
    Some(machine.total_memory()).filter(|bytes| *bytes > 0)
}
