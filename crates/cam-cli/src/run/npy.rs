//! `.npy` files: inputs that are preprocessed already, images, and maps as numbers.
//!
//! The [format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) is a header of one Python dictionary and the
//! numbers behind it. The code is our own: crates for it bring a parser of Python literals, as large as the rest of the tool.

use crate::report::failure::Failure;
use crate::run::images::SourceReader;
use crate::run::sources::Source;
use burn_cam::burn::tensor::{Device, Tensor, TensorData, f16};
use burn_cam::image::{DynamicImage, ImageBuffer};
use burn_cam::{HeatMap, ImageInput, InputLayout, PhotoNote, Preprocess, ValueRange, check_photo_size};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Returns whether the bytes are those of a `.npy` file.
pub fn is_array(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The type of the numbers of an array.
#[derive(Clone, Copy, PartialEq)]
enum Number {
    F16,
    F32,
    F64,
    U8,
    U16,
    I32,
    I64,
}

impl Number {
    const ALL: [(&str, Self); 7] = [
        ("f2", Self::F16),
        ("f4", Self::F32),
        ("f8", Self::F64),
        ("u1", Self::U8),
        ("u2", Self::U16),
        ("i4", Self::I32),
        ("i8", Self::I64),
    ];

    /// Returns the type that NumPy calls so, and whether the highest byte comes first: `<f4`, `|u1`, `>f8`.
    fn parse(description: &str) -> Option<(Self, bool)> {
        let (order, name) = description.split_at_checked(1)?;
        let (_, number) = Self::ALL.into_iter().find(|(known, _)| *known == name)?;
        matches!(order, "<" | ">" | "|" | "=").then_some((number, order == ">"))
    }

    fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 | Self::U16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Returns whether arrays of such numbers are images, and not inputs that are preprocessed.
    fn is_of_images(self) -> bool {
        matches!(self, Self::U8 | Self::U16)
    }

    /// Reads a number; its lowest byte is the first of eight.
    fn read(self, bytes: [u8; 8]) -> f32 {
        let [a, b, c, d, ..] = bytes;
        match self {
            Self::F16 => f16::from_le_bytes([a, b]).to_f32(),
            Self::F32 => f32::from_le_bytes([a, b, c, d]),
            Self::F64 => f64::from_le_bytes(bytes) as f32,
            Self::U8 => a.into(),
            Self::U16 => u16::from_le_bytes([a, b]).into(),
            Self::I32 => i32::from_le_bytes([a, b, c, d]) as f32,
            Self::I64 => i64::from_le_bytes(bytes) as f32,
        }
    }
}

/// An array as images: where the number of a channel and a pixel is.
struct Axes {
    /// `[N, C, H, W]`
    dims: [usize; 4],
    /// How many numbers lie between neighbors along each.
    strides: [usize; 4],
}

impl Axes {
    /// Reads the axes of an array of this shape: `[C, H, W]`, `[H, W, C]`, several of one of them, or `[H, W]` for one channel. The
    /// channels are where there is a number of them that fits, or of two such places where the layout says; the error says what fits
    /// none or both.
    fn find(
        shape: &[usize],
        is_fortran: bool,
        channels: &[usize],
        layout: InputLayout,
    ) -> Result<Self, String> {
        let mut strides = vec![1usize; shape.len()];
        let order: Vec<usize> =
            if is_fortran { (0..shape.len()).collect() } else { (0..shape.len()).rev().collect() };
        for pair in order.windows(2) {
            strides[pair[1]] = strides[pair[0]].saturating_mul(shape[pair[0]]);
        }
        let (several, shape_of_one) = match shape {
            [_, rest @ ..] if shape.len() == 4 => (true, rest),
            all => (false, all),
        };
        let axes: Vec<[usize; 3]> = match shape_of_one {
            [_, _] if channels.contains(&1) && !several => vec![[usize::MAX, 0, 1]],
            &[first, height, last] => {
                let (is_first, is_last) = (channels.contains(&first), channels.contains(&last));
                // No image has a side as short as that: `[3, 224, 3]` has its channels at one end only.
                let narrow = |side: usize| side < 8;
                match (is_first, is_last) {
                    (true, true) if narrow(last) && !narrow(height) && !narrow(first) => vec![[2, 0, 1]],
                    (true, true) if narrow(first) && !narrow(height) && !narrow(last) => vec![[0, 1, 2]],
                    (true, true) => match layout {
                        InputLayout::Auto => vec![[0, 1, 2], [2, 0, 1]],
                        InputLayout::Nchw => vec![[0, 1, 2]],
                        InputLayout::Nhwc => vec![[2, 0, 1]],
                    },
                    (true, false) => vec![[0, 1, 2]],
                    (false, true) => vec![[2, 0, 1]],
                    (false, false) => vec![],
                }
            }
            _ => vec![],
        };
        let &[[channel, row, column]] = &axes[..] else {
            let counts = channels.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
            let expected = format!("[{counts}, H, W] or [H, W, {counts}]");
            return Err(match axes.len() {
                0 => format!("its shape is {shape:?}, not {expected}, or several of those"),
                _ => format!(
                    "its shape {shape:?} may be {expected}: state `layout = \"nchw\"` or `\"nhwc\"` in a `--card`"
                ),
            });
        };
        let at = |axis: usize, of: &[usize], none: usize| {
            if axis == usize::MAX { none } else { of[axis + usize::from(several)] }
        };
        let [count, next] = if several { [shape[0], strides[0]] } else { [1, 0] };
        Ok(Self {
            dims: [count, at(channel, shape, 1), at(row, shape, 1), at(column, shape, 1)],
            strides: [next, at(channel, &strides, 0), at(row, &strides, 0), at(column, &strides, 0)],
        })
    }
}

/// An array whose header is read.
struct Array<'a> {
    number: Number,
    /// Whether the highest byte of a number comes first.
    is_swapped: bool,
    is_fortran: bool,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl<'a> Array<'a> {
    /// Reads the header of an array; the error is the reason.
    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (header, data) = split(bytes).ok_or("its header is cut short")?;
        let header = Header::parse(header).ok_or("its header is not that of an array")?;
        let Header { numbers, is_fortran, shape } = header;
        let (number, is_swapped) = Number::parse(numbers).ok_or_else(|| {
            let known = Number::ALL.map(|(name, _)| format!("'{name}'")).join(", ");
            format!("its numbers are '{numbers}', not of {known}")
        })?;
        Ok(Self { number, is_swapped, is_fortran, shape, data })
    }

    /// Returns the bytes of so many numbers. The shape in the header is trusted only as far as the file goes.
    fn data(&self, dims: &[usize]) -> Result<&'a [u8], String> {
        let size = dims.iter().try_fold(self.number.size(), |size, side| size.checked_mul(*side));
        let data = size.filter(|size| *size > 0).and_then(|size| self.data.get(..size));
        data.ok_or_else(|| format!("it is too short for the shape {:?}, or empty", self.shape))
    }

    /// Returns the number at a place of its bytes.
    fn value(&self, data: &[u8], at: usize) -> f32 {
        let (size, mut bytes) = (self.number.size(), [0; 8]);
        bytes[..size].copy_from_slice(&data[at * size..][..size]);
        if self.is_swapped {
            bytes[..size].reverse();
        }
        self.number.read(bytes)
    }
}

/// Returns the numbers of a file with one vector: `[N]` or `[1, N]`; `None` if it is another file.
pub fn vector(path: &Path) -> Result<Option<Vec<f32>>, Failure> {
    let unreadable = |reason: String| Failure::Array { path: path.into(), reason };
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
        return Ok(None);
    }
    let source = Source { path: path.into(), below: PathBuf::new() };
    let bytes = source.bytes().map_err(|error| unreadable(error.to_string()))?;
    let array = Array::parse(&bytes).map_err(unreadable)?;
    let ([count] | [1, count]) = array.shape[..] else { return Ok(None) };
    let data = array.data(&[count]).map_err(unreadable)?;
    let numbers: Vec<f32> = (0..count).map(|at| array.value(data, at)).collect();
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok(Some(numbers)),
        false => Err(Failure::NonFinite { path: path.into() }),
    }
}

/// Returns the array of a file.
pub fn tensor(path: &Path) -> Result<TensorData, Failure> {
    let unreadable = |reason: String| Failure::Array { path: path.into(), reason };
    let source = Source { path: path.into(), below: PathBuf::new() };
    let bytes = source.bytes().map_err(|error| unreadable(error.to_string()))?;
    let array = Array::parse(&bytes).map_err(unreadable)?;
    if array.is_fortran && array.shape.len() > 1 {
        return Err(unreadable(
            "its numbers are in Fortran's order: save it by `numpy.ascontiguousarray`".into(),
        ));
    }
    let data = array.data(&array.shape).map_err(unreadable)?;
    let numbers = (0..data.len() / array.number.size()).map(|at| array.value(data, at)).collect();
    Ok(TensorData::new::<f32, _>(numbers, array.shape.clone()))
}

/// Decodes the images of an array; `path` is its name in errors. Floats are inputs that are preprocessed; integers are images.
pub fn decode(bytes: &[u8], path: &Path, reader: &SourceReader) -> Result<Vec<ImageInput>, Failure> {
    let unreadable = |reason: String| Failure::Array { path: path.into(), reason };
    let array = Array::parse(bytes).map_err(unreadable)?;
    let number = array.number;
    if matches!(number, Number::I32 | Number::I64) {
        return Err(unreadable("its numbers are signed integers, and no image has such".into()));
    }
    let needed = [reader.preprocess.channels];
    let is_of_colors = matches!(needed, [1 | 3]);
    let channels: &[usize] = if number.is_of_images() && is_of_colors { &[3, 1] } else { &needed };
    let Axes { dims, strides } =
        Axes::find(&array.shape, array.is_fortran, channels, reader.preprocess.layout).map_err(unreadable)?;
    let data = array.data(&dims).map_err(unreadable)?;
    let [count, channels, height, width] = dims;
    let [columns, rows] = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    check_photo_size(path, columns, rows).map_err(burn_cam::Error::from)?;
    let value = |at: usize| array.value(data, at);
    // The numbers of an image, in the order of these axes of it.
    let numbers = |image: usize, order: [usize; 3]| -> Vec<f32> {
        let [first, second, third] = order;
        let mut numbers = Vec::with_capacity(channels * height * width);
        for a in 0..dims[first] {
            for b in 0..dims[second] {
                let start = image * strides[0] + a * strides[first] + b * strides[second];
                numbers.extend((0..dims[third]).map(|c| value(start + c * strides[third])));
            }
        }
        numbers
    };
    if number.is_of_images() {
        let image = |image| {
            let by_pixel = numbers(image, [2, 3, 1]);
            if !is_of_colors {
                let white = if number == Number::U8 { 255.0 } else { 65_535.0 };
                return Ok(reader.photos.bands([columns, rows], channels, &by_pixel, white).into());
            }
            let image = drawn(by_pixel, [columns, rows], channels, number);
            let image = image.ok_or_else(|| unreadable(format!("it has {channels} channels")))?;
            Ok(ImageInput::from(reader.photos.convert(&image)))
        };
        return (0..count).map(image).collect();
    }
    let values: Vec<f32> = (0..count).flat_map(|image| numbers(image, [1, 2, 3])).collect();
    if values.iter().any(|x| !x.is_finite()) {
        return Err(Failure::NonFinite { path: path.into() });
    }
    let note = raw(&values, &reader.preprocess);
    let inputs = Tensor::from_data(TensorData::new(values, dims), &Device::flex());
    let images = ImageInput::from_tensor(inputs, &reader.preprocess)?;
    Ok(images.into_iter().map(|image| note.into_iter().fold(image, ImageInput::noted)).collect())
}

/// Returns the image of gray or color samples of integers.
fn drawn(
    samples: Vec<f32>,
    [width, height]: [u32; 2],
    channels: usize,
    number: Number,
) -> Option<DynamicImage> {
    let bytes = || samples.iter().map(|x| *x as u8).collect();
    let words = || samples.iter().map(|x| *x as u16).collect();
    Some(match (number, channels) {
        (Number::U8, 1) => DynamicImage::ImageLuma8(ImageBuffer::from_raw(width, height, bytes())?),
        (Number::U8, 3) => DynamicImage::ImageRgb8(ImageBuffer::from_raw(width, height, bytes())?),
        (Number::U16, 1) => DynamicImage::ImageLuma16(ImageBuffer::from_raw(width, height, words())?),
        (Number::U16, 3) => DynamicImage::ImageRgb16(ImageBuffer::from_raw(width, height, words())?),
        _ => return None,
    })
}

/// Returns that values are far beyond those of preprocessed images.
fn raw(values: &[f32], preprocess: &Preprocess) -> Option<PhotoNote> {
    /// How far beyond is far: inputs may be perturbed.
    const FAR: f32 = 4.0;
    let greatest = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    let channels = 0..preprocess.channels;
    let white = if preprocess.range == ValueRange::Unit { 1.0 } else { 255.0 };
    let ends = channels.map(|channel| (preprocess.mean_of(channel), preprocess.std_of(channel)));
    let expected = ends.map(|(mean, std)| mean.max(white - mean) / std).fold(0.0, f32::max);
    (greatest > FAR * expected).then_some(PhotoNote::Raw { greatest, expected })
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
    use burn_cam::PhotoReader;

    fn file(header: &str, numbers: &[f32]) -> Vec<u8> {
        let numbers: Vec<u8> = numbers.iter().flat_map(|value| value.to_le_bytes()).collect();
        file_of(header, &numbers)
    }

    fn file_of(header: &str, numbers: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), numbers].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<ImageInput>, String> {
        read_for(Preprocess::IMAGENET, bytes)
    }

    fn read_for(preprocess: Preprocess, bytes: &[u8]) -> Result<Vec<ImageInput>, String> {
        let reader = SourceReader { preprocess, photos: PhotoReader::default() };
        decode(bytes, Path::new("a.npy"), &reader).map_err(|failure| failure.message())
    }

    /// The shape of an array of preprocessed inputs.
    fn decoded(bytes: &[u8]) -> Result<[usize; 4], String> {
        let images = read(bytes)?;
        let [_, channels, height, width] = images[0].prepared().unwrap().dims();
        Ok([images.len(), channels, height, width])
    }

    /// The numbers of an array of one input.
    fn values(bytes: &[u8]) -> Vec<f32> {
        read(bytes).unwrap()[0].prepared().unwrap().clone().try_into_vec_as().unwrap()
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

    /// 3 x 9 x 10 numbers, and the same in every way that NumPy writes them.
    #[test]
    fn an_array_is_the_same_in_every_type_and_order() {
        let plain: Vec<f32> = (0..270).map(|i| i as f32 / 128.0 - 1.0).collect();
        let header = |descr: &str, fortran: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), }}")
        };
        let by_pixel =
            || (0..90).flat_map(|pixel| (0..3).map(move |channel| channel * 90 + pixel)).map(|at| plain[at]);
        let reversed = || {
            let at = |(x, y, channel): (usize, usize, usize)| plain[channel * 90 + y * 10 + x];
            let columns = (0..10).flat_map(|x| (0..9).map(move |y| (x, y)));
            columns.flat_map(|(x, y)| (0..3).map(move |channel| (x, y, channel))).map(at)
        };
        let files = [
            file(&header("<f4", "False", "3, 9, 10"), &plain),
            file(&header("<f4", "False", "9, 10, 3"), &by_pixel().collect::<Vec<_>>()),
            file(&header("<f4", "True", "3, 9, 10"), &reversed().collect::<Vec<_>>()),
            file_of(
                &header("<f8", "False", "3, 9, 10"),
                &plain.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect::<Vec<_>>(),
            ),
            file_of(
                &header(">f8", "False", "3, 9, 10"),
                &plain.iter().flat_map(|x| f64::from(*x).to_be_bytes()).collect::<Vec<_>>(),
            ),
            file_of(
                &header("<f2", "False", "1, 3, 9, 10"),
                &plain.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect::<Vec<_>>(),
            ),
        ];
        for (number, file) in files.iter().enumerate() {
            assert_eq!(decoded(file), Ok([1, 3, 9, 10]), "{number}");
            assert_eq!(values(file), plain, "{number}");
        }
    }

    #[test]
    fn a_stated_layout_is_that_of_an_array_whose_shape_fits_both() {
        let of_bands = |layout| Preprocess { channels: 9, layout, ..Preprocess::IMAGENET };
        // 9 bands of 9 x 9 pixels: the shape says nothing.
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (9, 9, 9), }";
        let numbers: Vec<f32> = (0..729).map(|i| i as f32 / 729.0).collect();
        let array = file(header, &numbers);
        let said = read_for(of_bands(InputLayout::Auto), &array).unwrap_err();
        assert!(said.contains("may be [9, H, W] or [H, W, 9]: state `layout = \"nchw\"`"), "{said}");
        for (layout, second) in [(InputLayout::Nchw, 1.0 / 729.0), (InputLayout::Nhwc, 9.0 / 729.0)] {
            let images = read_for(of_bands(layout), &array).unwrap();
            let values: Vec<f32> = images[0].prepared().unwrap().clone().try_into_vec_as().unwrap();
            assert_eq!(values[1], second, "the pixel to the right of the first: {layout:?}");
        }
        // A shape that fits one layout only has that one.
        let preprocess = Preprocess { layout: InputLayout::Nhwc, ..Preprocess::IMAGENET };
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 8), }";
        let images = read_for(preprocess, &file(header, &numbers[..192])).unwrap();
        assert_eq!(images[0].prepared().unwrap().dims(), [1, 3, 8, 8]);
    }

    #[test]
    fn integers_are_images_and_large_floats_are_noted() {
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (8, 9, 3), }";
        let bytes: Vec<u8> = (0..216).collect();
        let images = read(&file_of(header, &bytes)).unwrap();
        assert_eq!(images[0].pixels().dimensions(), (9, 8));
        assert_eq!((images[0].pixels().as_raw(), images[0].prepared().is_none()), (&bytes, true));
        let gray = "{'descr': '<u2', 'fortran_order': False, 'shape': (8, 9), }";
        let dark: Vec<u8> = [4095u16; 72].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(matches!(read(&file_of(gray, &dark)).unwrap()[0].notes(), [PhotoNote::Dark { .. }]));
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 8), }";
        assert!(matches!(read(&file(header, &[255.0; 192])).unwrap()[0].notes(), [PhotoNote::Raw { .. }]));
        assert!(read(&file(header, &[2.6; 192])).unwrap()[0].notes().is_empty());
    }

    #[test]
    fn what_is_no_such_array_is_refused_with_the_reason() {
        let refused = |header: &str, reason: &str| {
            let said = decoded(&file(header, &[0.5; 3 * 64])).unwrap_err();
            assert!(said.contains(reason), "{header}: {said}");
        };
        refused("{'descr': '<i8', 'fortran_order': False, 'shape': (3, 8, 8), }", "are signed integers");
        refused("{'descr': '<c8', 'fortran_order': False, 'shape': (3, 8, 8), }", "its numbers are '<c8'");
        refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", "'structured'");
        refused(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 3), }",
            "may be [3, H, W] or [H, W, 3]",
        );
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
