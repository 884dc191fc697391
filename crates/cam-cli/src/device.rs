//! Where to compute.

use crate::failure::Failure;
use burn::tensor::Device;

/// Where a command computes.
#[derive(clap::Args)]
pub struct Place {
    /// Where to compute: auto, cpu
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// The devices of this build: the name on the command line, and what it is.
pub const DEVICES: &[(&str, &str)] = &[("cpu", "this machine's processor (Burn's flex backend)")];

/// The device of this name, and the name that it has in reports.
pub fn named(asked: &str) -> Result<(Device, &'static str), Failure> {
    match asked {
        "auto" | "cpu" => Ok((Device::flex(), "cpu")),
        _ => Err(Failure::Device {
            asked: asked.into(),
            known: DEVICES.iter().map(|(name, _)| *name).chain(["auto"]).collect::<Vec<_>>().join(", "),
        }),
    }
}
