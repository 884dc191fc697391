//! Why there is no device.

use crate::Api;

/// Why there is no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The word is none of those understood.
    #[error("no device is called `{asked}`; this build knows {}", known())]
    Unknown {
        /// The word.
        asked: String,
    },
    /// The name of a device of another machine is not understood.
    #[error(
        "`{asked}` names no server: `remote:HOST:PORT` does, with `:NUMBER` or `:all` for others of its devices"
    )]
    Address {
        /// The word.
        asked: String,
    },
    /// The way to the device is not compiled in.
    #[error("`{name}` is not compiled into this build; build with `--features {name}`", name = .api.name())]
    NotBuilt {
        /// The way.
        api: Api,
    },
    /// The way is compiled in and leads nowhere on this machine.
    #[error("`{}` finds no device: {}", .api.name(), .api.missing())]
    Nothing {
        /// The way.
        api: Api,
    },
    /// There are fewer devices of this kind.
    #[error("there is no `{name}:{number}`: the machine has {count} of them, counted from {name}:0", name = .api.name())]
    Number {
        /// The way.
        api: Api,
        /// The number asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// The device is there and does not start.
    #[error("`{device}` does not start: {reason}")]
    Start {
        /// Its name.
        device: String,
        /// What its driver says.
        reason: String,
    },
    /// Devices cannot be lent.
    #[error("cannot lend devices at `{address}`: {reason}")]
    Serve {
        /// Where they were to be lent.
        address: String,
        /// Why not.
        reason: String,
    },
}

fn known() -> String {
    let all = Api::ALL.into_iter().chain([Api::Remote]);
    let built = all.filter(|api| api.is_built()).map(Api::name);
    std::iter::once("auto").chain(built).collect::<Vec<_>>().join(", ")
}
