//! The CPU, which every build supports.

use crate::Kind;
use burn::tensor::Device;
use sysinfo::{CpuRefreshKind, System};

/// Returns the kind of a device.
pub(crate) fn kind(_: &Device) -> Kind {
    Kind::Cpu
}

/// Does nothing, as the CPU needs no start.
pub(crate) fn probe(_: &Device) -> Result<(), String> {
    Ok(())
}

/// Returns the name of the CPU and the memory of the machine in bytes.
pub(crate) fn describe(_: &Device) -> (String, Option<u64>) {
    let mut machine = System::new();
    machine.refresh_cpu_list(CpuRefreshKind::nothing());
    let name = machine.cpus().first().map_or("", |core| core.brand().trim());
    let name = if name.is_empty() { "the CPU of this machine" } else { name };
    (format!("{name}, by Burn's flex backend"), memory())
}

/// Returns the memory of the machine in bytes.
pub(crate) fn memory() -> Option<u64> {
    let mut machine = System::new();
    machine.refresh_memory();
    Some(machine.total_memory()).filter(|bytes| *bytes > 0)
}
