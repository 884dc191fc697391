//! The other end: devices of this machine, lent to others.

use crate::{Error, Opened, TOKEN};
use burn::tensor::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};
use std::net::TcpListener;

/// Lends devices to other machines until the process is asked to end (Ctrl-C, or `SIGTERM`). All of them must be of one backend:
/// the processor, or cards.
///
/// What is sent is not encrypted, and whoever reaches the port computes here; the word in [`TOKEN`], where there is one, keeps out
/// those who do not know it.
///
/// # Errors
/// [`Error::Serve`].
pub fn serve(devices: &[Opened], listener: TcpListener) -> Result<(), Error> {
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let failed = |reason: String| Error::Serve { address: address.clone(), reason };
    let mut server = RemoteServer::new(devices.iter().map(|opened| opened.device.clone()));
    if let Ok(token) = std::env::var(TOKEN) {
        let empty = |_| failed(format!("{TOKEN} is empty"));
        server = server.with_authorizer(TokenAuthorizer::new(token.as_str()).map_err(empty)?);
    }
    server.serve(WebSocketTransport::from_listener(listener)).map_err(|error| failed(error.to_string()))
}
