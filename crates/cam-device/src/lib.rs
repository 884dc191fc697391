//! Finds and opens the devices that Burn can compute on, by names such as `auto`, `vulkan:1` or `remote:host:3000`.
//!
//! This crate is an internal part of [`burn-cam`](https://docs.rs/burn-cam). Its API may change in any release.
//!
//! ```
//! let selection = cam_device::open("auto".parse()?)?;
//! println!("computing on {}", selection.devices[0].id);
//! let device: burn::tensor::Device = selection.devices[0].device.clone();
//! # Ok::<(), cam_device::Error>(())
//! ```
//!
//! Burn's `Device::default()` depends on what is compiled in, and panics if the driver is missing. Here a device is first found, then
//! started, and only then used.

mod candidates;
mod cpu;
#[cfg(any(feature = "cuda", test))]
mod cuda;
mod error;

#[cfg(gpu)]
mod gpu;
mod open;

#[cfg(feature = "remote")]
mod remote;
#[cfg(not(feature = "remote"))]
#[path = "remote_disabled.rs"]
mod remote;
mod spec;

pub use candidates::{Id, Kind, candidates};
pub use error::Error;
pub use open::{DeviceInfo, OpenDevice, Selection, list, open};
pub use remote::serve;
pub use spec::{Api, DeviceSpec, Index, Server};

/// The environment variable that holds the secret shared by server and clients.
pub const TOKEN: &str = "CAM_REMOTE_TOKEN";
