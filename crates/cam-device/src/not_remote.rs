//! A build that knows this machine only.

use crate::{Api, Error, Opened, Server};
use std::net::TcpListener;

/// The variable of the environment that holds the word by which server and client know each other.
pub const TOKEN: &str = "CAM_REMOTE_TOKEN";

const NOT_BUILT: Error = Error::NotBuilt { api: Api::Remote };

/// The devices of a server.
pub(crate) fn open(_: &Server) -> Result<Vec<Opened>, Error> {
    Err(NOT_BUILT)
}

/// Lends devices; needs the feature `remote`.
///
/// # Errors
/// [`Error::NotBuilt`].
pub fn serve(_: &[Opened], _: TcpListener) -> Result<(), Error> {
    Err(NOT_BUILT)
}
