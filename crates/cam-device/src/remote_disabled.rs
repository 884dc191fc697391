//! What replaces `remote` in a build without that feature.

use crate::{Api, Error, OpenDevice, Server};
use std::net::TcpListener;

const NOT_BUILT: Error = Error::NotBuilt { api: Api::Remote };

/// Fails, because the feature `remote` is missing.
pub(crate) fn open(_: &Server) -> Result<Vec<OpenDevice>, Error> {
    Err(NOT_BUILT)
}

/// Lends devices; needs the feature `remote`.
///
/// # Errors
/// [`Error::NotBuilt`].
pub fn serve(_: &[OpenDevice], _: TcpListener) -> Result<(), Error> {
    Err(NOT_BUILT)
}
