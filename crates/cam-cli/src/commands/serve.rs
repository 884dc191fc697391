//! `cam serve`: lends devices to other machines.

use crate::args::device;
use crate::report::console::Console;
use crate::report::failure::Failure;
use cam_device::Error;
use std::net::TcpListener;

pub const EXAMPLES: &str = "\
Examples:
  cam serve --device cuda:all --listen 0.0.0.0:3000
      On the machine with the GPUs
  cam explain photos --device remote:gpu1:3000:all
      On the machine with the images and the weights
  cam explain photos --device remote:gpu1:3000,remote:gpu2:3000
      The images of a folder are spread over two machines
  CAM_REMOTE_TOKEN=secret cam serve --listen 0.0.0.0:3000
      Only clients with the same CAM_REMOTE_TOKEN may compute; nothing is encrypted: use a trusted network";

#[derive(clap::Args)]
pub struct Args {
    /// Which devices: see `cam devices`; `cuda:all`, or names separated by commas
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub device: String,
    /// Where clients connect; 0.0.0.0 is every address of this machine, and port 0 any free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000")]
    pub listen: String,
}

pub fn run(args: &Args, console: &Console) -> Result<(), Failure> {
    let devices = device::opened(&args.device, console)?;
    let failed = |error: std::io::Error| Error::ServeFailed {
        address: args.listen.clone(),
        reason: error.to_string(),
    };
    let listener = TcpListener::bind(&args.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let names: Vec<&str> = devices.iter().map(|opened| opened.spec.as_str()).collect();
    // Builds without this feature fail below.
    if cfg!(feature = "remote") {
        console.result(format_args!("lending {} at {address}, until Ctrl-C", names.join(", ")))?;
    }
    Ok(cam_device::serve(&devices, listener)?)
}
