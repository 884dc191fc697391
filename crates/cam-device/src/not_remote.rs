//! A build that knows this machine only.

use crate::{Api, Error, Opened, Server};
use std::net::TcpListener;

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
