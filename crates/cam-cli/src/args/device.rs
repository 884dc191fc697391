//! Where to compute.

use crate::report::console::Console;
use crate::report::failure::Failure;
use burn_cam::Device;
use cam_device::{OpenDevice, Selection};

/// Where a command computes.
#[derive(clap::Args)]
#[command(next_help_heading = "Model")]
pub struct DeviceArgs {
    /// Where to compute: see `cam devices`
    ///
    /// `auto` takes the best device that works. `remote:HOST:PORT` is the device of a machine on which `cam serve` runs. `cam explain`
    /// spreads images over several: `cuda:all`, or names separated by commas.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub device: String,
}

/// A device and its name in reports.
pub struct NamedDevice {
    pub device: Device,
    pub name: String,
}

/// Opens the devices that are asked for. What `auto` passed over is reported in one line.
pub fn opened(asked: &str, console: &Console) -> Result<Vec<OpenDevice>, Failure> {
    let mut all = Vec::new();
    for word in asked.split(',') {
        let Selection { devices, skipped } = cam_device::open(word.trim().parse()?)?;
        if !skipped.is_empty() {
            console.warn(format_args!("{}; computing on {}", skipped.join("; "), devices[0].spec));
        }
        all.extend(devices);
    }
    Ok(all)
}

/// Opens the devices that are asked for, and returns their names.
pub fn all(asked: &str, console: &Console) -> Result<Vec<NamedDevice>, Failure> {
    let named = |OpenDevice { device, spec, .. }: OpenDevice| NamedDevice { device, name: spec };
    Ok(opened(asked, console)?.into_iter().map(named).collect())
}

/// Returns the names of devices in one line.
pub fn names(devices: &[NamedDevice]) -> String {
    devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Opens the one device that is asked for, and returns its name in reports.
pub fn named(asked: &str, console: &Console) -> Result<(Device, String), Failure> {
    let mut all = all(asked, console)?;
    match (all.pop(), all.is_empty()) {
        (Some(NamedDevice { device, name }), true) => Ok((device, name)),
        _ => Err(Failure::Usage(format!(
            "`--device {asked}` names several devices: only `cam explain` spreads its images"
        ))),
    }
}

/// Prints the devices of this build.
pub fn list(console: &Console) -> Result<(), Failure> {
    let rows: Vec<[String; 4]> = cam_device::list()
        .into_iter()
        .map(|listed| {
            let (about, memory) = match listed.opened {
                Ok(opened) => (opened.name, opened.memory.map_or("unknown".into(), gigabytes)),
                Err(error) => (error.to_string(), "unknown".into()),
            };
            [listed.id.to_string(), listed.id.kind.name().into(), memory, about]
        })
        .collect();
    let widths = [0, 1, 2].map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    for [name, kind, memory, about] in &rows {
        let [names, kinds, memories] = widths;
        console.print(format_args!("{name:names$}  {kind:kinds$}  {memory:>memories$}  {about}"))?;
    }
    Ok(())
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
