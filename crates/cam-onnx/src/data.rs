//! The numbers of tensors, in the file or beside it.

use crate::error::Reason;
use crate::proto::Tensor;
use burn::tensor::{TensorData, bf16, f16};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

/// Returns the name of an element type.
pub(crate) fn type_name(kind: i64) -> &'static str {
    const NAMES: [&str; 24] = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "uint4",
        "int4",
        "float4e2m1",
    ];
    usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).copied().unwrap_or("unknown")
}

/// Returns the length of an element in bytes; `None` for types that are not supported.
fn element_size(kind: i64) -> Option<usize> {
    Some(match kind {
        2 | 3 | 9 => 1,
        4 | 5 | 10 | 16 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        _ => return None,
    })
}

/// Returns the shape of a tensor; an error if it has lengths below zero, or more than 2^40 elements.
pub(crate) fn shape(tensor: &Tensor<'_>) -> Result<Vec<usize>, Reason> {
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|length| usize::try_from(*length).ok()).collect();
    shape
        .filter(|shape| count(shape).is_some_and(|count| count < 1 << 40))
        .ok_or_else(|| format!("its shape {:?} is not valid", tensor.dims))
}

/// Returns the number of elements; `None` if it overflows.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, length| count.checked_mul(*length))
}

/// Returns the numbers of a tensor: floats of any precision in single precision, integers of any width as `i64`.
///
/// - folder: of the file, for numbers in another file
pub(crate) fn read(tensor: &Tensor<'_>, folder: Option<&Path>) -> Result<TensorData, Reason> {
    numbers(tensor, folder, false)
}

/// Like [`read`], with integers as floats.
pub(crate) fn read_floats(tensor: &Tensor<'_>, folder: Option<&Path>) -> Result<TensorData, Reason> {
    numbers(tensor, folder, true)
}

fn numbers(tensor: &Tensor<'_>, folder: Option<&Path>, as_floats: bool) -> Result<TensorData, Reason> {
    let shape = shape(tensor)?;
    let count = count(&shape).expect("it was checked");
    let size = element_size(tensor.kind)
        .ok_or_else(|| format!("elements of type {} are not supported", type_name(tensor.kind)))?;
    let external;
    let raw = match tensor.external.get("location") {
        Some(location) => {
            external = read_external(tensor, location, folder, count * size)?;
            Some(external.as_slice())
        }
        None => tensor.raw,
    };
    let Some(raw) = raw else { return listed(tensor, shape, count) };
    if raw.len() != count * size {
        return Err(format!(
            "it has {} bytes instead of {} for the shape {shape:?}",
            raw.len(),
            count * size
        ));
    }
    Ok(match (as_floats, tensor.kind) {
        (true, 2) => TensorData::new(raw.iter().map(|x| f32::from(*x)).collect::<Vec<_>>(), shape),
        (true, 3) => {
            TensorData::new(raw.iter().map(|x| f32::from(x.cast_signed())).collect::<Vec<_>>(), shape)
        }
        _ => decode(raw, tensor.kind, shape),
    })
}

fn decode(raw: &[u8], kind: i64, shape: Vec<usize>) -> TensorData {
    macro_rules! numbers {
        ($number:ty, |$x:ident| $convert:expr) => {{
            let (numbers, _) = raw.as_chunks();
            let convert = |bytes: &[u8; size_of::<$number>()]| {
                let $x = <$number>::from_le_bytes(*bytes);
                $convert
            };
            TensorData::new(numbers.iter().map(convert).collect::<Vec<_>>(), shape)
        }};
    }
    match kind {
        1 => numbers!(f32, |x| x),
        2 => numbers!(u8, |x| i64::from(x)),
        3 => numbers!(i8, |x| i64::from(x)),
        4 => numbers!(u16, |x| i64::from(x)),
        5 => numbers!(i16, |x| i64::from(x)),
        6 => numbers!(i32, |x| i64::from(x)),
        7 => numbers!(i64, |x| x),
        9 => numbers!(u8, |x| x != 0),
        10 => numbers!(u16, |x| f16::from_bits(x).to_f32()),
        11 => numbers!(f64, |x| x as f32),
        12 => numbers!(u32, |x| i64::from(x)),
        13 => numbers!(u64, |x| x.cast_signed()),
        _ => numbers!(u16, |x| bf16::from_bits(x).to_f32()),
    }
}

/// Returns the numbers of a tensor that lists them as numbers of the message.
fn listed(tensor: &Tensor<'_>, shape: Vec<usize>, count: usize) -> Result<TensorData, Reason> {
    let (mut floats, mut doubles, mut ints) = (Vec::new(), Vec::new(), Vec::new());
    for field in &tensor.numbers {
        let read = match field.number {
            4 => field.push_floats(&mut floats),
            10 => field.push_doubles(&mut doubles),
            _ => field.push_ints(&mut ints, count),
        };
        read.map_err(|fault| fault.to_string())?;
    }
    let found = match tensor.kind {
        1 => floats.len(),
        11 => doubles.len(),
        _ => ints.len(),
    };
    if found != count {
        return Err(format!("it has {found} numbers instead of {count} for the shape {shape:?}"));
    }
    let bits = |x: &i64| *x as u16;
    Ok(match tensor.kind {
        1 => TensorData::new(floats, shape),
        11 => TensorData::new(doubles.iter().map(|x| *x as f32).collect::<Vec<_>>(), shape),
        10 => {
            TensorData::new(ints.iter().map(|x| f16::from_bits(bits(x)).to_f32()).collect::<Vec<_>>(), shape)
        }
        16 => {
            TensorData::new(ints.iter().map(|x| bf16::from_bits(bits(x)).to_f32()).collect::<Vec<_>>(), shape)
        }
        9 => TensorData::new(ints.iter().map(|x| *x != 0).collect::<Vec<_>>(), shape),
        _ => TensorData::new(ints, shape),
    })
}

/// Reads the numbers of a tensor from another file in the same folder.
fn read_external(
    tensor: &Tensor<'_>,
    location: &str,
    folder: Option<&Path>,
    length: usize,
) -> Result<Vec<u8>, Reason> {
    let shown = location.escape_debug();
    let folder =
        folder.ok_or_else(|| format!("its numbers are in the file `{shown}`: open the model by its path"))?;
    let place = Path::new(location);
    if !place.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("its numbers are outside of the folder of the model, in `{shown}`"));
    }
    let number = |key: &str| match tensor.external.get(key) {
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| format!("its {key} `{}` is no number", text.escape_debug())),
        None => Ok(None),
    };
    if let Some(stated) = number("length")?
        && stated != length as u64
    {
        return Err(format!("it has {stated} bytes instead of {length}"));
    }
    let offset = number("offset")?.unwrap_or(0);
    let path = folder.join(place);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(&path).map_err(failed)?;
    let available = file.metadata().map_err(failed)?.len().saturating_sub(offset);
    if available < length as u64 {
        return Err(format!(
            "`{shown}` has {available} bytes from byte {offset} on, and {length} are needed"
        ));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
