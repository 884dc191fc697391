//! Device specifications: the names by which a user selects devices.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// An API that reaches devices, in order of preference for a GPU that several can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// CUDA, for NVIDIA GPUs.
    Cuda,
    /// Metal, for Apple GPUs.
    Metal,
    /// Vulkan, with kernels in SPIR-V.
    Vulkan,
    /// WebGPU, on the graphics API of the system.
    Wgpu,
    /// The CPU, by Burn's flex backend.
    Cpu,
    /// A device of another machine, over the network.
    Remote,
}

impl Api {
    /// The APIs that reach devices of this machine.
    pub const ALL: [Self; 5] = [Self::Cuda, Self::Metal, Self::Vulkan, Self::Wgpu, Self::Cpu];

    /// Returns its name on the command line, which is also that of the crate feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Metal => "metal",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
            Self::Cpu => "cpu",
            Self::Remote => "remote",
        }
    }

    /// Reports whether it is compiled in.
    pub fn is_built(self) -> bool {
        match self {
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Metal => cfg!(metal),
            Self::Vulkan => cfg!(vulkan),
            Self::Wgpu => cfg!(feature = "wgpu"),
            Self::Cpu => true,
            Self::Remote => cfg!(feature = "remote"),
        }
    }

    /// Returns what may be missing if it finds no device.
    pub(crate) fn missing(self) -> &'static str {
        match self {
            Self::Cuda => "no NVIDIA driver (libcuda) or no supported GPU",
            Self::Metal => "no Metal device",
            Self::Vulkan => "no Vulkan loader (libvulkan) or no GPU driver",
            Self::Wgpu => "no adapter of Vulkan or another graphics API",
            Self::Cpu => "no CPU",
            Self::Remote => "no server answers",
        }
    }
}

/// A specification of devices, parsed from a name such as `auto`, `cuda:0` or `remote:gpu1:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSpec {
    /// `auto`: the best device that works.
    Auto,
    /// `vulkan`: the best device of an API; `vulkan:1`: the device with this index.
    Single(Api, Option<usize>),
    /// `vulkan:all`: every device of an API except software devices, unless there are no others.
    All(Api),
    /// `remote:gpu1:3000`: devices that a server lends.
    Remote(Server),
}

/// A server that lends devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The host name or address; an address with colons is in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The selected devices of the server.
    pub index: Index,
}

/// The index of a device of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// `remote:gpu1:3000`: the first device.
    First,
    /// `remote:gpu1:3000:1`: the device with this index.
    Number(usize),
    /// `remote:gpu1:3000:all`: every device.
    All,
}

impl Server {
    /// Parses `HOST:PORT`, `HOST:PORT:INDEX` and `HOST:PORT:all`.
    fn parse(text: &str) -> Option<Self> {
        // An address in brackets contains colons.
        let end = if text.starts_with('[') { text.find(']')? } else { 0 };
        let mut parts = text[end..].split(':');
        let host = &text[..end + parts.next()?.len()];
        let port = parts.next()?.parse().ok()?;
        let index = match parts.next() {
            None => Index::First,
            Some("all") => Index::All,
            Some(number) => Index::Number(number.parse().ok()?),
        };
        (!host.is_empty() && parts.next().is_none()).then(|| Self { host: host.into(), port, index })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        match self.index {
            Index::First => Ok(()),
            Index::Number(number) => write!(f, ":{number}"),
            Index::All => f.write_str(":all"),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        if name == "auto" {
            return Ok(Self::Auto);
        }
        let unknown = || Error::UnknownDevice { given: name.into() };
        if let Some(server) = name.strip_prefix("remote:") {
            let invalid = || Error::InvalidServer { given: name.into() };
            return Ok(Self::Remote(Server::parse(server).ok_or_else(invalid)?));
        }
        let (api, index) = name.split_once(':').map_or((name, None), |(api, index)| (api, Some(index)));
        let api = Api::ALL.into_iter().find(|known| known.name() == api).ok_or_else(unknown)?;
        match index {
            None => Ok(Self::Single(api, None)),
            Some("all") => Ok(Self::All(api)),
            Some(number) => Ok(Self::Single(api, Some(number.parse().map_err(|_| unknown())?))),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Single(api, None) => f.write_str(api.name()),
            Self::Single(api, Some(number)) => write!(f, "{}:{number}", api.name()),
            Self::All(api) => write!(f, "{}:all", api.name()),
            Self::Remote(server) => write!(f, "remote:{server}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_are_parsed_and_displayed() {
        for name in ["auto", "cpu", "cuda", "cuda:0", "vulkan:13", "cuda:all", "wgpu", "metal:1"] {
            assert_eq!(name.parse::<DeviceSpec>().unwrap().to_string(), name);
        }
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:one", "auto:1", ":0", "cuda:0:0", "CUDA"] {
            assert!(matches!(name.parse::<DeviceSpec>(), Err(Error::UnknownDevice { .. })), "{name}");
        }
    }

    #[test]
    fn a_server_needs_a_port() {
        for name in ["remote:gpu1:3000", "remote:10.0.0.7:80:1", "remote:[::1]:3000", "remote:[::1]:3000:all"]
        {
            assert_eq!(name.parse::<DeviceSpec>().unwrap().to_string(), name);
        }
        for name in [
            "remote:",
            "remote:gpu1",
            "remote::3000",
            "remote:gpu1:",
            "remote:gpu1:70000",
            "remote:gpu1:3000:one",
            "remote:gpu1:3000:0:0",
            "remote:[::1",
            "remote:[::1]",
        ] {
            assert!(matches!(name.parse::<DeviceSpec>(), Err(Error::InvalidServer { .. })), "{name}");
        }
    }
}
