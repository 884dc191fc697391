//! The devices of this machine: found without starting them, started one by one, kept once started.

#[cfg(gpu)]
use crate::gpu::{described, kind, probe};
#[cfg(not(gpu))]
use crate::processor::{described, kind, probe};
use crate::{Api, Error, Id, Kind, Wanted, candidates};
use burn::tensor::Device;
#[cfg(gpu)]
use burn::tensor::DeviceType;
use std::sync::{Mutex, PoisonError};

/// A device that has started.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its name here.
    pub id: Id,
    /// The word that asks for it: `vulkan:0`, `remote:gpu1:3000`.
    pub word: String,
    /// How it names itself.
    pub name: String,
    /// Its memory in bytes, where its driver tells.
    pub memory: Option<u64>,
    /// The device.
    pub device: Device,
}

/// A device in a list: started, or why it does not start.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name here.
    pub id: Id,
    /// The device.
    pub opened: Result<Opened, Error>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The devices, started: one, or with `:all` every one.
    pub devices: Vec<Opened>,
    /// Why `auto` took none of the devices that come before these: one reason each.
    pub passed_over: Vec<String>,
}

/// Every device that can be reached, the preferred first. All of them are started to be asked for their names.
pub fn list() -> Vec<Listed> {
    let mut found: Vec<_> = Api::ALL.into_iter().flat_map(found).collect();
    found.sort_by_key(|(id, _)| (id.kind == Kind::Software, id.api, id.number));
    found.into_iter().map(|(id, device)| Listed { id, opened: start(id, device) }).collect()
}

/// The devices asked for, started. Under `auto`, and where only the kind is named, one that does not start is passed over for the
/// next.
///
/// # Errors
/// What is asked for is not compiled in, not there, or does not start.
pub fn open(wanted: Wanted) -> Result<Taken, Error> {
    let found = match &wanted {
        Wanted::Auto => cards_first(),
        Wanted::One(api, _) | Wanted::All(api) => found(*api),
        Wanted::Remote(server) => {
            return Ok(Taken { devices: crate::remote::open(server)?, passed_over: Vec::new() });
        }
    };
    let ids: Vec<Id> = found.iter().map(|(id, _)| *id).collect();
    let started = candidates(wanted.clone(), &ids, Api::is_built)?.into_iter().map(|id| {
        let (_, device) = found.iter().find(|(other, _)| *other == id).expect("one of those found");
        start(id, device.clone())
    });
    if let Wanted::All(_) = wanted {
        return Ok(Taken { devices: started.collect::<Result<_, _>>()?, passed_over: Vec::new() });
    }
    let (opened, failed) = first(started)?;
    let passed_over = match wanted {
        Wanted::Auto => missed(opened.id.api, &ids, Api::is_built).chain(failed).collect(),
        _ => failed,
    };
    Ok(Taken { devices: vec![opened], passed_over })
}

/// What `auto` looks at: every way, but WebGPU only where no other has found a card, as it would find the same.
fn cards_first() -> Vec<(Id, Device)> {
    let mut all = Vec::new();
    for api in Api::ALL {
        if api != Api::Wgpu || all.iter().all(|(id, _): &(Id, Device)| id.kind == Kind::Software) {
            all.extend(found(api));
        }
    }
    all
}

/// The first that has started, and why those before it have not; or why the best has not.
fn first(started: impl Iterator<Item = Result<Opened, Error>>) -> Result<(Opened, Vec<String>), Error> {
    let mut failed = Vec::new();
    for one in started {
        match one {
            Ok(opened) => return Ok((opened, failed.iter().map(Error::to_string).collect())),
            Err(error) => failed.push(error),
        }
    }
    Err(failed.swap_remove(0))
}

/// The ways that are preferred to the one taken and have found no card.
fn missed(taken: Api, there: &[Id], built: impl Fn(Api) -> bool) -> impl Iterator<Item = String> {
    // WebGPU looks where Vulkan or Metal has looked.
    let same = built(Api::Vulkan) || built(Api::Metal);
    let preferred = move |api: &Api| built(*api) && *api < taken && !(*api == Api::Wgpu && same);
    Api::ALL.into_iter().filter(preferred).filter_map(|api| {
        let mut of_this = there.iter().filter(|id| id.api == api);
        match (of_this.clone().count(), of_this.all(|id| id.kind == Kind::Software)) {
            (0, _) => Some(Error::Nothing { api }.to_string()),
            (_, true) => {
                Some(format!("`{}` has only a software driver, slower than the processor", api.name()))
            }
            _ => None,
        }
    })
}

/// What can be reached in a way, numbered by preference, not started yet.
fn found(api: Api) -> Vec<(Id, Device)> {
    match api {
        Api::Cpu => numbered(api, vec![Device::flex()]),
        #[cfg(feature = "wgpu")]
        Api::Wgpu => numbered(api, Device::enumerate(DeviceType::Wgpu).into_vec()),
        #[cfg(vulkan)]
        Api::Vulkan => numbered(api, Device::enumerate(DeviceType::Vulkan).into_vec()),
        #[cfg(metal)]
        Api::Metal => numbered(api, Device::enumerate(DeviceType::Metal).into_vec()),
        #[cfg(feature = "cuda")]
        Api::Cuda => numbered(api, Device::enumerate(DeviceType::Cuda).into_vec()),
        #[allow(unreachable_patterns, reason = "a build with every way")]
        _ => Vec::new(),
    }
}

fn numbered(api: Api, mut devices: Vec<Device>) -> Vec<(Id, Device)> {
    devices.sort_by_key(kind);
    let id = |(number, device): (usize, Device)| (Id { api, number, kind: kind(&device) }, device);
    devices.into_iter().enumerate().map(id).collect()
}

/// Those that have started. A runtime can be started once in a process.
static STARTED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

fn start(id: Id, device: Device) -> Result<Opened, Error> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = started.iter().find(|opened| opened.id == id) {
        return Ok(opened.clone());
    }
    probe(&device).map_err(|reason| Error::Start { device: id.to_string(), reason })?;
    let (name, memory) = described(&device);
    let opened = Opened { id, word: id.to_string(), name, memory, device };
    started.push(opened.clone());
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu() -> Opened {
        open(Wanted::One(Api::Cpu, None)).unwrap().devices.remove(0)
    }

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(cpu().id.to_string(), "cpu");
        assert!(list().iter().any(|listed| listed.id.api == Api::Cpu && listed.opened.is_ok()));
        assert_eq!(open(Wanted::Auto).unwrap().devices.len(), 1);
    }

    #[test]
    fn the_processor_tells_the_memory_of_the_machine() {
        assert!(cpu().memory.is_some_and(|bytes| bytes > 64 << 20), "{:?}", cpu().memory);
    }

    #[test]
    fn whatever_is_listed_has_started_or_says_why_not_and_can_be_asked_for_by_its_name() {
        for listed in list() {
            let asked = open(listed.id.to_string().parse().unwrap());
            assert_eq!(asked.is_ok(), listed.opened.is_ok(), "{}", listed.id);
        }
    }

    #[test]
    fn where_the_best_does_not_start_the_next_is_taken() {
        let failed = |name: &str| Error::Start { device: name.into(), reason: "lost".into() };
        let (taken, reasons) = first([Err(failed("vulkan:0")), Ok(cpu())].into_iter()).unwrap();
        assert_eq!(
            (taken.id, &reasons[..]),
            (cpu().id, &["`vulkan:0` does not start: lost".to_string()][..])
        );
        let none = first([Err(failed("vulkan:0")), Err(failed("vulkan:1"))].into_iter());
        assert_eq!(none.unwrap_err(), failed("vulkan:0"));
    }

    #[test]
    fn what_auto_misses_is_told_once() {
        let id = |api, kind| Id { api, number: 0, kind };
        let missed = |taken, there: &[Id]| missed(taken, there, |api| api != Api::Metal).collect::<Vec<_>>();
        let told = missed(Api::Cpu, &[id(Api::Vulkan, Kind::Software), id(Api::Wgpu, Kind::Software)]);
        assert!(told[0].contains("`cuda` finds no device: no NVIDIA driver"), "{told:?}");
        assert!(told[1].contains("`vulkan` has only a software driver"), "{told:?}");
        assert_eq!(told.len(), 2);
        assert_eq!(missed(Api::Cuda, &[id(Api::Cuda, Kind::Discrete)]), [""; 0]);
        assert_eq!(missed(Api::Vulkan, &[id(Api::Vulkan, Kind::Integrated)]).len(), 1);
    }

    #[test]
    fn what_is_not_compiled_in_says_how_to_build_it() {
        for api in Api::ALL.into_iter().filter(|api| !api.is_built()) {
            let told = open(Wanted::One(api, None)).unwrap_err().to_string();
            assert!(told.contains(&format!("--features {}", api.name())), "{told}");
        }
    }
}
