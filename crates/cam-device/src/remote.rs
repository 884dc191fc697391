//! Devices of other machines, over Burn's remote backend.

mod serve;

pub use serve::serve;

use crate::{Api, Error, Id, Kind, Opened, Server, TOKEN, Which};
use burn::tensor::Device;
use burn::tensor::remote::{RemoteHost, RemoteOptions};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a server may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// The devices of a server, connected.
pub(crate) fn open(server: &Server) -> Result<Vec<Opened>, Error> {
    let failed = |reason: String| Error::Start { device: format!("remote:{server}"), reason };
    answers(server).map_err(failed)?;
    let host = RemoteHost::websocket(&format!("ws://{}:{}", server.host, server.port));
    let host = match std::env::var(TOKEN) {
        Ok(token) => host.with_credential(token.as_str()),
        Err(_) => host,
    };
    // A device that is only listed connects on first use, where it would panic.
    let connect = |number: usize| -> Result<Device, Error> {
        let options: RemoteOptions = Device::remote_options(&host);
        options.device_index(number).init().map_err(|error| failed(error.to_string()))
    };
    let numbers = match server.which {
        Which::First => 0..1,
        Which::Number(number) => number..number + 1,
        Which::All => 0..host.devices().map_err(|error| failed(error.to_string()))?.into_vec().len(),
    };
    numbers.map(|number| Ok(opened(server, number, connect(number)?))).collect()
}

fn opened(server: &Server, number: usize, device: Device) -> Opened {
    let which = if number == 0 { Which::First } else { Which::Number(number) };
    let server = Server { which, ..server.clone() };
    Opened {
        id: Id { api: Api::Remote, number, kind: Kind::Remote },
        word: format!("remote:{server}"),
        name: format!("device {number} of {}:{}", server.host, server.port),
        memory: None,
        device,
    }
}

/// Whether anybody listens there. Burn would try for a quarter of a minute before it says that nobody does.
fn answers(server: &Server) -> Result<(), String> {
    let name = server.host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (name, server.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut reason = "its name has no address".to_string();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => reason = format!("nobody answers at {address}: {error}"),
        }
    }
    Err(reason)
}
