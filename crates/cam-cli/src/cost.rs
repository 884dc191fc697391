//! What an explanation may cost.

use bytesize::ByteSize;
use cam_core::{Explainer, IsCam, METHODS, Method, ScoreCam, SsCam, method_named};
use serde::Serialize;

/// What an explanation may cost.
#[derive(clap::Args, Serialize)]
pub struct Cost {
    /// About how much memory the changed copies of a picture may take in methods of many passes (256MiB, 2GB): they run in chunks
    /// that fit [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    #[serde(skip)]
    pub memory: Option<ByteSize>,
    /// Score-CAM and its kin try only the N channels that vary most over the picture (Faster-Score-CAM) [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: Option<u32>,
}

impl Cost {
    /// An explainer that keeps to it.
    pub fn limit<'m, M>(&self, explainer: Explainer<'m, M>) -> Explainer<'m, M> {
        match self.memory {
            Some(size) => explainer.memory(usize::try_from(size.as_u64()).unwrap_or(usize::MAX)),
            None => explainer,
        }
    }

    /// The methods of these names; Grad-CAM where there are none.
    pub fn methods(&self, names: &[String]) -> Result<Vec<&'static dyn Method>, cam_core::Error> {
        match names {
            [] => Ok(vec![METHODS[0]]),
            names => names.iter().map(|name| self.method(name)).collect(),
        }
    }

    /// The method of this name.
    pub fn method(&self, name: &str) -> Result<&'static dyn Method, cam_core::Error> {
        let channels = self.channels.map(|channels| channels as usize);
        Ok(match (name, channels) {
            ("scorecam", Some(_)) => lasting(ScoreCam { channels, ..ScoreCam::PAPER }),
            ("sscam", Some(_)) => lasting(SsCam { channels, ..SsCam::PAPER }),
            ("iscam", Some(_)) => lasting(IsCam { channels, ..IsCam::PAPER }),
            _ => method_named(name)?,
        })
    }
}

/// A method with settings of its own; like those of the list it lasts as long as the program.
fn lasting(method: impl Method + 'static) -> &'static dyn Method {
    Box::leak(Box::new(method))
}

fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size),
        _ => Err("a size above 0, as in 256MiB or 2GB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let bytes = |text| size(text).map(|size| size.as_u64());
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("2G"), Ok(2_000_000_000));
        assert!(bytes("0").is_err() && bytes("much").is_err() && bytes("").is_err());
    }
}
