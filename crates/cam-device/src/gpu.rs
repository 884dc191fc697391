//! What Burn's runtimes say of a device, and how it is started.

use crate::{Kind, processor};
use burn::backend::{CubeDevice, DispatchDevice};
use burn::tensor::Device;

/// What a device is made of.
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
                Wgpu::DefaultDevice | Wgpu::Existing(_) | Wgpu::Other(_) => Kind::Unsaid,
            }
        }
        #[cfg(feature = "cuda")]
        DispatchDevice::Cube(CubeDevice::Cuda(_)) => Kind::Discrete,
        _ => processor::kind(device),
    }
}

/// Mesa's llvmpipe says that it takes Burn's SPIR-V, and 22.3 crashes in its matrix products; it takes WGSL.
#[cfg(vulkan)]
const SOFTWARE_SPIRV: &str = "a software driver, which SPIR-V kernels can crash; a build with `--features wgpu` \
                              and no `vulkan` can use it, and the processor is faster";

/// Starts what is under a device, where that can fail: afterwards it can be used without a panic.
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
        _ => processor::probe(device),
    }
}

/// How a started device names itself, and its memory in bytes: WebGPU does not tell a card's, and what is made of software has the machine's.
pub(crate) fn described(device: &Device) -> (String, Option<u64>) {
    match device.as_dispatch() {
        DispatchDevice::Cube(card) => {
            let client = card.client();
            let properties = client.properties();
            let memory = match kind(device) {
                Kind::Software => processor::memory(),
                _ => properties.memory.max_memory(),
            };
            (properties.identity.name.clone(), memory)
        }
        _ => processor::described(device),
    }
}
