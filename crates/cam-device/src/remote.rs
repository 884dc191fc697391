//! Devices of other machines, over Burn's remote backend.

mod serve;

pub use serve::serve;

use crate::{Api, Error, Id, Index, Kind, OpenDevice, Server, TOKEN};
use burn::tensor::Device;
use burn::tensor::remote::{RemoteHost, RemoteOptions};
use std::env::VarError;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long to wait for a connection.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the devices of a server.
pub(crate) fn open(server: &Server) -> Result<Vec<OpenDevice>, Error> {
    let failed = |reason: String| Error::StartFailed { device: format!("remote:{server}"), reason };
    check_connection(server).map_err(failed)?;
    let host = RemoteHost::websocket(&format!("ws://{}:{}", server.host, server.port));
    let host = match token(std::env::var(TOKEN)).map_err(failed)? {
        Some(token) => host.with_credential(token.as_str()),
        None => host,
    };
    // A device from the list of the host would connect on first use, and panic if that fails.
    let connect = |index: usize| -> Result<Device, Error> {
        let options: RemoteOptions = Device::remote_options(&host);
        options.device_index(index).init().map_err(|error| failed(error.to_string()))
    };
    let indices = match server.index {
        Index::First => 0..1,
        Index::Number(number) => number..number + 1,
        Index::All => 0..host.devices().map_err(|error| failed(error.to_string()))?.into_vec().len(),
    };
    indices.map(|index| Ok(open_device(server, index, connect(index)?))).collect()
}

fn open_device(server: &Server, index: usize, device: Device) -> OpenDevice {
    let server_index = if index == 0 { Index::First } else { Index::Number(index) };
    let server = Server { index: server_index, ..server.clone() };
    OpenDevice {
        id: Id { api: Api::Remote, index, kind: Kind::Remote },
        spec: format!("remote:{server}"),
        name: format!("device {index} of {}:{}", server.host, server.port),
        memory: None,
        device,
    }
}

/// Returns the secret of an environment variable, if there is one. What cannot be a secret is an error, so that nothing is lent to all by
/// mistake.
fn token(variable: Result<String, VarError>) -> Result<Option<String>, String> {
    match variable {
        Ok(token) if token.is_empty() => Err(format!("{TOKEN} is empty")),
        Ok(token) => Ok(Some(token)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{TOKEN} is not UTF-8")),
    }
}

/// Checks that the server accepts connections. Burn would try for 15 seconds before it reports a failure.
fn check_connection(server: &Server) -> Result<(), String> {
    let name = server.host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (name, server.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut reason = "the host name has no address".to_string();
    for address in addresses {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) => reason = format!("no server answers at {address}: {error}"),
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_secret_is_not_none() {
        assert_eq!(token(Err(VarError::NotPresent)), Ok(None));
        assert_eq!(token(Ok("secret".into())), Ok(Some("secret".into())));
        assert!(token(Ok(String::new())).is_err());
        assert!(token(Err(VarError::NotUnicode("".into()))).is_err());
    }
}
