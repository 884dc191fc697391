//! The hash that identifies a weight file.

use sha2::{Digest, Sha256};
use std::io::Read;

/// Returns the sha256 of everything that a reader gives, in hexadecimal digits.
pub fn sha256(mut reader: impl Read) -> std::io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            length => hash.update(&buffer[..length]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
