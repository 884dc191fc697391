//! Errors of finding and opening devices.

use crate::Api;

/// Why a device could not be opened or lent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of a device is not understood.
    #[error("unknown device `{given}`; this build knows {}", known())]
    UnknownDevice {
        /// The given name.
        given: String,
    },
    /// The name of a server is not understood.
    #[error(
        "invalid server `{given}`, expected `remote:HOST:PORT`, with `:INDEX` or `:all` for other devices than the first"
    )]
    InvalidServer {
        /// The given name.
        given: String,
    },
    /// The API is not compiled in.
    #[error("`{name}` is not compiled into this build; build with `--features {name}`", name = .api.name())]
    NotBuilt {
        /// The API.
        api: Api,
    },
    /// The API finds no device on this machine.
    #[error("`{}` finds no device: {}", .api.name(), .api.missing())]
    NoDevice {
        /// The API.
        api: Api,
    },
    /// The index is not below the number of devices of the API.
    #[error("there is no `{name}:{index}`: this machine has {count}, counted from {name}:0", name = .api.name())]
    NoSuchIndex {
        /// The API.
        api: Api,
        /// The given index.
        index: usize,
        /// The number of devices.
        count: usize,
    },
    /// The device exists and cannot be started.
    #[error("`{device}` does not start: {reason}")]
    StartFailed {
        /// The name of the device.
        device: String,
        /// The error of the driver.
        reason: String,
    },
    /// Devices cannot be lent to other machines.
    #[error("cannot lend devices at `{address}`: {reason}")]
    ServeFailed {
        /// The address to listen on.
        address: String,
        /// The cause.
        reason: String,
    },
}

fn known() -> String {
    let all = Api::ALL.into_iter().chain([Api::Remote]);
    let built = all.filter(|api| api.is_built()).map(Api::name);
    std::iter::once("auto").chain(built).collect::<Vec<_>>().join(", ")
}
