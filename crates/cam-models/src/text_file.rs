//! Text files of a user, read up to a length: what is parsed takes many times as much memory.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::path::Path;

/// Returns the text of a file of so many bytes at most.
///
/// # Errors
/// For a file that is missing, longer, or not in UTF-8.
pub(crate) fn read(path: &Path, most: u64) -> Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    match text.len() as u64 > most {
        true => Err(Error::other(format!("it has more than {most} bytes"))),
        false => Ok(text),
    }
}
