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
}

impl Api {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cuda, Self::Metal, Self::Vulkan, Self::Wgpu, Self::Cpu];

    /// Its name, on the command line and among the features of the crate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Metal => "metal",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
            Self::Cpu => "cpu",
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
        }
    }
}

/// Which devices are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `auto`: the best that works.
    Auto,
    /// `vulkan`: the best of that kind; `vulkan:1`: the one of this number in the list.
    One(Api, Option<usize>),
    /// `vulkan:all`: every one that is not made of software, or where there is but one of software, that.
    All(Api),
}

impl FromStr for Wanted {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        if word == "auto" {
            return Ok(Self::Auto);
        }
        let unknown = || Error::Unknown { asked: word.into() };
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
}
