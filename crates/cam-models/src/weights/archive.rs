//! The zip that a `.pth` is: asked what it unpacks to before it is unpacked, and made plain where its reader would mistake it.
//!
//! PyTorch puts the end record of zip64 and its locator between the directory of every archive and its end record, however small
//! the archive is. From 9.1 on (9.8.2 is the last looked at) the `zip` crate, through which burn-store reads as well, first looks for
//! the directory where it would be without them: 76 bytes too late, where the second entry begins if the first one takes 76 bytes,
//! as `<stem>/data.pkl` does for a stem of 21 bytes (`deit_tiny_patch16_224`). Then nothing fits. See `docs/upstream.md`.
//!
//! An older `zip` could be asked for, but there can be one 9.x in a program, and those who need a newer one could not have this crate.
//! So such a file is copied without the two records, which it does not need, and the copy has one reading for every version.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::{NamedTempFile, TempPath};
use zip::ZipArchive;

/// How many times its own length a `.pth` may unpack to. PyTorch stores tensors as they are; weights that somebody packed
/// shrink by a third, and zeros by a thousand.
const UNPACKED: u64 = 8;

/// The most bytes of the table of tensors in a `.pth`. It holds some hundred bytes a tensor; reading it takes about
/// seventy times its length where all of it is objects.
const TABLE: u64 = 16 << 20;

/// The records at the end of what PyTorch writes, by their marks and lengths: those of zip64, and the one that ends every archive.
const RECORDS: [(&[u8], usize); 3] = [(b"PK\x06\x06", 56), (b"PK\x06\x07", 20), (b"PK\x05\x06", 22)];

/// Makes sure that a zip of this length unpacks to no more than a checkpoint would, as far as it says so itself; the reader holds
/// every entry to what it says. Where a copy has to be read in its place, that is returned.
pub(super) fn checked(path: &Path, length: u64) -> Result<Option<TempPath>, String> {
    let mistaken = match opened(path) {
        Ok(archive) => return check(archive, length).map(|()| None),
        Err(mistaken) => mistaken,
    };
    let copied = plain(path).map_err(|e| format!("it has to be copied to be read, and cannot be: {e}"))?;
    let copy = copied.ok_or(mistaken)?;
    check(opened(&copy)?, length)?;
    Ok(Some(copy))
}

fn opened(path: &Path) -> Result<ZipArchive<BufReader<File>>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string())
}

fn check<R: Read + Seek>(mut archive: ZipArchive<R>, length: u64) -> Result<(), String> {
    let mut unpacked = 0u64;
    for entry in 0..archive.len() {
        let entry = archive.by_index_raw(entry).map_err(|e| e.to_string())?;
        if entry.name().is_ok_and(|name| name.ends_with("data.pkl")) && entry.size() > TABLE {
            return Err(format!("its table of tensors has {} bytes, more than {TABLE}", entry.size()));
        }
        unpacked = unpacked.saturating_add(entry.size());
    }
    if unpacked > UNPACKED * length {
        return Err(format!("its {length} bytes unpack to {unpacked}, which no checkpoint does"));
    }
    Ok(())
}

/// A copy of an archive without its records of zip64; none of one that has no such records, or needs them.
fn plain(path: &Path) -> io::Result<Option<TempPath>> {
    let mut file = File::open(path)?;
    let mut ending = [0; RECORDS[0].1 + RECORDS[1].1 + RECORDS[2].1];
    let Some(start) = file.metadata()?.len().checked_sub(ending.len() as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut ending)?;
    let mut rest = &ending[..];
    for (mark, length) in RECORDS {
        if !rest.starts_with(mark) {
            return Ok(None);
        }
        rest = &rest[length..];
    }
    let end = &ending[RECORDS[0].1 + RECORDS[1].1..];
    let number = |at: usize| u64::from(u32::from_le_bytes([end[at], end[at + 1], end[at + 2], end[at + 3]]));
    let (directory_length, directory_start) = (number(12), number(16));
    if directory_start + directory_length != start {
        return Ok(None);
    }
    file.rewind()?;
    let mut copy = NamedTempFile::new()?;
    io::copy(&mut file.take(start), copy.as_file_mut())?;
    copy.write_all(end)?;
    Ok(Some(copy.into_temp_path()))
}
