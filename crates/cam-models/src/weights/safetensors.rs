//! Safetensors: a table in JSON, and the numbers behind it.
//!
//! The code is our own: burn-store's reader refuses a file for one tensor of a type that it has no form for, whether it is needed or not.

use super::{PackTensor, TABLE, burn_pack, unread};
use burn::tensor::{Bytes, DType};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the table says of a tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Where the bytes of a file are.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Memory(Arc<Vec<u8>>),
}

impl Source {
    pub fn of(path: &Path) -> Self {
        Self::File(path.into())
    }

    fn open(&self) -> io::Result<Box<dyn ReadSeek + '_>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Memory(bytes) => Box::new(Cursor::new(&bytes[..])),
        })
    }
}

trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// Returns the tensors of a file of this length. Their numbers are read when they are used.
pub(super) fn open(source: &Source, length: u64) -> Result<BTreeMap<String, PackTensor>, String> {
    let mut file = source.open().map_err(|e| e.to_string())?;
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|_| "it is cut short")?;
    let size = u64::from_le_bytes(size);
    let numbers = size.checked_add(8).filter(|start| size <= TABLE && *start <= length);
    let numbers = numbers.ok_or("its table is longer than the file, or than a table may be")?;
    let mut table = Vec::new();
    file.take(size).read_to_end(&mut table).map_err(|e| e.to_string())?;
    let unreadable = |e: serde_json::Error| format!("its table cannot be read: {e}");
    let mut table: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&table).map_err(unreadable)?;
    table.remove("__metadata__");
    let mut entries = Vec::new();
    for (name, entry) in table {
        entries.push((name, serde_json::from_value::<Entry>(entry).map_err(unreadable)?));
    }
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    // Tensors follow one another without gaps, up to the end of the file.
    let mut end = 0;
    for (name, Entry { data_offsets, .. }) in &entries {
        if data_offsets[0] != end || data_offsets[1] < end {
            return Err(format!("the numbers of `{name}` do not follow those of the tensor before"));
        }
        end = data_offsets[1];
    }
    if numbers.checked_add(end) != Some(length) {
        return Err("its tensors are not as long as the file".into());
    }
    entries
        .into_iter()
        .map(|(name, entry)| Ok((name.clone(), tensor(source, numbers, name, entry)?)))
        .collect()
}

/// Returns a tensor whose numbers are behind so many bytes.
fn tensor(source: &Source, numbers: u64, name: String, entry: Entry) -> Result<PackTensor, String> {
    let Entry { dtype, shape, data_offsets: [start, end] } = entry;
    let Some(dtype) = named(&dtype) else { return Ok(unread(&name, shape, &dtype)) };
    let length = shape.iter().try_fold(dtype.size(), |length, side| length.checked_mul(*side));
    let Some(length) = length.filter(|length| *length as u64 == end - start) else {
        return Err(format!("the tensor `{name}` has not as many numbers as its shape says"));
    };
    let source = source.clone();
    Ok(PackTensor::deferred(name, dtype, shape, None, length, move || {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = source.open()?;
            file.seek(SeekFrom::Start(numbers + start))?;
            let mut bytes = vec![0; length];
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        read().map(Bytes::from_bytes_vec).map_err(|e| burn_pack::Error::ValidationError(e.to_string()))
    }))
}

/// Returns the type of numbers that a table calls so, if it is read.
fn named(dtype: &str) -> Option<DType> {
    Some(match dtype {
        "F64" => DType::F64,
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "I64" => DType::I64,
        "I32" => DType::I32,
        "I16" => DType::I16,
        "I8" => DType::I8,
        "U64" => DType::U64,
        "U32" => DType::U32,
        "U16" => DType::U16,
        "U8" | "BOOL" => DType::U8,
        _ => return None,
    })
}
