//! Where to compute.

use crate::console::Console;
use crate::failure::Failure;
use burn::tensor::Device;
use cam_device::{OpenDevice, Selection};

/// Where a command computes.
#[derive(clap::Args)]
pub struct Place {
    /// Where to compute: `auto` takes the best device that works; see `cam devices`. `remote:HOST:PORT` is that of a machine where
    /// `cam serve` runs. `cam explain` spreads pictures over several: `cuda:all`, or names with commas between
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub device: String,
}

/// A device and the name that it has in reports.
pub struct Named {
    pub device: Device,
    pub name: String,
}

/// The devices asked for, started. What `auto` passed over is told in one line.
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

/// The devices asked for, and their names.
pub fn all(asked: &str, console: &Console) -> Result<Vec<Named>, Failure> {
    let named = |OpenDevice { device, spec, .. }: OpenDevice| Named { device, name: spec };
    Ok(opened(asked, console)?.into_iter().map(named).collect())
}

/// How devices are named together.
pub fn names(devices: &[Named]) -> String {
    devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The one device asked for, and the name that it has in reports.
pub fn named(asked: &str, console: &Console) -> Result<(Device, String), Failure> {
    let mut all = all(asked, console)?;
    match (all.pop(), all.is_empty()) {
        (Some(Named { device, name }), true) => Ok((device, name)),
        _ => Err(Failure::Usage(format!(
            "`--device {asked}` means several: only `cam explain` spreads its pictures"
        ))),
    }
}

/// A list of devices for people.
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
