//! `.npy` files: inputs that are preprocessed already, and maps as numbers.

use crate::failure::Failure;
use burn::tensor::{Device, Tensor, TensorData};
use cam_models::check_photo_size;
use cam_viz::HeatMap;
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};
use std::path::Path;

/// Whether the bytes are those of a `.npy` file.
pub fn is_array(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x93NUMPY")
}

/// Reads float32 `[3, H, W]` or `[N, 3, H, W]`; `path` is what errors call it.
///
/// # Shapes
/// - output: `[N, 3, H, W]`
pub fn decode(bytes: &[u8], path: &Path, device: &Device) -> Result<Tensor<4>, Failure> {
    let unreadable = |reason: String| Failure::Array { path: path.into(), reason };
    let file = NpyFile::new(bytes).map_err(|e| unreadable(e.to_string()))?;
    let float32 = matches!(file.dtype(), DType::Plain(kind) if kind.type_char() == TypeChar::Float && kind.num_bytes() == Some(4));
    if !float32 {
        return Err(unreadable(format!("its numbers are {}, float32 is needed", file.dtype().descr())));
    }
    if file.order() != Order::C {
        return Err(unreadable("it is in Fortran order, C order is needed".into()));
    }
    let shape = file.shape().to_vec();
    let dims = match shape[..] {
        [3, height, width] => [1, 3, height, width],
        [count, 3, height, width] => [count, 3, height, width],
        _ => return Err(unreadable(format!("its shape is {shape:?}, [3, H, W] or [N, 3, H, W] is needed"))),
    };
    // What the header says is believed only as far as the file goes.
    let fits = dims
        .iter()
        .try_fold(4u64, |size, side| size.checked_mul(*side))
        .is_some_and(|size| size <= bytes.len() as u64);
    if !fits || dims.contains(&0) {
        return Err(unreadable(format!("it is too short for the shape {shape:?}, or empty")));
    }
    let [width, height] = [dims[3], dims[2]].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    check_photo_size(path, width, height)?;
    let numbers = file.into_vec::<f32>().map_err(|e| unreadable(e.to_string()))?;
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(Failure::Core(cam_core::Error::NonFinite {
            what: format!("the array `{}`", path.display()),
        }));
    }
    Ok(Tensor::from_data(TensorData::new(numbers, dims.map(|side| side as usize)), device))
}

/// The `.npy` file of a map, `[height, width]`.
pub fn of(map: &HeatMap) -> Vec<u8> {
    encode(map.values(), [map.height(), map.width()].map(|side| side as usize))
}

/// The bytes of a float32 `.npy` file `[height, width]`.
pub fn encode(numbers: &[f32], [height, width]: [usize; 2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(&[height as u64, width as u64]);
    let mut writer = options.writer(&mut bytes).begin_nd().expect("a memory buffer can be written");
    writer.extend(numbers.iter().copied()).expect("a memory buffer can be written");
    writer.finish().expect("as many numbers as the shape has");
    bytes
}
