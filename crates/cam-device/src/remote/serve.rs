//! The server: lends devices of this machine to other machines.

use crate::{Error, OpenDevice, TOKEN};
use burn::tensor::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};
use std::net::TcpListener;

/// Lends devices to other machines until the process is terminated (Ctrl-C or `SIGTERM`). All devices must be of one backend: the CPU,
/// or GPUs.
///
/// Traffic is not encrypted, and anyone who can reach the port can compute here. If [`TOKEN`] is set, clients must have the same secret;
/// a message of up to 1 GiB is received before it is looked at, and tensors on their way from one server to another are given to whoever
/// asks for their number.
///
/// # Errors
/// [`Error::ServeFailed`] if the server cannot start, or if [`TOKEN`] is set to what cannot be a secret.
pub fn serve(devices: &[OpenDevice], listener: TcpListener) -> Result<(), Error> {
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let failed = |reason: String| Error::ServeFailed { address: address.clone(), reason };
    let mut server = RemoteServer::new(devices.iter().map(|opened| opened.device.clone()));
    if let Some(token) = super::token(std::env::var(TOKEN)).map_err(failed)? {
        let empty = |_| failed(format!("{TOKEN} is empty"));
        server = server.with_authorizer(TokenAuthorizer::new(token.as_str()).map_err(empty)?);
    }
    server.serve(WebSocketTransport::from_listener(listener)).map_err(|error| failed(error.to_string()))
}
