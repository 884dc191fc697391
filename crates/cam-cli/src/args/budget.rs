//! What an explanation may cost.

use crate::registry;
use crate::report::failure::Failure;
use burn_cam::{Explainer, Method};
use bytesize::ByteSize;
use serde::Serialize;

/// What an explanation may cost.
#[derive(clap::Args, Serialize)]
#[command(next_help_heading = "Method")]
pub struct BudgetArgs {
    /// Memory for the changed copies of an image in slow methods, such as 256MiB or 2GB; copies run in chunks of about this size
    /// [default: 256MiB]
    #[arg(long, hide_short_help = true, value_name = "SIZE", value_parser = size)]
    #[serde(skip)]
    pub memory: Option<ByteSize>,
    /// Methods that mask the image with each channel, such as Score-CAM, try only the N channels that vary most over the image
    /// (Faster-Score-CAM) [default: all]
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: Option<u32>,
}

impl BudgetArgs {
    /// Returns an explainer that keeps to it.
    pub fn limit<'m, M>(&self, explainer: Explainer<'m, M>) -> Explainer<'m, M> {
        match self.memory {
            Some(size) => explainer.memory(usize::try_from(size.as_u64()).unwrap_or(usize::MAX)),
            None => explainer,
        }
    }

    /// Returns the methods of these names; without names the first of the registry, Grad-CAM.
    pub fn methods(&self, names: &[String]) -> Result<Vec<&'static dyn Method>, Failure> {
        let methods: Vec<_> = match names {
            [] => registry().methods().first().copied().into_iter().collect(),
            names => names.iter().map(|name| registry().method(name)).collect::<Result<_, _>>()?,
        };
        let limits = |method: &dyn Method| method.with_channels(1).is_some();
        if self.channels.is_some() && !methods.iter().any(|method| limits(*method)) {
            let known: Vec<&str> =
                registry().methods().iter().copied().filter(|m| limits(*m)).map(Method::name).collect();
            return Err(Failure::Usage(format!("`--channels` is for the methods {}", known.join(", "))));
        }
        Ok(methods.into_iter().map(|method| self.limited(method)).collect())
    }

    /// Returns a method that tries as many channels at most.
    pub fn limited(&self, method: &'static dyn Method) -> &'static dyn Method {
        match self.channels.and_then(|channels| method.with_channels(channels as usize)) {
            Some(limited) => Box::leak(limited),
            None => method,
        }
    }
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
