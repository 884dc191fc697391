//! Where to compute.

use crate::failure::Failure;
use burn::tensor::Device;
use cam_device::{Opened, Taken};

/// The device asked for, and the name that it has in reports. What `auto` passed over is told in one line.
pub fn named(asked: &str) -> Result<(Device, String), Failure> {
    let Taken { mut devices, passed_over } = cam_device::open(asked.parse()?)?;
    let Opened { device, id, .. } = devices.swap_remove(0);
    if !passed_over.is_empty() {
        eprintln!("cam: {}; computing on {id}", passed_over.join("; "));
    }
    Ok((device, id.to_string()))
}

/// A list of devices for people.
pub fn list() {
    let rows: Vec<[String; 4]> = cam_device::list()
        .into_iter()
        .map(|listed| {
            let (about, memory) = match listed.opened {
                Ok(opened) => (opened.name, opened.memory.map(gigabytes).unwrap_or_default()),
                Err(error) => (error.to_string(), String::new()),
            };
            [listed.id.to_string(), listed.id.kind.name().into(), memory, about]
        })
        .collect();
    let widths = [0, 1, 2].map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    for [name, kind, memory, about] in &rows {
        let [names, kinds, memories] = widths;
        println!("{name:names$}  {kind:kinds$}  {memory:>memories$}  {about}");
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
