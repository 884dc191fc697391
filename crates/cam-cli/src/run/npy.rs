//! `.npy` files: inputs that are preprocessed already, and maps as numbers.
//!
//! The [format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) is a header of one Python dictionary and the
//! numbers behind it. The code is our own: crates for it bring a parser of Python literals, as large as the rest of the tool.

use crate::report::failure::Failure;
use burn_cam::burn::tensor::{Device, Tensor, TensorData};
use burn_cam::{HeatMap, check_photo_size};
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Returns whether the bytes are those of a `.npy` file.
pub fn is_array(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Decodes float32 `[3, H, W]` or `[N, 3, H, W]`; `path` is its name in errors.
///
/// # Shapes
/// - output: `[N, 3, H, W]`
pub fn decode(bytes: &[u8], path: &Path, device: &Device) -> Result<Tensor<4>, Failure> {
    let unreadable = |reason: String| Failure::Array { path: path.into(), reason };
    let (header, data) = split(bytes).ok_or_else(|| unreadable("its header is cut short".into()))?;
    let Header { numbers, is_fortran, shape } =
        Header::parse(header).ok_or_else(|| unreadable("its header is not that of an array".into()))?;
    if numbers != "<f4" {
        return Err(unreadable(format!("its numbers are '{numbers}', not float32 ('<f4')")));
    }
    if is_fortran {
        return Err(unreadable("it is in Fortran order, not in C order".into()));
    }
    let dims = match shape[..] {
        [3, height, width] => [1, 3, height, width],
        [count, 3, height, width] => [count, 3, height, width],
        _ => return Err(unreadable(format!("its shape is {shape:?}, not [3, H, W] or [N, 3, H, W]"))),
    };
    // The shape in the header is trusted only as far as the file goes.
    let size = dims.iter().try_fold(size_of::<f32>(), |size, side| size.checked_mul(*side));
    let data = size.filter(|size| *size > 0).and_then(|size| data.get(..size));
    let data =
        data.ok_or_else(|| unreadable(format!("it is too short for the shape {shape:?}, or empty")))?;
    let [width, height] = [dims[3], dims[2]].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    check_photo_size(path, width, height).map_err(burn_cam::Error::from)?;
    let (floats, _) = data.as_chunks();
    let numbers: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(Failure::NonFinite { path: path.into() });
    }
    Ok(Tensor::from_data(TensorData::new(numbers, dims), device))
}

/// Splits a file into its header and its data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let bytes = bytes.strip_prefix(MAGIC)?;
    let (version, bytes) = bytes.split_first_chunk::<2>()?;
    let (length, bytes) = match version[0] {
        1 => bytes
            .split_first_chunk()
            .map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest))?,
        2 | 3 => {
            bytes.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest))?
        }
        _ => return None,
    };
    let (header, data) = bytes.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// What the header says: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 224, 224), }`.
struct Header<'h> {
    numbers: &'h str,
    is_fortran: bool,
    shape: Vec<usize>,
}

impl<'h> Header<'h> {
    fn parse(text: &'h str) -> Option<Self> {
        let value = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}'"))?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        // The type of structured numbers is a list.
        let numbers = match value("descr")?.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'')?.0,
            None => "structured",
        };
        let order = value("fortran_order")?;
        let (sides, _) = value("shape")?.strip_prefix('(')?.split_once(')')?;
        let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
        let shape = sides.map(|side| side.parse().ok()).collect::<Option<_>>()?;
        let is_fortran = order.starts_with("True");
        (is_fortran || order.starts_with("False")).then_some(Self { numbers, is_fortran, shape })
    }
}

/// Returns the bytes of the float32 `.npy` file of a map, `[height, width]`.
pub fn encode(map: &HeatMap) -> Vec<u8> {
    let (height, width) = (map.height(), map.width());
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}");
    // The numbers start at a multiple of 64 bytes, and the header ends with a new line.
    let before = MAGIC.len() + 4;
    let padding = 64 - (before + header.len() + 1) % 64;
    header.extend(std::iter::repeat_n(' ', padding % 64));
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    let numbers = map.values().iter().flat_map(|value| value.to_le_bytes());
    [MAGIC, &[1, 0], &length, header.as_bytes()].concat().into_iter().chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, numbers: &[f32]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        let numbers: Vec<u8> = numbers.iter().flat_map(|value| value.to_le_bytes()).collect();
        [MAGIC, &[1, 0], &length, header.as_bytes(), &numbers].concat()
    }

    fn decoded(bytes: &[u8]) -> Result<[usize; 4], String> {
        let tensor = decode(bytes, Path::new("a.npy"), &Device::flex());
        tensor.map(|tensor| tensor.dims()).map_err(|failure| failure.message())
    }

    #[test]
    fn a_map_is_written_as_numpy_writes_it() {
        let map = HeatMap::new(2, 1, [0.5, -1.0]).unwrap();
        let bytes = encode(&map);
        // numpy.save of numpy.array([[0.5, -1]], 'f4')
        let header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
        assert!(bytes.starts_with(header));
        assert_eq!(bytes.len(), 128 + 8);
        assert_eq!((bytes[127], &bytes[128..]), (b'\n', &[0, 0, 0, 63, 0, 0, 128, 191][..]));
    }

    #[test]
    fn headers_of_every_version_and_spacing_are_read() {
        let numbers = [0.5; 3 * 64];
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 8), }\n";
        assert_eq!(decoded(&file(header, &numbers)), Ok([1, 3, 8, 8]));
        let header = "{'shape':(1,3,8,8),'fortran_order':False,'descr':'<f4'}";
        assert_eq!(decoded(&file(header, &numbers)), Ok([1, 3, 8, 8]));
        let mut second = file(header, &numbers);
        second[6] = 2;
        second.splice(8..10, (header.len() as u32).to_le_bytes());
        assert_eq!(decoded(&second), Ok([1, 3, 8, 8]));
    }

    #[test]
    fn what_is_no_such_array_is_refused_with_the_reason() {
        let refused = |header: &str, reason: &str| {
            let said = decoded(&file(header, &[0.5; 3 * 64])).unwrap_err();
            assert!(said.contains(reason), "{header}: {said}");
        };
        refused("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 8, 8), }", "its numbers are '<f8'");
        refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", "'structured'");
        refused("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 8, 8), }", "Fortran order");
        refused("{'descr': '<f4', 'fortran_order': False, 'shape': (8, 8), }", "its shape is [8, 8]");
        refused("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "its shape is []");
        refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 9, 9), }", "too short");
        refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0, 8), }", "or empty");
        refused(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 99999999999999, 99999999999999)",
            "too short",
        );
        refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 8, 8), }", "not that of an array");
        refused("nothing", "not that of an array");
        for length in 0..60 {
            let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 8), }";
            assert!(decoded(&file(header, &[])[..length.max(6)]).is_err(), "{length}");
        }
    }
}
