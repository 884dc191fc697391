//! GPUs: their kinds, names and memory as Burn's runtimes report them, and how they are started.

use crate::{Kind, cpu};
use burn::backend::{CubeDevice, DispatchDevice};
use burn::tensor::Device;

/// Returns the kind of a device.
pub(crate) fn kind(device: &Device) -> Kind {
    match device.as_dispatch() {
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(CubeDevice::Wgpu(device)) => {
            use burn::backend::WgpuDeviceKind as Wgpu;
            match device.kind {
                Wgpu::DiscreteGpu(_) => Kind::Discrete,
                Wgpu::IntegratedGpu(_) => Kind::Integrated,
                Wgpu::VirtualGpu(_) => Kind::Virtual,
                Wgpu::Cpu => Kind::Software,
                Wgpu::DefaultDevice | Wgpu::Existing(_) | Wgpu::Other(_) => Kind::Unknown,
            }
        }
        #[cfg(feature = "cuda")]
        DispatchDevice::Cube(CubeDevice::Cuda(_)) => Kind::Discrete,
        _ => cpu::kind(device),
    }
}

/// Mesa's llvmpipe claims to support Burn's SPIR-V, and version 22.3 crashes in its matrix products. It supports WGSL.
#[cfg(vulkan)]
const SOFTWARE_SPIRV: &str = "a software driver, which SPIR-V kernels can crash; a build with `--features wgpu` and \
                              without `vulkan` can use it, but the CPU is faster";

/// Starts the runtime of a device, which may fail. Afterwards the device can be used without a panic.
pub(crate) fn probe(device: &Device) -> Result<(), String> {
    match device.as_dispatch() {
        #[cfg(vulkan)]
        DispatchDevice::Cube(CubeDevice::Wgpu(_)) if kind(device) == Kind::Software => {
            Err(SOFTWARE_SPIRV.into())
        }
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(CubeDevice::Wgpu(device)) => {
            use burn::backend::wgpu::{RuntimeOptions, graphics::AutoGraphicsApi, try_init_setup};
            try_init_setup::<AutoGraphicsApi>(device, RuntimeOptions::default())
                .map(drop)
                .map_err(|error| error.to_string())
        }
        #[cfg(feature = "cuda")]
        DispatchDevice::Cube(CubeDevice::Cuda(device)) => crate::cuda::probe(device.index),
        _ => cpu::probe(device),
    }
}

/// Returns the name and the memory in bytes of a started device. WebGPU does not report the memory of a GPU; a software device has that
/// of the machine.
pub(crate) fn describe(device: &Device) -> (String, Option<u64>) {
    match device.as_dispatch() {
        DispatchDevice::Cube(gpu) => {
            let client = gpu.client();
            let properties = client.properties();
            let memory = match kind(device) {
                Kind::Software => cpu::memory(),
                _ => properties.memory.max_memory(),
            };
            (properties.identity.name.clone(), memory)
        }
        _ => cpu::describe(device),
    }
}
