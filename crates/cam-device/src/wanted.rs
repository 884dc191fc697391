//! What a user's word for a device means.

use crate::Error;
use std::fmt;
use std::str::FromStr;

/// A way to reach a device, the best first where one card can be reached by several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// NVIDIA's.
    Cuda,
    /// Apple's.
    Metal,
    /// Vulkan, with kernels in SPIR-V.
    Vulkan,
    /// WebGPU on whatever the system has.
    Wgpu,
    /// The machine's processor, by Burn's flex backend.
    Cpu,
    /// A device of another machine, over the network.
    Remote,
}

impl Api {
    /// Those that lead to devices of this machine.
    pub const ALL: [Self; 5] = [Self::Cuda, Self::Metal, Self::Vulkan, Self::Wgpu, Self::Cpu];

    /// Its name, on the command line and among the features of the crate.
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

    /// Whether it is compiled in.
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

    /// What to look for where it finds nothing.
    pub(crate) fn missing(self) -> &'static str {
        match self {
            Self::Cuda => "no NVIDIA driver (libcuda), or no card that it knows",
            Self::Metal => "no Metal device",
            Self::Vulkan => "no Vulkan loader (libvulkan), or no driver of a card",
            Self::Wgpu => "no adapter: neither Vulkan nor another graphics API answers",
            Self::Cpu => "no processor",
            Self::Remote => "no server answers",
        }
    }
}

/// Which devices are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `auto`: the best that works.
    Auto,
    /// `vulkan`: the best of that kind; `vulkan:1`: the one of this number in the list.
    One(Api, Option<usize>),
    /// `vulkan:all`: every one that is not made of software, or where there is but one of software, that.
    All(Api),
    /// `remote:gpu1:3000`: what the server there lends.
    Remote(Server),
}

/// A server that lends devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address; one with colons stands in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Which of its devices.
    pub which: Which,
}

/// Which of the devices of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `remote:gpu1:3000`: the first.
    First,
    /// `remote:gpu1:3000:1`: the one of this number.
    Number(usize),
    /// `remote:gpu1:3000:all`: every one.
    All,
}

impl Server {
    /// Reads `HOST:PORT`, `HOST:PORT:NUMBER` and `HOST:PORT:all`.
    fn read(text: &str) -> Option<Self> {
        // What stands in brackets has colons of its own.
        let end = if text.starts_with('[') { text.find(']')? } else { 0 };
        let mut parts = text[end..].split(':');
        let host = &text[..end + parts.next()?.len()];
        let port = parts.next()?.parse().ok()?;
        let which = match parts.next() {
            None => Which::First,
            Some("all") => Which::All,
            Some(number) => Which::Number(number.parse().ok()?),
        };
        (!host.is_empty() && parts.next().is_none()).then(|| Self { host: host.into(), port, which })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)?;
        match self.which {
            Which::First => Ok(()),
            Which::Number(number) => write!(f, ":{number}"),
            Which::All => f.write_str(":all"),
        }
    }
}

impl FromStr for Wanted {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        if word == "auto" {
            return Ok(Self::Auto);
        }
        let unknown = || Error::Unknown { asked: word.into() };
        if let Some(server) = word.strip_prefix("remote:") {
            let unread = || Error::Address { asked: word.into() };
            return Ok(Self::Remote(Server::read(server).ok_or_else(unread)?));
        }
        let (name, which) = word.split_once(':').map_or((word, None), |(name, which)| (name, Some(which)));
        let api = Api::ALL.into_iter().find(|api| api.name() == name).ok_or_else(unknown)?;
        match which {
            None => Ok(Self::One(api, None)),
            Some("all") => Ok(Self::All(api)),
            Some(number) => Ok(Self::One(api, Some(number.parse().map_err(|_| unknown())?))),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::One(api, None) => f.write_str(api.name()),
            Self::One(api, Some(number)) => write!(f, "{}:{number}", api.name()),
            Self::All(api) => write!(f, "{}:all", api.name()),
            Self::Remote(server) => write!(f, "remote:{server}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_and_written() {
        for word in ["auto", "cpu", "cuda", "cuda:0", "vulkan:13", "cuda:all", "wgpu", "metal:1"] {
            assert_eq!(word.parse::<Wanted>().unwrap().to_string(), word);
        }
        for word in ["", "gpu", "cuda:", "cuda:-1", "cuda:one", "auto:1", ":0", "cuda:0:0", "CUDA"] {
            assert!(matches!(word.parse::<Wanted>(), Err(Error::Unknown { .. })), "{word}");
        }
    }

    #[test]
    fn a_server_is_named_with_its_port() {
        for word in ["remote:gpu1:3000", "remote:10.0.0.7:80:1", "remote:[::1]:3000", "remote:[::1]:3000:all"]
        {
            assert_eq!(word.parse::<Wanted>().unwrap().to_string(), word);
        }
        for word in [
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
            assert!(matches!(word.parse::<Wanted>(), Err(Error::Address { .. })), "{word}");
        }
    }
}
