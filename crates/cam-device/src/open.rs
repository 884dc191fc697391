//! Finds the devices of this machine, starts them one by one, and keeps those that have started.

#[cfg(not(gpu))]
use crate::cpu::{describe, kind, probe};
#[cfg(gpu)]
use crate::gpu::{describe, kind, probe};
use crate::{Api, DeviceSpec, Error, Id, Kind, candidates};
use burn::tensor::Device;
#[cfg(gpu)]
use burn::tensor::DeviceType;
use std::sync::{Mutex, PoisonError};

/// A started device.
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// Its identity.
    pub id: Id,
    /// The specification that opens it: `vulkan:0`, `remote:gpu1:3000`.
    pub spec: String,
    /// The name that the driver reports.
    pub name: String,
    /// The memory in bytes, if the driver reports it.
    pub memory: Option<u64>,
    /// The device.
    pub device: Device,
}

/// An entry in the list of devices.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Its identity.
    pub id: Id,
    /// The started device, or why it does not start.
    pub opened: Result<OpenDevice, Error>,
}

/// The devices that a specification selects.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The started devices: one, or with `:all` every one.
    pub devices: Vec<OpenDevice>,
    /// Why preferred devices were skipped, one reason each.
    pub skipped: Vec<String>,
}

/// Returns every reachable device, preferred ones first. All are started, as only then do they report their names.
pub fn list() -> Vec<DeviceInfo> {
    let mut found: Vec<_> = Api::ALL.into_iter().flat_map(find).collect();
    found.sort_by_key(|(id, _)| (id.kind == Kind::Software, id.api, id.index));
    found.into_iter().map(|(id, device)| DeviceInfo { id, opened: start(id, device) }).collect()
}

/// Opens the devices of a specification. With `auto`, or an API without an index, a device that does not start is skipped for the
/// next one.
///
/// # Errors
/// The device is not compiled in, does not exist, or does not start.
pub fn open(spec: DeviceSpec) -> Result<Selection, Error> {
    let found = match &spec {
        DeviceSpec::Auto => found_for_auto(),
        DeviceSpec::Single(api, _) | DeviceSpec::All(api) => find(*api),
        DeviceSpec::Remote(server) => {
            return Ok(Selection { devices: crate::remote::open(server)?, skipped: Vec::new() });
        }
    };
    let ids: Vec<Id> = found.iter().map(|(id, _)| *id).collect();
    let started = candidates(spec.clone(), &ids, Api::is_built)?.into_iter().map(|id| {
        let (_, device) =
            found.iter().find(|(other, _)| *other == id).expect("candidates are among the found devices");
        start(id, device.clone())
    });
    if let DeviceSpec::All(_) = spec {
        return Ok(Selection { devices: started.collect::<Result<_, _>>()?, skipped: Vec::new() });
    }
    let (opened, failed) = first_started(started)?;
    let skipped = match spec {
        DeviceSpec::Auto => skipped_apis(opened.id.api, &ids, Api::is_built).chain(failed).collect(),
        _ => failed,
    };
    Ok(Selection { devices: vec![opened], skipped })
}

/// Returns the devices that `auto` considers. WebGPU is searched only if no other API has found a GPU, as it would find the same ones.
fn found_for_auto() -> Vec<(Id, Device)> {
    let mut all = Vec::new();
    for api in Api::ALL {
        if api != Api::Wgpu || all.iter().all(|(id, _): &(Id, Device)| id.kind == Kind::Software) {
            all.extend(find(api));
        }
    }
    all
}

/// Returns the first started device and why those before it did not start; or why the best one did not.
fn first_started(
    started: impl Iterator<Item = Result<OpenDevice, Error>>,
) -> Result<(OpenDevice, Vec<String>), Error> {
    let mut failed = Vec::new();
    for result in started {
        match result {
            Ok(opened) => return Ok((opened, failed.iter().map(Error::to_string).collect())),
            Err(error) => failed.push(error),
        }
    }
    Err(failed.swap_remove(0))
}

/// Returns why APIs that are preferred to the opened one were skipped.
fn skipped_apis(opened: Api, found: &[Id], built: impl Fn(Api) -> bool) -> impl Iterator<Item = String> {
    // WebGPU finds the devices of Vulkan and Metal.
    let same = built(Api::Vulkan) || built(Api::Metal);
    let preferred = move |api: &Api| built(*api) && *api < opened && !(*api == Api::Wgpu && same);
    Api::ALL.into_iter().filter(preferred).filter_map(|api| {
        let mut devices = found.iter().filter(|id| id.api == api);
        match (devices.clone().count(), devices.all(|id| id.kind == Kind::Software)) {
            (0, _) => Some(Error::NoDevice { api }.to_string()),
            (_, true) => Some(format!("`{}` has only a software driver, slower than the CPU", api.name())),
            _ => None,
        }
    })
}

/// Returns the devices of an API, numbered by preference, not started yet.
fn find(api: Api) -> Vec<(Id, Device)> {
    match api {
        Api::Cpu => number(api, vec![Device::flex()]),
        #[cfg(feature = "wgpu")]
        Api::Wgpu => number(api, Device::enumerate(DeviceType::Wgpu).into_vec()),
        #[cfg(vulkan)]
        Api::Vulkan => number(api, Device::enumerate(DeviceType::Vulkan).into_vec()),
        #[cfg(metal)]
        Api::Metal => number(api, Device::enumerate(DeviceType::Metal).into_vec()),
        #[cfg(feature = "cuda")]
        Api::Cuda => number(api, Device::enumerate(DeviceType::Cuda).into_vec()),
        #[allow(unreachable_patterns, reason = "a build with every API")]
        _ => Vec::new(),
    }
}

fn number(api: Api, mut devices: Vec<Device>) -> Vec<(Id, Device)> {
    devices.sort_by_key(kind);
    let id = |(index, device): (usize, Device)| (Id { api, index, kind: kind(&device) }, device);
    devices.into_iter().enumerate().map(id).collect()
}

/// The started devices. A runtime can be started only once per process.
static STARTED: Mutex<Vec<OpenDevice>> = Mutex::new(Vec::new());

fn start(id: Id, device: Device) -> Result<OpenDevice, Error> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = started.iter().find(|opened| opened.id == id) {
        return Ok(opened.clone());
    }
    probe(&device).map_err(|reason| Error::StartFailed { device: id.to_string(), reason })?;
    let (name, memory) = describe(&device);
    let opened = OpenDevice { id, spec: id.to_string(), name, memory, device };
    started.push(opened.clone());
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu() -> OpenDevice {
        open(DeviceSpec::Single(Api::Cpu, None)).unwrap().devices.remove(0)
    }

    #[test]
    fn the_cpu_is_always_found() {
        assert_eq!(cpu().id.to_string(), "cpu");
        assert!(list().iter().any(|listed| listed.id.api == Api::Cpu && listed.opened.is_ok()));
        assert_eq!(open(DeviceSpec::Auto).unwrap().devices.len(), 1);
    }

    #[test]
    fn the_cpu_reports_the_memory_of_the_machine() {
        assert!(cpu().memory.is_some_and(|bytes| bytes > 64 << 20), "{:?}", cpu().memory);
    }

    #[test]
    fn every_listed_device_has_started_or_an_error_and_can_be_opened_by_its_name() {
        for listed in list() {
            let opened = open(listed.id.to_string().parse().unwrap());
            assert_eq!(opened.is_ok(), listed.opened.is_ok(), "{}", listed.id);
        }
    }

    #[test]
    fn if_the_best_does_not_start_the_next_is_opened() {
        let failed = |name: &str| Error::StartFailed { device: name.into(), reason: "lost".into() };
        let (opened, reasons) = first_started([Err(failed("vulkan:0")), Ok(cpu())].into_iter()).unwrap();
        assert_eq!(
            (opened.id, &reasons[..]),
            (cpu().id, &["`vulkan:0` does not start: lost".to_string()][..])
        );
        let none = first_started([Err(failed("vulkan:0")), Err(failed("vulkan:1"))].into_iter());
        assert_eq!(none.unwrap_err(), failed("vulkan:0"));
    }

    #[test]
    fn what_auto_skips_is_reported_once() {
        let id = |api, kind| Id { api, index: 0, kind };
        let skipped =
            |opened, found: &[Id]| skipped_apis(opened, found, |api| api != Api::Metal).collect::<Vec<_>>();
        let reasons = skipped(Api::Cpu, &[id(Api::Vulkan, Kind::Software), id(Api::Wgpu, Kind::Software)]);
        assert!(reasons[0].contains("`cuda` finds no device: no NVIDIA driver"), "{reasons:?}");
        assert!(reasons[1].contains("`vulkan` has only a software driver"), "{reasons:?}");
        assert_eq!(reasons.len(), 2);
        assert_eq!(skipped(Api::Cuda, &[id(Api::Cuda, Kind::Discrete)]), [""; 0]);
        assert_eq!(skipped(Api::Vulkan, &[id(Api::Vulkan, Kind::Integrated)]).len(), 1);
    }

    #[test]
    fn the_error_of_an_api_that_is_not_built_shows_the_feature() {
        for api in Api::ALL.into_iter().filter(|api| !api.is_built()) {
            let message = open(DeviceSpec::Single(api, None)).unwrap_err().to_string();
            assert!(message.contains(&format!("--features {}", api.name())), "{message}");
        }
    }
}
