//! TIFF: 8 and 16 bits, integers and floats, gray, colors and bands, in all layouts.

use super::samples::{Alpha, Samples};
use super::{MEMORY, Photo, PhotoNote, PhotoReader, check_photo_size};
use crate::Error;
use image::DynamicImage;
use image::metadata::Orientation;
use std::io::Cursor;
use std::path::Path;
use tiff::decoder::{BufferLayoutPreference, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

/// Returns whether the bytes are those of a BigTIFF, as files of more than 4 GiB are and many of satellites.
pub fn is_big(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+")
}

/// Reads the first page of a TIFF.
pub fn decode(reader: &PhotoReader, bytes: &[u8], path: &Path) -> Result<Photo, Error> {
    let unreadable = |reason: String| Error::UnreadablePhoto { path: path.into(), reason };
    let failed = |error: TiffError| unreadable(format!("TIFF: {error}"));
    let mut limits = Limits::default();
    // Floats are made of all samples, and bytes have four times their length then.
    limits.decoding_buffer_size = MEMORY as usize / 4;
    limits.intermediate_buffer_size = MEMORY as usize / 4;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(failed)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(failed)?;
    check_photo_size(path, width, height)?;
    let color = decoder.colortype().map_err(failed)?;
    let stored = decoder.find_tag_unsigned::<u16>(Tag::SamplesPerPixel).ok().flatten().unwrap_or(1);
    if stored > color.num_samples() {
        return match (color, as_bands(bytes)) {
            (ColorType::RGB(_) | ColorType::RGBA(_), Some(bands)) => decode(reader, &bands, path),
            _ => {
                Err(unreadable(format!("it has {stored} samples in a pixel, which are more than {color:?}")))
            }
        };
    }
    let tag = |decoder: &mut Decoder<_>, tag| decoder.find_tag_unsigned_vec::<u16>(tag).ok().flatten();
    let extra = tag(&mut decoder, Tag::ExtraSamples).unwrap_or_default();
    let orientation =
        tag(&mut decoder, Tag::Orientation).and_then(|value| value.first().copied()).unwrap_or(1);
    let mut samples = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut samples).map_err(failed)?;
    if samples.as_buffer(0).byte_len() < layout.complete_len {
        return Err(unreadable("its planes take more memory than an image may".into()));
    }
    let (values, white) = numbers(samples, color, width);
    if values.iter().any(|value| !value.is_finite()) {
        return Err(unreadable("it holds NaN or infinity".into()));
    }
    let (count, alpha) = match color {
        ColorType::Gray(_) => (1, Alpha::None),
        ColorType::RGB(_) => (3, Alpha::None),
        ColorType::RGBA(_) => (4, opacity(&extra, Alpha::Straight)),
        ColorType::Multiband { num_samples, .. } => (num_samples.into(), opacity(&extra, Alpha::None)),
        ColorType::CMYK(_) => (4, Alpha::None),
        other => {
            return Err(unreadable(format!("its colors are {other:?}; gray, RGB, CMYK and bands are read")));
        }
    };
    let values = by_pixel(values, count, &layout);
    if values.len() != count * width as usize * height as usize {
        return Err(unreadable("its samples are not as many as its size says".into()));
    }
    let size = [width, height];
    let mut photo = match color {
        ColorType::CMYK(_) => {
            let colors = rgb_of_cmyk(&values, white);
            Samples { size, count: 3, alpha, values: &colors, white }.draw(reader)
        }
        _ => Samples { size, count, alpha, values: &values, white }.draw(reader),
    };
    let turned = u8::try_from(orientation).ok().and_then(Orientation::from_exif);
    let turned = turned.unwrap_or(Orientation::NoTransforms);
    // Opacity of a TIFF may be a band: who made it may not have said.
    if !matches!(count, 1 | 3) && !matches!(color, ColorType::CMYK(_)) {
        if turned != Orientation::NoTransforms {
            return Err(unreadable("it has bands and is turned; save it upright".into()));
        }
        photo.bands = reader.bands(size, count, &values, white).bands;
    }
    let mut image = DynamicImage::ImageRgb8(photo.pixels);
    image.apply_orientation(turned);
    photo.pixels = image.into_rgb8();
    if decoder.more_images() {
        photo.notes.push(PhotoNote::First);
    }
    Ok(photo)
}

/// Returns a copy of a file whose first page says that its samples are bands: of one that says colors, the decoder leaves out what is
/// beside the colors. `None` if it does not say so in the usual way.
fn as_bands(bytes: &[u8]) -> Option<Vec<u8>> {
    const PHOTOMETRIC: u64 = 262;
    const SHORT: u64 = 3;
    const BLACK_IS_ZERO: u16 = 1;
    let is_little = bytes.starts_with(b"II");
    let number = |at: usize, length: usize| {
        let field = bytes.get(at..at.checked_add(length)?)?;
        let joined = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if is_little { field.iter().rev().fold(0, joined) } else { field.iter().fold(0, joined) })
    };
    // Where the page is, the length of the number of its entries, and that of an entry and of what precedes its value.
    let (page, counted, long, value) = match number(2, 2)? {
        43 => (number(8, 8)?, 8, 20, 12),
        _ => (number(4, 4)?, 2, 12, 8),
    };
    let page = usize::try_from(page).ok()?;
    let entries = number(page, counted)?.min(u16::MAX.into()) as usize;
    let at = (0..entries)
        .map_while(|entry| page.checked_add(counted + entry * long))
        .find(|at| number(*at, 2) == Some(PHOTOMETRIC) && number(at + 2, 2) == Some(SHORT))?;
    let mut copy = bytes.to_vec();
    let bands = if is_little { BLACK_IS_ZERO.to_le_bytes() } else { BLACK_IS_ZERO.to_be_bytes() };
    copy.get_mut(at + value..at + value + 2)?.copy_from_slice(&bands);
    Some(copy)
}

/// Returns what the last sample is, by what the file says of those beside the colors; `unsaid` if it says nothing.
fn opacity(extra: &[u16], unsaid: Alpha) -> Alpha {
    match extra.last() {
        Some(1) => Alpha::Premultiplied,
        Some(2) => Alpha::Straight,
        Some(_) => Alpha::None,
        None => unsaid,
    }
}

/// Returns the samples of a decoder as floats, and the value of white.
fn numbers(samples: DecodingResult, color: ColorType, width: u32) -> (Vec<f32>, f32) {
    match samples {
        DecodingResult::U8(bits) if color.bit_depth() < 8 => unpacked(&bits, color.bit_depth(), width),
        DecodingResult::U8(all) => (all.into_iter().map(f32::from).collect(), 255.0),
        DecodingResult::U16(all) => (all.into_iter().map(f32::from).collect(), 65_535.0),
        DecodingResult::U32(all) => (all.into_iter().map(|x| x as f32).collect(), u32::MAX as f32),
        DecodingResult::U64(all) => (all.into_iter().map(|x| x as f32).collect(), u64::MAX as f32),
        DecodingResult::I8(all) => (all.into_iter().map(f32::from).collect(), 127.0),
        DecodingResult::I16(all) => (all.into_iter().map(f32::from).collect(), 32_767.0),
        DecodingResult::I32(all) => (all.into_iter().map(|x| x as f32).collect(), i32::MAX as f32),
        DecodingResult::I64(all) => (all.into_iter().map(|x| x as f32).collect(), i64::MAX as f32),
        DecodingResult::F16(all) => (all.into_iter().map(f32::from).collect(), 1.0),
        DecodingResult::F32(all) => (all, 1.0),
        DecodingResult::F64(all) => (all.into_iter().map(|x| x as f32).collect(), 1.0),
    }
}

/// Returns the samples of gray pixels that share bytes, each row of which starts with a byte of its own.
fn unpacked(bytes: &[u8], bits: u8, width: u32) -> (Vec<f32>, f32) {
    let (bits, width) = (usize::from(bits), width as usize);
    let most = (1u16 << bits) - 1;
    let row_bytes = (width * bits).div_ceil(8);
    let pixel = |row: &[u8], x: usize| {
        let shift = 8 - bits - x * bits % 8;
        f32::from((u16::from(row[x * bits / 8]) >> shift) & most)
    };
    let rows = bytes.chunks_exact(row_bytes);
    (rows.flat_map(|row| (0..width).map(move |x| pixel(row, x))).collect(), most.into())
}

/// Returns the samples pixel by pixel, of a file that has them so or plane by plane.
fn by_pixel(values: Vec<f32>, count: usize, layout: &BufferLayoutPreference) -> Vec<f32> {
    if layout.planes < 2 {
        return values;
    }
    let pixels = values.len() / layout.planes;
    (0..pixels)
        .flat_map(|pixel| (0..count).map(move |plane| plane * pixels + pixel))
        .map(|at| values[at])
        .collect()
}

/// Returns the colors of inks: each takes its complement away, and black takes away of all.
fn rgb_of_cmyk(values: &[f32], white: f32) -> Vec<f32> {
    let (pixels, _) = values.as_chunks::<4>();
    let color = |&[cyan, magenta, yellow, black]: &[f32; 4]| {
        [cyan, magenta, yellow].map(|ink| (white - ink) * (white - black) / white)
    };
    pixels.iter().flat_map(color).collect()
}
