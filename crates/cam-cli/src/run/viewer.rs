//! Opens a file or a folder in the program that the system has for it. The crates that do this have Burn built with other features.

use std::io::{Error, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// Opens a file or a folder, without waiting for the program.
///
/// # Errors
/// Those of starting the program of the system that chooses one: `xdg-open`, `open` on macOS, `explorer` on Windows.
pub fn open(path: &Path) -> Result<()> {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let mut command = Command::new(program);
    command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.spawn().map_err(|error| Error::new(error.kind(), format!("{program}: {error}")))?;
    drop(started);
    Ok(())
}
