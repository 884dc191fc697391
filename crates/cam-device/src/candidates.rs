//! The order in which devices are tried.

use crate::{Api, DeviceSpec, Error};

/// The kind of hardware behind a device, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A discrete GPU.
    Discrete,
    /// An integrated GPU.
    Integrated,
    /// A virtual GPU in a virtual machine.
    Virtual,
    /// Not reported by the driver.
    Unknown,
    /// The CPU.
    Cpu,
    /// A graphics API emulated on the CPU, such as llvmpipe: slower than the CPU without it.
    Software,
    /// A device of another machine, whose hardware is not reported.
    Remote,
}

impl Kind {
    /// Returns its name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Unknown => "unknown",
            Self::Cpu => "cpu",
            Self::Software => "software",
            Self::Remote => "remote",
        }
    }
}

/// The identity of a device, displayed as `vulkan:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// The API that reaches it.
    pub api: Api,
    /// Its index among the devices of this API; preferred kinds come first.
    pub index: usize,
    /// Its kind of hardware.
    pub kind: Kind,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.api {
            Api::Cpu => f.write_str("cpu"),
            api => write!(f, "{}:{}", api.name(), self.index),
        }
    }
}

/// Returns the devices to try for a specification, the best first.
///
/// `found` are the devices of this machine; `built` reports which APIs are compiled in.
///
/// # Errors
/// [`Error::NotBuilt`], [`Error::NoDevice`] or [`Error::NoSuchIndex`] if no such device is found.
pub fn candidates(spec: DeviceSpec, found: &[Id], built: impl Fn(Api) -> bool) -> Result<Vec<Id>, Error> {
    let devices_of = |api: Api| -> Result<Vec<Id>, Error> {
        if !built(api) {
            return Err(Error::NotBuilt { api });
        }
        let mut ids: Vec<Id> = found.iter().filter(|id| id.api == api).copied().collect();
        ids.sort_by_key(|id| (id.kind, id.index));
        if ids.is_empty() { Err(Error::NoDevice { api }) } else { Ok(ids) }
    };
    match spec {
        DeviceSpec::Auto => {
            let mut ids: Vec<Id> = found.iter().filter(|id| id.kind != Kind::Software).copied().collect();
            ids.sort_by_key(|id| (id.kind, id.api, id.index));
            Ok(ids)
        }
        DeviceSpec::Single(api, None) => devices_of(api),
        DeviceSpec::Single(api, Some(index)) => {
            let ids = devices_of(api)?;
            match ids.iter().find(|id| id.index == index) {
                Some(id) => Ok(vec![*id]),
                None => Err(Error::NoSuchIndex { api, index, count: ids.len() }),
            }
        }
        DeviceSpec::All(api) => {
            let ids = devices_of(api)?;
            let gpus: Vec<Id> = ids.iter().filter(|id| id.kind != Kind::Software).copied().collect();
            Ok(if gpus.is_empty() { ids } else { gpus })
        }
        DeviceSpec::Remote(_) => devices_of(Api::Remote),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Discrete, Integrated, Software};

    const CPU: Id = Id { api: Api::Cpu, index: 0, kind: Kind::Cpu };

    fn id(api: Api, index: usize, kind: Kind) -> Id {
        Id { api, index, kind }
    }

    fn names(spec: &str, found: &[Id]) -> Result<Vec<String>, Error> {
        let tried = candidates(spec.parse()?, found, |api| api != Api::Metal)?;
        Ok(tried.iter().map(Id::to_string).collect())
    }

    /// A laptop with two GPUs and a software driver; CUDA reaches one of the GPUs, too.
    fn laptop() -> Vec<Id> {
        vec![
            CPU,
            id(Api::Wgpu, 0, Discrete),
            id(Api::Vulkan, 0, Discrete),
            id(Api::Vulkan, 1, Integrated),
            id(Api::Vulkan, 2, Software),
            id(Api::Cuda, 0, Discrete),
        ]
    }

    #[test]
    fn auto_tries_the_best_gpu_by_its_best_api_and_never_software() {
        assert_eq!(names("auto", &laptop()).unwrap(), ["cuda:0", "vulkan:0", "wgpu:0", "vulkan:1", "cpu"]);
    }

    #[test]
    fn the_cpu_is_preferred_to_a_software_driver() {
        assert_eq!(names("auto", &[CPU, id(Api::Vulkan, 0, Software)]).unwrap(), ["cpu"]);
    }

    #[test]
    fn a_software_driver_can_be_named() {
        assert_eq!(names("vulkan", &[CPU, id(Api::Vulkan, 0, Software)]).unwrap(), ["vulkan:0"]);
        assert_eq!(names("vulkan", &laptop()).unwrap(), ["vulkan:0", "vulkan:1", "vulkan:2"]);
        assert_eq!(names("vulkan:2", &laptop()).unwrap(), ["vulkan:2"]);
    }

    #[test]
    fn all_are_all_gpus() {
        assert_eq!(names("vulkan:all", &laptop()).unwrap(), ["vulkan:0", "vulkan:1"]);
        assert_eq!(names("vulkan:all", &[id(Api::Vulkan, 0, Software)]).unwrap(), ["vulkan:0"]);
        assert_eq!(names("cpu:all", &laptop()).unwrap(), ["cpu"]);
    }

    #[test]
    fn a_missing_device_is_an_error() {
        assert_eq!(names("metal", &laptop()), Err(Error::NotBuilt { api: Api::Metal }));
        assert_eq!(names("cuda", &[CPU]), Err(Error::NoDevice { api: Api::Cuda }));
        assert_eq!(
            names("cuda:1", &laptop()),
            Err(Error::NoSuchIndex { api: Api::Cuda, index: 1, count: 1 })
        );
        assert_eq!(names("gpu", &laptop()), Err(Error::UnknownDevice { given: "gpu".into() }));
    }
}
