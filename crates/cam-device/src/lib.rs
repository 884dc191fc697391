//! The devices of a machine that Burn can compute on, and which of them a word on the command line means.
//!
//! ```
//! let taken = cam_device::open("auto".parse()?)?;
//! println!("computing on {}", taken.devices[0].id);
//! let device: burn::tensor::Device = taken.devices[0].device.clone();
//! # Ok::<(), cam_device::Error>(())
//! ```
//!
//! Burn's own `Device::default()` goes by what is compiled in, and panics where the driver is missing. Here a device is asked
//! for first: found, then started, and only then used.

mod choice;
#[cfg(any(feature = "cuda", test))]
mod cuda;
mod error;
mod found;
#[cfg(gpu)]
mod gpu;
mod processor;
#[cfg(feature = "remote")]
mod remote;
#[cfg(not(feature = "remote"))]
#[path = "not_remote.rs"]
mod remote;
mod wanted;

pub use choice::{Id, Kind, candidates};
pub use error::Error;
pub use found::{Listed, Opened, Taken, list, open};
pub use remote::serve;
pub use wanted::{Api, Server, Wanted, Which};

/// The variable of the environment that holds the word by which server and client know each other.
pub const TOKEN: &str = "CAM_REMOTE_TOKEN";
