//! The zip archive that a `.pth` is: its unpacked size is checked before it is unpacked, and an archive that its reader would
//! misread is copied into a form that has one reading.
//!
//! PyTorch puts the end record of zip64 and its locator between the directory of every archive and its end record, however small
//! the archive is. From 9.1 on (9.8.2 is the last version checked) the `zip` crate, through which burn-store reads as well, first looks for
//! the directory where it would be without them: 76 bytes too late, where the second entry begins if the first one takes 76 bytes,
//! as `<stem>/data.pkl` does for a stem of 21 bytes (`deit_tiny_patch16_224`). Then the archive is misread. See `docs/upstream.md`.
//!
//! An older `zip` could be required, but a program can have only one 9.x, and a program that needs a newer one could not use this crate.
//! So such a file is copied without the two records, which it does not need; every version reads the copy in the same way.

use super::TABLE;
use cam_image::foreign;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::{NamedTempFile, TempPath};
use zip::ZipArchive;

/// How many times its own length a `.pth` may unpack to. PyTorch stores tensors uncompressed; compressed weights shrink by a third, and
/// zeros by a thousand.
const UNPACKED: u64 = 8;

/// The records at the end of an archive that PyTorch wrote, by signature and length: those of zip64, and the one that ends every archive.
const RECORDS: [(&[u8], usize); 3] = [(b"PK\x06\x06", 56), (b"PK\x06\x07", 20), (b"PK\x05\x06", 22)];

/// Makes sure that an archive of this length declares no more than a checkpoint would unpack to; the reader holds every entry to its
/// declared size. If a copy has to be read instead of the file, the copy is returned.
pub(super) fn check(path: &Path, length: u64) -> Result<Option<TempPath>, String> {
    let misread = match open(path) {
        Ok(archive) => return check_size(archive, length).map(|()| None),
        Err(misread) => misread,
    };
    let copied = copy_without_zip64(path)
        .map_err(|e| format!("it has to be copied to be read, and copying failed: {e}"))?;
    let copy = copied.ok_or(misread)?;
    check_size(open(&copy)?, length)?;
    Ok(Some(copy))
}

pub(super) fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string())
}

fn check_size<R: Read + Seek>(mut archive: ZipArchive<R>, length: u64) -> Result<(), String> {
    let mut unpacked = 0u64;
    for entry in 0..archive.len() {
        let entry = archive.by_index_raw(entry).map_err(|e| e.to_string())?;
        if let Some(what) = entry.name().ok().and_then(|name| foreign::named_by_entry(&name)) {
            return Err(format!("it is {what}"));
        }
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

/// Copies an archive without its zip64 records. Returns `None` for an archive that has no such records, or needs them.
fn copy_without_zip64(path: &Path) -> io::Result<Option<TempPath>> {
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
