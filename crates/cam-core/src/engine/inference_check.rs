//! Whether a model computes the same scores with and without a tape.

use crate::Error;
use burn::Tensor;
use burn::tensor::DType;

/// How far apart scores with and without a tape may be, relative to what they are made of: sixteen roundings (half a unit in the last
/// place) of a half-precision type, as a network of some dozen layers adds up; small networks are three to four apart.
///
/// In single precision, devices multiply with 24 bits, and scores are up to 1.5e-6 apart, because kernels without a tape add in another
/// order. Or they multiply with the ten bits of TF32, by the same kernels in both passes if the shapes are the same. The limit is four
/// roundings to ten bits.
pub(super) fn tolerance(dtype: DType) -> f32 {
    match dtype {
        DType::BF16 => 16.0 / 256.0,
        DType::F16 => 16.0 / 2048.0,
        _ => 4.0 / 2048.0,
    }
}

/// Joins what the check reads in one tensor: the scores without and with a tape, and what each is made of, each `[batch]`.
pub(super) fn join(parts: [Tensor<1>; 3]) -> Tensor<1> {
    Tensor::cat(parts.map(|numbers| numbers.cast(DType::F32)).into(), 0)
}

/// Checks that the scores without a tape are those with one. Both passes compute the same numbers, possibly in another order, so the
/// allowed difference is relative to the largest number that the batch is made of: its scores and what the layer adds to them. There is
/// no absolute limit: scores may be as small as they like.
pub(super) fn check(numbers: &[f32], tolerance: f32) -> Result<(), Error> {
    let batch = numbers.len() / 3;
    let [plain, taped, parts] = [0, 1, 2].map(|part| &numbers[part * batch..(part + 1) * batch]);
    let made_of = plain.iter().chain(parts).map(|number| number.abs()).filter(|number| number.is_finite());
    let limit = tolerance * made_of.fold(0.0, f32::max);
    let is_same = |plain: f32, taped: f32| (plain - taped).abs() <= limit || !plain.is_finite();
    match plain.iter().zip(taped).position(|(plain, taped)| !is_same(*plain, *taped)) {
        Some(image) => Err(Error::UnlikeInference { image, plain: plain[image], taped: taped[image] }),
        None => Ok(()),
    }
}
